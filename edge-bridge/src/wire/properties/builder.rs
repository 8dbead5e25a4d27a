//! Builder of properties, one by one.

use bytes::{BufMut, BytesMut};

use super::super::field_writer::{check_len, put_field};
use super::super::property_id::Places;
use super::super::{DecodeErrorKind, EncodeError, Property, PropertyId, Value, property, string, varint};
use super::Properties;

/// Builder of [`Properties`], which checks each property that is added.
#[derive(Debug, Clone)]
pub struct PropertiesBuilder {
    pub(super) raw: BytesMut,
    pub(super) present: u64,
    pub(super) places: Places,
}

impl Default for PropertiesBuilder {
    fn default() -> Self {
        Self { raw: BytesMut::new(), present: 0, places: Places::MAX }
    }
}

impl PropertiesBuilder {
    /// Makes a builder without properties.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a property. Returns an error, and changes nothing, if the value is not of the property's type or range, a string is not a valid
    /// MQTT string, or no packet type may have the property together with the present ones.
    pub fn push(&mut self, id: PropertyId, value: Value<'_>) -> Result<&mut Self, EncodeError> {
        property::check(&Property { id, value })?;
        if let Value::Varint(value) = value
            && value > varint::MAX
        {
            return Err(DecodeErrorKind::VarintTooLong.into());
        }
        for (bytes, is_text) in fields(value) {
            check_len("property", bytes.len())?;
            if is_text {
                string::check(bytes).map_err(DecodeErrorKind::String)?;
            }
        }
        join(id, &mut self.present, &mut self.places)?;
        self.raw.put_u8(id as u8);
        match value {
            Value::Byte(v) => self.raw.put_u8(v),
            Value::U16(v) => self.raw.put_u16(v),
            Value::U32(v) => self.raw.put_u32(v),
            Value::Varint(v) => varint::write(v, &mut self.raw),
            Value::Utf8(v) => put_field(v.as_bytes(), &mut self.raw),
            Value::Binary(v) => put_field(v, &mut self.raw),
            Value::Pair(name, v) => {
                put_field(name.as_bytes(), &mut self.raw);
                put_field(v.as_bytes(), &mut self.raw);
            }
        }
        Ok(self)
    }

    /// Appends a user property.
    pub fn user(&mut self, name: &str, value: &str) -> Result<&mut Self, EncodeError> {
        self.push(PropertyId::UserProperty, Value::Pair(name, value))
    }

    /// Returns the encoded properties.
    pub fn finish(self) -> Properties {
        Properties { raw: self.raw.freeze(), present: self.present, places: self.places }
    }
}

/// Adds a property to the sets of present ones and of possible packet types. Returns an error if no packet type is left.
pub(super) fn join(id: PropertyId, present: &mut u64, places: &mut Places) -> Result<(), DecodeErrorKind> {
    let again = *present & id.bit() != 0;
    let left = *places & if again { id.repeats() } else { id.places() };
    if left == 0 {
        return Err(if again {
            DecodeErrorKind::DuplicateProperty(id)
        } else {
            DecodeErrorKind::PropertyNotAllowed(id)
        });
    }
    *present |= id.bit();
    *places = left;
    Ok(())
}

/// Returns the fields of a value that have a length in front, each with whether it is text.
fn fields(value: Value<'_>) -> impl Iterator<Item = (&[u8], bool)> {
    let (first, second) = match value {
        Value::Utf8(text) => (Some((text.as_bytes(), true)), None),
        Value::Binary(bytes) => (Some((bytes, false)), None),
        Value::Pair(name, value) => (Some((name.as_bytes(), true)), Some((value.as_bytes(), true))),
        Value::Byte(_) | Value::U16(_) | Value::U32(_) | Value::Varint(_) => (None, None),
    };
    first.into_iter().chain(second)
}
