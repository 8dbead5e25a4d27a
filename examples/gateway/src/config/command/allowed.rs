//! `allow` of a `[[command]]`: payloads that may be given, as texts and ranges of numbers. Pure.

use std::fmt;

/// Payloads that a rule lets pass.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Allowed {
    /// This payload, byte by byte.
    Text(String),
    /// A decimal number within these bounds, which belong to it.
    Range(f64, f64),
}

impl Allowed {
    /// Reads an entry: `MIN..MAX` with two decimal numbers, or any other text.
    ///
    /// # Errors
    ///
    /// The text is empty, or the lower bound is above the upper one.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("\"\": an empty payload clears what is retained, and says nothing".to_owned());
        }
        let bounds = text.split_once("..").and_then(|(low, high)| decimal(low).zip(decimal(high)));
        match bounds {
            Some((low, high)) if low > high => Err(format!("{text:?}: {low} is above {high}")),
            Some((low, high)) => Ok(Self::Range(low, high)),
            None => Ok(Self::Text(text.to_owned())),
        }
    }

    /// Returns whether `payload` is such a one.
    pub(crate) fn has(&self, payload: &[u8]) -> bool {
        match self {
            Self::Text(text) => text.as_bytes() == payload,
            Self::Range(low, high) => std::str::from_utf8(payload)
                .ok()
                .and_then(decimal)
                .is_some_and(|number| (*low..=*high).contains(&number)),
        }
    }
}

impl fmt::Display for Allowed {
    /// Writes the entry as in the file, a text in quotation marks.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Range(low, high) => write!(f, "{low}..{high}"),
        }
    }
}

/// Reads a decimal number. Other notations are none: who reads `1e2` as 1, or `0x10` as 0, would be given what the rule did not mean.
fn decimal(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    (is_number(whole) && is_number(fraction)).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_the_whole_payload_and_a_range_has_both_bounds() {
        for (entry, taken, refused) in [
            ("open", &["open"][..], &["Open", "open\n", " open", "opened", ""][..]),
            (
                "0..100",
                &["0", "100", "-0", "50.25", "007"],
                &["100.1", "-1", "1e1", "+5", "5.", ".5", "5 ", "NaN", "inf", ""],
            ),
            ("-2.5..-1", &["-1", "-2.50"], &["0", "-2.51", "--2"]),
            ("a..b", &["a..b"], &["a", "b"]),
            ("..", &[".."], &["1"]),
        ] {
            let allowed = Allowed::parse(entry).unwrap();
            assert!(taken.iter().all(|payload| allowed.has(payload.as_bytes())), "{entry}");
            let wrong = refused.iter().find(|payload| allowed.has(payload.as_bytes()));
            assert_eq!(wrong, None, "{entry}");
        }
        assert!(!Allowed::parse("0..1").unwrap().has(&[0xff]));
        assert_eq!(Allowed::parse("5..4").unwrap_err(), "\"5..4\": 5 is above 4");
        assert!(Allowed::parse("").is_err());
    }

    #[test]
    fn a_number_that_is_too_long_for_its_type_is_infinite_and_within_no_range() {
        let long = "9".repeat(400);
        assert!(!Allowed::parse("0..100").unwrap().has(long.as_bytes()));
        assert!(Allowed::parse(&format!("0..{long}")).unwrap().has(b"5"));
    }
}
