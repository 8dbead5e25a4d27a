//! Memory of receive buffers: all connections share one total, so that many connections at full speed need no more memory than a few.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Most bytes that all connections together read at a time, beside [`READ_MIN`] for each. Half of the clients' memory limit if that is less.
const TOTAL: usize = 4 * 1024 * 1024;
/// Least and most bytes that a connection reads at a time.
pub(super) const READ_MIN: usize = 2 * 1024;
pub(super) const READ_MAX: usize = 64 * 1024;

/// Share of one connection in the total, held until it is dropped.
#[derive(Debug)]
pub(super) struct ReadShare {
    connections: Arc<AtomicUsize>,
    total: usize,
}

impl ReadShare {
    /// Counts one more connection in `connections`, until the share is dropped. `max_memory` is the most bytes that clients may take.
    pub(super) fn of(connections: &Arc<AtomicUsize>, max_memory: usize) -> Self {
        connections.fetch_add(1, Ordering::Relaxed);
        Self { connections: Arc::clone(connections), total: TOTAL.min(max_memory / 2) }
    }

    /// Most bytes to read at a time, which falls with the number of connections.
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
