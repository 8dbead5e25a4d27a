//! Spool: the part of a queue that the uplink needs. A leased row leaves the spool when the hub acknowledges it ([`Spool::ack`]) or for another
//! reason ([`Spool::settle`]), or it is moved to the parked rows for a later attempt ([`Spool::park`]). Of these, a refusal by the hub leads only to
//! parking, but for rows that are [dropped](Row::drop_refused) then.

mod memory;

use std::fmt;

use crate::row::Row;
use crate::wire::{ReasonCode, Utf8};

pub use memory::{Gone, MemorySpool};

/// Number of one lease, given by the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(pub u64);

/// Identity of a row (promise 4). It never changes, so that a copy of the row has the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// Gateway id: random number of the queue, drawn when it was created.
    pub gateway: u64,
    /// Priority class of the row.
    pub lane: u8,
    /// Epoch: number of the process start in which the row was pushed.
    pub epoch: u32,
    /// Sequence number of the row in its lane and epoch.
    pub seq: u64,
}

impl fmt::Display for Identity {
    /// `gateway-lane-epoch-seq`, hexadecimal: the value of the user property `edge-id`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{:x}-{:x}-{:x}", self.gateway, self.lane, self.epoch, self.seq)
    }
}

/// Leased row. It stays in the spool until [`Spool::ack`] or [`Spool::settle`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Leased {
    /// Number of the lease, by which the row is acknowledged.
    pub id: LeaseId,
    /// Content of the row.
    pub row: Row,
    /// Time that the row had waited in the spool when it was leased, in milliseconds.
    pub age_ms: u64,
    /// Up time at which the row expires, in milliseconds of `Now::up_ms`; `None` = never. Absolute, because a row may wait a long time between
    /// its lease and its message.
    pub expires_ms: Option<u64>,
    /// Identity of the row; `None` if the spool gives none.
    pub identity: Option<Identity>,
}

impl Leased {
    /// Creates a row leased at `now_ms` (of `Now::up_ms`) that has waited for `age_ms`.
    pub fn new(id: LeaseId, row: Row, now_ms: u64, age_ms: u64, identity: Option<Identity>) -> Self {
        let expires_ms = row.ttl_ms.map(|ttl_ms| now_ms.saturating_add(ttl_ms.saturating_sub(age_ms)));
        Self { id, row, age_ms, expires_ms, identity }
    }

    /// Returns whether the row's time to live is over.
    pub fn is_expired(&self, now_ms: u64) -> bool {
        self.expires_ms.is_some_and(|at_ms| at_ms <= now_ms)
    }
}

/// Reasons other than delivery for which rows leave a spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Settled {
    /// The row's time to live is over.
    Expired,
    /// An operator dropped the row, or the hub refused it and it asked to be [dropped](Row::drop_refused) then.
    Discarded,
}

/// Key under which parked rows are counted for the operator's list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct ParkedCount {
    /// Topic of the row's message.
    pub topic: Utf8,
    /// Set if the hub refused this message alone and accepts others of the topic; unset if it refuses the topic.
    pub of_message: bool,
}

impl ParkedCount {
    /// Creates the key of a refused topic or, with `of_message`, of a topic's messages that are refused alone.
    pub fn new(topic: Utf8, of_message: bool) -> Self {
        Self { topic, of_message }
    }
}

/// Rows under one [`ParkedCount`] that could not be parked and stay in their lanes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Left {
    /// Key that was given to [`Spool::park_for`].
    pub count: ParkedCount,
    /// Number of these rows.
    pub rows: u64,
    /// Messages that these rows stand for.
    pub weight: u64,
}

impl Left {
    /// Creates the account of `rows` rows that could not be parked and stand for `weight` messages.
    pub fn new(count: ParkedCount, rows: u64, weight: u64) -> Self {
        Self { count, rows, weight }
    }
}

/// Queue with leases, and with an area for parked rows, which cannot be delivered now. No call blocks. Calls that take a [`LeaseId`] accept
/// leases of [`lease`](Self::lease) and of [`lease_parked`](Self::lease_parked), and do nothing for a row that is not leased.
pub trait Spool {
    /// Leases the next rows, in the order in which they are to be sent: at most `max_rows`, and none after the row that reaches `max_bytes` of
    /// payload. Returns fewer, or none, when there are no more now.
    fn lease(&mut self, now_ms: u64, max_rows: usize, max_bytes: usize) -> Vec<Leased>;

    /// Removes a row that the hub has acknowledged. Call it for no other reason, because the row's receipt then reports the row as delivered.
    fn ack(&mut self, id: LeaseId);

    /// Removes a row that was not delivered, and counts it under this reason.
    fn settle(&mut self, id: LeaseId, why: Settled);

    /// Ends a lease without an attempt: the row goes back to its old place in the spool.
    fn give_back(&mut self, id: LeaseId);

    /// Parks a row that the hub refused: moves it behind all rows parked before, with its identity and as durably as it was stored. A row of
    /// [`lease_parked`](Self::lease_parked) stays parked: a spool either always keeps it in its place, or always puts it behind the others.
    fn park(&mut self, id: LeaseId, why: ReasonCode);

    /// Leases parked rows, as [`lease`](Self::lease) leases new ones, in the order in which they were parked. A spool in which rows keep their
    /// places gives each row once in a pass.
    fn lease_parked(&mut self, now_ms: u64, max_rows: usize, max_bytes: usize) -> Vec<Leased>;

    /// Begins a pass over the parked rows, from the oldest to the last one parked until now. Does nothing in a spool that puts rows parked again
    /// behind the others.
    fn scan_parked(&mut self) {}

    /// Returns whether a pass has come to its end; `None` in a spool that puts rows parked again behind the others.
    fn is_scanned(&self) -> Option<bool> {
        None
    }

    /// Returns whether many gaps lie between the parked rows, so that [`close_holes`](Self::close_holes) saves space.
    fn has_holes(&self) -> bool {
        false
    }

    /// Makes the next pass begin with a compaction: parked rows are moved together, in their order. Does nothing while one of them is leased.
    fn close_holes(&mut self) {}

    /// Number of parked rows that passes have read or moved without leasing them. A pass that leases no row is still under way while this number
    /// grows.
    fn passed(&self) -> u64 {
        0
    }

    /// Returns whether the spool knows all its parked rows, and no row is being parked.
    fn is_settled(&self) -> bool {
        true
    }

    /// Starts to make the removal of rows durable. [`is_committed`](Self::is_committed) says when that is done.
    fn commit(&mut self) {}

    /// Returns whether every [`commit`](Self::commit) is done.
    fn is_committed(&self) -> bool {
        true
    }

    /// Number of messages that a leased row stands for.
    fn weight(&self, _id: LeaseId) -> u64 {
        1
    }

    /// Returns whether a leased row is [dropped](Row::drop_refused) when the hub refuses it. Rows that are parked already stay so. Default: `false`, so
    /// that every refused row is parked.
    fn drops_refused(&self, _id: LeaseId) -> bool {
        false
    }

    /// Rest of a leased row's time to live, in milliseconds at `now_ms` (of `Now::up_ms`); `None`, the default, for a row that never expires. A
    /// message of several rows expires with the last of them, here and at the hub. Implement this method for a [`Pack`](super::Pack) that makes
    /// such messages; otherwise they never expire.
    fn ttl_left_ms(&self, _id: LeaseId, _now_ms: u64) -> Option<u64> {
        None
    }

    /// Number of messages, by the weight of their rows, that could not be parked for want of disk space and wait in their lanes.
    fn in_place(&self) -> u64 {
        0
    }

    /// Parks a row, as [`park`](Self::park) does, and counts it under this key. [`take_left`](Self::take_left) reports rows that could not be
    /// parked.
    fn park_for(&mut self, id: LeaseId, _count: &ParkedCount, why: ReasonCode) {
        self.park(id, why);
    }

    /// Takes the rows of [`park_for`](Self::park_for) that could not be parked since the last call, by key.
    fn take_left(&mut self) -> Vec<Left> {
        Vec::new()
    }

    /// Returns the reason in words why rows cannot be parked; `None` if rows can be parked, or the reason is not known.
    fn in_place_reason(&self) -> Option<String> {
        None
    }

    /// Returns the identity of a leased row; `None` if the spool gives none.
    fn identity(&self, _id: LeaseId) -> Option<Identity> {
        None
    }

    /// Number of messages, by weight, that are neither leased nor parked.
    fn waiting(&self) -> u64;

    /// Number of parked messages, by weight, with those leased by [`lease_parked`](Self::lease_parked).
    fn parked(&self) -> u64;

    /// Number of messages, by weight, that the hub has not acknowledged, leased and parked ones included. A link that stops reports it when all
    /// leases are given back, for which the default, those that wait and parked ones, is exact. Implement this method for a spool that leases
    /// rows ahead of its caller.
    fn undelivered(&self) -> u64 {
        self.waiting().saturating_add(self.parked())
    }
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
        assert!(!spool.drops_refused(row));
        assert_eq!(spool.undelivered(), 0);
    }
}
