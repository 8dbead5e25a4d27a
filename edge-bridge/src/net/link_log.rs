//! Rate limit of the log's lines about connections: each cause when it is new, and none more than once a minute.

use std::collections::HashMap;

/// Least time between two lines of one cause, in milliseconds.
const QUIET_MS: u64 = 60_000;
/// Causes remembered; more are taken for one.
const CAUSES_MAX: usize = 16;

/// See the [module](self). Pure.
#[derive(Debug, Default)]
pub(super) struct LinkLog {
    /// The reason why there is no connection, as last given.
    cause: Option<String>,
    /// Time of the last line of each cause.
    said_ms: HashMap<String, u64>,
    /// Per event that may come with every connection the time of its last line.
    events_ms: HashMap<&'static str, u64>,
    /// Set once the log says that there is no connection.
    is_down: bool,
    /// Set once the log has told of a connection.
    was_up: bool,
}

impl LinkLog {
    /// Returns whether the line about this end of a connection, or failed dial, is due: in an outage of days a further attempt that fails for
    /// the same reason is no news, another reason is.
    pub(super) fn disconnected(&mut self, now_ms: u64, cause: &str) -> bool {
        let is_new = self.cause.as_deref() != Some(cause);
        self.cause = Some(cause.to_owned());
        if !is_new {
            return false;
        }
        let key =
            if self.said_ms.contains_key(cause) || self.said_ms.len() < CAUSES_MAX { cause } else { "" };
        let last_ms = self.said_ms.get(key).copied();
        if last_ms.is_some_and(|last_ms| now_ms < last_ms + QUIET_MS) {
            return false;
        }
        self.said_ms.insert(key.to_owned(), now_ms);
        self.is_down = true;
        true
    }

    /// Returns whether the line about an event that may come with every connection is due: not twice in a minute.
    pub(super) fn recurs(&mut self, now_ms: u64, event: &'static str) -> bool {
        let last_ms = self.events_ms.get(event).copied();
        let is_due = last_ms.is_none_or(|last_ms| now_ms >= last_ms + QUIET_MS);
        if is_due {
            self.events_ms.insert(event, now_ms);
        }
        is_due
    }

    /// Returns whether the line about a connection is due: it is the first, or the log says that there is none.
    pub(super) fn connected(&mut self) -> bool {
        self.cause = None;
        !std::mem::replace(&mut self.was_up, true) | std::mem::take(&mut self.is_down)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_cause_is_said_and_the_same_one_is_not() {
        let mut log = LinkLog::default();
        assert!(log.disconnected(0, "refused"));
        assert!(!log.disconnected(1_000, "refused"));
        assert!(!log.disconnected(86_400_000, "refused"), "an outage of a day");
        assert!(log.disconnected(86_401_000, "not authorized"), "the hub is back and does not want us");
    }

    #[test]
    fn a_hub_that_accepts_and_kicks_is_said_once_a_minute() {
        let mut log = LinkLog::default();
        let mut lines = 0;
        for now_ms in (0..300_000).step_by(1_000) {
            lines += usize::from(log.connected());
            lines += usize::from(log.disconnected(now_ms, "kicked"));
        }
        assert_eq!(lines, 1 + 5 + 5, "connected at first, five kicks, and after each of them a connection");
    }

    #[test]
    fn an_event_of_every_connection_is_said_once_a_minute_and_delays_no_other() {
        let mut log = LinkLog::default();
        let lines = (0..300).filter(|n| log.recurs(n * 1_000, "session lost")).count();
        assert_eq!(lines, 5);
        assert!(log.recurs(299_000, "stalled"));
    }

    #[test]
    fn causes_that_never_end_do_not_fill_the_log() {
        let mut log = LinkLog::default();
        let lines = (0..10_000).filter(|n| log.disconnected(n % 50, &format!("cause {n}"))).count();
        assert_eq!((lines, log.said_ms.len()), (CAUSES_MAX + 1, CAUSES_MAX + 1));
    }

    #[test]
    fn two_causes_in_turn_are_said_once_a_minute_each() {
        let mut log = LinkLog::default();
        let lines = (0..120).filter(|n| log.disconnected(n * 1_000, ["a", "b"][*n as usize % 2])).count();
        assert_eq!(lines, 4);
    }
}
