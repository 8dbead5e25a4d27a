//! Topics of rows that are [dropped](super::dropped) when the hub refuses their message, until the hub accepts one there. Pure bookkeeping.

use crate::wire::{ReasonCode, Utf8};

/// Most topics that are told. Somebody else chooses them: beyond that the one that was refused longest ago gives way.
const TOPICS_MAX: usize = 8;
/// Time after its last refusal from which a topic is forgotten with the next such row that the hub accepts, whatever its topic. Topics that somebody
/// names once are not tried again.
const FORGOTTEN_MS: u64 = 60 * 60 * 1_000;

/// Topic on which the hub refuses rows that are [dropped](crate::Row::drop_refused) then.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DroppedTopic {
    /// Topic at the hub.
    pub topic: Utf8,
    /// Reason of the last refusal.
    pub reason: ReasonCode,
    /// Time of the first refusal since the topic was last accepted, in milliseconds of [`Now::up_ms`](crate::ingest::Now::up_ms).
    pub since_ms: u64,
    /// Time of the last refusal, likewise.
    last_ms: u64,
}

/// Rows dropped because the hub refused them, and their topics.
#[derive(Debug, Clone, Default)]
pub(in crate::bridge) struct DroppedRows {
    pub(in crate::bridge) count: u64,
    /// Topics in the order of their last refusals.
    pub(in crate::bridge) topics: Vec<DroppedTopic>,
}

impl DroppedRows {
    pub(super) fn on_refused(&mut self, now_ms: u64, topic: &Utf8, reason: ReasonCode) {
        let known = self.topics.iter().position(|known| known.topic == *topic);
        let since_ms = known.map_or(now_ms, |known| self.topics.remove(known).since_ms);
        if self.topics.len() >= TOPICS_MAX {
            self.topics.remove(0);
        }
        // A copy: the topic's own bytes are a slice of a larger buffer.
        let topic = topic.detached();
        self.topics.push(DroppedTopic { topic, reason, since_ms, last_ms: now_ms });
    }

    /// Handles such a row that the hub accepted.
    pub(super) fn on_accepted(&mut self, now_ms: u64, topic: &Utf8) {
        let is_old = |known: &DroppedTopic| now_ms.saturating_sub(known.last_ms) >= FORGOTTEN_MS;
        self.topics.retain(|known| known.topic != *topic && !is_old(known));
    }
}
