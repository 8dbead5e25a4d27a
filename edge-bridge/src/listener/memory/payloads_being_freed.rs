//! Payloads of connections that gave way: they are in memory until the caller has dropped them, which takes a moment. Until then they are not
//! counted, so that one connection gives way for an overflow and not all.

/// Time for the caller to drop what it holds for a connection that is closed, in milliseconds.
const WITHIN_MS: u64 = 2;

/// Bytes that are about to be free.
#[derive(Debug, Default)]
pub(super) struct PayloadsBeingFreed {
    bytes: usize,
    until_ms: u64,
}

impl PayloadsBeingFreed {
    /// Notes payloads of a connection that gives way.
    pub(super) fn add(&mut self, now_ms: u64, bytes: usize) {
        self.expire(now_ms);
        self.bytes += bytes;
        self.until_ms = now_ms + WITHIN_MS;
    }

    /// Lets memory count again that is not free when its time is over.
    pub(super) fn expire(&mut self, now_ms: u64) {
        if now_ms >= self.until_ms {
            self.bytes = 0;
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Time at which memory is to be looked at again, if something is about to be free.
    pub(super) fn due_ms(&self) -> Option<u64> {
        (self.bytes > 0).then_some(self.until_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_go_in_time_counts_again() {
        let mut being_freed = PayloadsBeingFreed::default();
        being_freed.add(1_000, 5);
        being_freed.add(1_001, 7);
        being_freed.expire(1_002);
        assert_eq!((being_freed.bytes(), being_freed.due_ms()), (12, Some(1_003)));
        being_freed.expire(1_003);
        assert_eq!((being_freed.bytes(), being_freed.due_ms()), (0, None));
        being_freed.add(2_000, 1);
        assert_eq!(being_freed.bytes(), 1);
    }
}
