//! The numbers, gathered.

use crate::model::{LaneModel, Model};
use crate::row::{Lane, StoredRow};
use crate::stats::{Dropped, Health, LaneStats, Ledger, Stats};
use crate::store::{ReadLimit, StoreStats};
use crate::time::{Now, age_ms};

use super::{Engine, lock};

impl Engine {
    pub(crate) fn stats(&self) -> Stats {
        let now = self.clock.now();
        let mut store = lock(&self.store);
        let mut oldest: Option<u64> = None;
        let mut figures = StoreStats::default();
        let lanes = self.model().lanes.len();
        if let Some(open) = store.as_mut() {
            for lane in 0..lanes {
                let age = match self.oldest_in_ram(lane, &now) {
                    Ok(age) => age,
                    Err(from) => {
                        let limit = ReadLimit { rows: 1, bytes: 1 };
                        let chunk = self.read(open, lane, from, limit).unwrap_or_default();
                        chunk.rows.first().and_then(|row| age_ms(&row.stamp, &now))
                    }
                };
                oldest = oldest.max(age);
            }
            figures = open.store.stats();
        }
        drop(store);
        let model = self.model();
        let lanes: Vec<LaneStats> = model.lanes.iter().map(|lane| lane_stats(&model, lane)).collect();
        Stats {
            messages: lanes.iter().map(|l| l.messages).sum(),
            bytes: lanes.iter().map(|l| l.bytes).sum(),
            unwritten_bytes: model.lanes.iter().map(|l| l.window.unwritten_bytes()).sum(),
            oldest_age_ms: oldest,
            lanes,
            store: figures,
            health: health(&model, &now),
            overdue_ms: model
                .due_at_ms()
                .map_or(0, |at| if at == 0 { 0 } else { now.up_ms.saturating_sub(at) }),
            volatile_rows: model.volatile_rows,
        }
    }

    /// Age of the oldest row if it is in RAM; else where it must be read.
    fn oldest_in_ram(&self, lane: usize, now: &Now) -> Result<Option<u64>, u64> {
        let model = self.model();
        let Some(l) = model.lanes.get(lane).filter(|l| l.usage.rows > 0) else { return Ok(None) };
        let lowest = model.in_lane(l.id).map(|(_, place)| place.pos.floor).min();
        let from = lowest.unwrap_or(l.floor).max(l.floor);
        if from < l.window.from() {
            return Err(from);
        }
        Ok(l.window.first().and_then(|row: &StoredRow| age_ms(&row.stamp, now)))
    }

    pub(crate) fn ledgers(&self) -> Vec<Ledger> {
        let model = self.model();
        model.lanes.iter().flat_map(|lane| ledgers(&model, lane.id)).collect()
    }
}

fn lane_stats(model: &Model, lane: &LaneModel) -> LaneStats {
    LaneStats {
        lane: lane.id,
        messages: lane.usage.weight,
        bytes: lane.usage.bytes,
        max_messages: lane.limits.messages,
        max_bytes: lane.limits.bytes,
        accepted: lane.counts.accepted,
        handed_over: lane.counts.handed_over,
        refused: lane.counts.refused,
        dropped: Dropped(lane.counts.dropped),
        ledgers: ledgers(model, lane.id),
    }
}

fn ledgers(model: &Model, lane: Lane) -> Vec<Ledger> {
    let of = |(name, place): (&str, &crate::model::Place)| Ledger {
        consumer: name.to_owned(),
        lane,
        accepted: place.pos.accepted,
        delivered: place.pos.delivered,
        queued: place.queued,
        leased: place.leased_weight,
        dropped: Dropped(place.pos.dropped),
    };
    model.in_lane(lane).map(of).collect()
}

fn health(model: &Model, now: &Now) -> Health {
    match &model.fault {
        None => Health::Healthy,
        Some(fault) => {
            let since_ms = now.up_ms.saturating_sub(fault.since_ms);
            Health::Degraded { reason: fault.reason.clone(), since_ms }
        }
    }
}
