//! Payloads of connections that gave way. They stay in memory for a moment, until the caller has dropped them. They are not counted meanwhile, so
//! that one connection gives way for an overflow, and not all of them.

/// Milliseconds after which bytes of a closed connection count again if the caller has not dropped them.
const WITHIN_MS: u64 = 2;

/// Bytes that are about to be freed.
#[derive(Debug, Default)]
pub(super) struct PayloadsBeingFreed {
    bytes: usize,
    until_ms: u64,
}

impl PayloadsBeingFreed {
    /// Adds the payloads of a connection that gives way.
    pub(super) fn add(&mut self, now_ms: u64, bytes: usize) {
        self.expire(now_ms);
        self.bytes += bytes;
        self.until_ms = now_ms + WITHIN_MS;
    }

    /// Counts memory again that was not freed in time.
    pub(super) fn expire(&mut self, now_ms: u64) {
        if now_ms >= self.until_ms {
            self.bytes = 0;
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Up time at which memory is to be checked again; `None` if nothing is about to be freed.
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
