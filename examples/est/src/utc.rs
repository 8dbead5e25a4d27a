//! Times in certificates (RFC 5280 §4.1.2.5) and in HTTP (RFC 9110 §5.6.7), as seconds since 1970.

use crate::der::{Element, GENERALIZED_TIME, UTC_TIME};

const DAY_S: i64 = 86_400;

/// Returns the seconds of a time in a certificate: `YYMMDDhhmmssZ`, whose years are 1950 to 2049, or `YYYYMMDDhhmmssZ`. A time before 1970 is 0.
pub(crate) fn of_certificate(time: Element<'_>) -> Option<u64> {
    let text = time.content.strip_suffix(b"Z")?;
    let (year, rest) = text.split_at_checked(match time.tag {
        UTC_TIME => 2,
        GENERALIZED_TIME => 4,
        _ => return None,
    })?;
    let year = match (number(year)?, time.tag) {
        (year, GENERALIZED_TIME) => year,
        (year, _) if year < 50 => year + 2_000,
        (year, _) => year + 1_900,
    };
    let parts: Vec<i64> = rest.chunks(2).map(number).collect::<Option<_>>()?;
    let &[month, day, hour, minute, second] = &*parts else { return None };
    (rest.len() == 10).then(|| seconds([year, month, day, hour, minute, second])).flatten()
}

/// Returns the seconds of a date of HTTP in the form that is written today: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(crate) fn of_http(text: &str) -> Option<u64> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let words: Vec<&str> = text.split(' ').collect();
    let &[_, day, month, year, time, "GMT"] = &*words else { return None };
    let month = MONTHS.find(month).filter(|at| at % 3 == 0 && month.len() == 3)? as i64 / 3 + 1;
    let mut parts = [number(year.as_bytes())?, month, number(day.as_bytes())?, 0, 0, 0];
    let mut of_day = time.split(':');
    for part in parts.iter_mut().skip(3) {
        *part = number(of_day.next()?.as_bytes())?;
    }
    seconds(parts)
}

/// Returns a time in words: `2026-11-30T01:05:19Z`.
#[must_use]
pub fn text(seconds: u64) -> String {
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    // The year begins in March, so that the leap day is its last one; 400 years have 146 097 days.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let of_era_year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * of_era_year + of_era_year / 4 - of_era_year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = (era * 400 + of_era_year + u64::from(month >= 10), (month + 2) % 12 + 1);
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

fn number(digits: &[u8]) -> Option<i64> {
    let is_short = (1..=4).contains(&digits.len());
    let number = |all: i64, b: &u8| b.is_ascii_digit().then(|| all * 10 + i64::from(b - b'0'));
    if is_short { digits.iter().try_fold(0, number) } else { None }
}

/// Seconds of a date of the Gregorian calendar. `None`: there is no such date.
fn seconds([year, month, day, hour, minute, second]: [i64; 6]) -> Option<u64> {
    let is_date = (1..=12).contains(&month) && (1..=31).contains(&day);
    if !is_date || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let of_year = (153 * month + 2) / 5 + day - 1;
    let days =
        year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + of_year - 719_468;
    Some(u64::try_from(days * DAY_S + (hour * 60 + minute) * 60 + second).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn in_certificate(text: &str) -> Option<u64> {
        let tag = if text.len() == 13 { UTC_TIME } else { GENERALIZED_TIME };
        of_certificate(Element { tag, content: text.as_bytes(), whole: &[] })
    }

    #[test]
    fn times_are_those_of_another_program() {
        // `date -u -d DATE +%s`
        for (text, seconds) in [
            ("000229000000Z", 951_782_400),
            ("491231235959Z", 2_524_607_999),
            ("20500101000000Z", 2_524_608_000),
            ("500101000000Z", 0),
            ("700101000001Z", 1),
        ] {
            assert_eq!(in_certificate(text), Some(seconds), "{text}");
        }
        assert_eq!(of_http("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        for wrong in [
            "2026010100000Z",
            "701301000000Z",
            "700100000000Z",
            "700101240000Z",
            "70010100000xZ",
            "7001010000Z",
        ] {
            assert_eq!(in_certificate(wrong), None, "{wrong}");
        }
        for wrong in [
            "",
            "Sun, 06 anF 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
        ] {
            assert_eq!(of_http(wrong), None, "{wrong}");
        }
        assert_eq!(super::text(784_111_777), "1994-11-06T08:49:37Z");
    }

    proptest! {
        #[test]
        fn words_of_a_time_mean_that_time(seconds in 0_u64..253_402_300_800) {
            let digits: String = text(seconds).chars().filter(|c| !"-T:".contains(*c)).collect();
            prop_assert_eq!(in_certificate(&digits), Some(seconds));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = (in_certificate(&text), of_http(&text));
        }
    }
}
