//! Spool in memory, for a bridge without a queue on disk and for tests. Its limits of rows and bytes include parked rows.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{LeaseId, Leased, Settled, Spool};
use crate::row::Row;
use crate::wire::ReasonCode;

/// A bounded queue in memory.
#[derive(Debug)]
pub struct MemorySpool {
    rows: BTreeMap<u64, Stored>,
    /// Numbers of the rows that wait for a lease.
    free: BTreeSet<u64>,
    /// Parked rows that are not leased: row number by park number.
    parked_free: BTreeMap<u64, u64>,
    /// Weight, in messages, of rows that wait; with the weight of rows that are parked, leased or not.
    waiting: u64,
    parked: u64,
    /// Weight of all rows.
    weight: u64,
    next: u64,
    next_park: u64,
    bytes: usize,
    max_rows: usize,
    max_bytes: usize,
    gone: VecDeque<(LeaseId, Gone)>,
    expired: u64,
}

/// Reason for which a row left a [`MemorySpool`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Gone {
    /// The hub acknowledged the row.
    Acked,
    /// The row was removed for another reason.
    Settled(Settled),
}

#[derive(Debug)]
struct Stored {
    row: Row,
    pushed_ms: u64,
    /// Park number, by which the parked rows are ordered; `None` if the row is not parked.
    parked: Option<u64>,
}

impl Stored {
    fn is_expired(&self, now_ms: u64) -> bool {
        self.row.ttl_ms.is_some_and(|ttl_ms| now_ms.saturating_sub(self.pushed_ms) >= ttl_ms)
    }
}

impl MemorySpool {
    /// Creates a spool of at most `max_rows` rows and `max_bytes` of topics, properties, keys and payloads.
    pub fn new(max_rows: usize, max_bytes: usize) -> Self {
        Self {
            rows: BTreeMap::new(),
            free: BTreeSet::new(),
            parked_free: BTreeMap::new(),
            waiting: 0,
            parked: 0,
            weight: 0,
            next: 1,
            next_park: 1,
            bytes: 0,
            max_rows,
            max_bytes,
            gone: VecDeque::new(),
            expired: 0,
        }
    }

    /// Adds a row. A full spool first removes rows that have expired and are not leased.
    ///
    /// # Errors
    ///
    /// The spool is still full; contains the row.
    pub fn push(&mut self, now_ms: u64, row: Row) -> Result<LeaseId, Box<Row>> {
        if self.is_full_for(&row) {
            self.purge(now_ms);
        }
        if self.is_full_for(&row) {
            return Err(Box::new(row));
        }
        let id = self.next;
        self.next += 1;
        self.bytes += row.bytes();
        self.waiting += u64::from(row.weight);
        self.weight += u64::from(row.weight);
        self.rows.insert(id, Stored { row, pushed_ms: now_ms, parked: None });
        self.free.insert(id);
        Ok(LeaseId(id))
    }

    /// Takes the rows that left since the last call, with the reason of each.
    pub fn drain_gone(&mut self) -> impl Iterator<Item = (LeaseId, Gone)> {
        self.gone.drain(..)
    }

    /// Returns the number of rows, leased and parked ones included.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Number of rows that expired.
    pub fn expired(&self) -> u64 {
        self.expired
    }

    fn is_full_for(&self, row: &Row) -> bool {
        self.rows.len() >= self.max_rows || self.bytes + row.bytes() > self.max_bytes
    }

    /// Removes rows that have expired and are not leased, by a scan of all of them.
    fn purge(&mut self, now_ms: u64) {
        let waiting = self.free.iter().chain(self.parked_free.values());
        let old = waiting.filter(|id| self.rows.get(id).is_some_and(|row| row.is_expired(now_ms)));
        for id in old.copied().collect::<Vec<_>>() {
            self.remove(id, Gone::Settled(Settled::Expired));
        }
    }

    fn remove(&mut self, id: u64, why: Gone) {
        let Some(stored) = self.rows.remove(&id) else { return };
        self.bytes -= stored.row.bytes();
        let messages = u64::from(stored.row.weight);
        self.weight -= messages;
        if self.free.remove(&id) {
            self.waiting -= messages;
        }
        if let Some(park) = stored.parked {
            self.parked_free.remove(&park);
            self.parked -= messages;
        }
        self.expired += u64::from(why == Gone::Settled(Settled::Expired));
        self.gone.push_back((LeaseId(id), why));
    }

    fn pop_waiting(&mut self) -> Option<u64> {
        let id = self.free.pop_first()?;
        self.waiting -= self.weight(LeaseId(id));
        Some(id)
    }

    /// Leases rows that `next` takes from the waiting rows or from the parked rows.
    fn lease_from(
        &mut self,
        now_ms: u64,
        max_rows: usize,
        max_bytes: usize,
        next: impl Fn(&mut Self) -> Option<u64>,
    ) -> Vec<Leased> {
        let (mut out, mut bytes) = (Vec::new(), 0);
        while out.len() < max_rows && bytes < max_bytes {
            let Some(id) = next(self) else { break };
            let Some(stored) = self.rows.get(&id) else { continue };
            if stored.is_expired(now_ms) {
                self.remove(id, Gone::Settled(Settled::Expired));
                continue;
            }
            let age_ms = now_ms.saturating_sub(stored.pushed_ms);
            bytes += stored.row.bytes();
            out.push(Leased::new(LeaseId(id), stored.row.clone(), now_ms, age_ms, None));
        }
        out
    }
}

impl Spool for MemorySpool {
    fn lease(&mut self, now_ms: u64, max_rows: usize, max_bytes: usize) -> Vec<Leased> {
        self.lease_from(now_ms, max_rows, max_bytes, Self::pop_waiting)
    }

    fn ack(&mut self, id: LeaseId) {
        self.remove(id.0, Gone::Acked);
    }

    fn settle(&mut self, id: LeaseId, why: Settled) {
        self.remove(id.0, Gone::Settled(why));
    }

    fn give_back(&mut self, id: LeaseId) {
        let Some(stored) = self.rows.get(&id.0) else { return };
        match stored.parked {
            None if self.free.insert(id.0) => self.waiting += u64::from(stored.row.weight),
            None => {}
            Some(park) => drop(self.parked_free.insert(park, id.0)),
        }
    }

    fn park(&mut self, id: LeaseId, _why: ReasonCode) {
        let Some(stored) = self.rows.get_mut(&id.0) else { return };
        match stored.parked.replace(self.next_park) {
            None => self.parked += u64::from(stored.row.weight),
            Some(old) => drop(self.parked_free.remove(&old)),
        }
        if self.free.remove(&id.0) {
            self.waiting -= u64::from(stored.row.weight);
        }
        self.parked_free.insert(self.next_park, id.0);
        self.next_park += 1;
    }

    fn lease_parked(&mut self, now_ms: u64, max_rows: usize, max_bytes: usize) -> Vec<Leased> {
        self.lease_from(now_ms, max_rows, max_bytes, |spool| spool.parked_free.pop_first().map(|(_, id)| id))
    }

    fn drops_refused(&self, id: LeaseId) -> bool {
        self.rows.get(&id.0).is_some_and(|stored| stored.parked.is_none() && stored.row.drop_refused)
    }

    fn weight(&self, id: LeaseId) -> u64 {
        self.rows.get(&id.0).map_or(0, |stored| u64::from(stored.row.weight))
    }

    fn ttl_left_ms(&self, id: LeaseId, now_ms: u64) -> Option<u64> {
        let stored = self.rows.get(&id.0)?;
        let age_ms = now_ms.saturating_sub(stored.pushed_ms);
        stored.row.ttl_ms.map(|ttl_ms| ttl_ms.saturating_sub(age_ms))
    }

    fn waiting(&self) -> u64 {
        self.waiting
    }

    fn parked(&self) -> u64 {
        self.parked
    }

    fn undelivered(&self) -> u64 {
        self.weight
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::wire::Utf8;

    fn row(ttl_ms: Option<u64>) -> Row {
        Row { ttl_ms, ..Row::new(Utf8::from_static("t"), Bytes::from_static(b"12345")) }
    }

    fn filled(rows: usize) -> MemorySpool {
        let mut spool = MemorySpool::new(10, 1000);
        for _ in 0..rows {
            spool.push(0, row(None)).unwrap();
        }
        spool
    }

    fn ids(rows: &[Leased]) -> Vec<u64> {
        rows.iter().map(|leased| leased.id.0).collect()
    }

    #[test]
    fn what_waits_is_counted_in_messages() {
        let mut spool = MemorySpool::new(10, 1000);
        for weight in [5, 2, 1] {
            spool.push(0, Row { weight, ..row(None) }).unwrap();
        }
        assert_eq!(spool.waiting(), 8);
        let leased = spool.lease(0, 2, 1000);
        assert_eq!(spool.waiting(), 1);
        spool.give_back(leased[0].id);
        spool.park(leased[1].id, ReasonCode::NOT_AUTHORIZED);
        assert_eq!((spool.waiting(), spool.parked()), (6, 2));
        let parked = spool.lease_parked(0, 1, 1000);
        assert_eq!(spool.undelivered(), 8, "wherever they are");
        spool.ack(parked[0].id);
        assert_eq!(spool.undelivered(), 6);
    }

    #[test]
    fn rows_return_to_their_old_place() {
        let mut spool = filled(4);
        let leased = spool.lease(0, 3, 1000);
        spool.ack(leased[1].id);
        spool.give_back(leased[2].id);
        spool.give_back(leased[0].id);
        assert_eq!(ids(&spool.lease(0, 10, 1000)), [1, 3, 4]);
        assert_eq!((spool.len(), spool.waiting()), (3, 0));
    }

    #[test]
    fn a_lease_ends_once_its_bytes_are_reached() {
        let mut spool = filled(5);
        let bytes = row(None).bytes();
        assert_eq!(ids(&spool.lease(0, 10, bytes + 1)), [1, 2], "the row that reaches them is in it");
        assert_eq!(ids(&spool.lease(0, 10, bytes)), [3]);
        assert_eq!((ids(&spool.lease(0, 10, 0)).len(), spool.waiting()), (0, 2));
    }

    #[test]
    fn a_row_can_be_parked_unleased() {
        let mut spool = filled(3);
        spool.park(LeaseId(2), ReasonCode::NOT_AUTHORIZED);
        assert_eq!((spool.waiting(), spool.parked()), (2, 1));
        assert_eq!(ids(&spool.lease(0, 10, 1000)), [1, 3]);
        assert_eq!(ids(&spool.lease_parked(0, 10, 1000)), [2]);
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
        assert_eq!(spool.drain_gone().collect::<Vec<_>>(), [(id, Gone::Settled(Settled::Expired))]);
        assert_eq!(spool.expired(), 1);
    }

    #[test]
    fn what_expired_makes_room() {
        let mut spool = MemorySpool::new(2, 1000);
        let ids = [spool.push(0, row(Some(100))).unwrap(), spool.push(0, row(Some(100))).unwrap()];
        let leased = spool.lease(0, 1, 1000);
        assert!(spool.push(99, row(None)).is_err());
        assert!(spool.push(100, row(None)).is_ok(), "the row that waits made room");
        assert!(spool.push(100, row(None)).is_err(), "the leased one did not");
        assert_eq!(spool.drain_gone().collect::<Vec<_>>(), [(ids[1], Gone::Settled(Settled::Expired))]);
        spool.settle(leased[0].id, Settled::Expired);
        assert!(spool.push(100, row(None)).is_ok());
    }

    #[test]
    fn parked_rows_keep_the_order_in_which_they_were_parked() {
        let mut spool = filled(5);
        let leased = spool.lease(0, 4, 1000);
        [2, 0, 1].into_iter().for_each(|at| spool.park(leased[at].id, ReasonCode::NOT_AUTHORIZED));
        assert_eq!((spool.waiting(), spool.parked(), spool.len()), (1, 3, 5));
        assert_eq!(ids(&spool.lease(0, 10, 1000)), [5], "a parked row is not leased");
        let again = spool.lease_parked(0, 2, 1000);
        assert_eq!(ids(&again), [3, 1]);
        spool.give_back(again[0].id);
        spool.park(again[1].id, ReasonCode::NOT_AUTHORIZED);
        assert_eq!(spool.parked(), 3);
        let again = spool.lease_parked(0, 10, 1000);
        assert_eq!(ids(&again), [3, 2, 1], "given back to its place, parked again at the end");
        spool.ack(again[0].id);
        spool.settle(again[1].id, Settled::Discarded);
        assert_eq!((spool.parked(), spool.len()), (1, 3));
        let gone: Vec<_> = spool.drain_gone().map(|(id, why)| (id.0, why)).collect();
        assert_eq!(gone, [(3, Gone::Acked), (2, Gone::Settled(Settled::Discarded))]);
    }

    #[test]
    fn a_row_that_leaves_makes_room_for_as_many_bytes() {
        let mut spool = MemorySpool::new(10, 3 * row(None).bytes());
        for _ in 0..3 {
            spool.push(0, row(None)).unwrap();
        }
        assert!(spool.push(0, row(None)).is_err(), "there are three in it");
        let leased = spool.lease(0, 1, 1000);
        spool.ack(leased[0].id);
        assert!(spool.push(0, row(None)).is_ok());
        assert!(spool.push(0, row(None)).is_err());
    }

    #[test]
    fn rows_that_make_room_no_longer_wait() {
        let mut spool = MemorySpool::new(2, 1000);
        let heavy = |ttl_ms| Row { weight: 3, ..row(ttl_ms) };
        spool.push(0, heavy(Some(100))).unwrap();
        spool.push(0, heavy(None)).unwrap();
        spool.push(100, heavy(None)).unwrap();
        assert_eq!((spool.len(), spool.waiting()), (2, 6));
    }
}
