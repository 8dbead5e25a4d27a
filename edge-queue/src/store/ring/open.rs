//! Opening of a ring, or creation of a new one, and the search for a geometry if neither superblock can be read.
#![deny(clippy::indexing_slicing)]

use std::io;
use std::sync::Arc;

use super::RingStore;
use super::checkpoint::Checkpoint;
use super::create_and_reserve::{check_space, create};
use super::encryption::{FrameCipher, KeyCheck, unlock};
use super::find_frames::Look;
use super::frame::{Head, Kind, into_body};
use super::layout::{FILE, FILE_NEW, FORMAT_ENCRYPTED, Geometry, PAGE, SEGMENT_STEP, SEGMENTS_AT};
use super::page_reader::{PageReader, Pages};
use super::quarantine::{Quarantine, move_file};
use super::recover::Looked;
use super::resize::resize;
use super::scan::Scan;
use super::snapshot::get_geometry;
use super::superblock::{Found, Superblock};
use crate::error::OpenError;
use crate::key::Key;
use crate::medium::{Dir, Medium};
use crate::state::State;
use crate::store::plausibility::leap_epoch;
use crate::store::{EPOCH_STEP_MAX, Options, Recovered};

/// Step of the epoch when both superblocks are lost: rule 6 of the [epochs](super::epoch). It is beyond 256 runs that wrote nothing.
const EPOCH_LEAP: u32 = 256 * EPOCH_STEP_MAX;
/// Most pages of a snapshot that the search for a geometry looks at.
const SNAPSHOT_PAGES_MAX: usize = 256;

pub(super) fn open(
    dir: Box<dyn Dir>,
    options: &Options,
    key: Option<&Key>,
) -> Result<(RingStore, Recovered), OpenError> {
    let wanted = Geometry::of(options);
    let mut damage = Vec::new();
    let existing = match open_locked(dir.as_ref())? {
        Some(medium) => find(medium.as_ref(), &mut damage)?.map(|superblock| (medium, superblock)),
        None => None,
    };
    // Before anything is written: a key that is wrong or missing leaves everything as it is.
    let cipher = match &existing {
        Some((_, found)) => unlock(found.key_check.as_ref(), found.gateway, key)?,
        None => None,
    };
    // Left behind by a stop while a file was being made; the one it was to replace is still there.
    let _ = dir.remove(FILE_NEW);
    let Some((medium, mut superblock)) = existing else {
        if dir.open(FILE).is_ok() {
            let name =
                move_file(dir.as_ref(), FILE).map_err(|source| OpenError::Io { op: "rename", source })?;
            damage.push(format!("{FILE} holds nothing that can be used: moved to {name}, starting anew"));
        }
        return fresh(dir, wanted, options, key, damage);
    };
    if superblock.geometry != wanted {
        let len = medium.len().map_err(|source| OpenError::Io { op: "read", source })?;
        superblock.geometry = superblock.geometry.within(len);
    }
    let geometry = superblock.geometry;
    if geometry.lanes < wanted.lanes {
        // A lane more needs a new file. Before anything is written: with the old limits the next open finds what this one found.
        check_space(dir.as_ref(), wanted.file_bytes())?;
    }
    let mut looked = Looked::new(dir, medium, superblock, cipher, damage)?;
    looked.refuse_loss(options.lanes)?;
    let (mut store, mut recovered) = looked.repair(options.epoch_step)?;
    recovered.state.lanes = options.lanes;
    store.durable.lanes = options.lanes;
    if geometry == wanted {
        return Ok((store, recovered));
    }
    resize(store, recovered, wanted, options)
}

/// Opens a ring with its present limits; `None` if nothing in the file can be used.
pub(super) fn as_it_is(
    dir: Box<dyn Dir>,
    key: Option<&Key>,
) -> Result<Option<(RingStore, Recovered)>, OpenError> {
    let mut damage = Vec::new();
    let missing = || OpenError::Io { op: "open", source: io::ErrorKind::NotFound.into() };
    let medium = open_locked(dir.as_ref())?.ok_or_else(missing)?;
    match find(medium.as_ref(), &mut damage)? {
        Some(superblock) => {
            let cipher = unlock(superblock.key_check.as_ref(), superblock.gateway, key)?;
            Looked::new(dir, medium, superblock, cipher, damage)?.repair(1).map(Some)
        }
        None => Ok(None),
    }
}

/// Compares a key, or that there is none, with the ring, whose lock another process may have. One of the superblocks may be half written meanwhile, and
/// the other is whole then. Returns whether the ring is encrypted; `None` if nothing in the file can be used.
pub(super) fn check_key(dir: &dyn Dir, key: Option<&Key>) -> Result<Option<bool>, OpenError> {
    let medium = dir.open(FILE).map_err(|source| OpenError::Io { op: "open", source })?;
    let Some(superblock) = find(medium.as_ref(), &mut Vec::new())? else { return Ok(None) };
    unlock(superblock.key_check.as_ref(), superblock.gateway, key)?;
    Ok(Some(superblock.key_check.is_some()))
}

/// Opens the ring's file and takes its lock; `None` if there is none. [`OpenError::Busy`] if somebody else has it.
fn open_locked(dir: &dyn Dir) -> Result<Option<Box<dyn Medium>>, OpenError> {
    let mut medium = match dir.open(FILE) {
        Ok(medium) => medium,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(OpenError::Io { op: "open", source }),
    };
    medium.lock().map_err(OpenError::of_lock)?;
    Ok(Some(medium))
}

/// Creates an empty ring.
fn fresh(
    dir: Box<dyn Dir>,
    geometry: Geometry,
    options: &Options,
    key: Option<&Key>,
    damage: Vec<String>,
) -> Result<(RingStore, Recovered), OpenError> {
    let cipher = key.map(|key| FrameCipher::new(key, options.gateway)).transpose()?.map(Arc::new);
    let superblock = Superblock {
        counter: 0,
        gateway: options.gateway,
        epoch: 1,
        geometry,
        key_check: cipher.as_ref().map(|cipher| *cipher.check()),
        waived: Vec::new(),
        known: Box::default(),
    };
    let (medium, superblock) = create(dir.as_ref(), superblock)?;
    dir.rename(FILE_NEW, FILE)
        .and_then(|()| dir.sync())
        .map_err(|source| OpenError::Io { op: "rename", source })?;
    let pages = Pages::new(medium.as_ref(), &geometry).encrypted(cipher.as_deref());
    let look = Look { pages: &pages, geometry: &geometry, gateway: superblock.gateway };
    let scan = Scan::run(look, superblock.epoch, &[], &Checkpoint::default());
    let mut state = State::new(superblock.gateway, options.lanes);
    state.epoch = superblock.epoch;
    let clean = damage.is_empty();
    let store = RingStore::new(dir, medium, superblock, cipher, scan, Quarantine::default(), state.clone());
    Ok((store, Recovered { clean, damage, ..Recovered::clean(state) }))
}

/// Returns the superblock, or one made from the segments; `None` if nothing in this file can be used.
fn find(medium: &dyn Medium, damage: &mut Vec<String>) -> Result<Option<Superblock>, OpenError> {
    let found = Superblock::read(medium).map_err(|source| OpenError::Io { op: "read", source })?;
    match found {
        Found::Newer(found) => {
            Err(OpenError::NewerFormat { found: u32::from(found), known: u32::from(FORMAT_ENCRYPTED) })
        }
        Found::Good { mut superblock, damaged } => {
            if damaged > 0 {
                damage.push("one of the two superblocks is damaged".to_owned());
                // The damaged copy may have been the newer one.
                superblock.epoch = leap_epoch(superblock.epoch, EPOCH_STEP_MAX);
                superblock.counter = superblock.counter.saturating_add(2);
                // The next write must go over the damaged copy: the parity of `counter` says which is which.
            }
            Ok(Some(superblock))
        }
        Found::Nothing => {
            let found = from_segments(medium).map_err(|source| OpenError::Io { op: "read", source })?;
            if found.is_some() {
                damage.push("both superblocks are damaged: made again from the segments".to_owned());
            }
            Ok(found)
        }
    }
}

/// Makes a superblock from segment headers, which it looks for wherever a segment can start; `None` when there is none.
fn from_segments(medium: &dyn Medium) -> io::Result<Option<Superblock>> {
    let any = Geometry { segment_bytes: SEGMENT_STEP as u32, lanes: 1, segments: [1, 0, 0, 0] };
    let steps = medium.len()?.saturating_sub(SEGMENTS_AT).div_ceil(SEGMENT_STEP);
    let pages = Pages::new(medium, &any);
    let mut best: Option<(u64, Superblock)> = None;
    for step in 0..u32::try_from(steps).unwrap_or(u32::MAX) {
        let mut reader = PageReader::new(&pages, step, PAGE);
        let Some(head) = Head::decode(reader.page(0)).filter(|h| h.kind == Kind::Snapshot) else { continue };
        let found = geometry_of(medium, &head, any.offset(step, 0));
        let Some((geometry, key_check, whole)) = found else { continue };
        if whole && best.as_ref().is_none_or(|(commit, _)| *commit < head.commit) {
            let epoch = leap_epoch(head.epoch, EPOCH_LEAP);
            let (gateway, known) = (head.gateway, Box::default());
            let waived = Vec::new();
            let superblock = Superblock { counter: 1, gateway, epoch, geometry, key_check, waived, known };
            best = Some((head.commit, superblock));
        }
    }
    match pages.into_error() {
        Some(source) => Err(source),
        None => Ok(best.map(|(_, superblock)| superblock)),
    }
}

/// Returns the geometry in the snapshot at `offset`, the check value of an encrypted file's key, and whether the segment lies where that geometry
/// puts it; `None` when the snapshot is damaged.
fn geometry_of(medium: &dyn Medium, head: &Head, offset: u64) -> Option<(Geometry, Option<KeyCheck>, bool)> {
    let mut bytes = vec![0; (head.pages as usize).min(SNAPSHOT_PAGES_MAX) * PAGE];
    medium.read_at(offset, &mut bytes).ok()?;
    if !head.is_whole(&bytes) {
        return None;
    }
    into_body(head, &mut bytes);
    let geometry = get_geometry(&bytes)?;
    let key_check = if head.encrypted { Some(*bytes.last_chunk()?) } else { None };
    Some((geometry, key_check, geometry.offset(head.slot, 0) == offset))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ring::frame::tests::sample;
    use crate::store::ring::snapshot::put_snapshot;
    use crate::store::ring::test_sectors::Sectors;

    #[test]
    fn no_geometry_is_taken_from_a_snapshot_that_lies_elsewhere_than_it_says() {
        let geometry = |slots| Geometry { segment_bytes: 65_536, lanes: 1, segments: [slots, 0, 0, 0] };
        let mut file = Sectors::new(2 + 3 * 16, 0);
        for (at, slot, commit) in [(0, 0, 5), (2, 1, 9)] {
            let (mut body, mut frame) = (Vec::new(), Vec::new());
            put_snapshot(&mut body, &geometry(3 + slot), &State::new(1, 1));
            Head { kind: Kind::Snapshot, slot, commit, ..sample() }.seal(&body, &mut frame);
            let offset = usize::try_from(geometry(3).offset(at, 0)).unwrap();
            file.bytes[offset..offset + PAGE].copy_from_slice(&frame);
        }
        let found = from_segments(&file).unwrap().unwrap();
        assert_eq!((found.geometry, found.epoch), (geometry(3), sample().epoch + EPOCH_LEAP));
    }
}
