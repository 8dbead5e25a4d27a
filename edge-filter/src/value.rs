//! Value of a reading, and exact comparisons of values.

use std::borrow::Cow;

/// Value of a reading.
///
/// Integers are never rounded: they are compared exactly over their whole range, so a counter beyond 2^53 keeps
/// every increment. A text may borrow from the caller's buffer; a dropped text is never copied.
///
/// ```
/// use edge_filter::Value;
///
/// assert_eq!(Value::from("running"), Value::Text("running".into()));
/// assert_eq!(Value::Bool(true).as_f64(), Some(1.0));
/// assert_eq!(Value::Text("running".into()).as_f64(), None);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
pub enum Value<'a> {
    /// A floating point number; NaN and the infinities are classes of their own.
    F64(f64),
    /// A signed integer of 64 bits.
    I64(i64),
    /// An unsigned integer of 64 bits.
    U64(u64),
    /// A boolean. Every change counts, whatever the deadband.
    Bool(bool),
    /// A text. Every change counts, whatever the deadband.
    Text(Cow<'a, str>),
}

impl Value<'_> {
    /// Returns the value with its own copy of a text, independent of the caller's buffer.
    #[must_use]
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Value::F64(v) => Value::F64(v),
            Value::I64(v) => Value::I64(v),
            Value::U64(v) => Value::U64(v),
            Value::Bool(v) => Value::Bool(v),
            Value::Text(v) => Value::Text(Cow::Owned(v.into_owned())),
        }
    }

    /// Returns the number as `f64` (a boolean is 0 or 1), to compare it with limits; `None` for a text. Integers beyond 2^53 are rounded.
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        match *self {
            Value::F64(v) => Some(v),
            Value::I64(v) => Some(v as f64),
            Value::U64(v) => Some(v as f64),
            Value::Bool(v) => Some(f64::from(u8::from(v))),
            Value::Text(_) => None,
        }
    }

    /// Returns the class: finite number, NaN, +Inf or -Inf. Everything that is not a float is finite.
    #[inline]
    pub(crate) fn class(&self) -> Class {
        match *self {
            Value::F64(v) if !v.is_finite() => match v {
                f64::INFINITY => Class::PosInf,
                f64::NEG_INFINITY => Class::NegInf,
                _ => Class::Nan,
            },
            _ => Class::Finite,
        }
    }

    /// Returns the exact integer; `None` if the value is no integer.
    pub(crate) fn as_integer(&self) -> Option<i128> {
        match *self {
            Value::I64(v) => Some(i128::from(v)),
            Value::U64(v) => Some(i128::from(v)),
            _ => None,
        }
    }

    /// Returns 64 bits that distinguish values: exact for numbers of one kind, FNV-1a for texts.
    #[inline]
    pub(crate) fn fingerprint(&self) -> u64 {
        match self {
            Value::F64(v) if v.is_nan() => f64::NAN.to_bits(),
            // -0.0 + 0.0 is 0.0: the two zeros are one value.
            Value::F64(v) => (v + 0.0).to_bits(),
            Value::I64(v) => v.cast_unsigned(),
            Value::U64(v) => *v,
            Value::Bool(v) => u64::from(*v),
            Value::Text(v) => v
                .bytes()
                .fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)),
        }
    }
}

impl From<f64> for Value<'_> {
    fn from(v: f64) -> Self {
        Value::F64(v)
    }
}

impl From<i64> for Value<'_> {
    fn from(v: i64) -> Self {
        Value::I64(v)
    }
}

impl From<u64> for Value<'_> {
    fn from(v: u64) -> Self {
        Value::U64(v)
    }
}

impl From<bool> for Value<'_> {
    fn from(v: bool) -> Self {
        Value::Bool(v)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(v: &'a str) -> Self {
        Value::Text(Cow::Borrowed(v))
    }
}

impl From<String> for Value<'_> {
    fn from(v: String) -> Self {
        Value::Text(Cow::Owned(v))
    }
}

/// Returns whether the value is the default, which the alarms of a snapshot leave out.
#[cfg(feature = "config")]
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Class of a value, as in EPICS `recGblCheckDeadband`. A change between classes always passes; within one of the three non-finite classes
/// nothing does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Class {
    #[default]
    Finite,
    Nan,
    PosInf,
    NegInf,
}

crate::snapshot_serde::as_number!(Class { Finite, Nan, PosInf, NegInf });

/// Tolerance as a float and as an integer, so that integers are never converted to `f64`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Tolerance {
    float: f64,
    integer: u128,
}

impl Tolerance {
    /// Tolerance that any change exceeds.
    pub(crate) const ZERO: Self = Tolerance { float: 0.0, integer: 0 };

    /// Creates a tolerance; `width` is finite and not negative.
    pub(crate) fn new(width: f64) -> Self {
        // For an integer difference d: d > width exactly when d > floor(width). The cast saturates.
        Tolerance { float: width, integer: width.floor() as u128 }
    }

    pub(crate) fn width(&self) -> f64 {
        self.float
    }

    /// Returns whether `new` is further from `reference` than the tolerance (strictly). Values of different kinds, booleans and texts exceed it
    /// as soon as they are not the same.
    pub(crate) fn exceeded(&self, reference: &Value<'_>, new: &Value<'_>) -> bool {
        if let (Some(a), Some(b)) = (reference.as_integer(), new.as_integer()) {
            return a.abs_diff(b) > self.integer;
        }
        match (reference, new) {
            (Value::Bool(a), Value::Bool(b)) => a != b,
            (Value::Text(a), Value::Text(b)) => a != b,
            (Value::Bool(_) | Value::Text(_), _) | (_, Value::Bool(_) | Value::Text(_)) => true,
            (a, b) => match (whole(a).zip(whole(b)), a.as_f64().zip(b.as_f64())) {
                (Some((a, b)), _) => a.abs_diff(b) > self.integer,
                (None, Some((a, b))) => self.exceeded_by(a - b),
                (None, None) => true,
            },
        }
    }

    /// Returns whether the difference exceeds the tolerance. A NaN does, because only a difference that is proven small may be suppressed.
    #[inline]
    pub(crate) fn exceeded_by(&self, difference: f64) -> bool {
        let within = difference.abs() <= self.float;
        !within
    }
}

/// Returns the exact whole number of an integer, or of a float that is no larger than one. A decoder may write 20 as 20.0.
pub(crate) fn whole(value: &Value<'_>) -> Option<i128> {
    match *value {
        Value::F64(v) if v.fract() == 0.0 && v.abs() <= u64::MAX as f64 => Some(v as i128),
        _ => value.as_integer(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exceeded(width: f64, a: impl Into<Value<'static>>, b: impl Into<Value<'static>>) -> bool {
        Tolerance::new(width).exceeded(&a.into(), &b.into())
    }

    #[test]
    fn integers_are_compared_beyond_2_pow_53() {
        let big = 9_007_199_254_740_993_i64; // 2^53 + 1, not a double
        assert!(exceeded(0.0, big, big - 1));
        assert!(!exceeded(1.0, big, big - 1));
        assert!(exceeded(1.0, u64::MAX, u64::MAX - 2));
        assert!(!exceeded(2.5, u64::MAX, u64::MAX - 2));
        assert!(exceeded(1e18, i64::MIN, i64::MAX));
        assert!(exceeded(1.8e19, i64::MIN, u64::MAX), "the whole span does not overflow");
        assert!(!exceeded(3e19, i64::MIN, u64::MAX));
        assert!(exceeded(0.0, -1_i64, 0_u64));
        assert!(!exceeded(f64::MAX, i64::MIN, u64::MAX));
    }

    #[test]
    fn an_integer_and_a_whole_float_are_compared_exactly_too() {
        let (big, float) = (9_007_199_254_740_993_i64, 9_007_199_254_740_992.0); // the float nearest to it
        assert!(exceeded(0.0, big, float) && exceeded(0.5, float, big) && !exceeded(1.0, big, float));
        assert!(exceeded(1.0, u64::MAX, (1_u64 << 63) as f64) && exceeded(0.0, u64::MAX, u64::MAX as f64));
        assert!(!exceeded(5e299, u64::MAX, 1e299) && exceeded(5e298, u64::MAX, -1e299));
        assert!(exceeded(1e300, 0_u64, f64::INFINITY) && exceeded(1.0, f64::NAN, 0_i64));
        assert!(!exceeded(0.0, -0.0, 0_u64));
    }

    #[test]
    fn floats_are_compared_strictly_and_without_signed_zero() {
        assert!(!exceeded(1.0, 10.0, 11.0));
        assert!(exceeded(1.0, 10.0, 11.1));
        assert!(!exceeded(0.0, 0.0, -0.0));
        assert!(exceeded(1e300, -f64::MAX, f64::MAX), "an infinite difference passes");
        assert!(exceeded(1.0, f64::NAN, 1.0), "a NaN difference passes");
    }

    #[test]
    fn kinds_booleans_and_texts_differ_whatever_the_width() {
        assert!(exceeded(1e9, true, false));
        assert!(!exceeded(0.0, true, true));
        assert!(exceeded(1e9, "run", "stop"));
        assert!(exceeded(1e9, 1.0, true));
        assert!(exceeded(1e9, "1", 1.0));
        assert!(!exceeded(0.6, 20.5, 20_i64), "a decoder may write 20.0 as the integer 20");
    }
}
