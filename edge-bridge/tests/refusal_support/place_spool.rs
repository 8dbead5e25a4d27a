//! A spool in memory in which parked rows keep their places, if asked to, as in the queue on disk.

use std::collections::BTreeSet;
use std::ops::{Deref, DerefMut};

use edge_bridge::bridge::spool::{LeaseId, Leased, Left, MemorySpool, ParkedCount, Settled, Spool};
use edge_bridge::wire::ReasonCode;

#[derive(Debug)]
pub(crate) struct PlaceSpool {
    memory: MemorySpool,
    /// Else what is parked again goes behind the others.
    pub(crate) in_place: bool,
    /// Keeps what is parked on its way for a while, until [`arrive`](Self::arrive).
    pub(crate) parks_slowly: bool,
    on_the_way: Vec<LeaseId>,
    /// Rows of such counts find no room among the parked ones: they wait in their place, which is told with [`tell_left`](Self::tell_left).
    pub(crate) leaves_apart: Option<bool>,
    left: Vec<Left>,
    tells: bool,
    /// Parked rows are to be put together before each pass.
    pub(crate) has_holes: bool,
    /// Times they were, and times they could not be since one was leased.
    pub(crate) closed: u32,
    pub(crate) not_closed: u32,
    /// Parked rows cannot be read.
    pub(crate) is_dry: bool,
    /// Passes that began.
    pub(crate) scans: u32,
    /// The drop that is not durable yet, and how often that was asked for.
    pub(crate) is_committing: bool,
    pub(crate) commits: u32,
    /// Messages that cannot be parked.
    pub(crate) not_parked: u64,
    /// Parked and leased.
    leased: BTreeSet<LeaseId>,
    /// Passed over in the present scan: still leased in `memory`.
    passed: BTreeSet<LeaseId>,
    /// Parked rows that the present scan has still to come to, and those that it leaves out.
    ahead: BTreeSet<LeaseId>,
    later: BTreeSet<LeaseId>,
}

impl PlaceSpool {
    pub(crate) fn new(memory: MemorySpool) -> Self {
        let [leased, passed, ahead, later] = Default::default();
        let on_the_way = Vec::new();
        Self {
            memory,
            in_place: false,
            parks_slowly: false,
            on_the_way,
            leaves_apart: None,
            left: Vec::new(),
            tells: false,
            has_holes: false,
            closed: 0,
            not_closed: 0,
            is_dry: false,
            scans: 0,
            is_committing: false,
            commits: 0,
            not_parked: 0,
            leased,
            passed,
            ahead,
            later,
        }
    }

    pub(crate) fn tell_left(&mut self) {
        self.tells = true;
    }

    /// Parks what was on its way.
    pub(crate) fn arrive(&mut self) {
        for id in std::mem::take(&mut self.on_the_way) {
            self.later.insert(id);
            self.memory.park(id, ReasonCode::UNSPECIFIED_ERROR);
        }
    }
}

impl Deref for PlaceSpool {
    type Target = MemorySpool;

    fn deref(&self) -> &MemorySpool {
        &self.memory
    }
}

impl DerefMut for PlaceSpool {
    fn deref_mut(&mut self) -> &mut MemorySpool {
        &mut self.memory
    }
}

impl Spool for PlaceSpool {
    fn lease(&mut self, now_ms: u64, max_rows: usize, max_bytes: usize) -> Vec<Leased> {
        self.memory.lease(now_ms, max_rows, max_bytes)
    }

    fn ack(&mut self, id: LeaseId) {
        self.leased.remove(&id);
        self.memory.ack(id);
    }

    fn settle(&mut self, id: LeaseId, why: Settled) {
        self.leased.remove(&id);
        self.memory.settle(id, why);
    }

    fn give_back(&mut self, id: LeaseId) {
        if self.leased.remove(&id) {
            self.ahead.insert(id);
        }
        self.memory.give_back(id);
    }

    fn park(&mut self, id: LeaseId, why: ReasonCode) {
        if self.in_place && self.leased.remove(&id) {
            self.passed.insert(id);
            return;
        }
        if !self.leased.remove(&id) && self.parks_slowly {
            self.on_the_way.push(id);
            return;
        }
        self.later.insert(id);
        self.memory.park(id, why);
    }

    fn park_for(&mut self, id: LeaseId, count: &ParkedCount, why: ReasonCode) {
        if self.leaves_apart == Some(count.of_message) {
            self.left.push(Left::new(count.clone(), 1, self.memory.weight(id)));
        } else {
            self.park(id, why);
        }
    }

    fn take_left(&mut self) -> Vec<Left> {
        if self.tells { std::mem::take(&mut self.left) } else { Vec::new() }
    }

    fn lease_parked(&mut self, now_ms: u64, max_rows: usize, max_bytes: usize) -> Vec<Leased> {
        if self.is_dry {
            return Vec::new();
        }
        let rows = self.memory.lease_parked(now_ms, max_rows, max_bytes);
        let (rows, later): (Vec<_>, Vec<_>) =
            rows.into_iter().partition(|row| !self.in_place || !self.later.contains(&row.id));
        later.iter().for_each(|row| self.memory.give_back(row.id));
        for row in &rows {
            self.ahead.remove(&row.id);
            self.leased.insert(row.id);
        }
        // What expired is gone.
        self.ahead.retain(|id| self.memory.weight(*id) > 0);
        rows
    }

    fn scan_parked(&mut self) {
        self.scans += 1;
        if self.in_place {
            self.ahead.append(&mut self.later);
            for id in std::mem::take(&mut self.passed) {
                self.ahead.insert(id);
                self.memory.give_back(id);
            }
        }
    }

    fn has_holes(&self) -> bool {
        self.has_holes && self.in_place && self.memory.parked() > 0
    }

    fn close_holes(&mut self) {
        if self.leased.is_empty() {
            self.closed += 1;
        } else {
            self.not_closed += 1;
        }
    }

    fn is_scanned(&self) -> Option<bool> {
        self.in_place.then_some(self.ahead.is_empty())
    }

    fn is_settled(&self) -> bool {
        self.on_the_way.is_empty()
    }

    fn commit(&mut self) {
        self.commits += 1;
    }

    fn is_committed(&self) -> bool {
        !self.is_committing
    }

    fn in_place(&self) -> u64 {
        self.not_parked
    }

    fn in_place_reason(&self) -> Option<String> {
        Some("the parked queue is full".to_owned())
    }

    fn weight(&self, id: LeaseId) -> u64 {
        self.memory.weight(id)
    }

    fn drops_refused(&self, id: LeaseId) -> bool {
        self.memory.drops_refused(id)
    }

    fn ttl_left_ms(&self, id: LeaseId, now_ms: u64) -> Option<u64> {
        self.memory.ttl_left_ms(id, now_ms)
    }

    fn waiting(&self) -> u64 {
        self.memory.waiting()
    }

    fn parked(&self) -> u64 {
        self.memory.parked() + self.on_the_way.iter().map(|id| self.memory.weight(*id)).sum::<u64>()
    }
}
