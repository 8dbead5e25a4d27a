//! Handle of one received message, by which it is acknowledged.

/// Permission to acknowledge one received message, on the connection on which it came. After a reconnect the same packet identifier may mean
/// another message, so a handle of an older connection is refused ([`StaleAck`](super::StaleAck)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AckHandle {
    pub(super) epoch: u64,
    pub(super) serial: u64,
}

impl AckHandle {
    /// Returns whether both handles belong to the same connection.
    #[cfg(any(test, feature = "net"))]
    pub(crate) fn is_of_connection_of(&self, other: &Self) -> bool {
        self.epoch == other.epoch
    }
}

#[cfg(test)]
impl AckHandle {
    pub(crate) fn for_test(epoch: u64, serial: u64) -> Self {
        Self { epoch, serial }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_of_one_connection_are_told_from_those_of_another() {
        let handle = AckHandle::for_test(1, 1);
        assert!(handle.is_of_connection_of(&AckHandle::for_test(1, 2)));
        assert!(!handle.is_of_connection_of(&AckHandle::for_test(2, 1)));
    }
}
