//! Collection of the ledgers: the present ones of the model, and those of the last commit.

use crate::ledger::Ledger;
use crate::locks_and_atomics::lock;
use crate::model::{Model, NOBODY};
use crate::row::Lane;
use crate::state::Position;

use super::Engine;

impl Engine {
    pub(crate) fn ledgers(&self) -> Vec<Ledger> {
        let model = self.model();
        model.lanes.iter().flat_map(|lane| ledgers(&model, lane.id)).collect()
    }

    pub(crate) fn committed_ledgers(&self) -> Vec<Ledger> {
        let state = lock(&self.committed).clone();
        let consumers = || state.consumers.iter().filter(|consumer| consumer.name != NOBODY);
        let in_lane = |lane: u8| {
            let at = usize::from(lane);
            consumers().filter_map(move |c| Some(committed(&c.name, Lane(lane), c.lanes.get(at)?)))
        };
        (0..state.lanes).flat_map(in_lane).collect()
    }
}

fn committed(consumer: &str, lane: Lane, position: &Position) -> Ledger {
    let settled = position.settled();
    let accepted = position.accepted.max(settled);
    Ledger {
        consumer: consumer.to_owned(),
        lane,
        accepted,
        delivered: position.delivered,
        moved: position.moved,
        queued: accepted - settled,
        leased: 0,
        ranges: position.acked.len() as u64,
        dropped: position.dropped,
    }
}

/// Returns the ledgers of a lane.
pub(super) fn ledgers(model: &Model, lane: Lane) -> Vec<Ledger> {
    let of = |(name, cursor): (&str, &crate::model::Cursor)| Ledger {
        consumer: name.to_owned(),
        lane,
        accepted: cursor.pos.accepted,
        delivered: cursor.pos.delivered,
        moved: cursor.pos.moved,
        queued: cursor.queued,
        leased: cursor.leased_weight,
        ranges: cursor.pos.acked.len() as u64,
        dropped: cursor.pos.dropped,
    };
    model.in_lane(lane).map(of).collect()
}
