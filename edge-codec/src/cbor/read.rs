//! A cursor over CBOR items that borrows from the input and knows its offset.

#![deny(clippy::indexing_slicing)]

use crate::{DecodeError, Limits, Value};
use ciborium_ll::{Decoder, Header as Item, simple};
use std::borrow::Cow;

/// Bits of the NaN without payload, which is the only NaN that is written in the short form.
pub(crate) const QUIET_NAN: u64 = 0x7ff8_0000_0000_0000;

#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    input: &'a [u8],
    at: usize,
    text_bytes: usize,
    fields: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(input: &'a [u8], limits: &Limits) -> Self {
        Self { input, at: 0, text_bytes: limits.text_bytes, fields: limits.fields, depth: limits.depth }
    }

    pub(crate) fn offset(&self) -> usize {
        self.at
    }

    pub(crate) fn left(&self) -> usize {
        self.input.len().saturating_sub(self.at)
    }

    /// Returns the head of the next item. It refuses indefinite lengths, break, and simple values in two bytes where one would do (RFC 8949
    /// §3.3 calls them not well-formed), so that no caller has to.
    pub(crate) fn head(&mut self) -> Result<Item, DecodeError> {
        let offset = self.at;
        let rest = self.input.get(offset..).unwrap_or_default();
        let mut decoder = Decoder::from(rest);
        let item = match decoder.pull() {
            Ok(item) => item,
            Err(ciborium_ll::Error::Io(_)) => {
                return Err(DecodeError::Truncated { offset: self.input.len(), needed: 1 });
            }
            Err(ciborium_ll::Error::Syntax(_)) => return Err(malformed(offset, "not a CBOR item")),
        };
        self.at = offset.saturating_add(decoder.offset());
        match item {
            Item::Bytes(None) | Item::Text(None) | Item::Array(None) | Item::Map(None) => {
                Err(malformed(offset, "indefinite length"))
            }
            Item::Break => Err(malformed(offset, "break outside of an indefinite length")),
            Item::Simple(v) if v < 32 && rest.first() == Some(&0xf8) => {
                Err(malformed(offset, "simple value in two bytes"))
            }
            Item::Float(v) if v.is_nan() => Ok(Item::Float(self.nan(offset))),
            item => Ok(item),
        }
    }

    /// Returns the number of items of the array that is next, at depth `level` in the input. Each takes at least `item_bytes`, so a length that
    /// the rest of the input cannot hold is refused before memory is reserved for it.
    pub(crate) fn array(
        &mut self,
        field: &'static str,
        level: usize,
        item_bytes: usize,
    ) -> Result<usize, DecodeError> {
        let offset = self.at;
        match self.head()? {
            Item::Array(Some(len)) => {
                self.depth_limit(offset, level)?;
                self.holds((len as u64).saturating_mul(item_bytes as u64))?;
                Ok(len)
            }
            other => Err(unexpected(offset, field, "an array", other)),
        }
    }

    /// Returns the number of pairs of the map that is next, at depth `level` in the input.
    pub(crate) fn map(&mut self, field: &'static str, level: usize) -> Result<usize, DecodeError> {
        let offset = self.at;
        match self.head()? {
            Item::Map(Some(len)) => {
                self.depth_limit(offset, level)?;
                self.holds((len as u64).saturating_mul(2))?;
                self.field_limit(offset, len)?;
                Ok(len)
            }
            other => Err(unexpected(offset, field, "a map", other)),
        }
    }

    pub(crate) fn text(&mut self, field: &'static str) -> Result<&'a str, DecodeError> {
        let offset = self.at;
        match self.head()? {
            Item::Text(Some(len)) => self.utf8(offset, len),
            other => Err(unexpected(offset, field, "text", other)),
        }
    }

    pub(crate) fn unsigned(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        let offset = self.at;
        match self.head()? {
            Item::Positive(v) => Ok(v),
            other => Err(unexpected(offset, field, "an unsigned integer", other)),
        }
    }

    pub(crate) fn u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        let offset = self.at;
        let wide = self.unsigned(field)?;
        wide.try_into().map_err(|_| DecodeError::Unexpected {
            offset,
            field: field.into(),
            expected: "at most 4294967295",
            found: wide.to_string().into(),
        })
    }

    pub(crate) fn i64(&mut self, field: &'static str) -> Result<i64, DecodeError> {
        let offset = self.at;
        let item = self.head()?;
        signed(item).ok_or_else(|| unexpected(offset, field, "a 64-bit integer", item))
    }

    pub(crate) fn value(&mut self) -> Result<Value<'a>, DecodeError> {
        let offset = self.at;
        let item = self.head()?;
        Ok(match item {
            Item::Float(v) => Value::F64(v),
            Item::Positive(v) => i64::try_from(v).map_or(Value::U64(v), Value::I64),
            Item::Text(Some(len)) => Value::Text(Cow::Borrowed(self.utf8(offset, len)?)),
            Item::Bytes(Some(len)) => Value::Bytes(Cow::Borrowed(self.take(offset, len)?)),
            Item::Simple(simple::TRUE) => Value::Bool(true),
            Item::Simple(simple::FALSE) => Value::Bool(false),
            Item::Simple(simple::NULL) => Value::Null,
            other => match signed(other) {
                Some(v) => Value::I64(v),
                None => {
                    return Err(unexpected(offset, "value", "a number, text, bytes, bool or null", other));
                }
            },
        })
    }

    /// Skips one item of any kind. `level`: depth of the item in the input.
    pub(crate) fn skip(&mut self, level: usize) -> Result<(), DecodeError> {
        let offset = self.at;
        let inner = match self.head()? {
            Item::Text(Some(len)) => return self.utf8(offset, len).map(|_| ()),
            Item::Bytes(Some(len)) => return self.take(offset, len).map(|_| ()),
            Item::Array(Some(len)) => len as u64,
            Item::Map(Some(len)) => {
                self.field_limit(offset, len)?;
                (len as u64).saturating_mul(2)
            }
            Item::Tag(_) => 1,
            _ => return Ok(()),
        };
        self.depth_limit(offset, level)?;
        self.holds(inner)?;
        for _ in 0..inner {
            self.skip(level.saturating_add(1))?;
        }
        Ok(())
    }

    /// Refuses an item that needs more bytes than the input still has.
    fn holds(&self, needed: u64) -> Result<(), DecodeError> {
        match needed.checked_sub(self.left() as u64) {
            Some(missing) if missing > 0 => {
                Err(DecodeError::Truncated { offset: self.input.len(), needed: missing })
            }
            _ => Ok(()),
        }
    }

    fn depth_limit(&self, offset: usize, level: usize) -> Result<(), DecodeError> {
        if level > self.depth {
            return Err(DecodeError::Limit { what: "depth", offset, limit: self.depth, found: level as u64 });
        }
        Ok(())
    }

    fn field_limit(&self, offset: usize, len: usize) -> Result<(), DecodeError> {
        if len > self.fields {
            return Err(DecodeError::Limit { what: "fields", offset, limit: self.fields, found: len as u64 });
        }
        Ok(())
    }

    fn utf8(&mut self, offset: usize, len: usize) -> Result<&'a str, DecodeError> {
        let start = self.at;
        std::str::from_utf8(self.take(offset, len)?)
            .map_err(|e| malformed(start.saturating_add(e.valid_up_to()), "text is not UTF-8"))
    }

    fn take(&mut self, offset: usize, len: usize) -> Result<&'a [u8], DecodeError> {
        self.holds(len as u64)?;
        if len > self.text_bytes {
            let limit = self.text_bytes;
            return Err(DecodeError::Limit { what: "text bytes", offset, limit, found: len as u64 });
        }
        let end = self.at.saturating_add(len);
        let taken = self.input.get(self.at..end).unwrap_or_default();
        self.at = end;
        Ok(taken)
    }

    /// Returns the NaN that starts at `offset`, its payload widened bit by bit, because processors differ in what a float conversion does to
    /// the quiet bit.
    fn nan(&self, offset: usize) -> f64 {
        let bits = self.input.get(offset.saturating_add(1)..self.at).unwrap_or_default();
        let raw = bits.iter().fold(0_u64, |all, b| all << 8 | u64::from(*b));
        let (sign, payload) = match bits.len() {
            2 => (raw >> 15, (raw & 0x3ff) << 42),
            4 => (raw >> 31, (raw & 0x7f_ffff) << 29),
            _ => return f64::from_bits(raw),
        };
        f64::from_bits(sign << 63 | 0x7ff << 52 | payload)
    }
}

fn signed(item: Item) -> Option<i64> {
    match item {
        Item::Positive(v) => v.try_into().ok(),
        Item::Negative(v) => i64::try_from(v).ok().map(|v| !v),
        _ => None,
    }
}

pub(crate) fn malformed(offset: usize, what: &'static str) -> DecodeError {
    DecodeError::Malformed { offset, what: what.into() }
}

fn unexpected(offset: usize, field: &'static str, expected: &'static str, item: Item) -> DecodeError {
    let found = match item {
        Item::Positive(_) => "an unsigned integer",
        Item::Negative(_) => "a negative integer",
        Item::Float(_) => "a float",
        Item::Simple(simple::TRUE | simple::FALSE) => "a boolean",
        Item::Simple(simple::NULL) => "null",
        Item::Simple(_) => "a simple value",
        Item::Tag(_) => "a tag",
        Item::Break => "break",
        Item::Bytes(_) => "bytes",
        Item::Text(_) => "text",
        Item::Array(_) => "an array",
        Item::Map(_) => "a map",
    };
    DecodeError::Unexpected { offset, field: field.into(), expected, found: found.into() }
}

#[cfg(test)]
mod tests;
