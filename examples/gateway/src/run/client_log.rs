//! What the log says of local clients: trouble as warnings, comings and goings at debug level.
//!
//! A client that is refused comes back every second, so warnings have a budget; what it holds back is said later.

use edge_bridge::listener::Event;
use edge_bridge::session::Closed;

const WARNINGS_PER_MINUTE: u32 = 10;
const MINUTE_MS: u64 = 60_000;

/// The budget of warnings.
#[derive(Debug, Default)]
pub(super) struct ClientLog {
    minute: u64,
    said: u32,
    held_back: u64,
}

impl ClientLog {
    /// Says what is worth saying.
    pub(super) fn on_event(&mut self, up_ms: u64, event: &Event) {
        match trouble(event) {
            None => tracing::debug!(?event, "local client"),
            Some(said) if self.may_say(up_ms) => tracing::warn!(held_back = self.take_held_back(), "{said}"),
            Some(_) => self.held_back += 1,
        }
    }

    fn may_say(&mut self, up_ms: u64) -> bool {
        let minute = up_ms / MINUTE_MS;
        if minute != self.minute {
            (self.minute, self.said) = (minute, 0);
        }
        self.said = self.said.saturating_add(1);
        self.said <= WARNINGS_PER_MINUTE
    }

    fn take_held_back(&mut self) -> u64 {
        std::mem::take(&mut self.held_back)
    }
}

/// A sentence about what somebody should look at; `None` for what clients do every day.
fn trouble(event: &Event) -> Option<String> {
    match event {
        Event::Refused { client, reason, .. } => {
            Some(format!("client {} was refused: {reason}", client.as_str()))
        }
        Event::Disconnected { client, why: why @ (Closed::Violation(_) | Closed::Handshake), .. } => {
            let name = client.as_ref().map_or("that did not say its name", |client| client.as_str());
            Some(format!("client {name} was disconnected: {why}"))
        }
        Event::SessionEnded { client, dropped } if *dropped > 0 => Some(format!(
            "the session of client {} ended: {dropped} messages for it are dropped",
            client.as_str()
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_have_a_budget_and_what_is_held_back_is_counted() {
        let mut log = ClientLog::default();
        let said = (0..25).filter(|_| log.may_say(5)).count();
        assert_eq!(said, 10);
        assert!(log.may_say(MINUTE_MS + 5), "a new minute, a new budget");
    }
}
