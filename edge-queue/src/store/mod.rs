//! Contract of a store: five calls between the queue's bookkeeping and the medium.
//!
//! # The contract
//!
//! 1. `append` stages rows of one lane, ascending and unique in `seq`. Nothing is durable yet.
//! 2. `commit` makes everything staged since the last successful commit, and `changes`, durable before it returns
//!    `Ok`. The state after `Ok` survives a power cut. After a crash *inside* a commit any subset of its rows and
//!    of the lanes' changes may be found again, but a lane's changes of one commit are all found, together with all of
//!    the lane's rows of that commit, or none is; and what is not found is not reported as lost.
//! 3. After an `Err` from `append` or `commit` no staged row counts as durable and the stage is empty: the caller keeps the rows and hands over
//!    the same ones (same `seq`) again, together with newer ones. A store never trusts bytes written before a failed sync: it writes them again
//!    somewhere else.
//! 4. `read` returns committed rows only, ascending. A damaged part is skipped, quarantined and reported in [`StoredChunk::lost`] by every read
//!    that skips it, whichever read found it first; damage is never an error and never a panic. A part that the medium does not return is not
//!    damaged: `read` fails, and its caller tries again.
//! 5. `advance(lane, done)` gives the rows of `lane` that will not be read again: a floor and ranges above it, which only grow. The state that
//!    makes it so was durable before the call, so the space may be reused at once. `read` may still return such a row, and does not report it as
//!    lost.
//!
//! Opening is the store's own function, `fn open(dir: Box<dyn Dir>, options: &Options) -> Result<(Self, Recovered),
//! OpenError>`: it never fails or panics for damage, and the epoch in [`Recovered::state`] is already raised durably, by
//! [`Options::epoch_step`]; a new store begins with epoch 1.
//! The queue holds the directory's lock before it calls it. [`Change::Closed`] is the clean-close mark; it is
//! committed alone, when everything else is durable.
//!
//! A commit holds the store alone: calls come from one thread at a time.
//!
//! # Panics
//!
//! A panic in a call of the store, or of the [`Medium`](crate::medium::Medium) and [`Dir`](crate::medium::Dir) below it, is caught, and leaves the
//! store in an unknown state: the queue drops it when it is closed, and calls it no more until then. From that call on no row is stored and rows
//! that are not in RAM cannot be read; [`commit`](crate::Queue::commit), [`close`](crate::Queue::close) and reads fail with
//! [`StoreError::Panicked`], [`Health`](crate::Health) and one event say [`FaultKind::Panicked`](crate::FaultKind::Panicked), and receipts still to
//! come end with [`WaitError::Closed`](crate::WaitError::Closed) when the queue is closed. The next open finds what a kill at the panic would have
//! left: every row with the receipt `Stored`. In a program built with `panic = "abort"` the panic is that kill. A panic in `fn open` reaches the
//! caller.

#[cfg(any(feature = "ring", feature = "redb"))]
pub(crate) mod bytes;
mod done_rows;
#[cfg(any(feature = "ring", feature = "redb"))]
mod fewer_lanes;
#[cfg(any(feature = "ring", feature = "redb"))]
mod file_name;
pub mod memory;
#[cfg(any(feature = "ring", feature = "redb"))]
mod plausibility;
#[cfg(feature = "redb")]
mod redb;
#[cfg(feature = "ring")]
mod ring;
pub use self::done_rows::DoneRows;
#[cfg(feature = "redb")]
pub use self::redb::RedbStore;
#[cfg(feature = "ring")]
pub(crate) use self::ring::Footprint;
#[cfg(feature = "ring")]
pub use self::ring::RingStore;
#[cfg(feature = "ring")]
pub(crate) use self::ring::Salvage;

use std::sync::Arc;

use crate::row::{Lane, Seq};

pub use crate::per_lane::PerLane;
pub use crate::row::StoredRow;
pub use crate::state::{Change, ConsumerState, GapRecord, LaneState, Position, State};

/// Largest segment of a ring, in bytes.
pub(crate) const SEGMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Largest step by which an open raises the epoch.
pub const EPOCH_STEP_MAX: u32 = 4096;

/// Settings that a store needs to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Lanes in use, 1 to [`LANES_MAX`](crate::LANES_MAX).
    pub lanes: u8,
    /// Byte limit per lane (as [`StoredRow::bytes`] counts); a lane's region follows from it.
    pub lane_bytes: PerLane<u64>,
    /// Size of a segment in bytes.
    pub segment_bytes: u64,
    /// Most bytes of key, meta and payload of one row together.
    pub row_bytes_max: usize,
    /// Random number for the identity of a queue that does not exist yet.
    pub gateway: u64,
    /// Step by which this open raises the epoch, 1 to [`EPOCH_STEP_MAX`]; another one counts as the nearest of these. A random one gives two copies
    /// of one store, such as a cloned disk or an image that is put back, epochs of their own.
    pub epoch_step: u32,
}

/// Limits of one `read`. The first row is returned whatever its size.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimit {
    /// Most rows of the read.
    pub rows: usize,
    /// Most bytes of key, meta and payload of all rows together.
    pub bytes: usize,
}

/// Result of one `read`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredChunk {
    /// Rows in ascending order.
    pub rows: Vec<StoredRow>,
    /// Start of the next read: one past the last row read; `None` if there is no further row now.
    pub next: Option<Seq>,
    /// Rows that existed and cannot be read any more, among those that the read skipped.
    pub lost: Vec<Lost>,
}

/// Rows lost to damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// First sequence number that may be lost.
    pub first: Seq,
    /// Last sequence number that may be lost (numbers in between may have been elided).
    pub last: Seq,
    /// Number of lost rows.
    pub rows: u64,
    /// Weight of these rows.
    pub weight: u64,
    /// Set if `rows` and `weight` are exact for these numbers, and not only upper bounds.
    pub exact: bool,
}

/// Result of a store's opening.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Recovered {
    /// The newest durable bookkeeping.
    pub state: State,
    /// True if the last run closed the store cleanly.
    pub clean: bool,
    /// Set after an unclean stop when bytes of a torn last commit were found (at most one commit, none of whose rows had a
    /// receipt).
    pub tail_uncertain: bool,
    /// Damaged parts that were quarantined, in words for an operator.
    pub damage: Vec<String>,
    /// Reason, in words for an operator, for which changed limits could not be applied yet and the file keeps its old regions; `None` if there
    /// was none.
    pub limits_kept: Option<String>,
    /// Most bytes of key, meta and payload of one row that the store can hold; `usize::MAX` if it has no limit of its own. It is below
    /// [`Options::row_bytes_max`] where the file keeps smaller segments (`limits_kept`).
    pub row_bytes_max: usize,
    /// Most bytes of rows that each lane's region is made for; `u64::MAX` without regions. With `limits_kept` it is the lane's limit where
    /// [`Options::lane_bytes`] is higher.
    pub lane_bytes: PerLane<u64>,
    /// Highest row number found in each lane, 0 when there is none; the state's `next` may be lower after a crash.
    pub highest_seq: PerLane<Seq>,
}

impl Recovered {
    /// Creates the result of a store that was closed cleanly and has no row above the state's.
    #[must_use]
    pub fn clean(state: State) -> Recovered {
        Recovered {
            state,
            clean: true,
            tail_uncertain: false,
            damage: Vec::new(),
            limits_kept: None,
            row_bytes_max: usize::MAX,
            lane_bytes: PerLane::all(u64::MAX),
            highest_seq: PerLane::all(0),
        }
    }
}

/// Occupancy of the region that a lane has in a store's file.
#[cfg(any(feature = "ring", feature = "redb"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Region {
    /// Lane of the rows.
    pub lane: Lane,
    /// Size of a segment in bytes.
    pub segment_bytes: u64,
    /// Number of segments that hold rows or bookkeeping.
    pub used: u64,
    /// Number of segments that can be written next.
    pub free: u64,
}

/// Figures of a store since it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreStats {
    /// Bytes handed to the medium.
    pub bytes_written: u64,
    /// Number of commits that returned `Ok`.
    pub commits: u64,
    /// Number of syncs of the medium.
    pub syncs: u64,
    /// Bytes of rows each lane can still take now; a push beyond it meets `on_full` with reason `fragmented`.
    pub room_bytes: PerLane<u64>,
    /// Number of frames, files or values quarantined as damaged.
    pub quarantined: u64,
}

impl Default for StoreStats {
    /// Returns figures of 0, and unlimited room for a store that has no regions.
    fn default() -> StoreStats {
        let room_bytes = PerLane::all(u64::MAX);
        StoreStats { bytes_written: 0, commits: 0, syncs: 0, room_bytes, quarantined: 0 }
    }
}

/// Failure of a store's call.
#[derive(Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// The medium failed; `op` names the call.
    Io {
        /// The call that failed.
        op: &'static str,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// No free space for this lane's rows.
    Full {
        /// The lane that is full.
        lane: Lane,
    },
    /// The name of the store's file leads elsewhere, so that the next open would not find what is written now.
    NameLost {
        /// Name of the file in the store's directory.
        file: &'static str,
    },
    /// A call panicked, or code around it, such as the clock. The store is not called again in this process: open the queue anew.
    Panicked {
        /// The call that panicked.
        op: &'static str,
    },
}

/// Result of a look at the name of a store's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileName {
    /// The name leads to the file.
    Held,
    /// There is no such name any more, or it leads to another file. Contains the name.
    Lost(&'static str),
    /// The store has no file, or its medium has no inode numbers, by which a name could be compared with the open file.
    Unknown,
}

/// Store of rows. See the module's contract; `testing::conformance` checks an implementation against it.
pub trait Store: Send {
    /// Stages rows of one lane for the next commit.
    fn append(&mut self, rows: &[StoredRow]) -> Result<(), StoreError>;
    /// Stages rows, as [`append`](Self::append), that the caller shares with the store until the commit ends. A store that keeps them shared
    /// spares a copy of each row; it may keep them no longer than the commit takes.
    fn append_shared(&mut self, rows: &Arc<Vec<StoredRow>>) -> Result<(), StoreError> {
        self.append(rows)
    }
    /// Makes the staged rows and `changes` durable. `state` is the bookkeeping with `changes` already applied, for
    /// stores that write snapshots.
    fn commit(&mut self, changes: &[Change], state: &State) -> Result<(), StoreError>;
    /// Reads committed rows of `lane` from `from` on.
    fn read(&mut self, lane: Lane, from: Seq, limit: ReadLimit) -> Result<StoredChunk, StoreError>;
    /// Reads rows, as [`read`](Self::read), but counts parts that the medium does not return as damaged, as long as it returns anything at all.
    /// For rows that were tried for long enough, because an error alone is no proof of damage.
    fn read_past_errors(
        &mut self,
        lane: Lane,
        from: Seq,
        limit: ReadLimit,
    ) -> Result<StoredChunk, StoreError> {
        self.read(lane, from, limit)
    }
    /// Marks the rows in `done` as done in `lane`, so that their space may be reused.
    fn advance(&mut self, lane: Lane, done: &DoneRows) -> Result<(), StoreError>;
    /// Returns the first and the last number of each segment that becomes free when its rows are evicted, oldest first. `None` for a store in
    /// which evicting any row frees space.
    fn segments(&self, _lane: Lane) -> Option<Vec<(Seq, Seq)>> {
        None
    }
    /// Performs work between commits (prefill). Call it when no row waits; it may do nothing.
    fn prepare(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
    /// Looks at the name of the file that holds the rows. Called every few seconds, because a file is written on without any error after
    /// somebody removed it or moved it away.
    fn file_name(&self) -> FileName {
        FileName::Unknown
    }
    /// Returns figures since open.
    fn stats(&self) -> StoreStats;
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StoreError::Io { op, source } => write!(f, "{op} failed: {source}"),
            StoreError::Full { lane } => write!(f, "no free segment in lane {}", lane.0),
            StoreError::NameLost { file } => write!(
                f,
                "{file} is not at its path any more: it or its directory was removed or moved away, or the volume was unmounted"
            ),
            StoreError::Panicked { op } => {
                write!(f, "{op} panicked: the store is not used any more until the queue is opened again")
            }
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StoreError::Io { source, .. } => Some(source),
            StoreError::Full { .. } | StoreError::NameLost { .. } | StoreError::Panicked { .. } => None,
        }
    }
}
