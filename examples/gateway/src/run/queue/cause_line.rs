//! Rate limit of the log line that says why there is no queue. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// Pause before the log repeats the line about the same cause; with the pause before a line about another cause.
const SAME_AGAIN: Duration = Duration::from_secs(3_600);
const OTHER_AGAIN: Duration = Duration::from_secs(60);

/// Rate limit of the log line: once an hour about the same cause, once a minute about another one. Pure.
#[derive(Debug, Default)]
pub(super) struct CauseLine {
    last: Option<(Instant, String)>,
}

impl CauseLine {
    /// Returns whether the line may be written at `now`, and counts it as written.
    pub(super) fn is_due(&mut self, now: Instant, cause: &str) -> bool {
        let is_due = self.last.as_ref().is_none_or(|(said_at, last)| {
            now >= *said_at + if last == cause { SAME_AGAIN } else { OTHER_AGAIN }
        });
        if is_due {
            self.last = Some((now, cause.to_owned()));
        }
        is_due
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "test code: a moment to begin at")]
mod tests {
    use super::*;

    #[test]
    fn one_cause_is_said_once_an_hour_and_others_once_a_minute() {
        let (start, mut line) = (Instant::now(), CauseLine::default());
        let mut lines = |seconds: std::ops::Range<u64>, cause: fn(u64) -> String| {
            seconds.filter(|s| line.is_due(start + Duration::from_secs(*s), &cause(*s))).count()
        };
        assert_eq!(lines(0..7_200, |_| "full".to_owned()), 2);
        assert_eq!(lines(7_200..7_500, |s| format!("{s} bytes are free")), 5);
    }
}
