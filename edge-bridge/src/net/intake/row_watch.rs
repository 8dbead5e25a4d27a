//! Watch of rows on their way into the queue, for a program that shows single rows to an operator.

use std::fmt;
use std::sync::OnceLock;

use edge_queue::Receipt;

use crate::row::Row;

/// Place of a row in the queue, and its receipt. New fields come only with a breaking release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SafeRow {
    /// Lane of the row.
    pub lane: u8,
    /// Sequence number of the row in its lane.
    pub seq: u64,
    /// Receipt, which says if the row is on disk, handed over to every consumer, or dropped by the policy.
    pub receipt: Receipt,
}

/// Function called when a watched row is safe, or removed by the policy. It is dropped without a call if the queue never takes the row.
pub type OnSafe = Box<dyn FnOnce(SafeRow) + Send>;

type Watch = dyn Fn(&Row) -> Option<OnSafe> + Send + Sync;

/// Function that is shown every row, if there is one.
#[derive(Default)]
pub(super) struct RowWatch(OnceLock<Box<Watch>>);

impl RowWatch {
    /// Sets the function. Only the first call has an effect.
    pub(super) fn set(&self, watch: impl Fn(&Row) -> Option<OnSafe> + Send + Sync + 'static) {
        self.0.get_or_init(|| Box::new(watch));
    }

    /// Shows a row that is about to be pushed. `None`: nobody watches it.
    pub(super) fn see(&self, row: &Row) -> Option<OnSafe> {
        self.0.get().and_then(|watch| watch(row))
    }
}

impl fmt::Debug for RowWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RowWatch").field(&self.0.get().is_some()).finish()
    }
}
