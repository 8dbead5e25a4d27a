//! Lines of a mosquitto.conf, grouped by owner: the broker, a listener or a connection. Each line is taken out once.

use mosquitto_conf::conf::Line;
use mosquitto_conf::findings::Findings;
use mosquitto_conf::{trailing_text, words};

use super::origin::Origin;
use super::output::{Output, Part};

/// Lines that are not imported yet, in their order.
#[derive(Debug, Default)]
pub(super) struct Pool(Vec<Line>);

impl Pool {
    /// Takes out all lines with these words.
    pub(super) fn take(&mut self, words: &[&str]) -> Vec<Line> {
        let is_asked = |line: &mut Line| words.contains(&line.word.as_str());
        self.0.extract_if(.., is_asked).collect()
    }

    /// Takes out the line of an option, which may have any of these names, that is in force: the last one. Earlier ones become comments.
    pub(super) fn take_last(&mut self, words: &[&str], part: Part, output: &mut Output) -> Option<Line> {
        let mut lines = self.take(words);
        let last = lines.pop()?;
        for line in &lines {
            output.leave_with_warning(
                part,
                line,
                &format!("given again in line {}, which holds", last.place.line),
            );
        }
        Some(last)
    }

    pub(super) fn has(&self, word: &str) -> bool {
        self.0.iter().any(|line| line.word == word)
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = &Line> {
        self.0.iter()
    }

    /// Takes out the remaining lines.
    pub(super) fn rest(self) -> Vec<Line> {
        self.0
    }
}

/// Lines of a file by owner.
#[derive(Debug, Default)]
pub(super) struct Pools {
    /// Lines of the first `connection` section, which is imported.
    pub(super) connection: Pool,
    /// Lines of the other `connection` sections.
    pub(super) other_connections: Pool,
    /// Lines of each listener. The first pool is for `port` and `bind_address`.
    pub(super) listeners: Vec<Pool>,
    pub(super) broker: Pool,
    /// Lines of `allow_anonymous`.
    pub(super) anonymous: Vec<AccessLine>,
}

/// Line of the broker that `per_listener_settings` makes one of a listener.
#[derive(Debug)]
pub(super) struct AccessLine {
    /// Number of the pool of the listener behind which it stands.
    pub(super) listener: usize,
    pub(super) line: Line,
}

/// Options of one listener.
const OF_A_LISTENER: [&str; 23] = [
    "accept_protocol_versions",
    "bind_address",
    "bind_interface",
    "cafile",
    "capath",
    "certfile",
    "ciphers",
    "ciphers_tls1.3",
    "crlfile",
    "dhparamfile",
    "http_dir",
    "keyfile",
    "max_connections",
    "max_topic_alias",
    "mount_point",
    "port",
    "protocol",
    "require_certificate",
    "socket_domain",
    "tls_keyform",
    "tls_version",
    "use_identity_as_username",
    "use_subject_as_username",
];

impl Pools {
    /// Distributes the lines. Lines without an owner, or that TOML cannot express, become comments at once.
    pub(super) fn of(lines: Vec<Line>, output: &mut Output) -> Self {
        let mut pools = Self { listeners: vec![Pool::default()], ..Self::default() };
        let mut connections: Vec<Line> = Vec::new();
        for line in lines {
            warn_of_the_end(&line, output);
            if has_open_brace(&line.value) {
                let why =
                    "\"${\" without its \"}\": in gateway.toml it would be a variable of the environment";
                output.leave_with_warning(Part::Rest, &line, why);
                continue;
            }
            let word = line.word.as_str();
            if word == "connection" {
                warn_of_a_twin(&line, &connections, output);
                connections.push(line.clone());
                pools.connection_of(connections.len()).0.push(line);
            } else if words::is_of_a_connection(word) {
                // A section goes on behind an `include_dir`, but not from one file into another.
                let at = connections.iter().rposition(|begun| begun.place.file == line.place.file);
                match at {
                    Some(at) => pools.connection_of(at + 1).0.push(line),
                    None => {
                        let why = "stands before the first connection of its file";
                        output.leave_with_warning(Part::Rest, &line, why);
                    }
                }
            } else if word == "listener" {
                pools.listeners.push(Pool(vec![line]));
            } else if OF_A_LISTENER.contains(&word) {
                // Those of `port` have a place of their own, wherever they stand.
                let is_own = matches!(word, "port" | "bind_address");
                let listeners = if is_own { pools.listeners.first_mut() } else { pools.listeners.last_mut() };
                listeners.into_iter().for_each(|pool| pool.0.push(line.clone()));
            } else if word == "allow_anonymous" {
                let listener = pools.listeners.len().saturating_sub(1);
                pools.anonymous.push(AccessLine { listener, line });
            } else if words::is_of_the_broker(word) {
                pools.broker.0.push(line);
            } else {
                output.leave_with_warning(Part::Rest, &line, &words::unknown(word));
            }
        }
        pools
    }

    /// Returns the pool of a connection by its number, counted from 1.
    fn connection_of(&mut self, number: usize) -> &mut Pool {
        if number == 1 { &mut self.connection } else { &mut self.other_connections }
    }
}

/// Warns if Mosquitto ends a value at another place than a reader would expect.
fn warn_of_the_end(line: &Line, output: &mut Output) {
    let mut findings = Findings::default();
    trailing_text::of_line(line, &mut findings);
    for finding in findings.iter() {
        output.warn(Some(line.into()), &finding.text);
    }
}

/// Warns of a connection whose name another one before has.
fn warn_of_a_twin(line: &Line, before: &[Line], output: &mut Output) {
    let name = |line: &Line| line.value.split_whitespace().next().map(str::to_owned);
    let twin = name(line).and_then(|own| before.iter().find(|other| name(other).as_ref() == Some(&own)));
    if let Some(twin) = twin {
        let place = Origin::from(twin);
        output.warn(
            Some(line.into()),
            &format!("{place} begins a connection of this name: Mosquitto refuses such a file"),
        );
    }
}

fn has_open_brace(value: &str) -> bool {
    value.rsplit_once("${").is_some_and(|(_, behind)| !behind.contains('}'))
}
