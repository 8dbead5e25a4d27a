//! The log's lines about local clients: trouble as warnings, comings and goings at debug level.
//!
//! A client that is refused comes back every second, so each cause has one line a minute, from wherever it comes, and all causes have a budget; what
//! is held back is counted in the next line of its cause, with the addresses, or in one line for all causes without. Clients choose their names and
//! topics: they are escaped.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use edge_bridge::escape::Escaped;
use edge_bridge::listener::Event;
use edge_bridge::session::Closed;
use edge_bridge::wire::{ReasonCode, TopicError};

use super::once_an_hour::OnceAnHour;

const WARNINGS_PER_MINUTE: usize = 10;
const MINUTE_MS: u64 = 60_000;
/// Causes that are told apart in a minute.
const CAUSES_MAX: usize = 64;
/// Addresses that a line names.
const ADDRESSES_MAX: usize = 8;

/// Rate limit of the lines about clients.
#[derive(Debug, Default)]
pub(super) struct ClientLog {
    minute: u64,
    /// Lines of this minute.
    lines: usize,
    causes: HashMap<String, Cause>,
    /// Events of causes that have no line.
    others: HeldBack,
    /// Clients whose messages find no room.
    no_room: OnceAnHour,
}

#[derive(Debug, Default)]
struct Cause {
    /// It had its line of this minute.
    is_said: bool,
    held_back: HeldBack,
}

/// Events without a line since the last one of their cause.
#[derive(Debug, Default, PartialEq, Eq)]
struct HeldBack {
    events: u64,
    /// The first different ones.
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

/// Something that somebody should look at.
#[derive(Debug, PartialEq, Eq)]
struct Trouble {
    /// The same for all clients.
    cause: String,
    /// With the client's name.
    said: String,
}

impl ClientLog {
    /// Says what is worth saying.
    pub(super) fn on_event(&mut self, up_ms: u64, event: &Event, address: Option<SocketAddr>) {
        if let Some(held_back) = self.begin_minute(up_ms / MINUTE_MS) {
            tracing::warn!(%held_back, "more trouble of local clients than had lines");
        }
        let shown = address.map_or("unknown".to_owned(), |address| address.to_string());
        let Some(Trouble { cause, said }) = trouble(event) else {
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

    /// Returns what is told with the first event of a minute: events whose cause had no line, or none again after it.
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

    /// Tells that an event of this cause has a line now.
    fn has_line(&self, cause: &str) -> bool {
        let is_said = self.causes.get(cause).is_some_and(|cause| cause.is_said);
        self.lines < WARNINGS_PER_MINUTE && self.has_room(cause) && !is_said
    }

    /// Returns what was held back since the last line of this cause, if a line is due; otherwise counts one more.
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

/// Returns what is the same of a text each time: seconds since a certificate's end, and the place of a wrong byte, are not.
fn without_numbers(text: &str) -> String {
    text.replace(|c: char| c.is_ascii_digit(), "")
}

fn no_handshake(protocol: &str, error: &str) -> Trouble {
    Trouble {
        cause: format!("no {protocol}: {}", without_numbers(error)),
        said: format!("no {protocol} with a client: {}", Escaped(error)),
    }
}

/// `None` for what clients do every day.
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
        Event::NoTls { error, .. } => Some(no_handshake("TLS", error)),
        Event::NoWebSocket { error, .. } => Some(no_handshake("WebSocket", error)),
        Event::TopicRefused { client, topic, error, .. } => {
            let (cause, key) = match error {
                TopicError::Reserved => ("topic of the gateway's own", "[control], [alarms]"),
                TopicError::Denied => ("right", "[local] acl_file"),
                _ => ("topic", "[local] accept_control_characters"),
            };
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
            let name = client.as_ref().map_or_else(
                || "that did not say its name".to_owned(),
                |client| format!("\"{}\"", Escaped(client)),
            );
            Some(Trouble {
                cause: format!("disconnected: {}", without_numbers(&why.to_string())),
                said: format!("client {name} was disconnected: {why}"),
            })
        }
        // A client that was refused is told above.
        Event::Disconnected {
            client: Some(client), why: Closed::Local(ReasonCode::QUOTA_EXCEEDED), ..
        } => Some(Trouble {
            cause: "memory".to_owned(),
            said: format!(
                "client \"{}\" was disconnected: of all clients it held most for longest, and [local] max_memory is reached",
                Escaped(client)
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

fn trouble_with_saving(event: &Event) -> Option<Trouble> {
    let (cause, said) = match event {
        Event::ClientsNotRestored { error } => (
            "restore",
            format!(
                "sessions and retained messages of the last run are lost, and set aside as `clients.bad`: {error}"
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
mod tests {
    use super::*;
    use crate::run::captured_log::captured;
    use edge_bridge::listener::ConnectionId;
    use edge_bridge::wire::Utf8;

    fn due(log: &mut ClientLog, minute: u64, cause: &str, address: Option<&str>) -> Option<String> {
        assert_eq!(log.begin_minute(minute), None);
        let address = address.map(|address| SocketAddr::new(address.parse().unwrap(), 1));
        log.due(cause.to_owned(), address).map(|held_back| held_back.to_string())
    }

    #[test]
    fn each_cause_is_said_once_a_minute_and_all_have_a_budget() {
        let mut log = ClientLog::default();
        assert_eq!((0..25).filter(|_| due(&mut log, 0, "the same", None).is_some()).count(), 1);
        assert_eq!((0..25).filter(|n| due(&mut log, 0, &n.to_string(), None).is_some()).count(), 9);
        assert_eq!(log.begin_minute(1).unwrap().to_string(), "16", "nine had a line");
        assert_eq!(due(&mut log, 1, "the same", None).unwrap(), "24", "a new minute, a new line");
    }

    #[test]
    fn what_is_held_back_is_counted_with_its_own_cause_and_its_addresses() {
        let [flooder, other] = ["10.0.0.7:1", "10.0.0.8:1"].map(|address| address.parse().ok());
        let (client, topic) = (Utf8::from_static("c"), Utf8::from_static("out/x"));
        let connection = ConnectionId(1);
        let error = TopicError::Reserved;
        let publish = Event::TopicRefused { connection, client: client.clone(), topic, error };
        let ended = Event::SessionEnded { client, dropped: 1 };
        let mut log = ClientLog::default();
        let lines = captured(|| {
            (0..500).for_each(|up_ms| log.on_event(up_ms, &publish, flooder));
            log.on_event(500, &publish, other);
            log.on_event(MINUTE_MS, &ended, other);
            log.on_event(MINUTE_MS, &publish, other);
        });
        let said = lines.lines().filter_map(|line| {
            let (text, fields) = line.split_once(" address=")?;
            Some((text.contains("publishes to"), fields))
        });
        let expected = [
            (true, r#""10.0.0.7:1" held_back=0"#),
            (false, r#""10.0.0.8:1" held_back=0"#),
            (true, r#""10.0.0.8:1" held_back=500 from 10.0.0.7, 10.0.0.8"#),
        ];
        assert_eq!(said.collect::<Vec<_>>(), expected, "{lines}");
    }

    #[test]
    fn one_mistake_of_a_whole_plant_takes_one_line() {
        let mut log = ClientLog::default();
        for minute in 0..3 {
            let lines =
                (0..12).filter_map(|n| due(&mut log, minute, "refused", Some(&format!("10.0.0.{n}"))));
            assert_eq!(lines.count(), 1);
            assert!(due(&mut log, minute, "session", None).is_some(), "another cause has its own");
        }
        let addresses = "10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4, 10.0.0.5, 10.0.0.6, 10.0.0.7, 10.0.0.8";
        assert_eq!(due(&mut log, 3, "refused", None).unwrap(), format!("11 from {addresses} and others"));
    }

    #[test]
    fn a_trouble_that_has_ended_is_counted_in_a_line_for_all() {
        let mut log = ClientLog::default();
        (0..5).for_each(|_| drop(due(&mut log, 0, "ended", Some("10.0.0.7"))));
        assert_eq!(log.begin_minute(1), None, "it may go on");
        assert_eq!(log.begin_minute(2).unwrap().to_string(), "4 from 10.0.0.7");
        assert_eq!((log.lines, log.begin_minute(3)), (1, None));
    }

    #[test]
    fn causes_without_end_are_bounded_and_each_event_is_counted() {
        let mut log = ClientLog::default();
        let mut counted = 0;
        for minute in 0..5 {
            counted += log.begin_minute(minute).map_or(0, |others| others.events);
            for n in 0..5_000 {
                let said = due(&mut log, minute, &format!("{minute} {n}"), None);
                counted += said.map_or(0, |held_back| 1 + held_back.parse::<u64>().unwrap());
            }
            assert_eq!((log.lines, log.causes.len()), (WARNINGS_PER_MINUTE, CAUSES_MAX));
        }
        let left = log.others.events + log.causes.values().map(|cause| cause.held_back.events).sum::<u64>();
        assert_eq!(counted + left, 25_000);
    }

    #[test]
    fn a_client_whose_messages_find_no_room_has_one_line_an_hour_over_its_connections() {
        let mut log = ClientLog::default();
        let client = Utf8::from_static("s");
        let mut lines = |up_ms, connection| {
            let event = Event::NoRoom { connection: ConnectionId(connection), client: client.clone() };
            log.on_event(up_ms, &event, None);
            log.lines
        };
        assert_eq!(lines(0, 1), 1);
        assert_eq!(lines(10 * MINUTE_MS, 2), 0, "no second one within the hour");
        assert_eq!(lines(61 * MINUTE_MS, 3), 1);
        assert_eq!(log.minute, 61);
    }

    #[test]
    fn no_room_without_a_line_is_counted_and_has_one_later() {
        let mut log = ClientLog::default();
        (0..WARNINGS_PER_MINUTE).for_each(|n| drop(due(&mut log, 0, &n.to_string(), None)));
        let event = Event::NoRoom { connection: ConnectionId(1), client: Utf8::from_static("s") };
        log.on_event(1, &event, None);
        let held_back: u64 = log.causes.values().map(|cause| cause.held_back.events).sum();
        assert_eq!(held_back, 1);
        let lines = captured(|| log.on_event(MINUTE_MS, &event, None));
        assert!(lines.contains("held_back=1") && lines.contains("client \"s\" at QoS 0"), "{lines}");
    }

    #[test]
    fn names_of_clients_cannot_forge_a_line() {
        let forged = "x\n2026-11-21T03:00:00.000000Z  INFO edge_gateway::run::gateway: stopped \u{202e}";
        let client = Utf8::try_from(forged.to_owned() + &"y".repeat(65_000)).unwrap();
        let said = trouble(&Event::SessionEnded { client, dropped: 1 }).unwrap().said;
        assert!(said.contains("x\\n2026") && !said.contains('\n') && !said.contains('\u{202e}'), "{said}");
        assert!(said.len() < 200, "{}", said.len());
    }
}
