//! Last emitted reading of a sensor, with which every reducing stage compares, in 32 bytes.

use super::number::Number;
use crate::snapshot_serde::as_array;
use crate::value::{Class, Tolerance};
use crate::{DropReason, EmitReason, Quality, Value};

/// Last emitted reading. By default there is none, and the next one passes as [`EmitReason::First`].
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct LastEmitted {
    /// Last emitted usable value, which is always finite; `None` if there was none.
    reference: Option<CompactValue>,
    time: i64,
    status: Quality,
    class: Class,
    started: bool,
}

as_array!(LastEmitted { reference, time, status, class, started });

impl LastEmitted {
    /// Returns the last emitted value that was usable; `None` if there was none.
    pub(crate) fn reference(&self) -> Option<Value<'_>> {
        self.reference.as_ref().map(CompactValue::value)
    }

    /// Returns the reference as a number; `None` if there is none, or it is a boolean or a text.
    pub(crate) fn number(&self) -> Option<Number> {
        self.reference.as_ref().and_then(|stored| Number::of(&stored.value()))
    }

    /// Returns the status of the last emitted reading; `None` before the first.
    pub(crate) fn status(&self) -> Option<Quality> {
        self.started.then_some(self.status)
    }

    /// Returns the time of the last emitted reading; `None` before the first.
    pub(crate) fn time(&self) -> Option<i64> {
        self.started.then_some(self.time)
    }

    pub(crate) fn elapsed(&self, time: i64) -> i64 {
        time.saturating_sub(self.time)
    }

    /// Stores an emitted reading. Only a `usable` value becomes the reference.
    #[inline]
    pub(crate) fn emitted(&mut self, value: &Value<'_>, quality: Quality, time: i64, usable: bool) {
        self.class = value.class();
        self.status = quality;
        self.time = time;
        self.started = true;
        if usable && self.class == Class::Finite {
            match (&mut self.reference, value) {
                (Some(CompactValue::F64(stored)), Value::F64(new)) => *stored = *new,
                (Some(reference), _) => reference.assign(value),
                (None, _) => self.reference = Some(CompactValue::of(value)),
            }
        }
    }

    /// Returns whether readings can lead to this state; that of a damaged snapshot may be another.
    pub(crate) fn is_sound(&self) -> bool {
        !matches!(self.reference, Some(CompactValue::F64(number)) if !number.is_finite())
    }

    /// Moves all times by `by_ms`.
    pub(crate) fn shift(&mut self, by_ms: i64) {
        if self.started {
            self.time = self.time.wrapping_add(by_ms);
        }
    }

    /// Records that the last value was emitted again, with another quality or time.
    pub(crate) fn restate(&mut self, quality: Quality, time: i64) {
        self.status = quality;
        self.time = time;
    }

    /// Forgets the time of the last reading after the sensor's clock was set back, because the next one may be older.
    pub(crate) fn forget_time(&mut self) {
        self.started = false;
    }

    /// Forgets the last usable value, because the next ones are in another unit.
    pub(crate) fn forget_value(&mut self) {
        self.reference = None;
    }

    /// Returns whether the last emitted value was no NaN and no infinity.
    pub(crate) fn is_finite(&self) -> bool {
        self.class == Class::Finite
    }

    /// Returns the reason for which a reading passes whatever its value: it is the first, or its status or class changed. `None`: its value
    /// decides.
    #[inline]
    pub(crate) fn transition(&self, value: &Value<'_>, quality: Quality, usable: bool) -> Option<EmitReason> {
        if !self.started {
            return Some(EmitReason::First);
        }
        let class = value.class();
        if quality == self.status && (class == self.class || !usable) {
            return None;
        }
        Some(self.change(class))
    }

    #[cold]
    fn change(&self, class: Class) -> EmitReason {
        match (self.class == class, class) {
            (true, _) => EmitReason::StatusChange,
            (false, Class::Finite) => EmitReason::NanExit,
            (false, _) => EmitReason::NanEnter,
        }
    }

    /// Returns whether a finite value is further from the reference than the tolerance.
    #[inline]
    pub(crate) fn moved(&self, tolerance: &Tolerance, value: &Value<'_>) -> bool {
        match (&self.reference, value) {
            (Some(CompactValue::F64(reference)), Value::F64(new)) => tolerance.exceeded_by(reference - new),
            (Some(reference), _) => tolerance.exceeded(&reference.value(), value),
            (None, _) => true,
        }
    }

    /// Returns the reason for dropping a reading that no change lets pass and whose value cannot be compared. `None`: it can.
    pub(crate) fn silence(value: &Value<'_>, quality: Quality, usable: bool) -> Option<DropReason> {
        match (usable, quality.is_bad()) {
            (false, true) => Some(DropReason::BadQuality),
            (false, false) => Some(DropReason::NotCompared),
            (true, _) => (value.class() != Class::Finite).then_some(DropReason::InDeadband),
        }
    }
}

/// Value in 16 bytes; only a text is stored elsewhere.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
enum CompactValue {
    #[cfg_attr(feature = "config", serde(rename = "f"))]
    F64(f64),
    #[cfg_attr(feature = "config", serde(rename = "i"))]
    I64(i64),
    #[cfg_attr(feature = "config", serde(rename = "u"))]
    U64(u64),
    #[cfg_attr(feature = "config", serde(rename = "b"))]
    Bool(bool),
    #[cfg_attr(feature = "config", serde(rename = "t"))]
    #[allow(
        clippy::box_collection,
        reason = "8 bytes instead of 24 per sensor, and the buffer can be reused"
    )]
    Text(Box<String>),
}

impl CompactValue {
    fn of(value: &Value<'_>) -> Self {
        match value {
            Value::F64(v) => CompactValue::F64(*v),
            Value::I64(v) => CompactValue::I64(*v),
            Value::U64(v) => CompactValue::U64(*v),
            Value::Bool(v) => CompactValue::Bool(*v),
            Value::Text(v) => CompactValue::Text(Box::new(v.as_ref().to_owned())),
        }
    }

    fn value(&self) -> Value<'_> {
        match self {
            CompactValue::F64(v) => Value::F64(*v),
            CompactValue::I64(v) => Value::I64(*v),
            CompactValue::U64(v) => Value::U64(*v),
            CompactValue::Bool(v) => Value::Bool(*v),
            CompactValue::Text(v) => Value::Text(v.as_str().into()),
        }
    }

    /// Stores `new`. It reuses the text buffer, so nothing is allocated once that is long enough.
    fn assign(&mut self, new: &Value<'_>) {
        match (&mut *self, new) {
            (CompactValue::Text(buffer), Value::Text(text)) => {
                buffer.clear();
                buffer.push_str(text);
            }
            (other, new) => *other = CompactValue::of(new),
        }
    }
}

const _: () = assert!(size_of::<LastEmitted>() <= 32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assign_reuses_the_text_buffer() {
        let mut held = CompactValue::Text(Box::new(String::with_capacity(64)));
        held.assign(&Value::from("stopped"));
        assert!(matches!(&held, CompactValue::Text(s) if s.capacity() >= 64 && s.as_str() == "stopped"));
        held.assign(&Value::from(1.0));
        assert_eq!(held.value(), Value::F64(1.0));
    }
}
