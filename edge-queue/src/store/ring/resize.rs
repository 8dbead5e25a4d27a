//! Resize after changed limits: the wanted rows are copied into a new file, which then replaces the old one.
#![deny(clippy::indexing_slicing)]

use super::RingStore;
use super::checkpoint::Checkpoint;
use super::create_and_reserve::create;
use super::find_frames::Look;
use super::layout::{FILE, FILE_NEW, Geometry};
use super::page_reader::Pages;
use super::quarantine::Quarantine;
use super::reader::Reader;
use super::scan::Scan;
use super::superblock::Superblock;
use crate::error::{ConfigError, OpenError};
use crate::loss_share::{Share, divide};
use crate::lost_row_times::Neighbours;
use crate::model::GAPS_MAX;
use crate::planted_flaw::{Flaw, planted};
use crate::row::{Lane, StoredRow};
use crate::state::{Change, Reason, State};
use crate::store::{Lost, Options, ReadLimit, Recovered, Store, StoreError};

/// Rows that are copied in one commit.
const COPY: ReadLimit = ReadLimit { rows: 4096, bytes: 512 * 1024 };

/// Obstacle to a new file.
enum Stop {
    /// More rows wait in this lane than the new limits hold.
    TooMuch(Lane),
    Error(OpenError),
}

/// Moves the wanted rows into a file of the `wanted` geometry. If they exceed the new limits, or there is no space for two files at once, nothing
/// is dropped: the file keeps its regions, and [`Recovered::limits_kept`] has the reason. Only a new lane makes the open fail then, since it
/// needs a region.
pub(super) fn resize(
    mut old: RingStore,
    mut recovered: Recovered,
    wanted: Geometry,
    options: &Options,
) -> Result<(RingStore, Recovered), OpenError> {
    let copied = match too_much(&recovered.state, options) {
        Some(lane) => Err(Stop::TooMuch(lane)),
        None => copy(&mut old, &mut recovered, wanted),
    };
    let more_lanes = old.superblock.geometry.lanes < wanted.lanes;
    let why = match copied {
        Ok((medium, superblock)) => return take_name(old, recovered, (medium, superblock), options.lanes),
        Err(Stop::Error(error)) if more_lanes => return Err(error),
        Err(Stop::Error(error)) => error.to_string(),
        Err(Stop::TooMuch(lane)) => {
            let problem = format!("more waits in lane {} than the changed limits hold", lane.0);
            if more_lanes {
                // A new lane needs a region, and there is none without a new file.
                return Err(ConfigError { key: "max_bytes", problem }.into());
            }
            problem
        }
    };
    let _ = old.dir.remove(FILE_NEW);
    // What the copy found lost is told again to whoever reads.
    old.reader = Reader::default();
    recovered.limits_kept = Some(why);
    Ok((old, recovered))
}

/// Returns a lane whose rows exceed its new limit; `None` if there is none. Saves the flash a copy that would not fit.
fn too_much(state: &State, options: &Options) -> Option<Lane> {
    let lanes = state.lane.iter().zip(options.lane_bytes).zip(0..options.lanes);
    lanes.filter(|((lane, limit), _)| lane.bytes > *limit).map(|(_, lane)| Lane(lane)).next()
}

fn take_name(
    mut old: RingStore,
    mut recovered: Recovered,
    (medium, superblock): NewFile,
    lanes: u8,
) -> Result<(RingStore, Recovered), OpenError> {
    old.dir
        .rename(FILE_NEW, FILE)
        .and_then(|()| old.dir.sync())
        .map_err(|source| OpenError::Io { op: "rename", source })?;
    let geometry = superblock.geometry;
    let pages = Pages::new(medium.as_ref(), &geometry).encrypted(old.cipher.as_deref());
    let look = Look { pages: &pages, geometry: &geometry, gateway: superblock.gateway };
    let scan = Scan::run(look, superblock.epoch, &[], &Checkpoint::default());
    let quarantine = std::mem::take(&mut old.quarantine);
    recovered.state.lanes = lanes;
    recovered.row_bytes_max = geometry.row_bytes_max();
    recovered.lane_bytes = geometry.lane_bytes();
    let durable = recovered.state.clone();
    Ok((RingStore::new(old.dir, medium, superblock, old.cipher, scan, quarantine, durable), recovered))
}

type NewFile = (Box<dyn crate::medium::Medium>, Superblock);

fn copy(old: &mut RingStore, recovered: &mut Recovered, wanted: Geometry) -> Result<NewFile, Stop> {
    let mut state = recovered.state.clone();
    for (lane, highest) in state.lane.iter_mut().zip(recovered.highest_seq) {
        // The new file does not know the numbers of rows that are gone.
        if !planted(Flaw::NextNotRaised) {
            lane.next = lane.next.max(highest.saturating_add(1));
        }
    }
    let superblock = Superblock {
        counter: 0,
        gateway: old.superblock.gateway,
        epoch: old.superblock.epoch,
        geometry: wanted,
        key_check: old.superblock.key_check,
        waived: Vec::new(),
        known: Box::default(),
    };
    let (medium, superblock) = create(old.dir.as_ref(), superblock).map_err(Stop::Error)?;
    let cipher = old.cipher.clone();
    let pages = Pages::new(medium.as_ref(), &wanted).encrypted(cipher.as_deref());
    let look = Look { pages: &pages, geometry: &wanted, gateway: superblock.gateway };
    let scan = Scan::run(look, superblock.epoch, &[], &Checkpoint::default());
    // It never sets anything aside, so it needs no directory of its own.
    let (dir, quarantine) = (Box::new(Nowhere), Quarantine::default());
    let mut new = RingStore::new(dir, medium, superblock, cipher, scan, quarantine, state.clone());
    copy_rows(old, &mut new, recovered, &mut state).map_err(|e| match e {
        StoreError::Io { op, source } => Stop::Error(OpenError::Io { op, source }),
        StoreError::Full { lane } => Stop::TooMuch(lane),
        error @ (StoreError::NameLost { .. } | StoreError::Panicked { .. }) => {
            Stop::Error(OpenError::Io { op: "copy", source: std::io::Error::other(error) })
        }
    })?;
    recovered.state = state;
    Ok((new.medium, new.superblock))
}

fn copy_rows(
    old: &mut RingStore,
    new: &mut RingStore,
    recovered: &mut Recovered,
    state: &mut State,
) -> Result<(), StoreError> {
    let more_lanes = old.superblock.geometry.lanes < new.superblock.geometry.lanes;
    for lane in 0..old.superblock.geometry.lanes {
        let known = recovered.state.lane.get(usize::from(lane)).map_or(0, |lane| lane.next);
        let mut copied = Copied { open: vec![(0, 0); state.consumers.len()], ..Copied::default() };
        let mut from = 1;
        loop {
            let mut chunk = match old.read(Lane(lane), from, COPY) {
                // A new lane needs the new file now. Other limits wait, as a consumer does.
                Err(_) if more_lanes => old.read_past_errors(Lane(lane), from, COPY)?,
                read => read?,
            };
            copied.neighbours.pass(&chunk.rows, &chunk.lost);
            chunk.rows.retain(|row| state.wants(row.lane, row.seq));
            copied.lost.append(&mut chunk.lost);
            if !chunk.rows.is_empty() {
                chunk.rows.iter().filter(|row| row.seq >= known).for_each(|row| adopt(state, row));
                chunk.rows.iter().for_each(|row| copied.add(state, row));
                new.append(&chunk.rows)?;
                new.commit(&[], state)?;
            }
            match chunk.next {
                Some(next) => from = next,
                None => break,
            }
        }
        if !copied.lost.is_empty() {
            copied.settle(state, Lane(lane), known);
        }
        for Lost { first, last, rows, .. } in &copied.lost {
            recovered.damage.push(format!("lane {lane}: {rows} rows of {first}..={last} are lost"));
        }
    }
    let mut changes = Vec::new();
    for (figures, lane) in state.lane.iter().zip(0u8..) {
        changes.push(Change::Lane { lane: Lane(lane), state: *figures });
        for consumer in &state.consumers {
            let Some(position) = consumer.lanes.get(usize::from(lane)) else { continue };
            let (consumer, position) = (consumer.name.clone(), position.clone());
            changes.push(Change::Position { consumer, lane: Lane(lane), position });
        }
    }
    new.commit(&changes, state)
}

/// Counts a row of a torn commit, which the bookkeeping does not have; after the copy its number no longer shows that.
fn adopt(state: &mut State, row: &StoredRow) {
    let at = usize::from(row.lane.0);
    let weight = u64::from(row.weight);
    for position in state.consumers.iter_mut().filter_map(|consumer| consumer.lanes.get_mut(at)) {
        if !position.is_done(row.seq) {
            position.accepted = position.accepted.saturating_add(weight);
            position.queued_bytes = position.queued_bytes.saturating_add(row.bytes());
        }
    }
    if let Some(lane) = state.lane.get_mut(at) {
        lane.rows = lane.rows.saturating_add(1);
        lane.weight = lane.weight.saturating_add(weight);
        lane.bytes = lane.bytes.saturating_add(row.bytes());
    }
}

/// Rows of a lane that were copied, and those that could not be.
#[derive(Default)]
struct Copied {
    rows: u64,
    weight: u64,
    bytes: u64,
    /// Weight and bytes of the copied rows that each consumer still wants.
    open: Vec<(u64, u64)>,
    lost: Vec<Lost>,
    neighbours: Neighbours,
}

impl Copied {
    fn add(&mut self, state: &State, row: &StoredRow) {
        let weight = u64::from(row.weight);
        self.rows = self.rows.saturating_add(1);
        self.weight = self.weight.saturating_add(weight);
        self.bytes = self.bytes.saturating_add(row.bytes());
        for (open, consumer) in self.open.iter_mut().zip(&state.consumers) {
            if consumer.lanes.get(usize::from(row.lane.0)).is_some_and(|place| !place.is_done(row.seq)) {
                *open = (open.0.saturating_add(weight), open.1.saturating_add(row.bytes()));
            }
        }
    }

    /// Counts the losses, exactly for each consumer: the excess of its ledger over the copied rows. Rows from the number `known` on are in no
    /// ledger yet.
    fn settle(&self, state: &mut State, lane: Lane, known: u64) {
        let at = usize::from(lane.0);
        let unknown: u64 = self.lost.iter().filter(|lost| lost.first >= known).map(|lost| lost.weight).sum();
        let positions = state.consumers.iter_mut().filter_map(|consumer| consumer.lanes.get_mut(at));
        for (position, (open, bytes)) in positions.zip(&self.open) {
            position.queued_bytes = *bytes;
            let share = |lost| {
                let share = Share::of(lost, position, u64::MAX, std::iter::empty())?;
                Some(share.between(self.neighbours.times(lost)))
            };
            let mut shares: Vec<Share> = self.lost.iter().filter_map(share).collect();
            let done = position.settled();
            position.accepted = position.accepted.saturating_add(unknown).max(done.saturating_add(*open));
            // Without a share nothing says where they were: the queue settles it when it has the lane.
            let _unseen = divide(position.accepted - done - open, &mut shares);
            for share in shares {
                position.mark(share.first, share.last);
                if let Some(record) = share.record() {
                    position.dropped.add(Reason::Quarantined, record.count);
                    position.add_gap(record);
                    while position.gaps.len() > GAPS_MAX && position.merge_nearest() {}
                }
            }
        }
        if let Some(lane) = state.lane.get_mut(at) {
            (lane.rows, lane.weight, lane.bytes) = (self.rows, self.weight, self.bytes);
            lane.recount_due = false;
        }
    }
}

/// A directory without files.
struct Nowhere;

impl crate::medium::Dir for Nowhere {
    fn create(&self, _: &str) -> std::io::Result<Box<dyn crate::medium::Medium>> {
        Err(std::io::ErrorKind::Unsupported.into())
    }
    fn open(&self, _: &str) -> std::io::Result<Box<dyn crate::medium::Medium>> {
        Err(std::io::ErrorKind::NotFound.into())
    }
    fn rename(&self, _: &str, _: &str) -> std::io::Result<()> {
        Err(std::io::ErrorKind::Unsupported.into())
    }
    fn remove(&self, _: &str) -> std::io::Result<()> {
        Err(std::io::ErrorKind::Unsupported.into())
    }
    fn sync(&self) -> std::io::Result<()> {
        Ok(())
    }
    fn lock(&self, _: &str) -> std::io::Result<Box<dyn Send>> {
        Err(std::io::ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::per_lane::PerLane;
    use crate::state::{ConsumerState, GapRecord, Position};

    const LANE: Lane = Lane(0);

    fn state(gaps: usize) -> State {
        let mut position = Position { floor: 1, accepted: 100, delivered: 30, ..Position::default() };
        position.gaps = (1000..).step_by(10).take(gaps).map(one).collect();
        let mut state = State::new(1, 1);
        let lanes = [position, Position::default(), Position::default(), Position::default()];
        state.consumers.push(ConsumerState { name: "hub".into(), lanes: lanes.into() });
        state
    }

    /// A loss that the consumer was told before.
    fn one(seq: u64) -> GapRecord {
        let (first_seq, last_seq) = (seq, seq);
        GapRecord { first_seq, last_seq, first_ms: 0, last_ms: 0, count: 1, reason: Reason::Quarantined }
    }

    fn lost(first: u64, rows: u64) -> Lost {
        Lost { first, last: first + rows - 1, rows, weight: rows, exact: true }
    }

    #[test]
    fn each_consumer_is_told_every_loss_by_itself_and_its_ledger_adds_up() {
        let mut state = state(0);
        let lost = vec![lost(40, 5), lost(80, 2)];
        let copied =
            Copied { rows: 63, weight: 63, bytes: 630, open: vec![(63, 630)], lost, ..Copied::default() };
        copied.settle(&mut state, LANE, 101);
        let position = &state.consumers[0].lanes[0];
        assert_eq!(position.accepted, position.settled() + 63);
        assert_eq!((position.accepted, position.dropped.for_reason(Reason::Quarantined)), (100, 7));
        let told: Vec<_> = position.gaps.iter().map(|g| (g.first_seq, g.last_seq, g.count)).collect();
        assert_eq!((told, position.queued_bytes), (vec![(40, 44, 5), (80, 81, 2)], 630));
        assert_eq!((state.lane[0].rows, state.lane[0].weight, state.lane[0].bytes), (63, 63, 630));
    }

    #[test]
    fn records_of_losses_are_joined_only_beyond_their_limit() {
        for (told, records) in [(GAPS_MAX - 1, GAPS_MAX), (GAPS_MAX, GAPS_MAX)] {
            let mut state = state(told);
            state.consumers[0].lanes[0].dropped.add(Reason::Quarantined, told as u64);
            state.consumers[0].lanes[0].accepted = 100 + told as u64;
            let copied = Copied { open: vec![(65, 650)], lost: vec![lost(40, 5)], ..Copied::default() };
            copied.settle(&mut state, LANE, 101);
            assert_eq!(state.consumers[0].lanes[0].gaps.len(), records);
        }
    }

    #[test]
    fn a_lane_has_too_much_when_it_holds_more_than_its_limit() {
        let limit = |bytes| Options {
            lanes: 2,
            lane_bytes: PerLane::all(bytes),
            segment_bytes: 1 << 16,
            row_bytes_max: 1000,
            gateway: 1,
            epoch_step: 1,
        };
        let mut state = State::new(1, 2);
        state.lane[1].bytes = 5000;
        assert_eq!(too_much(&state, &limit(5000)), None);
        assert_eq!(too_much(&state, &limit(4999)), Some(Lane(1)));
        assert_eq!(too_much(&state, &Options { lanes: 1, ..limit(1) }), None, "the lane goes away");
    }

    /// Rows of a torn commit were in no ledger, and those of it that are lost neither.
    #[test]
    fn rows_that_no_ledger_knows_are_taken_in_and_those_lost_of_them_too() {
        let mut state = state(0);
        let row = |seq| StoredRow {
            lane: LANE,
            seq,
            epoch: 1,
            stamp: crate::Now::default(),
            ttl_ms: None,
            expiry: Default::default(),
            weight: 3,
            key: Default::default(),
            meta: Default::default(),
            payload: vec![0; 68].into(),
        };
        state.consumers[0].lanes[0].acked.insert(101, 101);
        [101, 102].map(row).iter().for_each(|row| adopt(&mut state, row));
        let lane = state.lane[0];
        assert_eq!((lane.rows, lane.weight, lane.bytes), (2, 6, 2 * row(1).bytes()));
        let position = &state.consumers[0].lanes[0];
        assert_eq!((position.accepted, position.queued_bytes), (103, row(1).bytes()), "one of them is done");
        // Of 73 that the consumer wants all are there, and two more that nobody had counted are lost.
        let copied = Copied { open: vec![(73, 730)], lost: vec![lost(110, 2)], ..Copied::default() };
        copied.settle(&mut state, LANE, 110);
        let position = &state.consumers[0].lanes[0];
        assert_eq!((position.accepted, position.dropped.for_reason(Reason::Quarantined)), (105, 2));
        assert_eq!(position.accepted, position.settled() + 73);
    }
}
