//! Readers that go over the whole message for one repeated field each.

#![deny(clippy::indexing_slicing)]

use super::super::fields::{Field, Fields, Fixed, malformed, shifted};
use crate::DecodeError;

/// Reader of the elements of one repeated field, packed or not, in any number of pieces (Protobuf encoding, "Packed Repeated Fields").
#[derive(Clone, Debug)]
pub(super) struct Column<'a> {
    number: u32,
    outer: Fields<'a>,
    piece: Fields<'a>,
    /// Byte offset of the piece in the input.
    offset: usize,
}

impl<'a> Column<'a> {
    pub(super) fn new(input: &'a [u8], number: u32) -> Self {
        Self { number, outer: Fields::new(input), piece: Fields::new(&[]), offset: 0 }
    }

    /// Returns the next number; `None` after the last.
    pub(super) fn varint(&mut self) -> Result<Option<u64>, DecodeError> {
        loop {
            if !self.piece.at_end() {
                return self.piece.varint().map(Some).map_err(|e| shifted(e, self.offset));
            }
            let Some(field) = self.field()? else { return Ok(None) };
            match (field.varint, field.content) {
                (Some(number), _) => return Ok(Some(number)),
                (None, Some(packed)) => self.open(packed, field.offset),
                (None, None) => return Err(malformed(field.offset, "not an array of varints")),
            }
        }
    }

    /// Returns the next eight bytes as a number; `None` after the last.
    pub(super) fn fixed64(&mut self) -> Result<Option<u64>, DecodeError> {
        loop {
            if !self.piece.at_end() {
                return self.piece.bits(8).map(Some).map_err(|e| shifted(e, self.offset));
            }
            let Some(field) = self.field()? else { return Ok(None) };
            match (field.fixed, field.content) {
                (Some(Fixed::Bits64(bits)), _) => return Ok(Some(bits)),
                (None, Some(packed)) => self.open(packed, field.offset),
                _ => return Err(malformed(field.offset, "not an array of doubles")),
            }
        }
    }

    /// Returns the next string with its byte offset; `None` after the last.
    pub(super) fn string(&mut self) -> Result<Option<(usize, &'a [u8])>, DecodeError> {
        match self.field()? {
            None => Ok(None),
            Some(Field { content: Some(content), offset, .. }) => Ok(Some((offset, content))),
            Some(field) => Err(malformed(field.offset, "not a string")),
        }
    }

    /// Refuses an array of numbers that has an element left.
    pub(super) fn end(mut self, offset: usize) -> Result<(), DecodeError> {
        match self.varint()? {
            None => Ok(()),
            Some(_) => Err(malformed(offset, MORE)),
        }
    }

    fn field(&mut self) -> Result<Option<Field<'a>>, DecodeError> {
        while let Some(field) = self.outer.next()? {
            if field.number == self.number {
                return Ok(Some(field));
            }
        }
        Ok(None)
    }

    fn open(&mut self, packed: &'a [u8], offset: usize) {
        self.piece = Fields::new(packed);
        self.offset = offset;
    }
}

pub(super) const MORE: &str = "an array has more elements than there is need for";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_packed_and_single_read_as_one_array() {
        // 11: [1, 300], another field, 11: 7, 11: [] and 11: [2].
        let input = [0x5a, 3, 1, 0xac, 2, 0x08, 9, 0x58, 7, 0x5a, 0, 0x5a, 1, 2];
        let mut column = Column::new(&input, 11);
        let all: Vec<u64> = std::iter::from_fn(|| column.varint().unwrap()).collect();
        assert_eq!(all, [1, 300, 7, 2]);
        let mut wrong = Column::new(&[0x5d, 0, 0, 0, 0], 11);
        assert!(matches!(wrong.varint(), Err(DecodeError::Malformed { offset: 1, .. })));
        let mut cut = Column::new(&[0x6a, 3, 1, 2, 3], 13);
        assert!(matches!(cut.fixed64(), Err(DecodeError::Truncated { .. })));
    }
}
