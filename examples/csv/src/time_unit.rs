//! Units of the numbers in a time column: named by whoever reads the file, or by the column, and checked against how large the numbers are.

use std::fmt;
use std::str::FromStr;

/// Unit of times since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TimeUnit {
    /// Seconds; a fraction is rounded to milliseconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
    /// Microseconds, cut to milliseconds.
    Microseconds,
    /// Nanoseconds, cut to milliseconds.
    Nanoseconds,
}

/// Ends of the columns' names that say the unit.
const SUFFIXES: [(&str, TimeUnit); 4] = [
    ("_ms", TimeUnit::Milliseconds),
    ("_us", TimeUnit::Microseconds),
    ("_ns", TimeUnit::Nanoseconds),
    ("_s", TimeUnit::Seconds),
];

impl TimeUnit {
    /// Returns the unit that a column's name says, in whatever case, and the name without it.
    pub(crate) fn split_name(name: &str) -> (Option<Self>, &str) {
        let said = SUFFIXES.into_iter().find_map(|(suffix, unit)| {
            let (bare, end) = name.split_at_checked(name.len().checked_sub(suffix.len())?)?;
            end.eq_ignore_ascii_case(suffix).then_some((Some(unit), bare))
        });
        said.unwrap_or((None, name))
    }

    /// Returns the unit in which a number of this size is a time between 1973 and 5138: no other unit has that number in those years. `None` for
    /// small numbers, which count from the start of a recording.
    pub(crate) fn of_size(number: f64) -> Option<Self> {
        match number.abs() {
            size if !(1e8..f64::INFINITY).contains(&size) => None,
            size if size < 1e11 => Some(Self::Seconds),
            size if size < 1e14 => Some(Self::Milliseconds),
            size if size < 1e17 => Some(Self::Microseconds),
            _ => Some(Self::Nanoseconds),
        }
    }

    /// Returns a whole number of this unit in milliseconds; `None` if that is beyond an `i64`.
    pub(crate) fn whole_to_ms(self, time: i64) -> Option<i64> {
        match self {
            Self::Seconds => time.checked_mul(1000),
            Self::Milliseconds => Some(time),
            Self::Microseconds => Some(time.div_euclid(1000)),
            Self::Nanoseconds => Some(time.div_euclid(1_000_000)),
        }
    }

    /// Returns its short name: `s`, `ms`, `us` or `ns`.
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Seconds => "s",
            Self::Milliseconds => "ms",
            Self::Microseconds => "us",
            Self::Nanoseconds => "ns",
        }
    }
}

impl fmt::Display for TimeUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Seconds => "seconds",
            Self::Milliseconds => "milliseconds",
            Self::Microseconds => "microseconds",
            Self::Nanoseconds => "nanoseconds",
        })
    }
}

impl FromStr for TimeUnit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let units = SUFFIXES.into_iter().map(|(_, unit)| unit);
        units
            .into_iter()
            .find(|unit| unit.symbol() == text)
            .ok_or_else(|| "expected s, ms, us or ns".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_names_say_the_unit() {
        use TimeUnit::{Microseconds, Milliseconds, Nanoseconds, Seconds};
        for (size, unit) in [
            (0.0, None),
            (9.9e7, None),
            (f64::NAN, None),
            (f64::INFINITY, None),
            (1_580_515_200.0, Some(Seconds)),
            (-1_580_515_200.5, Some(Seconds)),
            (1_580_515_200_000.0, Some(Milliseconds)),
            (1.580_515_2e15, Some(Microseconds)),
            (1.580_515_2e18, Some(Nanoseconds)),
        ] {
            assert_eq!(TimeUnit::of_size(size), unit, "{size}");
        }
        for (name, split) in [
            ("ts_ms", (Some(Milliseconds), "ts")),
            ("ts_us", (Some(Microseconds), "ts")),
            ("ts_ns", (Some(Nanoseconds), "ts")),
            ("ts_s", (Some(Seconds), "ts")),
            ("TS_S", (Some(Seconds), "TS")),
            ("Time_Us", (Some(Microseconds), "Time")),
            ("time", (None, "time")),
            ("\u{20ac}s", (None, "\u{20ac}s")),
            ("s", (None, "s")),
        ] {
            assert_eq!(TimeUnit::split_name(name), split);
        }
        assert_eq!("us".parse(), Ok(Microseconds));
        assert!("m".parse::<TimeUnit>().is_err());
        assert_eq!((Microseconds.whole_to_ms(-1), Nanoseconds.whole_to_ms(1_999_999)), (Some(-1), Some(1)));
        assert_eq!(Seconds.whole_to_ms(i64::MAX), None);
    }
}
