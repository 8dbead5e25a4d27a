//! Count of refused rows that cannot be parked and stay in their lanes, also while they are being leased again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use edge_queue::{LANES_MAX, Lease};

use crate::bridge::spool::{Left, ParkedCount};

/// Most keys that are kept between two calls of the link, as many as those under which it counts parked rows.
const COUNTS_MAX: usize = 512;

/// Rows that stayed in their lanes since they were last leased again. Link and parking task both add to it.
#[derive(Debug, Default)]
pub(super) struct InPlace {
    messages: AtomicU64,
    /// Sequence number after the last row that stayed, for each lane.
    until: [AtomicU64; LANES_MAX],
    /// Rows and messages by key, until the link takes them.
    by_count: Mutex<BTreeMap<ParkedCount, (u64, u64)>>,
}

impl InPlace {
    /// Number of messages in rows that stayed in their lanes, by weight.
    pub(super) fn messages(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }

    /// Leaves a row in its lane. `count` is the key under which it was listed as parked; `None` if it was not listed.
    pub(super) fn leave(&self, lease: Lease, count: Option<&ParkedCount>) {
        if let Some(count) = count {
            self.count(count, u64::from(lease.weight()));
        }
        self.messages.fetch_add(u64::from(lease.weight()), Ordering::Relaxed);
        if let Some(until) = self.until.get(usize::from(lease.lane().0)) {
            until.fetch_max(lease.id().seq.saturating_add(1), Ordering::Relaxed);
        }
        lease.pass();
    }

    fn count(&self, count: &ParkedCount, weight: u64) {
        let mut by_count = self.by_count();
        if let Some((rows, messages)) = by_count.get_mut(count) {
            (*rows, *messages) = (*rows + 1, *messages + weight);
        } else if by_count.len() < COUNTS_MAX {
            // A copy: the topic's own bytes are a slice of a larger buffer.
            let topic = count.topic.detached();
            by_count.insert(ParkedCount::new(topic, count.of_message), (1, weight));
        }
    }

    /// Takes the counts of rows left in their lanes since the last call, by key.
    pub(super) fn take_left(&self) -> Vec<Left> {
        let by_count = std::mem::take(&mut *self.by_count());
        by_count.into_iter().map(|(count, (rows, weight))| Left::new(count, rows, weight)).collect()
    }

    fn by_count(&self) -> MutexGuard<'_, BTreeMap<ParkedCount, (u64, u64)>> {
        self.by_count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Repeated attempt to park rows that stayed in their lanes, in which they are leased again one after the other. Until its lease each still
/// counts as not parked. Other rows may come between, of other lanes or behind them in the same lanes.
#[derive(Debug, Default)]
pub(super) struct Look {
    messages: u64,
    until: [u64; LANES_MAX],
}

impl Look {
    /// Number of messages, by weight, that the attempt has not leased yet.
    pub(super) fn messages(&self) -> u64 {
        self.messages
    }

    /// Begins an attempt with all rows that stayed, and those that the last attempt did not lease.
    pub(super) fn begin(&mut self, all: &InPlace) {
        self.messages += all.messages.swap(0, Ordering::Relaxed);
        for (own, until) in self.until.iter_mut().zip(&all.until) {
            *own = (*own).max(until.swap(0, Ordering::Relaxed));
        }
    }

    /// Uncounts a leased row if it is one of those that stayed in their lanes.
    pub(super) fn on_leased(&mut self, lease: &Lease) {
        let until = self.until.get(usize::from(lease.lane().0)).copied().unwrap_or(0);
        if lease.id().seq < until {
            self.messages = self.messages.saturating_sub(u64::from(lease.weight()));
        }
    }

    /// Ends the attempt, because every row has been leased. Rows that did not come have expired, or were evicted.
    pub(super) fn end(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_begun_anew_keeps_those_that_the_last_one_did_not_come_to() {
        let all = InPlace::default();
        let leave = |messages, until| {
            all.messages.fetch_add(messages, Ordering::Relaxed);
            all.until[1].fetch_max(until, Ordering::Relaxed);
        };
        let mut look = Look::default();
        leave(5, 40);
        look.begin(&all);
        leave(3, 30);
        look.begin(&all);
        assert_eq!((look.messages(), look.until[1], all.messages()), (8, 40, 0));
        look.end();
        assert_eq!((look.messages(), look.until[1]), (0, 0));
    }
}
