//! Errors, each with the place where it occurred.

use std::fmt;
use std::path::Path;

#[derive(Debug)]
pub(crate) enum Error {
    /// A file cannot be read or written, or a row cannot be understood.
    Data(String),
    /// The rules or the case ask for what is not there.
    Config(String),
}

impl Error {
    pub(crate) fn io(file: &Path, what: &str, error: &std::io::Error) -> Self {
        Error::Data(format!("{}: cannot {what}: {error}", file.display()))
    }
}

impl From<edge_csv::CsvError> for Error {
    fn from(error: edge_csv::CsvError) -> Self {
        Error::Data(error.to_string())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Data(text) | Error::Config(text) => f.write_str(text),
        }
    }
}
