//! Log lines about clients of the listener that were refused, at most ten a minute; suppressed ones are counted in the next line.

use edge_bridge::escape::Escaped;
use edge_bridge::listener::Event;
use std::net::SocketAddr;

const LINES_PER_MINUTE: u32 = 10;
const MINUTE_MS: u64 = 60_000;

/// Rate limit of the lines.
#[derive(Debug, Default)]
pub(super) struct ClientLog {
    minute: u64,
    said: u32,
    held_back: u64,
}

impl ClientLog {
    pub(super) fn on_event(&mut self, now_ms: u64, event: &Event, address: Option<SocketAddr>) {
        if let Some(what) = trouble(event)
            && let Some(line) = self.line(now_ms, &what, address)
        {
            edge_print::complain!("control-loop: {line}");
        }
    }

    fn line(&mut self, now_ms: u64, what: &str, address: Option<SocketAddr>) -> Option<String> {
        if now_ms / MINUTE_MS != self.minute {
            (self.minute, self.said) = (now_ms / MINUTE_MS, 0);
        }
        if self.said >= LINES_PER_MINUTE {
            self.held_back += 1;
            return None;
        }
        self.said += 1;
        let address = address.map_or("an unknown address".to_owned(), |address| address.to_string());
        let held_back = match std::mem::take(&mut self.held_back) {
            0 => String::new(),
            count => format!(" ({count} lines held back)"),
        };
        Some(format!("{what}, from {address}{held_back}"))
    }
}

/// Describes a refusal, with the client's names and topics escaped.
fn trouble(event: &Event) -> Option<String> {
    match event {
        Event::Refused { client, reason, .. } => {
            Some(format!("client \"{}\" was refused: {reason}", Escaped(client)))
        }
        Event::TopicRefused { client, topic, error, .. } => {
            let (client, topic) = (Escaped(client), Escaped(topic));
            Some(format!("client \"{client}\" publishes to \"{topic}\", which is refused: {error}"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use edge_bridge::listener::{ConnectionId, SessionUser};
    use edge_bridge::wire::{TopicError, Utf8};

    #[test]
    fn a_flood_makes_ten_lines_a_minute_that_nobody_can_forge() {
        let client = Utf8::from_static("a\nb");
        let topic = Utf8::from_static("out/x");
        let error = TopicError::Reserved;
        let user = SessionUser::default();
        let event = Event::TopicRefused { connection: ConnectionId(1), client, user, topic, error };
        let what = trouble(&event).unwrap();
        assert!(!what.contains('\n') && what.contains("out/x"), "{what}");
        let mut log = ClientLog::default();
        let lines = (0..1000).filter_map(|n| log.line(MINUTE_MS + n, &what, None)).count();
        assert_eq!(lines, 10);
        let next = log.line(2 * MINUTE_MS, &what, None).unwrap();
        assert!(next.ends_with("from an unknown address (990 lines held back)"), "{next}");
    }
}
