#![forbid(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]
//! Standard output and standard error of the programs. A reader that goes away, such as `head`, ends nothing: no thread panics for it, as in
//! `println!`, and no exit code tells of it. Errors are written with their causes.

use std::error::Error;
use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};

/// Writes an answer to standard output. That nobody reads it is no failure.
///
/// # Errors
/// It cannot be written, as on a full disk; the error names standard output.
pub fn print(text: &str) -> io::Result<()> {
    print_to(&mut io::stdout(), text)
}

fn print_to(out: &mut impl Write, text: &str) -> io::Result<()> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(io::Error::new(error.kind(), format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes a line to standard output as `println!` does, for a program that goes on whatever becomes of it.
#[macro_export]
macro_rules! say {
    ($($text:tt)*) => {
        $crate::write_output(::std::format_args!("{}\n", ::std::format_args!($($text)*)))
    };
}

/// Writes a line to standard error as `eprintln!` does. That it cannot be written is no failure, because the exit code tells the outcome.
#[macro_export]
macro_rules! complain {
    ($($text:tt)*) => {
        $crate::write_error(::std::format_args!("{}\n", ::std::format_args!($($text)*)))
    };
}

/// Writes text to standard output, in one piece as far as it goes.
pub fn write_output(text: Arguments<'_>) {
    let _ = io::stdout().write_fmt(text);
}

/// Writes text to standard error, in one piece.
pub fn write_error(text: Arguments<'_>) {
    write_in_one_piece(&mut io::stderr(), text);
}

/// Writes text to a stream without a buffer: it would get each part of it, down to a character, in a call of its own.
fn write_in_one_piece(out: &mut impl Write, text: Arguments<'_>) {
    let _ = out.write_all(text.to_string().as_bytes());
}

/// Returns an error with its causes, in one line: some say no more than that they have one. A cause that is told already is left out.
pub fn in_full(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |cause| (*cause).source()) {
        let why = cause.to_string();
        if !text.contains(&why) {
            text = format!("{text}: {why}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Refuses everything.
    struct Refusing(ErrorKind);

    impl Write for Refusing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Counts the calls.
    struct Counting(usize);

    impl Write for Counting {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += 1;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Error that tells its cause itself, or leaves that to whoever prints it.
    #[derive(Debug)]
    struct Caused {
        text: &'static str,
        cause: io::Error,
    }

    impl std::fmt::Display for Caused {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(self.text)
        }
    }

    impl Error for Caused {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.cause)
        }
    }

    #[test]
    fn each_cause_of_an_error_is_told_once() {
        for text in ["no answer", "no answer: reset"] {
            let error = Caused { text, cause: io::Error::other("reset") };
            assert_eq!(in_full(&error), "no answer: reset");
        }
    }

    #[test]
    fn a_line_of_many_parts_is_one_write() {
        let mut out = Counting(0);
        write_in_one_piece(&mut out, format_args!("{}: {:?} {}\n", 1, "a\nb", 'c'));
        assert_eq!(out.0, 1);
    }

    #[test]
    fn a_reader_that_is_gone_is_no_failure_and_a_full_disk_is_one() {
        let mut written = Vec::new();
        print_to(&mut written, "a\n").unwrap();
        assert_eq!(written, b"a\n");
        print_to(&mut Refusing(ErrorKind::BrokenPipe), "a\n").unwrap();
        let full = print_to(&mut Refusing(ErrorKind::StorageFull), "a\n").unwrap_err();
        assert!(full.to_string().starts_with("standard output: "), "{full}");
    }
}
