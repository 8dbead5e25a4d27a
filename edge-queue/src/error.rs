//! Errors, one enum per family of calls, with the data a caller needs to act.

use std::fmt;
use std::io;

use crate::row::{Lane, Row};
use crate::store::StoreError;

/// Error of opening a queue. Damage is no such error, because damaged parts are quarantined and reported by [`Queue::events`](crate::Queue::events).
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process or handle has the queue open, and kept it for the second that an open waits: long enough for a
    /// process that was just killed to be gone.
    Busy,
    /// The files were written by a newer version of this crate.
    NewerFormat {
        /// Version found on disk.
        found: u32,
        /// Newest version this build knows.
        known: u32,
    },
    /// The queue is encrypted, and no key is given ([`Config::encryption`], feature `encryption`). Nothing was changed.
    ///
    #[cfg_attr(feature = "encryption", doc = "[`Config::encryption`]: crate::Config::encryption")]
    #[cfg_attr(not(feature = "encryption"), doc = "[`Config::encryption`]: crate#stores-and-features")]
    KeyMissing,
    /// The queue is encrypted with another key than the one that is given. Nothing was changed.
    WrongKey,
    /// A key is given, and the queue was made without one. Nothing was changed: drain it, or export its backlog and import it into a new queue.
    NotEncrypted,
    /// The file system has too little space. The ring store reserves its whole file when it is created or gets another lane: for
    /// each lane, twice its `max_bytes` and four segments ([`Config::disk_bytes`]).
    ///
    #[cfg_attr(feature = "ring", doc = "[`Config::disk_bytes`]: crate::Config::disk_bytes")]
    #[cfg_attr(not(feature = "ring"), doc = "[`Config::disk_bytes`]: crate#stores-and-features")]
    NoSpace {
        /// Bytes to be reserved; with redb, which reserves none, the least that would help.
        needed: u64,
        /// Bytes that the file system has free.
        free: u64,
        /// Name of the setter whose lower value would reserve less; `None` if no setter would.
        lower: Option<&'static str>,
    },
    /// The configuration contradicts itself or a limit.
    Config(ConfigError),
    /// The system refused a call.
    Io {
        /// Name of the call that failed.
        op: &'static str,
        /// Error of the operating system.
        source: io::Error,
    },
}

/// A configuration value outside its limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Name of the setter in [`Config`](crate::Config).
    pub key: &'static str,
    /// The given value and the allowed ones.
    pub problem: String,
}

/// Error of a push: the row was not stored.
#[derive(Debug)]
#[non_exhaustive]
pub enum PushError {
    /// The lane is full and the policy is `Reject`, or no row can be evicted, or too many bytes wait to be written.
    Full {
        /// The row, handed back.
        row: Box<Row>,
        /// The limit that was reached.
        limit: Limit,
        /// Messages or bytes of the limit; `None` where it has no figure of its own.
        most: Option<u64>,
    },
    /// The row alone is larger than a row may be.
    TooLarge {
        /// The row, handed back.
        row: Box<Row>,
        /// Most bytes of key, meta and payload together.
        limit: usize,
    },
    /// The row's weight alone is above the `max_messages` of its lane, so that no room would be enough.
    /// [`OnFull::DropNewest`](crate::OnFull::DropNewest) drops such a row instead.
    AboveLimit {
        /// The row, handed back.
        row: Box<Row>,
        /// Most messages of the lane.
        most: u64,
    },
    /// The queue has no such lane.
    NoSuchLane {
        /// The row, handed back.
        row: Box<Row>,
        /// Number of lanes in use.
        lanes: u8,
    },
    /// The queue was closed.
    Closed {
        /// The row, handed back.
        row: Box<Row>,
    },
}

/// Limit that a push reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// `max_messages` of the lane.
    Messages,
    /// `max_bytes` of the lane.
    Bytes,
    /// The lane's region of the file has no free segment; such losses count as `fragmented`.
    Region,
    /// `max_unwritten_bytes`, reached while the store fails and the policy is `Withhold`.
    Unwritten,
}

/// Error of a commit, or of a call that needs one: the commit did not reach the medium. Nothing is lost, because rows stay in RAM
/// and are written again; but for [`StoreError::Panicked`], after which nothing is written until the queue is opened anew.
#[derive(Debug)]
#[non_exhaustive]
pub enum CommitError {
    /// The store failed.
    Store(StoreError),
    /// The queue was closed before.
    Closed,
}

/// Error of registering or reading a consumer.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConsumerError {
    /// A name is 1 to `limit` bytes.
    Name {
        /// Longest name in bytes.
        limit: usize,
    },
    /// The limit of consumers is reached.
    TooMany {
        /// Most consumers a queue keeps.
        limit: usize,
    },
    /// The consumer was forgotten while this handle lived.
    Forgotten,
    /// The store failed in the registration or the read.
    Store(StoreError),
    /// The queue was closed.
    Closed,
}

impl PushError {
    /// Returns the row that was not stored.
    #[must_use]
    pub fn into_row(self) -> Row {
        match self {
            PushError::Full { row, .. }
            | PushError::TooLarge { row, .. }
            | PushError::AboveLimit { row, .. }
            | PushError::NoSuchLane { row, .. }
            | PushError::Closed { row } => *row,
        }
    }
}

impl OpenError {
    /// Returns the error of a lock that was refused: of the directory, or of the file that holds the rows.
    pub(crate) fn of_lock(source: io::Error) -> OpenError {
        match source.kind() {
            io::ErrorKind::WouldBlock => OpenError::Busy,
            _ => OpenError::Io { op: "lock", source },
        }
    }
}

/// Returns the words for a lane that a queue of `lanes` lanes does not have.
fn no_such_lane(lane: Lane, lanes: u8) -> String {
    match lanes.saturating_sub(1) {
        0 => format!("there is no lane {}: the only lane is 0", lane.0),
        last => format!("there is no lane {}: lanes are 0 to {last}", lane.0),
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Busy => f.write_str("another process or handle has this queue open"),
            OpenError::NewerFormat { found, known } => {
                write!(f, "format version {found} is newer than this build's {known}")
            }
            OpenError::KeyMissing => f.write_str("the queue is encrypted, and there is no key"),
            OpenError::WrongKey => f.write_str("the queue is encrypted with another key"),
            OpenError::NotEncrypted => f.write_str(
                "the queue was made without encryption and takes no key: drain it, or move its backlog into a new queue by \
                 `edge-queue export` and `import`",
            ),
            OpenError::NoSpace { needed, free, lower: Some(key) } => {
                write!(f, "the configuration reserves {needed} bytes on disk, {free} are free: lower {key}")
            }
            OpenError::NoSpace { needed, free, lower: None } => {
                write!(f, "{needed} bytes are needed on disk, {free} are free")
            }
            OpenError::Config(e) => e.fmt(f),
            OpenError::Io { op, source } => write!(f, "{op} failed: {source}"),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.problem)
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Limit::Messages => "max_messages",
            Limit::Bytes => "max_bytes",
            Limit::Region => "no free segment",
            Limit::Unwritten => "max_unwritten_bytes",
        })
    }
}

impl fmt::Display for PushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PushError::Full { row, limit, most } => {
                match row.lane {
                    Some(Lane(lane)) => write!(f, "lane {lane} is full ({limit}")?,
                    None => write!(f, "the last lane is full ({limit}")?,
                }
                most.map_or(Ok(()), |most| write!(f, " {most}"))?;
                f.write_str(")")
            }
            PushError::TooLarge { row, limit } => {
                let size = row.own_bytes();
                write!(f, "a row of {size} bytes is over the limit of {limit}")
            }
            PushError::AboveLimit { row, most } => {
                let weight = row.weight;
                write!(f, "a row of weight {weight} is above the limit of its lane (max_messages {most})")
            }
            PushError::NoSuchLane { row, lanes } => {
                f.write_str(&no_such_lane(row.lane.unwrap_or(Lane(0)), *lanes))
            }
            PushError::Closed { .. } => f.write_str("the queue is closed"),
        }
    }
}

impl fmt::Display for CommitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CommitError::Store(e) => write!(f, "not written yet: {e}"),
            CommitError::Closed => f.write_str("the queue is closed"),
        }
    }
}

impl fmt::Display for ConsumerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConsumerError::Name { limit } => write!(f, "a consumer's name has 1 to {limit} bytes"),
            ConsumerError::TooMany { limit } => write!(f, "a queue keeps at most {limit} consumers"),
            ConsumerError::Forgotten => f.write_str("the consumer was forgotten"),
            ConsumerError::Store(e) => e.fmt(f),
            ConsumerError::Closed => f.write_str("the queue is closed"),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            OpenError::Config(e) => Some(e),
            OpenError::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl std::error::Error for ConfigError {}
impl std::error::Error for PushError {}

impl std::error::Error for CommitError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            CommitError::Store(e) => Some(e),
            CommitError::Closed => None,
        }
    }
}

impl std::error::Error for ConsumerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ConsumerError::Store(e) => Some(e),
            _ => None,
        }
    }
}

impl From<CommitError> for ConsumerError {
    fn from(e: CommitError) -> ConsumerError {
        match e {
            CommitError::Store(e) => ConsumerError::Store(e),
            CommitError::Closed => ConsumerError::Closed,
        }
    }
}

impl From<ConfigError> for OpenError {
    fn from(e: ConfigError) -> OpenError {
        OpenError::Config(e)
    }
}
