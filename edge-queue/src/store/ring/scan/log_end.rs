//! End of a lane's log: its last whole frame, the torn parts of its last commit, and whether the next commit can continue in the same segment.
#![deny(clippy::indexing_slicing)]

use std::collections::BTreeSet;

use super::Scan;
use super::cut_write_remains::resembles_torn;
use crate::planted_flaw::{Flaw, planted};
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
        self.note_broken(end.lane, segment, frames, at.next);
        if let Some(log) = self.lanes.get_mut(usize::from(end.lane)) {
            log.counters = at;
        }
        self.go_on(look, end.lane, segment, frames, unclean.is_none());
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

    /// Makes the next commit continue in the last segment, if possible.
    fn go_on(&mut self, look: Look<'_>, lane: u8, segment: &Segment, frames: &Frames, clean: bool) {
        let Some(log) = self.lanes.get_mut(usize::from(lane)) else { return };
        // Without a first page that is good and durable the segment could not be found again: the next commit begins
        // another.
        if !frames.good.first().is_some_and(|p| p.page == 0 && p.head.kind == Kind::Snapshot) {
            return;
        }
        let tail = ActiveSegment::new(segment.slot, segment.generation, look.geometry.pages(), frames.used);
        if clean {
            log.tail = Some(tail);
            return;
        }
        let commit = frames.good.last().map(|p| p.head.commit);
        let last: Vec<Placed> =
            frames.good.iter().filter(|p| Some(p.head.commit) == commit).copied().collect();
        let pages: u32 = last.iter().map(|p| p.head.pages).sum();
        let copied = last.iter().all(|p| p.head.kind == Kind::Records) && tail.left() >= pages as usize;
        if copied || log.free.len() == 0 {
            log.tail = Some(tail);
            self.unproven.extend(last);
        }
    }

    /// Returns the log's end; if broken frames follow that were certainly synced, the position after the last of them, so that their rows count
    /// as lost. Of a grown frame only the newest copy may be broken: then the rows missing in the copy before it are lost.
    fn after_synced(&self, frames: &Frames, at: Counters) -> Counters {
        let heads = frames.broken.iter().map(|placed| &placed.head);
        let lost =
            heads.filter(|head| head.counter >= at.next && self.finished.proves(head.epoch, head.commit));
        lost.max_by_key(|head| head.counter).map_or(at, Counters::after)
    }

    /// Reports frames with a valid header and a damaged body, unless they do not count: replaced by later ones, waived, or at the log's end,
    /// where only those of the run that closed the ring last were certainly whole once.
    fn note_broken(&mut self, lane: u8, segment: &Segment, frames: &Frames, end: u64) {
        let closed = self.closed;
        let counts = |p: &&Placed| p.head.counter < end || closed == Some(p.head.epoch);
        for placed in frames.broken.iter().filter(counts) {
            let counter = placed.head.counter;
            let replaced = frames.good.iter().any(|g| g.head.base <= counter && counter <= g.head.counter);
            let waived = self.waived.iter().any(|gap| gap.covers(lane, counter));
            if !replaced && !waived {
                let slot = segment.slot;
                self.damage.push(format!("lane {lane}: frame {counter} in segment {slot} is damaged"));
                self.broken.push(*placed);
            }
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
pub(super) mod tests {
    use super::*;
    use crate::store::ring::frame::tests::sample;
    use crate::store::ring::layout::{Geometry, PAGE};
    use crate::store::ring::page_reader::Pages;
    use crate::store::ring::scan::tests::scan;
    use crate::store::ring::test_sectors::Sectors;

    /// The end of lane 0 with these segments and their whole frames.
    pub(in crate::store::ring) fn end(segments: Vec<(Segment, Vec<Placed>)>) -> LogEnd {
        let frames = |good| Frames { good, ..Frames::default() };
        let segments = segments.into_iter().map(|(segment, good)| (segment, frames(good))).collect();
        LogEnd { lane: 0, segments, torn: BTreeSet::new(), done: DoneRows::default() }
    }

    /// A frame of run 1 with one row.
    pub(in crate::store::ring) fn placed(commit: u64, part: u32, counter: u64, ends: bool) -> Placed {
        let (base, first_seq, last_seq, rows) = (counter, counter, counter, 1);
        let (rows_before, weight_before, weight) = (counter - 1, counter - 1, 1);
        let head = Head { lane: 0, epoch: 1, commit, part, counter, base, ends, synced: 0, ..sample() };
        let head = Head { first_seq, last_seq, rows, rows_before, weight_before, weight, ..head };
        Placed { head, page: 1 }
    }

    fn segment(slot: u32, commit: u64, next: u64) -> Segment {
        let start = Counters { next, rows: next - 1, weight: next - 1, highest: next - 1 };
        Segment { slot, generation: u64::from(slot), epoch: 1, commit, synced: 0, start }
    }

    /// Losses that are forgiven, and whether the end is uncertain, after a kill in commit 9.
    fn followed(segments: Vec<(Segment, Vec<Placed>)>) -> (Vec<(u64, u64)>, bool) {
        let mut scan = scan(Counters::default(), Counters::default());
        scan.lanes[0].segments = segments.iter().map(|(segment, _)| *segment).collect();
        let mut end = end(segments);
        end.torn.insert(CommitPart::of(&placed(9, 0, 1, false).head));
        assert!(scan.follow(&end, Some(1)).is_some());
        (scan.waived.iter().map(|gap| (gap.first, gap.last)).collect(), scan.tail_uncertain)
    }

    #[test]
    fn only_frames_that_are_missing_and_belong_to_a_torn_commit_are_forgiven() {
        let whole = segment(0, 8, 5);
        assert_eq!(followed(vec![(whole, vec![placed(8, 0, 5, true)])]), (vec![], false));
        // Torn at its end, in the middle, and where more is missing than its own frames.
        assert_eq!(followed(vec![(whole, vec![placed(9, 0, 5, false)])]), (vec![], true));
        let gap = |part| vec![placed(8, 0, 5, true), placed(9, part, 8, false)];
        assert_eq!(followed(vec![(whole, gap(2))]), (vec![(6, 7)], true));
        assert_eq!(followed(vec![(whole, gap(1))]), (vec![], true));
    }

    #[test]
    fn a_first_segment_of_which_nothing_is_left_is_forgiven_if_the_torn_commit_began_it() {
        let behind = |frame| vec![(segment(0, 9, 1), vec![]), (segment(1, 9, 7), vec![frame])];
        assert_eq!(followed(behind(placed(9, 6, 7, false))).0, [(0, 6), (1, 6)]);
        assert_eq!(followed(behind(placed(9, 5, 7, false))).0, []);
    }

    #[test]
    fn before_a_torn_commit_that_starts_the_lane_its_own_rows_are_forgiven_and_others_only_if_nobody_wants_them()
     {
        let forgiven = |known: u64, part, floor| {
            let mut scan = scan(Counters::default(), segment(1, 9, known).start);
            let list = vec![(segment(1, 9, 7), vec![placed(9, part, 7, true)])];
            scan.lanes[0].segments = list.iter().map(|(segment, _)| *segment).collect();
            let mut end = LogEnd { done: DoneRows::below(floor), ..end(list) };
            end.torn.insert(CommitPart::of(&placed(9, part, 7, true).head));
            assert!(scan.follow(&end, Some(1)).is_some());
            scan.waived.iter().map(|gap| (gap.first, gap.last, gap.rows)).collect::<Vec<_>>()
        };
        // Known up to frame 5 with row 5, which somebody wants: one frame is missing, or more than the commit's own.
        assert_eq!((forgiven(6, 1, 5), forgiven(6, 2, 1)), (vec![(6, 6, 1)], vec![(6, 6, 1)]));
        assert_eq!((forgiven(5, 1, 4), forgiven(7, 1, 6), forgiven(9, 1, 1)), (vec![], vec![], vec![]));
        // Nobody wants a row from before the commit: its first segment never arrived. Or a durable frame is gone as well.
        assert_eq!((forgiven(6, 1, 6), forgiven(5, 2, 5)), (vec![(0, 6, 6)], vec![(0, 6, 6)]));
        assert_eq!((forgiven(5, 1, 5), forgiven(1, 6, 1)), (vec![], vec![(0, 6, 6)]));
    }

    #[test]
    fn a_segment_never_begun_is_given_back_unread_and_its_lane_begins_another() {
        for (commit, clean, uncertain) in [(9, false, true), (8, false, false), (9, true, false)] {
            let mut scan = scan(Counters::default(), Counters::default());
            scan.commit = 9;
            let list = vec![(segment(0, 3, 1), vec![placed(3, 0, 1, true)]), (segment(1, commit, 2), vec![])];
            scan.lanes[0].segments = list.iter().map(|(segment, _)| *segment).collect();
            assert_eq!(scan.take_back_unbegun(&end(list), clean), 1);
            assert_eq!((scan.tail_uncertain, &scan.cut_off[..]), (uncertain, &[0][..]), "{commit}, {clean}");
            assert_eq!((scan.lanes[0].segments.len(), scan.lanes[0].free.take(|_| false)), (1, None));
            assert_eq!(scan.lanes[0].free.take(|_| true), Some(1));
        }
        let mut scan = scan(Counters::default(), Counters::default());
        let begun = end(vec![(segment(0, 3, 1), vec![placed(3, 0, 1, true)])]);
        assert_eq!((scan.take_back_unbegun(&begun, false), scan.cut_off.len()), (1, 0));
    }

    #[test]
    fn a_first_commit_is_told_by_its_oldest_header() {
        let first = |part, counter| {
            let mut end = end(vec![(segment(0, 9, 1), vec![])]);
            end.segments[0].1.broken =
                vec![placed(9, part + 1, counter + 1, false), placed(9, part, counter, false)];
            end.is_first_commit()
        };
        assert!(first(0, 1) && first(2, 3) && !first(2, 4));
        assert!(!end(vec![(segment(0, 9, 1), vec![])]).is_first_commit(), "nothing says so");
    }

    #[test]
    fn a_first_commit_of_two_segments_is_told_by_the_first_of_them() {
        let first = |begun: Placed, next: Placed| {
            let mut end = end(vec![(segment(0, 9, 1), vec![]), (segment(1, 9, 9), vec![])]);
            (end.segments[0].1.broken, end.segments[1].1.broken) = (vec![begun], vec![next]);
            end.is_first_commit()
        };
        assert!(first(placed(9, 0, 1, false), placed(9, 1, 9, false)));
        assert!(!first(placed(9, 1, 9, false), placed(9, 0, 1, false)));
    }

    const GEOMETRY: Geometry = Geometry { segment_bytes: 16 * PAGE as u32, lanes: 1, segments: [4, 0, 0, 0] };

    fn with_look<T>(file: &Sectors, f: impl FnOnce(Look<'_>) -> T) -> T {
        let pages = Pages::new(file, &GEOMETRY);
        f(Look { pages: &pages, geometry: &GEOMETRY, gateway: sample().gateway })
    }

    #[test]
    fn the_log_goes_on_in_its_last_segment_only_where_the_last_commit_can_be_copied_whole() {
        let start = Placed { page: 0, ..placed(9, 0, 1, false) };
        let start = Placed { head: Head { kind: Kind::Snapshot, ..start.head }, ..start };
        let goes_on = |good: Vec<Placed>, used, free| {
            let mut scan = scan(Counters::default(), Counters::default());
            (0..free).for_each(|slot| scan.lanes[0].free.put_written(slot));
            let frames = Frames { good, used, ..Frames::default() };
            with_look(&Sectors::default(), |look| scan.go_on(look, 0, &segment(0, 9, 1), &frames, false));
            (scan.lanes[0].tail.is_some(), scan.unproven.len())
        };
        // The commit that began the segment, a later one, and one for whose copy too few pages are left.
        let begun = vec![start, placed(9, 1, 2, true)];
        let later = vec![start, placed(10, 0, 2, true)];
        assert_eq!((goes_on(begun.clone(), 2, 1), goes_on(begun, 2, 0)), ((false, 0), (true, 2)));
        assert_eq!((goes_on(later.clone(), 2, 1), goes_on(later.clone(), 16, 1)), ((true, 1), (false, 0)));
        assert_eq!(goes_on(later, 16, 0), (true, 1));
    }

    #[test]
    fn segments_are_read_back_to_one_that_a_commit_began_with_and_none_before_it() {
        let read_back = |part, synced| {
            let mut file = Sectors::new(2 + 4 * 16, 0);
            let mut segments = Vec::new();
            for (slot, commit, part) in [(0, 2, 0), (1, 3, part), (2, 5, 0), (3, 9, 0)] {
                let counter = u64::from(slot) + 1;
                let mut frame = Vec::new();
                let head =
                    Head { kind: Kind::Snapshot, slot, synced, ..placed(commit, part, counter, true).head };
                let head = head.seal(&[7; 100], &mut frame);
                let at = usize::try_from(GEOMETRY.offset(slot, 0)).unwrap();
                file.bytes[at..at + PAGE].copy_from_slice(&frame);
                segments.push(Segment::of(&head));
            }
            let mut scan = scan(Counters::default(), Counters::default());
            with_look(&file, |look| scan.end(look, 0, &segments, 5)).segments.len()
        };
        assert_eq!((read_back(0, 0), read_back(1, 0), read_back(1, 3)), (3, 4, 3));
    }
}
