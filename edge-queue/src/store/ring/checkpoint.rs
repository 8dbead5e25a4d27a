//! Checkpoint: the second part of a superblock's page, with the high-water marks of the lanes.
//!
//! The superblock that a clean close writes also has the bookkeeping, if it fits into its page: then no damage to the log loses acknowledgements,
//! and no ledger goes backwards.
#![deny(clippy::indexing_slicing)]

use super::bytes::{Reader, set};
use super::high_water::HighWaterMarks;
use super::layout::{Geometry, PAGE};
use super::snapshot::{get_snapshot, put_snapshot};
use crate::state::State;
use crate::store::plausibility::NUMBER_MAX;

const MAGIC: &[u8; 4] = b"EDGC";
/// Offset of the checkpoint in a superblock's page: behind the superblock's own sector.
const AT: usize = 512;
const BODY: usize = AT + 32;
const CRC_AT: usize = BODY - 4;

/// The second part of a superblock's page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Checkpoint {
    pub(super) ends: HighWaterMarks,
    /// Number of the commit that closed the ring, with the bookkeeping before that commit; `None` if the page has none.
    pub(super) state: Option<(u64, State)>,
}

impl Checkpoint {
    /// Merges the parts of another checkpoint that are newer.
    pub(super) fn merge(&mut self, other: Checkpoint) {
        self.ends.merge(&other.ends);
        let commit = |known: &Option<(u64, State)>| known.as_ref().map(|(commit, _)| *commit);
        if commit(&other.state) > commit(&self.state) {
            self.state = other.state;
        }
    }

    /// Writes the checkpoint into a page; the bookkeeping only if there is room.
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

    /// Reads the checkpoint of a page; `None` if it is damaged. All its content is also stored elsewhere, unless that is damaged as well.
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
    use crate::store::ring::segment::Counters;

    fn known(consumers: usize) -> Checkpoint {
        let end = |n| Counters { next: n, rows: n * 10, weight: n * 11, highest: n * 12 };
        let mut state = State::new(7, 2);
        state.epoch = 3;
        state.lane[1] = LaneState { next: 9, floor: 2, rows: 3, weight: 4, bytes: 5, recount_due: true };
        for n in 0..consumers {
            let name = format!("{n:64}");
            state.consumers.push(ConsumerState { name, lanes: Default::default() });
        }
        let ends = HighWaterMarks::of([end(1), end(2), end(3), end(4)].iter());
        Checkpoint { ends, state: Some((99, state)) }
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
    fn of_two_copies_the_newer_bookkeeping_counts_whichever_comes_first() {
        let of = |commit: Option<u64>| {
            let state = known(1).state.map(|(_, state)| state);
            Checkpoint { state: commit.zip(state), ..Checkpoint::default() }
        };
        for (older, newer) in [(None, Some(7)), (Some(7), Some(9)), (None, None)] {
            for (first, second) in [(older, newer), (newer, older)] {
                let mut merged = of(first);
                merged.merge(of(second));
                assert_eq!(merged, of(newer), "{first:?} {second:?}");
            }
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
    fn a_commit_that_no_ring_can_have_reached_is_not_believed() {
        for (commit, believed) in [(NUMBER_MAX, true), (NUMBER_MAX + 1, false)] {
            let (mut known, mut page) = (known(0), vec![0; PAGE]);
            known.state = known.state.map(|(_, state)| (commit, state));
            known.put(&mut page, 7, &geometry());
            assert_eq!(Checkpoint::get(&page, 7).is_some(), believed, "{commit}");
        }
    }
}
