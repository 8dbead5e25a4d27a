#![forbid(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]
#![allow(clippy::disallowed_methods, reason = "a command line program opens the files it is given")]
//! `edge-queue`: look into a queue's directory, move a backlog to another gateway.
//!
//! Exit codes: 0 done and clean, 1 damage was found or something failed, 2 the command line is wrong.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, BufWriter, ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use edge_queue::inspect::InspectError;
use edge_queue::medium::Dir;
use edge_queue::medium::os::OsDir;
use edge_queue::tools::{self, Dump, Outcome, Payload, QueueDir, ToolError};
use edge_queue::{Clock, Key, Lane, OpenError, Seq, StoreKind, SystemClock};

/// Most bytes that are read of a key file.
const KEY_FILE_MAX: u64 = 4096;

#[derive(Parser)]
#[command(
    name = "edge-queue",
    version,
    about = "Look into a queue's directory, move a backlog to another gateway.",
    after_help = "DIR is refused while a queue runs in it. Only import writes into DIR, and only when there is no queue in it."
)]
pub(crate) struct Arguments {
    /// Key of an encrypted queue: 32 bytes, or 64 hexadecimal digits, or base64
    #[arg(long, global = true, value_name = "FILE")]
    key_file: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Read every row and say what is damaged
    Check {
        /// Directory of a queue: a gateway's --state
        dir: PathBuf,
        /// One JSON object instead of text
        #[arg(long)]
        json: bool,
    },
    /// Rows that wait, since when, for whom
    Stats {
        /// Directory of a queue: a gateway's --state
        dir: PathBuf,
        /// One JSON object instead of text
        #[arg(long)]
        json: bool,
    },
    /// Everything that waits, one JSON object per line
    Dump {
        /// Directory of a queue: a gateway's --state
        dir: PathBuf,
        /// Show one lane only
        #[arg(long, value_parser = clap::value_parser!(u8).range(0..4))]
        lane: Option<u8>,
        /// Rows from this number on
        #[arg(long, default_value_t = 1)]
        from: Seq,
        /// Show this many rows at most
        #[arg(long)]
        limit: Option<u64>,
        /// Encoding of the payloads in the output
        #[arg(long, value_enum, default_value_t = Show::Text)]
        payload: Show,
    },
    /// Write everything that waits into a file for another gateway; consumes nothing. Of a running gateway: edge-gateway backup
    Export {
        /// Directory of a queue: a gateway's --state
        dir: PathBuf,
        /// File to be made
        out: PathBuf,
    },
    /// Make a queue with a new gateway id from an exported file
    Import {
        /// File an export or a salvage made
        input: PathBuf,
        /// Directory without a queue; made when it is not there
        dir: PathBuf,
        /// The store of the new queue
        #[arg(long, value_enum, default_value_t = Store::Ring)]
        store: Store,
    },
    /// Like export, for a store that is badly damaged: whatever can be read
    Salvage {
        /// Directory of a queue: a gateway's --state
        dir: PathBuf,
        /// File to be made
        out: PathBuf,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Show {
    /// As text where they are UTF-8, else in base64
    Text,
    Base64,
    None,
}

#[derive(Clone, Copy, ValueEnum)]
enum Store {
    Ring,
    Redb,
}

/// Early end of a command.
enum Failure {
    Tool(ToolError),
    /// A path on the command line cannot be used.
    Path(PathBuf, io::Error),
    /// A queue runs in the directory that was to be exported.
    Runs(OpenError),
}

impl<E: Into<ToolError>> From<E> for Failure {
    fn from(e: E) -> Failure {
        Failure::Tool(e.into())
    }
}

fn main() -> ExitCode {
    silence_redb();
    match run(Arguments::parse()) {
        Ok(Outcome::Clean) => ExitCode::SUCCESS,
        Ok(Outcome::Damage) => ExitCode::from(1),
        // The reader has seen enough.
        Err(Failure::Tool(ToolError::Write(e))) if e.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(Failure::Tool(error)) => {
            complain(format_args!("{error}"));
            ExitCode::from(if error.is_usage() { 2 } else { 1 })
        }
        Err(Failure::Runs(error)) => {
            complain(format_args!(
                "{error}: what waits in a running gateway is copied by `edge-gateway backup OUT --state DIR`"
            ));
            ExitCode::from(1)
        }
        Err(Failure::Path(path, error)) => {
            complain(format_args!("{}: {error}", path.display()));
            ExitCode::from(2)
        }
    }
}

/// Writes a line on standard error; a closed standard error is no failure.
fn complain(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "edge-queue: {line}");
}

fn run(Arguments { key_file, command }: Arguments) -> Result<Outcome, Failure> {
    let key = key_file.map(read_key).transpose()?;
    let look = |dir: &Path| look(dir, key.clone());
    let mut out = BufWriter::new(io::stdout().lock());
    let outcome = match command {
        Command::Check { dir, json } => tools::check(look(&dir)?, json, &mut out)?,
        Command::Stats { dir, json } => tools::stats(look(&dir)?, json, &SystemClock::new().now(), &mut out)?,
        Command::Dump { dir, lane, from, limit, payload } => {
            let payload = match payload {
                Show::Text => Payload::Text,
                Show::Base64 => Payload::Base64,
                Show::None => Payload::None,
            };
            let what = Dump { lane: lane.map(Lane), from, limit: limit.unwrap_or(u64::MAX), payload };
            tools::dump(look(&dir)?, &what, &mut out)?
        }
        Command::Export { dir, out: file } => {
            let dir = look(&dir)?;
            into_file(&file, |stream| tools::export(dir, stream, &mut out)).map_err(names_the_live_way)?
        }
        Command::Salvage { dir, out: file } => {
            let dir = look(&dir)?;
            into_file(&file, |stream| tools::salvage(dir, stream, &mut out))?
        }
        Command::Import { input, dir, store } => {
            let stream = File::open(&input).map_err(|e| Failure::Path(input, e))?;
            let kind = match store {
                Store::Ring => StoreKind::Ring,
                Store::Redb => StoreKind::Redb,
            };
            let dir = OsDir::new(&dir).map_err(|e| Failure::Path(dir, e))?;
            tools::import(stream, queue_dir(Box::new(dir), key.clone()), kind, &mut out)?
        }
    };
    out.flush()?;
    Ok(outcome)
}

/// Turns a busy queue into a failure that says by what a running gateway is exported.
fn names_the_live_way(failure: Failure) -> Failure {
    match failure {
        Failure::Tool(ToolError::Inspect(InspectError::Open(busy @ OpenError::Busy))) => Failure::Runs(busy),
        other => other,
    }
}

fn look(dir: &Path, key: Option<Key>) -> Result<QueueDir, Failure> {
    let found = OsDir::read_only(dir).map_err(|e| Failure::Path(dir.to_owned(), e))?;
    Ok(queue_dir(Box::new(found), key))
}

fn queue_dir(dir: Box<dyn Dir>, key: Option<Key>) -> QueueDir {
    match key {
        Some(key) => QueueDir::encrypted(dir, key),
        None => dir.into(),
    }
}

/// Reads a key file of at most a few lines.
fn read_key(path: PathBuf) -> Result<Key, Failure> {
    let mut content = Vec::new();
    let read = File::open(&path).and_then(|file| file.take(KEY_FILE_MAX).read_to_end(&mut content));
    let key = read.and_then(|_| Key::from_content(&content).map_err(io::Error::other));
    key.map_err(|e| Failure::Path(path, e))
}

/// Writes a new file, durable at the end, and removes it if `write` fails.
fn into_file(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<Outcome, ToolError>,
) -> Result<Outcome, Failure> {
    // Payloads are the owner's alone, whatever the umask allows.
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let file = opened.map_err(|e| Failure::Path(path.to_owned(), e))?;
    // A file system without modes refuses; what its mount allows is all there is.
    let _as_mounted = file.set_permissions(Permissions::from_mode(0o600));
    let mut stream = BufWriter::new(&file);
    let done = write(&mut stream).and_then(|outcome| {
        stream.flush()?;
        file.sync_all()?;
        Ok(outcome)
    });
    if done.is_err() {
        let _best_effort = std::fs::remove_file(path);
    }
    Ok(done?)
}

/// Keeps redb's panics on damaged pages off the terminal, since they are caught and reported as damage.
fn silence_redb() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !panic.location().is_some_and(|place| place.file().contains("redb")) {
            usual(panic);
        }
    }));
}
