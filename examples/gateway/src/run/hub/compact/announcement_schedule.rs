//! Schedule for publishing a session table: at once, but with a growing pause, so that neither a stream of new sensors nor a hub that does not
//! retain tables causes a flood of messages.

/// Milliseconds between two announcements of a topic. Doubles with each, up to [`PAUSE_MAX_MS`]; starts over after an hour without one. Short at
/// first, because the table of a topic's first batch rarely has all its sensors, and batches carry the names of missing ones.
const PAUSE_MS: u64 = 1_000;
const PAUSE_MAX_MS: u64 = 3_600_000;
/// Announcements without an echo after which the operator is notified: the seventh comes 63 s after the first.
const UNANSWERED_MIN: u32 = 7;

#[derive(Debug)]
pub(super) struct Schedule {
    /// Set if a table was not echoed by the hub yet.
    wanted: bool,
    next_ms: u64,
    pause_ms: u64,
    /// Number of announcements since the hub last had every table.
    unanswered: u32,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { wanted: false, next_ms: 0, pause_ms: PAUSE_MS, unanswered: 0 }
    }
}

impl Schedule {
    pub(super) fn want(&mut self) {
        self.wanted = true;
    }

    /// Makes an announcement due without a pause, because the hub has lost its tables.
    pub(super) fn want_at_once(&mut self) {
        *self = Self { wanted: true, ..Self::default() };
    }

    pub(super) fn is_due(&self, now_ms: u64) -> bool {
        self.wanted && now_ms >= self.next_ms
    }

    /// Records an announcement. It stays due until the hub [shows](Self::shown) the table.
    pub(super) fn announced(&mut self, now_ms: u64) {
        if now_ms.saturating_sub(self.next_ms) > PAUSE_MAX_MS {
            self.pause_ms = PAUSE_MS;
        }
        self.next_ms = now_ms.saturating_add(self.pause_ms);
        self.pause_ms = (2 * self.pause_ms).min(PAUSE_MAX_MS);
        self.unanswered = self.unanswered.saturating_add(1);
    }

    /// Returns whether the hub has echoed none of so many announcements, over a minute or more.
    pub(super) fn is_unanswered(&self) -> bool {
        self.unanswered >= UNANSWERED_MIN
    }

    /// Records that the hub has echoed a table, which shows that it retains them.
    pub(super) fn answered(&mut self) {
        self.unanswered = 0;
    }

    pub(super) fn shown(&mut self) {
        (self.wanted, self.unanswered) = (false, 0);
    }

    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.wanted.then_some(self.next_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hub_that_shows_nothing_for_a_minute_is_told_of_until_it_does() {
        let mut schedule = Schedule::default();
        schedule.want();
        let mut now_ms = 0;
        for _ in 0..6 {
            schedule.announced(now_ms);
            now_ms = schedule.next_deadline().unwrap();
            assert!(!schedule.is_unanswered(), "{now_ms}");
        }
        assert_eq!(now_ms, 63_000);
        schedule.announced(now_ms);
        assert!(schedule.is_unanswered());
        schedule.want_at_once();
        assert!(!schedule.is_unanswered(), "a hub that lost its sessions is asked anew");
        (0..7).for_each(|_| schedule.announced(now_ms));
        schedule.shown();
        assert!(!schedule.is_unanswered());
    }

    #[test]
    fn the_first_goes_at_once_and_the_pauses_grow_to_an_hour() {
        let mut schedule = Schedule::default();
        assert_eq!((schedule.is_due(0), schedule.next_deadline()), (false, None));
        schedule.want();
        assert!(schedule.is_due(0));
        let mut now_ms = 0;
        let doubled = (0..12).map(|times| 1_000 << times);
        for expected in doubled.chain([PAUSE_MAX_MS, PAUSE_MAX_MS, PAUSE_MAX_MS]) {
            schedule.announced(now_ms);
            assert!(!schedule.is_due(now_ms + expected - 1), "{expected}");
            now_ms += expected;
            assert_eq!(schedule.next_deadline(), Some(now_ms));
        }
        schedule.shown();
        assert!(!schedule.is_due(now_ms));
        schedule.want();
        schedule.announced(now_ms + 2 * PAUSE_MAX_MS);
        assert_eq!(schedule.next_deadline(), Some(now_ms + 2 * PAUSE_MAX_MS + PAUSE_MS), "starts over");
        schedule.want_at_once();
        assert!(schedule.is_due(now_ms));
    }
}
