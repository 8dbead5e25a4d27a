//! `edge-gateway parked`: lists, exports, retries and drops messages that the hub refuses, by a request to the running gateway over the socket in
//! its state directory.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a command: a socket, a file, the screen"
)]

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use edge_bridge::bridge::ByHandCount;
use edge_bridge::wire::validate_filter;

use super::control_client::{Failed, UNAVAILABLE, ask_on, open};
use crate::run::status::control_answers::{InPlaceLine, ListLine, TopicLine, speaks_to_terminals};

/// Mode of an exported file, so that only its owner can read it whatever the umask is.
const MODE: u32 = 0o600;
/// Time limit for the next line of the answer. A drop answers only after its pass over all parked rows.
const ANSWER_WITHIN: Duration = Duration::from_secs(600);

#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Args)]
struct State {
    /// The state directory of the running gateway
    #[arg(long = "state", value_name = "DIR")]
    dir: PathBuf,
}

#[derive(Args)]
struct Topics {
    /// Only topics that this filter matches, as the hub sees them
    #[arg(long, value_name = "FILTER", default_value = "#", value_parser = filter)]
    topic: String,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Dropped {
    /// Only topics that this filter matches, as the hub sees them
    #[arg(long, value_name = "FILTER", value_parser = filter)]
    topic: Option<String>,
    /// Of every topic
    #[arg(long)]
    all: bool,
}

#[derive(Subcommand)]
enum Verb {
    /// Show the topics that the hub refuses, and how much is parked
    List {
        #[command(flatten)]
        state: State,
    },
    /// Write what is refused to a file, as lines of JSON; removes nothing
    Export {
        /// `-`: standard output
        file: PathBuf,
        #[command(flatten)]
        topics: Topics,
        #[command(flatten)]
        state: State,
    },
    /// Try what was refused now, and not only after its back-off
    Retry {
        #[command(flatten)]
        topics: Topics,
        #[command(flatten)]
        state: State,
    },
    /// Drop what is refused, for good; counted as `edge_dropped_total{reason="discarded"}`
    Drop {
        #[command(flatten)]
        dropped: Dropped,
        #[command(flatten)]
        state: State,
    },
}

/// Reads a topic filter that fits in a request's line.
pub(crate) fn filter(text: &str) -> Result<String, String> {
    validate_filter(text).map_err(|error| format!("not a topic filter: {error}"))?;
    if text.contains(['\n', '\r']) || text.len() > 4_000 {
        return Err("at most 4000 bytes in one line".to_owned());
    }
    Ok(text.to_owned())
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let done = match &arguments.verb {
        Verb::List { state } => list(&state.dir),
        Verb::Export { file, topics, state } => export(&state.dir, &topics.topic, file),
        Verb::Retry { topics, state } => say(&state.dir, &format!("retry {}", topics.topic)),
        Verb::Drop { dropped, state } => {
            say(&state.dir, &format!("drop {}", dropped.topic.as_deref().unwrap_or("#")))
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed::Nobody(error)) => {
            edge_print::complain!("edge-gateway: {}", printable(&error));
            ExitCode::from(UNAVAILABLE)
        }
        Err(Failed::Answer(error)) => {
            edge_print::complain!("edge-gateway: {}", printable(&error));
            ExitCode::from(1)
        }
    }
}

/// Sends a request, and prints the gateway's summary.
fn say(state: &Path, request: &str) -> Result<(), Failed> {
    let done = ask(state, request, |_| Ok(()))?;
    print(&format!("{}\n", printable(&done)))
}

fn print(text: &str) -> Result<(), Failed> {
    edge_print::print(text).map_err(|error| Failed::Answer(error.to_string()))
}

fn list(state: &Path) -> Result<(), Failed> {
    let (mut topics, mut in_place, mut unlisted) = (Vec::new(), None, 0);
    let parked = ask(state, "list", |line| {
        match serde_json::from_str(line)? {
            ListLine::Topic(topic) => topics.push(topic),
            ListLine::InPlace(rest) => in_place = Some(rest),
            ListLine::Unlisted(rest) => unlisted = rest.unlisted,
        }
        Ok(())
    })?;
    let mut text = table(topics);
    // Writing to a text does not fail.
    if let Some(InPlaceLine { in_place, why }) = in_place {
        let why = why.map_or_else(String::new, |why| format!(": {}", printable(&why)));
        let _ = writeln!(text, "{in_place} wait in the queue, since they cannot be parked{why}");
    }
    if unlisted > 0 {
        let _ = writeln!(
            text,
            "{unlisted} more: they are being tried, or no line knows their topic or reason yet"
        );
    }
    let _ = writeln!(text, "{}", printable(&parked));
    print(&text)
}

/// Returns a line for each topic, and one for the messages held in RAM of all topics.
fn table(topics: Vec<TopicLine>) -> String {
    let (mut text, mut held) = (String::new(), ByHandCount::default());
    let width = topics.iter().map(|topic| topic.topic.len()).max().unwrap_or(0).clamp(5, 60);
    if !topics.is_empty() {
        let _ =
            writeln!(text, "{:width$}  {:>6}  {:>10}  {:>10}  REASON", "TOPIC", "HELD", "PARKED", "RETRY IN");
    }
    for topic in topics {
        let retry = topic.retry_in_ms.map_or("now".to_owned(), |ms| format!("{} s", ms.div_ceil(1_000)));
        let (name, reason) = (printable(&topic.topic), printable(&topic.reason));
        let _ =
            writeln!(text, "{name:width$}  {:>6}  {:>10}  {retry:>10}  {reason}", topic.held, topic.parked);
        held.messages += topic.held as u64;
        held.readings += topic.held_readings;
    }
    if held.messages > 0 {
        let _ = writeln!(text, "{held} held");
    }
    text
}

/// Returns the text with control characters replaced, because topics come from sensors and a terminal would obey them.
fn printable(text: &str) -> String {
    text.chars().map(|c| if speaks_to_terminals(c) { '\u{fffd}' } else { c }).collect()
}

fn export(state: &Path, filter: &str, file: &Path) -> Result<(), Failed> {
    let failed = |error: io::Error| Failed::Answer(format!("{}: {error}", file.display()));
    if file == Path::new("-") {
        return export_to_reader(state, filter);
    }
    let (reader, made) = (open(state)?, create(file).map_err(failed)?);
    let mut out = BufWriter::new(made);
    let done = ask_on(reader, &format!("export {filter}"), ANSWER_WITHIN, |line| writeln!(out, "{line}"));
    let whole = out.into_inner().map_err(|error| failed(error.into_error()))?.sync_all();
    let done = done.map_err(|error| match error {
        Failed::Answer(text) => Failed::Answer(format!("{} is not whole: {text}", file.display())),
        other => other,
    })?;
    whole.map_err(failed)?;
    print(&format!("{} to {}\n", printable(&done), file.display()))
}

/// Exports to standard output, until the end or until its reader closes the pipe.
fn export_to_reader(state: &Path, filter: &str) -> Result<(), Failed> {
    let (mut out, mut has_reader) = (io::stdout().lock(), true);
    let done = ask(state, &format!("export {filter}"), |line| {
        let written = io::Write::write_fmt(&mut out, format_args!("{line}\n"));
        has_reader = !written.as_ref().is_err_and(|error| error.kind() == ErrorKind::BrokenPipe);
        written
    });
    if has_reader { done.map(|_| ()) } else { Ok(()) }
}

/// Creates a file that only its owner can read. An existing regular file is replaced; a symbolic link is not followed.
fn create(path: &Path) -> io::Result<File> {
    match fs::symlink_metadata(path) {
        Ok(there) if there.is_file() => fs::remove_file(path)?,
        Ok(_) => return Err(io::Error::new(ErrorKind::AlreadyExists, "it is there, and no regular file")),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(path)?;
    // A file system without modes refuses; what its mount allows is all there is.
    let _as_mounted = file.set_permissions(Permissions::from_mode(MODE));
    Ok(file)
}

fn ask(state: &Path, request: &str, line: impl FnMut(&str) -> io::Result<()>) -> Result<String, Failed> {
    ask_on(open(state)?, request, ANSWER_WITHIN, line)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    #[test]
    fn a_drop_that_names_nothing_is_told_both_ways() {
        let parse = |arguments: &[&str]| {
            let line = [&["parked", "drop", "--state", "s"], arguments].concat();
            Line::try_parse_from(line).map(drop).map_err(|error| error.to_string())
        };
        for arguments in [&[][..], &["--all", "--topic", "a"]] {
            let told = parse(arguments).unwrap_err();
            let usage = told.lines().find(|line| line.starts_with("Usage: ")).unwrap();
            assert!(usage.contains("<--topic <FILTER>|--all>"), "{told}");
        }
        assert_eq!((parse(&["--all"]), parse(&["--topic", "a/#"])), (Ok(()), Ok(())));
    }

    /// Readings are their owner's alone, as in the queue; and nobody has a file written through a link of theirs.
    #[test]
    fn an_export_is_its_owners_alone_and_follows_no_link() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("f"), dir.path().join("other"));
        fs::write(&path, "of an earlier export").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        for _ in 0..2 {
            create(&path).unwrap().write_all(b"x").unwrap();
            let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            assert_eq!((mode, fs::read(&path).unwrap()), (0o600, b"x".to_vec()));
            fs::remove_file(&path).unwrap();
        }
        fs::write(&other, "precious").unwrap();
        symlink(&other, &path).unwrap();
        create(&path).unwrap_err();
        create(dir.path()).unwrap_err();
        assert_eq!(fs::read(&other).unwrap(), b"precious");
        assert!(fs::symlink_metadata(&path).unwrap().is_symlink(), "it is not ours to remove");
    }
}
