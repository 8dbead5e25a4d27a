//! Batch of a commit: decides when to write and which rows and changes, and applies the result of the write.

use std::sync::Arc;

use crate::model::Model;
use crate::model::usage::Usage;
use crate::per_lane::PerLane;
use crate::receipt::Receipt;
use crate::row::{Lane, StoredRow};
use crate::state::{Change, State};
use crate::store::DoneRows;
use crate::time::Now;

/// Rows, changes and bookkeeping of one commit.
pub(crate) struct Batch {
    /// Rows of each lane, ascending, `None` for a lane that writes none; empty for a commit of changes alone.
    pub(crate) rows: Vec<Option<Arc<Vec<StoredRow>>>>,
    pub(crate) changes: Vec<Change>,
    pub(crate) state: State,
}

impl Model {
    /// Up time in milliseconds at which a commit is due: 0 for at once, `None` for not at all.
    pub(crate) fn due_at_ms(&self) -> Option<u64> {
        let rules = &self.rules;
        if self.much_waits() || self.unwritten_acks.reaches(rules.cursor_lag) || self.due.is_required() {
            return Some(self.degraded_mode.delay(0));
        }
        self.late_from_ms()
    }

    /// Up time in milliseconds at which the time of what waits longest is over, whatever else makes a commit due: later than that it is
    /// overdue. `None` if nothing waits.
    pub(crate) fn late_from_ms(&self) -> Option<u64> {
        let rules = &self.rules;
        let rows = self.lanes.iter().filter_map(|l| l.tail.oldest_waiting_ms()).min();
        let waits = [
            rows.map(|at| at.saturating_add(rules.ack_within_ms)),
            self.settling.since_ms().map(|at| at.saturating_add(rules.ack_within_ms)),
            self.unwritten_acks.due_ms(rules.ack_write_ms),
        ];
        waits.into_iter().flatten().min().map(|at| self.degraded_mode.delay(at))
    }

    /// Returns whether a due commit must write rows, because receipts are due and not only acknowledgements. Otherwise rows would
    /// be written whenever acknowledgements of others are, and their own acknowledgements would make the next commit due.
    pub(crate) fn rows_due(&self, now: &Now) -> bool {
        let rows = self.lanes.iter().filter_map(|l| l.tail.oldest_waiting_ms()).min();
        let receipts = rows.into_iter().chain(self.settling.since_ms()).min();
        receipts.is_some_and(|at| at.saturating_add(self.rules.ack_within_ms) <= now.up_ms)
            || self.much_waits()
            || self.due.is_required()
            || self.degraded_mode.is_some()
    }

    /// Returns whether rows wait for a commit.
    pub(crate) fn rows_wait(&self) -> bool {
        self.lanes.iter().any(|l| l.tail.waiting_bytes() > 0)
    }

    pub(crate) fn much_waits(&self) -> bool {
        let waiting: u64 = self.lanes.iter().map(|l| l.tail.waiting_bytes()).sum();
        waiting >= self.rules.commit_bytes
    }

    /// Takes all waiting rows and changes into a commit; `None` if nothing needs the medium, because every row was acknowledged in time
    /// (elision).
    pub(crate) fn begin(&mut self) -> Option<Batch> {
        let rows = self.lanes.iter_mut().map(|l| l.tail.begin()).collect();
        let cursors = self.consumers.iter_mut().flat_map(|consumer| &mut consumer.lanes);
        cursors.for_each(|cursor| cursor.waiting = Usage::default());
        self.begin_with(rows)
    }

    /// Begins the last commit before a close; `None` when there is nothing to write. It counts the rows that were acknowledged in
    /// time and never written, so that their sequence numbers are not given again.
    pub(crate) fn begin_last(&mut self) -> Option<Batch> {
        self.require_ends();
        self.begin()
    }

    /// Begins a commit of acknowledgements and losses alone, without the rows that wait; `None` when there is nothing to write.
    pub(crate) fn begin_ends(&mut self) -> Option<Batch> {
        self.require_ends();
        self.begin_changes()
    }

    /// Makes a commit due if acknowledgements, losses or counters changed since the last one began.
    fn require_ends(&mut self) {
        let mut cursors = self.consumers.iter().flat_map(|consumer| &consumer.lanes);
        if self.lanes.iter().any(|lane| lane.dirty) || cursors.any(|p| p.dirty) || self.absent_dirty() {
            self.due.require();
        }
    }

    /// Begins a commit without rows, to free space before rows are written or because no rows are due; `None` when there is
    /// nothing to write.
    pub(crate) fn begin_changes(&mut self) -> Option<Batch> {
        self.begin_with(Vec::new())
    }

    fn begin_with(&mut self, rows: Vec<Option<Arc<Vec<StoredRow>>>>) -> Option<Batch> {
        let something = self.due.is_required() || !self.unwritten_acks.is_none() || !self.settling.is_empty();
        if !something && rows.iter().all(Option::is_none) {
            return None;
        }
        self.follow_floors();
        let mut changes = self.due.begin();
        for at in 0..self.lanes.len() {
            let Some(lane) = self.lanes.get_mut(at) else { continue };
            let id = lane.id;
            // The commit that takes what waits writes the figures again.
            let waits = lane.tail.waiting().rows > 0;
            if std::mem::replace(&mut lane.dirty, waits) {
                changes.push(Change::Lane { lane: id, state: lane.state() });
            }
            self.positions(at, id, waits, &mut changes);
        }
        self.absent_changes(&mut changes);
        self.unwritten_acks.clear();
        self.settling.begin();
        Some(Batch { rows, changes, state: self.state() })
    }

    fn positions(&mut self, at: usize, lane: Lane, waits: bool, changes: &mut Vec<Change>) {
        for consumer in &mut self.consumers {
            let Some(cursor) = consumer.lanes.get_mut(at) else { continue };
            if std::mem::replace(&mut cursor.dirty, waits) {
                let (consumer, position) = (consumer.name.clone(), cursor.position());
                changes.push(Change::Position { consumer, lane, position });
            }
        }
    }

    /// Handles a durable commit, and gives its receipts. Returns the done rows of each lane whose space the store may reuse, if they changed. A
    /// store that failed counts as working again only if the commit wrote the rows that wait (`with_rows`), or if none wait.
    pub(crate) fn written(
        &mut self,
        state: &State,
        room_bytes: &PerLane<u64>,
        with_rows: bool,
    ) -> Vec<(Lane, DoneRows)> {
        let receipt = if self.rules.volatile { Receipt::Volatile } else { Receipt::Stored };
        let out = &mut self.out;
        for lane in &mut self.lanes {
            lane.tail.finish(true, |ticket| out.put(ticket, receipt));
        }
        self.settling.written(out);
        if with_rows || !self.rows_wait() {
            self.degraded_mode.end();
        }
        self.set_room(room_bytes);
        let mut free = Vec::new();
        for lane in &mut self.lanes {
            let done = state.done(lane.id);
            if done != lane.advanced {
                lane.advanced.clone_from(&done);
                free.push((lane.id, done));
            }
        }
        free
    }

    /// Sets the bytes that each lane of the store can still take.
    pub(crate) fn set_room(&mut self, room_bytes: &PerLane<u64>) {
        for (lane, room) in self.lanes.iter_mut().zip(room_bytes) {
            lane.room = *room;
        }
    }

    /// Returns the present durable state, for the clean-close mark.
    pub(crate) fn snapshot(&self) -> State {
        self.state()
    }

    /// Handles a failed commit: its rows and changes wait for the next one, and no receipt is given.
    pub(crate) fn not_written(&mut self, changes: &[Change], now: &Now) {
        for lane in &mut self.lanes {
            lane.tail.finish(false, |_| {});
            lane.dirty = true;
        }
        for consumer in &mut self.consumers {
            for (cursor, lane) in consumer.lanes.iter_mut().zip(&self.lanes) {
                cursor.count_waiting(&lane.tail);
                cursor.dirty = true;
            }
        }
        self.absent_not_written();
        self.due.not_written(changes);
        self.settling.not_written(now.up_ms);
    }

    /// Closes the model: it accepts no more rows and fails the receipts still to come.
    pub(crate) fn close(&mut self) {
        self.closed = true;
        let out = &mut self.out;
        for lane in &mut self.lanes {
            lane.tail.drain_owed(|ticket| out.refuse(ticket));
        }
        self.settling.refuse_all(out);
    }
}
