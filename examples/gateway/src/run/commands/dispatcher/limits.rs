//! Limits of the dispatcher, and the commands that are refused at them: a topic whose client is away or hangs must not use up the room of other
//! topics. Pure.

use edge_bridge::wire::{Publish, Utf8};

use super::super::WINDOW;
use super::super::answer::{Outcome, Reason};
use super::super::command::Phase;
use super::Dispatcher;

/// Most commands that wait or are being delivered; with the most bytes of them.
pub(super) const OPEN_MAX: usize = 256;
const OPEN_BYTES_MAX: usize = 1 << 20;
/// Most commands on topics that make progress; at this limit no further message is read from the hub.
pub(super) const FLOWING_MAX: usize = 64;
/// Most commands in total, including those whose answer is being stored.
pub(super) const ALL_MAX: usize = 512;
/// Most commands of a local topic whose first one makes no progress, so that other topics can use the Receive Maximum.
pub(super) const STUCK_MAX: usize = 16;
/// Milliseconds that a client has to reconnect and subscribe, after its own restart or the gateway's.
pub(super) const RETURN_MS: u64 = 4_000;
/// Milliseconds after which a topic whose client has not acknowledged its command counts as stuck.
pub(super) const STUCK_MS: u64 = 2_000;

impl Dispatcher {
    /// Returns whether the next message may be read from the hub. Without this limit messages would wait here, and their waiting time would be
    /// unknown. Commands of stuck topics count only towards [`ALL_MAX`]. Behind a command without an outcome at most [`WINDOW`] are read, whatever
    /// the hub sends: PUBACKs go in order, so that all of them come again after a kill, and no more identities than that are known by then.
    pub(in super::super) fn takes_more(&self, now_ms: u64) -> bool {
        let flowing = self.order.topics().filter(|(topic, _)| !self.is_stuck(topic, now_ms));
        let oldest = self.commands.first_key_value().map_or(self.last, |(ticket, _)| ticket.0);
        flowing.map(|(_, count)| count).sum::<usize>() < FLOWING_MAX
            && self.commands.len() < ALL_MAX
            && self.last.saturating_sub(oldest) < WINDOW.into()
    }

    /// Returns whether there is room for one more command of `size` bytes. Refuses the youngest commands of stuck topics as busy to make room,
    /// unless the command's own topic is stuck.
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

    /// Returns whether the first command of a topic has had no subscriber for long, or was delivered to a client that does not acknowledge it.
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

    /// Refuses the commands of a stuck topic after its first [`STUCK_MAX`], as busy.
    pub(super) fn shorten_if_stuck(&mut self, topic: &Utf8, now_ms: u64, wall_ms: i64) {
        if self.is_stuck(topic, now_ms) {
            for ticket in self.order.beyond(topic, STUCK_MAX) {
                self.end(ticket, Outcome::Refused(Reason::Busy), wall_ms);
            }
        }
    }
}

/// Returns the bytes of memory that a command uses.
pub(super) fn bytes(publish: &Publish) -> usize {
    publish.topic.len() + publish.properties.as_bytes().len() + publish.payload.len()
}
