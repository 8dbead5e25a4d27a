//! Floor of the time by which certificates are judged while the wall clock is not known to be right: a gateway that boots in 1970, or at the time
//! of the last power cut, reaches its hub before a time server answers, or without one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use edge_bridge::net::ClockFloor;
use edge_queue::{Clock as _, SystemClock};

use crate::config::Config;

use super::start_and_stop::wall_clock;

/// Day of the release, 2026-11-27, in seconds since 1970: it is past, whatever the clock says. Raised with each release; a constant, so that the
/// same sources make the same program.
pub(crate) const RELEASED_S: u64 = 1_795_737_600;

/// Handle to the floor; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct CertificateFloor {
    floor_s: Arc<AtomicU64>,
    clock: ClockFloor,
}

impl CertificateFloor {
    pub(crate) fn new(wall: Arc<SystemClock>) -> Self {
        let floor_s = Arc::new(AtomicU64::new(RELEASED_S));
        let seconds = floor_s.clone();
        let clock = ClockFloor::new(move || {
            let floor = UNIX_EPOCH.checked_add(Duration::from_secs(seconds.load(Ordering::Relaxed)));
            floor.filter(|_| !wall.now().synced)
        });
        Self { floor_s, clock }
    }

    /// Floor of a program that has opened no queue.
    pub(crate) fn of(config: &Config) -> Self {
        Self::new(Arc::new(wall_clock(config)))
    }

    /// Raises the floor to a time that a synchronised clock has shown, in seconds since 1970.
    pub(super) fn raise(&self, known_s: u64) {
        self.floor_s.fetch_max(known_s, Ordering::Relaxed);
    }

    pub(crate) fn clock(&self) -> ClockFloor {
        self.clock.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::SystemTime;

    use super::*;

    /// Returns the newest day (2026-11-27) in a heading of a changelog.
    fn newest_day(changelog: &str) -> Option<&str> {
        let is_day = |word: &&str| {
            let digits = word.bytes().filter(u8::is_ascii_digit).count();
            word.len() == 10 && digits == 8 && word.matches('-').count() == 2
        };
        let headings = changelog.lines().filter(|line| line.starts_with("## "));
        headings.flat_map(|line| line.split([' ', '(', ')'])).filter(is_day).max()
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "the clock of the machine that tests")]
    fn no_release_is_later_than_the_day_that_the_program_knows() {
        assert_eq!(
            newest_day("## Unreleased\n\n## 0.2.0 (2027-01-03)\n- 2030-01-01\n## 0.1.0, 2026-12-31"),
            Some("2027-01-03")
        );
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut seen = 0;
        for directory in std::fs::read_dir(repository).unwrap() {
            let Ok(text) = std::fs::read_to_string(directory.unwrap().path().join("CHANGELOG.md")) else {
                continue;
            };
            seen += 1;
            // The day of RELEASED_S, `date -u -d @RELEASED_S +%F`.
            assert!(
                newest_day(&text).is_none_or(|day| day <= "2026-11-27"),
                "raise RELEASED_S, and the day here"
            );
        }
        assert!(seen > 0);
        assert!(
            UNIX_EPOCH + Duration::from_secs(RELEASED_S) <= SystemTime::now(),
            "it would refuse good certificates"
        );
    }

    #[test]
    fn the_floor_rises_and_never_falls() {
        let floor = CertificateFloor::new(Arc::new(SystemClock::new()));
        floor.raise(7);
        assert_eq!(floor.floor_s.load(Ordering::Relaxed), RELEASED_S, "a clock of 1970");
        floor.raise(RELEASED_S + 7);
        assert_eq!(floor.floor_s.load(Ordering::Relaxed), RELEASED_S + 7);
    }
}
