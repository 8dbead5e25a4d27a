//! Collection of the figures of model and store into `Stats`.

use std::sync::{MutexGuard, TryLockError};

use crate::locks_and_atomics::lock;
use crate::model::{LaneModel, Model};
use crate::row::{LANES_MAX, Seq, StoredRow};
use crate::row_age::age_ms;
use crate::stats::{LaneStats, Stats};
use crate::store::{ReadLimit, StoreStats};
use crate::time::{Now, Stamp};

use super::ledgers::ledgers;
use super::{Engine, Open};

/// Last figures of the store, for calls while the store is busy.
#[derive(Default)]
pub(super) struct Seen {
    figures: StoreStats,
    /// Oldest row of each lane that was read last: the sequence number from which it was searched, and the time of its push.
    oldest: [Option<(Seq, Stamp)>; LANES_MAX],
}

/// Time at which a lane's oldest row was pushed.
enum Oldest {
    Known(Option<Stamp>),
    /// The oldest row is on the medium, at or after this sequence number, and must be read.
    Unread(Seq),
}

impl Engine {
    pub(crate) fn stats(&self) -> Stats {
        let now = self.clock.now();
        if let Some(mut store) = self.store_if_idle()
            && let Some(open) = store.as_mut()
        {
            self.look(open);
        }
        self.gather(&now)
    }

    /// Returns the figures without reading from the medium; `None` if the age of a lane's oldest row is unknown and the idle store could be read
    /// for it.
    #[cfg(feature = "tokio")]
    pub(crate) fn stats_now(&self) -> Option<Stats> {
        let now = self.clock.now();
        let idle = self.store_if_idle();
        let lanes = self.model().lanes.len();
        if let Some(open) = idle.as_ref().and_then(|store| store.as_ref()) {
            self.note_figures(open);
            if (0..lanes).any(|lane| matches!(self.oldest(lane), Oldest::Unread(_))) {
                return None;
            }
        }
        drop(idle);
        Some(self.gather(&now))
    }

    fn store_if_idle(&self) -> Option<MutexGuard<'_, Option<Open>>> {
        match self.store.try_lock() {
            Ok(store) => Some(store),
            Err(TryLockError::Poisoned(store)) => Some(self.store_of(store)),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Reads the oldest rows that are not in RAM, and the store's figures.
    fn look(&self, open: &mut Open) {
        let lanes = self.model().lanes.len();
        for lane in 0..lanes {
            let Oldest::Unread(from) = self.oldest(lane) else { continue };
            let chunk = self.read(open, lane, from, ReadLimit { rows: 1, bytes: 1 }).unwrap_or_default();
            if let Some(slot) = lock(&self.seen).oldest.get_mut(lane) {
                *slot = chunk.rows.first().map(|row| (from, row.stamp));
            }
        }
        self.note_figures(open);
    }

    /// Reads the store's figures, and keeps them.
    pub(super) fn note_figures(&self, open: &Open) -> StoreStats {
        let figures = open.store.stats();
        lock(&self.seen).figures = figures;
        figures
    }

    fn oldest(&self, lane: usize) -> Oldest {
        let model = self.model();
        let Some(l) = model.lanes.get(lane).filter(|l| l.usage.rows > 0) else { return Oldest::Known(None) };
        let lowest = model.in_lane(l.id).map(|(_, cursor)| cursor.pos.floor).min();
        let from = lowest.unwrap_or(l.floor).max(l.floor);
        if from >= l.tail.from() {
            return Oldest::Known(l.tail.first().map(|row: &StoredRow| row.stamp));
        }
        drop(model);
        match lock(&self.seen).oldest.get(lane).copied().flatten() {
            Some((at, stamp)) if at == from => Oldest::Known(Some(stamp)),
            _ => Oldest::Unread(from),
        }
    }

    fn gather(&self, now: &Now) -> Stats {
        let lanes = self.model().lanes.len();
        let age = |lane| match self.oldest(lane) {
            Oldest::Known(stamp) => stamp.and_then(|stamp| age_ms(&stamp, now)),
            Oldest::Unread(_) => None,
        };
        let oldest_age_ms = (0..lanes).filter_map(age).max();
        let store = lock(&self.seen).figures;
        let model = self.model();
        let lanes: Vec<LaneStats> = model.lanes.iter().map(|lane| lane_stats(&model, lane)).collect();
        let late_ms = model.late_from_ms().map_or(0, |at| now.up_ms.saturating_sub(at));
        let call_ms = self.watchdog.busy_ms(now.up_ms);
        Stats {
            messages: lanes.iter().map(|l| l.messages).sum(),
            bytes: lanes.iter().map(|l| l.bytes).sum(),
            unwritten_bytes: model.lanes.iter().map(|l| l.tail.unwritten_bytes()).sum(),
            oldest_age_ms,
            lanes,
            store,
            health: self.health(&model, now),
            overdue_ms: late_ms.max(call_ms),
            call_ms,
            volatile_rows: model.degraded_mode.volatile_rows(),
        }
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
        dropped: lane.counts.dropped,
        ledgers: ledgers(model, lane.id),
    }
}
