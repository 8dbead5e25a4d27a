//! Debounce of the operator's requests to read the files: many signals within a second, or while the files are read, are one request. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// Shortest time from the end of a reading that was asked for to the next.
const PAUSE: Duration = Duration::from_secs(1);

/// Requests that are not answered yet.
#[derive(Debug, Default)]
pub(super) struct Requests {
    is_asked: bool,
    not_before: Option<Instant>,
}

impl Requests {
    pub(super) fn ask(&mut self) {
        self.is_asked = true;
    }

    /// Returns when the files are to be read. `None`: nobody asked for it.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        self.is_asked.then(|| self.not_before.unwrap_or(now))
    }

    /// Begins a reading, which answers all requests so far.
    pub(super) fn begin(&mut self) {
        self.is_asked = false;
    }

    /// Records the end of a reading that was asked for.
    pub(super) fn end(&mut self, now: Instant) {
        self.not_before = Some(now + PAUSE);
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "test code")]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_answered_at_once_and_a_storm_once_a_second() {
        let (start, mut requests, mut read) = (Instant::now(), Requests::default(), Vec::new());
        assert_eq!(requests.due(start), None);
        for ms in 0..3_000 {
            let now = start + Duration::from_millis(ms);
            if ms < 2_500 {
                requests.ask();
            }
            if requests.due(now).is_some_and(|due| due <= now) {
                requests.begin();
                read.push(ms);
                requests.end(now + Duration::from_millis(10));
            }
        }
        assert_eq!(read, [0, 1_010, 2_020]);
        // One that came in the last second is not forgotten.
        let later = start + Duration::from_millis(3_030);
        assert_eq!(requests.due(later), Some(later));
    }
}
