//! Dates for people: a time in UTC as `2026-11-27T21:53:04Z` (RFC 3339).

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls_pki_types::UnixTime;

const DAY_S: u64 = 86_400;

/// Time whose `Display` is its date; a time before 1970 is shown as the beginning of that year.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Utc {
    /// Seconds since 1970.
    seconds: u64,
}

impl Utc {
    /// Returns the day alone, for a text that has to be the same one second later.
    pub(super) fn day(self) -> String {
        let (year, month, day) = date(self.seconds / DAY_S);
        format!("{year:04}-{month:02}-{day:02}")
    }
}

impl From<SystemTime> for Utc {
    fn from(time: SystemTime) -> Self {
        Self { seconds: time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() }
    }
}

impl From<UnixTime> for Utc {
    fn from(time: UnixTime) -> Self {
        Self { seconds: time.as_secs() }
    }
}

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of_day = self.seconds % DAY_S;
        let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
        write!(f, "{}T{hour:02}:{minute:02}:{second:02}Z", self.day())
    }
}

/// Returns year, month and day of the Gregorian calendar, `days` after 1970-01-01. The year begins in March, so that the leap day is its last one.
fn date(days: u64) -> (u64, u64, u64) {
    /// Days from 0000-03-01 to 1970-01-01.
    const TO_1970: u64 = 719_468;
    const OF_400_YEARS: u64 = 146_097;
    let days = days.saturating_add(TO_1970);
    let (era, of_era) = (days / OF_400_YEARS, days % OF_400_YEARS);
    // Without the leap days of 4 years, with those left out of 100, without that of 400.
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let year = era * 400 + year_of_era;
    if month < 10 { (year, month + 3, day) } else { (year + 1, month - 9, day) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_time_is_shown_as_the_system_shows_it() {
        // `date -u -d @SECONDS +%FT%TZ`
        for (seconds, shown) in [
            (0, "1970-01-01T00:00:00Z"),
            (86_399, "1970-01-01T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_816_384, "2026-11-27T21:53:04Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (67_090_118_400, "4096-01-01T00:00:00Z"),
        ] {
            let time = UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(Utc::from(time).to_string(), shown);
            assert_eq!(Some(Utc::from(time).day().as_str()), shown.split('T').next());
            assert_eq!(
                Utc::from(UnixTime::since_unix_epoch(Duration::from_secs(seconds))).to_string(),
                shown
            );
        }
        assert_eq!(Utc::from(UNIX_EPOCH - Duration::from_secs(1)).to_string(), "1970-01-01T00:00:00Z");
        assert!(!Utc { seconds: u64::MAX }.to_string().is_empty(), "no overflow");
    }
}
