#![forbid(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]
#![allow(clippy::disallowed_methods, reason = "a shell: the files of a command line")]
//! Recorded readings as CSV files, in the dialects that historians, spreadsheets and gateways write.
//!
//! Plain or gzip, UTF-8 with or without a byte-order mark; cells at `,`, `;` or tabs, quoted or not (RFC 4180, within a line); a decimal
//! comma where the comma does not separate. Times are whole ms since 1970, another unit if the column's name ends in `_s`, `_us` or `_ns`
//! or [`Lines::time_unit`] says so, or RFC 3339, in UTC where no zone is given. [`Recording`] knows the layouts.

mod lines;
mod origins;
mod recording;
mod time_unit;
mod written_cell;

pub use edge_page::is_hidden;
pub use lines::{Cell, Lines, places};
pub use recording::{Column, Recording, Row};
pub use time_unit::TimeUnit;
pub use written_cell::{Field, Visible};

/// Error of a file or of one of its lines, with its place.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {what}")]
pub struct CsvError {
    place: String,
    what: String,
    /// Set if only one line is wrong, so that the next can be read.
    is_line: bool,
}

impl CsvError {
    fn file(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { place: place.into(), what: what.into(), is_line: false }
    }

    fn line(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { place: place.into(), what: what.into(), is_line: true }
    }
}
