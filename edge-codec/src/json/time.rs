//! Times in the units sensors use, as milliseconds since the Unix epoch.

#![deny(clippy::indexing_slicing)]

use super::TimeUnit;

/// 2^53: every smaller whole number is a double.
const WHOLE_BELOW: f64 = 9_007_199_254_740_992.0;

/// Converts a whole number of `unit` to milliseconds since the Unix epoch, finer units rounded down. `None` if `unit` is text or the result does
/// not fit.
pub(super) fn from_int(v: i64, unit: TimeUnit) -> Option<i64> {
    match unit {
        TimeUnit::Seconds => v.checked_mul(1000),
        TimeUnit::Milliseconds => Some(v),
        TimeUnit::Microseconds => Some(v.div_euclid(1000)),
        TimeUnit::Nanoseconds => Some(v.div_euclid(1_000_000)),
        TimeUnit::Rfc3339 => None,
    }
}

/// Converts a number of `unit` with a fraction or an exponent to milliseconds since the Unix epoch. `None` as for [`from_int`].
pub(super) fn from_float(v: f64, unit: TimeUnit) -> Option<i64> {
    let ms = match unit {
        TimeUnit::Seconds => (v * 1e3).round(),
        TimeUnit::Milliseconds => v.round(),
        TimeUnit::Microseconds => (v / 1e3).floor(),
        TimeUnit::Nanoseconds if v.abs() < WHOLE_BELOW => (v / 1e6).floor(),
        // Of doubles that are 256 ns apart the one nearest to a whole millisecond may be below it, and must not be cut to the one before.
        TimeUnit::Nanoseconds => ((v / 1e3).round() / 1e3).floor(),
        TimeUnit::Rfc3339 => return None,
    };
    // 2^63 as a double; the comparison is false for NaN.
    (ms.abs() < 9_223_372_036_854_775_808.0).then_some(ms as i64)
}

/// Returns the milliseconds since the Unix epoch of a time such as `2020-02-01T00:00:00.250+01:00`. `T` and `Z` may be lower case, and `T` a
/// blank (RFC 3339 §5.6). Anything finer than a millisecond is cut off. `None` if the text is no such time.
#[must_use]
pub fn from_rfc3339(text: &str) -> Option<i64> {
    let (date_time, rest) = text.split_at_checked(19)?;
    let [y1, y2, y3, y4, b'-', mo1, mo2, b'-', d1, d2, t, h1, h2, b':', mi1, mi2, b':', s1, s2] =
        *date_time.as_bytes()
    else {
        return None;
    };
    if !matches!(t, b'T' | b't' | b' ') {
        return None;
    }
    let year = digits(&[y1, y2, y3, y4])?;
    let (month, day) = (digits(&[mo1, mo2])?, digits(&[d1, d2])?);
    let (hour, minute, second) = (digits(&[h1, h2])?, digits(&[mi1, mi2])?, digits(&[s1, s2])?);
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let days = days_from_civil(year, month, day)?;
    let (ms, zone) = fraction(rest)?;
    let utc = ((days * 24 + hour) * 60 + minute - offset_minutes(zone)?) * 60 + second;
    Some(utc * 1000 + ms)
}

/// Splits `.250Z` into the milliseconds 250 and the rest `Z`; without a point the milliseconds are 0.
fn fraction(text: &str) -> Option<(i64, &str)> {
    let Some(rest) = text.strip_prefix('.') else { return Some((0, text)) };
    let len = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (figures, zone) = rest.split_at_checked(len)?;
    let ms = figures.bytes().chain([b'0'; 3]).take(3).fold(0, |all, b| all * 10 + i64::from(b - b'0'));
    (len > 0).then_some((ms, zone))
}

fn offset_minutes(zone: &str) -> Option<i64> {
    match *zone.as_bytes() {
        [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (h, m) = (digits(&[h1, h2])?, digits(&[m1, m2])?);
            let minutes = (h < 24 && m < 60).then_some(h * 60 + m)?;
            Some(if sign == b'-' { -minutes } else { minutes })
        }
        _ => None,
    }
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |all, b| b.is_ascii_digit().then(|| all * 10 + i64::from(b - b'0')))
}

/// Returns the days since 1970-01-01 in the proleptic Gregorian calendar, year 0 to 9999. They are leap days before this year, and then a table
/// of months. `None` if there is no such day.
fn days_from_civil(year: i64, month: i64, day: i64) -> Option<i64> {
    const BEFORE: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    const LENGTH: [i64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let at = usize::try_from(month.checked_sub(1)?).ok()?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = LENGTH.get(at)? + i64::from(leap && month == 2);
    if day < 1 || day > length {
        return None;
    }
    let past = year - 1;
    let leap_days = past.div_euclid(4) - past.div_euclid(100) + past.div_euclid(400);
    let this_year = BEFORE.get(at)? + i64::from(leap && month > 2) + day - 1;
    // 719 162 days from 0001-01-01 to 1970-01-01.
    Some(past * 365 + leap_days + this_year - 719_162)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_3339_examples_of_section_5_8() {
        assert_eq!(from_rfc3339("1985-04-12T23:20:50.52Z"), Some(482_196_050_520));
        assert_eq!(from_rfc3339("1996-12-19T16:39:57-08:00"), Some(851_042_397_000));
        assert_eq!(from_rfc3339("1990-12-31T23:59:60Z"), Some(662_688_000_000));
        assert_eq!(from_rfc3339("1990-12-31T15:59:60-08:00"), Some(662_688_000_000));
        assert_eq!(from_rfc3339("1937-01-01T12:00:27.87+00:20"), Some(-1_041_337_172_130));
    }

    #[test]
    fn known_instants_and_every_calendar_rule() {
        assert_eq!(from_rfc3339("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(from_rfc3339("2000-02-29t00:00:00z"), Some(951_782_400_000));
        assert_eq!(from_rfc3339("2020-02-01 00:00:00.0019999Z"), Some(1_580_515_200_001));
        assert_eq!(from_rfc3339("0000-01-01T00:00:00Z"), Some(-62_167_219_200_000));
        assert_eq!(from_rfc3339("9999-12-31T23:59:59.999Z"), Some(253_402_300_799_999));
    }

    #[test]
    fn what_is_not_rfc_3339_is_refused() {
        for bad in [
            "",
            "2020-02-01",
            "2020-02-01T00:00:00",
            "2020-02-01T00:00:00.Z",
            "2020-02-01T00:00:00+0100",
            "2020-02-01T24:00:00Z",
            "2020-02-01T00:60:00Z",
            "2020-02-01T00:00:61Z",
            "2020-13-01T00:00:00Z",
            "2020-00-01T00:00:00Z",
            "2021-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2020-04-31T00:00:00Z",
            "2020-02-01T00:00:00Zx",
            "2020-02-01T00:00:00+24:00",
            "+020-02-01T00:00:00Z",
            "2020-02-0\u{663}T00:00:00Z",
        ] {
            assert_eq!(from_rfc3339(bad), None, "{bad}");
        }
    }

    #[test]
    fn numbers_by_unit() {
        assert_eq!(from_int(1_580_515_200, TimeUnit::Seconds), Some(1_580_515_200_000));
        assert_eq!(from_int(i64::MAX, TimeUnit::Seconds), None);
        assert_eq!(from_int(-1, TimeUnit::Microseconds), Some(-1), "towards the past, also before 1970");
        assert_eq!(from_int(1_580_515_200_123_456_789, TimeUnit::Nanoseconds), Some(1_580_515_200_123));
        assert_eq!(from_float(1_580_515_200.123, TimeUnit::Seconds), Some(1_580_515_200_123));
        assert_eq!(from_float(1e300, TimeUnit::Milliseconds), None);
        // No double is some 10^18 whole nanoseconds; the nearest one may be below the millisecond that was meant.
        for ms in [1_580_515_200_002_i64, 1_580_515_200_250, 1_700_000_000_999, -1_041_337_172_130] {
            assert_eq!(from_float(ms as f64 * 1e6, TimeUnit::Nanoseconds), Some(ms));
        }
        assert_eq!(from_float(1_999_999.9, TimeUnit::Nanoseconds), Some(1), "cut where a double is exact");
        assert_eq!(from_int(0, TimeUnit::Rfc3339), None);
    }
}
