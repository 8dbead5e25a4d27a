//! A gateway of somebody else's: a command line that takes MQTT on one port and brings it to another.

use std::ffi::OsString;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use super::record::Arrived;

const LOCAL_PORT: &str = "{local_port}";
const HUB_PORT: &str = "{hub_port}";
const STATE: &str = "{state}";
/// First level of every sensor's topic.
const FIRST_LEVEL: &str = "plant/";

/// Words of a command, split at spaces; no shell reads them. In each `{local_port}`, `{hub_port}` and `{state}` are replaced.
///
/// Both ports are on 127.0.0.1; the state is a folder that stays over the kill. The process itself has to be the gateway, since it is what
/// is killed: a script ends with `exec`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    text: String,
}

impl FromStr for CommandLine {
    type Err = String;

    /// # Errors
    /// It names no port for the sensors, or none for the hub.
    fn from_str(text: &str) -> Result<Self, String> {
        match [LOCAL_PORT, HUB_PORT].into_iter().find(|name| !text.contains(name)) {
            Some(name) => Err(format!("the command has no {name}, in the place of which a port would stand")),
            None => Ok(Self { text: text.trim().to_owned() }),
        }
    }
}

impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl CommandLine {
    /// Returns program and arguments.
    pub(crate) fn words(&self, local_port: u16, hub_port: u16, state: &Path) -> Vec<OsString> {
        let word = |word: &str| {
            let word =
                word.replace(LOCAL_PORT, &local_port.to_string()).replace(HUB_PORT, &hub_port.to_string());
            // A path need not be UTF-8.
            let mut parts = word.split(STATE);
            let mut whole = OsString::from(parts.next().unwrap_or_default());
            for part in parts {
                whole.push(state);
                whole.push(part);
            }
            whole
        };
        self.text.split_whitespace().map(word).collect()
    }
}

/// Returns the prefix that the gateway puts before the sensors' topics, as the first message at the hub tells it.
pub(crate) fn prefix_of(arrived: &[Arrived]) -> String {
    let prefix = |arrived: &Arrived| Some(arrived.topic.split_once(FIRST_LEVEL)?.0.to_owned());
    arrived.iter().find_map(prefix).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_state_stand_where_their_names_stood() {
        let command: CommandLine =
            " gw -p {local_port} --to=127.0.0.1:{hub_port} {state}/a ".parse().unwrap();
        let words = command.words(1883, 2883, Path::new("/tmp/a b"));
        assert_eq!(words, ["gw", "-p", "1883", "--to=127.0.0.1:2883", "/tmp/a b/a"]);
        assert_eq!(command.to_string(), "gw -p {local_port} --to=127.0.0.1:{hub_port} {state}/a");
    }

    #[test]
    fn a_command_without_a_port_is_refused_by_name() {
        assert!("gw {hub_port}".parse::<CommandLine>().unwrap_err().contains("no {local_port}"));
        assert!("gw {local_port}".parse::<CommandLine>().unwrap_err().contains("no {hub_port}"));
    }
}
