//! Metric of a payload, with its fields as they were sent.

#![deny(clippy::indexing_slicing)]

use super::{quality, tag};
use crate::protobuf::fields::{Field, Fields, Fixed, malformed, shifted};
use crate::{DecodeError, Limits, Value};
use std::borrow::Cow;

/// Numbers of the datatypes (Sparkplug 3.0 §6.4.16) that change how a value is read.
pub mod datatype {
    #![allow(missing_docs, reason = "the names say it")]
    pub const INT8: u32 = 1;
    pub const INT16: u32 = 2;
    pub const INT32: u32 = 3;
    pub const INT64: u32 = 4;
    pub const UINT8: u32 = 5;
    pub const UINT16: u32 = 6;
    pub const UINT32: u32 = 7;
    pub const UINT64: u32 = 8;
    pub const FLOAT: u32 = 9;
    pub const DOUBLE: u32 = 10;
    pub const BOOLEAN: u32 = 11;
    pub const STRING: u32 = 12;
    pub const DATE_TIME: u32 = 13;
    pub const BYTES: u32 = 17;
}

/// Fields of a metric; those that it does not have are `None` or false.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Metric<'a> {
    /// Start of the metric in the payload, in bytes.
    pub offset: usize,
    /// Name of the sensor; DATA messages with aliases have none.
    pub name: Option<&'a str>,
    /// Number that stands for the name since the birth.
    pub alias: Option<u64>,
    /// Source time in milliseconds since the Unix epoch.
    pub timestamp: Option<u64>,
    /// Type of the value, as in [`datatype`].
    pub datatype: Option<u32>,
    /// True if the sender marked it as sent late, out of a backlog.
    pub is_historical: bool,
    /// Set if historians are not to keep the metric.
    pub is_transient: bool,
    /// True if the sensor has no value.
    pub is_null: bool,
    /// Property `Quality` as it was sent: an Int32 in 32 bits.
    pub quality: Option<u64>,
    /// Unit, from the property `engUnit`.
    pub unit: Option<&'a str>,
    /// Value of the metric.
    pub value: MetricValue<'a>,
}

/// Value of a metric, by the field that it stands in. Integers are as on the wire, signed ones in two's complement.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum MetricValue<'a> {
    /// The metric has no value field.
    #[default]
    None,
    /// Value of the field `int_value`.
    Int(u32),
    /// Value of the field `long_value`.
    Long(u64),
    /// Value of the field `float_value`.
    Float(f32),
    /// Value of the field `double_value`.
    Double(f64),
    /// Value of the field `boolean_value`.
    Boolean(bool),
    /// Value of the field `string_value`.
    String(&'a str),
    /// Value of the field `bytes_value`.
    Bytes(&'a [u8]),
    /// Field `dataset_value`, whose content is not read.
    DataSet,
    /// Field `template_value`, whose content is not read.
    Template,
    /// Field `extension_value`, whose content is not read.
    Extension,
}

impl<'a> Metric<'a> {
    pub(super) fn read(offset: usize, content: &'a [u8], limits: &Limits) -> Result<Self, DecodeError> {
        let mut metric = Self { offset, ..Self::default() };
        let mut fields = Fields::new(content);
        while let Some(field) = fields.next().map_err(|e| shifted(e, offset))? {
            metric.set(&field, limits).map_err(|e| shifted(e, offset))?;
        }
        Ok(metric)
    }

    fn set(&mut self, field: &Field<'a>, limits: &Limits) -> Result<(), DecodeError> {
        use tag::metric as tag;
        match field.number {
            tag::NAME => self.name = Some(field.text(limits)?),
            tag::ALIAS => self.alias = Some(field.number()?),
            tag::TIMESTAMP => self.timestamp = Some(field.number()?),
            // What does not fit is no datatype we know.
            tag::DATATYPE => self.datatype = Some(field.number()?.try_into().unwrap_or(u32::MAX)),
            tag::IS_HISTORICAL => self.is_historical = field.number()? != 0,
            tag::IS_TRANSIENT => self.is_transient = field.number()? != 0,
            tag::IS_NULL => self.is_null = field.number()? != 0,
            tag::PROPERTIES => self.properties(field, limits)?,
            // A negative int32 may come sign-extended to 64 bits.
            tag::INT => self.value = MetricValue::Int(field.number()? as u32),
            tag::LONG => self.value = MetricValue::Long(field.number()?),
            tag::FLOAT => match field.fixed {
                Some(Fixed::Bits32(bits)) => self.value = MetricValue::Float(f32::from_bits(bits)),
                _ => return Err(malformed(field.offset, "float_value is not a float")),
            },
            tag::DOUBLE => {
                let bits = field.bits64("double_value is not a double")?;
                self.value = MetricValue::Double(f64::from_bits(bits));
            }
            tag::BOOLEAN => self.value = MetricValue::Boolean(field.number()? != 0),
            tag::STRING => self.value = MetricValue::String(field.text(limits)?),
            tag::BYTES => self.value = MetricValue::Bytes(field.bytes(limits)?),
            tag::DATASET => self.value = MetricValue::DataSet,
            tag::TEMPLATE => self.value = MetricValue::Template,
            tag::EXTENSION => self.value = MetricValue::Extension,
            _ => {}
        }
        Ok(())
    }

    /// Reads unit and quality from a PropertySet, whose keys and values are two lists side by side.
    fn properties(&mut self, set: &Field<'a>, limits: &Limits) -> Result<(), DecodeError> {
        use tag::property as tag;
        let set_content = set.content()?;
        let mut values = Fields::new(set_content);
        let mut keys = Fields::new(set_content);
        let at = |e| shifted(e, set.offset);
        while let Some(key) = keys.next().map_err(at)? {
            if key.number != tag::KEYS {
                continue;
            }
            let name = key.text(limits).map_err(at)?;
            let value = loop {
                match values.next().map_err(at)? {
                    Some(value) if value.number == tag::VALUES => break value,
                    Some(_) => {}
                    None => return Err(malformed(set.offset, "a property without a value")),
                }
            };
            if name == quality::KEY {
                self.quality = number(&value).map_err(at)?;
            } else if name == UNIT_KEY {
                self.unit = property_text(&value, limits).map_err(at)?;
            }
        }
        Ok(())
    }

    /// Returns the value in the model. `birth`: datatype from the birth, for a metric without one. `None`: the model has no place for the
    /// value.
    pub(super) fn value(&self, birth: Option<u32>) -> Result<Option<Value<'a>>, DecodeError> {
        if self.is_null {
            return Ok(Some(Value::Null));
        }
        let datatype = self.datatype.or(birth);
        Ok(Some(match self.value {
            MetricValue::Int(bits) => self.int(bits.into(), 32, datatype)?,
            MetricValue::Long(bits) => self.int(bits, 64, datatype)?,
            MetricValue::Float(v) => Value::F64(widened(v)),
            MetricValue::Double(v) => Value::F64(v),
            MetricValue::Boolean(v) => Value::Bool(v),
            MetricValue::String(v) => Value::Text(Cow::Borrowed(v)),
            MetricValue::Bytes(v) => Value::Bytes(Cow::Borrowed(v)),
            MetricValue::None | MetricValue::DataSet | MetricValue::Template | MetricValue::Extension => {
                return Ok(None);
            }
        }))
    }

    fn int(&self, bits: u64, width: u32, datatype: Option<u32>) -> Result<Value<'a>, DecodeError> {
        use datatype::{DATE_TIME, INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, UINT64};
        let signed = match datatype {
            Some(INT8) => narrow(bits, 8),
            Some(INT16) => narrow(bits, 16),
            Some(INT32) => narrow(bits, 32),
            Some(INT64 | DATE_TIME) if width == 32 => narrow(bits, 32),
            Some(INT64 | DATE_TIME) => Some(bits.cast_signed()),
            Some(UINT8) => below(bits, 8),
            Some(UINT16) => below(bits, 16),
            Some(UINT32) => below(bits, 32),
            Some(UINT64) => return Ok(unsigned(bits)),
            // Without a datatype only numbers are safe that read the same signed and unsigned.
            _ if bits >> (width - 1) == 0 => return Ok(unsigned(bits)),
            _ => {
                let field = "datatype of an integer with its highest bit set".into();
                return Err(DecodeError::Missing { offset: self.offset, field });
            }
        };
        signed.map(Value::I64).ok_or_else(|| malformed(self.offset, "integer beyond its datatype"))
    }
}

/// Key of the property with the unit, as Ignition and others write it.
pub(super) const UNIT_KEY: &str = "engUnit";

fn unsigned(bits: u64) -> Value<'static> {
    i64::try_from(bits).map_or(Value::U64(bits), Value::I64)
}

/// Returns an unsigned number of `width` bits; `None` if it is larger.
fn below(bits: u64, width: u32) -> Option<i64> {
    (bits >> width == 0).then_some(bits.cast_signed())
}

/// Returns a float as a double. The payload of a NaN is moved bit by bit, because processors differ in what a conversion does to the quiet bit.
fn widened(v: f32) -> f64 {
    let bits = u64::from(v.to_bits());
    if v.is_nan() {
        f64::from_bits(bits >> 31 << 63 | 0x7ff << 52 | (bits & 0x7f_ffff) << 29)
    } else {
        v.into()
    }
}

/// Reads a two's complement of `width` bits, with or without sign extension to 32 or 64 bits, since senders do all of it. `None` if it is none of
/// them.
fn narrow(bits: u64, width: u32) -> Option<i64> {
    let shift = 64 - width;
    let value = (bits << shift).cast_signed() >> shift;
    let zero_extended = bits >> width == 0;
    let sign_extended = [value.cast_unsigned(), value.cast_unsigned() & 0xffff_ffff].contains(&bits);
    (zero_extended || sign_extended).then_some(value)
}

/// Returns a property's integer; `None` if it is of another type.
fn number(value: &Field<'_>) -> Result<Option<u64>, DecodeError> {
    let mut fields = Fields::new(value.content()?);
    while let Some(field) = fields.next().map_err(|e| shifted(e, value.offset))? {
        if let (tag::property::INT | tag::property::LONG, Some(number)) = (field.number, field.varint) {
            return Ok(Some(number));
        }
    }
    Ok(None)
}

fn property_text<'a>(value: &Field<'a>, limits: &Limits) -> Result<Option<&'a str>, DecodeError> {
    let mut fields = Fields::new(value.content()?);
    while let Some(field) = fields.next().map_err(|e| shifted(e, value.offset))? {
        if field.number == tag::property::STRING {
            return field.text(limits).map(Some).map_err(|e| shifted(e, value.offset));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_signed_as_their_datatype_says() {
        let value = |value, datatype| Metric { value, datatype, ..Metric::default() }.value(None);
        let i64 = |v| Ok(Some(Value::I64(v)));
        assert_eq!(value(MetricValue::Int(0xff), Some(datatype::INT8)), i64(-1));
        assert_eq!(value(MetricValue::Int(0xffff_ffff), Some(datatype::INT8)), i64(-1));
        assert_eq!(value(MetricValue::Int(0x8000), Some(datatype::INT16)), i64(-32768));
        assert_eq!(value(MetricValue::Int(0xffff_fffe), Some(datatype::INT32)), i64(-2));
        assert_eq!(value(MetricValue::Int(0xffff_fffe), Some(datatype::UINT32)), i64(4_294_967_294));
        assert_eq!(value(MetricValue::Long(u64::MAX), Some(datatype::INT64)), i64(-1));
        assert_eq!(
            value(MetricValue::Long(u64::MAX), Some(datatype::UINT64)),
            Ok(Some(Value::U64(u64::MAX)))
        );
        assert_eq!(value(MetricValue::Int(7), None), i64(7));
        assert!(matches!(value(MetricValue::Int(1 << 31), None), Err(DecodeError::Missing { .. })));
        assert!(matches!(value(MetricValue::Long(1 << 63), None), Err(DecodeError::Missing { .. })));
        assert_eq!(value(MetricValue::Long(-2_i64 as u64), Some(datatype::INT32)), i64(-2));
        assert_eq!(value(MetricValue::Long(0xffff_fffe), Some(datatype::INT32)), i64(-2));
        assert_eq!(value(MetricValue::Long(-2_i64 as u64), Some(datatype::INT8)), i64(-2));
        assert_eq!(value(MetricValue::Int(255), Some(datatype::UINT8)), i64(255));
    }

    #[test]
    fn integers_beyond_their_datatype_are_not_cut_to_it() {
        use datatype::{INT8, INT16, INT32, UINT8, UINT16, UINT32};
        for (value, datatype) in [
            (MetricValue::Int(300), INT8),
            (MetricValue::Int(0xffff_0080), INT8),
            (MetricValue::Long(1 << 32 | 5), INT32),
            (MetricValue::Long(1 << 40 | 0xffff_ffff), INT16),
            (MetricValue::Long(0xffff_fffe_ffff_ffff), INT32),
            (MetricValue::Int(256), UINT8),
            (MetricValue::Int(1 << 16), UINT16),
            (MetricValue::Long(1 << 32), UINT32),
        ] {
            let metric = Metric { value, datatype: Some(datatype), ..Metric::default() };
            assert!(matches!(metric.value(None), Err(DecodeError::Malformed { .. })), "{value:?}");
        }
    }

    #[test]
    fn floats_keep_the_payload_of_a_nan() {
        for (float, double) in [
            (0x7fa0_0001, 0x7ff4_0000_2000_0000),
            (0xffc0_0000, 0xfff8_0000_0000_0000),
            (0x3fc0_0000, 0x3ff8_0000_0000_0000),
            (0x7f80_0000, 0x7ff0_0000_0000_0000),
        ] {
            let metric = Metric { value: MetricValue::Float(f32::from_bits(float)), ..Metric::default() };
            let Ok(Some(Value::F64(v))) = metric.value(None) else { panic!("{float:x}") };
            assert_eq!(v.to_bits(), double, "{float:x}");
        }
    }
}
