//! Gap records: rows that a consumer will never get, as an application sees them.

use crate::row::{Lane, Seq};
use crate::state::{GapRecord, Reason};
#[cfg(any(feature = "ring", feature = "redb"))]
use crate::{model::NOBODY, state::State};

/// Rows that a consumer will never get, in one lane. Acknowledge them with [`Consumer::ack_gaps`](crate::Consumer::ack_gaps) once
/// they were reported upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gap {
    /// Lane of the lost rows.
    pub lane: Lane,
    /// Sequence number of the first lost row.
    pub first_seq: Seq,
    /// Sequence number of the last lost row.
    pub last_seq: Seq,
    /// Wall time of the first lost row in milliseconds since the Unix epoch; 0 when it is not known. For rows lost to damage, the
    /// time of the nearest readable row before them.
    pub first_ms: i64,
    /// Wall time of the last lost row, as `first_ms`; for rows lost to damage, the time of the nearest readable row after them.
    pub last_ms: i64,
    /// Number of lost rows, by weight.
    pub count: u64,
    /// Reason of the loss.
    pub reason: Reason,
}

impl Gap {
    /// Returns the loss in the form of the lane's durable state.
    pub(crate) fn record(&self) -> GapRecord {
        let Gap { first_seq, last_seq, first_ms, last_ms, count, reason, .. } = *self;
        GapRecord { first_seq, last_seq, first_ms, last_ms, count, reason }
    }
}

impl From<(Lane, GapRecord)> for Gap {
    fn from((lane, record): (Lane, GapRecord)) -> Gap {
        let GapRecord { first_seq, last_seq, first_ms, last_ms, count, reason } = record;
        Gap { lane, first_seq, last_seq, first_ms, last_ms, count, reason }
    }
}

/// Iterates over the losses that each consumer was not told of yet, in all lanes, also those that the configuration no longer has.
#[cfg(any(feature = "ring", feature = "redb"))]
pub(crate) fn gaps_of(state: &State) -> impl Iterator<Item = (&str, Gap)> {
    state.consumers.iter().filter(|consumer| consumer.name != NOBODY).flat_map(|consumer| {
        (0..).map(Lane).zip(&consumer.lanes).flat_map(move |(lane, position)| {
            position.gaps.iter().map(move |record| (consumer.name.as_str(), Gap::from((lane, *record))))
        })
    })
}

#[cfg(all(test, any(feature = "ring", feature = "redb")))]
mod tests {
    use super::*;
    use crate::state::ConsumerState;

    #[test]
    fn losses_of_every_lane_are_told_and_none_of_the_consumer_that_stands_for_nobody() {
        let mut state = State::new(1, 1);
        for name in [NOBODY, "hub"] {
            let mut consumer = ConsumerState { name: name.to_owned(), lanes: Default::default() };
            for position in consumer.lanes.iter_mut() {
                position.gaps.push(GapRecord::new(3, 5, 3, Reason::Overflow));
            }
            state.consumers.push(consumer);
        }
        let told: Vec<_> = gaps_of(&state).map(|(name, gap)| (name, gap.lane.0, gap.count)).collect();
        assert_eq!(told, [("hub", 0, 3), ("hub", 1, 3), ("hub", 2, 3), ("hub", 3, 3)]);
    }
}
