//! End of a lane's log: its last whole frame, the torn parts of its last commit, and whether the next commit can continue in the same segment.
#![deny(clippy::indexing_slicing)]

use std::collections::BTreeSet;

use super::Scan;
use super::cut_write_remains::resembles_torn;
use crate::planted_flaw::{Flaw, planted};
use crate::row::Lane;
use crate::store::DoneRows;
use crate::store::ring::active_segment::ActiveSegment;
use crate::store::ring::commit_completeness::CommitPart;
use crate::store::ring::find_frames::{Frames, Look, Placed};
use crate::store::ring::frame::{Head, Kind};
use crate::store::ring::segment::{Counters, Segment};
use crate::store::ring::superblock::Waived;

/// Segments at the end of a lane's log, oldest first, with the frames found in them.
pub(super) struct LogEnd {
    lane: u8,
    segments: Vec<(Segment, Frames)>,
    /// Parts of commits that did not arrive whole in this lane.
    pub(super) torn: BTreeSet<CommitPart>,
    /// Rows that no consumer wants, according to the newest snapshot.
    pub(super) done: DoneRows,
}

impl LogEnd {
    pub(super) fn frames(&self) -> impl Iterator<Item = &Placed> {
        self.segments.iter().flat_map(|(_, frames)| &frames.good)
    }

    /// Returns the segments before the first one with a whole frame.
    fn before_frames(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter().take_while(|(_, frames)| frames.good.is_empty()).map(|(segment, _)| segment)
    }

    /// Returns whether the oldest frame of which a part is left belongs to the first commit of the lane: then a frame with index n in its commit
    /// has exactly n frames before it in the lane.
    fn is_first_commit(&self) -> bool {
        let heads = self.segments.first().into_iter().flat_map(|(_, frames)| &frames.broken);
        let oldest = heads.map(|placed| &placed.head).min_by_key(|head| head.base);
        oldest.is_some_and(|head| head.base <= u64::from(head.part) + 1)
    }
}

impl Scan {
    /// Scans a lane's segments, newest first, back to those that may hold changes of commit `from` or later.
    pub(super) fn end(&mut self, look: Look<'_>, lane: u8, segments: &[Segment], from: u64) -> LogEnd {
        let mut scanned = Vec::new();
        let mut end: Option<Counters> = None;
        for segment in segments.iter().rev() {
            let frames = look.frames(segment, end, true);
            for head in frames.good.iter().map(|placed| &placed.head) {
                self.epoch = self.epoch.max(head.epoch);
                if head.commit > self.commit || (head.commit == self.commit && head.closed) {
                    self.closed = head.closed.then_some(head.epoch);
                }
                self.commit = self.commit.max(head.commit);
                self.finished.note(head.epoch, head.synced);
            }
            // A body may be broken; what its header says of earlier commits is as good as any.
            for head in frames.broken.iter().map(|placed| &placed.head) {
                self.finished.note(head.epoch, head.synced);
            }
            end = Some(segment.start);
            let begun = frames.good.first().map(|placed| placed.head);
            scanned.push((*segment, frames));
            // One more than the changes need: the last commit may have begun in the segment before; so may one that failed,
            // of which nothing says that it was synced. And a segment that was never begun does not say where the log ends.
            let whole = |head: Head| head.part == 0 || self.finished.proves(head.epoch, head.commit);
            if segment.commit < from && begun.is_some_and(whole) {
                break;
            }
        }
        scanned.reverse();
        LogEnd { lane, segments: scanned, torn: BTreeSet::new(), done: DoneRows::default() }
    }

    /// Determines where a lane's log ends and the state of its end. `unclean` is the epoch of a run that did not close; `None` after a clean
    /// close.
    pub(super) fn end_lane(&mut self, look: Look<'_>, end: &LogEnd, unclean: Option<u32>) {
        let Some(at) = self.follow(end, unclean) else { return };
        let begun = self.take_back_unbegun(end, unclean.is_none());
        let Some((segment, frames)) = end.segments.iter().take(begun).next_back() else {
            if let Some(log) = self.lanes.get_mut(usize::from(end.lane))
                && (!end.is_first_commit() || planted(Flaw::UnbegunCounted))
            {
                log.counters = at;
            }
            return;
        };
        let at = if frames.good.is_empty() { segment.start } else { at };
        let at = self.after_synced(frames, at);
        if let Some(epoch) = unclean {
            let torn = frames.broken.iter().any(|p| p.head.counter >= at.next);
            self.tail_uncertain |= torn || resembles_torn(look, segment, frames, epoch);
        }
        self.note_broken(end.lane, frames, at.next);
        if let Some(log) = self.lanes.get_mut(usize::from(end.lane)) {
            log.counters = at;
        }
        self.go_on(look, end, segment, frames);
    }

    /// Follows the frames to the last, and returns the log's end there; `None` when the lane has no segments. Frames that are missing in between
    /// and belong to a torn commit are waived, so that they are not reported as lost.
    fn follow(&mut self, end: &LogEnd, unclean: Option<u32>) -> Option<Counters> {
        let mut at = end.segments.first().map(|(segment, _)| segment.start)?;
        // A commit of the run that ended unclean, and nothing says that it was ever synced: nobody got a receipt for it,
        // as far as anyone can know.
        let is_torn = |head: &Head| unclean == Some(head.epoch) && end.torn.contains(&CommitPart::of(head));
        let oldest = self.lanes.get(usize::from(end.lane)).and_then(|log| log.segments.first());
        let whole = end.segments.first().zip(oldest).is_some_and(|((first, _), oldest)| first.is(oldest));
        if let Some(head) = end.frames().next().map(|placed| &placed.head)
            && whole
            && end.before_frames().all(|segment| segment.is_of(head) && !planted(Flaw::UnbegunCounted))
            && head.part > 0
            && is_torn(head)
        {
            // The lane goes on from a torn commit whose first segment never arrived, or nothing whole of it.
            self.waived.extend(self.before_torn_start(end, head));
        }
        for head in end.frames().map(|placed| &placed.head) {
            let torn = is_torn(head);
            self.tail_uncertain |= torn;
            let missing = head.base.saturating_sub(at.next);
            // Of part n at most n frames before it belong to that commit.
            if missing > 0 && torn && (u64::from(head.part) >= missing || planted(Flaw::AllForgiven)) {
                self.waived.push(between(end.lane, &at, head));
            }
            at = Counters::after(head);
        }
        Some(at)
    }

    /// Returns the rows before the frame of a torn commit, with which the lane starts, that are waived; `None` if it is none. Only the commit's
    /// own rows are, and rows that no consumer wants any more: others were durable, and damage took them.
    fn before_torn_start(&self, end: &LogEnd, head: &Head) -> Option<Waived> {
        let known = self.ends.lane(end.lane);
        // Of part n at most n frames before it are the commit's: with more a durable one is gone. A lane's first has the number 1.
        let missing = head.base.saturating_sub(known.next.max(1));
        let own = missing <= u64::from(head.part);
        if own && end.done.covers(1, known.highest) || planted(Flaw::AllForgiven) {
            return Some(between(end.lane, &Counters::default(), head));
        }
        (own && missing > 0).then(|| between(end.lane, &known, head))
    }

    /// Gives back the segments that were never begun, because no whole frame of the commit that was to begin them arrived. Every open finds them
    /// until the lane is written to again. Returns how many segments were begun.
    fn take_back_unbegun(&mut self, end: &LogEnd, clean: bool) -> usize {
        let unbegun =
            |(segment, frames): &&(Segment, Frames)| frames.good.is_empty() && !self.was_synced(segment);
        let begun = end.segments.len() - end.segments.iter().rev().take_while(unbegun).count();
        if begun < end.segments.len() {
            self.cut_off.push(end.lane);
        }
        for (segment, _) in end.segments.iter().skip(begun) {
            self.tail_uncertain |= !clean && segment.commit >= self.commit;
            if let Some(log) = self.lanes.get_mut(usize::from(end.lane)) {
                log.segments.retain(|s| !s.is(segment));
                log.free.put_suspect(segment.slot);
            }
        }
        begun
    }

    /// Makes the next commit continue in the last segment, if possible, and notes the frames that may not be durable.
    fn go_on(&mut self, look: Look<'_>, end: &LogEnd, segment: &Segment, frames: &Frames) {
        let Some(log) = self.lanes.get_mut(usize::from(end.lane)) else { return };
        // Without a first page that is good and durable the segment could not be found again: the next commit begins
        // another.
        let found_again = frames.good.first().is_some_and(|p| p.page == 0 && p.head.kind == Kind::Snapshot);
        let tail = ActiveSegment::new(segment.slot, segment.generation, look.geometry.pages(), frames.used);
        if self.durable {
            log.tail = found_again.then_some(tail);
            return;
        }
        let commit = end.frames().last().map(|p| p.head.commit);
        let last: Vec<Placed> = end.frames().filter(|p| Some(p.head.commit) == commit).copied().collect();
        let pages: u32 = last.iter().map(|p| p.head.pages).sum();
        let fits = |p: &Placed| p.head.kind == Kind::Records && p.head.slot == segment.slot;
        let copied = last.iter().all(fits) && tail.left() >= pages as usize;
        if found_again && (copied || log.free.len() == 0) {
            log.tail = Some(tail);
        }
        self.unproven.extend(last);
    }

    /// Returns the log's end; if broken frames follow that were certainly synced, the position after the last of them, so that their rows count
    /// as lost. Of a grown frame only the newest copy may be broken: then the rows missing in the copy before it are lost.
    fn after_synced(&self, frames: &Frames, at: Counters) -> Counters {
        let heads = frames.broken.iter().map(|placed| &placed.head);
        let lost =
            heads.filter(|head| head.counter >= at.next && self.finished.proves(head.epoch, head.commit));
        lost.max_by_key(|head| head.counter).map_or(at, Counters::after)
    }

    /// Notes frames with a valid header and a damaged body, unless they do not count: replaced by later ones, waived, or at the log's end,
    /// where only those of the run that closed the ring last were certainly whole once.
    fn note_broken(&mut self, lane: u8, frames: &Frames, end: u64) {
        let closed = self.closed;
        let counts = |p: &&Placed| p.head.counter < end || closed == Some(p.head.epoch);
        for placed in frames.broken.iter().filter(counts) {
            let counter = placed.head.counter;
            let replaced = frames.good.iter().any(|g| g.head.base <= counter && counter <= g.head.counter);
            let waived = self.waived.iter().any(|gap| gap.covers(lane, counter));
            if !replaced && !waived {
                self.broken.push(*placed);
            }
        }
    }

    /// Reports the broken frames, but for those whose rows are all done: somebody was told of the loss and counted it, or acknowledged them. They
    /// stay where they are until the slot is used again.
    pub(super) fn tell_broken(&mut self, look: Look<'_>) {
        let done = |head: &Head| {
            let state = self.state.as_ref().filter(|_| head.rows > 0);
            state.is_some_and(|state| state.done(Lane(head.lane)).covers(head.first_seq, head.last_seq))
        };
        self.broken.retain(|placed| !done(&placed.head));
        for placed in &self.broken {
            let Head { lane, counter, slot, .. } = placed.head;
            // With good checksums it was written so: by somebody else, or moved.
            let unopened = look.pages.is_unopened(&placed.head, placed.page);
            let what = if unopened { "does not open with this key" } else { "is damaged" };
            self.damage.push(format!("lane {lane}: frame {counter} in segment {slot} {what}"));
        }
    }
}

/// Returns the rows that are missing from `at` to the frame of `head`.
fn between(lane: u8, at: &Counters, head: &Head) -> Waived {
    Waived {
        lane,
        first: at.next,
        last: head.base.saturating_sub(1),
        rows: head.rows_before.saturating_sub(at.rows),
        weight: head.weight_before.saturating_sub(at.weight),
        rows_before: at.rows,
        weight_before: at.weight,
    }
}

#[cfg(test)]
pub(super) mod tests;
