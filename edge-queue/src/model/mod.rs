//! The queue's bookkeeping: pure, `now` is an argument, nothing here waits or does I/O.
//!
//! [`Model`] owns the lanes and the consumers and routes; each mechanism is a file of its own. Reads that a decision
//! needs are asked of the engine ([`lease::More::Read`], [`push::Refusal::NeedHead`]) and its answers handed in.

mod absent;
mod commit;
mod damage;
mod evict_segment;
mod expiry;
mod gaps;
mod handed;
mod lane;
mod lease;
mod live;
mod members;
mod outbox;
mod owed;
mod own_limit;
mod pass;
mod pinned;
mod place;
mod progress;
mod push;
#[cfg(feature = "ring")]
pub(crate) mod ram;
mod range_share;
mod ranges;
mod read;
mod read_fault;
mod recount;
mod run;
mod slot;
#[cfg(test)]
mod tests;
mod turns;
mod window;

use std::collections::BTreeSet;

use crate::config::Rules;
use crate::event::Event;
use crate::receipt::Receipt;
use crate::row::{LANES_MAX, Lane, Seq};
use crate::state::{LaneState, State};

pub(crate) use commit::{Batch, Fault};
#[cfg(feature = "ring")]
pub(crate) use gaps::GAPS_MAX;
pub(crate) use lane::{LaneModel, Usage};
pub(crate) use lease::{Leased, More, Take};
#[cfg(feature = "ring")]
pub(crate) use members::CONSUMERS_MAX;
pub(crate) use members::{NOBODY, Reader};
pub(crate) use outbox::Outbox;
pub(crate) use place::{Done, Place};
pub(crate) use push::Refusal;
#[cfg(feature = "ring")]
pub(crate) use range_share::RANGES_BOUND;
pub(crate) use read::HEAD_READ;
pub(crate) use slot::{Hurry, Slot, Ticket};

use absent::{Absent, vacated_lane};
use damage::Reckoning;
use lane::Size;
use recount::Recount;

/// Everything the queue knows besides rows on the medium.
pub(crate) struct Model {
    pub(crate) rules: Rules,
    gateway: u64,
    epoch: u32,
    pub(crate) lanes: Vec<LaneModel>,
    /// Lanes that the configuration no longer has, from `lanes.len()` on.
    absent: Vec<Absent<LaneState>>,
    pub(crate) readers: Vec<Reader>,
    next_reader: u64,
    /// Receipts to hand out when the lock is released.
    pub(crate) out: Outbox,
    /// Receipts that wait for the next commit because the loss must be recorded first.
    settling: Vec<(Ticket, Receipt)>,
    settling_in_commit: Vec<(Ticket, Receipt)>,
    settling_since_ms: Option<u64>,
    /// Done stored rows no commit has written yet.
    lagging: u64,
    lagging_since_ms: Option<u64>,
    /// Something a caller waits for must be written although there is no row.
    must_write: bool,
    forgotten: Vec<String>,
    pub(crate) fault: Option<Fault>,
    /// A call of the store hangs: what cannot be written is met with the policy for a failing store.
    stalled: bool,
    /// Totals may be off until a lane is empty: an unclean stop.
    uncertain: bool,
    recount: Option<Recount>,
    /// Up time before which no count is tried again after one that failed.
    recount_not_before_ms: u64,
    reckoning: Option<Reckoning>,
    /// Losses that no event tells of yet.
    losses: Vec<Event>,
    /// Losses, by lane and first number, that were told while nobody was registered.
    told: BTreeSet<(usize, Seq)>,
    pub(crate) closed: bool,
    /// Rows whose receipt said `Volatile` because the store failed.
    pub(crate) volatile_rows: u64,
}

impl Model {
    /// `clean`: whether the last run closed the store; `damaged`: whether part of it could not be read.
    pub(crate) fn new(
        rules: Rules,
        state: State,
        highest_seq: [Seq; LANES_MAX],
        clean: bool,
        damaged: bool,
    ) -> Model {
        let next_of = |at: usize| {
            let known = state.lane.get(at).copied().unwrap_or_default();
            let highest = highest_seq.get(at).copied().unwrap_or(0);
            let mut next = known.next.max(known.floor).max(highest.saturating_add(1));
            for pos in state.consumers.iter().filter_map(|c| c.lanes.get(at)) {
                let acked = pos.acked.last_key_value().map_or(0, |(_, last)| last.saturating_add(1));
                next = next.max(pos.floor).max(acked);
            }
            (known, next)
        };
        let mut lanes = Vec::new();
        for (at, limits) in rules.lanes.iter().enumerate() {
            let (known, next) = next_of(at);
            lanes.push(LaneModel::new(Lane(at as u8), *limits, known, next));
        }
        let absent = (lanes.len()..LANES_MAX).map(next_of).map(|(known, next)| vacated_lane(known, next));
        let absent = absent.collect();
        let mut model = Model {
            rules,
            gateway: state.gateway,
            epoch: state.epoch,
            lanes,
            absent,
            readers: Vec::new(),
            next_reader: 1,
            out: Outbox::default(),
            settling: Vec::new(),
            settling_in_commit: Vec::new(),
            settling_since_ms: None,
            lagging: 0,
            lagging_since_ms: None,
            must_write: false,
            forgotten: Vec::new(),
            fault: None,
            stalled: false,
            uncertain: !clean,
            recount: None,
            recount_not_before_ms: 0,
            reckoning: None,
            losses: Vec::new(),
            told: BTreeSet::new(),
            closed: false,
            volatile_rows: 0,
        };
        let first = state.consumers.len() == 1;
        for consumer in state.consumers {
            model.adopt(consumer, first, damaged);
        }
        model
    }

    pub(crate) fn gateway(&self) -> u64 {
        self.gateway
    }

    pub(crate) fn reader_at(&self, id: u64) -> Option<usize> {
        self.readers.iter().position(|r| r.id == id)
    }

    /// Tells that a consumer, or nobody in particular, still wants the row.
    fn wanted(&self, lane: usize, seq: Seq) -> bool {
        if self.readers.is_empty() {
            return self.lanes.get(lane).is_some_and(|l| seq >= l.floor);
        }
        self.places(lane).any(|place| !place.pos.is_done(seq))
    }

    fn leased(&self, lane: usize, seq: Seq) -> bool {
        self.places(lane).any(|place| place.leased.contains_key(&seq))
    }

    fn places(&self, lane: usize) -> impl Iterator<Item = &Place> {
        self.readers.iter().filter_map(move |r| r.lanes.get(lane))
    }

    /// A row is done for one consumer: counts it, and removes it when nobody else wants it.
    fn done(&mut self, reader: usize, lane: usize, seq: Seq, size: Size, how: Done, up_ms: u64) {
        let Some(place) = self.readers.get_mut(reader).and_then(|r| r.lanes.get_mut(lane)) else { return };
        place.done(seq, size, how);
        self.recount_done(reader, lane, seq, size);
        if let Some(reckoning) = &mut self.reckoning {
            reckoning.done(reader, lane, seq, size);
        }
        let Some(l) = self.lanes.get_mut(lane) else { return };
        match how {
            Done::Delivered => {}
            Done::Moved => l.window.note_end(seq, Receipt::Stored),
            Done::Dropped(reason) => {
                l.counts.drop_for(reason, size.weight);
                l.window.note_end(seq, Receipt::Settled(reason));
            }
        }
        // What is being written counts as stored: its acknowledgement is in no commit yet.
        if !l.window.is_waiting(seq) {
            self.lag(1, up_ms);
        }
        if !self.wanted(lane, seq) {
            self.remove(lane, seq, size, up_ms);
        }
        if matches!(how, Done::Dropped(_)) {
            self.bound_gaps();
        }
        self.settle_totals(reader, lane);
    }

    /// Nobody wants the row any more.
    fn remove(&mut self, lane: usize, seq: Seq, size: Size, up_ms: u64) {
        self.recount_removed(lane, seq, size);
        if let Some(reckoning) = &mut self.reckoning {
            reckoning.remove(lane, seq, size);
        }
        let Some(l) = self.lanes.get_mut(lane) else { return };
        l.usage.sub(size);
        l.dirty = true;
        let Some((ticket, end)) = l.window.take(seq) else { return };
        match end {
            None => {
                l.counts.handed_over = l.counts.handed_over.saturating_add(size.weight);
                self.out.put(ticket, Receipt::HandedOver);
            }
            // The loss must be durable before anybody is told.
            Some(receipt @ Receipt::Settled(_)) => self.settle(ticket, receipt, up_ms),
            Some(receipt) => self.out.put(ticket, receipt),
        }
    }

    fn settle(&mut self, ticket: Ticket, receipt: Receipt, up_ms: u64) {
        self.settling.push((ticket, receipt));
        self.settling_since_ms.get_or_insert(up_ms);
    }

    fn lag(&mut self, rows: u64, up_ms: u64) {
        self.lagging = self.lagging.saturating_add(rows);
        self.lagging_since_ms.get_or_insert(up_ms);
    }

    fn bound_gaps(&mut self) {
        while self.readers.iter().map(Reader::gaps).sum::<usize>() > gaps::GAPS_MAX {
            let places = self.readers.iter_mut().flat_map(Reader::positions_mut);
            let Some((longest, dirty)) = places.max_by_key(|(pos, _)| pos.gaps.len()) else { return };
            *dirty = true;
            if !longest.merge_nearest() {
                return;
            }
        }
    }

    /// Ends the totals of a lane of which everything is done. The rows that they still claim were there once: they are
    /// lost.
    fn settle_totals(&mut self, reader: usize, lane: usize) {
        let Some(l) = self.lanes.get_mut(lane) else { return };
        if !self.uncertain {
            return;
        }
        if let Some(place) = self.readers.get_mut(reader).and_then(|r| r.lanes.get_mut(lane)) {
            if place.pos.floor < l.next {
                return;
            }
            if place.queued > 0 {
                place.lose_unseen(place.queued);
            }
        }
        if self.readers.iter().filter_map(|r| r.lanes.get(lane)).all(|p| p.pos.floor >= l.next) {
            l.usage = Usage::default();
        }
    }

    /// The bookkeeping as a store keeps it.
    fn state(&self) -> State {
        let mut state = State::new(self.gateway, self.lanes.len() as u8);
        state.epoch = self.epoch;
        for (slot, lane) in state.lane.iter_mut().zip(&self.lanes) {
            *slot = lane.state();
        }
        for (slot, lane) in state.lane.iter_mut().skip(self.lanes.len()).zip(self.absent_states()) {
            *slot = lane;
        }
        state.consumers = self.readers.iter().map(Reader::state).collect();
        state
    }
}
