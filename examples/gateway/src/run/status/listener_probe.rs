//! Figures of the gateway's own listener. While it does not answer they stay as they were: counters that fell to zero would look like new losses when
//! they are back.

#![allow(clippy::disallowed_methods, reason = "a shell: it waits for the answer")]

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use edge_bridge::listener::Stats;
use edge_bridge::net::server::LocalPublisher;

/// Time limit of the listener's answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// Way to the listener's figures. Clones share the last answer.
#[derive(Clone)]
pub(crate) struct ListenerProbe {
    listener: LocalPublisher,
    last: LastAnswer,
}

impl From<LocalPublisher> for ListenerProbe {
    fn from(listener: LocalPublisher) -> Self {
        Self { listener, last: LastAnswer::default() }
    }
}

impl ListenerProbe {
    /// Returns the figures, as of the last answer if none comes in time. `None`: there was no answer yet.
    pub(in crate::run) async fn stats(&self) -> Option<Stats> {
        self.last.or_last(self.answer().await)
    }

    /// Returns the figures of now; `None` if the listener does not answer.
    pub(in crate::run) async fn answer(&self) -> Option<Stats> {
        tokio::time::timeout(ANSWER_WITHIN, self.listener.stats()).await.ok()?.ok()
    }
}

/// Last answer of the listener.
#[derive(Clone, Default)]
struct LastAnswer(Arc<Mutex<Option<Stats>>>);

impl LastAnswer {
    /// Returns this answer; if there is none, the one before.
    fn or_last(&self, answer: Option<Stats>) -> Option<Stats> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *last = answer.or(*last);
        *last
    }
}

#[cfg(test)]
mod tests {
    use crate::run::sensors::intake_figures::IntakeFigures;

    use super::*;

    /// An alert on new losses goes off when a counter is back from zero.
    #[test]
    fn losses_stay_counted_while_the_listener_does_not_answer() {
        let (last, other) = (LastAnswer::default(), LastAnswer::default());
        let shared = last.clone();
        let lost = |last: &LastAnswer, answer| {
            IntakeFigures::default().lost_before_the_queue(last.or_last(answer).as_ref())
        };
        let answer = |qos0_without_room| {
            let mut stats = Stats::default();
            stats.qos0_without_room = qos0_without_room;
            Some(stats)
        };
        assert_eq!(lost(&last, None), 0, "no answer yet");
        assert_eq!([answer(5), None, answer(6), None].map(|answer| lost(&last, answer)), [5, 5, 6, 6]);
        assert_eq!((lost(&shared, None), lost(&other, None)), (6, 0));
    }
}
