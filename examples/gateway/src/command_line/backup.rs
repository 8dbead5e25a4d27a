//! `edge-gateway backup`: writes a copy of what waits in the running gateway's queue to a file, by a request over the socket in its state directory.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a command: a socket, a file, the screen"
)]

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use edge_queue::transfer::Stream;

use super::control_client::{Failed, open, state_dir, tell};
use super::export_file::ExportFile;
use crate::run::status::control_socket::backup::PIECE;
use crate::run::status::outputs::terminal::printable;

/// Time limit for the next piece of the answer. The gateway commits before the first one.
const PIECE_WITHIN: Duration = Duration::from_secs(60);

#[derive(Args)]
pub(crate) struct Arguments {
    /// File to be made, for `edge-gateway restore`
    #[arg(value_name = "OUT")]
    out: PathBuf,
    /// gateway.toml of the gateway, for its `[gateway] state`
    #[arg(required_unless_present = "state")]
    file: Option<PathBuf>,
    /// The state directory of the running gateway; wins over the file's
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let Arguments { out, file, state } = arguments;
    let state = state_dir(file.as_deref(), state.as_deref()).map_err(|text| (text, 2));
    let done = state.and_then(|state| copy(&state, out).map_err(Failed::with_code));
    tell(done.map(|done| format!("{} to {}\n", printable(&done), out.display())))
}

/// Takes the copy. Returns the gateway's summary. After an error there is no file.
fn copy(state: &Path, out: &Path) -> Result<String, Failed> {
    let gateway = open(state)?;
    let failed = |error: io::Error| Failed::Answer(format!("{}: {error}", out.display()));
    let mut file = ExportFile::create(out).map_err(failed)?;
    let done = received(gateway, &mut file)?;
    file.sync().and_then(check).map_err(failed)?;
    file.finish().map_err(failed)?;
    Ok(done)
}

/// Writes the pieces of the gateway's answer to the file. Returns its summary.
fn received(gateway: UnixStream, out: &mut ExportFile) -> Result<String, Failed> {
    let mut answer = pieces(gateway, "backup")?;
    while answer.next(out)? {}
    Ok(answer.done)
}

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

/// Reads the copy to its end.
///
/// # Errors
/// It is not whole.
fn check(out: &Path) -> io::Result<()> {
    let mut stream = Stream::new(BufReader::new(File::open(out)?));
    while stream.next_item().map_err(io::Error::other)?.is_some() {}
    if stream.end().is_whole() { Ok(()) } else { Err(io::Error::other("the copy is not whole")) }
}
