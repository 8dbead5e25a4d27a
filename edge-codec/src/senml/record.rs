//! Fields of one SenML record.

#![deny(clippy::indexing_slicing)]

use super::number::to_f64;
use crate::{BatchId, Value};
use std::borrow::Cow;

/// Record of a pack, before base fields are applied.
#[derive(Debug, Default)]
pub(super) struct Record<'a> {
    pub(super) base_name: Option<Cow<'a, str>>,
    pub(super) base_time: Option<f64>,
    pub(super) base_unit: Option<Cow<'a, str>>,
    pub(super) base_value: Option<Value<'a>>,
    pub(super) base_sum: Option<Value<'a>>,
    pub(super) version: Option<u64>,
    pub(super) name: Option<Cow<'a, str>>,
    pub(super) unit: Option<Cow<'a, str>>,
    pub(super) time: Option<f64>,
    pub(super) value: Option<Value<'a>>,
    pub(super) sum: Option<Value<'a>>,
    pub(super) quality: u32,
    pub(super) id: Option<BatchId>,
    pub(super) pd: bool,
    pub(super) seqs: Option<Vec<u64>>,
}

/// Label of a record's field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Label {
    BaseName,
    BaseTime,
    BaseUnit,
    BaseValue,
    BaseSum,
    Version,
    Name,
    Unit,
    Value,
    TextValue,
    BoolValue,
    DataValue,
    Sum,
    Time,
    Quality,
    Id,
    Mark,
    Seqs,
    /// Unknown label, which is skipped.
    Other,
    /// Unknown label that ends in `_`, which refuses the pack.
    MustUnderstand,
}

impl Label {
    pub(super) fn of_text(text: &str) -> Self {
        match text {
            "bn" => Self::BaseName,
            "bt" => Self::BaseTime,
            "bu" => Self::BaseUnit,
            "bv" => Self::BaseValue,
            "bs" => Self::BaseSum,
            "bver" => Self::Version,
            "n" => Self::Name,
            "u" => Self::Unit,
            "v" => Self::Value,
            "vs" => Self::TextValue,
            "vb" => Self::BoolValue,
            "vd" => Self::DataValue,
            "s" => Self::Sum,
            "t" => Self::Time,
            other => Self::of_extension(other),
        }
    }

    /// Returns a label of this crate, which is text in CBOR too.
    pub(super) fn of_extension(text: &str) -> Self {
        match text {
            super::encoder_parts::QUALITY | super::encoder_parts::QUALITY_MUST => Self::Quality,
            super::encoder_parts::ID => Self::Id,
            super::encoder_parts::MARK => Self::Mark,
            super::encoder_parts::SEQS => Self::Seqs,
            other if other.ends_with('_') => Self::MustUnderstand,
            _ => Self::Other,
        }
    }

    /// Returns the label for a number of RFC 8428 §6. The update time is skipped.
    pub(super) fn of_number(number: i64) -> Self {
        match number {
            -6 => Self::BaseSum,
            -5 => Self::BaseValue,
            -4 => Self::BaseUnit,
            -3 => Self::BaseTime,
            -2 => Self::BaseName,
            -1 => Self::Version,
            0 => Self::Name,
            1 => Self::Unit,
            2 => Self::Value,
            3 => Self::TextValue,
            4 => Self::BoolValue,
            5 => Self::Sum,
            6 => Self::Time,
            8 => Self::DataValue,
            _ => Self::Other,
        }
    }
}

impl<'a> Record<'a> {
    /// Takes a field's value. `Err` names the type that the field needs.
    pub(super) fn set(&mut self, label: Label, value: Value<'a>) -> Result<(), &'static str> {
        match (label, value) {
            (Label::BaseName, Value::Text(text)) => self.base_name = Some(text),
            (Label::BaseUnit, Value::Text(text)) => self.base_unit = Some(text),
            (Label::Name, Value::Text(text)) => self.name = Some(text),
            (Label::Unit, Value::Text(text)) => self.unit = Some(text),
            (Label::BaseName | Label::BaseUnit | Label::Name | Label::Unit, _) => return Err("text"),
            (Label::BaseTime, v) => self.base_time = Some(to_f64(&v).ok_or("a number")?),
            (Label::Time, v) => self.time = Some(to_f64(&v).ok_or("a number")?),
            (Label::BaseValue, v) => self.base_value = Some(number(v)?),
            (Label::BaseSum, v) => self.base_sum = Some(number(v)?),
            (Label::Sum, v) => self.sum = Some(number(v)?),
            (Label::Version, Value::I64(v)) => self.version = Some(v.try_into().map_err(|_| "a version")?),
            (Label::Version, _) => return Err("a version"),
            (Label::Value | Label::TextValue | Label::BoolValue | Label::DataValue, _)
                if self.value.is_some() =>
            {
                return Err("the only value of its record");
            }
            (Label::Value, v) => self.value = Some(number(v)?),
            (Label::TextValue, v @ Value::Text(_))
            | (Label::BoolValue, v @ Value::Bool(_))
            | (Label::DataValue, v @ Value::Bytes(_)) => self.value = Some(v),
            (Label::TextValue, _) => return Err("text"),
            (Label::BoolValue, _) => return Err("true or false"),
            (Label::DataValue, _) => return Err("bytes, in JSON as base64url without padding"),
            (Label::Quality, Value::I64(code)) => {
                self.quality = code.try_into().map_err(|_| "an OPC UA StatusCode")?;
            }
            (Label::Quality, _) => return Err("an OPC UA StatusCode"),
            (Label::Id, Value::Text(text)) => {
                self.id = Some(text.parse().map_err(|_| "gateway-lane-epoch-seq in hexadecimal")?);
            }
            (Label::Id, _) => return Err("text"),
            (Label::Mark, Value::I64(v @ 0..=1)) => self.pd = v == 1,
            (Label::Mark, _) => return Err("0 or 1"),
            (Label::Seqs | Label::Other | Label::MustUnderstand, _) => {}
        }
        Ok(())
    }

    /// Returns whether the record has more than base fields and our header.
    pub(super) fn is_regular(&self) -> bool {
        self.name.is_some()
            || self.unit.is_some()
            || self.time.is_some()
            || self.value.is_some()
            || self.sum.is_some()
    }
}

fn number(value: Value<'_>) -> Result<Value<'_>, &'static str> {
    match value {
        Value::I64(_) | Value::U64(_) => Ok(value),
        Value::F64(v) if v.is_finite() => Ok(value),
        _ => Err("a finite number"),
    }
}
