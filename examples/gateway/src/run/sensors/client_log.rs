//! Log lines about local clients: failures as warnings, connects and disconnects at debug level.
//!
//! A refused client comes back every second, so each cause has one line a minute, whatever the client, and all causes share a budget of lines.
//! Events without a line are counted, with their addresses, in the next line of their cause, or in one line for all causes that have none.
//! Clients choose their names and topics, so both are escaped.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use control_loop::OneLine;
use edge_bridge::escape::Escaped;
use edge_bridge::listener::{ConnectionId, Damage, Event, Restored};
use edge_bridge::session::{Closed, Violation};
use edge_bridge::wire::{DecodeErrorKind, ReasonCode, TopicError, Utf8};

use crate::run::log::once_an_hour::OnceAnHour;

const WARNINGS_PER_MINUTE: usize = 10;
const MINUTE_MS: u64 = 60_000;
/// Most characters of an error that are shown: its words, a name and a path.
const ERROR_CHARS_MAX: usize = 240;
/// Most causes that are kept apart in a minute.
const CAUSES_MAX: usize = 64;
/// Most addresses that a line names.
const ADDRESSES_MAX: usize = 8;

/// Rate limit of the lines about clients.
#[derive(Debug, Default)]
pub(in crate::run) struct ClientLog {
    minute: u64,
    /// Number of lines written in this minute.
    lines: usize,
    causes: HashMap<String, Cause>,
    /// Events whose causes got no line of their own.
    others: HeldBack,
    /// Rate limit of lines about clients at QoS 0 whose messages find no room.
    no_room: OnceAnHour,
    /// Connection of the client that was refused last.
    refused: Option<ConnectionId>,
}

#[derive(Debug, Default)]
struct Cause {
    /// Set if the cause had its line in this minute.
    is_said: bool,
    held_back: HeldBack,
}

/// Events without a line since the last line of their cause.
#[derive(Debug, Default, PartialEq, Eq)]
struct HeldBack {
    events: u64,
    /// Different addresses, in the order in which they were first seen.
    addresses: Vec<IpAddr>,
    has_more: bool,
}

impl HeldBack {
    fn add(&mut self, address: Option<IpAddr>) {
        self.events += 1;
        self.note(address);
    }

    fn note(&mut self, address: Option<IpAddr>) {
        let Some(address) = address.filter(|address| !self.addresses.contains(address)) else { return };
        if self.addresses.len() < ADDRESSES_MAX {
            self.addresses.push(address);
        } else {
            self.has_more = true;
        }
    }

    fn merge(&mut self, other: Self) {
        self.events += other.events;
        self.has_more |= other.has_more;
        other.addresses.into_iter().for_each(|address| self.note(Some(address)));
    }
}

impl fmt::Display for HeldBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.events)?;
        for (n, address) in self.addresses.iter().enumerate() {
            write!(f, "{}{address}", if n == 0 { " from " } else { ", " })?;
        }
        if self.has_more { f.write_str(" and others") } else { Ok(()) }
    }
}

/// Failure of a client that the operator should see.
#[derive(Debug, PartialEq, Eq)]
struct Trouble {
    /// Key of the rate limit: the same text for all clients.
    cause: String,
    /// Text of the line, with the client's name.
    said: String,
}

impl ClientLog {
    /// Logs an event: a failure as a warning within the rate limit, anything else at debug level.
    pub(in crate::run) fn on_event(&mut self, up_ms: u64, event: &Event, address: Option<SocketAddr>) {
        if let Some(held_back) = self.begin_minute(up_ms / MINUTE_MS) {
            tracing::warn!(%held_back, "more trouble of local clients than had lines");
        }
        if let Event::ClientsRestored(restored) = event {
            return tell_restored(restored);
        }
        let shown = address.map_or("unknown".to_owned(), |address| address.to_string());
        let is_told = self.is_told_as_refused(event);
        let Some(Trouble { cause, said }) = trouble(event).filter(|_| !is_told) else {
            tracing::debug!(?event, address = shown, "local client");
            return;
        };
        // Its hour begins with its line.
        if let Event::NoRoom { client, .. } = event
            && self.has_line(&cause)
            && !self.no_room.may_say(up_ms, client)
        {
            return;
        }
        if let Some(held_back) = self.due(cause, address) {
            tracing::warn!(address = shown, %held_back, "{said}");
        }
    }

    /// Returns whether the event is the end of a connection that was refused, and so has its line. Nothing comes between both.
    fn is_told_as_refused(&mut self, event: &Event) -> bool {
        let refused = self.refused.take();
        if let Event::Refused { connection, .. } = event {
            self.refused = Some(*connection);
        }
        matches!(event, Event::Disconnected { client: None, connection, .. } if refused == Some(*connection))
    }

    /// Starts another minute. Returns events of earlier minutes that no line has counted, because their cause had none or did not come back.
    /// `None`: there are none, or the minute is the same.
    fn begin_minute(&mut self, minute: u64) -> Option<HeldBack> {
        if std::mem::replace(&mut self.minute, minute) == minute {
            return None;
        }
        self.causes.retain(|_, cause| {
            if !std::mem::take(&mut cause.is_said) {
                self.others.merge(std::mem::take(&mut cause.held_back));
            }
            cause.held_back.events > 0
        });
        let others = std::mem::take(&mut self.others);
        let has_others = others.events > 0;
        self.lines = usize::from(has_others);
        has_others.then_some(others)
    }

    fn has_room(&self, cause: &str) -> bool {
        self.causes.len() < CAUSES_MAX || self.causes.contains_key(cause)
    }

    /// Returns whether an event of this cause would get a line now.
    fn has_line(&self, cause: &str) -> bool {
        let is_said = self.causes.get(cause).is_some_and(|cause| cause.is_said);
        self.lines < WARNINGS_PER_MINUTE && self.has_room(cause) && !is_said
    }

    /// Counts an event of this cause. Returns the events without a line since the last one if a line is due now; `None` if none is due.
    fn due(&mut self, cause: String, address: Option<SocketAddr>) -> Option<HeldBack> {
        let is_due = self.has_line(&cause);
        let address = address.map(|address| address.ip());
        if !self.has_room(&cause) {
            self.others.add(address);
            return None;
        }
        let cause = self.causes.entry(cause).or_default();
        if !is_due {
            cause.held_back.add(address);
            return None;
        }
        cause.is_said = true;
        self.lines += 1;
        Some(std::mem::take(&mut cause.held_back))
    }
}

/// Returns the text without its digits, such as seconds or byte positions, so that one cause has one text.
fn without_numbers(text: &str) -> String {
    text.replace(|c: char| c.is_ascii_digit(), "")
}

/// Describes a handshake that failed. What comes from the peer is escaped in the error, and would not be read twice escaped; an origin, which is
/// not, cannot end the line.
fn no_handshake(protocol: &str, error: &str, cause: &str) -> Trouble {
    let shown: String = error.chars().take(ERROR_CHARS_MAX).collect();
    Trouble {
        cause: format!("no {protocol}: {}", without_numbers(cause)),
        said: format!("no {protocol} with a client: {}", OneLine(&shown)),
    }
}

/// Returns the key that lets in what broke the protocol, in brackets; nothing if there is none.
fn key_of(why: &Closed) -> &'static str {
    match why {
        Closed::Violation(Violation::Decode(error)) if error.kind == DecodeErrorKind::Mqtt31 => {
            " ([local] accept_mqtt_3_1)"
        }
        _ => "",
    }
}

/// Returns the cause for which a topic is refused, and the key that changes it.
fn cause_of_topic(topic: &str, error: &TopicError) -> (&'static str, &'static str) {
    match error {
        TopicError::Reserved if topic.starts_with("$SYS/") => {
            ("topic below $SYS", "$SYS is the gateway's, but for states of other bridges")
        }
        TopicError::Reserved => ("topic of the gateway's own", "[control], [alarms]"),
        TopicError::Denied => ("right", "[local] acl_file"),
        _ => ("topic", "[local] accept_control_characters"),
    }
}

fn name_of(client: Option<&Utf8>) -> String {
    let Some(client) = client else { return "that did not say its name".to_owned() };
    format!("\"{}\"", Escaped(client))
}

/// Describes an event that the operator should see. `None`: the event is normal operation.
fn trouble(event: &Event) -> Option<Trouble> {
    match event {
        Event::Refused { client, user, reason, .. } => Some(Trouble {
            cause: format!("refused: {reason}"),
            said: match user {
                Some(user) => format!(
                    "client \"{}\" of user \"{}\" was refused: {reason}",
                    Escaped(client),
                    Escaped(user)
                ),
                None => format!("client \"{}\" without a user name was refused: {reason}", Escaped(client)),
            },
        }),
        Event::NoProxyHeader { error, .. } => Some(Trouble {
            cause: format!("no PROXY header: {}", without_numbers(error)),
            said: format!("a connection of a trusted proxy is closed: {error} ([local] trusted_proxies)"),
        }),
        Event::NoTls { error, .. } => Some(no_handshake("TLS", error, error)),
        Event::NoWebSocket { error, .. } => {
            // Behind a colon stands the origin, which the client chose: each one would be a cause of its own.
            Some(no_handshake("WebSocket", error, error.split(':').next().unwrap_or_default()))
        }
        Event::TopicRefused { client, topic, error, .. } => {
            let (cause, key) = cause_of_topic(topic, error);
            let (client, topic) = (Escaped(client), Escaped(topic));
            Some(Trouble {
                cause: cause.to_owned(),
                said: format!(
                    "client \"{client}\" publishes to \"{topic}\", which is refused: {error} ({key})"
                ),
            })
        }
        Event::NoRoom { client, .. } => Some(Trouble {
            cause: format!("no room: {}", Escaped(client)),
            said: format!(
                "messages of client \"{}\" at QoS 0 are given up: the queue has no room, being full or behind a slow disk",
                Escaped(client)
            ),
        }),
        Event::Disconnected { client, why: why @ (Closed::Violation(_) | Closed::Handshake), .. } => {
            Some(Trouble {
                cause: format!("disconnected: {}", without_numbers(&why.to_string())),
                said: format!("client {} was disconnected: {why}{}", name_of(client.as_ref()), key_of(why)),
            })
        }
        Event::Disconnected { client, why: Closed::Local(ReasonCode::QUOTA_EXCEEDED), .. } => Some(Trouble {
            // Whoever is nameless takes no line of one who has logged in.
            cause: if client.is_some() { "memory" } else { "memory, nameless" }.to_owned(),
            said: format!(
                "client {} was disconnected: of all clients it held most for longest, and [local] max_memory is reached",
                name_of(client.as_ref())
            ),
        }),
        Event::SessionEnded { client, dropped } if *dropped > 0 => Some(Trouble {
            cause: "session".to_owned(),
            said: format!(
                "the session of client \"{}\" ended: {dropped} messages for it are dropped",
                Escaped(client)
            ),
        }),
        other => trouble_with_saving(other),
    }
}

/// Logs how many clients, sessions and messages of the last process were restored, if there were any.
fn tell_restored(restored: &Restored) {
    let Restored { sessions, retained, waiting, expired, refused, ref damage, .. } = *restored;
    if let Some(damage) = damage {
        tell_damage(damage);
    }
    if refused > 0 {
        tracing::warn!(
            sessions,
            retained,
            waiting,
            expired,
            refused,
            "not all clients of the last run are back: beyond the limits of now, or on the gateway's own topics"
        );
    } else if sessions + retained + expired > 0 {
        tracing::info!(sessions, retained, waiting, expired, "clients of the last run are back");
    }
}

/// Logs what damage to the file of clients cost.
fn tell_damage(damage: &Damage) {
    let Damage { sessions, retained, waiting, wills, unknown, is_minimum, ref clients, .. } = *damage;
    let clients: Vec<_> = clients.iter().map(|client| format!("\"{}\"", Escaped(client))).collect();
    tracing::warn!(
        sessions,
        retained,
        waiting,
        wills,
        unknown,
        is_minimum,
        clients = %clients.join(", "),
        "the file of clients was damaged and is kept as clients.bad: so many sessions and messages of the last run are lost, the others are back"
    );
}

fn trouble_with_saving(event: &Event) -> Option<Trouble> {
    let (cause, said) = match event {
        Event::ClientsNotRestored { error } => (
            "restore",
            format!(
                "sessions and retained messages of the last run cannot be read; their file is set aside as `clients.bad`, if its directory allows it: {error}"
            ),
        ),
        Event::ClientsNotSaved { error } => {
            ("save", format!("sessions and retained messages cannot be saved: {error}"))
        }
        Event::ClientsLeftOut { count } => (
            "left out",
            format!(
                "{count} sessions, retained messages and messages that wait for clients are more than are saved: a restart loses them"
            ),
        ),
        _ => return None,
    };
    Some(Trouble { cause: cause.to_owned(), said })
}

#[cfg(test)]
mod tests;
