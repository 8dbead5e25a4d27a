//! Plan of a connection section: the two clients, their filters and topics, and the queue between them.

mod description;
mod key_file_digest;
pub(crate) mod retained_taken;
pub(crate) mod same_client_id;
mod wanted_filters;

use std::path::{Path, PathBuf};
use std::time::Duration;

use edge_bridge::bridge::backoff::BackoffConfig;
use edge_bridge::bridge::topic_rules::{Rule, Rules};
use edge_bridge::escape::Escaped;
use edge_bridge::net::{Builder, TlsSettingNames};
use edge_bridge::wire::{
    Properties, QoS, RetainHandling, Subscription, Utf8, Version, Will, validate_characters,
    validate_topic_name,
};
use edge_bridge::{Bridge, Tls};
use edge_print::in_full;
use edge_queue::{Lane, LaneConfig, OnFull, Order};
use tracing::{Instrument, Span};

use crate::findings::Place;
use crate::section::{Conf, Limits, Login, Protocol, Section};
use retained_taken::RetainedTaken;
use wanted_filters::{meet, wanted, without_covered};

/// Longest name of a directory, with room for the suffixes that the queue appends.
pub(crate) const DIR_NAME_MAX: usize = 200;
/// Most bytes of a message with its topic and properties; a larger one does not fit into a segment of the queue.
pub(crate) const MESSAGE_BYTES_MAX: usize = 896 * 1024;
/// File of a queue in its directory.
pub(crate) const QUEUE_FILE: &str = "queue.ring";
/// Most bytes of messages that wait for the local broker.
const IN_BYTES: u64 = 8 * 1024 * 1024;

/// Settings of one bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) section: Section,
    limits: Limits,
    remote_client_id: String,
    local_client_id: String,
    /// `HOST:PORT` of the local broker; `None`: it is this program.
    local: Option<String>,
    /// Directories of the queues to the hub and to the local broker.
    spools: [PathBuf; 2],
    /// Set if what comes after an outage goes before the messages of the outage.
    pub(crate) is_live_first: bool,
    /// Digest of the key files' contents, so that renewed files under the same names make a different plan.
    keys: key_file_digest::Digest,
}

/// Returns the plans of a file.
pub(crate) fn plans(conf: &Conf, local: Option<&str>, state: &Path, host: &str) -> Vec<Plan> {
    let plan = |section: &Section| {
        let remote = section.remote_client_id.clone().unwrap_or_else(|| format!("{host}.{}", section.name));
        Plan {
            local_client_id: section.local_client_id.clone().unwrap_or_else(|| format!("local.{remote}")),
            remote_client_id: remote,
            limits: conf.limits.clone(),
            local: local.map(str::to_owned),
            spools: dir_names(&section.name).map(|name| state.join(name)),
            is_live_first: false,
            keys: key_file_digest::Digest::of(&section.tls),
            section: section.clone(),
        }
    };
    conf.sections.iter().map(plan).collect()
}

/// Names of the directories of a connection's queues, to the hub and to the local broker.
pub(crate) fn dir_names(name: &str) -> [String; 2] {
    let name = dir_name(name);
    [format!("{name}.out"), format!("{name}.in")]
}

/// Returns a connection's name as a directory name: letters, digits, `-`, `_` and `.` stay, other bytes become `%XX`, so that no name leaves the
/// state directory.
pub(crate) fn dir_name(name: &str) -> String {
    let mut safe = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            safe.push(char::from(byte));
        } else {
            safe.push_str(&format!("%{byte:02X}"));
        }
    }
    safe
}

impl Plan {
    pub(crate) fn rules(&self) -> Rules {
        Rules::new(self.section.topics.iter().map(|topic| topic.rule.clone()).collect())
    }

    /// Returns the subscriptions at the local broker.
    pub(crate) fn out_filters(&self) -> Vec<Subscription> {
        let topics = self.section.topics.iter();
        without_covered(topics.filter_map(|t| Some(wanted(t.rule.local_filter()?, t.rule.qos()))).collect())
    }

    /// Returns whether the connection subscribes at the local broker to what `before` did not.
    pub(crate) fn takes_more_than(&self, before: &Self) -> bool {
        let had = before.out_filters();
        self.out_filters().iter().any(|wanted| had.iter().all(|one| one.filter != wanted.filter))
    }

    /// Returns whether this connection cannot run beside `other`: what one sends to the hub the other would bring back; or they share a queue, a client
    /// identifier or the topic of their state.
    pub(crate) fn excludes(&self, other: &Self) -> bool {
        let topic = self.notification_topic();
        self.is_echoed_by(other)
            || other.is_echoed_by(self)
            || self.spools == other.spools
            || self.local_client_id == other.local_client_id
            || self.remote_client_id == other.remote_client_id
            || topic.is_some() && topic == other.notification_topic()
    }

    fn is_echoed_by(&self, other: &Self) -> bool {
        let out = self.section.topics.iter().filter(|topic| topic.rule.local_filter().is_some());
        let mut sent = out.map(|topic| format!("{}{}", topic.rule.remote_prefix(), topic.rule.pattern()));
        sent.any(|sent| other.in_filters().iter().any(|wanted| meet(&sent, &wanted.filter)))
    }

    /// Returns the subscriptions at the hub.
    pub(crate) fn in_filters(&self) -> Vec<Subscription> {
        let topics = self.section.topics.iter();
        topics.filter_map(|t| Some(wanted(t.rule.remote_filter()?, t.rule.qos()))).collect()
    }

    /// Returns the subscriptions at the hub at a start. The broker in this program gets all that the hub retains and has not sent to this process by the
    /// same rules: it acknowledges a retained message before it has saved it, so that a kill may have cost it some, and under a changed local prefix it has
    /// none. Later it has them, and one may be newer here than at the hub.
    pub(crate) fn in_filters_beyond(&self, taken: &RetainedTaken) -> Vec<Subscription> {
        let mut filters = self.in_filters();
        if self.local.is_none() {
            let new = filters.iter_mut().skip(taken.rules(self));
            new.for_each(|filter| filter.retain_handling = RetainHandling::Send);
        }
        filters
    }

    fn in_rules(&self) -> impl Iterator<Item = &Rule> {
        self.section.topics.iter().map(|topic| &topic.rule).filter(|rule| rule.remote_filter().is_some())
    }

    /// Returns the topic of the connection's retained state, `1` or `0`.
    pub(crate) fn notification_topic(&self) -> Option<String> {
        let section = &self.section;
        let own = || format!("$SYS/broker/connection/{}/state", self.remote_client_id);
        section.notifications.then(|| section.notification_topic.clone().unwrap_or_else(own))
    }

    /// Checks everything that the start needs, except the queues.
    ///
    /// # Errors
    ///
    /// In words, with the line of the file.
    pub(crate) fn check(&self) -> Result<(), (Place, String)> {
        let section = &self.section;
        if let Some(error) = key_file_digest::unreadable(&section.tls) {
            return Err(error);
        }
        let at =
            |place: &Place, error: String| (place.clone(), format!("connection {}: {error}", section.name));
        let ca_place = section.tls.ca.as_ref().map_or(&section.place, |(place, _)| place);
        let tls = self.tls().map_err(|error| at(ca_place, error))?;
        self.check_clients(tls).map_err(|error| at(&section.place, error))
    }

    fn check_clients(&self, tls: Option<Tls>) -> Result<(), String> {
        let of_hub = self.hub_builder(tls)?.validate().map_err(|error| in_full(&error));
        let Some(local) = &self.local else { return of_hub.and_then(|()| self.check_state_topic()) };
        let of_local = self
            .local_builder(local, !self.in_filters().is_empty())?
            .validate()
            .map_err(|error| in_full(&error));
        of_hub.and(of_local.map_err(|error| format!("at the local broker: {error}")))
    }

    /// Checks the topic of the connection's state. The clients check that of their wills; the broker in this program has none.
    fn check_state_topic(&self) -> Result<(), String> {
        let Some(topic) = self.notification_topic() else { return Ok(()) };
        let checked = validate_topic_name(&topic).and_then(|()| validate_characters(&topic));
        checked.map_err(|error| format!("notification_topic \"{topic}\": {error}"))
    }

    /// Starts the client of the hub, with the queue on disk.
    ///
    /// # Errors
    ///
    /// In words, for example a key that cannot be read.
    pub(crate) async fn hub(&self) -> Result<Bridge, String> {
        let span = tracing::info_span!("hub", connection = %Escaped(&self.section.name));
        start(self.hub_builder(self.tls()?)?, span).await
    }

    fn hub_builder(&self, tls: Option<Tls>) -> Result<Builder, String> {
        let section = &self.section;
        let scheme = if section.tls.is_on() { "mqtts" } else { "mqtt" };
        let urls: Vec<_> = section.addresses.iter().map(|address| format!("{scheme}://{address}")).collect();
        let (first, further) = urls.split_first().ok_or("no address")?;
        let mut builder = Bridge::builder(first)
            .further_urls(further)
            .failback(!section.round_robin)
            .client_id(&self.remote_client_id)
            .keep_alive_s(section.keep_alive_s)
            .bridge_bit(!matches!(section.try_private, Some((_, false))))
            .session_expiry_s(self.session_expiry_s())
            .spool_dir(&self.spools[0])
            .queue_config(self.queue());
        builder = match section.protocol {
            Protocol::Any => builder.any_version(),
            Protocol::V5 => builder.version(Version::V5),
            Protocol::V311 => builder.version(Version::V311),
        };
        builder = login(builder, &section.remote_login);
        if let Some((base, cap)) = section.restart {
            builder = builder.backoff(delays(base, cap));
        }
        if let Some((_, most)) = self.limits.max_in_flight.as_ref().filter(|(_, most)| *most > 0) {
            builder = builder.max_in_flight(*most);
        }
        if let Some(most) = section.receive_maximum {
            builder = builder.receive_maximum(most);
        }
        if let Some(tls) = tls {
            builder = builder.tls(tls);
        }
        if let Some(name) = &section.tls.alpn {
            builder = builder.alpn(&[name]);
        }
        if let Some(topic) = self.notification_topic().filter(|_| !section.notifications_local_only) {
            builder = builder.will(will(&topic, section.outgoing_retain)?);
        }
        Ok(builder)
    }

    /// Starts the client of the local broker, with a queue of its own for what comes from the hub: a message that the broker refuses is parked there,
    /// and the hub gets its PUBACK, because PUBACKs are sent in order.
    ///
    /// # Errors
    ///
    /// In words.
    pub(crate) async fn local(&self, has_queue: bool) -> Result<Bridge, String> {
        let local = self.local.as_deref().unwrap_or_default();
        let span = tracing::info_span!("local", connection = %Escaped(&self.section.name));
        start(self.local_builder(local, has_queue)?, span).await
    }

    /// Returns whether the connection has a queue to the local side: it has `in` rules, or had them, and messages of that time are on disk.
    pub(crate) fn has_inbox(&self) -> bool {
        !self.in_filters().is_empty() || self.spools[1].join(QUEUE_FILE).exists()
    }

    /// Returns directory and settings of the queue to clients of the broker in this program.
    pub(crate) fn inbox(&self) -> (&Path, edge_queue::Config) {
        (&self.spools[1], in_queue())
    }

    fn local_builder(&self, local: &str, has_queue: bool) -> Result<Builder, String> {
        let mut builder = Bridge::builder(&format!("mqtt://{local}")).client_id(&self.local_client_id);
        builder = builder.session_expiry_s(if self.section.local_clean_session == Some(true) {
            0
        } else {
            u32::MAX
        });
        // The same machine, or the next one: it comes back in a moment.
        builder = builder.backoff(delays(Duration::from_millis(100), Duration::from_secs(2)));
        if let Some(topic) = self.notification_topic() {
            builder = builder.will(will(&topic, true)?);
        }
        if has_queue {
            builder = builder.spool_dir(&self.spools[1]).queue_config(in_queue());
        }
        Ok(login(builder, &self.section.local_login))
    }

    /// Session expiry in seconds; `cleansession false` keeps a session for ever.
    fn session_expiry_s(&self) -> u32 {
        let is_clean = matches!(self.section.clean_session, Some((_, true)));
        if is_clean { 0 } else { self.section.session_expiry_s.unwrap_or(u32::MAX) }
    }

    fn queue(&self) -> edge_queue::Config {
        let set = |(_, most): &(Place, u64)| Some(*most).filter(|most| *most > 0);
        let mut config = edge_queue::Config::default().row_bytes_max(MESSAGE_BYTES_MAX);
        if let Some(messages) = self.limits.max_queued_messages.as_ref().and_then(set) {
            config = config.max_messages(messages);
        }
        if let Some(bytes) = self.limits.max_queued_bytes.as_ref().and_then(set) {
            config = config.max_bytes(bytes);
        }
        if self.is_live_first {
            config = config.lane(Lane::TELEMETRY, LaneConfig::default().order(Order::live_first()));
        }
        config
    }

    /// Loads the keys of the connection.
    ///
    /// # Errors
    ///
    /// In words, with the file.
    pub(crate) fn tls(&self) -> Result<Option<Tls>, String> {
        let files = &self.section.tls;
        let tls = match (&files.ca, &files.cert, &files.key) {
            (Some((_, ca)), Some((_, cert)), Some((_, key))) => Tls::from_pem(ca, cert, key),
            (Some((_, ca)), ..) => Tls::from_ca(ca),
            (None, Some((_, cert)), Some((_, key))) if files.system_ca => Tls::from_system_with(cert, key),
            _ if files.system_ca => Tls::from_system(),
            _ => return Ok(None),
        };
        let names = TlsSettingNames {
            server_name: "address",
            authorities: "bridge_cafile",
            certificate: "bridge_certfile",
            ..TlsSettingNames::default()
        };
        tls.map(|tls| Some(tls.with_setting_names(names))).map_err(|error| in_full(&error))
    }

    /// Returns the error of the queue's settings, in words, with the line of the file.
    pub(crate) fn queue_error(&self) -> Option<(Place, String)> {
        let error = self.queue().validate().err()?;
        let lines = [
            ("max_messages", "max_queued_messages", self.limits.max_queued_messages.as_ref()),
            ("max_bytes", "max_queued_bytes", self.limits.max_queued_bytes.as_ref()),
        ];
        let line = lines.into_iter().find(|(key, ..)| *key == error.key);
        Some(match line {
            Some((_, word, Some((place, value)))) => {
                // The queue's own words are about its lanes.
                let why = format!(
                    "{word}: {value} is not what a queue can have: at least 33 bytes or 1 message, and at most what the disk has room for"
                );
                (place.clone(), why)
            }
            _ => (self.section.place.clone(), in_full(&error)),
        })
    }
}

/// Returns the settings of the queue from the hub. A message without room there is not acknowledged, and stays at the hub.
fn in_queue() -> edge_queue::Config {
    let config = edge_queue::Config::default().row_bytes_max(MESSAGE_BYTES_MAX).max_bytes(IN_BYTES);
    config.on_full(OnFull::Reject)
}

/// Largest message, in bytes, that a queue of this many bytes can store.
pub(crate) fn message_bytes_max(queue_bytes: Option<u64>) -> u64 {
    let most = MESSAGE_BYTES_MAX as u64;
    queue_bytes.map_or(most, |bytes| bytes.saturating_sub(edge_queue::ROW_OVERHEAD_BYTES).min(most))
}

fn login(builder: Builder, login: &Login) -> Builder {
    match &login.user {
        Some(user) => builder.credentials(user, login.password.clone().unwrap_or_default()),
        None => builder,
    }
}

fn delays(base: Duration, cap: Duration) -> BackoffConfig {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let mut delays = BackoffConfig::default();
    (delays.base_ms, delays.max_ms, delays.silent_max_ms) = (ms(base), ms(cap), ms(cap));
    delays
}

fn will(topic: &str, retain: bool) -> Result<Will, String> {
    let topic = Utf8::try_from(topic).map_err(|error| format!("\"{topic}\": {error}"))?;
    let properties = Properties::default();
    Ok(Will { qos: QoS::AtLeastOnce, retain, topic, payload: "0".into(), properties })
}

/// Starts a client. Its log lines have `span`, which names side and connection, because both the local broker and the remote one are a hub
/// to their client.
async fn start(builder: Builder, span: Span) -> Result<Bridge, String> {
    builder.start().instrument(span).await.map_err(|error| in_full(&error))
}

#[cfg(test)]
mod tests;
