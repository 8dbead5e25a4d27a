//! Recovery of an existing ring in two steps: a scan, which writes nothing, and the repairs, which end with the raised epoch. An open that is
//! refused does the first step only.
#![deny(clippy::indexing_slicing)]

use std::sync::Arc;

use super::RingStore;
use super::checkpoint::Checkpoint;
use super::encryption::FrameCipher;
use super::epoch;
use super::find_frames::{Look, Placed};
use super::frame::Kind;
use super::free_slots::RESERVE;
use super::high_water::HighWaterMarks;
use super::lane::LaneLog;
use super::layout::{FILE, FRAME_PAGES_MAX, PAGE};
use super::page_reader::Pages;
use super::quarantine::Quarantine;
use super::reader::Reader;
use super::scan::Scan;
use super::superblock::{Superblock, Waived};
use crate::error::OpenError;
use crate::medium::{Dir, Medium};
use crate::per_lane::PerLane;
use crate::planted_flaw::{Flaw, planted};
use crate::state::State;
use crate::store::Recovered;
use crate::store::fewer_lanes::refuse_loss;

/// Result of the scan, and the repairs that are due before the ring can be used.
pub(super) struct Looked {
    store: RingStore,
    recovered: Recovered,
    cut_short: bool,
    /// Set if all that was found is known to be durable.
    durable: bool,
    /// The newest epoch seen anywhere.
    epoch: u32,
    broken: Vec<Placed>,
    foreign: Vec<u32>,
    waived: Vec<Waived>,
    copies: Vec<(u64, Vec<u8>)>,
}

impl Looked {
    /// Scans the ring from its superblock on.
    pub(super) fn new(
        dir: Box<dyn Dir>,
        medium: Box<dyn Medium>,
        superblock: Superblock,
        cipher: Option<Arc<FrameCipher>>,
        mut damage: Vec<String>,
    ) -> Result<Looked, OpenError> {
        let geometry = superblock.geometry;
        let cut_short = medium.len().is_ok_and(|len| len < geometry.file_bytes());
        if cut_short {
            damage.push(format!("{FILE} was cut short"));
        }
        let pages = Pages::new(medium.as_ref(), &geometry).encrypted(cipher.as_deref());
        let look = Look { pages: &pages, geometry: &geometry, gateway: superblock.gateway };
        let mut scan = Scan::run(look, superblock.epoch, &superblock.waived, &superblock.known);
        let copies = copies(&pages, &mut scan);
        if pages.skipped() > 0 {
            damage.push(format!("{} pages could not be read", pages.skipped()));
            // They may hold whole frames: nothing is written over them.
            scan.lanes.iter_mut().filter(|log| log.free.len() > RESERVE).for_each(|log| log.tail = None);
        }
        // A medium that does not answer is no damage: nothing was written yet, and the next open finds everything.
        if let Some(source) = pages.into_error() {
            return Err(OpenError::Io { op: "read", source });
        }
        damage.append(&mut scan.damage);
        let mut state = scan.state.take().unwrap_or_else(|| State::new(superblock.gateway, geometry.lanes));
        state.gateway = superblock.gateway;
        // The number of lanes is in snapshots alone: after a kill it may be from before a lane came back, whose region the file still had.
        state.lanes = state.lanes.max(geometry.lanes);
        let mut highest_seq = PerLane::all(0);
        for (log, highest) in scan.lanes.iter().zip(&mut highest_seq) {
            *highest = log.counters.highest;
        }
        let recovered = Recovered {
            state: state.clone(),
            clean: scan.closed == Some(superblock.epoch),
            tail_uncertain: scan.tail_uncertain,
            damage,
            limits_kept: None,
            row_bytes_max: geometry.row_bytes_max(),
            lane_bytes: geometry.lane_bytes(),
            highest_seq,
        };
        let (broken, foreign) = (std::mem::take(&mut scan.broken), std::mem::take(&mut scan.foreign));
        let (waived, epoch) = (std::mem::take(&mut scan.waived), scan.epoch);
        let durable = scan.durable;
        if durable {
            scan.ends.merge(&HighWaterMarks::of(scan.lanes.iter().map(|log| &log.counters)));
        }
        let known = Checkpoint { ends: scan.ends, state: superblock.known.state };
        let superblock = Superblock { known: known.into(), ..superblock };
        let store = RingStore::new(dir, medium, superblock, cipher, scan, Quarantine::default(), state);
        Ok(Looked { store, recovered, cut_short, durable, epoch, broken, foreign, waived, copies })
    }

    /// Returns an error if a lane from number `lanes` on still has wanted rows.
    pub(super) fn refuse_loss(&mut self, lanes: u8) -> Result<(), OpenError> {
        if lanes >= self.recovered.state.lanes {
            return Ok(());
        }
        let store = &mut self.store;
        store.quarantine = Quarantine::nowhere();
        let refused = refuse_loss(store, &self.recovered.state, lanes);
        // What is lost is for those to hear of who read the rows.
        (store.quarantine, store.reader) = (Quarantine::default(), Reader::default());
        refused
    }

    /// Quarantines damage, makes valid frames durable, and raises the epoch by `epoch_step`.
    pub(super) fn repair(self, epoch_step: u32) -> Result<(RingStore, Recovered), OpenError> {
        let Looked { mut store, mut recovered, copies, .. } = self;
        let geometry = store.superblock.geometry;
        if self.cut_short {
            // Without space for it the missing part stays missing, and writing there fails as on a full disk.
            let _ = store.medium.allocate(0, geometry.file_bytes());
        }
        let pages = Pages::new(store.medium.as_ref(), &geometry);
        for placed in &self.broken {
            let head = &placed.head;
            let mut bytes = vec![0; (head.pages as usize).min(FRAME_PAGES_MAX) * PAGE];
            pages.read(head.slot, placed.page, &mut bytes);
            let name = format!("ring-e{}-lane{}-frame{}", self.epoch, head.lane, head.counter);
            store.quarantine.keep(store.dir.as_ref(), &name, &bytes);
        }
        for slot in &self.foreign {
            let name = format!("ring-segment{slot}");
            store.quarantine.keep_slot(store.dir.as_ref(), &name, &pages, *slot);
        }
        if let Some(source) = pages.into_error() {
            return Err(OpenError::Io { op: "read", source });
        }
        // The scan has those of the superblock, too.
        store.superblock.waived.clear();
        for gap in self.waived.into_iter().filter(|gap| !is_over(gap, &store.lanes)) {
            store.superblock.waive(gap);
        }
        epoch::raise(&mut store, &mut recovered, (self.epoch, epoch_step), &copies, self.durable)?;
        Ok((store, recovered))
    }
}

/// Returns whether nobody can ask for the rows of a waived gap any more: its segment is gone, and every row before the oldest one is done.
fn is_over(gap: &Waived, lanes: &[LaneLog]) -> bool {
    let Some(log) = lanes.get(usize::from(gap.lane)) else { return false };
    let start = log.segments.first().map_or(log.counters, |oldest| oldest.start);
    gap.last < start.next && log.done.covers(1, start.highest)
}

/// Returns copies of the frames that are not known to be durable, each with the offset in the file where it goes: fresh pages, or its own place
/// where the lane does not go on behind them; there it is written over itself byte for byte, so that a sector has the same content before
/// and after. Then closes segments at whose end no further frame may be written.
fn copies(pages: &Pages<'_>, scan: &mut Scan) -> Vec<(u64, Vec<u8>)> {
    let mut copies = Vec::new();
    for placed in std::mem::take(&mut scan.unproven).into_iter().filter(|_| !planted(Flaw::UnprovenLeft)) {
        let head = &placed.head;
        let Some(bytes) = pages.frame(head, placed.page) else { continue };
        let tail = scan.lanes.get_mut(usize::from(head.lane)).and_then(|log| log.tail.as_mut());
        let mut page = placed.page;
        if let Some(tail) = tail.filter(|tail| tail.slot == head.slot && head.kind == Kind::Records)
            && tail.left() >= head.pages as usize
        {
            page = tail.next_page();
            tail.advance(head.pages);
        }
        copies.push((pages.geometry.offset(head.slot, page), bytes));
    }
    for lane in &scan.cut_off {
        if let Some(log) = scan.lanes.get_mut(usize::from(*lane)) {
            log.tail = None;
        }
    }
    copies
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ring::active_segment::ActiveSegment;
    use crate::store::ring::frame::Head;
    use crate::store::ring::frame::tests::sample;
    use crate::store::ring::layout::Geometry;
    use crate::store::ring::scan::tests::scan;
    use crate::store::ring::segment::{Counters, Segment};
    use crate::store::ring::test_sectors::Sectors;

    /// A superblock has room for eight of them.
    #[test]
    fn a_forgiven_gap_is_kept_until_its_segment_is_gone_with_all_rows_before_it() {
        let start = Counters { next: 9, rows: 40, weight: 40, highest: 50 };
        let over = |last, segment: Counters, floor| {
            let mut scan =
                scan(Counters { next: 20, rows: 90, weight: 90, highest: 99 }, Counters::default());
            let segment = Segment { slot: 0, generation: 1, epoch: 1, commit: 1, synced: 0, start: segment };
            scan.lanes[0].segments.push(segment);
            scan.lanes[0].done = crate::store::DoneRows::below(floor);
            let (rows, weight, rows_before, weight_before) = (1, 1, 7, 7);
            let gap = Waived { lane: 0, first: last, last, rows, weight, rows_before, weight_before };
            is_over(&gap, &scan.lanes)
        };
        assert!(over(8, start, 51));
        assert!(!over(9, start, 51), "it lies in the segment");
        assert!(!over(8, start, 50), "a row before the segment is wanted, which damage took");
    }

    #[cfg(feature = "testing")]
    #[test]
    fn an_open_forgets_the_forgiven_gaps_that_are_over() {
        use crate::store::{Options, Store};
        use crate::testing::{SimDir, row_at, small_options};
        let (dir, options) = (SimDir::new(), Options { lanes: 1, ..small_options() });
        let open = || RingStore::open(Box::new(dir.clone()), &options).unwrap();
        let (mut store, found) = open();
        let mut state = found.state;
        state.lane[0].next = 2;
        store.append(&[row_at(crate::Lane(0), 1, state.epoch)]).unwrap();
        store.commit(&[], &state).unwrap();
        let (rows, weight, rows_before, weight_before) = (1, 1, 0, 0);
        let gap = |last| Waived { lane: 0, first: last, last, rows, weight, rows_before, weight_before };
        [0, 1].map(gap).into_iter().for_each(|gap| store.superblock.waive(gap));
        store.superblock.write_next(store.medium.as_mut()).unwrap();
        drop(store);
        assert_eq!(open().0.superblock.waived, [gap(1)]);
    }

    #[test]
    fn what_is_unproven_is_copied_behind_the_log_and_in_place_where_nothing_fits_there() {
        let geometry = Geometry { segment_bytes: 16 * PAGE as u32, lanes: 1, segments: [2, 0, 0, 0] };
        let copied_to = |kind, left: u32| {
            let (mut file, mut frame) = (Sectors::new(2 + 32, 0), Vec::new());
            let head = Head { kind, slot: 0, lane: 0, ..sample() }.seal(&[7; 5000], &mut frame);
            let at = usize::try_from(geometry.offset(0, 4)).unwrap();
            file.bytes[at..at + frame.len()].copy_from_slice(&frame);
            let mut scan = scan(Counters::default(), Counters::default());
            scan.lanes[0].tail = Some(ActiveSegment::new(0, 1, 16, 16 - left));
            scan.unproven.push(Placed { head, page: 4 });
            let copies = copies(&Pages::new(&file, &geometry), &mut scan);
            assert!(copies.len() == 1 && copies[0].1 == frame);
            (copies[0].0 - geometry.offset(0, 0)) / PAGE as u64
        };
        assert_eq!((copied_to(Kind::Records, 5), copied_to(Kind::Records, 2)), (11, 14));
        assert_eq!((copied_to(Kind::Records, 1), copied_to(Kind::Snapshot, 5)), (4, 4));
    }
}
