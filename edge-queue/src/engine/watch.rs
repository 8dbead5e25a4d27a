//! Watchdog over calls of the store: one that does not come back cannot report itself, so whoever looks at the queue
//! does.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::fault::STALLED_AFTER_MS;

/// Calls come one at a time, from whoever holds the store; anybody may look.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Up time at which the call began, plus one; 0 between calls.
    began: AtomicU64,
    told: AtomicBool,
}

impl Watch {
    pub(super) fn begin(&self, up_ms: u64) {
        self.told.store(false, Ordering::Relaxed);
        self.began.store(up_ms.saturating_add(1), Ordering::Relaxed);
    }

    /// For how long it was stalled, if it was.
    pub(super) fn end(&self, up_ms: u64) -> Option<u64> {
        let stalled = self.stalled_ms(up_ms);
        self.began.store(0, Ordering::Relaxed);
        stalled
    }

    /// For how long the call has been under way; 0 when there is none.
    pub(super) fn busy_ms(&self, up_ms: u64) -> u64 {
        match self.began.load(Ordering::Relaxed) {
            0 => 0,
            began => up_ms.saturating_sub(began - 1),
        }
    }

    /// The same, once it is long enough to say so.
    pub(super) fn stalled_ms(&self, up_ms: u64) -> Option<u64> {
        Some(self.busy_ms(up_ms)).filter(|ms| *ms >= STALLED_AFTER_MS)
    }

    /// Claims the report of the stall; true for the first caller only.
    pub(super) fn first_to_tell(&self) -> bool {
        !self.told.swap(true, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_stalled_from_two_seconds_on_and_told_once() {
        let watch = Watch::default();
        assert_eq!(watch.stalled_ms(1_000_000), None);
        watch.begin(0);
        assert_eq!((watch.busy_ms(1_999), watch.stalled_ms(1_999)), (1_999, None));
        assert_eq!(watch.stalled_ms(2_000), Some(2_000));
        assert!(watch.first_to_tell() && !watch.first_to_tell());
        assert_eq!(watch.end(5_000), Some(5_000));
        assert_eq!((watch.busy_ms(9_000), watch.stalled_ms(9_000)), (0, None));
        watch.begin(9_000);
        assert!(watch.first_to_tell());
        assert_eq!(watch.end(9_010), None);
    }
}
