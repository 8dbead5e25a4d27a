//! `edge-gateway diag`: writes an archive about a gateway, for whoever helps with it. Neither secrets nor payloads are in it, and it is made
//! with and without a running gateway, whatever is wrong with the configuration.

#![allow(clippy::disallowed_methods, reason = "a command: it reads files and writes one")]

mod archive;
mod machine;
mod metrics;
mod state_files;

use std::fmt::Write as _;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::Args;
use control_loop::OneLine;

use super::check::{Load, Meaning};
use super::control_client::{Failed, ask_on, open};
use crate::config::{Config, Findings, Severity, shareable};
use crate::open_files::OpenFiles;
use crate::run;
use crate::run::status::outputs::terminal::printable;

/// Bytes of one part; of seven, so that the archive has less than 2 MiB.
const PART_BYTES_MAX: usize = 256 * 1024;
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
const MODE: u32 = 0o600;
/// Folder of the parts in the archive.
const FOLDER: &str = "edge-gateway-diag";

#[derive(Args)]
pub(crate) struct Arguments {
    /// gateway.toml of the gateway, whatever is wrong with it
    #[arg(required_unless_present = "state")]
    file: Option<PathBuf>,
    /// The state directory of the gateway; wins over the file's
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// File to be made, a tar archive, compressed by gzip where its name ends in .gz or .tgz; it must not be there. Mode 0600
    #[arg(short, long, value_name = "FILE.tar.gz")]
    output: PathBuf,
}

/// Writes the archive, and says what is in it.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let unix_s = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let parts = parts(arguments, unix_s);
    let output = &arguments.output;
    let written = archived(output, &parts, unix_s).and_then(|bytes| write(output, &bytes));
    if let Err(error) = written {
        edge_print::complain!("edge-gateway: {}: {error}", OneLine(&output.display().to_string()));
        return ExitCode::FAILURE;
    }
    let about = parts.first().map(|(_, text)| String::from_utf8_lossy(text)).unwrap_or_default();
    let text =
        format!("{about}{} is for its owner alone; look into it before you give it away\n", output.display());
    super::standard_output::print(&printable_lines(&text)).err().unwrap_or(ExitCode::SUCCESS)
}

/// Returns the archive in the form that its name promises.
fn archived(path: &Path, parts: &[(String, Vec<u8>)], unix_s: u64) -> io::Result<Vec<u8>> {
    let archive = archive::tar(parts, unix_s).map_err(io::Error::other)?;
    let is = |end: &str| path.extension().is_some_and(|found| found.eq_ignore_ascii_case(end));
    if is("gz") || is("tgz") { archive::gzip(&archive) } else { Ok(archive) }
}

fn printable_lines(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", printable(line))).collect()
}

/// Writes a new file; nothing that is there is replaced or followed, and of a failure nothing stays.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(path)?;
    // A file system without modes refuses; what its mount allows is all there is.
    let _as_mounted = file.set_permissions(Permissions::from_mode(MODE));
    let done = file.write_all(bytes).and_then(|()| file.sync_all());
    if done.is_err() {
        let _best_effort = fs::remove_file(path);
    }
    done
}

/// Parts found so far, and what is to be said about each.
struct Parts {
    found: Vec<(String, Vec<u8>)>,
    about: String,
}

impl Parts {
    fn add(&mut self, name: &str, text: Result<String, String>) {
        // Writing to a text does not fail.
        let _ = match text {
            Ok(text) => {
                let bytes = text.into_bytes();
                let is_cut = bytes.len() > PART_BYTES_MAX;
                let kept = bytes.into_iter().take(PART_BYTES_MAX).collect();
                self.found.push((format!("{FOLDER}/{name}"), kept));
                let cut = if is_cut { ", its beginning alone" } else { "" };
                writeln!(self.about, "{name:<14}is in it{cut}")
            }
            Err(why) => writeln!(self.about, "{name:<14}left out: {}", OneLine(&why)),
        };
    }
}

/// Returns the parts, first the one that tells of the others.
fn parts(arguments: &Arguments, unix_s: u64) -> Vec<(String, Vec<u8>)> {
    let file = arguments.file.as_deref();
    let loaded = file.map(Config::load);
    let config = loaded.as_ref().and_then(|loaded| loaded.as_ref().ok()).map(|(config, _)| config);
    let clock = config.map(|config| run::wall_clock(config).sync());
    let state = arguments.state.clone().or_else(|| Config::state_in(file?).ok()?);

    let mut parts = Parts { found: Vec::new(), about: String::new() };
    let no_file = || Err("no gateway.toml was given".to_owned());
    parts.add("gateway.toml", file.map_or_else(no_file, shareable));
    parts.add("check.txt", loaded.as_ref().map_or_else(no_file, |loaded| Ok(checked(loaded))));
    let no_state = || "no [gateway] state: give --state DIR".to_owned();
    parts.add("status.json", state.as_deref().ok_or_else(no_state).and_then(status));
    let address =
        config.and_then(|config| config.metrics).ok_or_else(|| "no [metrics] listen is known".to_owned());
    parts.add(
        "metrics.txt",
        address.and_then(|at| metrics::ask(at).map_err(|error| format!("{at}: {error}"))),
    );
    parts.add("state.txt", state.as_deref().ok_or_else(no_state).map(|dir| state_files::list(dir, unix_s)));
    parts.add("machine.txt", Ok(machine::facts(state.as_deref(), clock, unix_s)));
    let Parts { found, about } = parts;
    let shown =
        |path: Option<&Path>| path.map_or_else(|| "none".to_owned(), |path| path.display().to_string());
    let head = format!(
        "edge-gateway {}\ngateway.toml  {}\nstate         {}\nlog           not in it: journalctl -u edge-gateway\n",
        env!("CARGO_PKG_VERSION"),
        OneLine(&shown(file)),
        OneLine(&shown(state.as_deref()))
    );
    let about = (format!("{FOLDER}/about.txt"), format!("{head}{about}").into_bytes());
    std::iter::once(about).chain(found).collect()
}

/// Returns what `check` says, without the lines of the file that it quotes.
fn checked(loaded: &Result<(Config, Findings), Findings>) -> String {
    let (config, findings) = match loaded {
        Ok((config, findings)) => (Some(config), findings),
        Err(findings) => (None, findings),
    };
    let severities = [Severity::Error, Severity::ErrorInCheck, Severity::Warning];
    let lines = severities.into_iter().flat_map(|severity| findings.shareable_summaries(severity));
    let mut text: String = lines.map(|line| format!("{}\n", OneLine(&line))).collect();
    if let Some(config) = config {
        let (clock, files) = (run::wall_clock(config).sync(), OpenFiles::of_this_process());
        text.push_str(&Meaning(config, clock, files, Load::USUAL).to_string());
    }
    text
}

/// Asks the running gateway.
fn status(state: &Path) -> Result<String, String> {
    let mut json = String::new();
    let asked = open(state).and_then(|stream| {
        ask_on(stream, "status", ANSWER_WITHIN, |line| {
            json = format!("{line}\n");
            Ok(())
        })
    });
    match asked {
        Ok(_) => Ok(json),
        Err(Failed::Nobody(why) | Failed::Answer(why)) => Err(why),
    }
}
