//! Time to live of rows, checked when a row is reached and never by a timer.

use crate::row::StoredRow;
use crate::row_age::{Expiry, age_ms};
use crate::time::Now;

/// Returns whether `row` is too old to be delivered. `opened_ms` is the up time at which the queue was opened.
pub(crate) fn expired(row: &StoredRow, max_age_ms: Option<u64>, opened_ms: u64, now: &Now) -> bool {
    let limit = match (row.ttl_ms, max_age_ms) {
        (Some(ttl), Some(max)) => ttl.min(max),
        (Some(limit), None) | (None, Some(limit)) => limit,
        (None, None) => return false,
    };
    match (age_ms(&row.stamp, now), row.expiry) {
        (Some(age), _) => age >= limit,
        (None, Expiry::Strict) => true,
        // Unknown time adds nothing, but a row of another boot was there when the queue was opened. It need not be as old as this boot: a file and
        // an export may have come from another machine meanwhile.
        (None, Expiry::Lenient) => now.up_ms.saturating_sub(opened_ms) >= limit,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::row::Lane;

    fn row(ttl_ms: Option<u64>, expiry: Expiry) -> StoredRow {
        let stamp = Now { boot_id: 1, up_ms: 1_000, wall_ms: 50_000, synced: true };
        let (key, meta, payload) = (Bytes::new(), Bytes::new(), Bytes::new());
        StoredRow { lane: Lane(0), seq: 1, epoch: 1, stamp, ttl_ms, expiry, weight: 1, key, meta, payload }
    }

    fn now(boot_id: u128, up_ms: u64, wall_ms: i64, synced: bool) -> Now {
        Now { boot_id, up_ms, wall_ms, synced }
    }

    #[test]
    fn the_shorter_of_ttl_and_max_age_counts() {
        let r = row(Some(100), Expiry::Lenient);
        assert!(!expired(&r, None, 0, &now(1, 1_099, 0, false)));
        assert!(expired(&r, None, 0, &now(1, 1_100, 0, false)));
        assert!(expired(&r, Some(10), 0, &now(1, 1_010, 0, false)));
        assert!(!expired(&row(None, Expiry::Strict), None, 0, &now(2, 0, 0, false)));
    }

    #[test]
    fn a_wall_clock_jump_does_not_age_a_row_of_this_boot() {
        assert!(!expired(&row(Some(100), Expiry::Strict), None, 0, &now(1, 1_001, i64::MAX, true)));
    }

    #[test]
    fn an_unknown_age_is_judged_by_the_rows_own_rule() {
        let later = now(2, 5, 0, false);
        assert!(!expired(&row(Some(100), Expiry::Lenient), None, 0, &later));
        assert!(expired(&row(Some(100), Expiry::Strict), None, 0, &later));
        assert!(expired(&row(Some(100), Expiry::Lenient), None, 0, &now(2, 5, 50_100, true)));
        for (opened_ms, up_ms, expires) in
            [(0, 99, false), (0, 100, true), (9_000, 9_099, false), (9_000, 9_100, true)]
        {
            let at = now(2, up_ms, 0, false);
            assert_eq!(expired(&row(Some(100), Expiry::Lenient), None, opened_ms, &at), expires, "{up_ms}");
        }
    }
}
