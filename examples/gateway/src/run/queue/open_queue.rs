//! Queue of a run once it is open, for parts that decide about it from outside of the run. Clones share it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use edge_queue::{LaneStats, aio};

/// Time limit for an answer of the queue.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Queue of a run, empty until it is open.
#[derive(Clone, Default)]
pub(crate) struct OpenQueue(Arc<OnceLock<aio::Queue>>);

/// Figures of the lanes, as far as they are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// There is no open queue.
    NoQueue,
    /// The queue does not answer.
    Unknown,
    Lanes(Vec<LaneStats>),
}

impl OpenQueue {
    /// Sets the queue, once.
    pub(crate) fn show(&self, queue: &aio::Queue) {
        let _first = self.0.set(queue.clone());
    }

    /// Sets an empty queue in memory, if there is no queue yet, and returns the one that is set.
    #[cfg(test)]
    #[allow(clippy::unwrap_used, reason = "test code")]
    pub(crate) fn show_in_memory(&self) -> aio::Queue {
        let memory = edge_queue::Config::default().store(edge_queue::StoreKind::Memory);
        let in_memory = || aio::Queue::of(edge_queue::Queue::open("", memory).unwrap()).unwrap();
        self.0.get_or_init(in_memory).clone()
    }

    pub(crate) fn is_open(&self) -> bool {
        self.0.get().is_some()
    }

    /// Returns the figures of the lanes.
    pub(crate) async fn waiting(&self) -> Waiting {
        let Some(queue) = self.0.get() else { return Waiting::NoQueue };
        match tokio::time::timeout(ANSWER_WITHIN, queue.stats()).await {
            Ok(Some(stats)) => Waiting::Lanes(stats.lanes),
            _ => Waiting::Unknown,
        }
    }
}

impl std::fmt::Debug for OpenQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("OpenQueue").field(&self.is_open()).finish()
    }
}
