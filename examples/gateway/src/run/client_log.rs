//! The log's lines about local clients: trouble as warnings, comings and goings at debug level.
//!
//! A client that is refused comes back every second, so each cause is said once a minute and all causes have a budget; what is held back is
//! counted in the next line. Clients choose their names and topics: they are escaped.

use std::collections::HashSet;
use std::net::SocketAddr;

use edge_bridge::escape::Escaped;
use edge_bridge::listener::Event;
use edge_bridge::session::Closed;
use edge_bridge::wire::{ReasonCode, TopicError};

use super::once_an_hour::OnceAnHour;

const WARNINGS_PER_MINUTE: usize = 10;
const MINUTE_MS: u64 = 60_000;

/// Rate limit of the lines about clients.
#[derive(Debug, Default)]
pub(super) struct ClientLog {
    minute: u64,
    /// Of this minute.
    said: HashSet<String>,
    held_back: u64,
    /// Clients whose messages find no room.
    no_room: OnceAnHour,
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
        let address = address.map_or("unknown".to_owned(), |address| address.to_string());
        if let Event::NoRoom { client, .. } = event
            && !self.no_room.may_say(up_ms, client)
        {
            return;
        }
        match trouble(event) {
            None => tracing::debug!(?event, address, "local client"),
            Some(Trouble { cause, said }) if self.may_say(up_ms, &cause) => {
                tracing::warn!(address, held_back = self.take_held_back(), "{said}");
            }
            Some(_) => self.held_back += 1,
        }
    }

    fn may_say(&mut self, up_ms: u64, cause: &str) -> bool {
        let minute = up_ms / MINUTE_MS;
        if minute != self.minute {
            self.minute = minute;
            self.said.clear();
        }
        self.said.len() < WARNINGS_PER_MINUTE && self.said.insert(cause.to_owned())
    }

    fn take_held_back(&mut self) -> u64 {
        std::mem::take(&mut self.held_back)
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
    use edge_bridge::listener::ConnectionId;
    use edge_bridge::wire::Utf8;

    #[test]
    fn each_cause_is_said_once_a_minute_and_all_have_a_budget() {
        let mut log = ClientLog::default();
        assert_eq!((0..25).filter(|_| log.may_say(5, "the same")).count(), 1);
        assert_eq!((0..25).filter(|n| log.may_say(5, &n.to_string())).count(), 9);
        assert!(log.may_say(MINUTE_MS + 5, "the same"), "a new minute, a new line");
    }

    #[test]
    fn a_client_whose_messages_find_no_room_has_one_line_an_hour_over_its_connections() {
        let mut log = ClientLog::default();
        let client = Utf8::from_static("s");
        let mut lines = |up_ms, connection| {
            let event = Event::NoRoom { connection: ConnectionId(connection), client: client.clone() };
            log.on_event(up_ms, &event, None);
            log.said.len()
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
