//! Interface of every store, the baseline included.

/// Something that keeps messages.
pub(super) trait Peer {
    /// Makes `batch` new messages durable with one sync.
    fn commit(&mut self, batch: usize) -> Result<(), String>;

    /// Takes messages out in their order, `chunk` at a time, until none is left; their removal is durable at least every
    /// `lag` messages and at the end. Gives how many they were.
    fn drain(&mut self, chunk: usize, lag: usize) -> Result<usize, String>;
}
