//! Client of the control socket: sends requests of the subcommands `backup`, `mule`, `parked`, `status` and `tap` to the running gateway, by the Unix socket in its state
//! directory.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a command: a socket")]

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::config::Config;
use crate::run::status::control_socket::{SOCKET, check_length};
use crate::run::status::outputs::terminal::printable;

/// Exit code when no gateway answers, `EX_UNAVAILABLE`.
pub(crate) const UNAVAILABLE: u8 = 69;

/// Reason why a request got no answer.
#[derive(Debug)]
pub(crate) enum Failed {
    /// No gateway listens at the socket.
    Nobody(String),
    /// The gateway answered with an error, or not as expected.
    Answer(String),
}

impl Failed {
    /// Returns what is told of it, and the exit code.
    pub(crate) fn with_code(self) -> (String, u8) {
        match self {
            Self::Nobody(text) => (text, UNAVAILABLE),
            Self::Answer(text) => (text, 1),
        }
    }
}

/// Arguments that name a running gateway.
#[derive(Args)]
pub(crate) struct StateArguments {
    /// gateway.toml of the gateway, for its `[gateway] state`
    #[arg(required_unless_present = "state")]
    file: Option<PathBuf>,
    /// The state directory of the running gateway; wins over the file's
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

impl StateArguments {
    /// Returns the state directory of the gateway.
    ///
    /// # Errors
    /// The file names none, in words.
    pub(crate) fn dir(&self) -> Result<PathBuf, String> {
        state_dir(self.file.as_deref(), self.state.as_deref())
    }
}

/// Returns the state directory of a gateway, from the same sources and in the same order as in `run`: `state`, or what `file` says.
///
/// # Errors
/// The file names none, in words.
pub(crate) fn state_dir(file: Option<&Path>, state: Option<&Path>) -> Result<PathBuf, String> {
    if let Some(state) = state {
        return Ok(state.to_owned());
    }
    let file = file.unwrap_or(Path::new("gateway.toml"));
    let state = Config::state_in(file).map_err(|findings| findings.to_string())?;
    state.ok_or_else(|| format!("{}: no [gateway] state: give --state DIR", file.display()))
}

/// Connects to the gateway that runs on this state directory.
///
/// # Errors
/// No gateway runs there.
pub(crate) fn open(state: &Path) -> Result<UnixStream, Failed> {
    let path = state.join(SOCKET);
    let nobody = |error: io::Error| {
        Failed::Nobody(format!("no running gateway answers at {}: {error}", path.display()))
    };
    check_length(&path).map_err(nobody)?;
    UnixStream::connect(&path).map_err(nobody)
}

/// Sends a request, and passes every line of the answer but the last to `line`. Returns the last line, a summary of what the gateway did.
/// `within`: time limit for each line.
///
/// # Errors
/// The gateway refused, or its answer is incomplete.
pub(crate) fn ask_on(
    mut stream: UnixStream,
    request: &str,
    within: Duration,
    mut line: impl FnMut(&str) -> io::Result<()>,
) -> Result<String, Failed> {
    let broken = |error: io::Error| Failed::Answer(format!("the gateway's answer: {error}"));
    stream.set_read_timeout(Some(within)).map_err(broken)?;
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

/// Prints an error, each of its lines as one of the command's. Returns the exit code.
pub(crate) fn complain(text: &str, code: u8) -> ExitCode {
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        edge_print::complain!("edge-gateway: {}", printable(line));
    }
    ExitCode::from(code)
}

/// Prints the text of a command that is done, or the error of one that is not. Returns the exit code.
pub(crate) fn tell(done: Result<String, (String, u8)>) -> ExitCode {
    match done {
        Ok(text) => match edge_print::print(&text) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => complain(&error.to_string(), 1),
        },
        Err((text, code)) => complain(&text, code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The gateway that runs was started when it was in order.
    #[test]
    fn a_file_that_is_not_in_order_names_its_state_directory_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("gateway.toml");
        let state_of = |text: &str| {
            std::fs::write(&file, text).unwrap();
            state_dir(Some(&file), None)
        };
        std::fs::create_dir(dir.path().join("s")).unwrap();
        let broken = "[gateway]\nstate = \"s\"\n[hub]\nurl = 7\ncert = \"nowhere\"\n[[route]]\nmatch = \"#";
        assert_eq!(state_of(broken), Ok(dir.path().join("s")));
        assert!(state_of("[gateway]\nid = \"g\"\n").unwrap_err().contains("give --state DIR"));
        assert!(state_of("[gateway]\nstate = 7\n").unwrap_err().contains("expected a string"));
        // What is left of a name is none: not as if no gateway ran there.
        for lost in
            ["[gateway]\nstate = \"t\n", "[gateway]\nid \"g\"\n", "[gateway]\nstate = \"t\"\nid = \"g\n"]
        {
            let told = state_of(lost).unwrap_err();
            assert!(told.contains("error: syntax: ") && !told.contains("give --state"), "{told}");
        }
        assert_eq!(
            state_of("[gateway]\nstate = \"t\"\n"),
            Ok(dir.path().join("t")),
            "it may not be there yet"
        );
        std::fs::remove_file(&file).unwrap();
        assert!(state_dir(Some(&file), None).unwrap_err().contains("cannot be read"));
    }
}
