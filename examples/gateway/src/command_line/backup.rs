//! `edge-gateway backup`: writes a copy of what waits in the running gateway's queue to a file or to standard output, by a request over the socket in
//! its state directory.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a command: a socket, a file, the screen"
)]

use std::fs::File;
use std::io::{self, BufReader, IsTerminal, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::answer_in_pieces::pieces;
use super::control_client::{Failed, StateArguments, open, tell};
use super::export_file::{ExportFile, check_whole};
use crate::run::status::outputs::terminal::printable;

#[derive(Args)]
pub(crate) struct Arguments {
    /// File to be made, for `edge-gateway restore`. `-`: standard output
    #[arg(value_name = "OUT")]
    out: PathBuf,
    #[command(flatten)]
    gateway: StateArguments,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let Arguments { out, gateway } = arguments;
    let state = gateway.dir().map_err(|text| (text, 2));
    if out == Path::new("-") {
        let done = state.and_then(|state| copy_to_reader(&state).map_err(Failed::with_code));
        // Beside the copy, and not in it.
        return tell(done.map(|done| {
            edge_print::complain!("edge-gateway: {}", printable(&done));
            String::new()
        }));
    }
    let done = state.and_then(|state| copy(&state, out).map_err(Failed::with_code));
    tell(done.map(|done| format!("{} to {}\n", printable(&done), out.display())))
}

/// Takes the copy. Returns the gateway's summary. After an error there is no file.
fn copy(state: &Path, out: &Path) -> Result<String, Failed> {
    let gateway = open(state)?;
    let failed = |error: io::Error| Failed::Answer(format!("{}: {error}", out.display()));
    let mut file = ExportFile::create(out).map_err(failed)?;
    let done = received(gateway, &mut file)?;
    file.sync().and_then(|path| check_whole(BufReader::new(File::open(path)?), "copy")).map_err(failed)?;
    file.finish().map_err(failed)?;
    Ok(done)
}

/// Takes the copy to standard output, whose reader has to keep all of it. Returns the gateway's summary.
fn copy_to_reader(state: &Path) -> Result<String, Failed> {
    let mut out = io::stdout().lock();
    if out.is_terminal() {
        // It would change the bytes (`kubectl exec -t`), too.
        return Err(Failed::Answer("standard output is a terminal: send it to a file".to_owned()));
    }
    let done = received(open(state)?, &mut out)?;
    out.flush().map_err(|error| Failed::Answer(format!("the copy cannot be written: {error}")))?;
    Ok(done)
}

/// Writes the pieces of the gateway's answer. Returns its summary.
fn received(gateway: UnixStream, out: &mut impl Write) -> Result<String, Failed> {
    let mut answer = pieces(gateway, "backup")?;
    while answer.next(out)? {}
    Ok(answer.done)
}
