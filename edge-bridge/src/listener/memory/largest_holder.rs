//! Holders of memory by the size of their shares in everything that clients make the listener hold. Beyond the limit whoever holds most gives way, so
//! that nobody else pays for it. All absent clients together are one holder: otherwise many small sessions shut out whoever holds more than one of them.

use std::collections::{BTreeSet, HashMap};

use super::super::client::ClientKey;
use crate::puback_chain::ConnectionId;
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

/// Bytes of a holder: its own, and those of payloads that others may hold too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Share {
    memory: Memory,
    /// Start of its absence and exact bytes, for an absent client.
    absent: Option<(u64, Memory)>,
}

/// Memory by holder, and who holds most.
#[derive(Debug, Default)]
pub(super) struct Holders {
    total: usize,
    shares: HashMap<Holder, Share>,
    by_bytes: BTreeSet<(usize, Holder)>,
    /// Holders by their own bytes, payloads left out.
    by_own: BTreeSet<(usize, Holder)>,
    /// Absent clients by time: those that hold less than a step last, since their end frees next to nothing.
    absent: BTreeSet<(bool, u64, Holder)>,
    /// Own bytes of all absent clients together.
    absent_own: usize,
    absent_payloads: usize,
}

impl Holders {
    /// Notes what `holder`, which is there, holds now.
    pub(super) fn set(&mut self, holder: Holder, memory: Memory) {
        self.replace(holder, Share { memory: in_steps(memory), absent: None });
    }

    /// Notes what a client holds that is absent since then.
    pub(super) fn set_absent(&mut self, key: ClientKey, since_ms: u64, memory: Memory) {
        let absent = (memory.own + memory.payloads > 0).then_some((since_ms, memory));
        self.replace(Holder::Client(key), Share { memory: in_steps(memory), absent });
    }

    fn replace(&mut self, holder: Holder, now: Share) {
        let before = self.shares.get(&holder).copied().unwrap_or_default();
        if before == now {
            return;
        }
        if now == Share::default() {
            self.shares.remove(&holder);
        } else {
            self.shares.insert(holder, now);
        }
        let bytes = |share: Share| share.memory.own + share.memory.payloads;
        match before.absent {
            Some((since_ms, memory)) => {
                self.absent.remove(&(bytes(before) == 0, since_ms, holder));
                self.absent_own -= memory.own;
                self.absent_payloads -= memory.payloads;
            }
            None => {
                self.by_bytes.remove(&(bytes(before), holder));
                self.by_own.remove(&(before.memory.own, holder));
            }
        }
        match now.absent {
            Some((since_ms, memory)) => {
                self.absent.insert((bytes(now) == 0, since_ms, holder));
                self.absent_own += memory.own;
                self.absent_payloads += memory.payloads;
            }
            None if bytes(now) > 0 => {
                self.by_bytes.insert((bytes(now), holder));
                self.by_own.insert((now.memory.own, holder));
            }
            None => {}
        }
        self.total = self.total - before.memory.own + now.memory.own;
    }

    /// Bytes of all together, without the payloads.
    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// Returns who holds most: of absent clients, which count as one, the one that has been away longest. `payloads`: bytes of all payloads that are
    /// held, each once.
    ///
    /// Payloads that others hold too count for each, but only where they are the larger part of all memory: otherwise the end of one of many
    /// readers of a large message would free next to nothing. For the absent ones, who can all go, they always count, each once.
    pub(super) fn largest(&self, payloads: usize) -> Option<Holder> {
        let order = if payloads > self.total { &self.by_bytes } else { &self.by_own };
        let largest = order.last().copied();
        let absent = self.absent_own + self.absent_payloads.min(payloads);
        if largest.is_none_or(|(bytes, _)| bytes <= absent)
            && let Some((_, _, longest_away)) = self.absent.first()
        {
            return Some(*longest_away);
        }
        largest.map(|(_, holder)| holder)
    }
}

/// Together in steps, so that small ones of both kinds do not fall out of the share.
fn in_steps(memory: Memory) -> Memory {
    let in_steps = |bytes: usize| bytes - bytes % STEP;
    let own = in_steps(memory.own);
    Memory { own, payloads: in_steps(memory.own + memory.payloads) - own }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_the_sum_of_the_shares_and_the_largest_is_known() {
        let (a, b) = (Holder::Connection(ConnectionId(1)), Holder::Client(ClientKey(1)));
        let mut holders = Holders::default();
        holders.set(a, Memory { own: 5 * STEP + 1, payloads: 0 });
        holders.set(b, Memory { own: 7 * STEP, payloads: 0 });
        assert_eq!((holders.total(), holders.largest(usize::MAX)), (12 * STEP, Some(b)));
        holders.set(b, Memory { own: STEP - 1, payloads: 0 });
        assert_eq!((holders.total(), holders.largest(usize::MAX)), (5 * STEP, Some(a)));
        holders.set(a, Memory { own: 0, payloads: 0 });
        assert_eq!((holders.total(), holders.largest(usize::MAX)), (0, None));
        holders.set(a, Memory { own: 2 * STEP, payloads: 0 });
        holders.set(b, Memory { own: STEP, payloads: 3 * STEP });
        assert_eq!(
            (holders.total(), holders.largest(usize::MAX)),
            (3 * STEP, Some(b)),
            "payloads count for who holds most"
        );
        assert_eq!(holders.largest(0), Some(a), "where they are the larger part");
    }

    #[test]
    fn absent_clients_are_one_holder_and_go_longest_away_first() {
        let there = Holder::Connection(ConnectionId(1));
        let away = |key| Some(Holder::Client(ClientKey(key)));
        let mut holders = Holders::default();
        holders.set(there, Memory { own: 3 * STEP, payloads: 0 });
        holders.set_absent(ClientKey(1), 30, Memory { own: 2 * STEP, payloads: 0 });
        assert_eq!(holders.largest(0), Some(there));
        holders.set_absent(ClientKey(2), 20, Memory { own: STEP, payloads: 0 });
        holders.set_absent(ClientKey(3), 10, Memory { own: STEP - 1, payloads: 0 });
        assert_eq!((holders.total(), holders.largest(0)), (6 * STEP, away(2)), "small ones go last");
        holders.set(Holder::Client(ClientKey(2)), Memory { own: STEP, payloads: 0 });
        assert_eq!(holders.largest(0), Some(there), "it came back");
        holders.set(there, Memory::default());
        holders.set(Holder::Client(ClientKey(1)), Memory::default());
        holders.set(Holder::Client(ClientKey(2)), Memory::default());
        assert_eq!((holders.total(), holders.largest(0)), (0, away(3)));
        holders.set(Holder::Client(ClientKey(3)), Memory::default());
        assert_eq!((holders.absent_own, holders.largest(0)), (0, None));
    }
}
