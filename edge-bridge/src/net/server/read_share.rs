//! Memory of the buffers that connections read into: a share of one total, so that many connections that all send at full speed cost no more than a few.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that all connections read at a time together at most, beside [`READ_MIN`] for each; or half of what clients may hold, if that is less.
const TOTAL: usize = 4 * 1024 * 1024;
/// Bytes that a connection reads at a time, at least and at most.
pub(super) const READ_MIN: usize = 2 * 1024;
pub(super) const READ_MAX: usize = 64 * 1024;

/// A connection's place among those that share the total, until it is dropped.
#[derive(Debug)]
pub(super) struct ReadShare {
    connections: Arc<AtomicUsize>,
    total: usize,
}

impl ReadShare {
    /// Counts one more connection in `connections`, until the share is dropped. `max_memory`: bytes that clients may hold.
    pub(super) fn of(connections: &Arc<AtomicUsize>, max_memory: usize) -> Self {
        connections.fetch_add(1, Ordering::Relaxed);
        Self { connections: Arc::clone(connections), total: TOTAL.min(max_memory / 2) }
    }

    /// Bytes to read at a time at most, now.
    pub(super) fn max(&self) -> usize {
        let connections = self.connections.load(Ordering::Relaxed).max(1);
        (self.total / connections).clamp(READ_MIN, READ_MAX)
    }
}

impl Drop for ReadShare {
    fn drop(&mut self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_shares_together_are_bounded() {
        let connections = Arc::default();
        let first = ReadShare::of(&connections, usize::MAX);
        assert_eq!(first.max(), READ_MAX);
        let others: Vec<_> = (0..999).map(|_| ReadShare::of(&connections, usize::MAX)).collect();
        assert!(others.iter().all(|share| 1_000 * share.max() <= TOTAL));
        assert_eq!(ReadShare::of(&connections, 5_000_000).max(), 2_500_000 / 1_001);
        drop(others);
        assert_eq!(first.max(), READ_MAX);
    }
}
