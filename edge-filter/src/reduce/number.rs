//! Numbers that reducing stages hold and release, and their verdict on an offered reading.

use crate::snapshot_serde::{as_array, as_number};
use crate::value::whole;
use crate::{DropReason, EmitReason, Quality, Value};

/// Verdict of a reducing stage on the offered reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the offered reading itself is not given to the sink"]
#[allow(clippy::exhaustive_enums, reason = "emitted, held or dropped is the whole accounting")]
pub enum Verdict {
    /// The reading is passed on.
    Emit(EmitReason),
    /// The stage holds the reading, and may emit it later.
    Held,
    /// The reading is dropped.
    Drop(DropReason),
}

/// Reading that a stage emits besides the offered one, and before it in time.
///
/// ```
/// use edge_filter::reduce::{Number, ReleasedReading, Settlement};
/// use edge_filter::{EmitReason, Quality};
///
/// let middle = ReleasedReading::new(1_000, Number::F64(20.5), Quality::GOOD, EmitReason::Flush).synthetic();
/// let settlement = Settlement::Emit(middle); // a stage of one's own hands it to its sink
/// assert!(matches!(settlement, Settlement::Emit(released) if released.synthetic));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct ReleasedReading {
    /// Event time of the reading, Unix milliseconds.
    pub time: i64,
    /// Value of the reading.
    pub value: Number,
    /// Quality of the reading.
    pub quality: Quality,
    /// Reason for the emission.
    pub reason: EmitReason,
    /// True if the stage made the reading, so that no sensor sent it.
    pub synthetic: bool,
}

impl ReleasedReading {
    /// Creates a held reading that is emitted for `reason`.
    #[must_use]
    pub fn new(time: i64, value: Number, quality: Quality, reason: EmitReason) -> Self {
        ReleasedReading { time, value, quality, reason, synthetic: false }
    }

    /// Marks the reading as made by the stage.
    #[must_use]
    pub fn synthetic(mut self) -> Self {
        self.synthetic = true;
        self
    }
}

/// Number of a held reading; texts and booleans are never held.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(clippy::exhaustive_enums, reason = "the numbers among the values")]
pub enum Number {
    /// Finite number of a [`Value::F64`].
    F64(f64),
    /// Number of a [`Value::I64`].
    I64(i64),
    /// Number of a [`Value::U64`].
    U64(u64),
}

impl Number {
    /// Returns the number of a value; `None` for booleans, texts, NaN and the infinities.
    #[must_use]
    pub fn of(value: &Value<'_>) -> Option<Self> {
        match *value {
            Value::F64(v) => v.is_finite().then_some(Number::F64(v)),
            Value::I64(v) => Some(Number::I64(v)),
            Value::U64(v) => Some(Number::U64(v)),
            Value::Bool(_) | Value::Text(_) => None,
        }
    }

    /// Returns the number as `f64`; integers beyond 2^53 are rounded.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        match self {
            Number::F64(v) => v,
            Number::I64(v) => v as f64,
            Number::U64(v) => v as f64,
        }
    }

    /// Returns whether it is a float, or an integer from `-limit` to `limit`.
    pub(crate) fn is_float_or_within(self, limit: u64) -> bool {
        match self {
            Number::F64(_) => true,
            Number::I64(v) => v.unsigned_abs() <= limit,
            Number::U64(v) => v <= limit,
        }
    }

    /// Returns the difference, that of whole numbers exact before it is rounded.
    pub(crate) fn minus(self, other: Self) -> f64 {
        match (self, other) {
            (Number::F64(a), Number::F64(b)) => a - b,
            (a, b) => match whole(&a.into()).zip(whole(&b.into())) {
                Some((a, b)) => (a - b) as f64,
                None => a.as_f64() - b.as_f64(),
            },
        }
    }
}

impl From<Number> for Value<'_> {
    fn from(number: Number) -> Self {
        match number {
            Number::F64(v) => Value::F64(v),
            Number::I64(v) => Value::I64(v),
            Number::U64(v) => Value::U64(v),
        }
    }
}

/// Held reading with a number, in 24 bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) time: i64,
    /// Bits of the number. They are stored apart from its kind, because the quality would not fit otherwise.
    bits: u64,
    pub(crate) quality: Quality,
    kind: Kind,
}

as_array!(Point { time, bits, quality, kind });

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    F64,
    I64,
    U64,
}

as_number!(Kind { F64, I64, U64 });

const _: () = assert!(size_of::<Option<Point>>() <= 24);

impl Point {
    pub(crate) fn new(time: i64, value: Number, quality: Quality) -> Self {
        let (kind, bits) = match value {
            Number::F64(v) => (Kind::F64, v.to_bits()),
            Number::I64(v) => (Kind::I64, v.cast_unsigned()),
            Number::U64(v) => (Kind::U64, v),
        };
        Point { time, bits, quality, kind }
    }

    pub(crate) fn value(&self) -> Number {
        match self.kind {
            Kind::F64 => Number::F64(f64::from_bits(self.bits)),
            Kind::I64 => Number::I64(self.bits.cast_signed()),
            Kind::U64 => Number::U64(self.bits),
        }
    }

    pub(crate) fn released(self, reason: EmitReason) -> Settlement {
        Settlement::Emit(ReleasedReading::new(self.time, self.value(), self.quality, reason))
    }

    /// Moves the time by `by_ms`.
    pub(crate) fn shift(&mut self, by_ms: i64) {
        self.time = self.time.wrapping_add(by_ms);
    }

    /// Returns whether readings can lead to this point; that of a damaged snapshot may be another.
    pub(crate) fn is_sound(&self) -> bool {
        self.is_finite() && !self.quality.is_bad()
    }

    pub(crate) fn is_finite(&self) -> bool {
        self.value().as_f64().is_finite()
    }
}

/// Limit that the readings held for one sensor never reach (34 years at 1 kHz), so that sums over all sensors do not overflow.
pub(crate) const READINGS_MAX: u64 = 1 << 40;

/// Fate of held readings, which are emitted or dropped.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(clippy::exhaustive_enums, reason = "emitted or dropped is the whole accounting")]
pub enum Settlement {
    /// A held reading, or a synthetic one, is emitted.
    Emit(ReleasedReading),
    /// Held readings are dropped: the reason, and their number.
    Drop(DropReason, u64),
}
