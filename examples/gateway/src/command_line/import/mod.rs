//! `edge-gateway import MOSQUITTO_CONF [TELEGRAF_CONF]`: makes a gateway.toml from the configurations of a plant.
//!
//! Every line that is neither blank nor a comment becomes a key, with a comment that names its line, or only a comment with the reason why it
//! becomes no key. Where the operator has to judge the result there is a warning too. No password is shown.

mod access;
mod address;
mod commands;
mod hub;
mod leftovers;
mod local;
mod origin;
mod output;
mod pools;
mod queue;
mod routes;
mod telegraf;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use control_loop::OneLine;
use mosquitto_conf::conf::{self, Line};
use mosquitto_conf::findings::{Findings, Severity};
use mosquitto_conf::words;

use access::ClientAccess;
use origin::Origin;
use output::{Counts, Output, Part};
use pools::Pools;

use super::standard_output;
use crate::config::operator_file;

#[derive(Args)]
pub(crate) struct Arguments {
    /// mosquitto.conf, or a file with its connection section; its `include_dir` is followed
    #[arg(value_name = "MOSQUITTO_CONF")]
    mosquitto: PathBuf,
    /// telegraf.conf, whose mqtt_consumers become routes
    #[arg(value_name = "TELEGRAF_CONF")]
    telegraf: Option<PathBuf>,
    /// End with exit code 1 if there are warnings
    #[arg(long)]
    strict: bool,
}

/// Error that prevents a gateway.toml, with the line that it concerns, if there is one.
#[derive(Debug)]
struct Fatal {
    origin: Option<Origin>,
    text: String,
}

impl Fatal {
    fn new(origin: Option<Origin>, text: &str) -> Self {
        Self { origin, text: text.to_owned() }
    }

    fn at(line: &Line, error: &str) -> Self {
        Self::new(Some(line.into()), &format!("{}: {error}", line.word))
    }
}

/// Result of an import.
#[derive(Debug)]
struct Imported {
    text: String,
    /// Warnings, each with the line that it concerns.
    warnings: Vec<String>,
    counts: Counts,
}

/// Text of a telegraf.conf with its path.
#[derive(Clone, Copy, Debug)]
struct Telegraf<'a> {
    path: &'a Path,
    text: &'a str,
}

/// Reads the files. Writes the gateway.toml to standard output, and everything else to standard error.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    match read(arguments) {
        Ok(imported) => tell(&imported, arguments.strict),
        Err(errors) => {
            for error in errors {
                edge_print::complain!("{}", OneLine(&error));
            }
            edge_print::complain!("Nothing was written.");
            ExitCode::from(2)
        }
    }
}

fn read(arguments: &Arguments) -> Result<Imported, Vec<String>> {
    let mut findings = Findings::default();
    // A variable of the environment stays one: gateway.toml has them, too.
    let as_it_is = |name: &str| Some(format!("${{{name}}}"));
    let lines = conf::read_all(&arguments.mosquitto, &as_it_is, &mut findings);
    if findings.count(Severity::Error) > 0 {
        let errors = findings.iter().filter(|finding| finding.severity == Severity::Error);
        return Err(errors.map(ToString::to_string).collect());
    }
    let text = arguments.telegraf.as_deref().map(text).transpose().map_err(|error| vec![error])?;
    let telegraf = arguments.telegraf.as_deref().zip(text.as_deref());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let telegraf = telegraf.map(|(path, text)| Telegraf { path, text });
    import(&arguments.mosquitto, lines, telegraf, host.trim()).map_err(|Fatal { origin, text }| {
        let place =
            origin.map_or_else(|| arguments.mosquitto.display().to_string(), |origin| origin.to_string());
        vec![format!("{place}: error: {text}")]
    })
}

fn text(path: &Path) -> Result<String, String> {
    operator_file::read_text(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn tell(imported: &Imported, strict: bool) -> ExitCode {
    if let Err(failed) = standard_output::print(&imported.text) {
        return failed;
    }
    for warning in &imported.warnings {
        edge_print::complain!("{warning}");
    }
    let Counts { carried, left, warnings } = imported.counts;
    let plural = |count| if count == 1 { "" } else { "s" };
    edge_print::complain!(
        "{} line{}: {carried} became keys, {left} comments; {warnings} warning{}.",
        carried + left,
        plural(carried + left),
        plural(warnings)
    );
    if strict && warnings > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Makes a gateway.toml from the lines of a mosquitto.conf and the text of a telegraf.conf. `host` is the name of the machine, from which
/// Mosquitto makes client identifiers.
fn import(
    mosquitto: &Path,
    lines: Vec<Line>,
    telegraf: Option<Telegraf<'_>>,
    host: &str,
) -> Result<Imported, Fatal> {
    let files: Vec<&Path> =
        std::iter::once(mosquitto).chain(telegraf.map(|telegraf| telegraf.path)).collect();
    // Its topics would go to the hub of the section before.
    if let Some(line) = lines.iter().find(|line| words::may_begin_a_section(&line.word)) {
        return Err(Fatal::at(line, &words::unknown(&line.word)));
    }
    let mut output = Output::of(&files);
    let mut pools = Pools::of(lines, &mut output);
    let connection = pools.connection.lines().next().cloned();
    hub::hub(&mut pools.connection, host, &mut output)?;
    let access = ClientAccess::of(pools.anonymous, &pools.broker, &mut output);
    let listens =
        local::local(pools.listeners, access, &mut pools.broker, &mut pools.connection, &mut output);
    let has_limit = queue::queue(&mut pools.broker, listens, &mut output);
    let mut routes = routes::routes(&mut pools.connection, listens, &mut output);
    if let Some(Telegraf { path, text }) = telegraf {
        telegraf::telegraf(path, text, has_limit, &mut routes, &mut output)?;
    }
    leave_other_connections(&pools.other_connections.rest(), &mut output);
    leftovers::of_the_connection(&pools.connection.rest(), &mut output);
    leftovers::of_the_broker(&pools.broker.rest(), listens, &mut output);
    if routes.is_empty() {
        let text = "no topic of the connection goes out as a route: the gateway would carry nothing. mqtt-bridge carries messages from a hub";
        return Err(Fatal::new(connection.as_ref().map(Origin::from), text));
    }
    let of_telegraf =
        telegraf.map_or_else(String::new, |telegraf| format!(" and {}", telegraf.path.display()));
    let sources = format!("{}{of_telegraf}", mosquitto.display());
    let head = format!(
        "# Made by `edge-gateway import` of {}.\n# Behind each key stand the lines that it is from. Next: edge-gateway check gateway.toml\n",
        OneLine(&sources)
    );
    Ok(Imported { text: output.text(&head), warnings: output.warnings(), counts: output.counts() })
}

/// Writes comments for all connections but the first, because a gateway has one hub.
fn leave_other_connections(lines: &[Line], output: &mut Output) {
    if let Some(line) = lines.first() {
        let text = "a gateway has one hub, that of the first connection: each further one needs a gateway of its own, or mqtt-bridge, which runs them all";
        output.warn(Some(line.into()), text);
    }
    for line in lines {
        output.leave(Part::Rest, line, "of a further connection");
    }
}

#[cfg(test)]
mod tests;
