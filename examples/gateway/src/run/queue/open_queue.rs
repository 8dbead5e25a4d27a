//! Queue of a run once it is open, for parts that decide about it from outside of the run. Clones share it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use edge_bridge::Link;
use edge_queue::{LaneStats, aio};

use super::parked_messages;

/// Time limit for an answer of the queue.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Queue of a run, empty until it is open.
#[derive(Clone, Default)]
pub(crate) struct OpenQueue(Arc<OnceLock<Opened>>);

struct Opened {
    queue: aio::Queue,
    /// Link to the hub, which has the queue of the parked messages; `None` in tests without one.
    link: Option<Link>,
}

/// Figures of what waits, as far as they are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// There is no open queue.
    NoQueue,
    /// Not known, for this reason.
    Unknown(&'static str),
    Known {
        lanes: Vec<LaneStats>,
        /// Lane of the parked messages' queue; `None`: there is none.
        parked: Option<LaneStats>,
    },
}

impl Waiting {
    /// Returns the figures of lanes, without parked messages.
    #[cfg(test)]
    pub(crate) fn in_lanes(lanes: Vec<LaneStats>) -> Self {
        Self::Known { lanes, parked: None }
    }
}

impl OpenQueue {
    /// Sets the queue and the link to the hub, once.
    pub(crate) fn show(&self, queue: &aio::Queue, link: &Link) {
        let _first = self.0.set(Opened { queue: queue.clone(), link: Some(link.clone()) });
    }

    /// Sets an empty queue in memory, if there is no queue yet, and returns the one that is set.
    #[cfg(test)]
    #[allow(clippy::unwrap_used, reason = "test code")]
    pub(crate) fn show_in_memory(&self) -> aio::Queue {
        let memory = edge_queue::Config::default().store(edge_queue::StoreKind::Memory);
        let in_memory = || aio::Queue::of(edge_queue::Queue::open("", memory).unwrap()).unwrap();
        self.0.get_or_init(|| Opened { queue: in_memory(), link: None }).queue.clone()
    }

    /// Returns the queue; `None` while it is not open.
    pub(crate) fn open(&self) -> Option<aio::Queue> {
        self.0.get().map(|opened| opened.queue.clone())
    }

    /// Returns the queue of the parked messages; `None` while there is none.
    pub(crate) fn parked(&self) -> Option<aio::Queue> {
        self.0.get()?.link.as_ref()?.parked_queue()
    }

    pub(crate) fn is_open(&self) -> bool {
        self.0.get().is_some()
    }

    /// Has the link look at its certificate at once, which may have been renewed. Without a link there is none to be replaced.
    pub(crate) async fn look_at_certificate(&self) {
        if let Some(link) = self.0.get().and_then(|opened| opened.link.as_ref()) {
            link.look_at_certificate().await;
        }
    }

    /// Returns the figures of the lanes and of the parked messages, which have the same limits in a queue of their own.
    pub(crate) async fn waiting(&self) -> Waiting {
        let Some(Opened { queue, link }) = self.0.get() else { return Waiting::NoQueue };
        let Some(lanes) = lanes_of(queue).await else {
            return Waiting::Unknown("the queue does not answer");
        };
        let parked = match link.as_ref().and_then(Link::parked_queue) {
            Some(parked) => lanes_of(&parked).await.map(|lanes| lanes.into_iter().next()),
            None => has_none_parked(queue.clone()).await.then_some(None),
        };
        match parked {
            Some(parked) => Waiting::Known { lanes, parked },
            None => Waiting::Unknown(
                "the queue of the parked messages is not open yet, or does not answer: try again",
            ),
        }
    }
}

/// Returns the figures of a queue's lanes; `None` if it does not answer.
async fn lanes_of(queue: &aio::Queue) -> Option<Vec<LaneStats>> {
    Some(tokio::time::timeout(ANSWER_WITHIN, queue.stats()).await.ok()??.lanes)
}

/// Returns whether there is certainly no queue of parked messages.
async fn has_none_parked(queue: aio::Queue) -> bool {
    let look = tokio::task::spawn_blocking(move || queue.has_beside(parked_messages::DIR));
    matches!(tokio::time::timeout(ANSWER_WITHIN, look).await, Ok(Ok(false)))
}

impl std::fmt::Debug for OpenQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("OpenQueue").field(&self.is_open()).finish()
    }
}
