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
    /// A failure that may not come again at a later start, or a reload that a start would make a loss: exit code 1.
    Failed(String),
}

impl Error {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Configuration(_) | Self::NeedsRestart(_) => 2,
            Self::Failed(_) => 1,
        }
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration(what) | Self::NeedsRestart(what) | Self::Failed(what) => f.write_str(what),
        }
    }
}
