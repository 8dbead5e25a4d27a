//! Times of rows lost to damage, bounded by the times of the rows before and after them, because their own cannot be read.

use std::collections::BTreeMap;

use crate::row::{Seq, StoredRow};
use crate::store::Lost;

/// Number and wall time of a row.
type Dated = (Seq, i64);

/// Rows before and after each loss, from reads in the order of sequence numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Neighbours {
    /// Newest row that was read; `None` before the first.
    newest: Option<Dated>,
    /// Each loss by its first and last number; with the row before and the row after it.
    around: BTreeMap<(Seq, Seq), (Option<Dated>, Option<Dated>)>,
}

impl Neighbours {
    /// Begins with reads after the row `newest`; `None` if no row came before.
    pub(crate) fn after(newest: Option<Dated>) -> Neighbours {
        Neighbours { newest, around: BTreeMap::new() }
    }

    /// Adds the rows and losses of one read.
    pub(crate) fn pass(&mut self, rows: &[StoredRow], lost: &[Lost]) {
        for Lost { first, last, .. } in lost {
            let before = rows.partition_point(|row| row.seq < *first).checked_sub(1);
            let before = before.and_then(|at| rows.get(at)).map(dated);
            let before = before.or(self.newest.filter(|(seq, _)| seq < first));
            self.around.insert((*first, *last), (before, None));
        }
        for ((_, last), (_, after)) in self.around.iter_mut().filter(|(_, (_, after))| after.is_none()) {
            *after = rows.get(rows.partition_point(|row| row.seq <= *last)).map(dated);
        }
        self.newest = rows.last().map(dated).or(self.newest);
    }

    /// Returns the wall times of the rows before and after a loss, in milliseconds since the Unix epoch. An unknown time is replaced by the other
    /// one, or by 0.
    pub(crate) fn times(&self, lost: &Lost) -> (i64, i64) {
        let (before, after) = self.around.get(&(lost.first, lost.last)).copied().unwrap_or_default();
        let ms = |one: Option<Dated>, other: Option<Dated>| one.or(other).map_or(0, |(_, ms)| ms);
        (ms(before, after), ms(after, before))
    }
}

fn dated(row: &StoredRow) -> Dated {
    (row.seq, row.stamp.wall_ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Lane;
    use crate::row_age::Expiry;
    use crate::time::Stamp;

    fn row(seq: Seq) -> StoredRow {
        StoredRow {
            lane: Lane(0),
            seq,
            epoch: 1,
            stamp: Stamp { wall_ms: seq as i64 * 10, ..Stamp::default() },
            ttl_ms: None,
            expiry: Expiry::Lenient,
            weight: 1,
            key: Default::default(),
            meta: Default::default(),
            payload: Default::default(),
        }
    }

    fn lost(first: Seq, last: Seq) -> Lost {
        Lost { first, last, rows: 1, weight: 1, exact: true }
    }

    #[test]
    fn a_loss_lies_between_the_rows_that_were_read_before_and_after_it() {
        let mut neighbours = Neighbours::after(Some((2, 20)));
        neighbours.pass(&[row(6), row(7)], &[lost(3, 5), lost(8, 9)]);
        assert_eq!((neighbours.times(&lost(3, 5)), neighbours.times(&lost(8, 9))), ((20, 60), (70, 70)));
        neighbours.pass(&[], &[lost(10, 11)]);
        neighbours.pass(&[row(15)], &[]);
        assert_eq!((neighbours.times(&lost(8, 9)), neighbours.times(&lost(10, 11))), ((70, 150), (70, 150)));
        assert_eq!(neighbours.times(&lost(1, 1)), (0, 0), "never met");
    }

    #[test]
    fn a_row_of_higher_number_is_not_before_a_loss() {
        let mut neighbours = Neighbours::after(Some((9, 90)));
        neighbours.pass(&[], &[lost(3, 5)]);
        assert_eq!(neighbours.times(&lost(3, 5)), (0, 0));
        neighbours.pass(&[row(4), row(8)], &[]);
        assert_eq!(neighbours.times(&lost(3, 5)), (80, 80));
    }
}
