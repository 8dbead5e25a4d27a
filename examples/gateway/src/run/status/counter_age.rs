//! Limit of the age of exported counters. The counters are those of the last commit, so that a kill does not take them back; but thanks to
//! elision there may be nothing to commit while the hub keeps up. So a reader of the counters causes a commit, at most one in a period, which is
//! one small write. Without a reader nothing is written. Pure.

use std::time::Duration;

use edge_queue::Ledger;

/// Decides when to commit the counters for a reader.
#[derive(Debug)]
pub(crate) struct Refresh {
    within_ms: u64,
    is_asked: bool,
    last_ms: Option<u64>,
}

impl Refresh {
    /// Creates the limit. `within` is the shortest time between two commits.
    pub(crate) fn new(within: Duration) -> Self {
        let within_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        Self { within_ms, is_asked: false, last_ms: None }
    }

    /// Records that the counters were read, so that a commit should bring them up to date.
    pub(crate) fn asked(&mut self) {
        self.is_asked = true;
    }

    /// Returns whether to commit now, which begins a new period. It is due if the counters were read, the committed ones are behind (`lag`), and
    /// the period is over.
    pub(crate) fn is_due(&mut self, up_ms: u64, lag: bool) -> bool {
        let is_time = self.last_ms.is_none_or(|last| up_ms.saturating_sub(last) >= self.within_ms);
        let is_due = self.is_asked && lag && is_time;
        if is_due {
            self.is_asked = false;
            self.last_ms = Some(up_ms);
        }
        is_due
    }
}

/// Returns whether rows were delivered, moved or dropped since the last commit. Rows that wait for their own commit do not count, because that
/// comes within `ack_within`.
pub(crate) fn lag(committed: &[Ledger], live: &[Ledger]) -> bool {
    let ends = |ledgers: &[Ledger]| {
        let one = |ledger: &Ledger| ledger.delivered + ledger.moved + ledger.dropped.total();
        ledgers.iter().map(one).sum::<u64>()
    };
    ends(committed) != ends(live)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_commit_in_a_period_and_none_that_nobody_reads() {
        let mut refresh = Refresh::new(Duration::from_secs(60));
        assert!(!refresh.is_due(0, true), "nobody asked");
        refresh.asked();
        assert!(!refresh.is_due(1_000, false), "nothing to write");
        assert!(refresh.is_due(2_000, true));
        assert!(!refresh.is_due(70_000, true), "nobody asked since");
        refresh.asked();
        assert!(refresh.is_due(70_000, true));
        refresh.asked();
        let due = (70_000..=190_000u64).step_by(1_000).filter(|at| {
            refresh.asked();
            refresh.is_due(*at, true)
        });
        assert_eq!(due.collect::<Vec<_>>(), [130_000, 190_000]);
    }
}
