//! Store for flash memory: one file `queue.ring`, a region of recycled segments per lane, one sync per commit. Nothing is moved to make room, so
//! write amplification (bytes at the device per byte of payload) is the padding of commits to pages.
//!
//! Format, crash cases and assumptions about the medium: `docs/queue-format.md`. In short:
//!
//! * [`layout`] offsets and geometry; [`superblock`] identity of the file; [`epoch`] the rules of epochs; [`frame`] the unit of
//!   writing; [`record`] and [`snapshot`] its contents;
//! * [`lane`] a lane's log in RAM, which abandons failed commits and reclaims segments, with [`segment`],
//!   [`active_segment`] (where it grows) and [`free_slots`] (which slot comes next, with [`zero_fill`] when it is new);
//! * [`writer`] a commit, with [`rotation`] to the next segment; [`reader`] rows, through [`page_reader`];
//! * [`find_frames`] which frames of a segment count; [`missing_frames`] what it should have and has not;
//! * [`create_and_reserve`], [`open`], [`recover`], [`scan`] (with its `log_end` of each lane), [`resize`]: opening, with the [completeness of
//!   commits](commit_completeness), their [`changes`], the [`high_water`] marks of the lanes and the [`checkpoint`] of a clean close;
//! * [`quarantine`] of damaged bytes; [`salvage`] of a file that opens no more;
//! * [`encryption`] of rows and changes, in a file that has a key.
//!
//! Cost: RAM is one entry per segment, the index of one segment per lane and one frame. A commit is one write and
//! its share of one sync per lane touched; opening reads one page per segment and the last segment of each lane.
#![deny(clippy::indexing_slicing)]

mod active_segment;
mod changes;
mod checkpoint;
mod commit_completeness;
mod create_and_reserve;
mod encryption;
mod epoch;
mod find_frames;
mod footprint;
mod frame;
mod free_slots;
#[cfg(test)]
mod fuzz_tests;
mod high_water;
mod lane;
mod layout;
mod missing_frames;
mod open;
mod page_reader;
mod quarantine;
mod reader;
mod record;
mod recover;
mod resize;
mod rotation;
mod salvage;
mod scan;
mod segment;
mod snapshot;
mod superblock;
#[cfg(test)]
mod test_sectors;
mod writer;
mod zero_fill;

pub(crate) use footprint::Footprint;

use std::sync::Arc;

pub(crate) use self::salvage::Salvage;

use self::checkpoint::Checkpoint;
use self::encryption::FrameCipher;
use self::find_frames::Look;
use self::high_water::HighWaterMarks;
use self::lane::LaneLog;
use self::page_reader::{Pages, Unread};
use self::quarantine::Quarantine;
use self::reader::{Reader, Source};
use self::scan::Scan;
use self::superblock::Superblock;
use self::writer::{Buffers, Writer};
use self::zero_fill::fill;
use crate::error::OpenError;
use crate::key::Key;
use crate::medium::{Dir, Medium};
use crate::per_lane::PerLane;
use crate::row::{Lane, Seq, StoredRow};
use crate::state::{Change, State};
use crate::store::bytes;
use crate::store::file_name::look_at_name;
use crate::store::{
    DoneRows, FileName, Options, ReadLimit, Recovered, Region, Store, StoreError, StoreStats, StoredChunk,
};

/// The ring. See [`Store`] for its contract.
pub struct RingStore {
    dir: Box<dyn Dir>,
    medium: Box<dyn Medium>,
    superblock: Superblock,
    /// Cipher of an encrypted file.
    cipher: Option<Arc<FrameCipher>>,
    lanes: Vec<LaneLog>,
    buffers: Buffers,
    reader: Reader,
    unread: Unread,
    quarantine: Quarantine,
    commit: u64,
    /// Number of the last successful commit of this run; with its bookkeeping in `durable`.
    synced: u64,
    durable: State,
    generation: u64,
    /// Number of pages of a segment's first frame, as last written, or of the changes of a commit since, if these took more.
    head_pages: usize,
    stats: StoreStats,
}

impl RingStore {
    /// Opens or creates the ring in `dir`. Damage is quarantined and reported, never an error.
    ///
    /// # Errors
    /// [`OpenError::NewerFormat`], [`OpenError::NoSpace`] when a new file cannot be reserved, [`OpenError::Io`] when the medium refuses to open,
    /// write or sync at all.
    pub fn open(dir: Box<dyn Dir>, options: &Options) -> Result<(RingStore, Recovered), OpenError> {
        open::open(dir, options, None)
    }

    /// Opens or creates the ring in `dir` as [`RingStore::open`] does, encrypted with `key`.
    ///
    /// # Errors
    /// As [`RingStore::open`], and [`OpenError::WrongKey`], and [`OpenError::NotEncrypted`] for a ring that was made without a key.
    #[cfg(feature = "encryption")]
    pub fn open_encrypted(
        dir: Box<dyn Dir>,
        options: &Options,
        key: &Key,
    ) -> Result<(RingStore, Recovered), OpenError> {
        open::open(dir, options, Some(key))
    }

    /// Opens or creates the ring in `dir`, encrypted if there is a key.
    pub(crate) fn open_with(
        dir: Box<dyn Dir>,
        options: &Options,
        key: Option<&Key>,
    ) -> Result<(RingStore, Recovered), OpenError> {
        open::open(dir, options, key)
    }

    /// Opens the ring for an inspection, without applying changed limits. `None` for a file in which nothing can be used, which is left
    /// unchanged.
    pub(crate) fn open_as_it_is(
        dir: Box<dyn Dir>,
        key: Option<&Key>,
    ) -> Result<Option<(RingStore, Recovered)>, OpenError> {
        open::as_it_is(dir, key)
    }

    /// Compares a key, or that there is none, with the ring in `dir`, whoever has its lock. Returns whether the ring is encrypted; `None` for a file in
    /// which nothing can be used.
    pub(crate) fn check_key(dir: &dyn Dir, key: Option<&Key>) -> Result<Option<bool>, OpenError> {
        open::check_key(dir, key)
    }

    /// Returns the version of the file's format.
    pub(crate) fn format(&self) -> u32 {
        u32::from(if self.cipher.is_some() { layout::FORMAT_ENCRYPTED } else { layout::FORMAT })
    }

    /// Returns how each lane's region is used.
    pub(crate) fn regions(&self) -> Vec<Region> {
        let segment_bytes = u64::from(self.superblock.geometry.segment_bytes);
        let region = |log: &LaneLog| Region {
            lane: Lane(log.lane),
            segment_bytes,
            used: log.segments.len() as u64,
            free: log.free.len() as u64,
        };
        self.lanes.iter().map(region).collect()
    }

    fn new(
        dir: Box<dyn Dir>,
        medium: Box<dyn Medium>,
        superblock: Superblock,
        cipher: Option<Arc<FrameCipher>>,
        scan: Scan,
        quarantine: Quarantine,
        durable: State,
    ) -> RingStore {
        RingStore {
            dir,
            medium,
            superblock,
            cipher,
            lanes: scan.lanes,
            buffers: Buffers::default(),
            reader: Reader::default(),
            unread: Unread::default(),
            quarantine,
            commit: scan.commit,
            synced: 0,
            durable,
            generation: scan.generation + 1,
            head_pages: 2,
            stats: StoreStats::default(),
        }
    }

    fn write(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        self.commit += 1;
        let lanes = u8::try_from(self.lanes.len()).unwrap_or(1);
        // All of them first: a commit that fails in one lane is undone in every lane.
        self.lanes.iter_mut().for_each(LaneLog::begin);
        let ends = HighWaterMarks::of(self.lanes.iter().map(|log| &log.counters));
        for log in &mut self.lanes {
            let own: Vec<(u32, &Change)> =
                (0u32..).zip(changes).filter(|(_, c)| home(c, lanes) == log.lane).collect();
            if own.is_empty() && log.staged.is_empty() {
                continue;
            }
            let mut writer = Writer {
                medium: self.medium.as_mut(),
                geometry: &self.superblock.geometry,
                cipher: self.cipher.as_deref(),
                buffers: &mut self.buffers,
                durable: &self.durable,
                ends: &ends,
                gateway: self.superblock.gateway,
                epoch: self.superblock.epoch,
                commit: self.commit,
                synced: self.synced,
                generation: &mut self.generation,
                written: &mut self.stats.bytes_written,
                head_pages: &mut self.head_pages,
            };
            writer.lane(log, &own)?;
        }
        self.sync()?;
        if !changes.iter().any(|change| matches!(change, Change::Closed)) {
            return Ok(());
        }
        // Not before: it says that the close mark is durable, also to a process that finds the mark in the system's memory after a failed sync.
        let state = Some((self.commit, self.durable.clone()));
        let mut closing = Superblock { known: Checkpoint { ends, state }.into(), ..self.superblock.clone() };
        let written = closing.write_next(self.medium.as_mut());
        written.map_err(|source| StoreError::Io { op: "write", source })?;
        self.stats.bytes_written += layout::PAGE as u64;
        self.sync()
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        self.stats.syncs += 1;
        self.medium.sync().map_err(|source| StoreError::Io { op: "sync", source })
    }

    fn unstage(&mut self) {
        self.lanes.iter_mut().for_each(LaneLog::unstage);
    }
}

impl Store for RingStore {
    fn append(&mut self, rows: &[StoredRow]) -> Result<(), StoreError> {
        let mut lanes = rows.chunk_by(|a, b| a.lane == b.lane);
        lanes.try_for_each(|rows| self.append_shared(&Arc::new(rows.to_vec())))
    }

    fn append_shared(&mut self, rows: &Arc<Vec<StoredRow>>) -> Result<(), StoreError> {
        let Some(lane) = rows.first().map(|row| row.lane) else { return Ok(()) };
        if rows.iter().any(|row| row.lane != lane) {
            return self.append(rows);
        }
        let taken = self.lanes.get_mut(usize::from(lane.0)).is_some_and(|log| {
            log.stage(rows);
            let extra = if self.cipher.is_some() { encryption::EXTRA } else { 0 };
            log.fits(&self.superblock.geometry, self.head_pages, extra)
        });
        if !taken {
            self.unstage();
            return Err(StoreError::Full { lane });
        }
        Ok(())
    }

    fn commit(&mut self, changes: &[Change], state: &State) -> Result<(), StoreError> {
        if changes.is_empty() && self.lanes.iter().all(|log| log.staged.is_empty()) {
            return Ok(());
        }
        let done = self.write(changes);
        for log in &mut self.lanes {
            match done {
                Ok(()) => {
                    self.reader.note(log.lane, &log.pending);
                    log.finish();
                }
                Err(_) => log.abandon(),
            }
        }
        self.unstage();
        if done.is_ok() {
            self.stats.commits += 1;
            self.synced = self.commit;
            self.durable.clone_from(state);
        }
        done
    }

    fn read(&mut self, lane: Lane, from: Seq, limit: ReadLimit) -> Result<StoredChunk, StoreError> {
        let Some(log) = self.lanes.get(usize::from(lane.0)) else { return Ok(StoredChunk::default()) };
        let geometry = &self.superblock.geometry;
        let pages = Pages::new(self.medium.as_ref(), geometry).patient(&self.unread);
        let pages = pages.encrypted(self.cipher.as_deref());
        let look = Look { pages: &pages, geometry, gateway: self.superblock.gateway };
        let mut source = Source {
            look,
            dir: self.dir.as_ref(),
            quarantine: &mut self.quarantine,
            waived: &self.superblock.waived,
            epoch: self.superblock.epoch,
            unread: log.free.bars_any() && !self.unread.gives_up(),
        };
        let chunk = self.reader.read(&mut source, log, from, limit);
        match pages.into_error() {
            None => Ok(chunk),
            Some(source) => Err(StoreError::Io { op: "read", source }),
        }
    }

    fn read_past_errors(
        &mut self,
        lane: Lane,
        from: Seq,
        limit: ReadLimit,
    ) -> Result<StoredChunk, StoreError> {
        self.unread.give_up(true);
        let chunk = self.read(lane, from, limit);
        self.unread.give_up(false);
        chunk
    }

    fn advance(&mut self, lane: Lane, done: &DoneRows) -> Result<(), StoreError> {
        if let Some(log) = self.lanes.get_mut(usize::from(lane.0)) {
            log.advance(done);
        }
        Ok(())
    }

    fn segments(&self, lane: Lane) -> Option<Vec<(Seq, Seq)>> {
        self.lanes.get(usize::from(lane.0)).map(LaneLog::evictable)
    }

    /// Prefills the segments that lanes will soon use for the first time, and syncs once.
    fn prepare(&mut self) -> Result<(), StoreError> {
        let failed = |source| StoreError::Io { op: "prepare", source };
        let geometry = &self.superblock.geometry;
        let mut any = false;
        for log in &self.lanes {
            let Some(slot) = log.to_fill(geometry) else { continue };
            self.stats.bytes_written += fill(self.medium.as_mut(), geometry, slot).map_err(failed)?;
            any = true;
        }
        if !any {
            return Ok(());
        }
        self.stats.syncs += 1;
        self.medium.sync().map_err(failed)?;
        for log in &mut self.lanes {
            if let Some(slot) = log.to_fill(geometry) {
                log.free.filled(slot);
            }
        }
        Ok(())
    }

    fn file_name(&self) -> FileName {
        look_at_name(self.dir.as_ref(), layout::FILE, self.medium.id().ok().flatten())
    }

    fn stats(&self) -> StoreStats {
        let mut stats = self.stats;
        stats.quarantined = self.reader.quarantined;
        stats.room_bytes = PerLane::all(0);
        for (room, log) in stats.room_bytes.iter_mut().zip(&self.lanes) {
            *room = log.room_bytes(&self.superblock.geometry, self.head_pages);
        }
        stats
    }
}

/// Returns the lane whose log a change is written to.
fn home(change: &Change, lanes: u8) -> u8 {
    match change {
        Change::Position { lane, .. } | Change::Lane { lane, .. } if lane.0 < lanes => lane.0,
        _ => 0,
    }
}
