//! Inspection of a queue's directory without changing a byte of it.
//!
//! An [`Inspection`] opens the store as the next [`Queue::open`](crate::Queue::open) would, on a disk whose writes stay in RAM ([`Overlay`]): it
//! reports what an open would find, repair and quarantine. It shares the lock with other inspections; while a queue is open in the directory it
//! is refused, because half a commit looks like damage. [`check_key`] alone looks beside an open queue, at the head of its file.
#![deny(clippy::indexing_slicing)]

#[cfg(unix)]
mod key_check;
mod salvage;

use std::fmt;
use std::io::{ErrorKind, Write};

use crate::config::StoreKind;
use crate::error::OpenError;
use crate::gap::{Gap, gaps_of};
use crate::key::Key;
use crate::medium::{Dir, Overlay};
use crate::row::{Lane, Seq, StoredRow};
use crate::state::State;
use crate::store::{Lost, ReadLimit, Recovered, Region, Store, StoreError};
use crate::transfer::{ExportError, Exported, Exporter};

#[cfg(unix)]
pub use key_check::check_key;
#[cfg(feature = "encryption")]
pub use salvage::salvage_encrypted;
#[cfg(feature = "tools")]
pub(crate) use salvage::salvage_with;
pub use salvage::{Salvaged, salvage};

const READ: ReadLimit = ReadLimit { rows: 1024, bytes: 256 * 1024 };

/// Error of an inspection.
#[derive(Debug)]
#[non_exhaustive]
pub enum InspectError {
    /// There is no queue in the directory, or no directory.
    NoQueue,
    /// Nothing in the file can be used; [`salvage`](salvage()) can still search it for rows.
    Unusable,
    /// Busy, a newer format, another key or none, or a call the system refused.
    Open(OpenError),
    /// The store could not be read.
    Read(StoreError),
    /// The stream could not be written.
    Export(ExportError),
}

impl fmt::Display for InspectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InspectError::NoQueue => f.write_str("there is no queue in this directory"),
            InspectError::Unusable => {
                f.write_str("nothing in the file can be used: an open would set it aside and start anew")
            }
            InspectError::Open(e) => e.fmt(f),
            InspectError::Read(e) => e.fmt(f),
            InspectError::Export(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for InspectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            InspectError::NoQueue | InspectError::Unusable => None,
            InspectError::Open(e) => Some(e),
            InspectError::Read(e) => Some(e),
            InspectError::Export(e) => Some(e),
        }
    }
}

/// Inspection of a queue's directory.
///
/// ```
/// # use edge_queue::inspect::{InspectError, Inspection};
/// # use edge_queue::{Config, Lane, Queue, Row};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let spool = tempfile::tempdir()?;
/// # let q = Queue::open(&spool, Config::default())?;
/// # drop(q.push(Row::new("21.5"))?);
/// # q.close()?;
/// let mut rows = 0;
/// let mut found = Inspection::open(&spool)?;
/// found.each_row(Lane::TELEMETRY, 1, |_row| {
///     rows += 1;
///     Ok::<_, InspectError>(true)
/// })?;
/// assert!(found.is_clean() && found.is_whole() && rows == 1);
/// # Ok(())
/// # }
/// ```
pub struct Inspection {
    kind: StoreKind,
    format: u32,
    store: Box<dyn Store>,
    found: Recovered,
    regions: Vec<Region>,
    file_bytes: u64,
    lost: Vec<(Lane, Lost)>,
    overlay: Overlay,
    _guard: Box<dyn Send>,
}

impl Inspection {
    /// Inspects `dir`.
    ///
    /// # Errors
    /// No queue there, an open one, a newer format, an encrypted one, a file in which nothing can be used, or a call the system refused.
    #[cfg(unix)]
    pub fn open(dir: impl AsRef<std::path::Path>) -> Result<Inspection, InspectError> {
        let path = dir.as_ref();
        match crate::medium::os::OsDir::read_only(path) {
            Ok(dir) => Inspection::open_in(Box::new(dir)),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(InspectError::NoQueue),
            Err(error) => {
                let source = std::io::Error::new(error.kind(), format!("{}: {error}", path.display()));
                Err(io("open the directory", source))
            }
        }
    }

    /// Inspects a directory type of your own, as [`Inspection::open`].
    ///
    /// # Errors
    /// As [`Inspection::open`].
    pub fn open_in(dir: Box<dyn Dir>) -> Result<Inspection, InspectError> {
        Inspection::open_with(dir, None)
    }

    /// Inspects an encrypted queue, as [`Inspection::open_in`].
    ///
    /// # Errors
    /// As [`Inspection::open`], and for another key, or a queue that is not encrypted.
    #[cfg(feature = "encryption")]
    pub fn open_encrypted(dir: Box<dyn Dir>, key: &Key) -> Result<Inspection, InspectError> {
        Inspection::open_with(dir, Some(key))
    }

    pub(crate) fn open_with(dir: Box<dyn Dir>, key: Option<&Key>) -> Result<Inspection, InspectError> {
        let overlay = Overlay::new(dir);
        let guard = lock(&overlay)?;
        Inspection::open_over(&overlay, guard, key)
    }

    fn open_over(
        overlay: &Overlay,
        guard: Box<dyn Send>,
        key: Option<&Key>,
    ) -> Result<Inspection, InspectError> {
        let (kind, file_bytes) = find(overlay)?;
        let dir = Box::new(overlay.clone());
        let (store, format, found, regions): (Box<dyn Store>, _, _, _) = match kind {
            #[cfg(feature = "ring")]
            StoreKind::Ring => {
                let opened = crate::store::RingStore::open_as_it_is(dir, key).map_err(InspectError::Open)?;
                let (store, found) = opened.ok_or(InspectError::Unusable)?;
                let (regions, format) = (store.regions(), store.format());
                (Box::new(store), format, found, regions)
            }
            StoreKind::Redb if key.is_some() => return Err(InspectError::Open(OpenError::NotEncrypted)),
            #[cfg(feature = "redb")]
            StoreKind::Redb => {
                let opened = crate::store::RedbStore::open_as_it_is(dir).map_err(InspectError::Open)?;
                (Box::new(opened.0), crate::store::RedbStore::FORMAT, opened.1, Vec::new())
            }
            other => return Err(not_built(other)),
        };
        let (lost, overlay) = (Vec::new(), overlay.clone());
        Ok(Inspection { kind, format, store, found, regions, file_bytes, lost, overlay, _guard: guard })
    }

    /// Returns the kind of the store.
    #[must_use]
    pub fn store_kind(&self) -> StoreKind {
        self.kind
    }

    /// Returns the version of the store's format that this build writes for such a queue; an older one is read the same way. An encrypted ring has
    /// format 2.
    #[must_use]
    pub fn format(&self) -> u32 {
        self.format
    }

    /// Returns the durable state: gateway id, lanes, consumers with their cursors, ledgers and gap records.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.found.state
    }

    /// Returns the epoch of the last open; the next open raises it. After a loss of bookkeeping it may be higher than it was.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.found.state.epoch.saturating_sub(1)
    }

    /// Returns whether the last process closed the queue cleanly.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.found.clean
    }

    /// Returns whether the last process ended inside a commit, none of whose rows had a receipt.
    #[must_use]
    pub fn tail_uncertain(&self) -> bool {
        self.found.tail_uncertain
    }

    /// Damage found by opening, in words.
    #[must_use]
    pub fn damage(&self) -> &[String] {
        &self.found.damage
    }

    /// Returns the rows found lost so far: complete after [`Inspection::each_row`] went through every lane.
    #[must_use]
    pub fn lost(&self) -> &[(Lane, Lost)] {
        &self.lost
    }

    /// Returns whether no damage was found so far, neither by opening nor by reading.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.found.damage.is_empty() && self.lost.is_empty() && self.store.stats().quarantined == 0
    }

    /// Length of the store's file in bytes.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// Returns the use of each lane's region; empty for a store whose file has no regions.
    #[must_use]
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// Iterates over gap records that consumers have not reported yet, also those of lanes that are away.
    pub fn gaps(&self) -> impl Iterator<Item = (&str, Gap)> {
        gaps_of(&self.found.state)
    }

    /// Calls `f` with the rows of a lane that some consumer still wants, ascending from `from`, until it returns `false`.
    ///
    /// # Errors
    /// The medium returns nothing at all, or the error of `f`.
    pub fn each_row<E: From<InspectError>>(
        &mut self,
        lane: Lane,
        from: Seq,
        mut f: impl FnMut(&StoredRow) -> Result<bool, E>,
    ) -> Result<(), E> {
        let mut next = Some(from.max(1));
        while let Some(from) = next {
            let mut chunk = self.store.read(lane, from, READ);
            if matches!(chunk, Err(StoreError::Io { .. })) && self.is_readable() {
                // Nobody waits here for a sector to come back; what it held is in `lost`.
                chunk = self.store.read_past_errors(lane, from, READ);
            }
            let chunk = chunk.map_err(InspectError::Read)?;
            self.lost.extend(chunk.lost.iter().map(|lost| (lane, *lost)));
            for row in chunk.rows.iter().filter(|row| self.found.state.wants(lane, row.seq)) {
                if !f(row)? {
                    return Ok(());
                }
            }
            next = chunk.next.filter(|next| *next > from);
        }
        Ok(())
    }

    fn is_readable(&self) -> bool {
        self.kind.files().iter().any(|name| self.overlay.is_readable(name))
    }

    /// Writes the backlog, and the gap records not yet reported, as a stream for another gateway.
    ///
    /// # Errors
    /// The store could not be read or `out` not be written.
    pub fn export(&mut self, out: &mut dyn Write) -> Result<Exported, InspectError> {
        let failed = |e| InspectError::Export(ExportError::Write(e));
        let state = self.state();
        let (gateway, lanes) = (state.gateway, state.lanes);
        let mut exporter = Exporter::new(out, gateway, self.epoch(), lanes).map_err(failed)?;
        for lane in (0..lanes).map(Lane) {
            self.each_row(lane, 1, |row| exporter.row(row).map(|()| true).map_err(failed))?;
        }
        self.gaps().try_for_each(|(consumer, gap)| exporter.gap(consumer, &gap)).map_err(failed)?;
        exporter.finish().map_err(failed)
    }
}

impl fmt::Debug for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inspection")
            .field("kind", &self.kind)
            .field("found", &self.found)
            .finish_non_exhaustive()
    }
}

/// Returns the kind of the store in the directory, and the length of its file.
fn find(dir: &dyn Dir) -> Result<(StoreKind, u64), InspectError> {
    find_among(dir, &StoreKind::ON_DISK)
}

/// Returns the first of these kinds that has a file in the directory, and the length of the file.
fn find_among(dir: &dyn Dir, kinds: &[StoreKind]) -> Result<(StoreKind, u64), InspectError> {
    let kinds = kinds.iter().copied();
    for (name, kind) in kinds.flat_map(|kind| kind.files().iter().map(move |name| (name, kind))) {
        match dir.open(name) {
            Ok(file) => return Ok((kind, file.len().map_err(|e| io("look at", e))?)),
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(io("open", e)),
        }
    }
    Err(InspectError::NoQueue)
}

fn lock(dir: &dyn Dir) -> Result<Box<dyn Send>, InspectError> {
    dir.lock("lock").map_err(|source| InspectError::Open(OpenError::of_lock(source)))
}

fn io(op: &'static str, source: std::io::Error) -> InspectError {
    InspectError::Open(OpenError::Io { op, source })
}

#[allow(unreachable_patterns, dead_code, reason = "with every store built there is none left")]
fn not_built(kind: StoreKind) -> InspectError {
    let problem = format!("{kind:?} is not part of this build; enable its feature");
    InspectError::Open(crate::error::ConfigError { key: "store", problem }.into())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::{Config, Queue};

    #[test]
    fn a_directory_that_is_none_is_named_and_one_that_is_not_there_has_no_queue() {
        let home = tempfile::tempdir().unwrap();
        let nowhere = Inspection::open(home.path().join("nowhere")).err();
        assert!(matches!(nowhere, Some(InspectError::NoQueue)), "{nowhere:?}");
        let file = tempfile::NamedTempFile::new().unwrap();
        let named = file.path().display().to_string();
        let inspected = Inspection::open(file.path()).err().unwrap().to_string();
        let opened = Queue::open(file.path(), Config::default()).err().unwrap().to_string();
        assert!(inspected.contains(&named) && opened.contains(&named), "{inspected}; {opened}");
    }
}
