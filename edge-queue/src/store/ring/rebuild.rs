//! Changed limits: the rows still wanted are copied into a new file, which then takes the old one's name.
#![deny(clippy::indexing_slicing)]

use super::RingStore;
use super::aside::Aside;
use super::layout::{FILE, FILE_NEW, Geometry};
use super::open::create;
use super::scan::Scan;
use super::segment::Look;
use super::superblock::Superblock;
use super::window::Pages;
use crate::error::OpenError;
use crate::row::{Lane, StoredRow};
use crate::state::{Change, State};
use crate::store::{ReadLimit, Recovered, Store, StoreError};

/// Copied per commit.
const COPY: ReadLimit = ReadLimit { rows: 4096, bytes: 512 * 1024 };

/// Moves everything into a file of the wanted geometry. When that is not possible (rows would not fit, no space for
/// two files at once) the queue goes on with the old one, and says so.
pub(super) fn rebuild(
    mut old: RingStore,
    mut recovered: Recovered,
    wanted: Geometry,
    lanes: u8,
) -> Result<(RingStore, Recovered), OpenError> {
    match copy(&mut old, &mut recovered, wanted) {
        Ok((medium, superblock)) => {
            old.dir
                .rename(FILE_NEW, FILE)
                .and_then(|()| old.dir.sync())
                .map_err(|source| OpenError::Io { op: "rename", source })?;
            let pages = Pages::new(medium.as_ref(), &wanted);
            let look = Look { pages: &pages, geometry: &wanted, gateway: superblock.gateway };
            let scan = Scan::run(look, superblock.epoch, &[]);
            let aside = std::mem::take(&mut old.aside);
            recovered.state.lanes = lanes;
            let durable = recovered.state.clone();
            Ok((RingStore::new(old.dir, medium, superblock, scan, aside, durable), recovered))
        }
        Err(why) if old.superblock.geometry.lanes < wanted.lanes => Err(why),
        Err(why) => {
            let _ = old.dir.remove(FILE_NEW);
            recovered
                .damage
                .push(format!("the changed limits could not be applied, the old ones stay: {why}"));
            Ok((old, recovered))
        }
    }
}

type NewFile = (Box<dyn crate::medium::Medium>, Superblock);

fn copy(old: &mut RingStore, recovered: &mut Recovered, wanted: Geometry) -> Result<NewFile, OpenError> {
    let mut state = recovered.state.clone();
    for (lane, highest) in state.lane.iter_mut().zip(recovered.highest_seq) {
        // The new file does not know the numbers of rows that are gone.
        lane.next = lane.next.max(highest.saturating_add(1));
    }
    let superblock = Superblock {
        counter: 0,
        gateway: old.superblock.gateway,
        epoch: old.superblock.epoch,
        geometry: wanted,
        waived: Vec::new(),
    };
    let (medium, superblock) = create(old.dir.as_ref(), superblock)?;
    let pages = Pages::new(medium.as_ref(), &wanted);
    let look = Look { pages: &pages, geometry: &wanted, gateway: superblock.gateway };
    let scan = Scan::run(look, superblock.epoch, &[]);
    // It never sets anything aside, so it needs no directory of its own.
    let mut new =
        RingStore::new(Box::new(Nowhere), medium, superblock, scan, Aside::default(), state.clone());
    copy_rows(old, &mut new, recovered, &mut state).map_err(|e| match e {
        StoreError::Io { op, source } => OpenError::Io { op, source },
        StoreError::Full { .. } => OpenError::Io {
            op: "copy the rows",
            source: std::io::Error::other("the rows waiting do not fit into the new limits"),
        },
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
    for lane in 0..old.superblock.geometry.lanes {
        let mut from = 1;
        loop {
            let chunk = old.read(Lane(lane), from, COPY)?;
            for lost in &chunk.lost {
                recovered.damage.push(format!(
                    "lane {lane}: {} rows of {}..={} are lost",
                    lost.rows, lost.first, lost.last
                ));
            }
            if !chunk.rows.is_empty() {
                if lane >= new.superblock.geometry.lanes {
                    return Err(StoreError::Full { lane: Lane(lane) });
                }
                let known = recovered.state.lane.get(usize::from(lane)).map_or(0, |lane| lane.next);
                chunk.rows.iter().filter(|row| row.seq >= known).for_each(|row| adopt(state, row));
                new.append(&chunk.rows)?;
                new.commit(&[], state)?;
            }
            match chunk.next {
                Some(next) => from = next,
                None => break,
            }
        }
    }
    let mut changes = Vec::new();
    for (figures, lane) in state.lane.iter().zip(0..new.superblock.geometry.lanes) {
        changes.push(Change::Lane { lane: Lane(lane), state: *figures });
        for consumer in &state.consumers {
            let Some(position) = consumer.lanes.get(usize::from(lane)) else { continue };
            let (consumer, position) = (consumer.name.clone(), position.clone());
            changes.push(Change::Position { consumer, lane: Lane(lane), position });
        }
    }
    new.commit(&changes, state)
}

/// Counts a row that the bookkeeping does not know: of a torn commit, which nobody can tell by its number any more.
fn adopt(state: &mut State, row: &StoredRow) {
    let at = usize::from(row.lane.0);
    let weight = u64::from(row.weight);
    let positions = || state.consumers.iter().filter_map(|consumer| consumer.lanes.get(at));
    if positions().next().is_some() && positions().all(|position| position.is_done(row.seq)) {
        return;
    }
    for position in state.consumers.iter_mut().filter_map(|consumer| consumer.lanes.get_mut(at)) {
        if !position.is_done(row.seq) {
            position.accepted = position.accepted.saturating_add(weight);
        }
    }
    if let Some(lane) = state.lane.get_mut(at) {
        lane.rows = lane.rows.saturating_add(1);
        lane.weight = lane.weight.saturating_add(weight);
        lane.bytes = lane.bytes.saturating_add(row.bytes());
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
