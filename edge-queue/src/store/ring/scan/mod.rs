//! Scan of the segments at open: one page per segment, and the last segment of each lane in full ([`log_end`], [`cut_write_remains`]).
#![deny(clippy::indexing_slicing)]

mod cut_write_remains;
mod log_end;

use super::changes::Changes;
use super::checkpoint::Checkpoint;
use super::commit_completeness::{CommitPart, Completeness};
use super::find_frames::{Look, Placed, Slot};
use super::frame::{Head, Kind};
use super::high_water::HighWaterMarks;
use super::lane::LaneLog;
use super::page_reader::PageReader;
use super::segment::{Counters, Segment};
use super::snapshot::get_head;
use super::superblock::Waived;
use crate::planted_flaw::{Flaw, planted};
use crate::row::Lane;
use crate::state::State;

use log_end::LogEnd;

/// More commits, and segments, than the slots that could not be read can have taken.
const UNREAD_LEAP: u64 = 1 << 32;

/// Findings of a scan.
pub(super) struct Scan {
    pub(super) lanes: Vec<LaneLog>,
    pub(super) state: Option<State>,
    /// Highest number of a commit found anywhere; `generation` and `epoch` are the highest of their kind too.
    pub(super) commit: u64,
    pub(super) generation: u64,
    pub(super) epoch: u32,
    /// Epoch of the close mark; `None` when the last commit holds none.
    pub(super) closed: Option<u32>,
    /// Set if the superblock says that the commit with the close mark was synced, so that all that was found is durable.
    pub(super) durable: bool,
    pub(super) tail_uncertain: bool,
    pub(super) waived: Vec<Waived>,
    pub(super) damage: Vec<String>,
    /// Broken frames, to be quarantined.
    pub(super) broken: Vec<Placed>,
    /// Slots with foreign pages, to be quarantined.
    pub(super) foreign: Vec<u32>,
    /// Readable frames that may not be durable, unless a close proved it. Their sync may have failed, and after that Linux returns pages that are
    /// not on the medium. A later commit in the same segment proves that the one before it was synced, so these are only the last commit of each
    /// lane.
    pub(super) unproven: Vec<Placed>,
    /// Lanes whose newest segment was never begun. Its remains would hide rows written to an earlier segment from now on, so the next commit of
    /// the lane begins a segment, which replaces them.
    pub(super) cut_off: Vec<u8>,
    /// High-water marks of the lanes, as far as they are known.
    pub(super) ends: HighWaterMarks,
    /// Commits that are known to have ended.
    pub(super) finished: Completeness,
    /// Segments whose first frame cannot be read: damaged, or the remains of a commit cut by a power loss.
    headless: Vec<(u8, Segment)>,
}

impl Scan {
    /// Scans the whole ring. `epoch`, `waived` and `known` are those of the superblock.
    pub(super) fn run(look: Look<'_>, epoch: u32, waived: &[Waived], known: &Checkpoint) -> Scan {
        let nothing = Checkpoint::default();
        let known = if planted(Flaw::EndsUnknown) { &nothing } else { known };
        let mut scan = Scan::begin(epoch, waived, known);
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
        let base = scan.base(known, snapshot);
        let replay_from = base.as_ref().map_or(0, |(commit, _)| *commit);
        scan.commit = scan.commit.max(replay_from);
        let mut changes = Changes::default();
        let mut ends = Vec::new();
        for (lane, segments) in (0u8..).zip(&segments) {
            ends.push(scan.end(look, lane, segments, replay_from));
        }
        scan.doubt_torn_close(&ends);
        let clean = scan.closed == Some(epoch);
        let closing = known.state.as_ref().filter(|(_, state)| state.epoch == epoch);
        scan.durable = clean && closing.is_some_and(|(commit, _)| *commit >= scan.commit);
        for (lane, end) in (0u8..).zip(&mut ends) {
            end.done = base.as_ref().map(|(_, state)| state.done(Lane(lane))).unwrap_or_default();
            end.torn = scan.finished.torn(end.frames().map(|placed| &placed.head), clean.then_some(epoch));
            let torn =
                |head: &Head| end.torn.contains(&CommitPart::of(head)) && !planted(Flaw::TornChangesApplied);
            for placed in end.frames().filter(|p| p.head.kind == Kind::Records) {
                changes.collect(look, placed, replay_from, torn(&placed.head));
            }
            scan.end_lane(look, end, (!clean).then_some(epoch));
        }
        scan.ends.merge(&changes.ends);
        scan.go_to_known_ends();
        let empty = || (!changes.is_empty()).then(|| State::new(look.gateway, look.geometry.lanes));
        let mut state = base.map(|(_, state)| state).or_else(empty);
        if let Some(state) = &mut state {
            changes.apply(state);
        }
        scan.state = state;
        scan.tell_broken(look);
        scan.judge_headless(&unreadable, clean);
        scan.lanes.iter_mut().for_each(LaneLog::keep_writable);
        scan.leap();
        scan
    }

    /// Returns a scan that has seen nothing but the superblock.
    fn begin(epoch: u32, waived: &[Waived], known: &Checkpoint) -> Scan {
        let mut scan = Scan {
            lanes: Vec::new(),
            state: None,
            commit: 0,
            generation: 0,
            epoch,
            closed: None,
            durable: false,
            tail_uncertain: false,
            waived: waived.to_vec(),
            damage: Vec::new(),
            broken: Vec::new(),
            foreign: Vec::new(),
            unproven: Vec::new(),
            cut_off: Vec::new(),
            ends: known.ends,
            finished: Completeness::default(),
            headless: Vec::new(),
        };
        if let Some((commit, state)) = &known.state {
            // It was closed after these, so none of them is torn, whatever became of the close mark in the log.
            scan.finished.note(state.epoch, commit.saturating_sub(1));
        }
        scan
    }

    /// Goes on with higher numbers if a slot could not be read: a segment that is there may have taken some, and be read again.
    fn leap(&mut self) {
        if self.lanes.iter().any(|log| log.free.bars_any()) {
            self.commit = self.commit.saturating_add(UNREAD_LEAP);
            self.generation = self.generation.saturating_add(UNREAD_LEAP);
        }
    }

    /// Returns the newest bookkeeping, and the number of the commit before which it was taken; `None` when there is none.
    fn base(
        &mut self,
        known: &Checkpoint,
        snapshot: Option<(u64, State, HighWaterMarks)>,
    ) -> Option<(u64, State)> {
        let Some((commit, state, ends)) = snapshot else { return known.state.clone() };
        self.ends.merge(&ends);
        match &known.state {
            Some(known) if known.0 > commit => Some(known.clone()),
            _ => Some((commit, state)),
        }
    }

    /// Moves the end of a lane's log behind frames that were certainly durable but are missing.
    fn go_to_known_ends(&mut self) {
        if planted(Flaw::EndsUnknown) || planted(Flaw::EndsIgnored) {
            return;
        }
        for log in &mut self.lanes {
            let (found, known) = (log.counters, self.ends.lane(log.lane));
            if known.next <= found.next || known.rows < found.rows || known.highest < found.highest {
                continue;
            }
            let (lane, frames, rows) = (log.lane, known.next - found.next, known.rows - found.rows);
            self.damage.push(format!("lane {lane}: the last {frames} frames with {rows} rows are gone"));
            log.counters = Counters { weight: known.weight.max(found.weight), ..known };
        }
    }

    /// Ignores a close mark whose commit is torn, for example without the segment that it began.
    fn doubt_torn_close(&mut self, ends: &[LogEnd]) {
        let closing = |placed: &&Placed| placed.head.closed && placed.head.commit == self.commit;
        let torn = ends.iter().any(|end| {
            let torn = self.finished.torn(end.frames().map(|placed| &placed.head), None);
            end.frames().filter(closing).any(|placed| torn.contains(&CommitPart::of(&placed.head)))
        });
        if torn {
            self.closed = None;
        }
    }

    /// Frees segments below the floors, then distinguishes damaged segment heads from those that a power cut left half written.
    fn judge_headless(&mut self, unreadable: &[Segment], clean: bool) {
        if let Some(state) = &self.state {
            self.lanes.iter_mut().for_each(|log| log.advance(&state.done(Lane(log.lane))));
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

    /// Returns whether the commit that began a segment is known to have been synced: later frames of its run say so, or the run
    /// closed the ring.
    pub(super) fn was_synced(&self, segment: &Segment) -> bool {
        self.closed == Some(segment.epoch) || self.finished.proves(segment.epoch, segment.commit)
    }

    /// Returns a lane's log with its segments, oldest first, and the segments of all heads that were seen.
    fn lane(&mut self, look: Look<'_>, lane: u8) -> (LaneLog, Vec<Segment>) {
        let mut log = LaneLog::new(lane);
        let (mut found, mut headless) = (Vec::<Segment>::new(), Vec::new());
        for slot in look.geometry.slots(lane) {
            let unread = look.pages.skipped();
            let content = look.segment(slot, lane);
            if look.pages.skipped() > unread {
                log.free.bar(slot);
            }
            match content {
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
        let ignored = planted(Flaw::GenerationIgnored);
        found.sort_by_key(|s| if ignored { u64::from(s.slot) } else { s.generation });
        for segment in found.iter().rev() {
            self.generation = self.generation.max(segment.generation);
            self.commit = self.commit.max(segment.commit);
            self.finished.note(segment.epoch, segment.synced);
            self.epoch = self.epoch.max(segment.epoch);
            if precedes(segment, log.segments.last()) {
                log.segments.push(*segment);
            } else {
                log.free.put_written(segment.slot);
            }
        }
        log.segments.reverse();
        (log, found)
    }
}

/// Returns whether a segment belongs to the log before `later`: it begins at an earlier frame and at no higher row. One that begins at the same
/// frame is the remains of a failed commit.
fn precedes(segment: &Segment, later: Option<&Segment>) -> bool {
    later.is_none_or(|later| {
        let ascends = segment.start.highest <= later.start.highest || planted(Flaw::DescendingCounted);
        segment.start.next < later.start.next && ascends
    })
}

/// Returns the newest snapshot that can be read, with its commit and high-water marks, and the segments of newer ones that cannot
/// be read.
fn newest_snapshot(
    look: Look<'_>,
    heads: &mut [Segment],
) -> (Option<(u64, State, HighWaterMarks)>, Vec<Segment>) {
    heads.sort_by_key(|s| std::cmp::Reverse((s.commit, s.generation)));
    let mut unreadable = Vec::new();
    for segment in heads.iter() {
        let mut reader = PageReader::new(look.pages, segment.slot, super::layout::PAGE);
        let head = Head::decode(reader.page(0))
            .filter(|h| h.kind == Kind::Snapshot && h.generation == segment.generation);
        let state = head.and_then(|head| {
            let mut body = Vec::new();
            let whole = look.pages.body_into(&head, 0, &mut body);
            get_head(&body, head.gateway, head.epoch).filter(|_| whole)
        });
        match state {
            Some((state, ends)) => return (Some((segment.commit, state, ends)), unreadable),
            None => unreadable.push(*segment),
        }
    }
    (None, unreadable)
}

#[cfg(test)]
pub(super) mod tests;
