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
        let more = u32::try_from(now_ms.saturating_sub(self.since_ms) / ONE_MORE_MS).unwrap_or(u32::MAX);
        if self.taken == 0 || more >= self.taken {
            (self.taken, self.since_ms) = (0, now_ms);
        } else {
            self.taken -= more;
            self.since_ms += u64::from(more) * ONE_MORE_MS;
        }
        self.taken = (self.taken + 1).min(DIALS_MAX + 1);
    }

    /// Returns whether the limit was exceeded by the last [`take`](Self::take).
    pub(in crate::bridge) fn are_used_up(&self) -> bool {
        self.taken > DIALS_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_one_in_each_half_minute() {
        let mut dials = QuickDials::default();
        (0..DIALS_MAX).for_each(|_| dials.take(1_000));
        assert!(!dials.are_used_up());
        dials.take(1_000);
        assert!(dials.are_used_up());
        dials.take(1_000 + ONE_MORE_MS - 1);
        assert!(dials.are_used_up());
        dials.take(1_000 + 2 * ONE_MORE_MS);
        assert!(!dials.are_used_up(), "two more, one of them taken");
        dials.take(u64::MAX);
        (0..DIALS_MAX - 1).for_each(|_| dials.take(u64::MAX));
        assert!(!dials.are_used_up(), "all of them after a quiet time");
    }
}
