//! Errors of the gateway: of its start, its run, and a reload; with exit codes.

use std::fmt;

/// Name within the crate, which has errors of many parts.
pub(crate) use Error as RunError;

/// Error of the gateway, in words for whoever started it.
#[derive(Debug)]
pub enum Error {
    /// The configuration or the command line asks for something impossible: exit code 2.
    Configuration(String),
    /// A reload cannot apply the change, which is valid: what was in force goes on, until the gateway is stopped and started with the new settings.
    /// Only [`Gateway::reload`](crate::Gateway::reload) has this error.
    NeedsRestart(String),
    /// Messages wait in the queue, and `[queue] lanes` names other lanes than theirs: exit code 2. The queue stays as it is.
    QueueLanes(String),
    /// The queue has another key than `[queue] key_file`, or one of both has none: exit code 1. The queue stays as it is.
    QueueKey(String),
    /// A failure that may not come again at a later start, or a reload that a start would make a loss: exit code 1.
    Failed(String),
}

impl Error {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Configuration(_) | Self::NeedsRestart(_) | Self::QueueLanes(_) => 2,
            Self::QueueKey(_) | Self::Failed(_) => 1,
        }
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration(what)
            | Self::NeedsRestart(what)
            | Self::QueueLanes(what)
            | Self::QueueKey(what)
            | Self::Failed(what) => f.write_str(what),
        }
    }
}
