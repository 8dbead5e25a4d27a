//! Import: makes a new queue of all that is intact in a stream, or after an error none, and only where there is none yet.
#![deny(clippy::indexing_slicing)]

use std::fmt;
use std::io::{self, Read};

use super::export::LaneTotals;
use super::staged::Staged;
use super::stream::{Item, Stream, StreamEnd, StreamError};
use crate::config::{Config, StoreKind};
use crate::engine::open_store;
use crate::error::{ConfigError, OpenError};
use crate::gap::Gap;
use crate::medium::Dir;
use crate::per_lane::PerLane;
use crate::row::{Lane, StoredRow};
use crate::shell::random_u64;
use crate::state::{Change, State};
use crate::store::{Store, StoreError};

/// Rows and bytes per commit.
const COMMIT_ROWS: usize = 4096;
const COMMIT_BYTES: u64 = 512 * 1024;
/// Most losses that are kept in [`Imported::gaps`]; a queue never has more.
const GAPS_KEPT: usize = 256;

/// Result of an import.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Imported {
    /// Gateway id of the new queue: the random number in its rows' identities.
    pub gateway: u64,
    /// Totals of each lane.
    pub lanes: PerLane<LaneTotals>,
    /// Losses that the old gateway's consumers had not reported yet: this gateway must report them.
    pub gaps: Vec<(String, Gap)>,
    /// Findings about the stream: where it came from, and what was missing of it.
    pub stream: StreamEnd,
}

impl Imported {
    /// Returns the number of rows over all lanes.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.rows).sum()
    }
}

/// Error of an import. Nothing was imported; the directory is as it was, but for the empty file `lock`, which stays because two
/// others could each lock a file if it were removed.
#[derive(Debug)]
#[non_exhaustive]
pub enum ImportError {
    /// There is a queue already; an import never adds to one.
    NotEmpty {
        /// Name of the file by which the queue was found.
        name: &'static str,
    },
    /// The stream cannot be read, or is no export.
    Stream(StreamError),
    /// The new queue cannot be made.
    Open(OpenError),
    /// The configuration has fewer lanes than the stream has rows in.
    NoSuchLane {
        /// The lane of a row.
        lane: Lane,
        /// Lanes of the configuration.
        lanes: u8,
    },
    /// A lane's limit is lower than what the stream brings for it.
    TooMuch {
        /// Lane whose limit is too low.
        lane: Lane,
    },
    /// A row is larger than a row may be.
    TooLarge {
        /// Bytes of the row's key, meta and payload.
        bytes: u64,
        /// Largest sum of the three, in bytes.
        limit: usize,
    },
    /// The rows could not be written.
    Store(StoreError),
    /// The finished file could not be given its name.
    Publish(io::Error),
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ImportError::NotEmpty { name } => write!(f, "the directory has a queue already: {name}"),
            ImportError::Stream(e) => e.fmt(f),
            ImportError::Open(e) => e.fmt(f),
            ImportError::NoSuchLane { lane, lanes } => {
                write!(f, "the stream has rows in lane {}, the new queue {lanes} lanes", lane.0)
            }
            ImportError::TooMuch { lane } => {
                write!(f, "lane {}: the stream brings more than the new queue's limits hold", lane.0)
            }
            ImportError::TooLarge { bytes, limit } => {
                write!(f, "a row of {bytes} bytes is over the limit of {limit}")
            }
            ImportError::Store(e) => e.fmt(f),
            ImportError::Publish(e) => write!(f, "the new queue cannot be given its name: {e}"),
        }
    }
}

impl std::error::Error for ImportError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ImportError::Stream(e) => Some(e),
            ImportError::Open(e) => Some(e),
            ImportError::Store(e) => Some(e),
            ImportError::Publish(e) => Some(e),
            _ => None,
        }
    }
}

/// Makes a queue with a new gateway id in `dir` from a stream, closed cleanly and ready to be opened. The configuration
/// gives store, lanes and limits. Of a damaged stream it takes what is whole; [`Imported::stream`] tells what is missing. A power
/// cut on the way leaves no queue.
///
/// # Errors
/// Nothing was imported: a queue is there already, limits or space do not suffice, the stream is none, a call failed.
pub fn import(dir: Box<dyn Dir>, config: &Config, input: impl Read) -> Result<Imported, ImportError> {
    import_changed(dir, config, input, |_| ())
}

/// Makes a queue as [`import`] does, of rows that `change` may change before they are stored: the application's bytes in [`StoredRow::meta`] may say
/// by what way a row came. Lane and size count as they are afterwards; position and epoch are those of the new queue.
///
/// # Errors
/// As [`import`].
pub fn import_changed(
    dir: Box<dyn Dir>,
    config: &Config,
    input: impl Read,
    mut change: impl FnMut(&mut StoredRow),
) -> Result<Imported, ImportError> {
    config.validate().map_err(|e| ImportError::Open(e.into()))?;
    let Some(name) = config.store_kind().files().first() else {
        let problem = "the memory store keeps nothing".to_owned();
        return Err(ImportError::Open(ConfigError { key: "store", problem }.into()));
    };
    let _guard = dir.lock("lock").map_err(|source| ImportError::Open(OpenError::of_lock(source)))?;
    let staged = Staged::new(dir);
    for &name in StoreKind::ON_DISK.iter().flat_map(|kind| kind.files()) {
        if staged.holds(name).map_err(|source| ImportError::Open(OpenError::Io { op: "open", source }))? {
            return Err(ImportError::NotEmpty { name });
        }
    }
    staged.discard_left_behind();
    let done = fill(&staged, config, input, &mut change).and_then(|imported| {
        staged.publish(name).map_err(ImportError::Publish)?;
        Ok(imported)
    });
    if done.is_err() {
        staged.discard_all();
    }
    done
}

fn fill(
    staged: &Staged,
    config: &Config,
    input: impl Read,
    change: &mut dyn FnMut(&mut StoredRow),
) -> Result<Imported, ImportError> {
    let options = config.store_options(random_u64(), 1);
    let opened = open_store(config, Box::new(staged.clone()), &options);
    let (store, found) = opened.map_err(ImportError::Open)?;
    let mut target = Target { store, config, state: found.state, rows: Vec::new(), bytes: 0 };
    let mut stream = Stream::new(input);
    let mut gaps = Vec::new();
    let mut lanes = PerLane::<LaneTotals>::default();
    while let Some(item) = stream.next_item().map_err(ImportError::Stream)? {
        match item {
            Item::Gap(consumer, gap) if gaps.len() < GAPS_KEPT => gaps.push((consumer, gap)),
            Item::Gap(..) => {}
            Item::Row(mut row) => {
                change(&mut row);
                if let Some(lane) = lanes.get_mut(usize::from(row.lane.0)) {
                    lane.add(&row);
                }
                target.push(row)?;
            }
        }
    }
    target.close().map_err(ImportError::Store)?;
    Ok(Imported { gateway: options.gateway, lanes, gaps, stream: *stream.end() })
}

/// The new store and what waits for its next commit.
struct Target<'a> {
    store: Box<dyn Store>,
    config: &'a Config,
    state: State,
    rows: Vec<StoredRow>,
    bytes: u64,
}

impl Target<'_> {
    fn push(&mut self, mut row: StoredRow) -> Result<(), ImportError> {
        let lanes = self.state.lanes;
        if row.lane.0 >= lanes {
            return Err(ImportError::NoSuchLane { lane: row.lane, lanes });
        }
        if self.rows.len() >= COMMIT_ROWS
            || self.bytes >= COMMIT_BYTES
            || self.rows.last().is_some_and(|last| last.lane != row.lane)
        {
            self.commit(None).map_err(ImportError::Store)?;
        }
        let limits = self.config.lane_limits(row.lane);
        let own = row.bytes().saturating_sub(crate::row::ROW_OVERHEAD_BYTES);
        if own > limits.row_bytes_max as u64 {
            return Err(ImportError::TooLarge { bytes: own, limit: limits.row_bytes_max });
        }
        let Some(lane) = self.state.lane.get_mut(usize::from(row.lane.0)) else { return Ok(()) };
        (row.seq, row.epoch) = (lane.next, self.state.epoch);
        lane.next = lane.next.saturating_add(1);
        lane.rows = lane.rows.saturating_add(1);
        lane.weight = lane.weight.saturating_add(u64::from(row.weight));
        lane.bytes = lane.bytes.saturating_add(row.bytes());
        if lane.bytes > limits.bytes || lane.weight > limits.messages {
            return Err(ImportError::TooMuch { lane: row.lane });
        }
        self.bytes = self.bytes.saturating_add(row.bytes());
        self.rows.push(row);
        Ok(())
    }

    fn commit(&mut self, last: Option<Change>) -> Result<(), StoreError> {
        let lanes = (0..self.state.lanes).map(Lane).zip(self.state.lane);
        let mut changes: Vec<Change> = lanes.map(|(lane, state)| Change::Lane { lane, state }).collect();
        changes.extend(last);
        self.store.append(&self.rows)?;
        self.store.commit(&changes, &self.state)?;
        self.rows.clear();
        self.bytes = 0;
        Ok(())
    }

    fn close(mut self) -> Result<(), StoreError> {
        self.commit(Some(Change::Closed))
    }
}
