//! Receive Maximum (§3.3.4, §4.9): the most messages of QoS 1 and 2 that may be unacknowledged, or not completed, in one direction on this connection.

/// A send quota, or the same count at the receiver.
///
/// Starts unused on every connection, because messages resent after a reconnect count against the *new* limit like others.
#[derive(Debug, Clone, Copy, Hash)]
pub(super) struct Quota {
    limit: u16,
    used: u16,
}

impl Quota {
    /// Creates a quota of `limit`, at least 1. The standard forbids 0, with which no message could ever be sent.
    pub(super) fn new(limit: u16) -> Self {
        Self { limit: limit.max(1), used: 0 }
    }

    /// Uses one unit of the quota; returns `false` if none is left.
    #[must_use]
    pub(super) fn take(&mut self) -> bool {
        let free = self.used < self.limit;
        if free {
            self.used += 1;
        }
        free
    }

    /// Returns one unit of the quota. Never exceeds the limit (§4.9: "the send quota is not incremented if it is already equal").
    pub(super) fn give(&mut self) {
        self.used = self.used.saturating_sub(1);
    }

    pub(super) fn left(&self) -> u16 {
        self.limit - self.used
    }

    pub(super) fn used(&self) -> u16 {
        self.used
    }

    pub(super) fn limit(&self) -> u16 {
        self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_below_zero_and_never_above_the_limit() {
        let mut quota = Quota::new(2);
        quota.give();
        assert_eq!(quota.left(), 2);
        assert!(quota.take() && quota.take() && !quota.take());
        quota.give();
        assert_eq!((quota.left(), quota.used()), (1, 1));
        assert_eq!(Quota::new(0).limit(), 1);
    }
}
