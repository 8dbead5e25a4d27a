//! Bounds of the desk, and who gives way: a topic whose client is away or hangs keeps no place of the others. Pure.

use edge_bridge::wire::{Publish, Utf8};

use super::super::answer::{Outcome, Reason};
use super::super::command::Phase;
use super::Desk;

/// Commands that wait, or are with clients, and bytes of them.
pub(super) const OPEN_MAX: usize = 256;
const OPEN_BYTES_MAX: usize = 1 << 20;
/// Commands that make progress, beyond which no further one is taken from the hub.
pub(super) const FLOWING_MAX: usize = 64;
/// Commands beyond which none is taken: also those of which only the answer is on its way.
pub(super) const ALL_MAX: usize = 512;
/// Commands of a local topic whose first makes no progress: the places of the hub's window are for the others.
pub(super) const STUCK_MAX: usize = 16;
/// Time for a client to come back, after a restart of it or of the gateway, and subscribe.
pub(super) const RETURN_MS: u64 = 4_000;
/// Time from which a client that has not acknowledged makes none.
pub(super) const STUCK_MS: u64 = 2_000;

impl Desk {
    /// Returns whether the next message of the hub may come: more would wait here, where their time is not known. What is stuck keeps nobody back.
    pub(in super::super) fn takes_more(&self, now_ms: u64) -> bool {
        let flowing = self.order.topics().filter(|(topic, _)| !self.is_stuck(topic, now_ms));
        flowing.map(|(_, count)| count).sum::<usize>() < FLOWING_MAX && self.commands.len() < ALL_MAX
    }

    /// Returns whether there is room for one more: what is stuck gives way to what is not, its youngest first.
    pub(super) fn make_room(&mut self, topic: &Utf8, size: usize, now_ms: u64, wall_ms: i64) -> bool {
        if self.is_stuck(topic, now_ms) && (self.order.len(topic) >= STUCK_MAX || !self.has_room(size)) {
            return false;
        }
        while !self.has_room(size) {
            // The first may be with clients.
            let stuck =
                self.order.topics().filter(|(topic, count)| *count > 1 && self.is_stuck(topic, now_ms));
            let longest = stuck.max_by_key(|(_, count)| *count).map(|(topic, count)| (topic.clone(), count));
            let Some((longest, count)) = longest else { return false };
            for ticket in self.order.beyond(&longest, count - 1) {
                self.end(ticket, Outcome::Refused(Reason::Busy), wall_ms);
            }
        }
        true
    }

    fn has_room(&self, size: usize) -> bool {
        let open = self.commands.values().filter_map(|command| command.publish.as_ref());
        let (count, all) = open.fold((0, size), |(count, all), publish| (count + 1, all + bytes(publish)));
        count < OPEN_MAX && all <= OPEN_BYTES_MAX
    }

    /// Returns whether the first of a topic found nobody for long, or is with a client that does not acknowledge it.
    fn is_stuck(&self, topic: &Utf8, now_ms: u64) -> bool {
        let first = self.order.first(topic);
        first.and_then(|ticket| self.commands.get(&ticket)).is_some_and(|command| match command.phase {
            Phase::Waiting { next_ms } => {
                next_ms > now_ms && command.alone_ms.is_some_and(|at_ms| at_ms + RETURN_MS <= now_ms)
            }
            Phase::Given { since_ms } => since_ms + STUCK_MS <= now_ms,
            _ => false,
        })
    }

    /// The youngest give way.
    pub(super) fn shorten_if_stuck(&mut self, topic: &Utf8, now_ms: u64, wall_ms: i64) {
        if self.is_stuck(topic, now_ms) {
            for ticket in self.order.beyond(topic, STUCK_MAX) {
                self.end(ticket, Outcome::Refused(Reason::Busy), wall_ms);
            }
        }
    }
}

/// Bytes that a command holds.
pub(super) fn bytes(publish: &Publish) -> usize {
    publish.topic.len() + publish.properties.as_bytes().len() + publish.payload.len()
}
