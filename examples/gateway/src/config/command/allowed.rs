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
    /// The text is empty, or the lower bound is above the upper one, or both are numbers in another notation than payloads may have.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("\"\": an empty payload clears what is retained, and says nothing".to_owned());
        }
        let bounds = text.split_once("..").and_then(|(low, high)| decimal(low).zip(decimal(high)));
        match bounds {
            Some((low, high)) if low > high => Err(format!("{text:?}: {low} is above {high}")),
            Some((low, high)) => Ok(Self::Range(low, high)),
            None if is_meant_as_range(text) => Err(format!(
                "{text:?}: MIN..MAX has two decimal numbers of 15 digits at most, without zeros in front, and nothing else, such as 0..100 or -2.5..2.5"
            )),
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

/// Most digits of a number in any text. Each one so long has a value of its own as `f64`.
const DIGITS_MAX: usize = 15;

/// Returns whether both bounds are made as numbers are, in whatever notation. As a text such a range would let no number pass, and nobody would see why.
fn is_meant_as_range(text: &str) -> bool {
    let are_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_number = |bound: &str| {
        let unsigned = bound.trim().trim_start_matches(['-', '+', '.']);
        if let Some(hex) = unsigned.strip_prefix("0x").or_else(|| unsigned.strip_prefix("0X")) {
            return !hex.is_empty() && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        }
        let (number, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
        let has_one_point = number.matches('.').count() <= 1;
        let is_exponent = are_digits(exponent.strip_prefix(['-', '+']).unwrap_or(exponent));
        number.starts_with(|c: char| c.is_ascii_digit())
            && has_one_point
            && are_digits(&number.replace(['.', ','], ""))
            && is_exponent
    };
    text.split_once("..").is_some_and(|(low, high)| is_number(low) && is_number(high))
}

/// Reads a decimal number of at most [`DIGITS_MAX`] digits, or the shortest text of a longer one. Other notations are none: who reads `1e2` as 1, `0x10`
/// as 0, or `010` as 8, would be given what the rule did not mean.
fn decimal(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_plain = whole == "0" || !whole.starts_with('0');
    if !is_plain || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let number: f64 = text.parse().ok()?;
    let is_short = digits.bytes().filter(u8::is_ascii_digit).count() <= DIGITS_MAX;
    // Beyond, a text may be that of a number within the bounds, and itself be outside.
    (is_short || number.to_string() == text).then_some(number)
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
                &["0", "100", "-0", "50.25", "0.5", "21.500000000000004"],
                &[
                    "007",
                    "00",
                    "21.5000000000000040",
                    "100.00000000000000000001",
                    "100.1",
                    "-1",
                    "1e1",
                    "+5",
                    "5.",
                    ".5",
                    "5 ",
                    "NaN",
                    "inf",
                    "",
                ],
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
    fn a_number_that_is_too_long_for_its_type_is_none() {
        let long = "9".repeat(16);
        assert!(!Allowed::parse("0..100").unwrap().has(long.as_bytes()));
        assert!(Allowed::parse(&format!("0..{}", &long[1..])).unwrap().has(b"999999999999999"));
        assert!(Allowed::parse(&format!("0..{long}")).unwrap_err().contains("15 digits"));
    }

    #[test]
    fn a_range_in_another_notation_is_no_text() {
        for entry in
            ["0 .. 100", "0..1e3", "1E-3..1", "0..+5", "1,5..2", "0x0..0xff", "0..0XFF", "0...5", "08..17"]
        {
            let error = Allowed::parse(entry).unwrap_err();
            assert!(error.contains("MIN..MAX") && error.contains("without zeros in front"), "{error}");
        }
        for entry in [
            "v1..v2",
            "a..9",
            "9..",
            "1a..2b",
            "0a..0f",
            "1e..2e",
            "1e2e3..5",
            "5x..7x",
            "0x..0x",
            "10-20..30-40",
            "2026-01-01..2026-01-31",
            "192.168.0.1..192.168.0.9",
        ] {
            assert_eq!(Allowed::parse(entry), Ok(Allowed::Text(entry.to_owned())));
        }
    }
}
