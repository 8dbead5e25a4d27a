//! Settings of the local broker in a mosquitto.conf: `listener`s, access control, and limits of clients. Pure.

mod listener;
mod unsupported_option;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use edge_bridge::listener::Config;

use crate::conf::Line;
use crate::findings::{Findings, Place};
use crate::one_line::OneLine;
use crate::plan::MESSAGE_BYTES_MAX;
use crate::section::{LIMITS, Said, boolean, first, limit, number, required, session_time};
use crate::words;
pub(crate) use listener::Listener;
use unsupported_option::unsupported_option;

/// Most subscriptions of a client. Mosquitto has no such limit; `memory_limit` bounds their memory.
const SUBSCRIPTIONS_MAX: usize = 10_000;
const RETAINED_MAX: usize = 100_000;
/// Port of the default listener if only `bind_address` is set.
const PORT: u16 = 1883;

/// Settings of the broker.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct BrokerConf {
    pub(crate) listeners: Vec<Listener>,
    pub(crate) allow_anonymous: bool,
    pub(crate) password_file: Option<(Place, PathBuf)>,
    pub(crate) acl_file: Option<(Place, PathBuf)>,
    /// Limit in the file; 0 or less counts as none.
    pub(crate) max_connections: Option<usize>,
    pub(crate) max_keepalive: Option<u16>,
    pub(crate) max_packet_bytes: Option<u32>,
    pub(crate) max_memory: Option<usize>,
    pub(crate) max_queued: Option<usize>,
    pub(crate) max_in_flight: Option<u16>,
    pub(crate) retain_available: Option<bool>,
    /// Seconds between two publications of the `$SYS` figures; 0 for none.
    pub(crate) sys_interval_s: Option<u16>,
    /// Set if sessions and retained messages end with the process.
    pub(crate) forgets_clients: bool,
    /// Seconds after which the session of an absent client ends; `None` is the listener's own limit.
    pub(crate) client_expiration_s: Option<u32>,
    /// Option `--clients-return-within` of the command line.
    pub(crate) clients_return_within: Duration,
    /// Set if users and rights are configured for each listener.
    per_listener: Option<Place>,
}

/// Returns whether the file has a line that makes this program the local broker.
pub(crate) fn has_listener(lines: &[Line]) -> bool {
    lines.iter().any(|line| matches!(line.word.as_str(), "listener" | "port" | "bind_address"))
}

/// Returns whether the line belongs to the broker. A `connection` line begins a section that does not.
fn is_of_the_broker(line: &Line) -> bool {
    line.word != "connection" && words::is_of_the_broker(&line.word)
}

/// Returns the lines of connections. Options of a client of the local broker have no effect there, because there is none.
pub(crate) fn of_connections(lines: &[Line], findings: &mut Findings) -> Vec<Line> {
    for line in lines.iter().filter(|line| line.word.starts_with("local_")) {
        let text = format!("{}: this program is the local broker, and no client of it", line.word);
        findings.ignored(line.place.clone(), text);
    }
    let is_other = |line: &&Line| !is_of_the_broker(line) || LIMITS.contains(&line.word.as_str());
    lines.iter().filter(is_other).cloned().collect()
}

/// Reads the broker's lines; those of connections are read elsewhere.
pub(crate) fn parse(lines: &[Line], findings: &mut Findings) -> BrokerConf {
    let mut conf = BrokerConf::default();
    for line in lines.iter().filter(|line| is_of_the_broker(line)) {
        match conf.apply(line) {
            Ok(None) => {}
            Ok(Some(why)) => findings.ignored(line.place.clone(), format!("{}: {why}", line.word)),
            Err(error) => findings.error(line.place.clone(), format!("{}: {error}", line.word)),
        }
    }
    conf.check(findings);
    conf
}

impl BrokerConf {
    /// Returns whether both differ at most in users, rights and certificates.
    pub(crate) fn differs_in_files_alone(&self, other: &Self) -> bool {
        let without_files = |conf: &Self| {
            let listeners = conf.listeners.iter().map(|listener| Listener {
                cert: None,
                key: None,
                client_ca: None,
                ..listener.clone()
            });
            let listeners = listeners.collect();
            Self { listeners, allow_anonymous: false, password_file: None, acl_file: None, ..conf.clone() }
        };
        let has_tls = |conf: &Self| conf.listeners.iter().map(Listener::has_tls).collect::<Vec<_>>();
        without_files(self) == without_files(other) && has_tls(self) == has_tls(other)
    }

    /// Returns the limits of clients: the file's, or the listener's own.
    pub(crate) fn limits(&self) -> Config {
        let mut limits = Config::default();
        let most = u32::try_from(MESSAGE_BYTES_MAX).unwrap_or(u32::MAX);
        let packet = self.max_packet_bytes.unwrap_or(most).min(most);
        limits.session.limits = limits.session.limits.with_max_packet_size(packet);
        limits.session.limits.accept_mqtt_3_1 = true;
        limits.session.retain_available = self.retain_available.unwrap_or(true);
        limits.max_connections = self.max_connections.unwrap_or(limits.max_connections);
        limits.max_sessions = limits.max_sessions.max(2 * limits.max_connections);
        limits.keep_alive_max_s = self.max_keepalive.unwrap_or(limits.keep_alive_max_s);
        limits.max_memory = self.max_memory.unwrap_or(limits.max_memory);
        limits.max_queued = self.max_queued.unwrap_or(limits.max_queued);
        limits.max_in_flight = self.max_in_flight.unwrap_or(limits.max_in_flight);
        // As in Mosquitto, no client has a limit of its own in bytes. What waits for several is one copy, and `max_memory` is the limit of all
        // together: clients that are away give way first.
        (limits.max_queued_bytes, limits.max_queued_bytes_total) = (usize::MAX, usize::MAX);
        limits.max_subscriptions = SUBSCRIPTIONS_MAX;
        (limits.max_retained, limits.max_retained_bytes) = (RETAINED_MAX, limits.max_memory / 4);
        limits.sys_interval_s = self.sys_interval_s.map_or(limits.sys_interval_s, u32::from);
        // The copy of a client that is away is in its session alone after ten seconds.
        limits.saves_own_messages = true;
        limits.session_expiry_max_s = self.client_expiration_s.unwrap_or(limits.session_expiry_max_s);
        limits
    }

    fn apply(&mut self, line: &Line) -> Said {
        let value = line.value.as_str();
        let file = || Ok::<_, String>(Some((line.place.clone(), PathBuf::from(required(value)?))));
        match line.word.as_str() {
            "listener" => {
                let mut words = value.split_whitespace();
                let port = port(words.next().unwrap_or_default())?;
                let host = words.next().filter(|word| !word.starts_with('#')).map(str::to_owned);
                self.listeners.push(Listener::new(line.place.clone(), host, port));
            }
            "port" => self.own_listener(line).port = port(first(value)?)?,
            "bind_address" => {
                let host = first(value)?.to_owned();
                self.own_listener(line).host = Some(host);
            }
            "allow_anonymous" => self.allow_anonymous = boolean(value)?,
            "password_file" if self.password_file.is_some() => return Err("is given already".to_owned()),
            "acl_file" if self.acl_file.is_some() => return Err("is given already".to_owned()),
            "password_file" => self.password_file = file()?,
            "acl_file" => self.acl_file = file()?,
            "max_keepalive" => self.max_keepalive = Some(number(value)?),
            "max_packet_size" => match number(value)? {
                few @ ..20 => return Err(format!("{few}: at least 20 bytes")),
                bytes => self.max_packet_bytes = Some(bytes),
            },
            "message_size_limit" => {
                let _: Option<u32> = above_zero(value)?;
                return Ok(Some(
                    "max_packet_size is the limit: a client with a larger message is disconnected",
                ));
            }
            "memory_limit" => self.max_memory = above_zero(value)?,
            "max_queued_bytes" | "queue_qos0_messages" => {}
            "max_queued_messages" => self.max_queued = above_zero(value)?,
            "max_inflight_messages" => self.max_in_flight = above_zero(value)?,
            "retain_available" => self.retain_available = Some(boolean(value)?),
            "sys_interval" => self.sys_interval_s = Some(number(value)?),
            "persistence" => self.forgets_clients = !boolean(value)?,
            "persistent_client_expiration" => self.client_expiration_s = Some(session_time(value)?),
            "per_listener_settings" => {
                self.per_listener = boolean(value)?.then(|| line.place.clone());
            }
            _ => return self.apply_to_listener(line),
        }
        Ok(None)
    }

    fn apply_to_listener(&mut self, line: &Line) -> Said {
        let value = line.value.as_str();
        let file = || Ok::<_, String>(Some((line.place.clone(), PathBuf::from(required(value)?))));
        let word = line.word.as_str();
        match word {
            // One limit for all: the lowest that is given.
            "max_connections" | "global_max_connections" | "global_max_clients" => {
                let given: Option<usize> = above_zero(value)?;
                let is_further = word == "max_connections" && self.max_connections.is_some();
                self.max_connections = [self.max_connections, given].into_iter().flatten().min();
                return Ok(is_further.then_some("the lowest limit is that of all listeners together here"));
            }
            "certfile" => self.last_listener()?.cert = file()?,
            "keyfile" => self.last_listener()?.key = file()?,
            "cafile" => self.last_listener()?.client_ca = file()?,
            "require_certificate" => {
                self.last_listener()?.require_certificate = Some((line.place.clone(), boolean(value)?));
            }
            "use_identity_as_username" => {
                self.last_listener()?.names_from_certificates = boolean(value)?;
            }
            "protocol" => match first(value)? {
                "mqtt" => {}
                other => return Err(format!("{other} is not supported: mqtt")),
            },
            "use_subject_as_username" | "use_username_as_clientid" | "enable_proxy_protocol"
                if boolean(value) == Ok(false) => {}
            _ => return unsupported_option(word),
        }
        Ok(None)
    }

    /// Returns the default listener of `port` and `bind_address`.
    fn own_listener(&mut self, line: &Line) -> &mut Listener {
        let at = self.listeners.iter().position(|listener| listener.is_own).unwrap_or(self.listeners.len());
        if at == self.listeners.len() {
            let own = Listener { is_own: true, ..Listener::new(line.place.clone(), None, PORT) };
            self.listeners.push(own);
        }
        &mut self.listeners[at]
    }

    /// Returns the listener that the line belongs to: the last one before it.
    fn last_listener(&mut self) -> Result<&mut Listener, String> {
        self.listeners.last_mut().ok_or_else(|| "stands before the first listener".to_owned())
    }

    fn check(&self, findings: &mut Findings) {
        self.listeners.iter().for_each(|listener| listener.check(findings));
        for (n, listener) in self.listeners.iter().enumerate() {
            if self.listeners.iter().take(n).any(|before| before.conflicts_with(listener)) {
                let text = "a listener before has its address and port already; :: is all addresses, those of IPv4 too";
                findings.error(listener.place.clone(), text);
            }
        }
        let mut secure = self.listeners.iter().filter(|listener| listener.has_tls());
        if let Some(first) = secure.next() {
            for listener in secure.filter(|listener| listener.tls_files() != first.tls_files()) {
                let text = "all listeners with TLS have one certfile, keyfile, cafile and require_certificate here: those of the first differ";
                findings.error(listener.place.clone(), text);
            }
        }
        if let Some(place) = self.per_listener.as_ref().filter(|_| self.listeners.len() > 1) {
            let text = "per_listener_settings: users and rights are the same at all listeners here";
            findings.error(place.clone(), text);
        }
        let may_enter = |listener: &Listener| {
            self.allow_anonymous || self.password_file.is_some() || listener.asks_for_certificates()
        };
        for listener in self.listeners.iter().filter(|listener| !may_enter(listener)) {
            let text = "nobody may come in, as in Mosquitto: give a password_file, or allow_anonymous true";
            findings.trap(listener.place.clone(), text);
        }
        let is_open = self.allow_anonymous && self.acl_file.is_none();
        for listener in self.listeners.iter().filter(|l| is_open && !l.asks_for_certificates()) {
            if !listener.is_of_this_machine() {
                let text = "allow_anonymous true without acl_file: whoever reaches this address may publish and read everything";
                findings.trap(listener.place.clone(), text);
            }
        }
    }
}

/// Describes the settings in words, for `--check`.
impl fmt::Display for BrokerConf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "local broker: this program")?;
        for listener in &self.listeners {
            let tls = match (listener.has_tls(), listener.asks_for_certificates()) {
                (false, _) => "",
                (true, false) => ", TLS",
                (true, true) => ", TLS with certificates of clients",
            };
            writeln!(f, "  listener {}{tls}", OneLine(&listener.to_string()))?;
        }
        let who = match (&self.password_file, self.allow_anonymous) {
            (Some(_), false) => "users of password_file",
            (Some(_), true) => "users of password_file, and clients without a name",
            (None, true) => "everybody",
            (None, false) if self.listeners.iter().any(Listener::asks_for_certificates) => {
                "clients with a certificate"
            }
            (None, false) => "nobody",
        };
        let rights = if self.acl_file.is_some() { "as acl_file says" } else { "all" };
        writeln!(f, "  clients  {who}; rights: {rights}")?;
        let limits = self.limits();
        writeln!(
            f,
            "  limits   {} connections, packets of {} bytes, {} MiB for all clients; {} messages for one that is slow or away, {} subscriptions of one, {} retained messages",
            limits.max_connections,
            limits.session.limits.max_packet_size,
            limits.max_memory >> 20,
            limits.max_queued,
            limits.max_subscriptions,
            limits.max_retained
        )?;
        let clients =
            if self.forgets_clients { "gone after a restart" } else { "saved a second after a change" };
        writeln!(
            f,
            "  disk     what goes to a hub or comes from one; sessions and retained messages of clients: {clients}"
        )
    }
}

fn port(word: &str) -> Result<u16, String> {
    match number(word)? {
        0 => Err("a unix socket is not supported: a port".to_owned()),
        port => Ok(port),
    }
}

fn above_zero<N: std::str::FromStr + Default + PartialEq>(value: &str) -> Result<Option<N>, String> {
    limit::<N>(value).map(|number| Some(number).filter(|number| *number != N::default()))
}

#[cfg(test)]
mod tests;
