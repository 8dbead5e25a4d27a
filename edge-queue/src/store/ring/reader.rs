//! Reader of rows: the index of the segment being read, one frame in RAM, and the damage to be reported.
#![deny(clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::io;

use bytes::Bytes;

use super::find_frames::{Look, Placed};
use super::lane::LaneLog;
use super::layout::{FRAME_PAGES_MAX, PAGE};
use super::missing_frames::{Gap, Item, items};
use super::quarantine::Quarantine;
use super::record::{Cursor, Record, RowRef};
use super::segment::{Counters, Segment};
use super::superblock::Waived;
use crate::medium::Dir;
use crate::row::{LANES_MAX, Seq};
use crate::store::{Lost, ReadLimit, StoredChunk};

/// Most losses recorded as quarantined. Beyond it a loss may be counted again, so that RAM stays bounded.
const REPORTED_MAX: usize = 4096;

/// Most rows for which a read allocates memory in advance.
const READ_ROWS_USUAL: usize = 256;

/// State of reading between calls.
#[derive(Debug, Default)]
pub(super) struct Reader {
    indexes: [Option<Index>; LANES_MAX],
    frame: Option<Loaded>,
    /// Lane and first frame of every loss that was counted and quarantined.
    reported: BTreeSet<(u8, u64)>,
    pub(super) quarantined: u64,
}

#[derive(Debug)]
struct Index {
    segment: Segment,
    items: Vec<Item>,
}

/// Body of a frame, and how far it was read.
#[derive(Debug)]
struct Loaded {
    placed: Placed,
    /// Body of the frame; rows handed out are slices of this buffer.
    body: Bytes,
    cursor: Cursor,
    /// Sequence number below which the cursor has passed every row.
    passed: Seq,
}

/// Parts of the store that reading needs.
pub(super) struct Source<'a> {
    pub(super) look: Look<'a>,
    pub(super) dir: &'a dyn Dir,
    pub(super) quarantine: &'a mut Quarantine,
    pub(super) waived: &'a [Waived],
    pub(super) epoch: u32,
    /// Set if rows that are missing may be in a slot that could not be read at the open, and the caller can wait for it.
    pub(super) unread: bool,
}

impl Reader {
    /// Reads rows from `from` on. The result is invalid if the medium went down meanwhile.
    pub(super) fn read(
        &mut self,
        source: &mut Source<'_>,
        log: &LaneLog,
        from: Seq,
        limit: ReadLimit,
    ) -> StoredChunk {
        let mut chunk = StoredChunk::default();
        let mut at = from.max(log.done.floor());
        let mut room = Room { rows: limit.rows.max(1), bytes: limit.bytes, first: true };
        let first = log.segments.iter().rposition(|s| s.start.highest < at).unwrap_or(0);
        let wanted = at..=log.counters.highest;
        // The row at the floor is wanted, and its segment stays: rows from before the oldest one are gone with theirs.
        let oldest = log.segments.first();
        let start = oldest.map_or(log.counters, |oldest| oldest.start);
        if wanted.contains(&start.highest) {
            self.report(source, log, oldest, &before(&start, log.done.floor()), &mut chunk);
            at = start.highest.saturating_add(1);
        }
        for (n, segment) in log.segments.iter().enumerate().skip(first) {
            self.load_index(source, log, n, segment);
            if source.look.pages.is_down() {
                return chunk;
            }
            let mut next = 0;
            while let Some(item) = self.item(log.lane, &mut next, at) {
                let more = match item {
                    Item::Gap(gap) => {
                        self.report(source, log, Some(segment), &gap, &mut chunk);
                        true
                    }
                    Item::Frame(placed) => {
                        if self.load_frame(source, &placed) {
                            self.take_rows(&mut at, &mut room, &mut chunk)
                        } else if source.look.pages.is_down() {
                            return chunk;
                        } else {
                            self.report(source, log, Some(segment), &frame_gap(&placed), &mut chunk);
                            true
                        }
                    }
                };
                if !more {
                    chunk.next = Some(at);
                    return chunk;
                }
                at = at.max(item.last_seq().saturating_add(1));
            }
        }
        chunk
    }

    /// Adds the frames of a commit that is durable now to the index.
    pub(super) fn note(&mut self, lane: u8, frames: &[Placed]) {
        let Some(Some(index)) = self.indexes.get_mut(usize::from(lane)) else { return };
        for placed in frames.iter().filter(|p| index.segment.is(&Segment::of(&p.head))) {
            while let Some(Item::Frame(last)) = index.items.last()
                && last.head.counter >= placed.head.base
            {
                index.items.pop();
            }
            if placed.head.rows > 0 {
                index.items.push(Item::Frame(*placed));
            }
        }
    }

    /// Returns the next frame or gap with rows from `at` on; `None` at the end of the segment.
    fn item(&self, lane: u8, next: &mut usize, at: Seq) -> Option<Item> {
        let index = self.indexes.get(usize::from(lane))?.as_ref()?;
        if *next == 0 {
            *next = index.items.partition_point(|item| item.last_seq() < at);
        }
        let item = index.items.get(*next).copied();
        *next += 1;
        item
    }

    fn load_index(&mut self, source: &Source<'_>, log: &LaneLog, at: usize, segment: &Segment) {
        let Some(place) = self.indexes.get_mut(usize::from(log.lane)) else { return };
        if place.as_ref().is_some_and(|index| index.segment.is(segment)) {
            return;
        }
        let end = Some(log.end_of(at));
        let frames = source.look.frames(segment, end, false);
        if source.look.pages.is_down() {
            *place = None;
            return;
        }
        let items = items(&segment.start, &frames.good, end);
        *place = Some(Index { segment: *segment, items });
    }

    fn load_frame(&mut self, source: &Source<'_>, placed: &Placed) -> bool {
        if self.frame.as_ref().is_some_and(|loaded| loaded.placed == *placed) {
            return true;
        }
        // The buffer is used again when no row of it is held any more.
        let unused = self.frame.take().map(|loaded| loaded.body).filter(Bytes::is_unique);
        let mut body = unused.map(Vec::from).unwrap_or_default();
        let head = &placed.head;
        if !source.look.pages.body_into(head, placed.page, &mut body) {
            return false;
        }
        let cursor = Cursor::new(head.lane, head.epoch, head.first_seq);
        self.frame = Some(Loaded { placed: *placed, body: body.into(), cursor, passed: 0 });
        true
    }

    /// Takes rows of the loaded frame; `false` if the limit is reached and there are more.
    fn take_rows(&mut self, at: &mut Seq, room: &mut Room, chunk: &mut StoredChunk) -> bool {
        let Some(loaded) = self.frame.as_mut() else { return true };
        if *at < loaded.passed {
            let head = &loaded.placed.head;
            loaded.cursor = Cursor::new(head.lane, head.epoch, head.first_seq);
        }
        let last_seq = loaded.placed.head.last_seq;
        chunk.rows.reserve(room.rows.min(loaded.placed.head.rows as usize).min(READ_ROWS_USUAL));
        loop {
            let before = loaded.cursor;
            match loaded.cursor.next(&loaded.body) {
                None => return true,
                // A row that its header does not speak of would hide those of the frames behind.
                Some(Record::Row(row)) if row.seq > last_seq => return true,
                Some(Record::Row(row)) if row.seq >= *at => {
                    if !room.admits(&row) {
                        loaded.cursor = before;
                        return false;
                    }
                    *at = row.seq.saturating_add(1);
                    loaded.passed = *at;
                    chunk.rows.push(row.to_row(&loaded.body));
                }
                Some(_) => {}
            }
        }
    }

    /// Reports rows of a gap as lost that are still wanted, unless they belong to a torn commit that was waived. Quarantines the bytes the first
    /// time.
    fn report(
        &mut self,
        source: &mut Source<'_>,
        log: &LaneLog,
        segment: Option<&Segment>,
        gap: &Gap,
        chunk: &mut StoredChunk,
    ) {
        let (lane, mut missing, mut missing_weight) = (log.lane, gap.rows, gap.weight);
        for w in source.waived.iter().filter(|w| w.lane == lane) {
            missing = missing.saturating_sub(overlap((gap.rows_before, gap.rows), (w.rows_before, w.rows)));
            let weights = overlap((gap.weight_before, gap.weight), (w.weight_before, w.weight));
            missing_weight = missing_weight.saturating_sub(weights);
        }
        // Segments that were given up between two that stay leave a gap, too: all of it is done.
        if missing == 0 || log.done.covers(gap.seqs.0, gap.seqs.1) {
            return;
        }
        if source.unread {
            source.look.pages.stop(io::Error::other("a segment could not be read when the ring was opened"));
            return;
        }
        chunk.lost.push(wanted(gap, missing, missing_weight, log.done.floor()));
        let first_frame = gap.frames.0;
        if !self.reported.insert((lane, first_frame)) {
            return;
        }
        while self.reported.len() > REPORTED_MAX {
            self.reported.pop_first();
        }
        self.quarantined += 1;
        let Some(segment) = segment else { return };
        let pages = gap.pages.1.saturating_sub(gap.pages.0).clamp(1, FRAME_PAGES_MAX as u32);
        let mut bytes = vec![0; pages as usize * PAGE];
        source.look.pages.read(segment.slot, gap.pages.0, &mut bytes);
        let name = format!("ring-e{}-lane{lane}-frame{first_frame}", source.epoch);
        source.quarantine.keep(source.dir, &name, &bytes);
    }
}

/// Returns the part of `missing` rows in a gap that may be wanted: those from the lane's floor on.
fn wanted(gap: &Gap, missing: u64, weight: u64, floor: Seq) -> Lost {
    let (first, last) = (gap.seqs.0.max(floor), gap.seqs.1.max(gap.seqs.0));
    let span = last.saturating_sub(first).saturating_add(1);
    let rows = missing.min(span);
    let whole = first == gap.seqs.0 && missing == gap.rows && gap.exact;
    // Without a hole every number is a row, and each weighs one when all together weigh their number.
    let plain = missing == last.saturating_sub(gap.seqs.0).saturating_add(1) && weight == missing;
    Lost { first, last, rows, weight: share(weight, rows, missing).max(rows), exact: whole || plain }
}

/// Returns the length that two stretches (start, length) have in common.
fn overlap(a: (u64, u64), b: (u64, u64)) -> u64 {
    let end = a.0.saturating_add(a.1).min(b.0.saturating_add(b.1));
    end.saturating_sub(a.0.max(b.0))
}

/// Returns the weight of `rows` of `all` rows: exact when it is all of them, or when all weigh the same.
fn share(weight: u64, rows: u64, all: u64) -> u64 {
    let part = u128::from(weight) * u128::from(rows) / u128::from(all.max(1));
    u64::try_from(part).unwrap_or(weight)
}

/// Makes the gap of wanted rows from before the oldest segment. It is unknown which of these numbers were rows.
fn before(start: &Counters, at: Seq) -> Gap {
    let rows = start.highest.saturating_sub(at).saturating_add(1).min(start.rows);
    Gap {
        frames: (0, start.next.saturating_sub(1)),
        seqs: (at, start.highest),
        rows,
        weight: start.weight.max(rows),
        rows_before: start.rows.saturating_sub(rows),
        weight_before: 0,
        pages: (0, 1),
        exact: false,
    }
}

/// Makes the gap of a frame with a valid header and a damaged body.
fn frame_gap(placed: &Placed) -> Gap {
    let head = &placed.head;
    Gap {
        frames: (head.base, head.counter),
        seqs: (head.first_seq, head.last_seq),
        rows: u64::from(head.rows),
        weight: head.weight,
        rows_before: head.rows_before,
        weight_before: head.weight_before,
        pages: (placed.page, placed.end()),
        exact: true,
    }
}

/// Rows and bytes that the caller still takes.
struct Room {
    rows: usize,
    bytes: usize,
    first: bool,
}

impl Room {
    fn admits(&mut self, row: &RowRef<'_>) -> bool {
        let fits = self.rows > 0 && (self.first || row.bytes() <= self.bytes);
        if fits {
            self.rows -= 1;
            self.bytes = self.bytes.saturating_sub(row.bytes());
            self.first = false;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gap(seqs: (Seq, Seq), rows: u64, weight: u64, exact: bool) -> Gap {
        let frames = (1, 2);
        Gap { frames, seqs, rows, weight, rows_before: 0, weight_before: 0, pages: (0, 1), exact }
    }

    #[test]
    fn a_loss_is_exact_when_it_is_the_whole_gap_or_every_number_was_a_row_of_weight_one() {
        let lost = |gap: Gap, missing, weight, floor| {
            let lost = wanted(&gap, missing, weight, floor);
            (lost.first, lost.last, lost.rows, lost.weight, lost.exact)
        };
        assert_eq!(lost(gap((10, 19), 10, 25, true), 10, 25, 1), (10, 19, 10, 25, true));
        assert_eq!(lost(gap((10, 19), 10, 25, false), 10, 25, 1), (10, 19, 10, 25, false));
        assert_eq!(lost(gap((10, 19), 10, 25, true), 10, 25, 15), (15, 19, 5, 12, false), "below the floor");
        assert_eq!(lost(gap((10, 19), 10, 25, true), 8, 20, 1), (10, 19, 8, 20, false), "a part is forgiven");
        assert_eq!(lost(gap((10, 19), 10, 10, false), 10, 10, 15), (15, 19, 5, 5, true), "no holes");
        assert_eq!(lost(gap((10, 29), 10, 10, true), 10, 10, 15), (15, 29, 10, 10, false), "holes");
    }

    #[test]
    fn two_stretches_have_in_common_what_lies_in_both() {
        for (a, b, common) in [
            ((0, 5), (3, 9), 2),
            ((3, 9), (0, 5), 2),
            ((0, 9), (2, 3), 3),
            ((0, 5), (5, 2), 0),
            ((0, 5), (7, 2), 0),
            ((4, 4), (4, 4), 4),
        ] {
            assert_eq!(overlap(a, b), common, "{a:?} {b:?}");
        }
    }
}
