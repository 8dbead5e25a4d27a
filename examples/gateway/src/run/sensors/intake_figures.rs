//! Figures of the intake, the path into the queue: messages that wait there, neither accepted nor dropped, and messages that were dropped there.
//! Pure.

use edge_bridge::listener::Stats;

use crate::run::status::prometheus_text::Page;

use super::listener_figures;

/// Help of `edge_dropped_total`.
pub(in crate::run) const DROPPED_HELP: &str =
    "Messages given up, by reason: too_large and no_room since the start, the others over restarts.";

/// Figures at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct IntakeFigures {
    /// Rows that were larger than any row of the queue may be, since the start.
    pub(crate) too_large: u64,
    /// Answers to commands that were meant for the hub and found no room in the queue, since the start.
    pub(crate) answers_without_room: u64,
    /// Rows in the channel to the task that pushes them.
    pub(crate) on_the_way: u64,
    /// Rows that wait because their lane is full.
    pub(crate) no_room: u64,
    /// Lanes that refuse a row for want of room, bit `n` for lane `n`. A large row finds none before the lane is full.
    pub(crate) full_lanes: u8,
}

impl IntakeFigures {
    /// Returns the number of messages that were given up before they were queued, since the start: what is lost there is in no ledger.
    pub(in crate::run) fn lost_before_the_queue(&self, listener: Option<&Stats>) -> u64 {
        let of_listener = listener.map_or(0, listener_figures::without_room);
        self.too_large + self.answers_without_room + of_listener
    }

    /// Returns whether this lane refuses a row for want of room.
    pub(in crate::run) fn is_full(&self, lane: usize) -> bool {
        u32::try_from(lane).is_ok_and(|lane| self.full_lanes.checked_shr(lane).unwrap_or(0) & 1 == 1)
    }

    /// Writes the metric of waiting messages. `listener`: figures of the gateway's own listener, which holds QoS 1 messages without room.
    pub(in crate::run) fn render_waiting(&self, listener: Option<&Stats>, page: &mut Page) {
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
