//! High-water marks of the lanes: length up to which each log was durable when the mark was written.
//!
//! A lane's log ends where its last whole frame ends. If damage takes that frame, header and all, nothing in the lane shows that there was one.
//! So every snapshot, the close mark and the superblocks have the synced ends of *all* lanes: a log that ends below its mark is damaged, and the
//! rows between are lost. A mark stays valid for ever; the newest of each lane counts.
#![deny(clippy::indexing_slicing)]

use super::bytes::{Reader, put_varint};
use super::segment::Counters;
use crate::row::LANES_MAX;
use crate::store::plausibility::NUMBER_MAX;

/// High-water marks of all lanes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct HighWaterMarks([Counters; LANES_MAX]);

impl HighWaterMarks {
    pub(super) fn of<'a>(logs: impl Iterator<Item = &'a Counters>) -> HighWaterMarks {
        let mut ends = HighWaterMarks::default();
        ends.0.iter_mut().zip(logs).for_each(|(end, log)| *end = *log);
        ends
    }

    pub(super) fn lane(&self, lane: u8) -> Counters {
        self.0.get(usize::from(lane)).copied().unwrap_or_default()
    }

    /// Raises the mark of each lane to that of `other` if that is further.
    pub(super) fn merge(&mut self, other: &HighWaterMarks) {
        for (end, other) in self.0.iter_mut().zip(other.0) {
            if other.next > end.next {
                *end = other;
            }
        }
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        for end in &self.0 {
            for number in [end.next, end.rows, end.weight, end.highest] {
                put_varint(out, number);
            }
        }
    }

    /// Reads the marks; `None` if a number is one that no log can have reached.
    pub(super) fn get(r: &mut Reader<'_>) -> Option<HighWaterMarks> {
        let mut ends = HighWaterMarks::default();
        for end in &mut ends.0 {
            *end =
                Counters { next: r.varint()?, rows: r.varint()?, weight: r.varint()?, highest: r.varint()? };
            if end.highest > NUMBER_MAX || end.weight > NUMBER_MAX || end.next > NUMBER_MAX {
                return None;
            }
            if end.rows > end.highest || end.rows > end.weight {
                return None;
            }
        }
        Some(ends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ring::record::{Cursor, Record, get_ends, put_ends};

    #[test]
    fn the_further_end_of_each_lane_counts() {
        let end = |next| Counters { next, rows: 1, weight: 1, highest: next };
        let mut ends = HighWaterMarks([end(5), end(1), end(3), end(0)]);
        ends.merge(&HighWaterMarks([end(4), end(2), end(3), end(9)]));
        assert_eq!(ends.0.map(|end| end.next), [5, 2, 3, 9]);
        let (before, same_place) = (ends, Counters { weight: 2, ..end(5) });
        ends.merge(&HighWaterMarks([same_place, end(0), end(0), end(0)]));
        assert_eq!(ends, before, "the same is not further");
    }

    #[test]
    fn a_lane_without_rows_keeps_its_place() {
        let end = Counters { next: 7, rows: 1, weight: 1, highest: 7 };
        let marks = HighWaterMarks::of([Counters::default(), end].iter());
        assert_eq!([0, 1, 2].map(|lane| marks.lane(lane).next), [0, 7, 0]);
    }

    #[test]
    fn ends_that_no_log_can_have_reached_are_not_believed() {
        let believed = |end: Counters| {
            let mut out = Vec::new();
            HighWaterMarks([Counters::default(), end, end, Counters::default()]).put(&mut out);
            HighWaterMarks::get(&mut Reader::new(&out)).is_some()
        };
        let most = Counters { next: NUMBER_MAX, rows: NUMBER_MAX, weight: NUMBER_MAX, highest: NUMBER_MAX };
        assert!(believed(most));
        let beyond = NUMBER_MAX + 1;
        for wrong in [
            Counters { next: beyond, ..most },
            Counters { weight: beyond, ..most },
            Counters { highest: beyond, ..most },
            Counters { next: 1, rows: 11, weight: 20, highest: 10 },
            Counters { next: 1, rows: 11, weight: 10, highest: 20 },
        ] {
            assert!(!believed(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn ends_come_back_from_a_record_of_their_own_kind_alone() {
        let end = |n| Counters { next: n, rows: n * 10, weight: n * 11, highest: n * 12 };
        let (ends, mut out) = (HighWaterMarks([end(1), end(2), end(3), end(4)]), Vec::new());
        put_ends(&mut out, (9, 3), &ends);
        let Some(Record::Change(order, body, tag)) = Cursor::new(0, 1, 1).next(&out) else { panic!("none") };
        assert_eq!((order, get_ends(body, tag)), ((9, 3), Some(ends)));
        assert_eq!(get_ends(body, tag ^ 1), None);
    }
}
