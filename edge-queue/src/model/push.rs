//! Admission of a row to its lane: limits, and the policy at a limit. Back-pressure is a refusal here; nothing waits.

use crate::config::OnFull;
use crate::error::{Limit, PushError};
use crate::model::Model;
use crate::model::degraded_mode::{StoreCall, Unwritten};
use crate::model::evict::MadeRoom;
use crate::model::lane::LaneModel;
use crate::model::receipts::Ticket;
use crate::model::usage::{Size, Usage};
use crate::row::{Row, Seq};
use crate::time::Now;

/// Reason for which the model did not accept a row.
pub(crate) enum Refusal {
    /// Error that the caller returns.
    Error(PushError),
    /// Eviction needs the sizes of the oldest rows of the lane: read them, pass them in, push again.
    NeedHead { row: Box<Row>, lane: usize, limit: Limit },
    /// The lane is full by totals that are not exact: count its rows again, then push again.
    NeedCount { row: Box<Row>, lane: usize, limit: Limit },
    /// Too many bytes wait to be written: commit, then push again.
    NeedCommit(Box<Row>),
}

impl Refusal {
    fn full(row: Row, limit: Limit) -> Refusal {
        Refusal::Error(PushError::Full { row: Box::new(row), limit, most: None })
    }

    /// Returns the error of a push that is not tried again.
    pub(crate) fn give_up(self) -> PushError {
        match self {
            Refusal::Error(error) => error,
            Refusal::NeedCount { row, limit, .. } | Refusal::NeedHead { row, limit, .. } => {
                PushError::Full { row, limit, most: None }
            }
            Refusal::NeedCommit(row) => PushError::Full { row, limit: Limit::Bytes, most: None },
        }
    }
}

/// Row that no lane can accept, whatever its fill.
enum Inadmissible {
    Closed,
    NoSuchLane { lanes: u8 },
    TooLarge { limit: usize },
    AboveLimit { most: u64 },
}

impl Inadmissible {
    fn refuse(self, row: Row) -> Refusal {
        let row = Box::new(row);
        Refusal::Error(match self {
            Inadmissible::Closed => PushError::Closed { row },
            Inadmissible::NoSuchLane { lanes } => PushError::NoSuchLane { row, lanes },
            Inadmissible::TooLarge { limit } => PushError::TooLarge { row, limit },
            Inadmissible::AboveLimit { most } => PushError::AboveLimit { row, most },
        })
    }
}

impl Model {
    /// Adds a row and returns the ticket for its receipt, or the reason for which the row was not accepted.
    pub(super) fn push(&mut self, row: Row, now: &Now) -> Result<Ticket, Refusal> {
        self.push_while(StoreCall::Returns, row, now)
    }

    /// Adds a row while a commit would wait for a call that hangs.
    pub(crate) fn push_stalled(&mut self, row: Row, now: &Now) -> Result<Ticket, Refusal> {
        self.push_while(StoreCall::Hangs, row, now)
    }

    fn push_while(&mut self, call: StoreCall, row: Row, now: &Now) -> Result<Ticket, Refusal> {
        let at = match self.check(&row) {
            Ok(at) => at,
            Err(inadmissible) => return Err(inadmissible.refuse(row)),
        };
        let size = size_of(&row, now);
        if let Some(inadmissible) = self.above_limit(at, size) {
            return Err(inadmissible.refuse(row));
        }
        match self.bound_unwritten(size, call) {
            Unwritten::Fits => {}
            Unwritten::CommitFirst => return Err(Refusal::NeedCommit(Box::new(row))),
            Unwritten::Full => return Err(Refusal::full(row, Limit::Unwritten)),
        }
        let mut looked = false;
        while let Some(limit) = self.full(at, size) {
            if limit != Limit::Region && self.lanes.get(at).is_some_and(|l| l.recount_due) {
                return Err(Refusal::NeedCount { row: Box::new(row), lane: at, limit });
            }
            let Some(policy) = self.lanes.get(at).map(|l| l.limits.on_full) else { break };
            if policy == OnFull::DropOldest
                && !std::mem::replace(&mut looked, true)
                && let Some(limit) = self.never_fits(at, size)
            {
                return Err(Refusal::full(row, limit));
            }
            match policy {
                OnFull::Reject => return Err(Refusal::full(row, limit)),
                OnFull::DropNewest if self.range_exceeded(at, self.next_seq(at)) => {
                    return Err(Refusal::full(row, limit));
                }
                OnFull::DropNewest => {
                    let ticket = self.accept(at, row, now);
                    self.drop_newest(at, limit, now.up_ms);
                    return Ok(ticket);
                }
                OnFull::DropOldest => match self.make_room(at, limit, now.up_ms) {
                    MadeRoom::Freed => {}
                    MadeRoom::NeedHead => {
                        return Err(Refusal::NeedHead { row: Box::new(row), lane: at, limit });
                    }
                    MadeRoom::Nothing => return Err(Refusal::full(row, limit)),
                },
            }
        }
        Ok(self.accept(at, row, now))
    }

    /// Returns the limit that a row of this size would exceed; `None` when it fits.
    fn full(&self, at: usize, size: Size) -> Option<Limit> {
        let lane = self.lanes.get(at)?;
        let beyond = full(lane, size);
        beyond.or_else(|| self.keeps_dropping(at).then_some(Limit::Messages))
    }

    fn next_seq(&self, at: usize) -> Seq {
        self.lanes.get(at).map_or(0, |lane| lane.next)
    }

    fn check(&self, row: &Row) -> Result<usize, Inadmissible> {
        if self.closed {
            return Err(Inadmissible::Closed);
        }
        let at = row.lane_among(self.lanes.len());
        let Some(lane) = self.lanes.get(at) else {
            return Err(Inadmissible::NoSuchLane { lanes: self.lanes.len() as u8 });
        };
        let limit = lane.limits.row_bytes_max;
        if row.own_bytes() > limit {
            return Err(Inadmissible::TooLarge { limit });
        }
        Ok(at)
    }

    /// Returns the refusal of a row whose weight alone is above the lane's limit; `None` if it fits into an empty lane. Its bytes do, within
    /// `row_bytes_max`. A lane that drops its newest row drops such a row too.
    fn above_limit(&self, at: usize, size: Size) -> Option<Inadmissible> {
        let limits = &self.lanes.get(at)?.limits;
        let is_above = limits.on_full != OnFull::DropNewest && size.weight > limits.messages;
        is_above.then_some(Inadmissible::AboveLimit { most: limits.messages })
    }

    /// Returns the bytes of RAM that rows take which are not written yet.
    pub(super) fn unwritten_ram(&self) -> u64 {
        self.lanes.iter().map(|l| l.tail.unwritten_ram()).sum()
    }

    /// Counts a row that was refused and returned to its producer.
    pub(crate) fn count_refused(&mut self, row: &Row) {
        let at = row.lane_among(self.lanes.len());
        if let Some(lane) = self.lanes.get_mut(at) {
            lane.counts.refused = lane.counts.refused.saturating_add(u64::from(row.weight.max(1)));
        }
    }

    /// Returns the figure of a limit that the row reached.
    pub(crate) fn figure_of(&self, limit: Limit, row: &Row) -> Option<u64> {
        let limits = &self.lanes.get(row.lane_among(self.lanes.len()))?.limits;
        match limit {
            Limit::Messages => Some(limits.messages),
            Limit::Bytes => Some(limits.bytes),
            Limit::Unwritten => Some(self.rules.max_unwritten_bytes),
            Limit::Region => None,
        }
    }

    fn accept(&mut self, at: usize, row: Row, now: &Now) -> Ticket {
        let mut sum = Usage::default();
        sum.add(size_of(&row, now));
        let epoch = self.epoch;
        let first = self.lanes.get_mut(at).map_or(0, |lane| lane.take_in(row, epoch, now));
        self.count_in(at, first, &sum)
    }

    /// Counts rows just added to a lane, the first of which has the number `first`.
    #[inline]
    pub(super) fn count_in(&mut self, at: usize, first: Seq, sum: &Usage) -> Ticket {
        for cursor in self.consumers.iter_mut().filter_map(|r| r.lanes.get_mut(at)) {
            cursor.accept(sum.weight, sum.bytes);
            cursor.waiting.add_all(sum);
        }
        // The caller took them in there.
        let Some(lane) = self.lanes.get_mut(at) else { return Ticket::default() };
        lane.usage.add_all(sum);
        lane.counts.accepted = lane.counts.accepted.saturating_add(sum.weight);
        lane.dirty = true;
        lane.tail.owe(first, u32::try_from(sum.rows).unwrap_or(u32::MAX))
    }
}

fn full(lane: &LaneModel, size: Size) -> Option<Limit> {
    if lane.usage.weight.saturating_add(size.weight) > lane.limits.messages {
        return Some(Limit::Messages);
    }
    if lane.usage.bytes.saturating_add(size.bytes) > lane.limits.bytes {
        return Some(Limit::Bytes);
    }
    (lane.tail.unwritten_bytes().saturating_add(size.bytes) > lane.room).then_some(Limit::Region)
}

pub(super) fn size_of(row: &Row, now: &Now) -> Size {
    let bytes = (row.own_bytes() as u64).saturating_add(crate::row::ROW_OVERHEAD_BYTES);
    Size { weight: u64::from(row.weight.max(1)), bytes, wall_ms: now.wall_ms }
}
