//! Leases: rows are handed to a consumer, and come back acknowledged or not (at-least-once delivery). The visibility of a row ends for its
//! consumer while it is leased.

use crate::config::Order;
use crate::model::cursor::Done;
use crate::model::evict::may_lease;
use crate::model::expiry::expired;
use crate::model::lease_timeout::LeaseKey;
use crate::model::live_first::LanePart;
use crate::model::read_ahead::AHEAD;
use crate::model::usage::Size;
use crate::model::{ConsumerModel, Model};
use crate::row::{Lane, Seq, StoredRow};
use crate::state::{GapRecord, Reason};
use crate::store::ReadLimit;
use crate::time::Now;

/// Bounds of one lease. The first row goes whatever its size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Take {
    pub(crate) rows: usize,
    /// Most bytes of all rows together, as the limits count them.
    pub(crate) bytes: u64,
}

impl Take {
    /// Bounds a lease in rows alone.
    pub(crate) fn rows(rows: usize) -> Take {
        Take { rows, bytes: u64::MAX }
    }
}

/// Row that was leased.
pub(crate) struct Leased {
    pub(crate) row: StoredRow,
    pub(crate) consumer: u64,
    pub(crate) lane: usize,
    pub(crate) turn: u32,
    /// Up time in milliseconds at which the lease ends by itself; `u64::MAX` for never.
    pub(crate) returns_ms: u64,
}

impl Leased {
    pub(crate) fn key(&self) -> LeaseKey {
        LeaseKey { lane: self.lane, seq: self.row.seq, turn: self.turn }
    }
}

/// Read of the store that is needed before more rows can be handed out.
#[derive(Clone, Copy, Debug)]
pub(crate) enum More {
    /// Nothing more to lease: `take` is used up, no row is left, or the leases are at their limit.
    Done,
    /// Rows of `lane` from `from` to below `below` must be read from the store and handed to [`Model::offer`].
    Read { lane: usize, from: Seq, below: Seq, limit: ReadLimit },
    /// The consumer was forgotten.
    Gone,
}

/// State of the next row of a lane.
enum Next {
    Row(StoredRow),
    Read(Seq),
    /// There is a row, but the limit of leases is reached.
    Full,
    /// There is a row, but it is larger than the rest of the caller's limit.
    TooMuch,
    Nothing,
}

impl Model {
    /// Leases rows until `out` has as many as `take` allows.
    pub(crate) fn lease(&mut self, id: u64, take: Take, out: &mut Vec<Leased>, now: &Now) -> More {
        self.take_back(now.up_ms);
        let Some(consumer) = self.consumer_at(id) else { return More::Gone };
        // Exactly: one row at a time is the usual number, and room for four of them is a kilobyte.
        out.reserve_exact(self.open_rows(consumer).min(take.rows.saturating_sub(out.len())).min(AHEAD.rows));
        let mut bytes: u64 = out.iter().map(|leased| leased.row.bytes()).sum();
        while out.len() < take.rows {
            let room = if out.is_empty() { u64::MAX } else { take.bytes.saturating_sub(bytes) };
            match self.next_of_all(consumer, room, now) {
                Some((lane, Next::Row(row))) => {
                    bytes = bytes.saturating_add(row.bytes());
                    out.push(self.hand_out(consumer, lane, row, now.up_ms));
                }
                Some((lane, Next::Read(from))) => {
                    let below = self.lanes.get(lane).map_or(from, |l| l.tail.from());
                    return More::Read { lane, from, below, limit: AHEAD };
                }
                _ => break,
            }
        }
        More::Done
    }

    /// Returns an upper bound of the number of rows that a consumer may still get.
    fn open_rows(&self, consumer: usize) -> usize {
        let cursors = self.consumers.get(consumer).into_iter().flat_map(|r| &r.lanes).zip(&self.lanes);
        let rows: u64 = cursors.map(|(cursor, l)| l.next.saturating_sub(cursor.backlog_next)).sum();
        usize::try_from(rows).unwrap_or(usize::MAX)
    }

    fn hand_out(&mut self, consumer: usize, lane: usize, row: StoredRow, up_ms: u64) -> Leased {
        let size = Size::of(&row);
        let mut id = 0;
        let (turn, returns_ms) = self.lease_terms(consumer, up_ms);
        self.pin(consumer, lane, row.seq, size);
        if let Some(r) = self.consumers.get_mut(consumer) {
            id = r.id;
            r.scheduler.serve(lane);
            if let Some(cursor) = r.lanes.get_mut(lane) {
                cursor.lease(row.seq, size);
                if let Some(out) =
                    cursor.leased.get_mut(&row.seq).filter(|_| turn > 0 || returns_ms < u64::MAX)
                {
                    (out.turn, out.returns_ms) = (turn, returns_ms);
                }
            }
        }
        Leased { row, consumer: id, lane, turn, returns_ms }
    }

    fn next_of_all(&mut self, consumer: usize, room: u64, now: &Now) -> Option<(usize, Next)> {
        let order = self.consumers.get(consumer)?.scheduler.order(self.lanes.len());
        for lane in order {
            match self.next_of_lane(consumer, lane, room, now) {
                Next::Nothing | Next::Full => {}
                next => return Some((lane, next)),
            }
        }
        None
    }

    fn next_of_lane(&mut self, consumer: usize, lane: usize, room: u64, now: &Now) -> Next {
        let Some(Order::LiveFirst { backlog_one_in, behind_rows }) =
            self.lanes.get(lane).map(|l| l.limits.order)
        else {
            return self.next_of_part(consumer, lane, LanePart::Backlog, room, now);
        };
        let may_part = self.may_part(consumer);
        let (Some(l), Some(cursor)) =
            (self.lanes.get(lane), self.consumers.get_mut(consumer).and_then(|r| r.lanes.get_mut(lane)))
        else {
            return Next::Nothing;
        };
        cursor.live.next = cursor.open_from(cursor.live.next);
        let ram_from = l.tail.from();
        if cursor.live.is_behind(l.next, ram_from, behind_rows) {
            let oldest = cursor.open_from(cursor.backlog_next);
            cursor.live.draw_line(l.next, oldest, may_part.then_some(ram_from), behind_rows);
        }
        for part in cursor.live.order(backlog_one_in) {
            match self.next_of_part(consumer, lane, part, room, now) {
                Next::Nothing => {}
                next => return next,
            }
        }
        Next::Nothing
    }

    fn next_of_part(&mut self, consumer: usize, lane: usize, part: LanePart, room: u64, now: &Now) -> Next {
        let mut ranges_full = !self.range_free(consumer);
        loop {
            let Some(l) = self.lanes.get(lane) else { return Next::Nothing };
            let Some(r) = self.consumers.get_mut(consumer) else { return Next::Nothing };
            let max_age = [l.limits.max_age_ms, r.limits.max_age_ms].into_iter().flatten().min();
            let Some(cursor) = r.lanes.get_mut(lane) else { return Next::Nothing };
            let end = if part == LanePart::Live { l.next } else { l.next.min(cursor.live.from()) }
                .min(cursor.until);
            let at = *cursor.next_mut(part);
            // Not beyond the end: live rows that are leased now may come back as backlog.
            let seq = cursor.open_from(at).min(end);
            *cursor.next_mut(part) = seq;
            if seq >= end || (ranges_full && !cursor.may_lease_without_range(seq)) {
                return Next::Nothing;
            }
            let in_ram = seq >= l.tail.from();
            let row = if in_ram {
                l.tail.at_or_after(seq).ok_or(end)
            } else {
                match cursor.fetched.seek(seq) {
                    None if l.read_faults.wait(seq, l.floor, now) => return Next::Nothing,
                    None => return Next::Read(seq),
                    Some(found) => found,
                }
            };
            let row = match row {
                Ok(row) if row.seq == seq => row,
                // May be done or leased or the other part's, so look again from there.
                Ok(row) => {
                    *cursor.next_mut(part) = row.seq.min(end);
                    continue;
                }
                Err(upto) => {
                    *cursor.next_mut(part) = upto.min(end);
                    continue;
                }
            };
            let size = Size::of(row);
            if expired(row, max_age, self.opened_ms, now) {
                if ranges_full && cursor.pos.grows_with(seq) {
                    // Only a scan comes here. A later one counts the row, when a range is free or it needs none.
                    *cursor.next_mut(part) = seq.saturating_add(1);
                    continue;
                }
                self.done(consumer, lane, seq, size, Done::Dropped(Reason::Expired), now.up_ms);
                ranges_full = !self.range_free(consumer);
                continue;
            }
            // A row read ahead is this consumer's alone.
            let copy = in_ram.then(|| row.clone());
            if !self.may_lease(consumer, lane, size) {
                return Next::Full;
            }
            if size.bytes > room {
                return Next::TooMuch;
            }
            let ahead = || self.cursor_mut(consumer, lane).and_then(|cursor| cursor.fetched.take());
            return copy.or_else(ahead).map_or(Next::Nothing, Next::Row);
        }
    }

    /// Returns whether a row may be leased: at most half of a lane is, so that drop-oldest has something left to
    /// drop; one row always goes.
    fn may_lease(&self, consumer: usize, lane: usize, size: Size) -> bool {
        let Some(l) = self.lanes.get(lane) else { return false };
        let own = self.consumers.get(consumer).and_then(|r| Some((r.limits, r.lanes.get(lane)?)));
        if let Some((limits, cursor)) = own {
            if cursor.leased.is_empty() {
                return true;
            }
            if !may_lease(&limits, cursor, size) {
                return false;
            }
        }
        let weight: u64 = self.cursors(lane).map(|cursor| cursor.leased_weight).sum();
        let bytes: u64 = self.cursors(lane).map(|cursor| cursor.leased_bytes).sum();
        weight.saturating_add(size.weight) <= l.limits.messages / 2
            && bytes.saturating_add(size.bytes) <= l.limits.bytes / 2
    }

    /// Ends the lease of a row that is done: delivered, durable elsewhere, or dropped.
    pub(crate) fn end_lease(&mut self, id: u64, lane: usize, seq: Seq, how: Done, up_ms: u64) {
        let Some(consumer) = self.consumer_at(id).filter(|_| !self.closed) else { return };
        let range_free = self.range_free(consumer);
        let Some(cursor) = self.cursor_mut(consumer, lane) else { return };
        if !range_free && cursor.pos.grows_with(seq) {
            if let Some(out) = cursor.leased.get_mut(&seq).filter(|out| out.parked.is_none()) {
                out.parked = Some(how);
                cursor.parked += 1;
            }
            return;
        }
        if let Some(size) = self.release(consumer, lane, seq) {
            self.finish(consumer, lane, (seq, size, how), up_ms);
        }
    }

    /// Counts a row as done whose lease is over, and after it the acknowledgements that waited for a range and need none now.
    pub(super) fn finish(&mut self, consumer: usize, lane: usize, row: (Seq, Size, Done), up_ms: u64) {
        let mut next = Some(row);
        while let Some((seq, size, how)) = next {
            self.done(consumer, lane, seq, size, how, up_ms);
            if self.wanted(lane, seq)
                && let Some(l) = self.lanes.get_mut(lane)
            {
                // No longer leased here, but another consumer has it to come: it may be evicted again.
                l.head.rewind(seq);
            }
            let range_free = self.range_free(consumer);
            let parked = self.cursor_mut(consumer, lane).and_then(|cursor| cursor.parked_next(range_free));
            next = parked.and_then(|(seq, how)| Some((seq, self.release(consumer, lane, seq)?, how)));
        }
    }

    /// Gives a leased row back to its old place.
    pub(crate) fn give_back(&mut self, id: u64, lane: usize, seq: Seq) {
        let Some(consumer) = self.consumer_at(id) else { return };
        if self.release(consumer, lane, seq).is_none() {
            return;
        }
        if let Some(cursor) = self.cursor_mut(consumer, lane) {
            cursor.look_again(seq);
        }
        if let Some(l) = self.lanes.get_mut(lane) {
            l.head.rewind(seq);
        }
    }

    pub(crate) fn is_stored(&self, lane: usize, seq: Seq) -> bool {
        !self.rules.volatile && self.lanes.get(lane).is_some_and(|l| l.tail.is_stored(seq))
    }

    /// Returns the gap records that a consumer has not yet reported upstream.
    pub(crate) fn gaps(&self, id: u64) -> Vec<(Lane, GapRecord)> {
        let Some(consumer) = self.consumer_at(id).and_then(|at| self.consumers.get(at)) else {
            return Vec::new();
        };
        let mut all = Vec::new();
        for (cursor, lane) in consumer.lanes.iter().zip(&self.lanes) {
            all.extend(cursor.pos.gaps.iter().map(|gap| (lane.id, *gap)));
        }
        for (at, absent) in (self.lanes.len()..).zip(&consumer.absent) {
            all.extend(absent.kept.gaps.iter().map(|gap| (Lane(at as u8), *gap)));
        }
        all
    }

    pub(crate) fn ack_gaps(&mut self, id: u64, gaps: &[(Lane, GapRecord)], up_ms: u64) {
        let Some(consumer) = self.consumer_at(id) else { return };
        let mut taken = 0;
        for (lane, gap) in gaps {
            let positions = self.consumers.get_mut(consumer).map(ConsumerModel::positions_mut);
            let found = positions.and_then(|mut all| all.nth(usize::from(lane.0)));
            if let Some((position, dirty)) = found
                && position.ack_gap(gap)
            {
                *dirty = true;
                taken += 1;
            }
        }
        if taken > 0 {
            self.unwritten_acks.add(taken, up_ms);
        }
    }

    /// Returns the weight of the rows that a consumer has still to acknowledge over all lanes, and how much of it is leased.
    pub(crate) fn queued(&self, id: u64) -> (u64, u64) {
        let cursors = self.consumers.iter().filter(|r| r.id == id).flat_map(|r| &r.lanes);
        cursors
            .fold((0, 0), |(queued, leased), cursor| (queued + cursor.queued, leased + cursor.leased_weight))
    }

    pub(super) fn cursor_mut(&mut self, consumer: usize, lane: usize) -> Option<&mut super::Cursor> {
        self.consumers.get_mut(consumer).and_then(|r: &mut ConsumerModel| r.lanes.get_mut(lane))
    }
}
