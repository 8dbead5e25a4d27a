//! `edge-gateway parked`: asks the running gateway, by the socket in its state directory, about what the hub refuses.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a command: a socket, a file, the screen"
)]

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use edge_bridge::bridge::ByHandCount;
use edge_bridge::wire::validate_filter;

use crate::run::by_hand::{SOCKET, check_length};
use crate::run::by_hand_text::{InPlaceLine, ListLine, speaks_to_terminals};

/// `EX_UNAVAILABLE`: no gateway answers.
const UNAVAILABLE: u8 = 69;
/// For the next line. A drop says nothing until it has passed all that is parked.
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
        /// Only topics that this filter matches, as the hub sees them
        #[arg(long, value_name = "FILTER", value_parser = filter)]
        topic: Option<String>,
        /// Of every topic
        #[arg(long, conflicts_with = "topic", required_unless_present = "topic")]
        all: bool,
        #[command(flatten)]
        state: State,
    },
}

fn filter(text: &str) -> Result<String, String> {
    validate_filter(text).map_err(|error| format!("not a topic filter: {error}"))?;
    if text.contains(['\n', '\r']) || text.len() > 4_000 {
        return Err("at most 4000 bytes in one line".to_owned());
    }
    Ok(text.to_owned())
}

enum Failed {
    /// No gateway answers.
    Nobody(String),
    /// It answered otherwise.
    Answer(String),
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let done = match &arguments.verb {
        Verb::List { state } => list(&state.dir),
        Verb::Export { file, topics, state } => export(&state.dir, &topics.topic, file),
        Verb::Retry { topics, state } => say(&state.dir, &format!("retry {}", topics.topic)),
        Verb::Drop { topic, all: _, state } => {
            say(&state.dir, &format!("drop {}", topic.as_deref().unwrap_or("#")))
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed::Nobody(error)) => {
            eprintln!("edge-gateway: {}", printable(&error));
            ExitCode::from(UNAVAILABLE)
        }
        Err(Failed::Answer(error)) => {
            eprintln!("edge-gateway: {}", printable(&error));
            ExitCode::from(1)
        }
    }
}

/// Prints what the gateway says that it did.
fn say(state: &Path, request: &str) -> Result<(), Failed> {
    println!("{}", printable(&ask(state, request, |_| Ok(()))?));
    Ok(())
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
    let mut held = ByHandCount::default();
    let width = topics.iter().map(|topic| topic.topic.len()).max().unwrap_or(0).clamp(5, 60);
    if !topics.is_empty() {
        println!("{:width$}  {:>6}  {:>10}  {:>10}  REASON", "TOPIC", "HELD", "PARKED", "RETRY IN");
    }
    for topic in topics {
        let retry = topic.retry_in_ms.map_or("now".to_owned(), |ms| format!("{} s", ms.div_ceil(1_000)));
        let (name, reason) = (printable(&topic.topic), printable(&topic.reason));
        println!("{name:width$}  {:>6}  {:>10}  {retry:>10}  {reason}", topic.held, topic.parked);
        held.messages += topic.held as u64;
        held.readings += topic.held_readings;
    }
    if held.messages > 0 {
        println!("{held} held");
    }
    if let Some(InPlaceLine { in_place, why }) = in_place {
        let why = why.map_or_else(String::new, |why| format!(": {}", printable(&why)));
        println!("{in_place} wait in the queue, since they cannot be parked{why}");
    }
    if unlisted > 0 {
        println!("{unlisted} more: they are being tried, or no line knows their topic or reason yet");
    }
    println!("{}", printable(&parked));
    Ok(())
}

/// A topic comes from sensors: nothing in it may speak to a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if speaks_to_terminals(c) { '\u{fffd}' } else { c }).collect()
}

fn export(state: &Path, filter: &str, file: &Path) -> Result<(), Failed> {
    let failed = |error: io::Error| Failed::Answer(format!("{}: {error}", file.display()));
    if file == Path::new("-") {
        let mut out = io::stdout().lock();
        return ask(state, &format!("export {filter}"), |line| writeln!(out, "{line}")).map(|_| ());
    }
    let (reader, made) = (open(state)?, File::create(file).map_err(failed)?);
    let mut out = BufWriter::new(made);
    let done = ask_on(reader, &format!("export {filter}"), |line| writeln!(out, "{line}"));
    let whole = out.into_inner().map_err(|error| failed(error.into_error()))?.sync_all();
    let done = done.map_err(|error| match error {
        Failed::Answer(text) => Failed::Answer(format!("{} is not whole: {text}", file.display())),
        other => other,
    })?;
    whole.map_err(failed)?;
    println!("{} to {}", printable(&done), file.display());
    Ok(())
}

fn ask(state: &Path, request: &str, line: impl FnMut(&str) -> io::Result<()>) -> Result<String, Failed> {
    ask_on(open(state)?, request, line)
}

fn open(state: &Path) -> Result<UnixStream, Failed> {
    let path = state.join(SOCKET);
    let nobody = |error: io::Error| {
        Failed::Nobody(format!("no running gateway answers at {}: {error}", path.display()))
    };
    check_length(&path).map_err(nobody)?;
    UnixStream::connect(&path).map_err(nobody)
}

/// Gives every line of the answer but the last, and returns what that says was done.
fn ask_on(
    mut stream: UnixStream,
    request: &str,
    mut line: impl FnMut(&str) -> io::Result<()>,
) -> Result<String, Failed> {
    let broken = |error: io::Error| Failed::Answer(format!("the gateway's answer: {error}"));
    stream.set_read_timeout(Some(ANSWER_WITHIN)).map_err(broken)?;
    stream.write_all(format!("{request}\n").as_bytes()).map_err(broken)?;
    for text in BufReader::new(stream).lines() {
        let text = text.map_err(broken)?;
        if text.starts_with('{') {
            line(&text).map_err(broken)?;
        } else if let Some(done) = text.strip_prefix("ok ") {
            return Ok(done.to_owned());
        } else {
            return Err(Failed::Answer(text.strip_prefix("error ").unwrap_or(&text).to_owned()));
        }
    }
    Err(Failed::Answer("the gateway's answer ended early".to_owned()))
}
