//! The durable bookkeeping: what a store keeps besides rows. Plain data; [`State::apply`] is the only way it changes
//! after recovery, so that replaying the same changes gives the same state.

use std::collections::BTreeMap;
use std::fmt;

use crate::per_lane::PerLane;
use crate::row::{Lane, Seq};

/// Reason for which rows were dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Reason {
    /// Evicted by drop-oldest to make room.
    Overflow = 1,
    /// Evicted by drop-oldest; the row had been leased and returned, so upstream may have it.
    OverflowUnconfirmed = 2,
    /// No segment was free although the limits had room.
    Fragmented = 3,
    /// The row's time to live or the queue's `max_age` passed.
    Expired = 4,
    /// Damaged on the medium.
    Quarantined = 5,
    /// Discarded by the application that had leased the row.
    Discarded = 6,
}

/// Length of an array indexed by the number of a [`Reason`]; entry 0 is unused.
pub(crate) const REASON_SLOTS: usize = 7;

impl Reason {
    /// Every reason, in the order of their numbers from 1.
    pub const ALL: [Reason; 6] = [
        Reason::Overflow,
        Reason::OverflowUnconfirmed,
        Reason::Fragmented,
        Reason::Expired,
        Reason::Quarantined,
        Reason::Discarded,
    ];

    /// Returns the reason with this number on a medium; `None` when no reason has it.
    #[cfg(any(feature = "ring", feature = "redb"))]
    pub(crate) fn from_code(code: u8) -> Option<Reason> {
        Reason::ALL.into_iter().find(|reason| *reason as u8 == code)
    }

    /// Returns the reason's name, one lower-case word, the same wherever it is shown.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Reason::Overflow => "overflow",
            Reason::OverflowUnconfirmed => "overflow_unconfirmed",
            Reason::Fragmented => "fragmented",
            Reason::Expired => "expired",
            Reason::Quarantined => "quarantined",
            Reason::Discarded => "discarded",
        }
    }
}

/// Number of dropped rows by reason. Its `Debug` form names the reasons that have any.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped(pub(crate) [u64; REASON_SLOTS]);

impl Dropped {
    /// Returns the number dropped for this reason.
    #[must_use]
    pub fn for_reason(&self, reason: Reason) -> u64 {
        self.0.get(reason as usize).copied().unwrap_or(0)
    }

    /// Returns the number dropped for any reason.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Adds dropped rows.
    pub fn add(&mut self, reason: Reason, rows: u64) {
        if let Some(count) = self.0.get_mut(reason as usize) {
            *count = count.saturating_add(rows);
        }
    }
}

impl fmt::Debug for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = Reason::ALL.map(|reason| (reason.name(), self.for_reason(reason)));
        f.debug_map().entries(counts.into_iter().filter(|(_, rows)| *rows > 0)).finish()
    }
}

/// Gap record: rows that a consumer will never get, kept until it acknowledges them as reported upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GapRecord {
    /// Sequence number of the first lost row.
    pub first_seq: Seq,
    /// Sequence number of the last lost row.
    pub last_seq: Seq,
    /// Wall time of the first lost row in milliseconds since the Unix epoch; 0 when it is not known.
    pub first_ms: i64,
    /// Wall time of the last lost row, as `first_ms`.
    pub last_ms: i64,
    /// Number of lost rows, by weight.
    pub count: u64,
    /// Reason of the loss.
    pub reason: Reason,
}

impl GapRecord {
    /// Creates a record with unknown times.
    #[must_use]
    pub fn new(first_seq: Seq, last_seq: Seq, count: u64, reason: Reason) -> GapRecord {
        GapRecord { first_seq, last_seq, first_ms: 0, last_ms: 0, count, reason }
    }
}

/// Position of one consumer in one lane.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Position {
    /// Every row with `seq < floor` is done: delivered, dropped, or older than the consumer, which never wanted it.
    pub floor: Seq,
    /// Done rows above the floor, as ranges from first to last number, disjoint and not adjacent.
    pub acked: BTreeMap<Seq, Seq>,
    /// Weight of the rows pushed since the consumer registered; for the first consumer of a queue also of those that it found in the queue.
    pub accepted: u64,
    /// Weight of the acknowledged rows.
    pub delivered: u64,
    /// Weight of the rows that the consumer moved to another store, where they are durable.
    pub moved: u64,
    /// Weight of the dropped rows, by reason.
    pub dropped: Dropped,
    /// Bytes of the rows still to come, as [`StoredRow::bytes`](crate::store::StoredRow::bytes) counts them. The consumer's own byte limit is
    /// compared with this.
    pub queued_bytes: u64,
    /// Losses not yet reported upstream.
    pub gaps: Vec<GapRecord>,
}

impl Position {
    /// Returns a position at `floor`: every row below is done, and all counters are 0.
    #[must_use]
    pub fn from_floor(floor: Seq) -> Position {
        Position { floor, ..Position::default() }
    }

    /// Returns the weight of the rows that are done for the consumer: delivered, moved or dropped.
    pub(crate) fn settled(&self) -> u64 {
        self.delivered.saturating_add(self.moved).saturating_add(self.dropped.total())
    }
}

/// Durable state of a registered consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConsumerState {
    /// Name of the consumer, unique in the queue.
    pub name: String,
    /// Position of the consumer in each lane.
    pub lanes: PerLane<Position>,
}

/// Durable state of one lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LaneState {
    /// Sequence number that the next row will get.
    pub next: Seq,
    /// Sequence number below which no consumer wants a row.
    pub floor: Seq,
    /// Number of rows that are still to be delivered to some consumer.
    pub rows: u64,
    /// Weight of these rows.
    pub weight: u64,
    /// Size of these rows, as [`StoredRow::bytes`](crate::store::StoredRow::bytes) counts it.
    pub bytes: u64,
    /// Set when `rows`, `weight` and `bytes` may include rows that no consumer wants, so that the lane must be counted again.
    pub recount_due: bool,
}

impl Default for LaneState {
    fn default() -> LaneState {
        LaneState { next: 1, floor: 1, rows: 0, weight: 0, bytes: 0, recount_due: false }
    }
}

/// Durable state of a queue besides its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct State {
    /// Random number made at creation.
    pub gateway: u64,
    /// Epoch: number of the open, raised durably by every open before the first push.
    pub epoch: u32,
    /// Number of lanes in use.
    pub lanes: u8,
    /// Figures of each lane: numbers and totals.
    pub lane: PerLane<LaneState>,
    /// Registered consumers, in no order.
    pub consumers: Vec<ConsumerState>,
}

/// One step of the bookkeeping. Holds new values, not differences, so that applying a step twice does no harm.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// A consumer was registered, or its position in a lane changed. Holds the whole position, since it is small.
    Position {
        /// Name of the consumer.
        consumer: String,
        /// Lane of the position.
        lane: Lane,
        /// New position of the consumer.
        position: Position,
    },
    /// Figures of a lane changed; rows of this very commit are included.
    Lane {
        /// Lane of the figures.
        lane: Lane,
        /// New figures of the lane.
        state: LaneState,
    },
    /// A consumer was removed.
    Forget {
        /// Name of the consumer.
        consumer: String,
    },
    /// The store is being closed cleanly; the last change ever before a reopen.
    Closed,
}

impl State {
    /// Creates the state of a new queue.
    pub fn new(gateway: u64, lanes: u8) -> State {
        State { gateway, epoch: 0, lanes, lane: PerLane::all(LaneState::default()), consumers: Vec::new() }
    }

    /// Returns whether a row is still to be delivered: above the lane's floor, and not done for every consumer.
    #[must_use]
    pub fn wants(&self, lane: Lane, seq: Seq) -> bool {
        let at = usize::from(lane.0);
        let above = self.lane.get(at).is_some_and(|lane| seq >= lane.floor);
        let places = || self.consumers.iter().filter_map(|consumer| consumer.lanes.get(at));
        above && (places().next().is_none() || places().any(|place| !place.is_done(seq)))
    }

    /// Applies one change to the state.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Position { consumer, lane, position } => {
                let at = match self.consumers.iter().position(|c| c.name == *consumer) {
                    Some(at) => at,
                    None => {
                        let lanes = PerLane::default();
                        self.consumers.push(ConsumerState { name: consumer.clone(), lanes });
                        self.consumers.len() - 1
                    }
                };
                if let Some(place) =
                    self.consumers.get_mut(at).and_then(|c| c.lanes.get_mut(usize::from(lane.0)))
                {
                    place.clone_from(position);
                }
            }
            Change::Lane { lane, state } => {
                if let Some(slot) = self.lane.get_mut(usize::from(lane.0)) {
                    *slot = *state;
                }
            }
            Change::Forget { consumer } => self.consumers.retain(|c| c.name != *consumer),
            Change::Closed => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_rows_are_shown_by_the_names_of_their_reasons() {
        let mut dropped = Dropped::default();
        dropped.add(Reason::Expired, 2);
        assert_eq!(format!("{dropped:?}"), "{\"expired\": 2}");
    }
}
