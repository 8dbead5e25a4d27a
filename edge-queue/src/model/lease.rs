//! Rows go out, and come back acknowledged or not.

use crate::model::expiry::expired;
use crate::model::lane::Size;
use crate::model::place::Done;
use crate::model::ranges::RANGES_MAX;
use crate::model::{Model, Reader};
use crate::row::{Lane, Seq, StoredRow};
use crate::state::{GapRecord, Reason};
use crate::store::ReadLimit;
use crate::time::Now;

/// Rows and bytes read ahead per consumer and lane; also its RAM.
const AHEAD: ReadLimit = ReadLimit { rows: 256, bytes: 64 * 1024 };

/// A row handed out.
pub(crate) struct Leased {
    pub(crate) row: StoredRow,
    pub(crate) reader: u64,
    pub(crate) lane: usize,
}

/// What it takes to hand out more.
#[derive(Clone, Copy, Debug)]
pub(crate) enum More {
    /// Enough, or nothing there, or the leases are at their limit.
    Done,
    /// Rows of `lane` from `from` to below `below` must be read from the store and handed to [`Model::offer`].
    Read { lane: usize, from: Seq, below: Seq, limit: ReadLimit },
    /// The consumer was forgotten.
    Gone,
}

/// What the next row of a lane is.
enum Next {
    Row(StoredRow),
    Read(Seq),
    Nothing,
}

impl Model {
    /// Hands out rows until `out` holds `rows_max`.
    pub(crate) fn lease(&mut self, id: u64, rows_max: usize, out: &mut Vec<Leased>, now: &Now) -> More {
        let Some(reader) = self.reader_at(id) else { return More::Gone };
        while out.len() < rows_max {
            let mut found = None;
            for lane in 0..self.lanes.len() {
                let next = self.next_row(reader, lane, now);
                if !matches!(next, Next::Nothing) {
                    found = Some((lane, next));
                    if self.readers.get(reader).is_some_and(|r| !r.order.had_turn(lane)) {
                        break;
                    }
                }
            }
            match found {
                Some((lane, Next::Row(row))) => out.push(self.hand_out(reader, lane, row)),
                Some((lane, Next::Read(from))) => {
                    let below = self.lanes.get(lane).map_or(from, |l| l.window.from());
                    return More::Read { lane, from, below, limit: AHEAD };
                }
                _ => break,
            }
        }
        More::Done
    }

    fn hand_out(&mut self, reader: usize, lane: usize, row: StoredRow) -> Leased {
        let size = Size::of(&row);
        let mut id = 0;
        if let Some(r) = self.readers.get_mut(reader) {
            id = r.id;
            r.order.serve(lane);
            if let Some(place) = r.lanes.get_mut(lane) {
                place.lease(row.seq, size);
            }
        }
        Leased { row, reader: id, lane }
    }

    fn next_row(&mut self, reader: usize, lane: usize, now: &Now) -> Next {
        let ranges_full = self.ranges() >= RANGES_MAX;
        loop {
            let Some(l) = self.lanes.get(lane) else { return Next::Nothing };
            let (next, from, max_age) = (l.next, l.window.from(), l.limits.max_age_ms);
            let Some(place) = self.readers.get_mut(reader).and_then(|r| r.lanes.get_mut(lane)) else {
                return Next::Nothing;
            };
            place.skip();
            if place.cursor >= next || (ranges_full && place.cursor != place.pos.floor) {
                return Next::Nothing;
            }
            let row = if place.cursor >= from {
                match l.window.at_or_after(place.cursor) {
                    None => {
                        place.cursor = next;
                        return Next::Nothing;
                    }
                    Some(row) => row,
                }
            } else {
                match place.fetched.seek(place.cursor) {
                    None => return Next::Read(place.cursor),
                    Some(Err(upto)) => {
                        place.cursor = upto;
                        continue;
                    }
                    Some(Ok(row)) => row,
                }
            };
            if row.seq > place.cursor {
                // May be done or leased, so look again from there.
                place.cursor = row.seq;
                continue;
            }
            let (seq, size) = (row.seq, Size::of(row));
            if expired(row, max_age, now) {
                self.done(reader, lane, seq, size, Done::Dropped(Reason::Expired), now.up_ms);
                continue;
            }
            let row = row.clone();
            return if self.may_lease(reader, lane, size) { Next::Row(row) } else { Next::Nothing };
        }
    }

    /// At most half of a lane is leased, so that drop-oldest has something left to drop; one row always goes.
    fn may_lease(&self, reader: usize, lane: usize, size: Size) -> bool {
        let Some(l) = self.lanes.get(lane) else { return false };
        let own = self.readers.get(reader).and_then(|r| r.lanes.get(lane));
        if own.is_some_and(|place| place.leased.is_empty()) {
            return true;
        }
        let weight: u64 = self.places(lane).map(|place| place.leased_weight).sum();
        let bytes: u64 = self.places(lane).map(|place| place.leased_bytes).sum();
        weight.saturating_add(size.weight) <= l.limits.messages / 2
            && bytes.saturating_add(size.bytes) <= l.limits.bytes / 2
    }

    /// A leased row has arrived.
    pub(crate) fn ack(&mut self, id: u64, lane: usize, seq: Seq, up_ms: u64) {
        let Some(reader) = self.reader_at(id).filter(|_| !self.closed) else { return };
        let mut ranges_full = self.ranges() >= RANGES_MAX;
        let Some(place) = self.place_mut(reader, lane) else { return };
        if ranges_full && place.pos.grows_with(seq) {
            if let Some(out) = place.leased.get_mut(&seq).filter(|out| !out.parked) {
                out.parked = true;
                place.parked += 1;
            }
            return;
        }
        let mut next = Some(seq);
        while let Some(seq) = next {
            let Some(size) = self.place_mut(reader, lane).and_then(|place| place.release(seq)) else {
                return;
            };
            self.done(reader, lane, seq, size, Done::Delivered, up_ms);
            if self.wanted(lane, seq)
                && let Some(l) = self.lanes.get_mut(lane)
            {
                // No longer leased here, but another consumer has it to come: it may be evicted again.
                l.head.rewind(seq);
            }
            ranges_full = self.ranges() >= RANGES_MAX;
            next = self.place_mut(reader, lane).and_then(|place| place.parked_next(!ranges_full));
        }
    }

    /// A leased row goes back to its old place.
    pub(crate) fn give_back(&mut self, id: u64, lane: usize, seq: Seq) {
        let Some(reader) = self.reader_at(id) else { return };
        let Some(place) = self.place_mut(reader, lane) else { return };
        if place.release(seq).is_none() {
            return;
        }
        place.cursor = place.cursor.min(seq);
        if let Some(l) = self.lanes.get_mut(lane) {
            l.head.rewind(seq);
        }
    }

    pub(crate) fn is_stored(&self, lane: usize, seq: Seq) -> bool {
        !self.rules.volatile && self.lanes.get(lane).is_some_and(|l| l.window.is_stored(seq))
    }

    /// Losses a consumer has not yet reported upstream.
    pub(crate) fn gaps(&self, id: u64) -> Vec<(Lane, GapRecord)> {
        let Some(reader) = self.reader_at(id).and_then(|at| self.readers.get(at)) else { return Vec::new() };
        let mut all = Vec::new();
        for (place, lane) in reader.lanes.iter().zip(&self.lanes) {
            all.extend(place.pos.gaps.iter().map(|gap| (lane.id, *gap)));
        }
        all
    }

    pub(crate) fn ack_gaps(&mut self, id: u64, gaps: &[(Lane, GapRecord)], up_ms: u64) {
        let Some(reader) = self.reader_at(id) else { return };
        let mut taken = 0;
        for (lane, gap) in gaps {
            let Some(place) = self.place_mut(reader, usize::from(lane.0)) else { continue };
            if place.pos.ack_gap(gap) {
                place.dirty = true;
                taken += 1;
            }
        }
        if taken > 0 {
            self.lag(taken, up_ms);
        }
    }

    pub(super) fn place_mut(&mut self, reader: usize, lane: usize) -> Option<&mut super::Place> {
        self.readers.get_mut(reader).and_then(|r: &mut Reader| r.lanes.get_mut(lane))
    }
}
