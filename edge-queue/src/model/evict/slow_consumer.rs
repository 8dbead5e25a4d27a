//! Slow consumers with limits of their own: at each commit one beyond its limits is moved forward alone, before its rows could evict those of
//! others. Its losses are in the same commit that moves its floor, and rows that only it wanted are not written.

use super::Oldest;
use crate::config::ConsumerConfig;
use crate::model::usage::Size;
use crate::model::{Cursor, Model};
use crate::row::Seq;
use crate::state::Reason;
use crate::store::StoredChunk;

/// Range of a consumer's oldest rows that must be read before more of them can be dropped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnHead {
    consumer: u64,
    pub(crate) lane: usize,
    pub(crate) from: Seq,
    below: Seq,
}

impl Model {
    /// Sets a consumer's own limits; they hold from the next commit on.
    pub(crate) fn limit(&mut self, id: u64, limits: ConsumerConfig) {
        if let Some(consumer) = self.consumers.iter_mut().find(|r| r.id == id) {
            consumer.limits = limits;
        }
    }

    /// Drops the oldest unleased rows of every consumer beyond its own limits, as far as their sizes are known. Returns the rows to read before
    /// more can be dropped; `None` if no read is needed.
    pub(crate) fn move_slow_forward(&mut self, up_ms: u64) -> Option<OwnHead> {
        for consumer in 0..self.consumers.len() {
            for lane in 0..self.lanes.len() {
                while self.over_own_limit(consumer, lane) {
                    match self.oldest_of(consumer, lane) {
                        Oldest::Row(seq, size) => {
                            self.give_up(consumer, lane, seq, size, Reason::Overflow, up_ms);
                        }
                        Oldest::NeedHead => return self.own_head(consumer, lane),
                        Oldest::Nothing => break,
                    }
                }
            }
        }
        None
    }

    /// Adds the sizes of a consumer's oldest rows, which were read for [`Model::move_slow_forward`].
    pub(crate) fn fill_own_head(&mut self, wanted: OwnHead, chunk: StoredChunk) {
        let OwnHead { consumer, lane, from, below } = wanted;
        let (rows, upto) = self.note_read(lane, from, below, chunk);
        let Some(cursor) = self.consumer_at(consumer).and_then(|at| self.cursor_mut(at, lane)) else {
            return;
        };
        // A lease given back since the read was planned has moved the place to look from.
        if cursor.head.upto == from {
            cursor.head.rows.extend(rows.iter().map(|row| (row.seq, Size::of(row))));
            cursor.head.upto = upto;
        }
    }

    fn over_own_limit(&self, consumer: usize, lane: usize) -> bool {
        let Some(consumer) = self.consumers.get(consumer) else { return false };
        // Bytes that are a guess drop nothing.
        let exact = self.lanes.get(lane).is_some_and(|l| !l.recount_due);
        consumer.lanes.get(lane).is_some_and(|cursor| {
            consumer.limits.max_messages.is_some_and(|max| cursor.queued > max)
                || consumer.limits.max_bytes.is_some_and(|max| exact && cursor.pos.queued_bytes > max)
        })
    }

    fn own_head(&self, consumer: usize, lane: usize) -> Option<OwnHead> {
        let (consumer, below) = (self.consumers.get(consumer)?, self.lanes.get(lane)?.tail.from());
        let from = consumer.lanes.get(lane)?.head.upto;
        Some(OwnHead { consumer: consumer.id, lane, from, below })
    }

    fn oldest_of(&mut self, consumer: usize, lane: usize) -> Oldest {
        let from = self.evict_from(lane);
        if let Some(cursor) = self.cursor_mut(consumer, lane) {
            cursor.head.pass_to(from);
        }
        match self.next_oldest_of(consumer, lane) {
            Oldest::Row(seq, _) if from.is_some() && self.range_exceeded(lane, seq) => {
                if let Some(cursor) = self.cursor_mut(consumer, lane) {
                    cursor.head.rewind(seq);
                }
                Oldest::Nothing
            }
            found => found,
        }
    }

    fn next_oldest_of(&mut self, consumer: usize, lane: usize) -> Oldest {
        let Some(l) = self.lanes.get(lane) else { return Oldest::Nothing };
        let Some(cursor) = self.consumers.get_mut(consumer).and_then(|r| r.lanes.get_mut(lane)) else {
            return Oldest::Nothing;
        };
        loop {
            match cursor.head.next(cursor.pos.floor, &l.tail) {
                Oldest::Row(seq, _) if cursor.pos.is_done(seq) || cursor.leased.contains_key(&seq) => {}
                found => return found,
            }
        }
    }
}

/// Returns whether a row may be leased: at most half of a consumer's own limit is, so that some rows can still be dropped.
pub(crate) fn may_lease(limits: &ConsumerConfig, cursor: &Cursor, size: Size) -> bool {
    let within = |limit: Option<u64>, leased: u64, more: u64| {
        limit.is_none_or(|max| leased.saturating_add(more) <= max / 2)
    };
    within(limits.max_messages, cursor.leased_weight, size.weight)
        && within(limits.max_bytes, cursor.leased_bytes, size.bytes)
}
