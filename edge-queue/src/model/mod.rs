//! Pure model of the queue: all its bookkeeping; `now` is an argument, nothing here waits or does I/O.
//!
//! [`Model`] owns the lanes, the consumers and the receipts, and routes calls; each mechanism is a file of its own. If a decision needs a read of
//! the store, the model requests it from the engine ([`lease::More::Read`], [`push::Refusal::NeedHead`]) and gets the result by another call.

mod ack_ids;
mod acked_ranges;
mod acked_ranges_quota;
mod commit_batch;
mod consumers;
mod count_pass;
mod cursor;
mod damage;
mod degraded_mode;
mod due_changes;
mod elision;
mod evict;
mod expiry;
mod gaps;
mod handed_out;
mod lane;
mod lane_scheduler;
mod lease;
mod lease_timeout;
mod live_first;
mod loss_report;
mod pass_over;
mod pinned;
mod push;
mod push_run;
#[cfg(feature = "ring")]
pub(crate) mod ram_bound;
mod ram_tail;
mod read;
mod read_ahead;
mod read_fault;
mod receipts;
mod recount;
mod removed_lanes;
#[cfg(test)]
mod tests;
mod unwritten_acks;
mod usage;

use crate::config::Rules;
use crate::per_lane::PerLane;
use crate::receipt::Receipt;
use crate::row::{LANES_MAX, Lane, Seq};
use crate::state::{LaneState, State};

#[cfg(feature = "ring")]
pub(crate) use acked_ranges_quota::RANGES_BOUND;
pub(crate) use commit_batch::Batch;
#[cfg(feature = "ring")]
pub(crate) use consumers::CONSUMERS_MAX;
pub(crate) use consumers::{ConsumerModel, NOBODY};
pub(crate) use cursor::{Cursor, Done};
pub(crate) use evict::MadeRoom;
#[cfg(feature = "ring")]
pub(crate) use gaps::GAPS_MAX;
pub(crate) use lane::LaneModel;
pub(crate) use lease::{Leased, More, Take};
pub(crate) use lease_timeout::LeaseKey;
pub(crate) use push::Refusal;
pub(crate) use read::HEAD_READ;
pub(crate) use receipts::{Outbox, Slot, Ticket, WaitObserver};

use count_pass::CountPass;
use damage::Reckoning;
use degraded_mode::DegradedMode;
use due_changes::DueChanges;
use lease_timeout::LeaseTimeouts;
use loss_report::LossReport;
use receipts::Settling;
use recount::Recounts;
use removed_lanes::{Absent, vacated_lane};
use unwritten_acks::UnwrittenAcks;
use usage::Size;

/// State of the queue besides rows on the medium.
pub(crate) struct Model {
    pub(crate) rules: Rules,
    gateway: u64,
    epoch: u32,
    /// Up time at which the queue was opened.
    pub(crate) opened_ms: u64,
    pub(crate) lanes: Vec<LaneModel>,
    /// Lanes that the configuration no longer has, from `lanes.len()` on.
    absent: Vec<Absent<LaneState>>,
    pub(crate) consumers: Vec<ConsumerModel>,
    next_consumer: u64,
    lease_timeouts: LeaseTimeouts,
    /// Receipts to give when the lock is released.
    pub(crate) out: Outbox,
    settling: Settling,
    unwritten_acks: UnwrittenAcks,
    due: DueChanges,
    pub(crate) degraded_mode: DegradedMode,
    recounts: Recounts,
    reckoning: Option<Reckoning>,
    losses: LossReport,
    pub(crate) closed: bool,
}

impl Model {
    /// Creates the model from a store that was opened. `clean`: the last process closed the store; `damaged`: part of it could not be read.
    pub(crate) fn new(
        rules: Rules,
        state: State,
        highest_seq: PerLane<Seq>,
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
            opened_ms: 0,
            lanes,
            absent,
            consumers: Vec::new(),
            next_consumer: 1,
            lease_timeouts: LeaseTimeouts::default(),
            out: Outbox::default(),
            settling: Settling::default(),
            unwritten_acks: UnwrittenAcks::default(),
            due: DueChanges::default(),
            degraded_mode: DegradedMode::default(),
            recounts: Recounts::new(!clean),
            reckoning: None,
            losses: LossReport::default(),
            closed: false,
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

    pub(crate) fn consumer_at(&self, id: u64) -> Option<usize> {
        self.consumers.iter().position(|r| r.id == id)
    }

    /// Number of rows that some consumer still wants, over all lanes.
    pub(crate) fn rows(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.usage.rows).sum()
    }

    /// Returns whether some consumer still wants the row; without consumers, whether it is at or above the lane's floor.
    fn wanted(&self, lane: usize, seq: Seq) -> bool {
        if self.consumers.is_empty() {
            return self.lanes.get(lane).is_some_and(|l| seq >= l.floor);
        }
        self.cursors(lane).any(|cursor| !cursor.pos.is_done(seq))
    }

    fn leased(&self, lane: usize, seq: Seq) -> bool {
        self.cursors(lane).any(|cursor| cursor.leased.contains_key(&seq))
    }

    /// Returns whether no commit has taken the row yet.
    fn waits(&self, at: usize, seq: Seq) -> bool {
        self.lanes.get(at).is_some_and(|lane| lane.tail.is_waiting(seq))
    }

    fn cursors(&self, lane: usize) -> impl Iterator<Item = &Cursor> {
        self.consumers.iter().filter_map(move |r| r.lanes.get(lane))
    }

    /// Counts a row as done for one consumer, and removes it when no consumer wants it any more.
    fn done(&mut self, consumer: usize, lane: usize, seq: Seq, size: Size, how: Done, up_ms: u64) {
        let waits = self.waits(lane, seq);
        let Some(cursor) = self.cursor_mut(consumer, lane) else { return };
        if waits {
            cursor.waiting.sub(size);
        }
        cursor.done(seq, size, how);
        self.passes().for_each(|pass| pass.done(consumer, lane, seq, size));
        let Some(l) = self.lanes.get_mut(lane) else { return };
        match how {
            Done::Delivered => {}
            Done::Moved => l.tail.note_end(seq, Receipt::Stored),
            Done::Dropped(reason) => {
                l.counts.dropped.add(reason, size.weight);
                l.tail.note_end(seq, Receipt::Settled(reason));
            }
        }
        // What is being written counts as stored: its acknowledgement is in no commit yet.
        if !waits {
            self.unwritten_acks.add(1, up_ms);
        }
        if !self.wanted(lane, seq) {
            self.remove(lane, seq, size, up_ms);
        }
        if matches!(how, Done::Dropped(_)) {
            self.bound_gaps();
        }
        self.settle_totals(consumer, lane);
    }

    /// Iterates over the lane counts under way: of a recount, of a reckoning, or both.
    fn passes(&mut self) -> impl Iterator<Item = &mut CountPass> {
        let reckoning = self.reckoning.as_mut().map(|reckoning| &mut reckoning.pass);
        self.recounts.under_way().into_iter().chain(reckoning)
    }

    fn bound_gaps(&mut self) {
        while self.consumers.iter().map(ConsumerModel::gaps).sum::<usize>() > gaps::GAPS_MAX {
            let cursors = self.consumers.iter_mut().flat_map(ConsumerModel::positions_mut);
            let Some((longest, dirty)) = cursors.max_by_key(|(pos, _)| pos.gaps.len()) else { return };
            *dirty = true;
            if !longest.merge_nearest() {
                return;
            }
        }
    }

    /// Returns the durable state as a store keeps it, without the rows that wait for a commit.
    fn state(&self) -> State {
        let mut state = State::new(self.gateway, self.lanes.len() as u8);
        state.epoch = self.epoch;
        for (slot, lane) in state.lane.iter_mut().zip(&self.lanes) {
            *slot = lane.state();
        }
        for (slot, lane) in state.lane.iter_mut().skip(self.lanes.len()).zip(self.absent_states()) {
            *slot = lane;
        }
        state.consumers = self.consumers.iter().map(ConsumerModel::state).collect();
        state
    }
}
