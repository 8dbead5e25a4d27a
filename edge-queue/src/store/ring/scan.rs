//! Finding out at open what the segments hold: one page per segment, and the last segment of each lane in full.
#![deny(clippy::indexing_slicing)]

use std::collections::BTreeSet;

use super::changes::Changes;
use super::finished::{Finished, Part};
use super::frame::{Head, Kind, into_body};
use super::lane::LaneLog;
use super::segment::{Counters, Frames, Look, Placed, Segment, Slot};
use super::snapshot::get_snapshot;
use super::superblock::Waived;
use super::tail::Tail;
use super::window::Window;
use crate::flaw::{Flaw, planted};
use crate::state::State;

/// What a scan found.
pub(super) struct Scan {
    pub(super) lanes: Vec<LaneLog>,
    pub(super) state: Option<State>,
    /// Highest numbers seen anywhere.
    pub(super) commit: u64,
    pub(super) generation: u64,
    pub(super) epoch: u32,
    /// Epoch of the close mark, when the last commit holds one.
    pub(super) closed: Option<u32>,
    pub(super) tail_uncertain: bool,
    pub(super) waived: Vec<Waived>,
    pub(super) damage: Vec<String>,
    /// Broken frames, to be set aside.
    pub(super) broken: Vec<Placed>,
    /// Slots with pages that belong elsewhere, to be set aside.
    pub(super) foreign: Vec<u32>,
    /// After an unclean stop: frames nobody knows to be durable although they can be read. Their sync may have failed,
    /// and after that Linux shows pages that are not on the medium. A later commit in the same segment proves that
    /// the one before it was synced, so it is the last commit of each lane only.
    pub(super) unproven: Vec<Placed>,
    /// Lanes whose newest segment was never begun: what is left of it would cut off what an earlier one took in after it.
    /// Another one that begins in the same place does away with it, so the next commit of the lane begins one.
    pub(super) cut_off: Vec<u8>,
    /// Which commits are known to have ended.
    finished: Finished,
    /// Segments whose first frame cannot be read: damage, or what a power cut left of the last commit.
    headless: Vec<(u8, Segment)>,
}

/// The segments at the end of a lane, oldest first, scanned.
struct End {
    lane: u8,
    segments: Vec<(Segment, Frames)>,
    /// Commits of which this lane holds a part only.
    torn: BTreeSet<Part>,
}

impl End {
    fn frames(&self) -> impl Iterator<Item = &Placed> {
        self.segments.iter().flat_map(|(_, frames)| &frames.good)
    }
}

impl Scan {
    /// Scans the whole ring. `epoch` and `waived`: the superblock's.
    pub(super) fn run(look: Look<'_>, epoch: u32, waived: &[Waived]) -> Scan {
        let mut scan = Scan {
            lanes: Vec::new(),
            state: None,
            commit: 0,
            generation: 0,
            epoch,
            closed: None,
            tail_uncertain: false,
            waived: waived.to_vec(),
            damage: Vec::new(),
            broken: Vec::new(),
            foreign: Vec::new(),
            unproven: Vec::new(),
            cut_off: Vec::new(),
            finished: Finished::default(),
            headless: Vec::new(),
        };
        let mut segments = Vec::new();
        let mut heads = Vec::new();
        for lane in 0..look.geometry.lanes {
            let (log, mut all) = scan.lane(look, lane);
            heads.extend(all.iter().copied());
            all.retain(|s| log.segments.iter().any(|kept| kept.is(s)));
            segments.push(all);
            scan.lanes.push(log);
        }
        let (snapshot, unreadable) = newest_snapshot(look, &mut heads);
        let replay_from = snapshot.as_ref().map_or(0, |(commit, _)| *commit);
        let mut changes = Changes::default();
        let mut ends = Vec::new();
        for (lane, segments) in (0u8..).zip(&segments) {
            ends.push(scan.end(look, lane, segments, replay_from));
        }
        scan.doubt_torn_close(&ends);
        let clean = scan.closed == Some(epoch);
        for end in &mut ends {
            end.torn = scan.finished.torn(end.frames().map(|placed| &placed.head), clean.then_some(epoch));
            let torn = |head: &Head| end.torn.contains(&Part::of(head)) && !planted(Flaw::TornChangesApplied);
            for placed in end.frames().filter(|p| p.head.kind == Kind::Records) {
                changes.collect(look, placed, replay_from, torn(&placed.head));
            }
            scan.end_lane(look, end, (!clean).then_some(epoch));
        }
        let mut state = snapshot.map(|(_, state)| state);
        if state.is_none() && !changes.is_empty() {
            state = Some(State::new(look.gateway, look.geometry.lanes));
        }
        if let Some(state) = &mut state {
            changes.apply(state);
        }
        scan.state = state;
        scan.judge_headless(&unreadable, clean);
        scan.lanes.iter_mut().for_each(LaneLog::keep_writable);
        scan
    }

    /// A close mark of which only the frame arrived, and not the segment it began, closed nothing.
    fn doubt_torn_close(&mut self, ends: &[End]) {
        let closing = |placed: &&Placed| placed.head.closed && placed.head.commit == self.commit;
        let torn = ends.iter().any(|end| {
            let torn = self.finished.torn(end.frames().map(|placed| &placed.head), None);
            end.frames().filter(closing).any(|placed| torn.contains(&Part::of(&placed.head)))
        });
        if torn {
            self.closed = None;
        }
    }

    /// Frees what the floors give up, then tells damaged segment heads from those a power cut left half written.
    fn judge_headless(&mut self, unreadable: &[Segment], clean: bool) {
        if let Some(state) = &self.state {
            self.lanes.iter_mut().zip(&state.lane).for_each(|(log, lane)| log.advance(lane.floor));
        }
        // A start that nothing proves to have been synced was torn, by this power cut or by an earlier one.
        for segment in unreadable {
            self.headless.retain(|(_, s)| !s.is(segment));
            if self.was_synced(segment) {
                self.damage
                    .push(format!("the bookkeeping at the start of segment {} is damaged", segment.slot));
            } else {
                self.tail_uncertain |= !clean && segment.commit >= self.commit;
            }
        }
        for (lane, segment) in std::mem::take(&mut self.headless) {
            let kept = self.lanes.iter().any(|l| l.segments.iter().any(|s| s.is(&segment)));
            if kept && self.was_synced(&segment) {
                // One that is not kept was about to be written anew when the power went.
                self.damage.push(format!("lane {lane}: the header of segment {} is damaged", segment.slot));
            } else {
                self.tail_uncertain |= kept && !clean && segment.commit >= self.commit;
            }
        }
    }

    /// Whether the commit that began a segment is known to have been synced: later frames of its run say so, or the run
    /// closed the ring.
    fn was_synced(&self, segment: &Segment) -> bool {
        self.closed == Some(segment.epoch) || self.finished.proves(segment.epoch, segment.commit)
    }

    /// The segments of a lane, oldest first; the second list is that of all heads seen.
    fn lane(&mut self, look: Look<'_>, lane: u8) -> (LaneLog, Vec<Segment>) {
        let mut log = LaneLog::new(lane);
        let (mut found, mut headless) = (Vec::<Segment>::new(), Vec::new());
        for slot in look.geometry.slots(lane) {
            match look.segment(slot, lane) {
                Slot::Blank => log.free.put_blank(slot),
                Slot::Unknown => log.free.put_written(slot),
                Slot::Foreign => {
                    self.damage.push(format!("lane {lane}: segment {slot} holds pages of another place"));
                    self.foreign.push(slot);
                    log.free.put_written(slot);
                }
                Slot::Used(segment) => found.push(segment),
                Slot::Headless(segment) => headless.push(segment),
            }
        }
        for segment in headless {
            // A life is lived in one slot.
            if found.iter().any(|other| other.generation == segment.generation) {
                log.free.put_written(segment.slot);
            } else {
                self.headless.push((lane, segment));
                found.push(segment);
            }
        }
        found.sort_by_key(|s| s.generation);
        let (mut below, mut highest) = (u64::MAX, u64::MAX);
        for segment in found.iter().rev() {
            self.generation = self.generation.max(segment.generation);
            self.commit = self.commit.max(segment.commit);
            self.finished.note(segment.epoch, segment.synced);
            self.epoch = self.epoch.max(segment.epoch);
            // One that begins where a later one begins is what a failed commit left behind. Rows ascend as well.
            if segment.start.next < below && segment.start.highest <= highest {
                (below, highest) = (segment.start.next, segment.start.highest);
                log.segments.push(*segment);
            } else {
                log.free.put_written(segment.slot);
            }
        }
        log.segments.reverse();
        (log, found)
    }

    /// Scans a lane's segments, newest first, back to those that may hold changes of commit `from` or later.
    fn end(&mut self, look: Look<'_>, lane: u8, segments: &[Segment], from: u64) -> End {
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
            let begun = !frames.good.is_empty();
            scanned.push((*segment, frames));
            // One more than the changes need: the last commit may have begun in the segment before. And one that was
            // never begun does not say where the log ends.
            if begun && segment.commit < from {
                break;
            }
        }
        scanned.reverse();
        End { lane, segments: scanned, torn: BTreeSet::new() }
    }

    /// Decides where a lane's log ends and what its end looks like.
    fn end_lane(&mut self, look: Look<'_>, end: &End, unclean: Option<u32>) {
        let clean = unclean.is_none();
        let Some(mut at) = end.segments.first().map(|(segment, _)| segment.start) else { return };
        let oldest = self.lanes.get(usize::from(end.lane)).and_then(|log| log.segments.first());
        if let Some(head) = end.frames().next().map(|placed| &placed.head)
            && oldest.is_some_and(|segment| segment.generation == head.generation)
            && head.part > 0
            && unclean == Some(head.epoch)
            && end.torn.contains(&Part::of(head))
        {
            // The lane goes on from a torn commit whose first segment never arrived.
            let start = Counters::default();
            self.waived.push(between(end.lane, &start, head));
        }
        for head in end.frames().map(|placed| &placed.head) {
            // A commit of the run that ended unclean, and nothing says that it was ever synced: nobody got a receipt
            // for it, as far as anyone can know. Of part n at most n frames before it belong to that commit.
            let torn = unclean == Some(head.epoch) && end.torn.contains(&Part::of(head));
            self.tail_uncertain |= torn;
            let missing = head.base.saturating_sub(at.next);
            if missing > 0 && torn && u64::from(head.part) >= missing {
                self.waived.push(between(end.lane, &at, head));
            }
            at = Counters::after(head);
        }
        // A segment begun by the last commit of a run, of which nothing whole arrived, was never begun. Until the lane is
        // written to again every open finds it.
        let torn =
            |(segment, frames): &&(Segment, Frames)| frames.good.is_empty() && !self.was_synced(segment);
        let begun = end.segments.len() - end.segments.iter().rev().take_while(torn).count();
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
        let Some((segment, frames)) = end.segments.iter().take(begun).next_back() else {
            if let Some(log) = self.lanes.get_mut(usize::from(end.lane)) {
                log.counters = at;
            }
            return;
        };
        if frames.good.is_empty() {
            at = segment.start;
        }
        let next = frames.used;
        at = self.after_synced(frames, at);
        if let Some(epoch) = unclean {
            let torn = frames.broken.iter().any(|p| p.head.counter >= at.next);
            self.tail_uncertain |= torn || resembles_torn(look, segment, next, frames, epoch);
        }
        self.note_broken(end.lane, segment, frames, at.next);
        let Some(log) = self.lanes.get_mut(usize::from(end.lane)) else { return };
        log.counters = at;
        // Without a first page that is good and durable the segment could not be found again: the next commit begins
        // another.
        let headed = frames.good.first().is_some_and(|p| p.page == 0 && p.head.kind == Kind::Snapshot);
        let tail = Tail::new(segment.slot, segment.generation, look.geometry.pages(), next);
        let commit = frames.good.last().map(|p| p.head.commit);
        let last: Vec<Placed> =
            frames.good.iter().filter(|p| Some(p.head.commit) == commit).copied().collect();
        let pages: u32 = last.iter().map(|p| p.head.pages).sum();
        let copied = last.iter().all(|p| p.head.kind == Kind::Records) && tail.left() >= pages as usize;
        if headed && clean {
            log.tail = Some(tail);
        } else if headed && (copied || log.free.len() == 0) {
            log.tail = Some(tail);
            self.unproven.extend(last);
        }
    }

    /// The end, or behind a broken frame after it that was synced: that is a loss even there, since both copies of a grown
    /// frame can be damaged.
    fn after_synced(&self, frames: &Frames, at: Counters) -> Counters {
        let heads = frames.broken.iter().map(|placed| &placed.head);
        let lost = heads.filter(|head| head.base >= at.next && self.finished.proves(head.epoch, head.commit));
        lost.max_by_key(|head| head.counter).map_or(at, Counters::after)
    }

    /// Reports frames whose header is good and whose body is not, unless they do not count: replaced by later ones,
    /// forgiven, or at the log's end, where only those of the run that closed the ring last were surely whole once.
    fn note_broken(&mut self, lane: u8, segment: &Segment, frames: &Frames, end: u64) {
        let closed = self.closed;
        let counts = |p: &&Placed| p.head.counter < end || closed == Some(p.head.epoch);
        for placed in frames.broken.iter().filter(counts) {
            let counter = placed.head.counter;
            let replaced = frames.good.iter().any(|g| g.head.base <= counter && counter <= g.head.counter);
            let waived =
                self.waived.iter().any(|w| w.lane == lane && w.first <= counter && counter <= w.last);
            if !replaced && !waived {
                let slot = segment.slot;
                self.damage.push(format!("lane {lane}: frame {counter} in segment {slot} is damaged"));
                self.broken.push(*placed);
            }
        }
    }
}

/// What is missing from `at` to the frame of `head`.
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

/// Whether a page that no frame lies on looks like a write behind the end that did not come through. It can lie before
/// the end: copies of a grown frame take turns.
fn resembles_torn(look: Look<'_>, segment: &Segment, next: u32, frames: &Frames, epoch: u32) -> bool {
    let Some(last) = frames.good.last() else { return false };
    let mut window = Window::new(look.pages, segment.slot, super::layout::READ_BYTES);
    let taken = |page: u32| frames.good.iter().any(|p| (p.page..p.end()).contains(&page));
    (0..look.geometry.pages().min(next.saturating_add(4))).filter(|page| !taken(*page)).any(|page| {
        let bytes = window.page(page);
        Head::decode(bytes).is_none() && Head::resembles(bytes, &last.head, epoch)
    })
}

/// The newest snapshot that can be read with its commit, and the segments of newer ones that cannot.
fn newest_snapshot(look: Look<'_>, heads: &mut [Segment]) -> (Option<(u64, State)>, Vec<Segment>) {
    heads.sort_by_key(|s| std::cmp::Reverse((s.commit, s.generation)));
    let mut unreadable = Vec::new();
    for segment in heads.iter() {
        let mut window = Window::new(look.pages, segment.slot, super::layout::PAGE);
        let head = Head::decode(window.page(0))
            .filter(|h| h.kind == Kind::Snapshot && h.generation == segment.generation);
        let state = head.and_then(|head| {
            let mut bytes = look.pages.frame(&head, 0)?;
            into_body(&head, &mut bytes);
            get_snapshot(&bytes, head.gateway, head.epoch)
        });
        match state {
            Some(state) => return (Some((segment.commit, state)), unreadable),
            None => unreadable.push(*segment),
        }
    }
    (None, unreadable)
}
