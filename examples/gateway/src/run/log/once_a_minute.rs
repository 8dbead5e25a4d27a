//! Rate limit of a log line that peers can cause for ever: once a minute. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// Shortest time between two lines.
const AGAIN: Duration = Duration::from_secs(60);

/// Time of the last line.
#[derive(Debug, Default)]
pub(in crate::run) struct OnceAMinute {
    said_at: Option<Instant>,
}

impl OnceAMinute {
    /// Returns whether the line may be written at `now`, and counts it as written.
    pub(in crate::run) fn may_say(&mut self, now: Instant) -> bool {
        let may = self.said_at.is_none_or(|said_at| now >= said_at + AGAIN);
        if may {
            self.said_at = Some(now);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "test code")]
    fn a_line_is_not_repeated_within_a_minute() {
        let (start, mut line) = (Instant::now(), OnceAMinute::default());
        let lines = (0..300).filter(|s| line.may_say(start + Duration::from_secs(*s))).count();
        assert_eq!(lines, 5);
    }
}
