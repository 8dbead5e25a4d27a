//! Where rows wait: the part of a queue that the uplink needs, and a queue in memory.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use crate::row::Row;

/// One leased row, by the number the spool gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(pub u64);

/// Who a row is, for ever (promise 4): a copy that arrives twice has the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// Random number of the queue.
    pub gateway: u64,
    /// Priority class.
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

/// A row on its way up. It stays in the spool until [`Spool::ack`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Leased {
    /// To acknowledge it with.
    pub id: LeaseId,
    /// The row.
    pub row: Row,
    /// How long it has waited, in milliseconds.
    pub age_ms: u64,
    /// `None` if the spool gives rows none.
    pub identity: Option<Identity>,
}

impl Leased {
    /// A leased row.
    pub fn new(id: LeaseId, row: Row, age_ms: u64, identity: Option<Identity>) -> Self {
        Self { id, row, age_ms, identity }
    }

    /// Milliseconds that it is still worth sending; `None` = for ever.
    pub fn remaining_ms(&self) -> Option<u64> {
        self.row.ttl_ms.map(|ttl_ms| ttl_ms.saturating_sub(self.age_ms))
    }
}

/// A queue with leases. No call waits.
pub trait Spool {
    /// Leases the next rows, in the order in which they are to go: at most `max_rows`, and not more once `max_bytes` of payload are
    /// reached. Fewer, or none, when there are no more now.
    fn lease(&mut self, now_ms: u64, max_rows: usize, max_bytes: usize) -> Vec<Leased>;

    /// The hub has the row: it is removed for good.
    fn ack(&mut self, id: LeaseId);

    /// The row will not be sent now: back to its old place.
    fn give_back(&mut self, id: LeaseId);

    /// Rows that wait, without leased ones.
    fn waiting(&self) -> u64;
}

/// A bounded queue in memory: what a bridge without a queue on disk uses, and tests.
#[derive(Debug)]
pub struct MemorySpool {
    rows: BTreeMap<u64, Stored>,
    free: VecDeque<u64>,
    next: u64,
    bytes: usize,
    max_rows: usize,
    max_bytes: usize,
    acked: VecDeque<LeaseId>,
    expired: u64,
}

#[derive(Debug)]
struct Stored {
    row: Row,
    pushed_ms: u64,
}

impl MemorySpool {
    /// At most `max_rows` rows and `max_bytes` of payload.
    pub fn new(max_rows: usize, max_bytes: usize) -> Self {
        Self {
            rows: BTreeMap::new(),
            free: VecDeque::new(),
            next: 1,
            bytes: 0,
            max_rows,
            max_bytes,
            acked: VecDeque::new(),
            expired: 0,
        }
    }

    /// Takes a row in.
    ///
    /// # Errors
    ///
    /// Hands the row back when the spool is full.
    pub fn push(&mut self, now_ms: u64, row: Row) -> Result<LeaseId, Box<Row>> {
        let full = self.rows.len() >= self.max_rows || self.bytes + row.payload.len() > self.max_bytes;
        if full {
            return Err(Box::new(row));
        }
        let id = self.next;
        self.next += 1;
        self.bytes += row.payload.len();
        self.rows.insert(id, Stored { row, pushed_ms: now_ms });
        self.free.push_back(id);
        Ok(LeaseId(id))
    }

    /// Rows that left since the last call, acknowledged or expired.
    pub fn drain_done(&mut self) -> impl Iterator<Item = LeaseId> {
        self.acked.drain(..)
    }

    /// Rows in it, leased ones included.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Rows whose time to live passed.
    pub fn expired(&self) -> u64 {
        self.expired
    }

    fn remove(&mut self, id: u64) {
        if let Some(stored) = self.rows.remove(&id) {
            self.bytes -= stored.row.payload.len();
            self.acked.push_back(LeaseId(id));
        }
    }
}

impl Spool for MemorySpool {
    fn lease(&mut self, now_ms: u64, max_rows: usize, max_bytes: usize) -> Vec<Leased> {
        let (mut out, mut bytes) = (Vec::new(), 0);
        while out.len() < max_rows && bytes < max_bytes {
            let Some(id) = self.free.pop_front() else { break };
            let Some(stored) = self.rows.get(&id) else { continue };
            let age_ms = now_ms.saturating_sub(stored.pushed_ms);
            if stored.row.ttl_ms.is_some_and(|ttl_ms| age_ms >= ttl_ms) {
                self.expired += 1;
                self.remove(id);
                continue;
            }
            bytes += stored.row.payload.len().max(1);
            out.push(Leased::new(LeaseId(id), stored.row.clone(), age_ms, None));
        }
        out
    }

    fn ack(&mut self, id: LeaseId) {
        self.remove(id.0);
    }

    fn give_back(&mut self, id: LeaseId) {
        if self.rows.contains_key(&id.0) {
            let at = self.free.partition_point(|free| *free < id.0);
            if self.free.get(at) != Some(&id.0) {
                self.free.insert(at, id.0);
            }
        }
    }

    fn waiting(&self) -> u64 {
        self.free.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::wire::Utf8;

    fn row(ttl_ms: Option<u64>) -> Row {
        Row { ttl_ms, ..Row::new(Utf8::from_static("t").unwrap(), Bytes::from_static(b"12345")) }
    }

    #[test]
    fn rows_return_to_their_old_place() {
        let mut spool = MemorySpool::new(10, 1000);
        (0..4).for_each(|_| drop(spool.push(0, row(None))));
        let ids: Vec<_> = spool.lease(0, 3, 1000).iter().map(|l| l.id).collect();
        spool.ack(ids[1]);
        spool.give_back(ids[2]);
        spool.give_back(ids[0]);
        let again: Vec<_> = spool.lease(0, 10, 1000).iter().map(|l| l.id.0).collect();
        assert_eq!(again, [1, 3, 4]);
        assert_eq!((spool.len(), spool.waiting()), (3, 0));
    }

    #[test]
    fn bounded_by_rows_and_bytes() {
        let mut spool = MemorySpool::new(2, 1000);
        assert!(spool.push(0, row(None)).is_ok() && spool.push(0, row(None)).is_ok());
        assert!(spool.push(0, row(None)).is_err());
        assert!(MemorySpool::new(10, 4).push(0, row(None)).is_err());
    }

    #[test]
    fn what_expired_is_not_leased() {
        let mut spool = MemorySpool::new(10, 1000);
        let id = spool.push(0, row(Some(100))).unwrap();
        assert!(spool.lease(100, 10, 1000).is_empty());
        assert_eq!(spool.drain_done().collect::<Vec<_>>(), [id]);
        assert_eq!(spool.expired(), 1);
    }

    #[test]
    fn identity_is_hexadecimal() {
        let identity = Identity { gateway: 0xabc, lane: 1, epoch: 16, seq: 255 };
        assert_eq!(identity.to_string(), "0000000000000abc-1-10-ff");
    }
}
