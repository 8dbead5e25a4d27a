//! The queue in as few lines as it can be said: vectors, no store, no threads.
#![allow(unreachable_pub, reason = "a module of a test crate")]
#![allow(dead_code, reason = "each test uses its part")]

use std::collections::{BTreeMap, BTreeSet};

use edge_queue::{Ledger, OnFull, Order, Reason, Receipt};

pub mod durable;
mod lease;
mod leave;
use durable::Loss;

/// Limits of one lane.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub messages: u64,
    pub bytes: u64,
    pub on_full: OnFull,
    pub max_age_ms: Option<u64>,
    pub order: Order,
}

/// Limits of a consumer's own, in each lane.
#[derive(Clone, Copy, Debug, Default)]
pub struct Own {
    pub messages: Option<u64>,
    pub bytes: Option<u64>,
    pub age_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Queued,
    Leased,
    Done,
}

#[derive(Clone, Debug)]
pub struct RefRow {
    /// Number of the push over the whole test; also its payload.
    pub id: u64,
    /// Its number in its lane.
    seq: u64,
    /// Number of the open that accepted it.
    epoch: u32,
    weight: u64,
    bytes: u64,
    born_ms: u64,
    ttl_ms: Option<u64>,
    at: BTreeMap<String, At>,
    /// Nobody was registered at the push and nobody since.
    ownerless: bool,
    gone: bool,
    written: bool,
    /// Some consumer moved it to another store.
    moved: bool,
    dropped: Option<Reason>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Book {
    accepted: u64,
    delivered: u64,
    moved: u64,
    dropped: BTreeMap<u8, u64>,
    /// Index of the first live row; `None` before the first lease of this run.
    live_from: Option<usize>,
    /// Live rows given since the last of the backlog.
    live_run: u32,
    /// Row indices handed out in this run, or passed over on the way.
    handed: BTreeSet<usize>,
    /// Losses not yet acknowledged as reported.
    losses: Vec<Loss>,
}

#[derive(Clone, Debug, Default)]
pub struct Reference {
    limits: Vec<Limits>,
    lanes: Vec<Vec<RefRow>>,
    /// Rows of each lane that were there when the queue was opened: no longer in RAM.
    opened_at: Vec<usize>,
    /// In order of registration.
    consumers: Vec<String>,
    books: BTreeMap<(String, usize), Book>,
    /// Limits of single consumers, for the rows that they may have queued in a lane after a commit.
    own: BTreeMap<String, Own>,
    /// Rows of other lanes since each lane's last.
    waited: BTreeMap<String, Vec<u32>>,
    /// By id of the push.
    pub receipts: BTreeMap<u64, Receipt>,
    settling: Vec<(u64, Reason)>,
    stored_says: Option<Receipt>,
    next_id: u64,
    /// Number of the open, as rows pushed now get it.
    epoch: u32,
    /// Per lane.
    next_seq: Vec<u64>,
}

impl Reference {
    pub fn new(limits: Vec<Limits>, stored_says: Receipt) -> Reference {
        let lanes = vec![Vec::new(); limits.len()];
        let next_seq = vec![1; limits.len()];
        let opened_at = vec![0; limits.len()];
        Reference {
            limits,
            lanes,
            opened_at,
            next_seq,
            stored_says: Some(stored_says),
            ..Reference::default()
        }
    }

    pub fn consumers(&self) -> &[String] {
        &self.consumers
    }

    /// Number of the open that accepted a row which has not left.
    pub fn epoch_of(&self, lane: usize, id: u64) -> u32 {
        self.live(lane).find(|row| row.id == id).map_or(0, |row| row.epoch)
    }

    /// The queue was opened for the `epoch`th time.
    pub fn set_epoch(&mut self, epoch: u32) {
        self.epoch = epoch;
    }

    pub fn lanes(&self) -> usize {
        self.lanes.len()
    }

    fn live(&self, lane: usize) -> impl Iterator<Item = &RefRow> {
        self.lanes[lane].iter().filter(|row| !row.gone)
    }

    pub fn messages(&self, lane: usize) -> u64 {
        self.live(lane).map(|row| row.weight).sum()
    }

    pub fn bytes(&self, lane: usize) -> u64 {
        self.live(lane).map(|row| row.bytes).sum()
    }

    fn weight_of(&self, name: &str, lane: usize, states: &[At]) -> u64 {
        let rows =
            self.lanes[lane].iter().filter(|row| row.at.get(name).is_some_and(|at| states.contains(at)));
        rows.map(|row| row.weight).sum()
    }

    fn bytes_of(&self, name: &str, lane: usize, states: &[At]) -> u64 {
        let rows =
            self.lanes[lane].iter().filter(|row| row.at.get(name).is_some_and(|at| states.contains(at)));
        rows.map(|row| row.bytes).sum()
    }

    /// Returns whether a row would go in without any limit having a say.
    pub fn has_room(&self, lane: usize, weight: u64, bytes: u64) -> bool {
        let limits = &self.limits[lane];
        self.messages(lane) + weight <= limits.messages && self.bytes(lane) + bytes <= limits.bytes
    }

    /// Returns whether any consumer has limits of its own.
    pub fn has_own_limits(&self) -> bool {
        !self.own.is_empty()
    }

    /// Returns the weight that a consumer lost in a lane and did not report yet.
    pub fn lost(&self, name: &str, lane: usize) -> u64 {
        self.books.get(&(name.to_owned(), lane)).map_or(0, |book| book.dropped.values().sum())
    }

    /// `Some(id)` when the queue must take it, `None` when it must refuse.
    pub fn push(
        &mut self,
        lane: usize,
        weight: u64,
        bytes: u64,
        ttl_ms: Option<u64>,
        now_ms: u64,
    ) -> Option<u64> {
        let limits = self.limits[lane];
        let mut drop_new = false;
        while self.messages(lane) + weight > limits.messages || self.bytes(lane) + bytes > limits.bytes {
            match limits.on_full {
                OnFull::Reject => return None,
                OnFull::DropNewest => {
                    drop_new = true;
                    break;
                }
                OnFull::DropOldest if self.never_fits(lane, weight, bytes) => return None,
                OnFull::DropOldest => {
                    let leased = |row: &RefRow| row.at.values().any(|at| *at == At::Leased);
                    let oldest = self.lanes[lane].iter().position(|row| !row.gone && !leased(row))?;
                    self.evict(lane, oldest);
                }
            }
        }
        let id = self.next_id;
        self.next_id += 1;
        let at: BTreeMap<String, At> = self.consumers.iter().map(|name| (name.clone(), At::Queued)).collect();
        for name in &self.consumers {
            self.books.entry((name.clone(), lane)).or_default().accepted += weight;
        }
        let ownerless = at.is_empty();
        let seq = self.next_seq[lane];
        self.next_seq[lane] += 1;
        self.lanes[lane].push(RefRow {
            id,
            seq,
            epoch: self.epoch,
            weight,
            bytes,
            born_ms: now_ms,
            ttl_ms,
            at,
            ownerless,
            gone: false,
            written: false,
            moved: false,
            dropped: None,
        });
        if drop_new {
            self.evict(lane, self.lanes[lane].len() - 1);
        }
        Some(id)
    }

    /// Returns whether leased rows alone leave no room.
    fn never_fits(&self, lane: usize, weight: u64, bytes: u64) -> bool {
        let leased = |row: &&RefRow| row.at.values().any(|at| *at == At::Leased);
        let held = || self.live(lane).filter(leased);
        held().map(|row| row.weight).sum::<u64>() + weight > self.limits[lane].messages
            || held().map(|row| row.bytes).sum::<u64>() + bytes > self.limits[lane].bytes
    }

    /// Returns whether a receipt has waited for `ack_within_ms`.
    pub fn overdue(&self, now_ms: u64, ack_within_ms: u64) -> bool {
        let waits = |row: &&RefRow| !row.gone && !row.written && now_ms - row.born_ms >= ack_within_ms;
        self.lanes.iter().flatten().any(|row| waits(&row))
    }

    pub fn register(&mut self, name: &str, own: Option<Own>) {
        if let Some(own) = own {
            self.own.insert(name.to_owned(), own);
        }
        if self.consumers.iter().any(|known| known == name) {
            return;
        }
        let first = self.consumers.is_empty();
        self.consumers.push(name.to_owned());
        self.waited.insert(name.to_owned(), vec![0; self.lanes.len()]);
        for lane in 0..self.lanes.len() {
            let mut book = Book::default();
            for row in self.lanes[lane].iter_mut().filter(|row| first && !row.gone) {
                row.at.insert(name.to_owned(), At::Queued);
                row.ownerless = false;
                book.accepted += row.weight;
            }
            self.books.insert((name.to_owned(), lane), book);
        }
        self.commit();
    }

    pub fn forget(&mut self, name: &str) -> bool {
        self.commit();
        let Some(at) = self.consumers.iter().position(|known| known == name) else { return false };
        self.consumers.remove(at);
        self.own.remove(name);
        self.books.retain(|(of, _), _| of != name);
        let last = self.consumers.is_empty();
        for row in self.lanes.iter_mut().flatten().filter(|row| !row.gone) {
            row.at.remove(name);
            row.ownerless = last;
            row.gone = !last && row.at.values().all(|at| *at == At::Done);
        }
        true
    }

    /// A clean close and a new start: leases are back; turns, what was leased and consumers' limits are forgotten.
    pub fn reopen(&mut self) {
        self.commit();
        self.own.clear();
        self.forget_leases();
    }

    fn forget_leases(&mut self) {
        self.opened_at = self.lanes.iter().map(Vec::len).collect();
        for at in self.lanes.iter_mut().flatten().flat_map(|row| row.at.values_mut()) {
            if *at == At::Leased {
                *at = At::Queued;
            }
        }
        for book in self.books.values_mut() {
            (book.live_from, book.live_run) = (None, 0);
            book.handed.clear();
        }
        self.waited.values_mut().for_each(|waited| waited.fill(0));
    }

    /// Compares with the queue's own ledger.
    pub fn check(&self, ledgers: &[Ledger]) -> Result<(), String> {
        if ledgers.len() != self.consumers.len() * self.lanes.len() {
            return Err(format!("{} ledgers for {:?}", ledgers.len(), self.consumers));
        }
        for ledger in ledgers {
            let lane = usize::from(ledger.lane.0);
            let book = &self.books[&(ledger.consumer.clone(), lane)];
            let of = |state: At| self.weight_of(&ledger.consumer, lane, &[state]);
            let dropped: u64 = book.dropped.values().sum();
            let same = ledger.accepted == book.accepted
                && ledger.delivered == book.delivered
                && ledger.moved == book.moved
                && ledger.leased == of(At::Leased)
                && ledger.queued == of(At::Leased) + of(At::Queued)
                && ledger.dropped.total() == dropped
                && ledger.expired() == book.dropped.get(&(Reason::Expired as u8)).copied().unwrap_or(0)
                && [Reason::OverflowUnconfirmed, Reason::Discarded].into_iter().all(|reason| {
                    let expected = book.dropped.get(&(reason as u8)).copied().unwrap_or(0);
                    ledger.dropped.for_reason(reason) == expected
                });
            if !same || !ledger.balanced() {
                return Err(format!("{ledger:?} but expected {book:?}"));
            }
        }
        Ok(())
    }
}
