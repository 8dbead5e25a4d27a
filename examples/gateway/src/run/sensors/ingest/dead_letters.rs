//! Dead letters: messages that the routes cannot use, counted, and said once per topic and hour, of a few topics at once.

use edge_bridge::escape::Escaped;
use edge_bridge::ingest::{Answer, Inbound, Now};
use edge_bridge::wire::ReasonCode;

use super::Inner;

/// Bytes of a payload, or of a long topic, that a line of the log shows.
const SHOWN_BYTES: usize = 40;
/// Reason why a raw route does not take a message.
pub(super) const TOO_LONG: &str = "with the route's `to` the topic has more than 65535 bytes, or more than 200 levels, at which a hub may end the connection";

impl Inner {
    pub(super) fn refuse(&mut self, now: Now, message: &Inbound, reason: ReasonCode, error: &str) -> Answer {
        let topic = message.topic.as_str();
        self.counts.undecodable += 1;
        self.taps.no_reading(topic, &error);
        if let Some(not_logged) = self.dead_letters.line(now.up_ms, topic) {
            tell_dead_letter(topic, (reason, error), &message.payload, not_logged);
        }
        Answer::Refuse(reason)
    }
}

/// `not_logged`: dead letters without a line since the last one.
fn tell_dead_letter(topic: &str, (reason, error): (ReasonCode, &str), payload: &[u8], not_logged: u64) {
    if reason == ReasonCode::TOPIC_NAME_INVALID {
        let begins = String::from_utf8_lossy(topic.as_bytes().get(..SHOWN_BYTES).unwrap_or_default());
        tracing::warn!(bytes = topic.len(), begins = %format_args!("\"{}\"", Escaped(&begins)), error, not_logged, "too long or too deep a topic: goes to dead-letter/TOPIC as it came");
        return;
    }
    let begins = String::from_utf8_lossy(payload.get(..SHOWN_BYTES).unwrap_or(payload));
    tracing::warn!(topic = %format_args!("\"{}\"", Escaped(topic)), error = %format_args!("\"{}\"", Escaped(error)), begins = %format_args!("\"{}\"", Escaped(&begins)), not_logged, "not readings: goes to dead-letter/TOPIC as it came");
}
