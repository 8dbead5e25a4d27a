//! `edge-gateway status`: requests the status of the running gateway, by the socket in its state directory, and prints it as text, as JSON, or as
//! a monitoring check.

#![allow(clippy::disallowed_methods, reason = "a command: a socket, the screen, a pause between two looks")]

use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::control_client::{Failed, StateArguments, UNAVAILABLE, ask_on, open};
use super::screen;
use super::screen::Redrawn;
use crate::run::status::outputs::nagios::{self, Service};
use crate::run::status::outputs::terminal::{printable, terminal};
use crate::run::status::snapshot::{Snapshot, VERSION};

/// Time limit of the gateway's answer; the gateway itself waits up to three seconds for its queue.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Period of the requests of `--watch`.
const EVERY: Duration = Duration::from_secs(2);
/// Exit code if the configuration is wrong, or no gateway is named.
const CONFIGURATION: u8 = 2;

#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    gateway: StateArguments,
    /// Look again every two seconds, until it is stopped
    #[arg(long)]
    watch: bool,
    /// The whole answer as one line of JSON
    #[arg(long)]
    json: bool,
    /// One line with performance data and the exit codes 0 to 3, as Nagios and its kin want it
    #[arg(long, conflicts_with_all = ["watch", "json"])]
    nagios: bool,
}

/// Reason why there is no status to print.
enum Trouble {
    Configuration(String),
    Gateway(Failed),
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let state = match arguments.gateway.dir() {
        Ok(state) => state,
        Err(text) => return trouble(arguments, &Trouble::Configuration(text)),
    };
    let mut screen = Screen::new(arguments);
    loop {
        let answer = ask(&state);
        let code = match &answer {
            Ok((json, snapshot)) => match screen.show(json, snapshot) {
                Ok(()) => exit_code(arguments, snapshot),
                // A reader that has seen enough.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
                Err(error) => {
                    edge_print::complain!("edge-gateway: standard output: {error}");
                    return ExitCode::FAILURE;
                }
            },
            Err(_) => ExitCode::SUCCESS,
        };
        if let Err(failed) = answer {
            // Somebody who watches wants to see that it comes back.
            screen.forget();
            let code = trouble(arguments, &Trouble::Gateway(failed));
            if !arguments.watch {
                return code;
            }
        } else if !arguments.watch {
            return code;
        }
        std::thread::sleep(EVERY);
    }
}

/// Requests the status once. Returns the answer as its line of JSON, and decoded.
pub(crate) fn ask(state: &Path) -> Result<(String, Snapshot), Failed> {
    let mut json = String::new();
    ask_on(open(state)?, "status", ANSWER_WITHIN, |line| {
        json = line.to_owned();
        Ok(())
    })?;
    let snapshot = read(&json).map_err(Failed::Answer)?;
    Ok((json, snapshot))
}

fn read(json: &str) -> Result<Snapshot, String> {
    let value: serde_json::Value = serde_json::from_str(json).map_err(|error| format!("no JSON: {error}"))?;
    match value.get("v").and_then(serde_json::Value::as_u64) {
        Some(version) if version == u64::from(VERSION) => {}
        version => {
            let other = version.map_or_else(|| "none".to_owned(), |version| version.to_string());
            return Err(format!("the gateway's status has version {other}, this program reads {VERSION}"));
        }
    }
    serde_json::from_value(value).map_err(|error| format!("the gateway's status is not understood: {error}"))
}

fn exit_code(arguments: &Arguments, snapshot: &Snapshot) -> ExitCode {
    if arguments.nagios {
        return ExitCode::from(nagios::service_of(snapshot) as u8);
    }
    match snapshot.verdict.as_str() {
        "delivering" | "storing" | "catching-up" => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// Prints why there is no answer. Returns the exit code for it.
fn trouble(arguments: &Arguments, trouble: &Trouble) -> ExitCode {
    let (text, code) = match trouble {
        Trouble::Configuration(text) => (text, CONFIGURATION),
        Trouble::Gateway(Failed::Nobody(text)) => (text, UNAVAILABLE),
        Trouble::Gateway(Failed::Answer(text)) => (text, 1),
    };
    if arguments.nagios {
        let line = printable(text.lines().next().unwrap_or_default()).replace('|', "/");
        // Whoever does not read it has the exit code.
        let _ = writeln!(io::stdout(), "EDGE UNKNOWN - {line}");
        return ExitCode::from(Service::Unknown as u8);
    }
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        edge_print::complain!("edge-gateway: {}", printable(line));
    }
    ExitCode::from(code)
}

/// Output format of the answers.
enum Form {
    Json,
    Nagios,
    Text,
    /// Text that is redrawn in place, on a terminal.
    Redrawn(Redrawn),
    /// A line for each change of the state, where the output is no terminal.
    Appended,
}

struct Screen {
    form: Form,
    colours: bool,
    /// State of the last line, where changes are appended.
    last: String,
}

impl Screen {
    fn new(arguments: &Arguments) -> Self {
        let is_there = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_terminal = screen::is_terminal();
        let form = match arguments {
            Arguments { json: true, .. } => Form::Json,
            Arguments { nagios: true, .. } => Form::Nagios,
            Arguments { watch: true, .. } if is_terminal => Form::Redrawn(Redrawn::default()),
            Arguments { watch: true, .. } => Form::Appended,
            _ => Form::Text,
        };
        Self { form, colours: is_terminal && !is_there("NO_COLOR"), last: String::new() }
    }

    /// Marks the screen as changed by other output.
    fn forget(&mut self) {
        self.last.clear();
        if let Form::Redrawn(redrawn) = &mut self.form {
            redrawn.forget();
        }
    }

    fn show(&mut self, json: &str, snapshot: &Snapshot) -> io::Result<()> {
        let text = match &mut self.form {
            Form::Json => format!("{json}\n"),
            Form::Nagios => nagios::line(snapshot),
            Form::Text => terminal(snapshot, self.colours),
            Form::Redrawn(redrawn) => redrawn.over(&terminal(snapshot, self.colours)),
            Form::Appended => self.appended(snapshot),
        };
        let mut out = io::stdout();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    fn appended(&mut self, snapshot: &Snapshot) -> String {
        let state = format!("{} {}", snapshot.verdict, snapshot.link.state);
        if self.last == state {
            return String::new();
        }
        self.last = state;
        let (verdict, link) = (printable(&snapshot.verdict), printable(&snapshot.link.state));
        format!("{verdict}, link {link}: {}\n", printable(&snapshot.sentence))
    }
}

#[cfg(test)]
mod tests {
    use crate::run::status::outputs::json::json;
    use crate::run::status::snapshot::test_snapshots;

    use super::*;

    #[test]
    fn another_version_is_named_and_more_fields_are_no_trouble() {
        let line = json(&test_snapshots::storing());
        assert_eq!(read(&line).unwrap(), test_snapshots::storing());
        let later = line.replacen("{\"v\":1,", "{\"v\":1,\"later\":{\"a\":[1]},", 1);
        assert_ne!(later, line);
        assert_eq!(read(&later).unwrap(), test_snapshots::storing());
        let other = line.replacen("{\"v\":1,", "{\"v\":2,", 1);
        assert!(read(&other).unwrap_err().contains("version 2"));
        assert!(read("{}").unwrap_err().contains("version none"));
        assert!(read("{\"v\":1}").unwrap_err().contains("not understood"));
    }

    #[test]
    fn a_list_has_changes_alone() {
        let one = test_snapshots::storing();
        let mut list = Screen { form: Form::Appended, colours: false, last: String::new() };
        assert!(list.appended(&one).starts_with("storing, link backing-off: The hub has not answered"));
        assert_eq!(list.appended(&one), "");
        assert!(list.appended(&test_snapshots::delivering()).starts_with("delivering, link flowing: "));
        list.forget();
        assert!(list.appended(&test_snapshots::delivering()).starts_with("delivering, link flowing: "));
    }
}
