//! Order in which connections and sessions (holders of memory) are closed or emptied once clients make the listener take too much memory. First
//! is the holder of most bytes for the longest time without progress, so that no other client pays for it. Progress is a complete packet
//! received, or bytes that the peer accepted. If bytes alone counted, many clients that each leave a little unfinished or unread would shut out
//! any client that sends larger messages, however fast.
//!
//! All absent clients together count as one holder, because otherwise many small sessions would shut out a client that holds more than one of
//! them.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use super::super::client::ClientKey;
use crate::puback_chain::ConnectionId;
use crate::session::Memory;

/// Granularity of shares in bytes. A holder of less is not in the order.
const STEP: usize = 1024;

/// Holder of memory: a connection, or a client's session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Holder {
    /// Connection, with its unfinished packet, unwritten bytes and messages in flight.
    Connection(ConnectionId),
    /// Client, with its waiting messages, will and subscriptions; an absent one also with its messages in flight.
    Client(ClientKey),
}

/// Longest time without progress that counts, in milliseconds; after it the bytes alone decide.
const IDLE_MS_MAX: u64 = 1_000;

/// Milliseconds that count for memory without progress by nature, such as filters and wills. Long enough that many holders of such memory do not
/// shut out a large message, short enough that a client with a few filters does not give way before one that holds much for a moment.
const STILL_MS: u64 = 50;

/// Memory of a holder: its own bytes, and those of payloads that others may hold too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Share {
    memory: Memory,
    /// Up time of the holder's last progress; `None` for memory without progress by nature.
    since_ms: Option<u64>,
    /// Up time since which the client is absent, and its exact bytes; `None` for other holders.
    absent: Option<(u64, Memory)>,
}

/// Memory by holder, and the order in which holders give way.
#[derive(Debug, Default)]
pub(super) struct Holders {
    total: usize,
    shares: HashMap<Holder, Share>,
    by_bytes: SizeClasses,
    /// Holders by their own bytes, without payloads.
    by_own: SizeClasses,
    /// Absent clients by time. Those that hold less than [`STEP`] are last, because their end frees next to nothing.
    absent: BTreeSet<(bool, u64, Holder)>,
    /// Own bytes of all absent clients together.
    absent_own: usize,
    absent_payloads: usize,
}

impl Holders {
    /// Sets the memory of a holder that is not an absent client, and the time of its last progress.
    pub(super) fn set(&mut self, holder: Holder, memory: Memory, since_ms: Option<u64>) {
        let memory = in_steps(memory);
        let since_ms = since_ms.filter(|_| memory != Memory::default());
        self.replace(holder, Share { memory, since_ms, absent: None });
    }

    /// Sets the memory of a client that is absent since `since_ms`.
    pub(super) fn set_absent(&mut self, key: ClientKey, since_ms: u64, memory: Memory) {
        let absent = (memory.own + memory.payloads > 0).then_some((since_ms, memory));
        self.replace(Holder::Client(key), Share { memory: in_steps(memory), since_ms: None, absent });
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
                self.by_bytes.remove(bytes(before), before.since_ms, holder);
                self.by_own.remove(before.memory.own, before.since_ms, holder);
            }
        }
        match now.absent {
            Some((since_ms, memory)) => {
                self.absent.insert((bytes(now) == 0, since_ms, holder));
                self.absent_own += memory.own;
                self.absent_payloads += memory.payloads;
            }
            None if bytes(now) > 0 => {
                self.by_bytes.insert(bytes(now), now.since_ms, holder);
                self.by_own.insert(now.memory.own, now.since_ms, holder);
            }
            None => {}
        }
        self.total = self.total - before.memory.own + now.memory.own;
    }

    /// Own bytes of all holders together, without payloads.
    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// Returns the holder that gives way first, `None` if there is none. Absent clients count as one holder: the one absent longest is returned
    /// once they together hold as much as the largest other holder. `payloads`: bytes of all payloads that are held, each counted once.
    ///
    /// A payload with several holders counts for each of them, but only while payloads are the larger part of all memory; otherwise closing one
    /// of many readers of a large message would free next to nothing. For absent clients, which can all be ended, payloads always count, each
    /// once.
    pub(super) fn first(&self, now_ms: u64, payloads: usize) -> Option<Holder> {
        let order = if payloads > self.total { &self.by_bytes } else { &self.by_own };
        let absent = self.absent_own + self.absent_payloads.min(payloads);
        if order.largest().is_none_or(|bytes| bytes <= absent)
            && let Some((_, _, longest_away)) = self.absent.first()
        {
            return Some(*longest_away);
        }
        order.first(now_ms)
    }
}

/// Holders in classes of similar size, four to each doubling, and by time within a class, so that a search looks only at the first of each class.
#[derive(Debug, Default)]
struct SizeClasses(BTreeSet<(u32, Option<u64>, Reverse<usize>, Holder)>);

impl SizeClasses {
    fn class(bytes: usize) -> u32 {
        let doublings = bytes.checked_ilog2().unwrap_or(0);
        let quarters = (bytes >> doublings.saturating_sub(2)) & 3;
        4 * doublings + u32::try_from(quarters).unwrap_or(0)
    }

    fn insert(&mut self, bytes: usize, since_ms: Option<u64>, holder: Holder) {
        self.0.insert((Self::class(bytes), since_ms, Reverse(bytes), holder));
    }

    fn remove(&mut self, bytes: usize, since_ms: Option<u64>, holder: Holder) {
        self.0.remove(&(Self::class(bytes), since_ms, Reverse(bytes), holder));
    }

    /// Returns the bytes of the largest holder, with an error of up to a quarter; `None` without holders.
    fn largest(&self) -> Option<usize> {
        self.0.last().map(|(_, _, Reverse(bytes), _)| *bytes)
    }

    /// Returns the holder of most bytes times milliseconds without progress, with an error of up to a quarter. Takes two searches for each
    /// class in use.
    fn first(&self, now_ms: u64) -> Option<Holder> {
        let (mut best, mut class) = (None, 0);
        while let Some((of, ..)) = self.next(class, None) {
            for (_, since_ms, Reverse(bytes), holder) in
                [None, Some(0)].iter().filter_map(|since_ms| self.next(*of, *since_ms))
            {
                let idle_ms =
                    since_ms.map_or(STILL_MS, |since_ms| now_ms.saturating_sub(since_ms).min(IDLE_MS_MAX));
                let weight = (*bytes as u64).saturating_mul(idle_ms + 1);
                best = best.max(Some((weight, *bytes, *holder)));
            }
            class = of + 1;
        }
        best.map(|(_, _, holder)| holder)
    }

    /// Returns the first from this class and time on.
    fn next(&self, class: u32, since_ms: Option<u64>) -> Option<&(u32, Option<u64>, Reverse<usize>, Holder)> {
        self.0.range((class, since_ms, Reverse(usize::MAX), Holder::Connection(ConnectionId(0)))..).next()
    }
}

/// Rounds memory down to steps. Own bytes and payloads are rounded together, so that small amounts of both are not lost.
fn in_steps(memory: Memory) -> Memory {
    let in_steps = |bytes: usize| bytes - bytes % STEP;
    let own = in_steps(memory.own);
    Memory { own, payloads: in_steps(memory.own + memory.payloads) - own }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_the_sum_of_the_shares_and_at_one_time_the_largest_is_first() {
        let (a, b) = (Holder::Connection(ConnectionId(1)), Holder::Client(ClientKey(1)));
        let mut holders = Holders::default();
        holders.set(a, Memory { own: 5 * STEP + 1, payloads: 0 }, Some(0));
        holders.set(b, Memory { own: 7 * STEP, payloads: 0 }, Some(0));
        assert_eq!((holders.total(), holders.first(0, usize::MAX)), (12 * STEP, Some(b)));
        holders.set(b, Memory { own: STEP - 1, payloads: 0 }, Some(0));
        assert_eq!((holders.total(), holders.first(0, usize::MAX)), (5 * STEP, Some(a)));
        holders.set(a, Memory { own: 0, payloads: 0 }, Some(0));
        assert_eq!((holders.total(), holders.first(0, usize::MAX)), (0, None));
        holders.set(a, Memory { own: 2 * STEP, payloads: 0 }, Some(0));
        holders.set(b, Memory { own: STEP, payloads: 3 * STEP }, Some(0));
        assert_eq!(
            (holders.total(), holders.first(0, usize::MAX)),
            (3 * STEP, Some(b)),
            "payloads count for who holds most"
        );
        assert_eq!(holders.first(0, 0), Some(a), "where they are the larger part");
    }

    #[test]
    fn absent_clients_are_one_holder_and_go_longest_away_first() {
        let there = Holder::Connection(ConnectionId(1));
        let away = |key| Some(Holder::Client(ClientKey(key)));
        let mut holders = Holders::default();
        holders.set(there, Memory { own: 3 * STEP, payloads: 0 }, Some(0));
        holders.set_absent(ClientKey(1), 30, Memory { own: 2 * STEP, payloads: 0 });
        assert_eq!(holders.first(0, 0), Some(there));
        holders.set_absent(ClientKey(2), 20, Memory { own: STEP, payloads: 0 });
        holders.set_absent(ClientKey(3), 10, Memory { own: STEP - 1, payloads: 0 });
        assert_eq!((holders.total(), holders.first(0, 0)), (6 * STEP, away(2)), "small ones go last");
        holders.set(Holder::Client(ClientKey(2)), Memory { own: STEP, payloads: 0 }, Some(0));
        assert_eq!(holders.first(0, 0), Some(there), "it came back");
        holders.set(there, Memory::default(), Some(0));
        holders.set(Holder::Client(ClientKey(1)), Memory::default(), Some(0));
        holders.set(Holder::Client(ClientKey(2)), Memory::default(), Some(0));
        assert_eq!((holders.total(), holders.first(0, 0)), (0, away(3)));
        holders.set(Holder::Client(ClientKey(3)), Memory::default(), Some(0));
        assert_eq!((holders.absent_own, holders.first(0, 0)), (0, None));
    }

    #[test]
    fn whoever_holds_less_for_longer_gives_way_before_a_large_message_that_comes_fast() {
        let holder = |n| Holder::Connection(ConnectionId(n));
        let mut holders = Holders::default();
        for n in 1..=100 {
            holders.set(holder(n), Memory { own: 10 * STEP, payloads: 0 }, Some(100 * n));
        }
        holders.set(holder(200), Memory { own: 200 * STEP, payloads: 0 }, Some(9_980));
        assert_eq!(holders.first(10_000, 0), Some(holder(1)), "a second of 10 is more than 20 ms of 200");
        holders.set(holder(1), Memory::default(), Some(10_000));
        assert_eq!(holders.first(10_000, 0), Some(holder(2)));
        assert_eq!(holders.first(10_100, 0), Some(holder(200)), "it takes its time");
        holders.set(holder(200), Memory { own: 200 * STEP, payloads: 0 }, Some(10_099));
        assert_eq!(holders.first(10_100, 0), Some(holder(2)), "progress counts");
    }

    #[test]
    fn time_counts_for_a_second_at_most() {
        let holder = |n| Holder::Connection(ConnectionId(n));
        let mut holders = Holders::default();
        holders.set(holder(1), Memory { own: STEP, payloads: 0 }, Some(0));
        holders.set(holder(2), Memory { own: 20 * STEP, payloads: 0 }, Some(86_400_000));
        assert_eq!(holders.first(86_400_040, 0), Some(holder(1)), "40 ms of 20");
        assert_eq!(
            holders.first(86_400_060, 0),
            Some(holder(2)),
            "60 ms of 20, and a day of 1 counts as a second"
        );
    }

    /// Filters and wills never make progress. A hundred clients with some of them shut out no large message, and a client with a few does not pay for
    /// one that takes its time.
    #[test]
    fn memory_without_progress_by_nature_counts_as_if_it_stood_still_for_a_moment() {
        let holder = |n| Holder::Connection(ConnectionId(n));
        let mut holders = Holders::default();
        holders.set(holder(1), Memory { own: 10 * STEP, payloads: 0 }, None);
        for (idle_ms, first) in [(0, 1), (1, 1), (9, 2), (60, 2), (10_000, 2)] {
            holders.set(holder(2), Memory { own: 100 * STEP, payloads: 0 }, Some(20_000 - idle_ms));
            assert_eq!(
                holders.first(20_000, 0),
                Some(holder(first)),
                "after {idle_ms} ms of ten times as much"
            );
        }
        assert_eq!(holders.first(1_000_000, 0), Some(holder(2)), "it does not grow");
    }

    /// Against a walk over all holders, which is exact.
    #[test]
    fn the_first_is_within_a_quarter_of_the_exact_one() {
        let mut random = 1_u64;
        let mut next = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        for _ in 0..200 {
            let mut holders = Holders::default();
            let mut draw = || {
                let doublings = next(12);
                (1 + next(1 << doublings), next(2_000))
            };
            let all: Vec<(u64, u64)> = (0..50).map(|_| draw()).collect();
            for (n, (steps, since_ms)) in all.iter().enumerate() {
                let own = usize::try_from(*steps).unwrap() * STEP;
                holders.set(
                    Holder::Connection(ConnectionId(n as u64)),
                    Memory { own, payloads: 0 },
                    Some(*since_ms),
                );
            }
            let weight = |(steps, since_ms): &(u64, u64)| steps * ((2_000 - since_ms).min(IDLE_MS_MAX) + 1);
            let Some(Holder::Connection(ConnectionId(n))) = holders.first(2_000, 0) else { panic!("nobody") };
            let (found, exact) =
                (weight(&all[usize::try_from(n).unwrap()]), all.iter().map(weight).max().unwrap());
            assert!(5 * found >= 4 * exact, "{found} of {exact}: {all:?}");
        }
    }

    /// Otherwise those who are away would give way for ever to a client that takes its messages each time and leaves again.
    #[test]
    fn payloads_of_a_client_that_came_back_count_for_the_absent_no_more() {
        let there = Holder::Connection(ConnectionId(1));
        let mut holders = Holders::default();
        holders.set(there, Memory { own: 3 * STEP, payloads: 0 }, Some(0));
        holders.set_absent(ClientKey(2), 0, Memory { own: STEP, payloads: 0 });
        for since_ms in 1..10 {
            holders.set_absent(ClientKey(1), since_ms, Memory { own: STEP, payloads: 4 * STEP });
            assert_ne!(holders.first(0, 4 * STEP), Some(there), "{since_ms}");
            holders.set(Holder::Client(ClientKey(1)), Memory::default(), None);
            assert_eq!(holders.first(0, 4 * STEP), Some(there), "{since_ms}");
        }
    }
}
