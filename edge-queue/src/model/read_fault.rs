//! Back-off of reads that the medium does not answer (EIO). The rows may be whole, so they are tried again, and count as damaged only after
//! [`PATIENCE_MS`] and [`TRIES_MIN`] tries. Meanwhile leases of the lane return only rows in RAM, and pushes and other lanes go on; reads that
//! are not for a lease are tried at once.

use crate::model::Model;
use crate::time::Now;

/// Least time in milliseconds from the first failure until unreadable parts are quarantined.
pub(crate) const PATIENCE_MS: u64 = 60_000;
/// Least number of tries in that time.
const TRIES_MIN: u32 = 6;
const AGAIN_FIRST_MS: u64 = 500;
const AGAIN_MAX_MS: u64 = 10_000;

/// A lane that cannot be read.
#[derive(Clone, Debug)]
pub(crate) struct ReadFault {
    pub(crate) reason: String,
    pub(crate) since_ms: u64,
    tries: u32,
    again_ms: u64,
    backoff_ms: u64,
    /// Set once the consumers were told that it is time for the next try.
    told: bool,
}

impl ReadFault {
    /// Returns whether it is too early for another try.
    pub(crate) fn waits(&self, now: &Now) -> bool {
        // Whoever read the clock before they were told would else wait for a wake-up that was.
        !self.told && now.up_ms < self.again_ms
    }
}

impl Model {
    /// Records a failed read; `true` if the lane's read before it did not fail.
    pub(crate) fn read_failed(&mut self, lane: usize, reason: String, now: &Now) -> bool {
        let Some(l) = self.lanes.get_mut(lane) else { return false };
        let before = l.read_fault.take();
        let news = before.is_none();
        let fault = before.map_or((now.up_ms, 0, AGAIN_FIRST_MS), |f| {
            (f.since_ms, f.tries, f.backoff_ms.saturating_mul(2).min(AGAIN_MAX_MS))
        });
        let (since_ms, tries, backoff_ms) = fault;
        let again_ms = now.up_ms.saturating_add(backoff_ms);
        let tries = tries.saturating_add(1);
        l.read_fault = Some(ReadFault { reason, since_ms, tries, again_ms, backoff_ms, told: false });
        news
    }

    /// Records a successful read; `true` if reads of the lane had failed.
    pub(crate) fn read_worked(&mut self, lane: usize) -> bool {
        self.lanes.get_mut(lane).is_some_and(|l| l.read_fault.take().is_some())
    }

    /// Returns whether a lane was tried for so long that parts missing in the next read count as damaged.
    pub(crate) fn read_gives_up(&self, lane: usize, now: &Now) -> bool {
        let fault = self.lanes.get(lane).and_then(|l| l.read_fault.as_ref());
        fault.is_some_and(|f| f.tries >= TRIES_MIN && now.up_ms.saturating_sub(f.since_ms) >= PATIENCE_MS)
    }

    /// Returns whether the time of a next try has come since the last call, however long ago; true once for each try.
    pub(crate) fn reads_are_due(&mut self, up_ms: u64) -> bool {
        let faults = self.lanes.iter_mut().filter_map(|l| l.read_fault.as_mut());
        let due = faults.filter(|fault| !fault.told && fault.again_ms <= up_ms);
        due.map(|fault| fault.told = true).count() > 0
    }

    /// Up time in milliseconds of the next try that nobody was told of by [`reads_are_due`](Self::reads_are_due); `None` without one.
    pub(crate) fn read_again_at(&self) -> Option<u64> {
        let faults = self.lanes.iter().filter_map(|l| l.read_fault.as_ref());
        faults.filter(|fault| !fault.told).map(|fault| fault.again_ms).min()
    }

    /// Returns the fault of the first lane that cannot be read, for the health figures only; `None` when all lanes can be read.
    pub(crate) fn read_fault(&self) -> Option<&ReadFault> {
        self.lanes.iter().find_map(|l| l.read_fault.as_ref())
    }
}
