//! Accounting of damage (quarantine): subtracts rows lost to damage from the ledgers, exactly and for each consumer, whichever consumer's read
//! found the damage.
//!
//! A loss whose cost for every consumer is certain is counted at once. For any other loss the lane is *reckoned*: it is read once as a whole, the
//! rows that each consumer can still get are added up, and the excess of its ledger is its loss. Pushes and acknowledgements go on while the lane
//! is read.

use crate::event::Event;
use crate::loss_share::{Share, divide};
use crate::lost_row_times::Neighbours;
use crate::model::count_pass::CountPass;
use crate::model::usage::Usage;
use crate::model::{Cursor, Model};
use crate::planted_flaw::{Flaw, planted};
use crate::row::Seq;
use crate::state::{GapRecord, Reason};
use crate::store::{Lost, StoredChunk};

/// State of a lane that is read through to count its losses.
pub(super) struct Reckoning {
    pub(super) pass: CountPass,
    neighbours: Neighbours,
}

/// Losses that reading a lane up to `below` has found. `all` is true when the list is complete, so that nothing else is lost
/// there.
struct Damage<'a> {
    lost: &'a [Lost],
    neighbours: &'a Neighbours,
    below: Seq,
    all: bool,
}

impl Model {
    /// Counts the damage that a read skipped; `false` if nothing was counted because the lane must be reckoned.
    pub(crate) fn lose(&mut self, lane: usize, chunk: &StoredChunk, up_ms: u64) -> bool {
        let Some(l) = self.lanes.get(lane) else { return true };
        let (below, lost) = (l.tail.from(), &chunk.lost);
        let mut neighbours = Neighbours::after(l.newest_read);
        neighbours.pass(&chunk.rows, lost);
        neighbours.pass(l.tail.first().map_or(&[], std::slice::from_ref), &[]);
        let cursors = self.consumers.iter().filter_map(|consumer| consumer.lanes.get(lane));
        let shares: Vec<Vec<Share>> = cursors.map(|cursor| cursor.shares(lost, below)).collect();
        if shares.iter().flatten().any(|share| !share.certain) {
            return false;
        }
        for lost in lost {
            let mut worst = 0;
            for consumer in 0..self.consumers.len() {
                let Some(cursor) = self.cursor_mut(consumer, lane) else { continue };
                for share in cursor.shares(std::slice::from_ref(lost), below) {
                    if consumer > 0 && planted(Flaw::LossOfOneConsumer) {
                        mark_between(cursor, share.first, share.last);
                        continue;
                    }
                    worst = worst.max(share.rows);
                    cursor.quarantine(&share.between(neighbours.times(lost)));
                }
            }
            self.note_loss(lane, lost, worst, up_ms);
        }
        self.bound_gaps();
        true
    }

    /// Counts a loss for the lane and reports it. `rows` is the loss of the consumer that lost most; with 0 nothing happens, except that a queue
    /// without consumers reports it.
    fn note_loss(&mut self, lane: usize, lost: &Lost, rows: u64, up_ms: u64) {
        let Some(l) = self.lanes.get_mut(lane) else { return };
        let id = l.id;
        if self.consumers.is_empty() {
            // What is not counted now is the first consumer's to lose.
            if !self.losses.is_news(lane, lost.first) {
                return;
            }
        } else if rows == 0 {
            return;
        } else {
            l.take_lost(lost);
            self.unwritten_acks.add(rows, up_ms);
            self.recount_later(lane);
        }
        let (Lost { first, last, .. }, rows) = (*lost, if rows == 0 { lost.rows } else { rows });
        self.losses.put(Event::Lost { lane: id, first, last, rows });
    }

    /// Begins to reckon a lane, and returns the number to read from and the number to read below.
    pub(crate) fn reckon_start(&mut self, lane: usize) -> Option<(Seq, Seq)> {
        let lowest = self.cursors(lane).map(|cursor| cursor.pos.floor).min();
        let l = self.lanes.get(lane)?;
        let at = lowest.unwrap_or(l.floor).max(l.floor);
        let (below, pass) = (l.tail.from(), CountPass::new(self, lane, at));
        self.reckoning = Some(Reckoning { pass, neighbours: Neighbours::default() });
        Some((at, below))
    }

    /// Adds the rows of one read, and returns the sequence number to continue from; `None` at the end.
    pub(crate) fn reckon_read(&mut self, from: Seq, below: Seq, chunk: StoredChunk) -> Option<Seq> {
        let StoredChunk { rows, next, lost } = chunk;
        let Reckoning { mut pass, mut neighbours } = self.reckoning.take()?;
        let inside = rows.iter().filter(|row| row.seq >= from && row.seq < below);
        inside.for_each(|row| pass.add(self, row));
        let next = next.map(|next| next.max(from.saturating_add(1))).filter(|next| *next < below);
        neighbours.pass(&rows, &lost);
        pass.lost.extend(lost);
        pass.at = next.unwrap_or(below);
        self.reckoning = Some(Reckoning { pass, neighbours });
        next
    }

    /// Aborts reckoning, because the lane could not be read to its end; a later read begins it again.
    pub(crate) fn reckon_stop(&mut self) {
        self.reckoning = None;
    }

    /// Adds the rows in RAM and settles every consumer's ledger. `first` are losses that a reader is about to pass over, which
    /// are settled in any case; others may wait when there are more than a position has ranges for.
    pub(crate) fn reckon_finish(&mut self, first: &[Lost], below: Seq, up_ms: u64) {
        let Some(Reckoning { mut pass, mut neighbours }) = self.reckoning.take() else { return };
        let lane = pass.lane;
        pass.finish(self, below);
        if let Some(row) = self.lanes.get(lane).and_then(|l| l.tail.first()) {
            neighbours.pass(std::slice::from_ref(row), &[]);
        }
        let CountPass { mut lost, usage, open, .. } = pass;
        let passed = |lost: &Lost| first.iter().any(|f| f.first <= lost.last && lost.first <= f.last);
        lost.sort_by_key(|lost| (!passed(lost), lost.first));
        let urgent = lost.iter().filter(|lost| passed(lost)).count();
        let room = self.ranges_for_each();
        let all = lost.len() <= urgent.max(room);
        lost.truncate(urgent.max(room));
        let mut worst = vec![0; lost.len()];
        for (consumer, open) in open.iter().enumerate() {
            if let Some(cursor) = self.cursor_mut(consumer, lane) {
                cursor.settle(
                    &Damage { lost: &lost, neighbours: &neighbours, below, all },
                    *open,
                    &mut worst,
                );
            }
        }
        for (lost, rows) in lost.iter().zip(worst) {
            self.note_loss(lane, lost, rows, up_ms);
        }
        // Without a consumer what is lost still counts: it is the first one's to lose.
        if let Some(l) = self.lanes.get_mut(lane).filter(|_| !self.consumers.is_empty()) {
            (l.usage, l.recount_due, l.dirty) = (usage, false, true);
        }
        self.due.require();
        self.bound_gaps();
    }

    /// Takes the losses since the last call.
    pub(crate) fn take_losses(&mut self) -> Vec<Event> {
        self.losses.take()
    }
}

impl Cursor {
    fn shares(&self, lost: &[Lost], below: Seq) -> Vec<Share> {
        let share = |lost: &Lost| {
            let leased = self.leased.range(lost.first..=lost.last.max(lost.first)).map(|(seq, _)| *seq);
            Share::of(lost, &self.pos, below, leased)
        };
        lost.iter().filter_map(share).collect()
    }

    /// Counts a loss for the consumer, marks its rows done and adds a gap record.
    fn quarantine(&mut self, share: &Share) {
        mark_between(self, share.first, share.last);
        self.lose(share.weight);
        if let Some(record) = share.record() {
            self.pos.add_gap(record);
        }
    }

    /// Sets the ledger to the rows that exist: those in `open` can be read, all others are lost. Raises `worst` to the number of rows that each
    /// loss cost.
    fn settle(&mut self, damage: &Damage<'_>, open: Usage, worst: &mut [u64]) {
        let Damage { lost, neighbours, below, all } = *damage;
        let mut at = Vec::new();
        let mut shares = Vec::new();
        for (nth, lost) in lost.iter().enumerate() {
            for share in self.shares(std::slice::from_ref(lost), below) {
                at.push(nth);
                shares.push(share.between(neighbours.times(lost)));
            }
        }
        let gone = |seq: Seq| seq < below && lost.iter().any(|lost| (lost.first..=lost.last).contains(&seq));
        let held = self.leased.iter().filter(|(seq, _)| gone(**seq)).map(|(_, out)| out.size);
        let mut there = open;
        held.for_each(|size| there.add(size));
        if there.weight > self.queued {
            // A bookkeeping that was damaged itself knows less than there is, and nothing of what is lost.
            let known = shares.iter().fold(there.weight, |sum, share| sum.saturating_add(share.weight));
            self.accept(known - self.queued, 0);
        }
        let missing = self.queued - there.weight;
        let left = if all { divide(missing, &mut shares) } else { 0 };
        for (share, nth) in shares.iter().zip(at) {
            self.quarantine(share);
            if let Some(worst) = worst.get_mut(nth) {
                *worst = share.rows.max(*worst);
            }
        }
        if left > 0 {
            self.lose_unseen(left);
        }
        if all {
            self.pos.queued_bytes = there.bytes;
        }
    }

    /// Counts rows as lost whose place in the lane is unknown.
    pub(super) fn lose_unseen(&mut self, weight: u64) {
        self.lose(weight);
        let last_seq = self.backlog_next.max(self.pos.floor).saturating_sub(1).max(1);
        self.pos.add_gap(GapRecord::new(last_seq, last_seq, weight, Reason::Quarantined));
    }
}

/// Marks the rows from `first` to `last` done, except those that are leased.
pub(super) fn mark_between(cursor: &mut Cursor, first: Seq, last: Seq) {
    let leased: Vec<Seq> = cursor.leased.range(first..=last).map(|(seq, _)| *seq).collect();
    let mut at = first;
    for seq in leased {
        if at < seq {
            cursor.pos.mark(at, seq - 1);
        }
        at = seq.saturating_add(1);
    }
    if at <= last {
        cursor.pos.mark(at, last);
    }
    cursor.dirty = true;
}
