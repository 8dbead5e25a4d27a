//! Reducer skeleton: the readings that a reducing stage keeps back, and its treatment of an offered one.

use crate::as_array::as_array;
use crate::last::LastEmitted;
use crate::{DropReason, EmitReason, Quality, Value};

/// Decision of a reducing stage on the offered reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the offered reading itself is not given to the sink"]
#[allow(clippy::exhaustive_enums, reason = "emitted, held or dropped is the whole accounting")]
pub enum Verdict {
    /// The reading goes on.
    Emit(EmitReason),
    /// The stage keeps it and may emit it later.
    Held,
    /// The reading ends here.
    Drop(DropReason),
}

/// Reading that a stage emits beside the offered one, and before it in time.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Released {
    /// Event time, Unix milliseconds.
    pub time: i64,
    /// Value of the reading.
    pub value: Number,
    /// Quality of the reading.
    pub quality: Quality,
    /// Reason for the emission.
    pub reason: EmitReason,
    /// Made by the stage, not read from the sensor.
    pub synthetic: bool,
}

/// A number of a reading: texts and booleans are never held.
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
    /// The number of a value; `None` for booleans, texts, NaN and the infinities.
    #[must_use]
    pub fn of(value: &Value<'_>) -> Option<Self> {
        match *value {
            Value::F64(v) => v.is_finite().then_some(Number::F64(v)),
            Value::I64(v) => Some(Number::I64(v)),
            Value::U64(v) => Some(Number::U64(v)),
            Value::Bool(_) | Value::Text(_) => None,
        }
    }

    /// As `f64`; integers beyond 2^53 are rounded.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        match self {
            Number::F64(v) => v,
            Number::I64(v) => v as f64,
            Number::U64(v) => v as f64,
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

/// A reading with a number that is kept back, in 24 bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) time: i64,
    /// Of the number; beside its kind, or the quality would not fit in the same word.
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

crate::as_array::as_number!(Kind { F64, I64, U64 });

const _: () = assert!(size_of::<Option<Point>>() == 24);

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

    pub(crate) fn released(self, reason: EmitReason) -> Event {
        let (time, value, quality) = (self.time, self.value(), self.quality);
        Event::Emit(Released { time, value, quality, reason, synthetic: false })
    }

    /// Moves the time by `by_ms`.
    pub(crate) fn shift(&mut self, by_ms: i64) {
        self.time = self.time.wrapping_add(by_ms);
    }

    /// Not so in a damaged snapshot.
    pub(crate) fn is_sound(&self) -> bool {
        self.is_finite() && !self.quality.is_bad()
    }

    pub(crate) fn is_finite(&self) -> bool {
        self.value().as_f64().is_finite()
    }
}

/// More readings than a stage comes to hold for one sensor: 34 years at 1 kHz. Sums over all sensors do not overflow.
pub(crate) const READINGS_MAX: u64 = 1 << 40;

/// Fate of readings that were held.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Event {
    /// A held reading, or a synthetic one, is emitted.
    Emit(Released),
    /// So many held readings end here.
    Drop(DropReason, u64),
}

/// Hands on what is emitted; alone, a stage has no accounts to keep.
pub(crate) fn released(event: Event, sink: &mut impl FnMut(Released)) {
    if let Event::Emit(released) = event {
        sink(released);
    }
}

/// A stage that holds readings. What all of them have in common is here: the first reading, changes of status and of
/// class, booleans and texts pass at once, after what was held; bad and non-finite readings say no more than that.
pub(crate) trait Holding {
    type State;

    fn usable(&self, quality: Quality) -> bool;

    /// Returns whether a reading is kept back.
    fn has_held(state: &Self::State) -> bool;

    /// A usable number, later than everything before it.
    fn number(
        &self,
        last: &mut LastEmitted,
        state: &mut Self::State,
        point: Point,
        on: &mut impl FnMut(Event),
    ) -> Verdict;

    /// Emits what is held, if `why` is given for this reason, and starts again.
    fn close(
        &self,
        last: &mut LastEmitted,
        state: &mut Self::State,
        why: Option<EmitReason>,
        on: &mut impl FnMut(Event),
    );

    /// One reading of a stage that is used alone.
    fn offer_alone(
        &self,
        last: &mut LastEmitted,
        state: &mut Self::State,
        (value, quality, time): (Value<'_>, Quality, i64),
        sink: &mut impl FnMut(Released),
    ) -> Verdict {
        self.offer(last, state, None, (&value, quality, time), &mut |event| released(event, sink))
    }

    /// Emits what a stage holds that is used alone, and starts again.
    fn flush_alone(&self, last: &mut LastEmitted, state: &mut Self::State, sink: &mut impl FnMut(Released)) {
        self.close(last, state, Some(EmitReason::Flush), &mut |event| released(event, sink));
        *last = LastEmitted::default();
    }

    /// One reading; `forced` passes for this reason, whatever its value.
    fn offer(
        &self,
        last: &mut LastEmitted,
        state: &mut Self::State,
        forced: Option<EmitReason>,
        (value, quality, time): (&Value<'_>, Quality, i64),
        on: &mut impl FnMut(Event),
    ) -> Verdict {
        let usable = self.usable(quality);
        let why = match forced.or_else(|| last.transition(value, quality, usable)) {
            Some(why) => why,
            None => {
                if let Some(reason) = LastEmitted::silence(value, quality, usable) {
                    return Verdict::Drop(reason);
                }
                match Number::of(value) {
                    Some(value) => {
                        let verdict = self.number(last, state, Point::new(time, value, quality), on);
                        if let Verdict::Emit(_) = verdict {
                            last.emitted(&value.into(), quality, time, true);
                        }
                        return verdict;
                    }
                    // What is held is newer than what was emitted last, and no text is the same as a number.
                    None if Self::has_held(state) || last.moved(&crate::value::Tolerance::ZERO, value) => {
                        EmitReason::Change
                    }
                    None => return Verdict::Drop(DropReason::Unchanged),
                }
            }
        };
        self.close(last, state, None, on);
        last.emitted(value, quality, time, usable);
        Verdict::Emit(why)
    }
}
