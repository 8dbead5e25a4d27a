//! Finding out at open what the segments hold: one page per segment, and the last segment of each lane in full
//! ([`end`](super::end)).
#![deny(clippy::indexing_slicing)]

use super::changes::Changes;
use super::end::End;
use super::finished::{Finished, Part};
use super::frame::{Head, Kind, into_body};
use super::lane::LaneLog;
use super::segment::{Look, Placed, Segment, Slot};
use super::snapshot::get_snapshot;
use super::superblock::Waived;
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
    pub(super) finished: Finished,
    /// Segments whose first frame cannot be read: damage, or what a power cut left of the last commit.
    headless: Vec<(u8, Segment)>,
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
    pub(super) fn was_synced(&self, segment: &Segment) -> bool {
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
        let ignored = planted(Flaw::GenerationIgnored);
        found.sort_by_key(|s| if ignored { u64::from(s.slot) } else { s.generation });
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
