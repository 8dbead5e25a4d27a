//! `edge-gateway parked`: lists, exports, retries and drops messages that the hub refuses, by a request to the running gateway over the socket in
//! its state directory.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a command: a socket, a file, the screen"
)]

use std::fmt::Write as _;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use edge_bridge::bridge::ByHandCount;
use edge_bridge::wire::validate_filter;

use super::control_client::{Failed, StateArguments, UNAVAILABLE, ask_on, open};
use super::export_file::ExportFile;
use crate::run::status::control_answers::{InPlaceLine, ListLine, TopicLine};
use crate::run::status::outputs::terminal::printable;

/// Time limit for the next line of the answer. A drop answers only after its pass over all parked rows.
const ANSWER_WITHIN: Duration = Duration::from_secs(600);

#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
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
    #[command(visible_alias = "ls")]
    List {
        #[command(flatten)]
        state: StateArguments,
    },
    /// Write what is refused to a file, as lines of JSON; removes nothing
    Export {
        /// File to be made; it must not be there. `-`: standard output, for a reader that keeps up: over a thin line export to a file, then copy
        /// that
        #[arg(value_name = "OUT")]
        out: PathBuf,
        #[command(flatten)]
        topics: Topics,
        #[command(flatten)]
        state: StateArguments,
    },
    /// Try what was refused now, and not only after its back-off
    Retry {
        #[command(flatten)]
        topics: Topics,
        #[command(flatten)]
        state: StateArguments,
    },
    /// Drop what is refused, for good; counted as `edge_dropped_total{reason="discarded"}`
    Drop {
        #[command(flatten)]
        dropped: Dropped,
        #[command(flatten)]
        state: StateArguments,
    },
}

/// Reads a topic filter that fits in a request's line.
pub(crate) fn filter(text: &str) -> Result<String, String> {
    validate_filter(text).map_err(|error| format!("not a topic filter: {error}"))?;
    if text.starts_with("$share/") {
        let own = text.splitn(3, '/').nth(2).unwrap_or_default();
        return Err(format!(
            "a shared subscription, which no topic matches: leave out $share and the group, \"{own}\""
        ));
    }
    if text.contains(['\n', '\r']) || text.len() > 4_000 {
        return Err("at most 4000 bytes in one line".to_owned());
    }
    Ok(text.to_owned())
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let (Verb::List { state }
    | Verb::Export { state, .. }
    | Verb::Retry { state, .. }
    | Verb::Drop { state, .. }) = &arguments.verb;
    let state = match state.dir() {
        Ok(state) => state,
        Err(text) => {
            text.lines().for_each(|line| edge_print::complain!("edge-gateway: {}", printable(line)));
            return ExitCode::from(2);
        }
    };
    let done = match &arguments.verb {
        Verb::List { .. } => list(&state),
        Verb::Export { out, topics, .. } => export(&state, &topics.topic, out),
        Verb::Retry { topics, .. } => say(&state, &format!("retry {}", topics.topic)),
        Verb::Drop { dropped, .. } => {
            say(&state, &format!("drop {}", dropped.topic.as_deref().unwrap_or("#")))
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

fn export(state: &Path, filter: &str, file: &Path) -> Result<(), Failed> {
    let failed = |error: io::Error| Failed::Answer(format!("{}: {error}", file.display()));
    if file == Path::new("-") {
        return export_to_reader(state, filter);
    }
    let reader = open(state)?;
    let mut out = ExportFile::create(file).map_err(failed)?;
    let mut has_come = false;
    let done = ask_on(reader, &format!("export {filter}"), ANSWER_WITHIN, |line| {
        has_come = true;
        out.write_line(line)
    });
    // What came is of use, also if it is not all. Where nothing came, an empty file would be taken for an export of nothing.
    if has_come || done.is_ok() {
        out.finish().map_err(failed)?;
    }
    let done = done.map_err(|error| match error {
        Failed::Answer(text) if has_come => {
            Failed::Answer(format!("{} is not whole: {text}", file.display()))
        }
        other => other,
    })?;
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

fn ask(state: &Path, request: &str, line: impl FnMut(&str) -> io::Result<()>) -> Result<String, Failed> {
    ask_on(open(state)?, request, ANSWER_WITHIN, line)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    /// A tap of such a filter would wait for messages that none can be.
    #[test]
    fn a_shared_subscription_is_no_filter_of_topics() {
        let told = filter("$share/g/plant/#").unwrap_err();
        assert!(told.contains("shared subscription") && told.ends_with("\"plant/#\""), "{told}");
        assert!(filter("$share/g").is_err() && filter("$SYS/#").is_ok() && filter("share/g/x").is_ok());
    }

    #[test]
    fn each_verb_finds_the_state_directory_as_other_commands_do() {
        let parse = |arguments: &[&str]| Line::try_parse_from([&["parked"], arguments].concat()).is_ok();
        for verb in [&["list"][..], &["retry"], &["drop", "--all"], &["export", "out"]] {
            for state in [&["gateway.toml"][..], &["--state", "s"], &["gateway.toml", "--state", "s"]] {
                assert!(parse(&[verb, state].concat()), "{verb:?} {state:?}");
            }
            assert!(!parse(verb), "{verb:?}");
        }
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
}
