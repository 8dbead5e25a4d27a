//! Swinging door trending, in the form that keeps its error bound.

use super::holding::{Holding, used_alone};
use super::last_emitted::LastEmitted;
use super::number::{Number, Point, Settlement, Verdict};
use crate::error::{ParamError, interval, positive};
use crate::snapshot_serde::{OverflowingNumber, as_array};
use crate::{Cost, DropReason, EmitReason, ErrorBound, LossBound, Quality};

/// Stage that passes the corners of a trend. Between two emitted readings every suppressed one lies within the deviation of the straight line.
///
/// The slope-check form (GE's "critical aperture"): from the last emitted reading, each later one allows the slopes of
/// the lines that pass it within the deviation; as long as the line to the *newest* reading has a slope that all allow,
/// the newest is held. When it has not, the held reading is emitted and becomes the start of the next line. (The form
/// with two parallel doors misses by up to twice the deviation.) The corners:
///
/// * The first reading and every change of status or class passes at once, after the held one, and starts again. So do
///   changes of booleans and texts, which have no slope. While the status is bad nothing is compared.
/// * `max_interval_ms` emits the *held* reading, which keeps the bound; if none is held, the newest.
/// * A `min_interval_ms` would break the bound and is refused, unless asked for as best effort.
///
/// **Error bound**: the deviation from the straight line, to the rounding of `f64` ([`SwingingDoor::error_bound`]).
/// **Loss bound**: one held reading per sensor. Integers are compared and emitted exactly, beyond 2^53
/// too. A few nanoseconds per reading.
///
/// ```
/// # use edge_filter::Quality;
/// # use edge_filter::reduce::{SwingingDoor, SwingingDoorState};
/// let (mut state, mut kept) = (SwingingDoorState::default(), Vec::new());
/// let door = SwingingDoor::new(0.5)?;
/// for (time, value) in [(0, 0.0), (1, 1.0), (2, 2.0), (3, 0.0)] {
///     let _ = door.check(&mut state, value, Quality::GOOD, time, &mut |released| kept.push(released.time));
/// }
/// assert_eq!(kept, [2]); // 0 was emitted at once, 2 is the corner, 3 is held
/// # Ok::<(), edge_filter::ParamError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SwingingDoor {
    deviation: f64,
    max_interval_ms: Option<i64>,
    min_interval_ms: i64,
    uncertain_is_bad: bool,
}

/// State of a [`SwingingDoor`] per sensor when it is used alone.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
pub struct SwingingDoorState {
    last: LastEmitted,
    door: Door,
}

/// Range of slopes that all readings since the last emitted one allow, and the newest of these readings.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Door {
    low: OverflowingNumber,
    high: OverflowingNumber,
    pub(crate) held: Option<Point>,
}

as_array!(Door { low, high, held });

impl SwingingDoor {
    /// Creates a stage with a deviation in the unit of the sensor.
    ///
    /// # Errors
    /// If the deviation is not a finite number above 0.
    pub fn new(deviation: f64) -> Result<Self, ParamError> {
        let deviation = positive("deviation", deviation)?;
        Ok(SwingingDoor { deviation, max_interval_ms: None, min_interval_ms: 0, uncertain_is_bad: false })
    }

    /// Emits the held reading when the newest is `ms` or more later than the last emitted one; by default it is not. This happens only at a
    /// reading; silence has no effect.
    ///
    /// # Errors
    /// If the time is less than 1 ms.
    pub fn max_interval_ms(mut self, ms: i64) -> Result<Self, ParamError> {
        self.max_interval_ms = Some(interval("max_interval_ms", ms)?);
        Ok(self)
    }

    /// Refuses every interval but 0, because a reading that is suppressed for coming too soon may be any distance from the line. See
    /// [`best_effort_min_interval_ms`](Self::best_effort_min_interval_ms).
    ///
    /// # Errors
    /// If the interval is not 0.
    pub fn min_interval_ms(self, ms: i64) -> Result<Self, ParamError> {
        if ms == 0 {
            return Ok(self);
        }
        let must_be = "0, since it would break the error bound (or set `best_effort = true`)";
        Err(ParamError::new("min_interval_ms", must_be, ms))
    }

    /// Sets a time after the last emitted reading within which no corner is emitted. Within it there is no error bound.
    ///
    /// # Errors
    /// If the time is negative.
    pub fn best_effort_min_interval_ms(mut self, ms: i64) -> Result<Self, ParamError> {
        self.min_interval_ms = crate::error::delay("min_interval_ms", ms)?;
        Ok(self)
    }

    /// Sets whether uncertain readings are treated like bad ones. Default false: like good ones.
    #[must_use]
    pub fn uncertain_is_bad(mut self, yes: bool) -> Self {
        self.uncertain_is_bad = yes;
        self
    }
}

used_alone!(SwingingDoor, SwingingDoorState { door });

impl Cost for SwingingDoor {
    fn error_bound(&self) -> ErrorBound {
        let max_error = self.deviation;
        match self.min_interval_ms {
            0 => ErrorBound::Linear(max_error),
            _ => ErrorBound::NoneStated,
        }
    }

    fn loss_bound(&self) -> LossBound {
        LossBound::Readings(1)
    }
}

/// Largest integer up to which `f64` has all of them.
const EXACT_MAX: u64 = 1 << 53;

impl Door {
    /// Returns whether every reading since the anchor allows the line from there to `point`. `anchor`: its time and value.
    fn allows(&self, anchor: (i64, Number), point: &Point) -> bool {
        let slope = point.value().minus(anchor.1) / elapsed(anchor.0, point.time);
        // Written so that a slope that is no number is not allowed.
        self.low.0 <= slope && slope <= self.high.0 && slope.is_finite()
    }

    /// Takes the newest reading in, and narrows the range of slopes by it.
    fn narrow(&mut self, anchor: (i64, Number), point: Point, deviation: f64) {
        let (dt, (low, high)) = (elapsed(anchor.0, point.time), rises(anchor.1, point.value(), deviation));
        let (low, high) = (low / dt, high / dt);
        let (low, high) = match self.held {
            None => (low, high),
            Some(_) => (self.low.0.max(low), self.high.0.min(high)),
        };
        (self.low, self.high) = (OverflowingNumber(low), OverflowingNumber(high));
        self.held = Some(point);
    }
}

/// Returns the rises from the anchor to the ends of the deviation about a value.
fn rises(anchor: Number, value: Number, deviation: f64) -> (f64, f64) {
    if [anchor, value].iter().all(|number| number.is_float_or_within(EXACT_MAX)) {
        let (anchor, value) = (anchor.as_f64(), value.as_f64());
        // In the order of the definition, `(v ± deviation - a) / (t - t_a)`: among decimals, rounding decides the ties.
        return (value - deviation - anchor, value + deviation - anchor);
    }
    let rise = value.minus(anchor);
    (rise - deviation, rise + deviation)
}

fn elapsed(from: i64, to: i64) -> f64 {
    // From one end of time to the other is more than an `i64`.
    to.abs_diff(from) as f64
}

impl Holding for SwingingDoor {
    type State = Door;

    fn usable(&self, quality: Quality) -> bool {
        quality.is_usable(self.uncertain_is_bad)
    }

    fn newest_held(door: &Door) -> Option<i64> {
        door.held.map(|held| held.time)
    }

    fn number(
        &self,
        last: &mut LastEmitted,
        door: &mut Door,
        point: Point,
        on: &mut impl FnMut(Settlement),
    ) -> Verdict {
        loop {
            let (Some(time), Some(value)) = (last.time(), last.number()) else {
                return Verdict::Emit(EmitReason::Change);
            };
            let anchor = (time, value);
            let overdue = self.max_interval_ms.is_some_and(|max| last.elapsed(point.time) >= max);
            let Some(held) = door.held else {
                if overdue {
                    return Verdict::Emit(EmitReason::MaxInterval);
                }
                door.narrow(anchor, point, self.deviation);
                return Verdict::Held;
            };
            let early = last.elapsed(held.time) < self.min_interval_ms;
            if early || (!overdue && door.allows(anchor, &point)) {
                door.narrow(anchor, point, self.deviation);
                on(Settlement::Drop(DropReason::Compressed, 1));
                return Verdict::Held;
            }
            let why = if overdue { EmitReason::MaxInterval } else { EmitReason::DoorClosed };
            self.close(last, door, Some(why), on);
        }
    }

    fn close(
        &self,
        last: &mut LastEmitted,
        door: &mut Door,
        why: Option<EmitReason>,
        on: &mut impl FnMut(Settlement),
    ) {
        if let Some(held) = std::mem::take(door).held {
            on(held.released(why.unwrap_or(EmitReason::DoorClosed)));
            last.emitted(&held.value().into(), held.quality, held.time, true);
        }
    }
}

#[cfg(test)]
mod tests;
