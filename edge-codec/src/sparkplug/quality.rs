//! Conversion between the property `Quality` (Sparkplug 3.0 §6.4.7: Int32, 0 bad, 192 good, 500 stale) and OPC UA StatusCodes.

use crate::quality::{BAD, GOOD};

/// Key of the property with the quality.
pub(super) const KEY: &str = "Quality";

/// StatusCode of a stale value, UncertainLastUsableValue.
const STALE: u32 = 0x4090_0000;

/// Returns the property to write; `None` for good, because a metric without it is good.
pub(super) fn to_property(status: u32) -> Option<u32> {
    match status >> 30 {
        0 => None,
        1 => Some(500),
        _ => Some(0),
    }
}

/// Converts a property to a StatusCode. Whatever is neither good nor stale is bad, because senders put codes of their own here, with the sign
/// bit for bad.
pub(super) fn from_property(quality: u64) -> u32 {
    match quality {
        192..=255 => GOOD,
        500 => STALE,
        _ => BAD,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_codes_of_the_specification_and_what_else_is_seen() {
        for (status, code) in [(GOOD, None), (STALE, Some(500)), (BAD, Some(0))] {
            assert_eq!(to_property(status), code);
            assert_eq!(code.map_or(GOOD, |code| from_property(code.into())), status);
        }
        assert_eq!(to_property(0xc000_0000), Some(0), "the reserved severity is bad");
        assert_eq!((from_property(216), from_property(64), from_property(0x8000_0202)), (GOOD, BAD, BAD));
    }
}
