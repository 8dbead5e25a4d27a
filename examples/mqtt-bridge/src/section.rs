//! Parser of the `connection` sections, with the options of the whole file that apply to all of them.

mod repeated_options;

use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use crate::conf::Line;
use crate::findings::{Findings, Place};
use crate::{plan, traps, words};
pub(crate) use mosquitto_conf::values::{
    Protocol, Said, Topic, boolean, first, limit, number, required, session_time,
};
use mosquitto_conf::values::{address, protocol, restart, seconds, start_type, text, tls_version, topic};
use repeated_options::Given;

/// Settings of one `connection` section. Times and sizes missing in the file are `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) place: Place,
    pub(crate) name: String,
    /// Addresses of the hub, `HOST:PORT` each.
    pub(crate) addresses: Vec<String>,
    pub(crate) topics: Vec<Topic>,
    pub(crate) remote_client_id: Option<String>,
    pub(crate) local_client_id: Option<String>,
    pub(crate) remote_login: Login,
    pub(crate) local_login: Login,
    pub(crate) protocol: Protocol,
    /// The line of `bridge_protocol_version`.
    pub(crate) protocol_place: Option<Place>,
    pub(crate) clean_session: Option<(Place, bool)>,
    pub(crate) local_clean_session: Option<bool>,
    pub(crate) session_expiry_s: Option<u32>,
    pub(crate) keep_alive_s: u16,
    /// First and longest delay between dials.
    pub(crate) restart: Option<(Duration, Duration)>,
    pub(crate) round_robin: bool,
    pub(crate) notifications: bool,
    pub(crate) notifications_local_only: bool,
    pub(crate) notification_topic: Option<String>,
    pub(crate) outgoing_retain: bool,
    pub(crate) receive_maximum: Option<u16>,
    /// Option `try_private`: sets the bridge bit for a 3.1.1 hub. Default: set.
    pub(crate) try_private: Option<(Place, bool)>,
    pub(crate) tls: TlsFiles,
}

/// User name and password.
#[derive(Clone, PartialEq, Eq, Default)]
pub(crate) struct Login {
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
}

/// Shows no password.
impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

/// TLS files of a section, each with its line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct TlsFiles {
    pub(crate) ca: Option<(Place, PathBuf)>,
    /// Set if the authorities of the system are trusted.
    pub(crate) system_ca: bool,
    pub(crate) cert: Option<(Place, PathBuf)>,
    pub(crate) key: Option<(Place, PathBuf)>,
    pub(crate) alpn: Option<String>,
    /// First line with a TLS option, and the option.
    pub(crate) first: Option<(Place, String)>,
}

impl TlsFiles {
    pub(crate) fn is_on(&self) -> bool {
        self.ca.is_some() || self.system_ca
    }
}

/// Options that need TLS, with or without a CA.
const TLS_WORDS: [&str; 6] = [
    "bridge_alpn",
    "bridge_certfile",
    "bridge_ciphers",
    "bridge_ciphers_tls1.3",
    "bridge_keyfile",
    "bridge_tls_version",
];

/// Options of the whole file that apply to connections, and to the broker.
pub(crate) const LIMITS: [&str; 4] =
    ["max_inflight_messages", "max_queued_bytes", "max_queued_messages", "queue_qos0_messages"];

/// Limits in the file, which apply to each bridge separately.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Limits {
    /// Most queued messages; 0: no limit.
    pub(crate) max_queued_messages: Option<(Place, u64)>,
    pub(crate) max_queued_bytes: Option<(Place, u64)>,
    pub(crate) max_in_flight: Option<(Place, u16)>,
}

/// Parsed configuration file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Conf {
    pub(crate) sections: Vec<Section>,
    pub(crate) limits: Limits,
}

/// Parses the lines.
pub(crate) fn parse(lines: &[Line], findings: &mut Findings) -> Conf {
    let mut conf = Conf::default();
    let mut given = Given::default();
    for line in lines {
        traps::of_line(line, findings);
        if words::is_of_a_connection(&line.word) {
            given.note(conf.section_of(line), line, findings);
        } else if LIMITS.contains(&line.word.as_str()) {
            given.note(None, line, findings);
        }
        let said = if line.word == "connection" { conf.begin(line) } else { conf.apply(line) };
        match said {
            Ok(None) => {}
            Ok(Some(ignored)) => findings.ignored(line.place.clone(), format!("{}: {ignored}", line.word)),
            Err(error) => findings.error(line.place.clone(), format!("{}: {error}", line.word)),
        }
    }
    for section in &conf.sections {
        section.check(findings);
    }
    conf
}

impl Conf {
    fn begin(&mut self, line: &Line) -> Said {
        let name = first(&line.value)?;
        if self.sections.iter().any(|section| section.name == name) {
            return Err(format!("\"{name}\" is there twice"));
        }
        self.sections.push(Section::new(line.place.clone(), name.to_owned()));
        // The section is there all the same: its lines are no errors.
        if plan::dir_name(name).len() > plan::DIR_NAME_MAX {
            return Err(format!(
                "the name is too long for a directory: at most {} bytes, of which all but letters, digits, -, _ and . count three times",
                plan::DIR_NAME_MAX
            ));
        }
        Ok(None)
    }

    /// Returns the number of the section that the line belongs to. A section continues after an `include_dir`, but not from one file into
    /// another.
    fn section_of(&self, line: &Line) -> Option<usize> {
        self.sections.iter().rposition(|section| section.place.file == line.place.file)
    }

    fn apply(&mut self, line: &Line) -> Said {
        let value = line.value.as_str();
        match line.word.as_str() {
            // Of the whole broker, wherever they stand.
            "max_queued_messages" => {
                self.limits.max_queued_messages = Some((line.place.clone(), limit(value)?));
            }
            "max_queued_bytes" => {
                self.limits.max_queued_bytes = Some((line.place.clone(), limit(value)?));
            }
            "max_inflight_messages" => {
                self.limits.max_in_flight = Some((line.place.clone(), limit(value)?));
            }
            "queue_qos0_messages" => {
                boolean(value)?;
                return Ok(Some("messages of QoS 0 are queued as all others are"));
            }
            "listener" | "port" => {
                return Ok(Some("of the local broker; this program is a client of it: --local HOST:PORT"));
            }
            word if words::is_of_the_broker(word) => return Ok(Some("of the local broker, not of a bridge")),
            // It may have begun a section, or ask for TLS: what follows would mean something else.
            word if !words::is_of_a_connection(word) => return Err(words::unknown(word)),
            word => match self.section_of(line).and_then(|at| self.sections.get_mut(at)) {
                Some(section) => return section.apply(word, line),
                None => return Err("stands before the first connection of its file".to_owned()),
            },
        }
        Ok(None)
    }
}

impl Section {
    fn new(place: Place, name: String) -> Self {
        Self {
            place,
            name,
            addresses: Vec::new(),
            topics: Vec::new(),
            remote_client_id: None,
            local_client_id: None,
            remote_login: Login::default(),
            local_login: Login::default(),
            protocol: Protocol::default(),
            protocol_place: None,
            clean_session: None,
            local_clean_session: None,
            session_expiry_s: None,
            keep_alive_s: 60,
            restart: None,
            round_robin: false,
            notifications: true,
            notifications_local_only: false,
            notification_topic: None,
            outgoing_retain: true,
            receive_maximum: None,
            try_private: None,
            tls: TlsFiles::default(),
        }
    }

    fn apply(&mut self, word: &str, line: &Line) -> Said {
        let value = line.value.as_str();
        match word {
            "address" | "addresses" => {
                if !self.addresses.is_empty() {
                    return Err("the connection has addresses already".to_owned());
                }
                required(value)?;
                let words = value.split_whitespace().take_while(|word| !word.starts_with('#'));
                self.addresses = words.map(address).collect::<Result<_, _>>()?;
            }
            "topic" => self.topics.push(topic(line)?),
            "remote_clientid" | "clientid" => self.remote_client_id = text(value)?,
            "local_clientid" => self.local_client_id = text(value)?,
            "remote_username" | "username" => self.remote_login.user = text(value)?,
            "remote_password" | "password" => self.remote_login.password = text(value)?,
            "local_username" => self.local_login.user = text(value)?,
            "local_password" => self.local_login.password = text(value)?,
            "cleansession" => self.clean_session = Some((line.place.clone(), boolean(value)?)),
            "local_cleansession" => self.local_clean_session = Some(boolean(value)?),
            "keepalive_interval" => self.keep_alive_s = number::<u16>(value)?.max(5),
            "restart_timeout" => self.restart = Some(restart(value)?),
            "round_robin" => self.round_robin = boolean(value)?,
            "notifications" => self.notifications = boolean(value)?,
            "notifications_local_only" => self.notifications_local_only = boolean(value)?,
            "notification_topic" => self.notification_topic = text(value)?,
            "start_type" => return start_type(value),
            "try_private" => self.try_private = Some((line.place.clone(), boolean(value)?)),
            _ => return self.apply_bridge(word, line),
        }
        Ok(None)
    }

    fn apply_bridge(&mut self, word: &str, line: &Line) -> Said {
        let value = line.value.as_str();
        if TLS_WORDS.contains(&word) && self.tls.first.is_none() {
            self.tls.first = Some((line.place.clone(), word.to_owned()));
        }
        let file = || Ok::<_, String>(Some((line.place.clone(), PathBuf::from(required(value)?))));
        match word {
            "bridge_protocol_version" => {
                self.protocol = protocol(value)?;
                self.protocol_place = Some(line.place.clone());
            }
            "bridge_session_expiry_interval" => self.session_expiry_s = Some(seconds(value)?),
            "bridge_max_packet_size" => {
                number::<u32>(value)?;
                return Ok(Some("the hub's own limit holds; a message above it is parked, not dropped"));
            }
            "bridge_receive_maximum" => self.receive_maximum = Some(number::<NonZeroU16>(value)?.get()),
            "bridge_outgoing_retain" => self.outgoing_retain = boolean(value)?,
            "bridge_cafile" => self.tls.ca = file()?,
            "bridge_certfile" => self.tls.cert = file()?,
            "bridge_keyfile" => self.tls.key = file()?,
            "bridge_alpn" => self.tls.alpn = text(value)?,
            "bridge_insecure" if boolean(value)? => {
                return Err("a hub whose name is not checked can be anybody: give the name of its certificate as address".to_owned());
            }
            "bridge_insecure" => {}
            "bridge_capath" => {
                return Err("put the certificates into one file and name it as bridge_cafile".to_owned());
            }
            "bridge_identity" | "bridge_psk" => {
                return Err("keys without certificates are not supported".to_owned());
            }
            "bridge_tls_version" => return tls_version(value),
            "bridge_tls_use_os_certs" => self.tls.system_ca = boolean(value)?,
            "bridge_ciphers" | "bridge_ciphers_tls1.3" => {
                required(value)?;
                return Ok(Some("the ciphers of TLS 1.3 and 1.2 that are safe, as the hub has them"));
            }
            "bridge_require_ocsp" if boolean(value)? => return Err("OCSP is not supported".to_owned()),
            "bridge_require_ocsp" => {}
            "bridge_attempt_unsubscribe" => {
                boolean(value)?;
                return Ok(Some("nothing is unsubscribed that no rule has"));
            }
            "bridge_bind_address" | "bridge_tcp_keepalive" | "bridge_tcp_user_timeout" => {
                return Ok(Some(
                    "not supported: the system chooses the way, and a lost link is noticed by unanswered messages",
                ));
            }
            "bridge_max_topic_alias" => {
                return Ok(Some("topic aliases are used as far as the hub takes them"));
            }
            "idle_timeout" | "threshold" => {
                return Ok(Some("of start_type lazy: the bridge stays connected"));
            }
            "bridge_reload_type" => return Ok(Some("a SIGHUP starts anew what has changed, at once")),
            word => return Err(words::unknown(word)),
        }
        Ok(None)
    }

    /// Reports errors that no single line shows.
    fn check(&self, findings: &mut Findings) {
        if self.addresses.is_empty() {
            findings.error(self.place.clone(), format!("connection {}: no address", self.name));
        }
        if self.topics.is_empty() {
            findings.error(
                self.place.clone(),
                format!("connection {}: no topic: it would carry nothing", self.name),
            );
        }
        match (&self.tls.cert, &self.tls.key) {
            (Some((place, _)), None) => {
                findings.error(place.clone(), "bridge_certfile without bridge_keyfile");
            }
            (None, Some((place, _))) => {
                findings.error(place.clone(), "bridge_keyfile without bridge_certfile");
            }
            _ => {}
        }
        if let (false, Some((place, word))) = (self.tls.is_on(), &self.tls.first) {
            findings.error(
                place.clone(),
                format!(
                    "{word}: TLS without bridge_cafile: Mosquitto would send everything, the password too, in the clear"
                ),
            );
        }
        for (login, side) in [(&self.remote_login, "remote"), (&self.local_login, "local")] {
            if login.user.is_none() && login.password.is_some() {
                findings.error(self.place.clone(), format!("{side}_password without {side}_username"));
            }
        }
    }
}

#[cfg(test)]
mod tests;
