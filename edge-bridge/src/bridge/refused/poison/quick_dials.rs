//! Rate limit of the quick dials in the search for a poison message. Beyond it the back-off of dials grows, also where the hub acknowledges others
//! on each connection: a hub that finds fault with ever new messages would be dialled several times a second.

/// Most quick dials in a row: the search for a handful of poison messages.
const DIALS_MAX: u32 = 24;
/// Milliseconds after which one more is allowed.
const ONE_MORE_MS: u64 = 30_000;

/// Quick dials that are left, as a token bucket.
#[derive(Debug, Clone, Default)]
pub(in crate::bridge) struct QuickDials {
    taken: u32,
    since_ms: u64,
}

impl QuickDials {
    /// Counts a close that is followed by a quick dial.
    pub(super) fn take(&mut self, now_ms: u64) {
        let (taken, since_ms) = self.at(now_ms);
        *self = QuickDials { taken: (taken + 1).min(DIALS_MAX + 1), since_ms };
    }

    /// Returns whether there were more than are allowed.
    pub(in crate::bridge) fn are_used_up(&self, now_ms: u64) -> bool {
        self.at(now_ms).0 > DIALS_MAX
    }

    /// Returns the dials that count at this time, and the time from which on one after the other is allowed again.
    fn at(&self, now_ms: u64) -> (u32, u64) {
        let more = u32::try_from(now_ms.saturating_sub(self.since_ms) / ONE_MORE_MS).unwrap_or(u32::MAX);
        match self.taken.checked_sub(more) {
            None | Some(0) => (0, now_ms),
            Some(left) => (left, self.since_ms + u64::from(more) * ONE_MORE_MS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_one_in_each_half_minute() {
        let mut dials = QuickDials::default();
        (0..DIALS_MAX).for_each(|_| dials.take(1_000));
        assert!(!dials.are_used_up(1_000));
        dials.take(1_000);
        assert!(dials.are_used_up(1_000));
        let next = 1_000 + ONE_MORE_MS;
        dials.take(next - 1);
        assert!(dials.are_used_up(next - 1) && !dials.are_used_up(next), "without another close, too");
        dials.take(next + ONE_MORE_MS);
        assert!(!dials.are_used_up(next + ONE_MORE_MS), "two more, one of them taken");
        dials.take(u64::MAX);
        (0..DIALS_MAX - 1).for_each(|_| dials.take(u64::MAX));
        assert!(!dials.are_used_up(u64::MAX), "all of them after a quiet time");
    }
}
