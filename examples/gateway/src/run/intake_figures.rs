//! Figures of the way into the queue: messages that wait there, which are neither accepted nor dropped, and messages that were given up there.
//! Pure.

use edge_bridge::listener::Stats;

use super::page::Page;

/// Figures at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct IntakeFigures {
    /// Rows that were larger than any row of the queue may be, since the start.
    pub(crate) too_large: u64,
    /// Answers to commands that were for the hub and found no room, since the start.
    pub(crate) answers_without_room: u64,
    /// Rows that have not reached the queue's task yet.
    pub(crate) on_the_way: u64,
    /// Rows that wait because their lane has no room.
    pub(crate) no_room: u64,
}

impl IntakeFigures {
    /// Writes the metric of waiting messages. `listener`: figures of the gateway's own listener, where messages at QoS 1 wait for room.
    pub(super) fn render_waiting(&self, listener: Option<&Stats>, page: &mut Page) {
        page.head(
            "edge_waiting_messages",
            "gauge",
            "Messages that were received and are not queued yet, by reason: in no other figure.",
        );
        let no_puback = listener.map_or(0, |listener| listener.held as u64);
        let by_reason =
            [("on_the_way", self.on_the_way), ("no_room", self.no_room), ("no_puback", no_puback)];
        page.labelled("edge_waiting_messages", "reason", by_reason);
    }
}
