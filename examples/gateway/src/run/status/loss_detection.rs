//! Edge detection of losses: totals of the monitor's last look, against which the present ones tell whether messages are being lost now, and to
//! what.

#![allow(clippy::disallowed_methods, reason = "a shell: handles to shared state")]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use edge_queue::{Ledger, Reason};

use super::metrics::given_up;
use super::verdict::{LosingNow, Losses};

/// Numbers of messages lost over all runs, by what a person does about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lost {
    /// Messages lost to damage of the store.
    pub(crate) damaged: u64,
    /// Messages lost for want of room, or too large.
    pub(crate) without_room: u64,
}

impl Lost {
    /// Returns the losses of a queue.
    pub(crate) fn of(ledgers: &[Ledger]) -> Self {
        let damaged = ledgers.iter().map(|ledger| ledger.dropped.for_reason(Reason::Quarantined)).sum();
        Self { damaged, without_room: given_up(ledgers).saturating_sub(damaged) }
    }

    pub(crate) fn total(self) -> u64 {
        self.damaged + self.without_room
    }

    /// Returns these losses and `more` for want of room.
    pub(crate) fn and_without_room(self, more: u64) -> Self {
        Self { without_room: self.without_room + more, ..self }
    }
}

/// Detectors of one queue's losses, one for each kind.
#[derive(Debug)]
struct Detectors {
    damaged: Losses,
    without_room: Losses,
}

impl Detectors {
    fn new(known: Lost) -> Self {
        Self { damaged: Losses::new(known.damaged), without_room: Losses::new(known.without_room) }
    }

    fn look(&mut self, up_ms: u64, lost: Lost) -> LosingNow {
        LosingNow {
            with_queue: false,
            to_damage: self.damaged.are_happening(up_ms, lost.damaged),
            without_room: self.without_room.are_happening(up_ms, lost.without_room),
        }
    }
}

/// Detectors of losses, with the totals of the last look.
#[derive(Clone)]
pub(crate) struct LossDetection {
    losses: Arc<Mutex<Detectors>>,
    /// Detector of queues that a start found gone.
    gone: Arc<Mutex<Losses>>,
    /// Detector of readings that the rules drop because of their timestamp.
    time_drops: Arc<Mutex<Losses>>,
    /// Detectors of losses of parked messages, once their queue is open.
    parked_losses: Arc<Mutex<Option<Detectors>>>,
}

impl LossDetection {
    /// Creates the detectors. `lost` and `gone` are the losses, and the queues that were gone, that are known already.
    pub(crate) fn new(lost: Lost, gone: u64) -> Self {
        Self {
            losses: Arc::new(Mutex::new(Detectors::new(lost))),
            gone: Arc::new(Mutex::new(Losses::new(gone))),
            time_drops: Arc::new(Mutex::new(Losses::new(0))),
            parked_losses: Arc::default(),
        }
    }

    /// Returns what is being lost. `here` are the losses of the queue and before it; `parked` those of the parked messages, once known; `gone` is
    /// the number of queues that were gone so far.
    pub(in crate::run) fn losing(
        &self,
        up_ms: u64,
        here: Lost,
        parked: Option<Lost>,
        gone: u64,
    ) -> LosingNow {
        let with_queue = lock(&self.gone).are_happening(up_ms, gone);
        let here = LosingNow { with_queue, ..lock(&self.losses).look(up_ms, here) };
        let Some(parked) = parked else { return here };
        // The queue of the parked messages opens later than the other: its first figure is that of earlier runs.
        lock(&self.parked_losses).get_or_insert_with(|| Detectors::new(parked)).look(up_ms, parked).or(here)
    }

    /// Returns whether readings are being dropped for their time. `dropped` is their number so far.
    pub(in crate::run) fn drops_for_time(&self, up_ms: u64, dropped: u64) -> bool {
        lock(&self.time_drops).are_happening(up_ms, dropped)
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_no_want_of_room_and_old_losses_are_none() {
        let lost = |damaged, without_room| Lost { damaged, without_room };
        let detection = LossDetection::new(lost(5, 7), 0);
        let looked = |up_ms, here, parked| {
            let now = detection.losing(up_ms, here, parked, 0);
            (now.to_damage, now.without_room)
        };
        assert_eq!(looked(0, lost(5, 7), None), (false, false));
        assert_eq!(looked(1_000, lost(71, 7), None), (true, false));
        assert_eq!(looked(20_000, lost(71, 8), None), (true, true));
        assert_eq!(looked(40_000, lost(71, 8), None), (false, true));
        // Those of an earlier run are no news when the parked messages' queue opens.
        assert_eq!(looked(60_000, lost(71, 8), Some(lost(3, 3))), (false, false));
        assert_eq!(looked(61_000, lost(71, 8), Some(lost(4, 3))), (true, false));
    }
}
