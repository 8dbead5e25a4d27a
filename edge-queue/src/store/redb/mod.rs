//! Portable store: rows in [redb](https://docs.rs/redb), one row per key `(lane, seq)`.
//!
//! Choose it where the ring's fixed regions do not fit; it costs three to five times the flash writes. Promise 2 is reduced to *opens,
//! quarantines, salvages*: redb verifies nothing on read, panics on damaged pages and may refuse a whole file. So every value carries its own
//! checksum, every call is fenced, and a file that fails is searched for readable rows, which move to a fresh file; the old one goes to `bad/`.
//!
//! Rows and not blocks: both write the same bytes up to 30 rows per commit, blocks cost more from 100 on (their pages come in powers of two), and
//! damage takes one row. A row also has the number of rows in its lane before it, so that a missing row is noticed and numbers that were never
//! written are not taken for losses.
//!
//! Commits are one-phase. Deleted rows go with the next commit, never in one of their own. After any error of the
//! medium the file is opened again before the next write, since redb refuses to go on. On a full disk a ballast file
//! gives redb the pages it needs to delete.

#![deny(clippy::indexing_slicing)]

mod backend;
mod bad_sector;
mod ballast;
mod file;
mod panic_fence;
mod read;
mod salvage;
mod table;
mod table_state;
#[cfg(test)]
mod tests;
mod unsynced;
mod value;

use std::collections::BTreeSet;
use std::io::ErrorKind;

use redb::Database;

use self::backend::Backend;
use self::ballast::Ballast;
use self::file::{Opened, abandon, close};
use self::panic_fence::{Trouble, fence};
use self::read::Walk;
use self::table::{HEAD, ROWS, insert_rows, remove_below};
use self::table_state::TableState;
use self::value::{FORMAT, Head, Totals, encode_head};
use super::fewer_lanes::refuse_loss;
use super::file_name::look_at_name;
use super::plausibility::next_epoch;
use super::{DoneRows, FileName, Options, ReadLimit, Recovered, Store, StoreError, StoreStats, StoredChunk};
use crate::error::OpenError;
use crate::medium::Dir;
use crate::per_lane::PerLane;
use crate::row::{LANES_MAX, Lane, Seq, StoredRow};
use crate::state::{Change, State};

/// Bytes that making a file or committing to it takes beyond the rows: a full disk needs at least this much more.
const COMMIT_BYTES: u64 = 64 * 1024;
/// Bytes of the largest row that a queue may be configured for.
const ROW_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of a page of redb, which are read and written at a time where a sector is bad.
const PAGE_BYTES: usize = 4096;

/// The redb store. See the module.
pub struct RedbStore {
    dir: Box<dyn Dir>,
    options: Options,
    backend: Backend,
    /// Open database; `None` after it had to be closed, until the next call opens it again.
    db: Option<Database>,
    /// Set after a failed write, because redb refuses all others until it is opened again. Reads go on with the old handle.
    failed: bool,
    /// Set while the name of a rebuilt file is not durable; the next write syncs the directory first.
    unnamed: bool,
    stage: Vec<StoredRow>,
    /// Rows of failed commits: they may be in the file and do not count until they are committed again.
    hidden: BTreeSet<(u8, Seq)>,
    /// Numbers per lane below which rows are removed with the next commit. A done row above a row that is not done stays, because
    /// each row tells how many there were before it.
    below: [Seq; LANES_MAX],
    head: Head,
    walk: Walk,
    table: TableState,
    ballast: Ballast,
    stats: StoreStats,
    /// Bytes written to files that are now quarantined, and number of syncs of them.
    earlier: (u64, u64),
}

impl Head {
    fn new(state: State) -> Head {
        let written = [(0, Totals::default()); LANES_MAX];
        Head { generation: 0, clean: false, written, removed: [Totals::default(); LANES_MAX], state }
    }
}

impl RedbStore {
    /// Version of the values' layout.
    pub(crate) const FORMAT: u32 = FORMAT;

    /// Opens or creates the store in `dir`, whose lock the caller holds.
    ///
    /// # Errors
    /// [`OpenError::NoSpace`] when there is not even room for the bookkeeping, `needed` being the least that would help;
    /// [`OpenError::NewerFormat`]; [`OpenError::Io`] when the medium refuses to work at all.
    pub fn open(dir: Box<dyn Dir>, options: &Options) -> Result<(RedbStore, Recovered), OpenError> {
        RedbStore::open_with(dir, options, Some(options.lanes))
    }

    /// Opens the store as it is, whatever its number of lanes, for an inspection.
    pub(crate) fn open_as_it_is(dir: Box<dyn Dir>) -> Result<(RedbStore, Recovered), OpenError> {
        let options = Options {
            lanes: LANES_MAX as u8,
            lane_bytes: PerLane::all(u64::MAX),
            segment_bytes: 0,
            row_bytes_max: ROW_BYTES_MAX,
            gateway: 0,
            epoch_step: 1,
        };
        RedbStore::open_with(dir, &options, None)
    }

    fn open_with(
        dir: Box<dyn Dir>,
        options: &Options,
        lanes: Option<u8>,
    ) -> Result<(RedbStore, Recovered), OpenError> {
        let opened = match file::open(dir.as_ref(), options) {
            // Made or repaired in the space that was held back for it.
            Err(Trouble::Io(e)) if is_full(&e) && Ballast::give_up(dir.as_ref()) => {
                file::open(dir.as_ref(), options)
            }
            other => other,
        };
        let opened = opened.map_err(|trouble| open_error(dir.as_ref(), trouble))?;
        let Opened { backend, db, head, highest_seq, damage } = opened;
        let clean = head.clean;
        let ballast = Ballast::take(dir.as_ref());
        let mut store = RedbStore {
            dir,
            options: *options,
            backend,
            db: Some(db),
            failed: false,
            unnamed: false,
            stage: Vec::new(),
            hidden: BTreeSet::new(),
            below: head.state.lane.0.map(|lane| lane.floor),
            head,
            walk: Walk::default(),
            table: TableState::default(),
            ballast,
            stats: StoreStats::default(),
            earlier: (0, 0),
        };
        store.stats.quarantined += u64::from(damage.is_some());
        let mut state = store.head.state.clone();
        if let Some(lanes) = lanes {
            if lanes < state.lanes {
                refuse_loss(&mut store, &state, lanes)?;
            }
            state.lanes = lanes;
        }
        let is_new = state.epoch == 0;
        state.epoch = if is_new { 1 } else { next_epoch(state.epoch, options.epoch_step) };
        let raised = match store.write(&[], &state, false) {
            Err(Trouble::Io(e)) if is_full(&e) => {
                store.ballast.spend(store.dir.as_ref());
                store.write(&[], &state, false)
            }
            Err(trouble) => store.raise_again(&state, trouble),
            other => other,
        };
        raised.map_err(|trouble| open_error(store.dir.as_ref(), trouble))?;
        // redb rolls an unfinished commit back without a word, so after an unclean stop it is always uncertain.
        let tail_uncertain = !clean && !is_new;
        let damage = damage.into_iter().collect();
        let recovered = Recovered { clean, tail_uncertain, damage, highest_seq, ..Recovered::clean(state) };
        Ok((store, recovered))
    }

    /// Makes one durable commit: inserts rows, removes rows that are done, and replaces the bookkeeping. What `self`
    /// knows of it changes only on success.
    fn write(&mut self, rows: &[StoredRow], state: &State, clean: bool) -> Result<(), Trouble> {
        let mut next =
            Head { generation: self.head.generation.saturating_add(1), clean, ..self.head.clone() };
        next.state.clone_from(state);
        let regained = match self.try_write(rows, &mut next) {
            Err(Trouble::Damaged(why)) => {
                self.rebuild(&why)?;
                next.generation = next.generation.max(self.head.generation.saturating_add(1));
                self.try_write(rows, &mut next)?
            }
            other => other?,
        };
        self.hidden.clear();
        self.head = next;
        self.table.note_commit();
        self.ballast.regain(regained);
        Ok(())
    }

    fn try_write(&mut self, rows: &[StoredRow], next: &mut Head) -> Result<u64, Trouble> {
        self.ensure_open()?;
        if self.unnamed {
            self.dir.sync()?;
            self.unnamed = false;
        }
        let (hidden, below) = (&self.hidden, &self.below);
        next.written = self.head.written;
        next.removed = self.head.removed;
        let Some(db) = &self.db else { return Err(Trouble::Io(std::io::ErrorKind::NotConnected.into())) };
        let result = fence(|| {
            let txn = db.begin_write().map_err(redb::Error::from)?;
            let mut table = txn.open_table(ROWS).map_err(redb::Error::from)?;
            for &key in hidden {
                table.remove(key).map_err(redb::Error::from)?;
            }
            insert_rows(&mut table, rows, next)?;
            let mut regained = 0;
            for (lane, (&below, removed)) in (0u8..).zip(below.iter().zip(&mut next.removed)) {
                regained += remove_below(&mut table, lane, below, removed)?;
            }
            drop(table);
            let mut table = txn.open_table(HEAD).map_err(redb::Error::from)?;
            table.insert(0, encode_head(next).as_slice()).map_err(redb::Error::from)?;
            drop(table);
            txn.commit().map_err(redb::Error::from)?;
            Ok(regained)
        });
        self.failed = result.is_err();
        if self.failed && self.backend.is_unsynced() {
            unsynced::mark(self.dir.as_ref());
        }
        result
    }

    /// Opens redb again after an error; a file that is no longer sound is rebuilt.
    fn ensure_open(&mut self) -> Result<(), Trouble> {
        if self.db.is_some() && !self.failed {
            return Ok(());
        }
        close(self.db.take());
        let was_unsynced = self.backend.is_unsynced();
        self.backend.restore()?;
        if was_unsynced {
            unsynced::clear(self.dir.as_ref());
        }
        match file::open_and(&self.backend, file::read_head) {
            Ok((db, found)) => {
                // The commit that failed may be in the file, and what it removed is removed.
                self.head.removed = found.removed;
                self.db = Some(db);
            }
            Err(Trouble::Damaged(why)) => self.rebuild(&why)?,
            Err(e) => return Err(e),
        }
        self.failed = false;
        Ok(())
    }

    /// Copies the readable rows to a new file. The bookkeeping in RAM is newer than any that is found.
    fn rebuild(&mut self, why: &str) -> Result<(), Trouble> {
        let (bytes, syncs) = self.backend.figures();
        let built = file::rebuild(self.dir.as_ref(), &self.options, &self.backend, Some(&self.head), why);
        // Without a new file the old one must open again, at best as it was left by a close.
        match &built {
            Ok(_) => abandon(self.db.take()),
            Err(_) => close(self.db.take()),
        }
        let opened = built?;
        self.earlier = (self.earlier.0 + bytes, self.earlier.1 + syncs);
        self.backend = opened.backend;
        self.db = Some(opened.db);
        self.failed = false;
        self.unnamed = true;
        self.stats.quarantined += 1;
        self.walk.forget_place();
        self.table = TableState::Sound;
        self.head.generation = self.head.generation.max(opened.head.generation);
        self.head.removed = opened.head.removed;
        Ok(())
    }

    fn commit_stage(&mut self, rows: &[StoredRow], state: &State, clean: bool) -> Result<(), Trouble> {
        let bytes = rows.iter().map(StoredRow::bytes).fold(0, u64::saturating_add);
        if !self.ballast.admits(self.dir.as_ref(), bytes) {
            return Err(Trouble::Io(std::io::ErrorKind::StorageFull.into()));
        }
        let written = self.write(rows, state, clean);
        if matches!(&written, Err(Trouble::Io(e)) if is_full(e)) {
            self.ballast.spend(self.dir.as_ref());
        }
        written
    }

    /// Returns the error of a call that failed.
    fn failed(&self, trouble: Trouble, op: &'static str) -> StoreError {
        match self.backend.has_panicked() {
            true => StoreError::Panicked { op },
            false => trouble.into_store_error(op),
        }
    }
}

/// Returns whether the disk has no room, or whoever runs this may have no more of it: giving up the ballast helps with both.
fn is_full(e: &std::io::Error) -> bool {
    matches!(e.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

impl Store for RedbStore {
    fn append(&mut self, rows: &[StoredRow]) -> Result<(), StoreError> {
        self.stage.extend_from_slice(rows);
        Ok(())
    }

    fn commit(&mut self, changes: &[Change], state: &State) -> Result<(), StoreError> {
        let rows = std::mem::take(&mut self.stage);
        let clean = changes.iter().any(|change| matches!(change, Change::Closed));
        if rows.is_empty() && *state == self.head.state && clean == self.head.clean {
            return Ok(());
        }
        match self.commit_stage(&rows, state, clean) {
            Ok(()) => {
                self.stats.commits += 1;
                Ok(())
            }
            Err(trouble) => {
                self.hidden.extend(rows.iter().map(|row| (row.lane.0, row.seq)));
                Err(self.failed(trouble, "redb commit"))
            }
        }
    }

    fn read(&mut self, lane: Lane, from: Seq, limit: ReadLimit) -> Result<StoredChunk, StoreError> {
        self.read_chunk(lane, from, limit).map_err(|trouble| self.failed(trouble, "redb read"))
    }

    fn read_past_errors(
        &mut self,
        lane: Lane,
        from: Seq,
        limit: ReadLimit,
    ) -> Result<StoredChunk, StoreError> {
        self.read_chunk_anyhow(lane, from, limit).map_err(|trouble| self.failed(trouble, "redb read"))
    }

    fn advance(&mut self, lane: Lane, done: &DoneRows) -> Result<(), StoreError> {
        if let Some(slot) = self.below.get_mut(usize::from(lane.0)) {
            *slot = done.floor().max(*slot);
        }
        Ok(())
    }

    fn file_name(&self) -> FileName {
        match look_at_name(self.dir.as_ref(), file::FILE, self.backend.id().ok().flatten()) {
            // The names may be those of a rebuild that was interrupted: the next write goes on with it.
            FileName::Lost(_) if self.failed => FileName::Unknown,
            found => found,
        }
    }

    fn stats(&self) -> StoreStats {
        let (bytes, syncs) = self.backend.figures();
        StoreStats { bytes_written: self.earlier.0 + bytes, syncs: self.earlier.1 + syncs, ..self.stats }
    }
}

impl Drop for RedbStore {
    fn drop(&mut self) {
        close(self.db.take());
    }
}

fn open_error(dir: &dyn Dir, trouble: Trouble) -> OpenError {
    match trouble {
        Trouble::Newer(found) => OpenError::NewerFormat { found, known: FORMAT },
        Trouble::Io(e) if is_full(&e) => {
            let free = dir.free_bytes().ok().flatten().unwrap_or(0);
            OpenError::NoSpace { needed: free.saturating_add(COMMIT_BYTES), free, lower: None }
        }
        Trouble::Io(e) if e.kind() == ErrorKind::WouldBlock => OpenError::of_lock(e),
        other => OpenError::Io { op: "redb open", source: other.into_io() },
    }
}
