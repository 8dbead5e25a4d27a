//! The log's lines about local clients: trouble as warnings, comings and goings at debug level.
//!
//! A client that is refused comes back every second, so each cause has one line a minute for each address, and all have a budget; what is held back
//! is counted in the next line of the same cause and address. Clients choose their names and topics: they are escaped.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use edge_bridge::escape::Escaped;
use edge_bridge::listener::Event;
use edge_bridge::session::Closed;
use edge_bridge::wire::{ReasonCode, TopicError};

use super::once_an_hour::OnceAnHour;

const WARNINGS_PER_MINUTE: usize = 10;
const MINUTE_MS: u64 = 60_000;
/// Causes and addresses that are told apart; all others share a line.
const ORIGINS_MAX: usize = 256;

/// Rate limit of the lines about clients.
#[derive(Debug, Default)]
pub(super) struct ClientLog {
    minute: u64,
    /// Lines of this minute.
    lines: usize,
    /// By cause and address.
    origins: HashMap<(String, Option<IpAddr>), Origin>,
    /// Clients whose messages find no room.
    no_room: OnceAnHour,
}

/// Trouble of one cause from one address.
#[derive(Debug, Default)]
struct Origin {
    /// It had its line of this minute.
    is_said: bool,
    /// Events without a line since its last one.
    held_back: u64,
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
        if let Event::NoRoom { client, .. } = event
            && !self.no_room.may_say(up_ms, client)
        {
            return;
        }
        let shown = address.map_or("unknown".to_owned(), |address| address.to_string());
        let Some(Trouble { cause, said }) = trouble(event) else {
            tracing::debug!(?event, address = shown, "local client");
            return;
        };
        if let Some(held_back) = self.due(up_ms, &cause, address) {
            tracing::warn!(address = shown, held_back, "{said}");
        }
    }

    /// Returns the events held back since the last line of this cause and address, if a line is due; otherwise counts one more.
    fn due(&mut self, up_ms: u64, cause: &str, address: Option<SocketAddr>) -> Option<u64> {
        let minute = up_ms / MINUTE_MS;
        if minute != self.minute {
            self.minute = minute;
            self.lines = 0;
            let is_full = self.origins.len() >= ORIGINS_MAX;
            self.origins.retain(|_, origin| {
                origin.is_said = false;
                origin.held_back > 0 && !is_full
            });
        }
        let mut key = (cause.to_owned(), address.map(|address| address.ip()));
        if self.origins.len() >= ORIGINS_MAX && !self.origins.contains_key(&key) {
            key = Default::default();
        }
        let origin = self.origins.entry(key).or_default();
        if origin.is_said || self.lines >= WARNINGS_PER_MINUTE {
            origin.held_back += 1;
            return None;
        }
        origin.is_said = true;
        self.lines += 1;
        Some(std::mem::take(&mut origin.held_back))
    }
}

/// `None` for what clients do every day.
fn trouble(event: &Event) -> Option<Trouble> {
    match event {
        Event::Refused { client, reason, .. } => Some(Trouble {
            cause: format!("refused: {reason}"),
            said: format!("client \"{}\" was refused: {reason}", Escaped(client)),
        }),
        Event::TopicRefused { client, topic, error, .. } => {
            let (cause, key) = match error {
                TopicError::Reserved => ("topic of the gateway's own", "[control], [alarms]"),
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
                cause: format!("disconnected: {why}"),
                said: format!("client {name} was disconnected: {why}"),
            })
        }
        // A client that was refused is told above.
        Event::Disconnected {
            client: Some(client), why: Closed::Local(ReasonCode::QUOTA_EXCEEDED), ..
        } => Some(Trouble {
            cause: "memory".to_owned(),
            said: format!(
                "client \"{}\" was disconnected: of all clients it held most, and [local] max_memory is reached",
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
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::captured_log::captured;
    use edge_bridge::listener::ConnectionId;
    use edge_bridge::wire::Utf8;

    #[test]
    fn each_cause_is_said_once_a_minute_and_all_have_a_budget() {
        let mut log = ClientLog::default();
        assert_eq!((0..25).filter(|_| log.due(5, "the same", None).is_some()).count(), 1);
        assert_eq!((0..25).filter(|n| log.due(5, &n.to_string(), None).is_some()).count(), 9);
        assert_eq!(log.due(MINUTE_MS + 5, "the same", None), Some(24), "a new minute, a new line");
    }

    #[test]
    fn what_is_held_back_is_counted_with_its_own_cause_and_address() {
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
            // The client comes back from another port.
            log.on_event(MINUTE_MS, &publish, "10.0.0.7:2".parse().ok());
        });
        let said = lines.lines().filter_map(|line| {
            let (text, fields) = line.split_once(" address=")?;
            Some((text.contains("publishes to"), fields))
        });
        let expected = [
            (true, r#""10.0.0.7:1" held_back=0"#),
            (true, r#""10.0.0.8:1" held_back=0"#),
            (false, r#""10.0.0.8:1" held_back=0"#),
            (true, r#""10.0.0.8:1" held_back=0"#),
            (true, r#""10.0.0.7:2" held_back=499"#),
        ];
        assert_eq!(said.collect::<Vec<_>>(), expected, "{lines}");
    }

    #[test]
    fn a_flood_from_everywhere_is_bounded() {
        let mut log = ClientLog::default();
        for minute in 0..3 {
            for n in 0..5_000_u32 {
                let address = SocketAddr::from((n.to_be_bytes(), 1));
                log.due(minute * MINUTE_MS, "topic", Some(address));
            }
            assert_eq!((log.lines, log.origins.len()), (WARNINGS_PER_MINUTE, ORIGINS_MAX + 1));
        }
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
        assert_eq!(lines(10 * MINUTE_MS, 2), 1, "of the first minute still");
        assert_eq!(lines(61 * MINUTE_MS, 3), 1);
        assert_eq!(log.minute, 61);
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
