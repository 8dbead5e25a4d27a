//! Log lines about dropped messages, because only the counters of the queues show these losses: the first at once, further ones once a minute, the rest at
//! a stop.

use std::time::Duration;

use edge_bridge::escape::Escaped;
use edge_bridge::listener;
use tokio::time::Instant;

/// Shortest time between two lines about a connection.
const AGAIN: Duration = Duration::from_secs(60);

/// Cause of losses.
#[derive(Debug, Clone, Copy)]
enum Lost {
    /// Messages of a queue.
    Queued,
    /// Messages at QoS 0, on their way to a queue.
    AtQoS0,
}

/// Number of messages that a connection had dropped for one cause at the last log line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told {
    lost: Lost,
    /// Side to which the messages go: `hub` or `local`.
    side: &'static str,
    dropped: u64,
    said_at: Option<Instant>,
}

impl Told {
    /// Starts with the losses before this start. Those that a `former` connection of this process logged are known; without one they are logged with
    /// their number in all: a run that was killed could not log its last.
    pub(crate) fn from(connection: &str, side: &'static str, dropped: u64, former: Option<Self>) -> Self {
        if let Some(former) = former {
            // Less than was known: it is another queue.
            return Self { dropped: former.dropped.min(dropped), ..former };
        }
        if dropped > 0 {
            tracing::warn!(connection = %Escaped(connection), side, in_all = dropped, "messages were lost in earlier runs: the last of a run that was killed are not logged elsewhere");
        }
        Self { lost: Lost::Queued, side, dropped, said_at: None }
    }

    /// Starts with no losses of messages that come at QoS 0: their sender keeps no copy, so they are counted where they come in.
    pub(crate) fn at_qos0(side: &'static str) -> Self {
        Self { lost: Lost::AtQoS0, side, dropped: 0, said_at: None }
    }

    /// Returns whether a line about further losses is due.
    pub(crate) fn is_due(&self, now: Instant, dropped: u64) -> bool {
        dropped > self.dropped && self.said_at.is_none_or(|said_at| now >= said_at + AGAIN)
    }

    /// Logs the messages dropped since the last line, if one is due.
    pub(crate) fn update(&mut self, now: Instant, connection: &str, dropped: u64) {
        if self.is_due(now, dropped) {
            self.said_at = Some(now);
            self.tell_rest(connection, dropped);
        }
    }

    /// Logs the messages dropped since the last line.
    pub(crate) fn tell_rest(&mut self, connection: &str, dropped: u64) {
        let more = dropped.saturating_sub(self.dropped);
        self.dropped = dropped;
        if more == 0 {
            return;
        }
        let (connection, side) = (Escaped(connection), self.side);
        match self.lost {
            Lost::Queued => {
                tracing::error!(%connection, side, messages = more, in_all = dropped, "the queue was full, or what it held expired or was damaged: its oldest messages are gone");
            }
            Lost::AtQoS0 => {
                tracing::error!(%connection, side, messages = more, in_all = dropped, "at QoS 0, and there was no room, or no topic line takes them: they are dropped, and no broker keeps them");
            }
        }
    }
}

/// Logs the messages that local clients did not get, since the statistics `before`.
pub(crate) fn tell_of_clients(before: &listener::Stats, now: &listener::Stats) {
    for (messages, why) in dropped_since(before, now) {
        if messages > 0 {
            tracing::warn!(messages, why, "messages for local clients were dropped");
        }
    }
    let ended = now.sessions_given_up - before.sessions_given_up;
    if ended > 0 {
        tracing::warn!(
            sessions = ended,
            "sessions of absent clients ended early: others needed their place, or their memory"
        );
    }
}

/// Returns the numbers of messages that were dropped since the statistics `before`, by the cause.
fn dropped_since(before: &listener::Stats, now: &listener::Stats) -> [(u64, &'static str); 6] {
    [
        (now.dropped_full - before.dropped_full, "too many waited for a client that is slow or away"),
        (now.dropped_ended - before.dropped_ended, "their client's session expired, or its user is gone"),
        (now.dropped_too_large - before.dropped_too_large, "larger than a client takes"),
        (now.qos0_without_room - before.qos0_without_room, "at QoS 0, and a queue had no room"),
        (now.wills_without_room - before.wills_without_room, "wills, and a queue had no room"),
        (now.retain_refused - before.retain_refused, "delivered, but not retained: too many are"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each is mended elsewhere: a client that is slow, a limit, a disk.
    #[test]
    fn each_drop_is_told_with_its_cause_and_what_was_told_before_is_no_news() {
        let stats = |each: u64| {
            let mut stats = listener::Stats::default();
            (stats.dropped_full, stats.dropped_ended, stats.dropped_too_large) =
                (each, 10 * each, 100 * each);
            (stats.qos0_without_room, stats.wills_without_room) = (1_000 * each, 10_000 * each);
            stats.retain_refused = 100_000 * each;
            stats
        };
        let told = [
            (2, "too many waited for a client that is slow or away"),
            (20, "their client's session expired, or its user is gone"),
            (200, "larger than a client takes"),
            (2_000, "at QoS 0, and a queue had no room"),
            (20_000, "wills, and a queue had no room"),
            (200_000, "delivered, but not retained: too many are"),
        ];
        assert_eq!(dropped_since(&stats(1), &stats(3)), told);
        assert!(dropped_since(&stats(3), &stats(3)).iter().all(|(messages, _)| *messages == 0));
    }

    #[test]
    fn the_first_loss_is_told_at_once_and_further_ones_a_minute_later() {
        let start = Instant::now();
        let at = |s: u64| start + Duration::from_secs(s);
        let mut told = Told::from("c", "hub", 7, None);
        assert!(!told.is_due(start, 7), "losses of earlier runs are none of this one");
        assert!(told.is_due(at(1), 8));
        told.update(at(1), "c", 8);
        assert!(!told.is_due(at(60), 20) && !told.is_due(at(61), 8) && told.is_due(at(61), 20));
        told.update(at(60), "c", 20);
        assert_eq!(told.dropped, 8, "it waits");
        told.tell_rest("c", 20);
        assert_eq!(told.dropped, 20);
        let told = Told::from("c", "hub", 23, Some(told));
        assert!(!told.is_due(at(60), 23) && told.is_due(at(61), 23), "the start found some");
        assert_eq!(Told::from("c", "hub", 20, Some(told)).dropped, 20, "logged by the former connection");
        assert_eq!(Told::from("c", "hub", 3, Some(told)).dropped, 3, "another queue");
        let told = Told::at_qos0("local");
        assert!(!told.is_due(start, 0) && told.is_due(start, 1));
    }
}
