//! Answers of the running gateway that come in pieces, such as a copy of what waits in its queue.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a command: a socket")]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::control_client::Failed;
use crate::run::status::control_socket::backup::PIECE;

/// Time limit for the next piece of the answer. The gateway commits before the first one.
const PIECE_WITHIN: Duration = Duration::from_secs(60);

/// Answer that comes in pieces.
pub(super) struct Pieces {
    answer: BufReader<UnixStream>,
    /// The gateway's summary, once there are no more pieces.
    pub(super) done: String,
}

/// Sends a request that is answered in pieces.
pub(super) fn pieces(mut gateway: UnixStream, request: &str) -> Result<Pieces, Failed> {
    let broken = |error: io::Error| Failed::Answer(format!("the gateway's answer: {error}"));
    gateway.set_read_timeout(Some(PIECE_WITHIN)).map_err(broken)?;
    gateway.write_all(format!("{request}\n").as_bytes()).map_err(broken)?;
    Ok(Pieces { answer: BufReader::new(gateway), done: String::new() })
}

impl Pieces {
    /// Writes the next piece; `false` when there was none, but the summary.
    ///
    /// # Errors
    /// The gateway said one, its answer is incomplete, or `out` failed.
    pub(super) fn next(&mut self, out: &mut impl Write) -> Result<bool, Failed> {
        let broken = |error: io::Error| Failed::Answer(format!("the gateway's answer: {error}"));
        let wrote = |error: io::Error| Failed::Answer(format!("the copy cannot be written: {error}"));
        let mut line = String::new();
        self.answer.read_line(&mut line).map_err(broken)?;
        let (verb, rest) = line.trim_end().split_once(' ').unwrap_or((line.trim_end(), ""));
        match (verb, rest.parse()) {
            (PIECE, Ok(bytes)) => {
                let copied = io::copy(&mut self.answer.by_ref().take(bytes), out).map_err(wrote)?;
                if copied < bytes {
                    return Err(Failed::Answer("the gateway's answer ended early".to_owned()));
                }
                Ok(true)
            }
            ("ok", _) => {
                self.done = rest.to_owned();
                Ok(false)
            }
            ("error", _) => Err(Failed::Answer(rest.to_owned())),
            ("", _) => Err(Failed::Answer("the gateway's answer ended early".to_owned())),
            _ => Err(Failed::Answer(format!("the gateway's answer: {}", line.trim_end()))),
        }
    }
}
