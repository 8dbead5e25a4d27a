//! Numbers and texts for people.

use edge_page::count;

/// `0.34`, `8.3`, `142`: seconds without the unit.
pub(super) fn seconds(ms: u64) -> String {
    let s = ms as f64 / 1000.0;
    match ms {
        0..2_000 => format!("{s:.2}"),
        2_000..100_000 => format!("{s:.1}"),
        _ => format!("{s:.0}"),
    }
}

pub(super) fn bytes(n: u64) -> String {
    match n {
        0..10_000 => format!("{} B", count(n)),
        10_000..10_000_000 => format!("{:.1} kB", n as f64 / 1e3),
        _ => format!("{:.1} MB", n as f64 / 1e6),
    }
}

/// `20 November 2026 14:20 UTC`.
pub(super) fn date(unix_ms: i64) -> String {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let minutes = unix_ms.div_euclid(60_000);
    let (days, minute) = (minutes.div_euclid(1440), minutes.rem_euclid(1440));
    // Days to civil date (Hinnant, "chrono-compatible low-level date algorithms"): years begin in March.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 2 } else { march_month - 10 };
    let year = year_of_era + era * 400 + i64::from(month < 2);
    let name = usize::try_from(month).ok().and_then(|m| MONTHS.get(m)).copied().unwrap_or("");
    format!("{day} {name} {year} {:02}:{:02} UTC", minute / 60, minute % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_have_three_digits_at_most() {
        assert_eq!([340, 8_340, 142_000].map(seconds), ["0.34", "8.3", "142"]);
        assert_eq!([999, 12_345, 12_345_678].map(bytes), ["999 B", "12.3 kB", "12.3 MB"]);
    }

    #[test]
    fn dates_of_leap_years_and_before_1970() {
        assert_eq!(date(0), "1 January 1970 00:00 UTC");
        assert_eq!(date(951_782_400_000), "29 February 2000 00:00 UTC");
        assert_eq!(date(1_795_184_400_000), "20 November 2026 14:20 UTC");
        assert_eq!(date(-60_000), "31 December 1969 23:59 UTC");
    }
}
