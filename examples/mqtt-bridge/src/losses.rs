//! Log lines about dropped messages, once a minute: only the counters of the queues show these losses.

use edge_bridge::escape::Escaped;
use edge_bridge::listener;

/// Number of messages that a connection's queues had dropped at the last log line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told(u64);

impl Told {
    /// Starts with the losses before this start, which are not logged.
    pub(crate) fn from(dropped: u64) -> Self {
        Self(dropped)
    }

    /// Logs the messages dropped since the last call.
    pub(crate) fn update(&mut self, connection: &str, dropped: u64) {
        let more = dropped.saturating_sub(self.0);
        self.0 = dropped;
        if more > 0 {
            tracing::error!(connection = %Escaped(connection), messages = more, in_all = dropped, "the queue was full, or what it held expired or was damaged: its oldest messages are gone");
        }
    }
}

/// Logs the messages that local clients did not get, since the statistics `before`.
pub(crate) fn tell_of_clients(before: &listener::Stats, now: &listener::Stats) {
    for (messages, why) in [
        (now.dropped_full - before.dropped_full, "too many waited for a client that is slow or away"),
        (now.dropped_too_large - before.dropped_too_large, "larger than a client takes"),
        (now.qos0_without_room - before.qos0_without_room, "at QoS 0, and a queue had no room"),
        (now.wills_without_room - before.wills_without_room, "wills, and a queue had no room"),
        (now.retain_refused - before.retain_refused, "delivered, but not retained: too many are"),
    ] {
        if messages > 0 {
            tracing::warn!(messages, why, "messages for local clients were dropped");
        }
    }
    let ended = now.sessions_given_up - before.sessions_given_up;
    if ended > 0 {
        tracing::warn!(
            sessions = ended,
            "sessions of absent clients ended early: others needed their place, or their memory"
        );
    }
}
