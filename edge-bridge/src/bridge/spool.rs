//! Spool: the part of a queue that the uplink needs. Rows are leased, and leave by one of three doors: the hub has the row ([`Spool::ack`]),
//! it is over for another reason ([`Spool::settle`]), or it is set aside for later ([`Spool::park`]). A refusal uses only the last.

mod memory;

use std::fmt;

use crate::row::Row;
use crate::wire::{ReasonCode, Utf8};

pub use memory::{Gone, MemorySpool};

/// One leased row, by the number the spool gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(pub u64);

/// Identity of a row, for ever (promise 4): a copy that arrives twice has the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// Random number of the queue.
    pub gateway: u64,
    /// Priority class of the row.
    pub lane: u8,
    /// Raised by every start.
    pub epoch: u32,
    /// Position in the lane.
    pub seq: u64,
}

impl fmt::Display for Identity {
    /// `gateway-lane-epoch-seq`, hexadecimal: the value of the user property `edge-id`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{:x}-{:x}-{:x}", self.gateway, self.lane, self.epoch, self.seq)
    }
}

/// A row on its way up. It stays in the spool until [`Spool::ack`] or [`Spool::settle`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Leased {
    /// Number of the lease, to acknowledge the row with.
    pub id: LeaseId,
    /// Content of the row.
    pub row: Row,
    /// Time that it had waited when it was leased, in milliseconds.
    pub age_ms: u64,
    /// End of its time to live, in milliseconds of `Now::up_ms`; `None` = never. Absolute, because a row may wait a long
    /// time between its lease and its message.
    pub expires_ms: Option<u64>,
    /// `None` if the spool gives rows none.
    pub identity: Option<Identity>,
}

impl Leased {
    /// A row leased at `now_ms` (of `Now::up_ms`) that has waited for `age_ms`.
    pub fn new(id: LeaseId, row: Row, now_ms: u64, age_ms: u64, identity: Option<Identity>) -> Self {
        let expires_ms = row.ttl_ms.map(|ttl_ms| now_ms.saturating_add(ttl_ms.saturating_sub(age_ms)));
        Self { id, row, age_ms, expires_ms, identity }
    }

    /// Tells that its time to live is over.
    pub fn is_expired(&self, now_ms: u64) -> bool {
        self.expires_ms.is_some_and(|at_ms| at_ms <= now_ms)
    }
}

/// Ways out of a spool that are no delivery. A refusal by the hub is none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Settled {
    /// The row's time to live is over.
    Expired,
    /// A person dropped the row.
    Discarded,
}

/// Count among which a row is listed as parked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct ParkedCount {
    /// Topic of the row's message.
    pub topic: Utf8,
    /// `true`: the message was refused for itself, which says nothing of its topic.
    pub of_message: bool,
}

impl ParkedCount {
    /// Count of a refused topic, or (`of_message`) of the messages of a topic that are refused for themselves.
    pub fn new(topic: Utf8, of_message: bool) -> Self {
        Self { topic, of_message }
    }
}

/// Rows of one count that were to be parked and wait in their place instead.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Left {
    /// Count that was given to [`Spool::park_for`].
    pub count: ParkedCount,
    /// Number of parked rows.
    pub rows: u64,
    /// Messages that these rows stand for.
    pub weight: u64,
}

impl Left {
    /// Rows of a count.
    pub fn new(count: ParkedCount, rows: u64, weight: u64) -> Self {
        Self { count, rows, weight }
    }
}

/// A queue with leases, and a place for rows that cannot be delivered now. No call waits. Calls that take a [`LeaseId`] take those of
/// [`lease`](Self::lease) and of [`lease_parked`](Self::lease_parked), and do nothing for one that is not leased.
pub trait Spool {
    /// Leases the next rows, in the order in which they are to go: at most `max_rows`, and not more once `max_bytes` of payload are
    /// reached. Fewer, or none, when there are no more now.
    fn lease(&mut self, now_ms: u64, max_rows: usize, max_bytes: usize) -> Vec<Leased>;

    /// Removes a row that the hub has acknowledged. Nothing else may call this: its receipt says so.
    fn ack(&mut self, id: LeaseId);

    /// Removes a row that the hub has not, counted by the reason.
    fn settle(&mut self, id: LeaseId, why: Settled);

    /// Returns a row to its old place: it will not be sent now.
    fn give_back(&mut self, id: LeaseId);

    /// Sets a row aside, behind all that were parked before, with its identity and as durably as it was stored: the hub did not take it. One
    /// of [`lease_parked`](Self::lease_parked) stays parked, in its place or behind the others: the same in all passes of one spool.
    fn park(&mut self, id: LeaseId, why: ReasonCode);

    /// Leases parked rows, as [`lease`](Self::lease) does others, in the order in which they were parked. A spool in which rows keep their places
    /// gives each once in a pass.
    fn lease_parked(&mut self, now_ms: u64, max_rows: usize, max_bytes: usize) -> Vec<Leased>;

    /// Begins a pass over the parked rows, from the oldest, that ends before rows parked from now on. Without effect in a spool that puts
    /// behind the others what is parked again.
    fn scan_parked(&mut self) {}

    /// Tells that a pass has come to its end; `None` of a spool that puts behind the others what is parked again.
    fn is_scanned(&self) -> Option<bool> {
        None
    }

    /// Returns whether the parked rows would better be put together, which [`close_holes`](Self::close_holes) does.
    fn has_holes(&self) -> bool {
        false
    }

    /// The next pass may first put the parked rows together, in their order, before it gives any. Without effect while one of them is leased.
    fn close_holes(&mut self) {}

    /// Counts parked rows that passes have read or put together without giving them: a pass that gives none now goes on while it grows.
    fn passed(&self) -> u64 {
        0
    }

    /// Tells that it is known what is parked, and no row is on its way there.
    fn is_settled(&self) -> bool {
        true
    }

    /// Has rows that left since be durably gone. [`is_committed`](Self::is_committed) says when they are.
    fn commit(&mut self) {}

    /// Tells that every [`commit`](Self::commit) is done.
    fn is_committed(&self) -> bool {
        true
    }

    /// Messages that a leased row stands for.
    fn weight(&self, _id: LeaseId) -> u64 {
        1
    }

    /// Rest of a leased row's time to live, in milliseconds at `now_ms` (of `Now::up_ms`); `None` = no end, the default. A message of several rows lives
    /// as long as one of them does, here and at the hub: implement this for a [`Pack`](super::Pack) that makes such messages, or none of them ever expires.
    fn ttl_left_ms(&self, _id: LeaseId, _now_ms: u64) -> Option<u64> {
        None
    }

    /// Messages of rows that were to be parked and could not be, for want of room: they wait in their place.
    fn in_place(&self) -> u64 {
        0
    }

    /// Parks a row, as [`park`](Self::park) does, that is listed as parked. [`take_left`](Self::take_left) says if it is not.
    fn park_for(&mut self, id: LeaseId, _count: &ParkedCount, why: ReasonCode) {
        self.park(id, why);
    }

    /// Takes the rows that [`park_for`](Self::park_for) was given and that came to wait in their place since the last call, by count.
    fn take_left(&mut self) -> Vec<Left> {
        Vec::new()
    }

    /// Returns the reason why rows cannot be parked, in words.
    fn in_place_reason(&self) -> Option<String> {
        None
    }

    /// The identity of a leased row, if the spool gives rows one.
    fn identity(&self, _id: LeaseId) -> Option<Identity> {
        None
    }

    /// Messages, by weight, that are neither leased nor parked.
    fn waiting(&self) -> u64;

    /// Parked messages, by weight, those leased by [`lease_parked`](Self::lease_parked) included.
    fn parked(&self) -> u64;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_is_hexadecimal() {
        let identity = Identity { gateway: 0xabc, lane: 1, epoch: 16, seq: 255 };
        assert_eq!(identity.to_string(), "0000000000000abc-1-10-ff");
    }

    /// A spool of no more than it has to be.
    struct Plain;

    impl Spool for Plain {
        fn lease(&mut self, _now_ms: u64, _max_rows: usize, _max_bytes: usize) -> Vec<Leased> {
            Vec::new()
        }

        fn ack(&mut self, _id: LeaseId) {}

        fn settle(&mut self, _id: LeaseId, _why: Settled) {}

        fn give_back(&mut self, _id: LeaseId) {}

        fn park(&mut self, _id: LeaseId, _why: ReasonCode) {}

        fn lease_parked(&mut self, _now_ms: u64, _max_rows: usize, _max_bytes: usize) -> Vec<Leased> {
            Vec::new()
        }

        fn waiting(&self) -> u64 {
            0
        }

        fn parked(&self) -> u64 {
            0
        }
    }

    #[test]
    fn a_spool_without_the_optional_parts_holds_nothing_up() {
        let (mut spool, row) = (Plain, LeaseId(1));
        assert_eq!((spool.is_scanned(), spool.has_holes(), spool.passed()), (None, false, 0));
        assert!(spool.is_settled() && spool.is_committed());
        assert_eq!((spool.weight(row), spool.ttl_left_ms(row, 0), spool.identity(row)), (1, None, None));
        assert_eq!((spool.in_place(), spool.take_left(), spool.in_place_reason()), (0, Vec::new(), None));
    }
}
