//! Lease time-out (visibility time-out): rows that come back by themselves, because the time of a lease has passed or a consumer gave a row back
//! with a delay. Until then such a row counts as leased for limits and eviction.

use super::Model;
use crate::row::Seq;

/// Leases that end by time.
#[derive(Clone, Copy, Debug)]
pub(super) struct LeaseTimeouts {
    /// Up time in milliseconds before which no lease ends by itself.
    next_ms: u64,
    /// Turn counter, raised when leases ended without their holder, by time or because a receipt named their rows, so that an
    /// ended lease is distinguished from a later one of the same row.
    turn: u32,
    /// Set when rows came back and the waiting consumers were not woken yet.
    untold: bool,
}

impl Default for LeaseTimeouts {
    fn default() -> LeaseTimeouts {
        LeaseTimeouts { next_ms: u64::MAX, turn: 0, untold: false }
    }
}

impl LeaseTimeouts {
    /// Begins another turn, because a lease ended that its holder did not end.
    pub(super) fn next_turn(&mut self) {
        self.turn = self.turn.wrapping_add(1).max(1);
    }
}

/// Key of a lease: its row, and the turn in which it began, which distinguishes it from other leases of the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LeaseKey {
    pub(crate) lane: usize,
    pub(crate) seq: Seq,
    pub(crate) turn: u32,
}

impl Model {
    /// Up time in milliseconds at which the next lease may end by itself; `None` when none has a time limit.
    pub(crate) fn returns_at(&self) -> Option<u64> {
        Some(self.lease_timeouts.next_ms).filter(|at| *at < u64::MAX)
    }

    /// Returns the turn of a lease that begins now, and the up time in milliseconds at which it ends by itself (`u64::MAX` for
    /// never).
    pub(super) fn lease_terms(&mut self, consumer: usize, up_ms: u64) -> (u32, u64) {
        let limit = self.consumers.get(consumer).and_then(|r| r.limits.lease_ms);
        let returns_ms = limit.map_or(u64::MAX, |ms| up_ms.saturating_add(ms));
        self.lease_timeouts.next_ms = self.lease_timeouts.next_ms.min(returns_ms);
        (self.lease_timeouts.turn, returns_ms)
    }

    /// Returns whether a lease has not ended.
    pub(crate) fn holds(&self, id: u64, key: LeaseKey) -> bool {
        // While none has ever ended before its holder ended it, whoever has one holds it.
        self.lease_timeouts.turn == 0 || {
            let consumer = self.consumers.iter().find(|r| r.id == id);
            let out = consumer.and_then(|r| r.lanes.get(key.lane)?.leased.get(&key.seq));
            out.is_some_and(|out| out.turn == key.turn)
        }
    }

    /// Sets the up time in milliseconds at which a lease ends by itself.
    pub(crate) fn give_back_at(&mut self, id: u64, lane: usize, seq: Seq, up_ms: u64) {
        let Some(consumer) = self.consumer_at(id) else { return };
        let out = self.cursor_mut(consumer, lane).and_then(|cursor| cursor.leased.get_mut(&seq));
        if let Some(out) = out {
            out.returns_ms = up_ms;
            self.lease_timeouts.next_ms = self.lease_timeouts.next_ms.min(up_ms);
        }
    }

    /// Takes back every row whose lease time has passed. Returns true once after rows came back, even if an earlier call took them back.
    pub(crate) fn came_back(&mut self, up_ms: u64) -> bool {
        self.take_back(up_ms);
        std::mem::take(&mut self.lease_timeouts.untold)
    }

    /// Takes back every row whose lease time has passed.
    pub(crate) fn take_back(&mut self, up_ms: u64) {
        if up_ms < self.lease_timeouts.next_ms {
            return;
        }
        let (mut over, mut next_ms) = (Vec::new(), u64::MAX);
        for consumer in &self.consumers {
            for (lane, cursor) in consumer.lanes.iter().enumerate() {
                // A row whose acknowledgement waits for a range is done.
                for (seq, out) in cursor.leased.iter().filter(|(_, out)| out.parked.is_none()) {
                    if out.returns_ms <= up_ms {
                        over.push((consumer.id, lane, *seq));
                    } else {
                        next_ms = next_ms.min(out.returns_ms);
                    }
                }
            }
        }
        self.lease_timeouts.next_ms = next_ms;
        if !over.is_empty() {
            self.lease_timeouts.untold = true;
            self.lease_timeouts.next_turn();
        }
        for (id, lane, seq) in over {
            self.give_back(id, lane, seq);
        }
    }
}
