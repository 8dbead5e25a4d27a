//! Accounting of damage: how many of the lost rows each consumer had not acknowledged.
//!
//! The store knows which frames are lost, how many rows they held and their total weight. A consumer lost those that it had not acknowledged, and
//! they cannot be read any more. If their numbers have no hole, and either no row was acknowledged or is leased, or each weighs one, the arithmetic
//! is exact ([`Share::certain`]). Otherwise the consumer's own ledger decides: its queued weight less the weight of the readable rows is its loss
//! ([`divide`]).

use crate::planted_flaw::{Flaw, planted};
use crate::row::Seq;
use crate::state::{GapRecord, Position, Reason};
use crate::store::Lost;

/// One consumer's part of a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    /// Sequence number of the first lost row that was neither done nor leased; `last` is that of the last one.
    pub(crate) first: Seq,
    pub(crate) last: Seq,
    /// Upper bound of the number of lost rows.
    pub(crate) rows: u64,
    /// Weight of the lost rows; an estimate unless `certain`.
    pub(crate) weight: u64,
    /// Set if rows and weight are exact without the consumer's ledger.
    pub(crate) certain: bool,
    /// Wall times of the rows before and after, in milliseconds since the Unix epoch; 0 if unknown.
    pub(crate) ms: (i64, i64),
}

impl Share {
    /// Returns the part of `lost` that a consumer at `position` had not acknowledged; `None` if there is none. Rows from `below` on are in RAM
    /// and not lost; rows in `leased` are held by the application, so it has not lost them either.
    pub(crate) fn of(
        lost: &Lost,
        position: &Position,
        below: Seq,
        leased: impl Iterator<Item = Seq>,
    ) -> Option<Share> {
        let last = lost.last.min(below.saturating_sub(1));
        let (mut open, mut first_open, mut last_open) = (0u64, None, lost.first);
        let mut at = lost.first.max(position.floor);
        let done = position.acked.range(..=last).filter(|(_, end)| **end >= lost.first);
        let mut closed: Vec<(Seq, Seq)> = done.map(|(first, end)| (*first, *end)).collect();
        closed.extend(leased.filter(|seq| (lost.first..=last).contains(seq)).map(|seq| (seq, seq)));
        closed.sort_unstable();
        closed.push((last.saturating_add(1), Seq::MAX));
        for (first, end) in closed {
            if at < first {
                open = open.saturating_add(first - at);
                first_open.get_or_insert(at);
                last_open = first - 1;
            }
            at = at.max(end.saturating_add(1));
        }
        let rows = open.min(lost.rows);
        let span = lost.last.saturating_sub(lost.first).saturating_add(1);
        let (rows, all) = match planted(Flaw::LossOfWholeFrame) {
            true => (lost.rows, true),
            false => (rows, rows == lost.rows && last == lost.last),
        };
        let weight = if all { lost.weight } else { part_of(lost.weight, rows, lost.rows).max(rows) };
        let certain = lost.exact && span == lost.rows && (all || lost.weight == lost.rows);
        Some(Share { first: first_open?, last: last_open, rows, weight, certain, ms: (0, 0) })
    }

    /// Returns the share with the times of the rows around it.
    pub(crate) fn between(self, ms: (i64, i64)) -> Share {
        Share { ms, ..self }
    }

    /// Returns the gap record for the consumer; `None` if no unacknowledged row was lost.
    pub(crate) fn record(&self) -> Option<GapRecord> {
        (self.weight > 0).then_some(GapRecord {
            first_seq: self.first,
            last_seq: self.last,
            first_ms: self.ms.0,
            last_ms: self.ms.1,
            count: self.weight,
            reason: Reason::Quarantined,
        })
    }
}

/// Divides `missing`, the weight that a consumer lost, among its shares: the certain ones get their weight, the others the rest in proportion to
/// their estimates. Returns the remainder if there is no share.
pub(crate) fn divide(missing: u64, shares: &mut [Share]) -> u64 {
    let mut left = missing;
    let mut estimates = 0u64;
    for share in shares.iter_mut() {
        if share.certain {
            share.weight = share.weight.min(left);
            left -= share.weight;
        } else {
            estimates = estimates.saturating_add(share.weight);
        }
    }
    for share in shares.iter_mut().filter(|share| !share.certain) {
        let estimate = share.weight;
        share.weight = part_of(left, estimate, estimates);
        left -= share.weight;
        estimates -= estimate;
    }
    if let Some(share) = shares.last_mut() {
        share.weight = share.weight.saturating_add(left);
        left = 0;
    }
    left
}

/// Returns the weight of `rows` out of `all` rows, if all weigh the same.
fn part_of(weight: u64, rows: u64, all: u64) -> u64 {
    let part = u128::from(weight) * u128::from(rows) / u128::from(all.max(1));
    u64::try_from(part).unwrap_or(weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(first: Seq, last: Seq, rows: u64, weight: u64) -> Lost {
        Lost { first, last, rows, weight, exact: true }
    }

    fn at(floor: Seq, acked: &[(Seq, Seq)]) -> Position {
        Position { floor, acked: acked.iter().copied().collect(), ..Position::default() }
    }

    fn share(lost: &Lost, position: &Position, leased: &[Seq]) -> Option<(Seq, Seq, u64, u64, bool)> {
        let share = Share::of(lost, position, Seq::MAX, leased.iter().copied())?;
        Some((share.first, share.last, share.rows, share.weight, share.certain))
    }

    #[test]
    fn what_was_done_or_is_leased_is_not_lost() {
        let ten = lost(10, 19, 10, 10);
        assert_eq!(share(&ten, &at(1, &[]), &[]), Some((10, 19, 10, 10, true)));
        assert_eq!(share(&ten, &at(15, &[]), &[]), Some((15, 19, 5, 5, true)));
        assert_eq!(share(&ten, &at(1, &[(8, 11), (13, 13), (19, 30)]), &[]), Some((12, 18, 6, 6, true)));
        assert_eq!(share(&ten, &at(11, &[(13, 13)]), &[12, 19, 25]), Some((11, 18, 6, 6, true)));
        assert_eq!(share(&ten, &at(20, &[]), &[]), None);
        assert_eq!(share(&ten, &at(1, &[(10, 19)]), &[]), None);
        assert_eq!(
            Share::of(&ten, &at(1, &[]), 14, std::iter::empty()).map(|s| (s.last, s.rows)),
            Some((13, 4))
        );
    }

    #[test]
    fn holes_and_mixed_weights_leave_doubt_only_where_part_was_done() {
        assert_eq!(share(&lost(10, 19, 10, 37), &at(1, &[]), &[]), Some((10, 19, 10, 37, true)));
        assert_eq!(share(&lost(10, 19, 10, 37), &at(15, &[]), &[]), Some((15, 19, 5, 18, false)));
        assert_eq!(share(&lost(10, 19, 7, 7), &at(15, &[]), &[]), Some((15, 19, 5, 5, false)));
    }

    #[test]
    fn the_ledger_decides_what_the_shares_leave_open() {
        let of = |weight, certain| Share { first: 1, last: 9, rows: 1, weight, certain, ms: (0, 0) };
        let weights = |missing, shares: &[Share]| {
            let mut shares = shares.to_vec();
            let left = divide(missing, &mut shares);
            (shares.iter().map(|s| s.weight).collect::<Vec<_>>(), left)
        };
        assert_eq!(weights(20, &[of(5, true), of(3, false), of(9, false)]), (vec![5, 3, 12], 0));
        assert_eq!(weights(10, &[of(10, false), of(10, false), of(5, false)]), (vec![4, 4, 2], 0), "scaled");
        assert_eq!(weights(4, &[of(5, true), of(3, false)]), (vec![4, 0], 0));
        assert_eq!(weights(9, &[of(5, true)]), (vec![9], 0));
        assert_eq!(weights(9, &[]), (vec![], 9));
    }
}
