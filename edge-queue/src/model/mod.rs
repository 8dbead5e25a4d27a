//! The queue's bookkeeping: pure, `now` is an argument, nothing here waits or does I/O.
//!
//! [`Model`] owns the lanes and the consumers and routes; each mechanism is a file of its own. Reads that a decision
//! needs are asked of the engine ([`lease::More::Read`], [`push::Refusal::NeedHead`]) and its answers handed in.

mod commit;
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
mod place;
mod push;
#[cfg(feature = "ring")]
pub(crate) mod ram;
mod ranges;
mod read;
mod run;
mod slot;
mod turns;
mod window;

use crate::config::Rules;
use crate::receipt::Receipt;
use crate::row::{LANES_MAX, Lane, Seq};
use crate::state::{LaneState, State};

pub(crate) use commit::{Batch, Fault};
#[cfg(feature = "ring")]
pub(crate) use gaps::GAPS_MAX;
pub(crate) use lane::{LaneModel, Usage};
pub(crate) use lease::{Leased, More};
pub(crate) use members::Reader;
pub(crate) use outbox::Outbox;
pub(crate) use place::Place;
pub(crate) use push::Refusal;
pub(crate) use read::HEAD_READ;
pub(crate) use slot::{Hurry, Slot, Ticket};

use lane::Size;
use place::Done;
use read::Recount;

/// Everything the queue knows besides rows on the medium.
pub(crate) struct Model {
    pub(crate) rules: Rules,
    gateway: u64,
    epoch: u32,
    pub(crate) lanes: Vec<LaneModel>,
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
    /// Totals may be off until a lane is empty: an unclean stop or damage.
    uncertain: bool,
    /// Rows were lost to damage in this run.
    damaged: bool,
    recount: Option<Recount>,
    pub(crate) closed: bool,
    /// Rows whose receipt said `Volatile` because the store failed.
    pub(crate) volatile_rows: u64,
}

impl Model {
    pub(crate) fn new(rules: Rules, state: State, highest_seq: [Seq; LANES_MAX], clean: bool) -> Model {
        let mut lanes = Vec::new();
        for (at, limits) in rules.lanes.iter().enumerate() {
            let of = |list: &[Seq; LANES_MAX]| list.get(at).copied().unwrap_or(0);
            let known = state.lane.get(at).copied().unwrap_or_default();
            let mut next = known.next.max(known.floor).max(of(&highest_seq).saturating_add(1));
            for pos in state.consumers.iter().filter_map(|c| c.lanes.get(at)) {
                let acked = pos.acked.last_key_value().map_or(0, |(_, last)| last.saturating_add(1));
                next = next.max(pos.floor).max(acked);
            }
            lanes.push(LaneModel::new(Lane(at as u8), *limits, known, next));
        }
        let mut model = Model {
            rules,
            gateway: state.gateway,
            epoch: state.epoch,
            lanes,
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
            damaged: false,
            recount: None,
            closed: false,
            volatile_rows: 0,
        };
        let first = state.consumers.len() == 1;
        for consumer in state.consumers {
            model.adopt(consumer, first);
        }
        model
    }

    pub(crate) fn gateway(&self) -> u64 {
        self.gateway
    }

    pub(crate) fn reader_at(&self, id: u64) -> Option<usize> {
        self.readers.iter().position(|r| r.id == id)
    }

    /// Whether any consumer, or nobody in particular, still wants the row.
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

    fn ranges(&self) -> usize {
        self.readers.iter().flat_map(|r| &r.lanes).map(|place| place.pos.acked.len()).sum()
    }

    /// A row is done for one consumer: counts it, and removes it when nobody else wants it.
    fn done(&mut self, reader: usize, lane: usize, seq: Seq, size: Size, how: Done, up_ms: u64) {
        let Some(place) = self.readers.get_mut(reader).and_then(|r| r.lanes.get_mut(lane)) else { return };
        place.done(seq, size, how);
        let Some(l) = self.lanes.get_mut(lane) else { return };
        if let Done::Dropped(reason) = how {
            l.counts.drop_for(reason, size.weight);
            l.window.note_dropped(seq, reason);
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
        if let Some(recount) = self.recount.as_mut().filter(|r| r.lane == lane && seq < r.at) {
            recount.usage.sub(size);
        }
        let Some(l) = self.lanes.get_mut(lane) else { return };
        l.usage.sub(size);
        l.dirty = true;
        let Some((ticket, dropped)) = l.window.take(seq) else { return };
        match dropped {
            None => {
                l.counts.handed_over = l.counts.handed_over.saturating_add(size.weight);
                self.out.put(ticket, Receipt::HandedOver);
            }
            Some(reason) => self.settle(ticket, Receipt::Settled(reason), up_ms),
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
        while self.readers.iter().flat_map(|r| &r.lanes).map(|p| p.pos.gaps.len()).sum::<usize>()
            > gaps::GAPS_MAX
        {
            let places = self.readers.iter_mut().flat_map(|r| &mut r.lanes);
            let Some(longest) = places.max_by_key(|place| place.pos.gaps.len()) else { return };
            longest.dirty = true;
            if !longest.pos.merge_nearest() {
                return;
            }
        }
    }

    /// When everything of a lane is done, totals claim nothing any more. What they still claim is part of a loss when
    /// there was one; else those rows were never here.
    fn settle_totals(&mut self, reader: usize, lane: usize) {
        let Some(l) = self.lanes.get_mut(lane) else { return };
        if !self.uncertain {
            return;
        }
        if let Some(place) = self.readers.get_mut(reader).and_then(|r| r.lanes.get_mut(lane)) {
            if place.pos.floor < l.next {
                return;
            }
            let missing = place.queued;
            if missing > 0 && self.damaged {
                place.count(missing, Done::Dropped(crate::state::Reason::Quarantined));
            }
            (place.queued, place.queued_bytes) = (0, 0);
            let done = place.pos.delivered.saturating_add(place.pos.dropped.iter().sum());
            place.pos.accepted = done;
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
        for slot in state.lane.iter_mut().skip(self.lanes.len()) {
            *slot = LaneState::default();
        }
        state.consumers = self.readers.iter().map(Reader::state).collect();
        state
    }
}
