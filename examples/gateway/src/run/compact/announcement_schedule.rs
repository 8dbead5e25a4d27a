//! Schedule of a table's announcements: at once, but neither an ever new sensor nor a hub that does not answer makes a flood of it.

/// Between two announcements of a topic. Doubles with each, up to [`PAUSE_MAX_MS`]; an hour without one starts over. Short at
/// first: the table of a topic's first batch rarely has all of its sensors, and until one has, batches carry their names.
const PAUSE_MS: u64 = 1_000;
const PAUSE_MAX_MS: u64 = 3_600_000;
/// Announcements in vain from which on a person is told: the seventh comes 63 s after the first.
const UNANSWERED_MIN: u32 = 7;

#[derive(Debug)]
pub(super) struct Schedule {
    /// There is something that the hub has not shown.
    wanted: bool,
    next_ms: u64,
    pause_ms: u64,
    /// Announcements since the hub last showed everything.
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

    /// The hub has lost what it had: no pause holds that up.
    pub(super) fn want_at_once(&mut self) {
        *self = Self { wanted: true, ..Self::default() };
    }

    pub(super) fn is_due(&self, now_ms: u64) -> bool {
        self.wanted && now_ms >= self.next_ms
    }

    /// It stays wanted until it is [shown](Self::shown).
    pub(super) fn announced(&mut self, now_ms: u64) {
        if now_ms.saturating_sub(self.next_ms) > PAUSE_MAX_MS {
            self.pause_ms = PAUSE_MS;
        }
        self.next_ms = now_ms.saturating_add(self.pause_ms);
        self.pause_ms = (2 * self.pause_ms).min(PAUSE_MAX_MS);
        self.unanswered = self.unanswered.saturating_add(1);
    }

    /// Returns whether the hub has shown nothing although it was given so many announcements, over a minute or more.
    pub(super) fn is_unanswered(&self) -> bool {
        self.unanswered >= UNANSWERED_MIN
    }

    /// The hub has shown a table, if not all: it does answer.
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
