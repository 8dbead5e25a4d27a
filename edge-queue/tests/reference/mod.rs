//! The queue in as few lines as it can be said: vectors, no store, no threads.
#![allow(unreachable_pub, reason = "a module of a test crate")]
#![allow(dead_code, reason = "each test uses its part")]

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use edge_queue::{Ledger, OnFull, Order, Reason, Receipt};

pub mod durable;
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
    weight: u64,
    bytes: u64,
    born_ms: u64,
    ttl_ms: Option<u64>,
    at: BTreeMap<String, At>,
    /// Nobody was registered at the push and nobody since.
    ownerless: bool,
    gone: bool,
    written: bool,
    dropped: Option<Reason>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Book {
    accepted: u64,
    delivered: u64,
    dropped: BTreeMap<u8, u64>,
    /// Index of the first live row; `None` before the first lease of this run.
    live_from: Option<usize>,
    /// Live rows given since the last of the backlog.
    live_run: u32,
    /// Row indices handed out in this run, or passed over on the way.
    handed: BTreeSet<usize>,
    /// What was given up and not yet acknowledged as reported.
    losses: Vec<Loss>,
}

#[derive(Clone, Debug, Default)]
pub struct Reference {
    limits: Vec<Limits>,
    lanes: Vec<Vec<RefRow>>,
    /// In order of registration.
    consumers: Vec<String>,
    books: BTreeMap<(String, usize), Book>,
    /// Most messages a consumer may have queued in a lane after a commit, and their age.
    own: BTreeMap<String, (u64, Option<u64>)>,
    /// Rows of other lanes since each lane's last.
    waited: BTreeMap<String, Vec<u32>>,
    /// By id of the push.
    pub receipts: BTreeMap<u64, Receipt>,
    settling: Vec<(u64, Reason)>,
    stored_says: Option<Receipt>,
    next_id: u64,
    /// Per lane.
    next_seq: Vec<u64>,
}

impl Reference {
    pub fn new(limits: Vec<Limits>, stored_says: Receipt) -> Reference {
        let lanes = vec![Vec::new(); limits.len()];
        let next_seq = vec![1; limits.len()];
        Reference { limits, lanes, next_seq, stored_says: Some(stored_says), ..Reference::default() }
    }

    pub fn consumers(&self) -> &[String] {
        &self.consumers
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
                OnFull::DropOldest if weight > limits.messages => return None,
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
            weight,
            bytes,
            born_ms: now_ms,
            ttl_ms,
            at,
            ownerless,
            gone: false,
            written: false,
            dropped: None,
        });
        if drop_new {
            self.evict(lane, self.lanes[lane].len() - 1);
        }
        Some(id)
    }

    fn evict(&mut self, lane: usize, index: usize) {
        for name in self.consumers.clone() {
            if self.lanes[lane][index].at.get(&name) == Some(&At::Queued) {
                self.drop_as_overflow(&name, lane, index);
            }
        }
        if self.lanes[lane][index].ownerless {
            self.lanes[lane][index].dropped = Some(Reason::Overflow);
            self.remove_if_done(lane, index);
        }
    }

    fn drop_as_overflow(&mut self, name: &str, lane: usize, index: usize) {
        let seen = self.books[&(name.to_owned(), lane)].handed.contains(&index);
        let reason = if seen { Reason::OverflowUnconfirmed } else { Reason::Overflow };
        self.drop_for(name, lane, index, reason);
    }

    fn drop_for(&mut self, name: &str, lane: usize, index: usize, reason: Reason) {
        let row = &mut self.lanes[lane][index];
        row.at.insert(name.to_owned(), At::Done);
        row.dropped = Some(reason);
        let book = self.books.get_mut(&(name.to_owned(), lane)).unwrap();
        *book.dropped.entry(reason as u8).or_default() += row.weight;
        book.losses.push(Loss { seq: row.seq, wall_ms: row.born_ms, weight: row.weight, reason });
        self.remove_if_done(lane, index);
    }

    fn remove_if_done(&mut self, lane: usize, index: usize) {
        let row = &mut self.lanes[lane][index];
        if row.gone || row.at.values().any(|at| *at != At::Done) || (row.ownerless && row.dropped.is_none()) {
            return;
        }
        row.gone = true;
        if row.written {
            return;
        }
        match row.dropped {
            None => {
                self.receipts.insert(row.id, Receipt::HandedOver);
            }
            Some(reason) => self.settling.push((row.id, reason)),
        }
    }

    pub fn commit(&mut self) {
        self.move_slow_forward();
        let says = self.stored_says.unwrap();
        for row in self.lanes.iter_mut().flatten().filter(|row| !row.gone && !row.written) {
            row.written = true;
            self.receipts.insert(row.id, says);
        }
        for (id, reason) in self.settling.drain(..) {
            self.receipts.insert(id, Receipt::Settled(reason));
        }
    }

    pub fn move_slow_forward(&mut self) {
        for name in self.consumers.clone() {
            let Some((messages_max, _)) = self.own.get(&name).copied() else { continue };
            for lane in 0..self.lanes.len() {
                while self.weight_of(&name, lane, &[At::Queued, At::Leased]) > messages_max {
                    let queued = |row: &RefRow| row.at.get(&name) == Some(&At::Queued);
                    let Some(oldest) = self.lanes[lane].iter().position(queued) else { break };
                    self.drop_as_overflow(&name, lane, oldest);
                }
            }
        }
    }

    fn weight_of(&self, name: &str, lane: usize, states: &[At]) -> u64 {
        let rows =
            self.lanes[lane].iter().filter(|row| row.at.get(name).is_some_and(|at| states.contains(at)));
        rows.map(|row| row.weight).sum()
    }

    /// Whether a receipt has waited for `ack_within_ms`.
    pub fn overdue(&self, now_ms: u64, ack_within_ms: u64) -> bool {
        let waits = |row: &&RefRow| !row.gone && !row.written && now_ms - row.born_ms >= ack_within_ms;
        self.lanes.iter().flatten().any(|row| waits(&row))
    }

    pub fn register(&mut self, name: &str, own: Option<(u64, Option<u64>)>) {
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

    /// What a lease must give: lane and id, in order.
    pub fn lease(&mut self, name: &str, rows_max: usize, now_ms: u64) -> Vec<(usize, u64)> {
        let mut out = Vec::new();
        while out.len() < rows_max {
            // Lanes that waited for seven rows of others, the longest first; then by priority.
            let waited = &self.waited[name];
            let mut lanes: Vec<usize> = (0..self.lanes.len()).filter(|lane| waited[*lane] >= 7).collect();
            lanes.sort_by(|a, b| waited[*b].cmp(&waited[*a]));
            lanes.extend(0..self.lanes.len());
            let found = lanes.into_iter().find_map(|lane| Some((lane, self.next(name, lane, now_ms)?)));
            let Some((lane, index)) = found else { break };
            let waited = self.waited.get_mut(name).unwrap();
            waited.iter_mut().for_each(|rows| *rows += 1);
            waited[lane] = 0;
            let row = &mut self.lanes[lane][index];
            row.at.insert(name.to_owned(), At::Leased);
            out.push((lane, row.id));
            let book = self.books.get_mut(&(name.to_owned(), lane)).unwrap();
            let live = book.live_from.filter(|from| *from <= index);
            book.live_run = if live.is_some() { book.live_run + 1 } else { 0 };
            book.handed.extend(live.unwrap_or(0)..=index);
        }
        out
    }

    fn next(&mut self, name: &str, lane: usize, now_ms: u64) -> Option<usize> {
        let len = self.lanes[lane].len();
        let Order::LiveFirst { backlog_one_in, behind_rows } = self.limits[lane].order else {
            return self.next_in(name, lane, 0..len, now_ms)?.ok();
        };
        let key = (name.to_owned(), lane);
        // Rows with an unbroken start of done and leased ones left out: those that wait, and what came after them.
        let waits = |from: usize| {
            let first = (from..len).find(|at| self.lanes[lane][*at].at.get(name) == Some(&At::Queued));
            first.map_or(0, |first| len - first)
        };
        let from = match self.books[&key].live_from {
            Some(from) if waits(from) <= behind_rows as usize => from,
            _ => len,
        };
        let book = self.books.get_mut(&key).unwrap();
        book.live_from = Some(from);
        let mut parts = [from..len, 0..from];
        if book.live_run + 1 >= backlog_one_in {
            parts.reverse();
        }
        parts.into_iter().find_map(|part| self.next_in(name, lane, part, now_ms))?.ok()
    }

    /// `Some(Err)`: there is a row, but the leases are at their limit.
    fn next_in(
        &mut self,
        name: &str,
        lane: usize,
        part: Range<usize>,
        now_ms: u64,
    ) -> Option<Result<usize, ()>> {
        loop {
            let queued = |index: &usize| self.lanes[lane][*index].at.get(name) == Some(&At::Queued);
            let index = part.clone().find(queued)?;
            let row = &self.lanes[lane][index];
            let own_ms = self.own.get(name).and_then(|own| own.1);
            let limit = [row.ttl_ms, self.limits[lane].max_age_ms, own_ms].into_iter().flatten().min();
            if limit.is_none_or(|limit| now_ms - row.born_ms < limit) {
                return Some(if self.may_lease(name, lane, index) { Ok(index) } else { Err(()) });
            }
            self.drop_for(name, lane, index, Reason::Expired);
        }
    }

    fn may_lease(&self, name: &str, lane: usize, index: usize) -> bool {
        let (mut weight, mut bytes, mut own) = (0, 0, false);
        for row in &self.lanes[lane] {
            for (who, at) in &row.at {
                if *at == At::Leased {
                    weight += row.weight;
                    bytes += row.bytes;
                    own |= who == name;
                }
            }
        }
        let row = &self.lanes[lane][index];
        let of_own = self.weight_of(name, lane, &[At::Leased]) + row.weight;
        if own && self.own.get(name).is_some_and(|(messages_max, _)| of_own > messages_max / 2) {
            return false;
        }
        !own || (weight + row.weight <= self.limits[lane].messages / 2
            && bytes + row.bytes <= self.limits[lane].bytes / 2)
    }

    pub fn ack(&mut self, name: &str, lane: usize, id: u64) {
        let Some(index) = self.index(lane, id, name) else { return };
        let row = &mut self.lanes[lane][index];
        row.at.insert(name.to_owned(), At::Done);
        self.books.get_mut(&(name.to_owned(), lane)).unwrap().delivered += row.weight;
        self.remove_if_done(lane, index);
    }

    pub fn give_back(&mut self, name: &str, lane: usize, id: u64) {
        if let Some(index) = self.index(lane, id, name) {
            self.lanes[lane][index].at.insert(name.to_owned(), At::Queued);
        }
    }

    fn index(&self, lane: usize, id: u64, name: &str) -> Option<usize> {
        self.lanes[lane].iter().position(|row| row.id == id && row.at.get(name) == Some(&At::Leased))
    }

    /// A clean close and a new start: leases are back; turns, what was leased and consumers' limits are forgotten.
    pub fn reopen(&mut self) {
        self.commit();
        self.own.clear();
        self.forget_leases();
    }

    fn forget_leases(&mut self) {
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
                && ledger.leased == of(At::Leased)
                && ledger.queued == of(At::Leased) + of(At::Queued)
                && ledger.dropped.total() == dropped
                && ledger.expired() == book.dropped.get(&(Reason::Expired as u8)).copied().unwrap_or(0)
                && ledger.dropped.for_reason(Reason::OverflowUnconfirmed)
                    == book.dropped.get(&(Reason::OverflowUnconfirmed as u8)).copied().unwrap_or(0);
            if !same || !ledger.balanced() {
                return Err(format!("{ledger:?} but expected {book:?}"));
            }
        }
        Ok(())
    }
}
