//! Rate limit of log lines about connections, because logs are written to flash. A cause of disconnection gets a line when it is new or lasts,
//! and a recurring one gets a line every four hours, however often the link flaps. Pure.

use std::collections::HashMap;

/// Least time between two lines of one cause or event, in milliseconds.
const QUIET_MS: u64 = 60_000;
/// Milliseconds after which one more line is written about a recurring cause or event.
const EVERY_MS: u64 = 4 * 3_600_000;
/// Milliseconds after which a cause gets its line in any case, if there was no other meanwhile.
const LASTS_MS: u64 = 600_000;
/// Most causes with a time of their own; further ones share one.
const CAUSES_MAX: usize = 16;
/// Milliseconds without a line after which a cause gives its place to another one. A text with a date in it is another one each day.
const FORGET_MS: u64 = 24 * 3_600_000;

/// State of the limit, see the [module](self).
#[derive(Debug, Default)]
pub(super) struct LinkLog {
    /// Last cause of disconnection, and the up time since when there was no other; `None` while connected.
    cause: Option<(String, u64)>,
    /// Cause in the last log line about a disconnection; `None` if the last line reported a connection.
    told: Option<String>,
    /// Up time of the last line of each cause.
    said_ms: HashMap<String, u64>,
    /// Up time of the last line of each event that may come with every connection.
    events_ms: HashMap<&'static str, u64>,
    /// Up time from which one more line may be written about a cause or event that already had one.
    again_ms: u64,
    /// Number of disconnections and failed dials since the last line about one, except those of the cause in that line.
    left_out: u64,
    /// Set once the log has reported a connection.
    was_up: bool,
}

impl LinkLog {
    /// Counts an end of a connection or a failed dial. Returns `None` if it gets no line, otherwise the number of earlier ones without a line.
    /// During an outage of days a further failure for the same reason gets none; another reason does.
    pub(super) fn disconnected(&mut self, now_ms: u64, cause: &str) -> Option<u64> {
        let since_ms = match &self.cause {
            Some((known, since_ms)) if known == cause => *since_ms,
            _ => now_ms,
        };
        if since_ms == now_ms {
            self.cause = Some((cause.to_owned(), now_ms));
        }
        if self.told.as_deref() == Some(cause) {
            return None;
        }
        let key = if self.has_place(now_ms, cause) { cause } else { "" };
        let last_ms = self.said_ms.get(key).copied();
        let lasts = now_ms >= since_ms + LASTS_MS;
        if !lasts && !self.is_due(now_ms, last_ms) {
            self.left_out += 1;
            return None;
        }
        self.said_ms.insert(key.to_owned(), now_ms);
        self.told = Some(cause.to_owned());
        Some(std::mem::take(&mut self.left_out))
    }

    /// Returns whether a cause has a time of its own, or may have one; for that the others may be forgotten that had no line for long.
    fn has_place(&mut self, now_ms: u64, cause: &str) -> bool {
        if !self.said_ms.contains_key(cause) && self.said_ms.len() >= CAUSES_MAX {
            self.said_ms.retain(|_, last_ms| now_ms < *last_ms + FORGET_MS);
        }
        self.said_ms.contains_key(cause) || self.said_ms.len() < CAUSES_MAX
    }

    /// Returns whether a line is due about a cause or event whose last line was written at `last_ms`, and counts it as written.
    fn is_due(&mut self, now_ms: u64, last_ms: Option<u64>) -> bool {
        let Some(last_ms) = last_ms else { return true };
        let is_due = now_ms >= self.again_ms.max(last_ms + QUIET_MS);
        if is_due {
            self.again_ms = now_ms + EVERY_MS;
        }
        is_due
    }

    /// Returns whether a line is due about an event that may come with every connection. The first gets one; later ones are limited like the
    /// lines of a cause.
    pub(super) fn recurs(&mut self, now_ms: u64, event: &'static str) -> bool {
        let is_due = self.is_due(now_ms, self.events_ms.get(event).copied());
        if is_due {
            self.events_ms.insert(event, now_ms);
        }
        is_due
    }

    /// Returns whether a line is due about an event of a message, at most one a minute.
    pub(super) fn once_a_minute(&mut self, now_ms: u64, event: &'static str) -> bool {
        let last_ms = self.events_ms.get(event).copied();
        let is_due = last_ms.is_none_or(|last_ms| now_ms >= last_ms + QUIET_MS);
        if is_due {
            self.events_ms.insert(event, now_ms);
        }
        is_due
    }

    /// Returns whether a line is due about a connection: for the first one, and after a line about a disconnection.
    pub(super) fn connected(&mut self) -> bool {
        self.cause = None;
        !std::mem::replace(&mut self.was_up, true) | self.told.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: u64 = 3_600_000;

    #[test]
    fn a_changed_cause_is_said_and_the_same_one_is_not() {
        let mut log = LinkLog::default();
        assert_eq!(log.disconnected(0, "refused"), Some(0));
        assert_eq!(log.disconnected(1_000, "refused"), None);
        assert_eq!(log.disconnected(24 * HOUR_MS, "refused"), None, "an outage of a day");
        let back = log.disconnected(24 * HOUR_MS + 1, "not authorized");
        assert_eq!(back, Some(0), "the hub is back and does not want us");
    }

    #[test]
    fn a_hub_that_accepts_and_kicks_is_said_at_once_again_and_then_every_four_hours() {
        let mut log = LinkLog::default();
        let mut at = Vec::new();
        for now_ms in (0..10 * HOUR_MS).step_by(1_000) {
            at.extend(log.connected().then_some(('+', now_ms)));
            at.extend(log.disconnected(now_ms, "kicked").map(|left_out| ('-', left_out)));
        }
        let kicks = 4 * 3_600 - 1;
        let expected = [('+', 0), ('-', 0), ('+', 1_000), ('-', 59), ('+', 61_000)];
        assert_eq!(at[..5], expected);
        assert_eq!(
            at[5..],
            [('-', kicks), ('+', 4 * HOUR_MS + 61_000), ('-', kicks), ('+', 8 * HOUR_MS + 61_000)]
        );
    }

    /// Whatever the log has left out before.
    #[test]
    fn what_lasts_is_said_within_ten_minutes() {
        let mut log = LinkLog::default();
        for now_ms in (0..HOUR_MS).step_by(1_000) {
            log.disconnected(now_ms, ["a", "b"][now_ms as usize / 1_000 % 2]);
        }
        let told = (HOUR_MS..2 * HOUR_MS)
            .step_by(1_000)
            .filter_map(|now_ms| Some((now_ms, log.disconnected(now_ms, "b")?)));
        assert_eq!(told.collect::<Vec<_>>(), [(4_199_000, 2_369)], "since the last a");
    }

    #[test]
    fn an_event_of_every_connection_is_said_seldom_and_one_of_a_message_once_a_minute() {
        let mut log = LinkLog::default();
        let lines = (0..300).filter(|n| log.recurs(n * 1_000, "session lost")).count();
        assert_eq!(lines, 2);
        assert!(log.recurs(299_000, "stalled"), "another one is news");
        assert_eq!((0..300).filter(|n| log.once_a_minute(n * 1_000, "too large")).count(), 5);
    }

    #[test]
    fn causes_that_never_end_do_not_fill_the_log() {
        let mut log = LinkLog::default();
        let lines = (0..10_000).filter_map(|n| log.disconnected(n % 50, &format!("cause {n}"))).count();
        assert_eq!((lines, log.said_ms.len()), (CAUSES_MAX + 1, CAUSES_MAX + 1));
    }

    #[test]
    fn causes_of_earlier_days_leave_room_for_new_ones() {
        let mut log = LinkLog::default();
        for n in 0..100 {
            assert_eq!(log.disconnected(0, &format!("cause {n}")).is_some(), n <= CAUSES_MAX, "{n}");
        }
        let mut lines = |from_ms, name: &str| {
            (0..10).filter_map(|n| log.disconnected(from_ms + n, &format!("{name} {n}"))).count()
        };
        assert_eq!(lines(2 * HOUR_MS, "of the same day"), 1, "a line for all");
        assert_eq!(lines(24 * HOUR_MS, "of the next day"), 10);
    }
}
