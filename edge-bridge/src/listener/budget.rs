//! Memory budget: the shares of clients in everything that they make the listener hold. Beyond its limit whoever holds most gives way, so that
//! nobody else pays for it.

use std::collections::{BTreeSet, HashMap};

use super::client::ClientKey;
use crate::chain::ConnectionId;
use crate::session::Memory;

/// Shares are counted in these steps, in bytes: whoever holds less costs nothing here.
const STEP: usize = 1024;

/// A holder of memory. Exhaustive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Holder {
    /// Unfinished packets, bytes that are not written, messages in flight.
    Connection(ConnectionId),
    /// Messages that wait, will, subscriptions; of an absent client the messages in flight.
    Client(ClientKey),
}

/// Memory by holder, and who holds most.
#[derive(Debug, Default)]
pub(super) struct Budget {
    total: usize,
    shares: HashMap<Holder, Memory>,
    by_bytes: BTreeSet<(usize, Holder)>,
    /// Without the payloads.
    by_own: BTreeSet<(usize, Holder)>,
}

impl Budget {
    /// Notes what `holder` holds now.
    pub(super) fn set(&mut self, holder: Holder, memory: Memory) {
        let in_steps = |bytes: usize| bytes - bytes % STEP;
        // Together in steps, so that small ones of both kinds do not fall out of the share.
        let own = in_steps(memory.own);
        let now = Memory { own, payloads: in_steps(memory.own + memory.payloads) - own };
        let before = self.shares.get(&holder).copied().unwrap_or_default();
        if before == now {
            return;
        }
        let share = |memory: Memory| memory.own + memory.payloads;
        self.by_bytes.remove(&(share(before), holder));
        self.by_own.remove(&(before.own, holder));
        if share(now) > 0 {
            self.by_bytes.insert((share(now), holder));
            self.by_own.insert((now.own, holder));
            self.shares.insert(holder, now);
        } else {
            self.shares.remove(&holder);
        }
        self.total = self.total - before.own + now.own;
    }

    /// Bytes of all together, without the payloads.
    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// Returns who holds most. Payloads that others hold too count for each, but only where they are the larger part of all memory: otherwise
    /// the end of one of many readers of a large message would free next to nothing.
    pub(super) fn largest(&self, payloads: usize) -> Option<Holder> {
        let order = if payloads > self.total { &self.by_bytes } else { &self.by_own };
        order.last().map(|(_, holder)| *holder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_the_sum_of_the_shares_and_the_largest_is_known() {
        let (a, b) = (Holder::Connection(ConnectionId(1)), Holder::Client(ClientKey(1)));
        let mut budget = Budget::default();
        budget.set(a, Memory { own: 5 * STEP + 1, payloads: 0 });
        budget.set(b, Memory { own: 7 * STEP, payloads: 0 });
        assert_eq!((budget.total(), budget.largest(usize::MAX)), (12 * STEP, Some(b)));
        budget.set(b, Memory { own: STEP - 1, payloads: 0 });
        assert_eq!((budget.total(), budget.largest(usize::MAX)), (5 * STEP, Some(a)));
        budget.set(a, Memory { own: 0, payloads: 0 });
        assert_eq!((budget.total(), budget.largest(usize::MAX)), (0, None));
        budget.set(a, Memory { own: 2 * STEP, payloads: 0 });
        budget.set(b, Memory { own: STEP, payloads: 3 * STEP });
        assert_eq!(
            (budget.total(), budget.largest(usize::MAX)),
            (3 * STEP, Some(b)),
            "payloads count for who holds most"
        );
        assert_eq!(budget.largest(0), Some(a), "where they are the larger part");
    }
}
