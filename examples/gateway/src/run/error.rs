//! Reasons why the gateway does not run.

use std::fmt;

/// In words for the person who started it.
#[derive(Debug)]
pub enum RunError {
    /// The configuration or the command line asks for what cannot be: exit code 2.
    Configuration(String),
    /// It could not be done now: exit code 1.
    Failed(String),
}

impl RunError {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Configuration(_) => 2,
            Self::Failed(_) => 1,
        }
    }
}

impl std::error::Error for RunError {}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration(what) | Self::Failed(what) => f.write_str(what),
        }
    }
}
