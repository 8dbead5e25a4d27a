//! Single property: reads its value from bytes, and checks it against the table of properties.

use super::property_id::{Kind, PropertyId, Rule};
use super::{DecodeErrorKind, string, topic, varint};

/// One property of a packet, borrowed from the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Property<'a> {
    /// Identifier of the property.
    pub id: PropertyId,
    /// Value, of the type that [`id`](Self::id) has.
    pub value: Value<'a>,
}

/// Value of a property, in the types of §1.5, of which there are no others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// One unsigned byte.
    Byte(u8),
    /// A two byte integer.
    U16(u16),
    /// A four byte integer.
    U32(u32),
    /// A variable byte integer.
    Varint(u32),
    /// A UTF-8 encoded string.
    Utf8(&'a str),
    /// Bytes with a length.
    Binary(&'a [u8]),
    /// A UTF-8 string pair: name and value.
    Pair(&'a str, &'a str),
}

/// Takes the first property off `bytes`. An error comes with its offset in `bytes`.
pub(crate) fn split_first(bytes: &[u8]) -> Result<(Property<'_>, &[u8]), (DecodeErrorKind, usize)> {
    let (property, rest) = split_unchecked(bytes)?;
    check(&property).map_err(|kind| (kind, 0))?;
    Ok((property, rest))
}

/// Takes the first property off `bytes`, without checking its value.
pub(crate) fn split_unchecked(bytes: &[u8]) -> Result<(Property<'_>, &[u8]), (DecodeErrorKind, usize)> {
    let truncated = || (DecodeErrorKind::Truncated, bytes.len());
    let (number, used) = varint::read(bytes, true).map_err(|kind| (kind, 0))?.ok_or_else(truncated)?;
    let id = PropertyId::new(number).ok_or((DecodeErrorKind::UnknownProperty(number), 0))?;
    let mut rest = bytes.get(used..).unwrap_or_default();
    let value = match id.spec().0 {
        Kind::Byte => take::<1>(&mut rest).map(|[b]| Value::Byte(b)).ok_or_else(truncated)?,
        Kind::U16 => take(&mut rest).map(|b| Value::U16(u16::from_be_bytes(b))).ok_or_else(truncated)?,
        Kind::U32 => take(&mut rest).map(|b| Value::U32(u32::from_be_bytes(b))).ok_or_else(truncated)?,
        Kind::Varint => {
            let (value, used) = varint::read(rest, true).map_err(|kind| (kind, 1))?.ok_or_else(truncated)?;
            rest = rest.get(used..).unwrap_or_default();
            Value::Varint(value)
        }
        Kind::Utf8 => Value::Utf8(text(&mut rest, bytes)?),
        Kind::Binary => Value::Binary(binary(&mut rest).ok_or_else(truncated)?),
        Kind::Pair => Value::Pair(text(&mut rest, bytes)?, text(&mut rest, bytes)?),
    };
    Ok((Property { id, value }, rest))
}

/// Checks that the value has the property's type and obeys its rule.
pub(crate) fn check(property: &Property<'_>) -> Result<(), DecodeErrorKind> {
    let (kind, rule, ..) = property.id.spec();
    let typed = matches!(
        (kind, property.value),
        (Kind::Byte, Value::Byte(_))
            | (Kind::U16, Value::U16(_))
            | (Kind::U32, Value::U32(_))
            | (Kind::Varint, Value::Varint(_))
            | (Kind::Utf8, Value::Utf8(_))
            | (Kind::Binary, Value::Binary(_))
            | (Kind::Pair, Value::Pair(..))
    );
    let ruled = match (rule, property.value) {
        (Rule::Flag, Value::Byte(value)) => value <= 1,
        (Rule::NonZero, Value::U16(0) | Value::U32(0) | Value::Varint(0)) => false,
        (Rule::Topic, Value::Utf8(name)) => topic::validate_topic_name(name).is_ok(),
        _ => true,
    };
    if typed && ruled { Ok(()) } else { Err(DecodeErrorKind::PropertyValue(property.id)) }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

fn binary<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::from(u16::from_be_bytes(take(rest)?));
    let (head, tail) = rest.split_at_checked(len)?;
    *rest = tail;
    Some(head)
}

fn text<'a>(rest: &mut &'a [u8], whole: &[u8]) -> Result<&'a str, (DecodeErrorKind, usize)> {
    let at = whole.len() - rest.len();
    let bytes = binary(rest).ok_or((DecodeErrorKind::Truncated, whole.len()))?;
    string::check(bytes).map_err(|e| (DecodeErrorKind::String(e), at))
}
