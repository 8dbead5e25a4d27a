//! Messages that expire: until when each may live, and which did not live to see the hub.

use std::collections::{BTreeMap, BTreeSet};

use edge_bridge::wire::{PropertyId, Publish};

use crate::ledger::Msg;

#[derive(Debug, Clone, Default)]
pub(crate) struct Lives {
    /// Of the copy that was stored last, in milliseconds.
    until_ms: BTreeMap<Msg, u64>,
    ended: BTreeSet<Msg>,
    /// Messages that left with an interval, and the shortest.
    pub(crate) sent: u64,
    pub(crate) shortest_s: Option<u32>,
}

impl Lives {
    /// The gateway stores a copy.
    pub(crate) fn begin(&mut self, now_ms: u64, msg: Msg, ttl_ms: Option<u64>) {
        self.until_ms.extend(ttl_ms.map(|ttl_ms| (msg, now_ms + ttl_ms)));
    }

    pub(crate) fn end(&mut self, msg: Msg) {
        self.ended.insert(msg);
    }

    pub(crate) fn has_ended(&self, msg: Msg) -> bool {
        self.ended.contains(&msg)
    }

    /// Number of messages whose time to live ended in the gateway.
    pub(crate) fn ended(&self) -> usize {
        self.ended.len()
    }

    /// Returns what is wrong with the Message Expiry Interval of a PUBLISH that leaves now. Seconds are rounded up, twice in
    /// one that must be repeated (a resumed session's), and that has at least one.
    pub(crate) fn fault(&mut self, now_ms: u64, publish: &Publish) -> Option<String> {
        let msg = Msg::of(&publish.payload);
        let said_s = publish.properties.u32(PropertyId::MessageExpiryInterval);
        let left_ms = self.until_ms.get(&msg).map(|until_ms| until_ms.saturating_sub(now_ms));
        self.sent += u64::from(said_s.is_some());
        self.shortest_s = self.shortest_s.into_iter().chain(said_s).min();
        let is_right = match (said_s, left_ms) {
            (None, None) => true,
            (Some(said_s), Some(left_ms)) => {
                let most_s = left_ms.div_ceil(1_000) + u64::from(publish.dup);
                u64::from(said_s) <= most_s
            }
            _ => false,
        };
        (!is_right).then(|| format!("{msg:?} says {said_s:?} s and has {left_ms:?} ms, DUP {}", publish.dup))
    }
}
