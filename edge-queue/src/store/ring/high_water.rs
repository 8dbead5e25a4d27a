//! High-water marks of the lanes: how far each log was durable when somebody wrote it down.
//!
//! A lane's log ends where its last whole frame ends. If damage takes that frame, header and all, nothing in the lane says
//! that there was one. So every snapshot, the close mark and the superblocks say where *all* lanes ended, by what was synced
//! before they were written: a log that ends below is damaged, and the rows between are lost. They are facts and never
//! taken back; the newest of each lane counts.
//!
//! The superblock that a clean close writes also has the bookkeeping, if it fits into its page: then no damage to the log
//! takes what consumers acknowledged, and no ledger goes backwards.
#![deny(clippy::indexing_slicing)]

use super::bytes::{Reader, put_varint, set};
use super::layout::{Geometry, PAGE};
use super::segment::Counters;
use super::snapshot::{get_snapshot, put_snapshot};
use crate::row::LANES_MAX;
use crate::state::State;
use crate::store::plausibility::NUMBER_MAX;

/// Ends of all lanes.
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

    /// Takes over what is further.
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

    /// Numbers that no log can have reached are no ends.
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

const MAGIC: &[u8; 4] = b"EDGC";
/// Behind the superblock's own sector.
const AT: usize = 512;
const BODY: usize = AT + 32;
const CRC_AT: usize = BODY - 4;

/// The second part of a superblock's page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Checkpoint {
    pub(super) ends: HighWaterMarks,
    /// The bookkeeping before a commit, of the run that closed the ring.
    pub(super) state: Option<(u64, State)>,
}

impl Checkpoint {
    /// Takes over what is newer.
    pub(super) fn merge(&mut self, other: Checkpoint) {
        self.ends.merge(&other.ends);
        let commit = |known: &Option<(u64, State)>| known.as_ref().map(|(commit, _)| *commit);
        if commit(&other.state) > commit(&self.state) {
            self.state = other.state;
        }
    }

    /// Writes it into a page; the bookkeeping only if there is room.
    pub(super) fn put(&self, page: &mut [u8], gateway: u64, geometry: &Geometry) {
        let mut body = Vec::new();
        self.ends.put(&mut body);
        let (mut commit, mut epoch) = (0, 0);
        if let Some((before, state)) = &self.state {
            let ends = body.len();
            put_snapshot(&mut body, geometry, state);
            (commit, epoch) = (*before, state.epoch);
            if body.len() > PAGE - BODY {
                body.truncate(ends);
                (commit, epoch) = (0, 0);
            }
        }
        set(page, AT, MAGIC);
        set(page, AT + 4, &(body.len() as u32).to_le_bytes());
        set(page, AT + 8, &gateway.to_le_bytes());
        set(page, AT + 16, &commit.to_le_bytes());
        set(page, AT + 24, &epoch.to_le_bytes());
        set(page, BODY, &body);
        let crc = crc32c::crc32c(page.get(AT..CRC_AT).unwrap_or_default());
        let crc = crc32c::crc32c_append(crc, &body);
        set(page, CRC_AT, &crc.to_le_bytes());
    }

    /// Reads it. Nothing, if it is damaged: all it says stands elsewhere too, unless that is damaged as well.
    pub(super) fn get(page: &[u8], gateway: u64) -> Option<Checkpoint> {
        let mut r = Reader::new(page.get(AT..BODY)?);
        let magic = r.take(4)?;
        let len = usize::try_from(r.u32()?).ok()?;
        let (owner, commit, epoch, crc) = (r.u64()?, r.u64()?, r.u32()?, r.u32()?);
        let body = page.get(BODY..BODY.checked_add(len)?)?;
        let whole = crc32c::crc32c_append(crc32c::crc32c(page.get(AT..CRC_AT)?), body);
        if magic != MAGIC || owner != gateway || crc != whole || commit > NUMBER_MAX {
            return None;
        }
        let mut r = Reader::new(body);
        let ends = HighWaterMarks::get(&mut r)?;
        let left = r.left();
        let state = get_snapshot(r.take(left)?, gateway, epoch).map(|state| (commit, state));
        Some(Checkpoint { ends, state: state.filter(|(commit, _)| *commit > 0) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{ConsumerState, LaneState};
    use crate::store::ring::record::{Cursor, Record, get_ends, put_ends};

    fn known(consumers: usize) -> Checkpoint {
        let end = |n| Counters { next: n, rows: n * 10, weight: n * 11, highest: n * 12 };
        let mut state = State::new(7, 2);
        state.epoch = 3;
        state.lane[1] = LaneState { next: 9, floor: 2, rows: 3, weight: 4, bytes: 5, recount_due: true };
        for n in 0..consumers {
            let name = format!("{n:64}");
            state.consumers.push(ConsumerState { name, lanes: Default::default() });
        }
        Checkpoint { ends: HighWaterMarks([end(1), end(2), end(3), end(4)]), state: Some((99, state)) }
    }

    fn geometry() -> Geometry {
        Geometry { segment_bytes: 65_536, lanes: 2, segments: [5, 6, 0, 0] }
    }

    #[test]
    fn it_comes_back_and_the_bookkeeping_only_if_it_fits() {
        for (consumers, fits) in [(0, true), (8, true), (60, false)] {
            let (known, mut page) = (known(consumers), vec![0; PAGE]);
            known.put(&mut page, 7, &geometry());
            let found = Checkpoint::get(&page, 7).unwrap();
            assert_eq!((found.ends, found.state.is_some()), (known.ends, fits));
            assert!(!fits || found == known);
            assert_eq!(Checkpoint::get(&page, 8), None);
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let mut page = vec![0; PAGE];
        known(2).put(&mut page, 7, &geometry());
        let end = page.iter().rposition(|byte| *byte != 0).unwrap();
        for at in AT..=end {
            let mut bad = page.clone();
            bad[at] ^= 1 << (at % 8);
            assert_eq!(Checkpoint::get(&bad, 7), None, "byte {at}");
        }
    }

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
        for (commit, believed) in [(NUMBER_MAX, true), (beyond, false)] {
            let (mut known, mut page) = (known(0), vec![0; PAGE]);
            known.state = known.state.map(|(_, state)| (commit, state));
            known.put(&mut page, 7, &geometry());
            assert_eq!(Checkpoint::get(&page, 7).is_some(), believed, "{commit}");
        }
    }

    #[test]
    fn the_bookkeeping_is_left_out_only_if_it_is_too_large_by_a_byte_or_more() {
        let mut sizes = std::collections::BTreeSet::new();
        for (consumers, len) in (25..33).flat_map(|n| (0..128).map(move |len| (n, len))) {
            let (mut known, mut body) = (known(consumers), Vec::new());
            let (_, state) = known.state.as_mut().unwrap();
            state.consumers.push(ConsumerState { name: "x".repeat(len), lanes: Default::default() });
            known.ends.put(&mut body);
            put_snapshot(&mut body, &geometry(), state);
            let mut page = vec![0; PAGE];
            known.put(&mut page, 7, &geometry());
            let found = Checkpoint::get(&page, 7).unwrap();
            assert_eq!((found.ends, found.state.is_some()), (known.ends, body.len() <= PAGE - BODY));
            sizes.insert(body.len());
        }
        assert!(sizes.contains(&(PAGE - BODY)) && sizes.contains(&(PAGE - BODY + 1)));
    }

    #[test]
    fn ends_come_back_from_a_record_of_their_own_kind_alone() {
        let (ends, mut out) = (known(0).ends, Vec::new());
        put_ends(&mut out, (9, 3), &ends);
        let Some(Record::Change(order, body, tag)) = Cursor::new(0, 1, 1).next(&out) else { panic!("none") };
        assert_eq!((order, get_ends(body, tag)), ((9, 3), Some(ends)));
        assert_eq!(get_ends(body, tag ^ 1), None);
    }
}
