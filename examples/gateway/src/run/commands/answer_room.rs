//! Bound of the answers that wait in the queue, so that whoever may publish commands at the hub takes no room from the alarms of sensors (promise 7).
//! An answer without room is dropped, and the hub may forget its command: kept back, its PUBACK would keep back those of all commands behind it. Pure.
//!
//! An answer counts until as many messages have left its lane as were accepted into it by the time when the answer was safe. In a lane that is `fifo`
//! they leave in that order, but for the few that the hub answers out of order or refuses. In the only lane of a `live-first` queue an answer that
//! became backlog may leave up to four times as late. Answers of an earlier run are not counted. For both the part of the lane that stays free is the
//! bound.

use std::collections::BTreeMap;

use super::answer::AnswerKind;
use super::command::Ticket;

/// Most answers that wait.
pub(super) const ANSWERS_MAX: u64 = 4_096;
/// Part of its lane's limits that answers may take; as much stays free behind an answer.
pub(super) const PART: u64 = 8;
/// Part of that for answers to commands that were refused before anybody had them.
const PART_OF_REFUSALS: u64 = 2;

/// Bound that an answer would exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoRoom {
    /// More refusals at a time than the [rate](super::refusal_rate) allows.
    Rate,
    Refusals,
    Answers,
    Lane,
}

impl NoRoom {
    /// Values of `edge_answers_dropped_total{reason}`, in order.
    pub(super) const ALL: [Self; 4] = [Self::Rate, Self::Refusals, Self::Answers, Self::Lane];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Refusals => "refusals",
            Self::Answers => "answers",
            Self::Lane => "lane",
        }
    }
}

/// Number of messages, and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) messages: u64,
    pub(super) bytes: u64,
}

impl Size {
    /// Unknown limits.
    const UNLIMITED: Self = Self { messages: u64::MAX, bytes: u64::MAX };

    fn plus(self, more: Self) -> Self {
        let messages = self.messages.saturating_add(more.messages);
        Self { messages, bytes: self.bytes.saturating_add(more.bytes) }
    }

    fn minus(self, less: Self) -> Self {
        let messages = self.messages.saturating_sub(less.messages);
        Self { messages, bytes: self.bytes.saturating_sub(less.bytes) }
    }

    /// A part of these limits; of a lane of few messages one at least.
    fn part(self, part: u64) -> Self {
        Self { messages: (self.messages / part).max(1), bytes: self.bytes / part }
    }

    fn fits(self, most: Self) -> bool {
        self.messages <= most.messages && self.bytes <= most.bytes
    }
}

/// Figures of the lane of answers at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LaneFigures {
    /// Messages accepted so far, by weight; and those of them that wait for the hub.
    pub(super) accepted: u64,
    pub(super) queued: u64,
    pub(super) used: Size,
    pub(super) limits: Size,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    OnTheWay,
    /// Safe in the queue; the next look at the lane begins after that.
    Safe,
    /// Safe before the look began that is under way.
    Looked,
    /// Left when so many messages have left the lane.
    Leaves(u64),
}

#[derive(Debug)]
struct Waiting {
    bytes: u64,
    kind: AnswerKind,
    place: Place,
}

/// Answers that wait, and the lane in which they do.
#[derive(Debug)]
pub(super) struct AnswerRoom {
    lane: LaneFigures,
    waiting: BTreeMap<Ticket, Waiting>,
    all: Size,
    refusals: Size,
    /// Answers that are not among those of the lane's figures for certain.
    unseen: Size,
}

impl AnswerRoom {
    /// Creates the room in a lane of these figures. `None`: they are not known.
    pub(super) fn new(lane: Option<LaneFigures>) -> Self {
        let unknown = LaneFigures { accepted: 0, queued: 0, used: Size::default(), limits: Size::UNLIMITED };
        let (all, refusals, unseen) = Default::default();
        Self { lane: lane.unwrap_or(unknown), waiting: BTreeMap::new(), all, refusals, unseen }
    }

    /// Takes an answer of this size in, which is about to be stored.
    ///
    /// # Errors
    /// The bound that it would exceed.
    pub(super) fn admit(&mut self, ticket: Ticket, bytes: u64, kind: AnswerKind) -> Result<(), NoRoom> {
        let size = Size { messages: 1, bytes };
        let limits = self.lane.limits;
        let part = limits.part(PART);
        let most = Size { messages: part.messages.min(ANSWERS_MAX), ..part };
        if kind == AnswerKind::Refusal && !self.refusals.plus(size).fits(most.part(PART_OF_REFUSALS)) {
            return Err(NoRoom::Refusals);
        }
        if !self.all.plus(size).fits(most) {
            return Err(NoRoom::Answers);
        }
        if !self.fits_in_lane(size) {
            return Err(NoRoom::Lane);
        }
        let waiting = Waiting { bytes, kind, place: Place::OnTheWay };
        self.count(&waiting);
        self.waiting.insert(ticket, waiting);
        Ok(())
    }

    /// Returns whether the part of the lane that stays free does so beside this size.
    fn fits_in_lane(&self, size: Size) -> bool {
        let limits = self.lane.limits;
        let free = Size { messages: limits.messages / PART, ..limits.part(PART) };
        self.lane.used.plus(self.unseen).plus(size).fits(limits.minus(free))
    }

    /// Returns whether the lane had no room for an answer when it was last looked at.
    pub(super) fn is_lane_full(&self) -> bool {
        !self.fits_in_lane(Size { messages: 1, bytes: 0 })
    }

    /// Notes that an answer is safe in the queue, or given up by its policy.
    pub(super) fn stored(&mut self, ticket: Ticket) {
        if let Some(waiting) = self.waiting.get_mut(&ticket) {
            waiting.place = Place::Safe;
        }
    }

    /// Returns whether answers wait, so that the lane must be looked at.
    pub(super) fn is_used(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Begins a look at the lane.
    pub(super) fn look(&mut self) {
        for waiting in self.waiting.values_mut().filter(|waiting| waiting.place == Place::Safe) {
            waiting.place = Place::Looked;
        }
    }

    /// Ends the look with what was seen: answers that have left make room.
    pub(super) fn see(&mut self, lane: LaneFigures) {
        let left = lane.accepted.saturating_sub(lane.queued);
        self.lane = lane;
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.retain(|_, answer| {
            if answer.place == Place::Looked {
                answer.place = Place::Leaves(lane.accepted);
            }
            !matches!(answer.place, Place::Leaves(at) if at <= left)
        });
        (self.all, self.refusals, self.unseen) = Default::default();
        waiting.values().for_each(|answer| self.count(answer));
        self.waiting = waiting;
    }

    fn count(&mut self, answer: &Waiting) {
        let size = Size { messages: 1, bytes: answer.bytes };
        self.all = self.all.plus(size);
        if answer.kind == AnswerKind::Refusal {
            self.refusals = self.refusals.plus(size);
        }
        if !matches!(answer.place, Place::Leaves(_)) {
            self.unseen = self.unseen.plus(size);
        }
    }
}

#[cfg(test)]
mod tests;
