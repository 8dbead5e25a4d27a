//! Connections that could not be taken in: counted, and told once a minute for each cause, since whoever is outside can repeat them for ever.

use std::fmt::Display;
use std::time::Duration;

use tokio::time::Instant;

/// Time for which a line is not repeated.
const AGAIN: Duration = Duration::from_secs(60);

/// Connections that could not be taken in for one cause.
#[derive(Debug, Default)]
pub(super) struct NotAccepted {
    pub(super) total: u64,
    said_at: Option<Instant>,
    held_back: u64,
}

impl NotAccepted {
    /// Notes one more connection at `now`. Returns whether the log was told.
    pub(super) fn note(&mut self, now: Instant, cause: &dyn Display) -> bool {
        self.total += 1;
        if self.said_at.is_some_and(|said_at| now < said_at + AGAIN) {
            self.held_back += 1;
            return false;
        }
        self.said_at = Some(now);
        let held_back = std::mem::take(&mut self.held_back);
        tracing::warn!(held_back, "cannot accept a connection: {cause}");
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_counts_and_a_line_is_not_repeated_within_a_minute() {
        let (start, mut noted) = (Instant::now(), NotAccepted::default());
        let lines =
            (0..1_500).filter(|n| noted.note(start + Duration::from_millis(100 * n), &"limit")).count();
        assert_eq!((noted.total, lines), (1_500, 3));
    }
}
