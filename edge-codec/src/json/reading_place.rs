//! Byte offset of a reading: a second pass over a batch, for an error that only the whole batch shows.

#![deny(clippy::indexing_slicing)]

use super::visitor_state::offset;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Returns the byte offset of the reading `number`, counted from 0, in a batch that was read once without an error.
pub(super) fn reading_place(input: &[u8], number: usize) -> usize {
    let Ok(input) = std::str::from_utf8(input) else { return 0 };
    match serde_json::Deserializer::from_str(input).deserialize_map(Outer { number }) {
        Err(error) => offset(input, error.line(), error.column()),
        Ok(()) => input.len(),
    }
}

/// Visitor of the batch's outer object. All visitors here end with an error at the reading.
struct Outer {
    number: usize,
}

impl<'de> Visitor<'de> for Outer {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a batch object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        while let Some(key) = access.next_key::<String>()? {
            match key.as_str() {
                "readings" => access.next_value_seed(Readings { number: self.number })?,
                _ => access.next_value::<IgnoredAny>().map(drop)?,
            }
        }
        Ok(())
    }
}

struct Readings {
    number: usize,
}

impl<'de> DeserializeSeed<'de> for Readings {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Readings {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of readings")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        for _ in 0..self.number {
            access.next_element::<IgnoredAny>()?;
        }
        access.next_element_seed(Here).map(drop)
    }
}

/// Object at which the pass ends.
struct Here;

impl<'de> DeserializeSeed<'de> for Here {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Here {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a reading's object")
    }
    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(A::Error::custom("here"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_is_found_behind_other_fields_lines_and_escapes() {
        let input = "{\"x\":[{}],\n \"re\\u0061dings\": [{\"a\":1},\n  {\"b\":{\"c\":\"\u{fc}{\"}}, {\"d\":2}],\"y\":0}";
        for (number, reading) in [(0, "{\"a\""), (1, "{\"b\""), (2, "{\"d\"")] {
            let place = reading_place(input.as_bytes(), number);
            assert!(input[place..].starts_with(reading), "{number}: {place}");
        }
    }
}
