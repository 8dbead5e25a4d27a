//! Commands of the `edge-queue` binary, in process: each takes a directory, and the key of an encrypted queue, and writes its report.
//!
//! All but [`import`] only read; see [`inspect`](crate::inspect).

mod check;
mod dump;
mod queue_dir;
mod stats;
mod transfer;
mod words;

use std::fmt;
use std::io;

pub use check::check;
pub use dump::{Dump, Payload, dump};
pub use queue_dir::QueueDir;
pub use stats::stats;
pub use transfer::{export, import, salvage};

use crate::error::OpenError;
use crate::inspect::{InspectError, Inspection};
use crate::transfer::{ImportError, StreamError};

fn inspect(queue: QueueDir) -> Result<Inspection, InspectError> {
    Inspection::open_with(queue.dir, queue.key.as_ref())
}

/// Outcome of a complete command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing is damaged or missing.
    Clean,
    /// Something is damaged or missing; the command did the rest nevertheless.
    Damage,
}

impl Outcome {
    fn of(clean: bool) -> Outcome {
        if clean { Outcome::Clean } else { Outcome::Damage }
    }
}

/// Error of an incomplete command.
#[derive(Debug)]
#[non_exhaustive]
pub enum ToolError {
    /// The directory cannot be inspected.
    Inspect(InspectError),
    /// The stream cannot be read.
    Stream(StreamError),
    /// The stream was not imported.
    Import(ImportError),
    /// The answer cannot be written.
    Write(io::Error),
}

impl ToolError {
    /// Returns whether the command line is at fault, such as a directory without a queue, or another queue's key.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            ToolError::Inspect(
                InspectError::NoQueue
                    | InspectError::Open(
                        OpenError::KeyMissing | OpenError::WrongKey | OpenError::NotEncrypted
                    )
            ) | ToolError::Stream(StreamError::NoExport)
                | ToolError::Import(ImportError::NotEmpty { .. })
        )
    }
}

impl fmt::Display for ToolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ToolError::Inspect(e) => e.fmt(f),
            ToolError::Stream(e) => e.fmt(f),
            ToolError::Import(e) => e.fmt(f),
            ToolError::Write(e) => write!(f, "the answer cannot be written: {e}"),
        }
    }
}

impl std::error::Error for ToolError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ToolError::Inspect(e) => Some(e),
            ToolError::Stream(e) => Some(e),
            ToolError::Import(e) => Some(e),
            ToolError::Write(e) => Some(e),
        }
    }
}

impl From<InspectError> for ToolError {
    fn from(e: InspectError) -> ToolError {
        ToolError::Inspect(e)
    }
}

impl From<StreamError> for ToolError {
    fn from(e: StreamError) -> ToolError {
        ToolError::Stream(e)
    }
}

impl From<ImportError> for ToolError {
    fn from(e: ImportError) -> ToolError {
        ToolError::Import(e)
    }
}

impl From<io::Error> for ToolError {
    fn from(e: io::Error) -> ToolError {
        ToolError::Write(e)
    }
}
