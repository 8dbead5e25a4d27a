//! Standard error of the commands. If nobody reads it, that is no failure, because the exit code tells the outcome.

use std::fmt::Arguments;
use std::io::{Write, stderr};

/// Writes a line as `eprintln!` does, without its panic if nobody reads.
macro_rules! complain {
    ($($text:tt)*) => {
        $crate::standard_error::write(format_args!("{}\n", format_args!($($text)*)))
    };
}

pub(crate) use complain;

pub(crate) fn write(text: Arguments<'_>) {
    let _ = stderr().write_fmt(text);
}
