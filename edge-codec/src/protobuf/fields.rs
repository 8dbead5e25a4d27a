//! Fields of a message's outer level, with offsets and without allocation.

#![deny(clippy::indexing_slicing)]

use crate::{DecodeError, Limits};

/// Wire type of length-delimited fields.
pub(crate) const LEN: u64 = 2;

/// One field. The content of length-delimited fields is borrowed, that of other wire types is in `varint` or `fixed`.
pub(crate) struct Field<'a> {
    pub(crate) number: u32,
    /// Byte offset of the content.
    pub(crate) offset: usize,
    pub(crate) content: Option<&'a [u8]>,
    /// Number of a varint field; `None` for other wire types.
    pub(crate) varint: Option<u64>,
    /// Bits of a fixed64 or fixed32 field; `None` for other wire types.
    pub(crate) fixed: Option<Fixed>,
}

impl<'a> Field<'a> {
    pub(crate) fn number(&self) -> Result<u64, DecodeError> {
        self.varint.ok_or_else(|| malformed(self.offset, "not a varint"))
    }

    /// Returns the bits of a `double`; `what` is the error text for another wire type.
    pub(crate) fn bits64(&self, what: &'static str) -> Result<u64, DecodeError> {
        match self.fixed {
            Some(Fixed::Bits64(bits)) => Ok(bits),
            _ => Err(malformed(self.offset, what)),
        }
    }

    /// Returns the content of a string, bytes or message; refuses other wire types.
    pub(crate) fn content(&self) -> Result<&'a [u8], DecodeError> {
        self.content.ok_or_else(|| malformed(self.offset, "not a string or message"))
    }

    /// Returns the content of a `bytes` field within the limit of length.
    pub(crate) fn bytes(&self, limits: &Limits) -> Result<&'a [u8], DecodeError> {
        let content = self.content()?;
        limits.check_text(self.offset, content)?;
        Ok(content)
    }

    /// Returns the text of a `string` field within the limit of length.
    pub(crate) fn text(&self, limits: &Limits) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.bytes(limits)?)
            .map_err(|e| malformed(self.offset.saturating_add(e.valid_up_to()), "text is not UTF-8"))
    }
}

/// Little-endian bits of a field of fixed size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fixed {
    Bits32(u32),
    Bits64(u64),
}

/// Reader of the fields of `input`, from the offset `at` on.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'a> {
    input: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(input: &'a [u8]) -> Self {
        Self { input, at: 0 }
    }

    /// Returns the next field; `None` at the end of the input. Groups are refused, because proto3 has none.
    pub(crate) fn next(&mut self) -> Result<Option<Field<'a>>, DecodeError> {
        if self.at >= self.input.len() {
            return Ok(None);
        }
        let start = self.at;
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).ok().filter(|n| (1..1 << 29).contains(n));
        let number = number.ok_or_else(|| malformed(start, "field number out of range"))?;
        let offset = self.at;
        let mut field = Field { number, offset, content: None, varint: None, fixed: None };
        match key & 7 {
            0 => field.varint = Some(self.varint()?),
            1 => field.fixed = Some(Fixed::Bits64(self.bits(8)?)),
            LEN => {
                let len = self.varint()?;
                field.offset = self.at;
                field.content = Some(self.take(len)?);
            }
            // Four bytes fill half of the number.
            5 => field.fixed = Some(Fixed::Bits32(self.bits(4)? as u32)),
            3 | 4 => return Err(malformed(start, "group")),
            _ => return Err(malformed(start, "unknown wire type")),
        }
        Ok(Some(field))
    }

    /// Reads a little-endian number of at most eight `bytes`.
    pub(crate) fn bits(&mut self, bytes: u64) -> Result<u64, DecodeError> {
        Ok(self.take(bytes)?.iter().rev().fold(0, |all, b| all << 8 | u64::from(*b)))
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8], DecodeError> {
        let rest = self.input.get(self.at..).unwrap_or_default();
        let taken = usize::try_from(len).ok().and_then(|len| rest.get(..len));
        let taken = taken.ok_or_else(|| DecodeError::Truncated {
            offset: self.input.len(),
            needed: len.saturating_sub(rest.len() as u64),
        })?;
        self.at = self.at.saturating_add(taken.len());
        Ok(taken)
    }

    /// Returns whether the input was read to its end.
    pub(crate) fn at_end(&self) -> bool {
        self.at >= self.input.len()
    }

    /// Reads a varint: at most ten bytes, the tenth at most 1.
    pub(crate) fn varint(&mut self) -> Result<u64, DecodeError> {
        let start = self.at;
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = *self
                .input
                .get(self.at)
                .ok_or(DecodeError::Truncated { offset: self.input.len(), needed: 1 })?;
            self.at = self.at.saturating_add(1);
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(malformed(start, "varint is longer than 64 bits"))
    }
}

pub(crate) fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros()).div_ceil(7) as usize
}

pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn content<'a>(field: &Field<'a>, name: &'static str) -> Result<&'a [u8], DecodeError> {
    field.content.ok_or_else(|| DecodeError::Unexpected {
        offset: field.offset,
        field: name.into(),
        expected: "a message",
        found: "a number".into(),
    })
}

/// Appends a varint field with its key.
#[cfg(any(feature = "sparkplug", feature = "compact"))]
pub(crate) fn put_number(out: &mut Vec<u8>, number: u32, value: u64) {
    put_varint(out, u64::from(number) << 3);
    put_varint(out, value);
}

/// Appends bytes that come in two parts as one field.
pub(crate) fn put_joined(out: &mut Vec<u8>, number: u32, start: &[u8], rest: &[u8]) {
    put_varint(out, u64::from(number) << 3 | LEN);
    put_varint(out, (start.len() + rest.len()) as u64);
    out.extend_from_slice(start);
    out.extend_from_slice(rest);
}

/// Appends a string, bytes, an embedded message or a packed array.
pub(crate) fn put_string(out: &mut Vec<u8>, number: u32, content: &[u8]) {
    put_joined(out, number, &[], content);
}

/// Appends a packed array of varints. Its length is computed from the numbers that are written, not from a caller's count.
pub(crate) fn put_packed(out: &mut Vec<u8>, number: u32, numbers: impl Iterator<Item = u64> + Clone) {
    put_varint(out, u64::from(number) << 3 | LEN);
    put_varint(out, numbers.clone().map(varint_len).sum::<usize>() as u64);
    numbers.for_each(|n| put_varint(out, n));
}

/// Returns an error within an embedded message with its offset in the whole input.
pub(crate) fn shifted(mut error: DecodeError, by: usize) -> DecodeError {
    match &mut error {
        DecodeError::Malformed { offset, .. }
        | DecodeError::Truncated { offset, .. }
        | DecodeError::Limit { offset, .. } => *offset = offset.saturating_add(by),
        _ => {}
    }
    error
}

pub(crate) fn malformed(offset: usize, what: &'static str) -> DecodeError {
    DecodeError::Malformed { offset, what: what.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_read_back_at_every_length() {
        for bits in 0..64 {
            for v in [1_u64 << bits, (1_u64 << bits) - 1, u64::MAX >> bits] {
                let mut out = Vec::new();
                put_varint(&mut out, v);
                assert_eq!((Fields::new(&out).varint(), out.len()), (Ok(v), varint_len(v)));
            }
        }
    }

    #[test]
    fn overlong_varints_groups_and_field_zero_are_refused() {
        let next = |input: &[u8]| Fields::new(input).next().map(|_| ());
        assert!(matches!(next(&[0xff; 11]), Err(DecodeError::Malformed { offset: 0, .. })));
        assert!(matches!(next(&[0x0b]), Err(DecodeError::Malformed { .. })));
        assert!(matches!(next(&[0x02, 0x00]), Err(DecodeError::Malformed { .. })));
        assert!(matches!(next(&[0x0f]), Err(DecodeError::Malformed { .. })));
    }

    #[test]
    fn a_length_beyond_the_input_is_truncated_not_allocated() {
        let mut input = vec![0x4a];
        put_varint(&mut input, u64::MAX);
        assert_eq!(
            Fields::new(&input).next().map(|_| ()),
            Err(DecodeError::Truncated { offset: 11, needed: u64::MAX })
        );
    }
}
