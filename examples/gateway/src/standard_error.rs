//! Standard error of the commands. That nobody reads it is no failure: the exit code says what there is to say.

use std::fmt::Arguments;
use std::io::{Write, stderr};

/// Writes a line, as `eprintln!`, which panics where nobody reads.
macro_rules! complain {
    ($($text:tt)*) => {
        $crate::standard_error::write(format_args!("{}\n", format_args!($($text)*)))
    };
}

pub(crate) use complain;

pub(crate) fn write(text: Arguments<'_>) {
    let _ = stderr().write_fmt(text);
}
