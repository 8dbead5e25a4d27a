//! Rows of a CBOR batch, decoded one by one.

#![deny(clippy::indexing_slicing)]

use super::read::{Reader, malformed};
use crate::{DecodeError, Reading};

/// Iterator that decodes the rows of a batch.
#[derive(Clone, Debug)]
pub(crate) struct Rows<'a> {
    reader: Reader<'a>,
    base_time: i64,
}

impl<'a> Rows<'a> {
    /// Creates a decoder of the rows that begin at the position of `reader`. Their times count from `base_time`.
    pub(super) fn new(reader: Reader<'a>, base_time: i64) -> Self {
        Self { reader, base_time }
    }

    /// Returns the byte offset at which the next row begins.
    pub(super) fn offset(&self) -> usize {
        self.reader.offset()
    }

    pub(crate) fn next(&mut self) -> Option<Result<Reading<'a>, DecodeError>> {
        Some(self.row())
    }

    pub(super) fn row(&mut self) -> Result<Reading<'a>, DecodeError> {
        let offset = self.reader.offset();
        let parts = self.reader.array("row", 3, 1)?;
        if !(3..=4).contains(&parts) {
            return Err(malformed(
                offset,
                "a row is [sensor, time, value] or [sensor, time, value, quality]",
            ));
        }
        let sensor = self.reader.u32("sensor")?;
        let at = self.reader.offset();
        let since_base = self.reader.i64("time")?;
        let time =
            self.base_time.checked_add(since_base).ok_or_else(|| malformed(at, "time out of range"))?;
        let value = self.reader.value()?;
        let quality = if parts == 4 { self.reader.u32("quality")? } else { 0 };
        Ok(Reading { sensor, time, value, quality })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, Value};

    #[test]
    fn a_row_has_three_parts_or_four() {
        let read = |bytes: &[u8]| {
            Rows::new(Reader::new(bytes, &Limits::default()), 100).row().map(Reading::into_owned)
        };
        let reading = |quality| Reading { sensor: 5, time: 107, value: Value::Bool(true), quality };
        assert_eq!(read(&[0x83, 5, 7, 0xf5]), Ok(reading(0)));
        assert_eq!(read(&[0x84, 5, 7, 0xf5, 9]), Ok(reading(9)));
        for other in [&[0x82, 5, 7, 0xf5][..], &[0x85, 5, 7, 0xf5, 9, 9]] {
            assert!(
                matches!(read(other), Err(DecodeError::Malformed { offset: 0, what }) if what.starts_with("a row is")),
                "{other:?}"
            );
        }
    }
}
