//! Segment hold (PMC-MR): replaces readings by the fewest constants that stay within the deviation.

use super::holding::{Holding, used_alone};
use super::last_emitted::LastEmitted;
use super::number::{Number, Point, READINGS_MAX, ReleasedReading, Settlement, Verdict};
use crate::error::{ParamError, interval, positive};
use crate::snapshot_serde::as_array;
use crate::{Cost, DropReason, EmitReason, ErrorBound, LossBound, Quality};

/// Stage that replaces a run of readings, which lie within twice the deviation of each other, by the middle of their range: poor man's
/// compression, midrange (Lazaridis and Mehrotra, 2003).
///
/// At the same error it keeps half as many readings as a deadband or fewer, since the constant is chosen after the run
/// is known. The price: values that the sensor did not measure (`synthetic`), under the time of the run's first
/// reading, and a delay until the run ends. The first reading and every change of status or class passes at once, as it
/// is, after the open run; so do changes of booleans and texts. While the status is bad nothing is compared.
///
/// **Error bound**: an emitted value, held until the next, is never further than the deviation from a reading of its run. **Loss bound**: the
/// readings of the open run, which lasts as long as the value stays, or `max_interval_ms`. Integers beyond 2^52 have no middle among the `f64`, and pass on any
/// change, and after `max_interval_ms`. It takes a nanosecond per reading.
///
/// ```
/// # use edge_filter::Quality;
/// # use edge_filter::reduce::{SegmentHold, SegmentHoldState};
/// let (mut state, mut kept) = (SegmentHoldState::default(), Vec::new());
/// let hold = SegmentHold::new(0.5)?;
/// for (time, value) in [(0, 20.0), (1, 21.0), (2, 21.6), (3, 22.0), (4, 25.0)] {
///     let _ = hold.check(&mut state, value, Quality::GOOD, time, &mut |r| kept.push((r.time, r.value.as_f64())));
/// }
/// assert_eq!(kept, [(1, 21.5)]); // 0 was emitted at once, the run of 1, 2, 3 is over, 4 begins the next
/// # Ok::<(), edge_filter::ParamError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SegmentHold {
    deviation: f64,
    max_interval_ms: Option<i64>,
    uncertain_is_bad: bool,
}

/// State of a [`SegmentHold`] per sensor when it is used alone.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
pub struct SegmentHoldState {
    last: LastEmitted,
    segment: Segment,
}

/// Run of readings that still takes readings.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Segment {
    start: i64,
    newest: i64,
    min: f64,
    max: f64,
    pub(crate) readings: u64,
}

as_array!(Segment { start, newest, min, max, readings });

impl SegmentHold {
    /// Creates a stage with a deviation in the unit of the sensor.
    ///
    /// # Errors
    /// If the deviation is not a finite number above 0.
    pub fn new(deviation: f64) -> Result<Self, ParamError> {
        let deviation = positive("deviation", deviation)?;
        Ok(SegmentHold { deviation, max_interval_ms: None, uncertain_is_bad: false })
    }

    /// Ends a run when its newest reading is `ms` or more later than its first; by default no run ends for that.
    ///
    /// # Errors
    /// If the time is less than 1 ms.
    pub fn max_interval_ms(mut self, ms: i64) -> Result<Self, ParamError> {
        self.max_interval_ms = Some(interval("max_interval_ms", ms)?);
        Ok(self)
    }

    /// Sets whether uncertain readings are treated like bad ones. Default false: like good ones.
    #[must_use]
    pub fn uncertain_is_bad(mut self, yes: bool) -> Self {
        self.uncertain_is_bad = yes;
        self
    }
}

used_alone!(SegmentHold, SegmentHoldState { segment });

impl Cost for SegmentHold {
    fn error_bound(&self) -> ErrorBound {
        ErrorBound::Absolute(self.deviation)
    }

    fn loss_bound(&self) -> LossBound {
        LossBound::Open { span_ms: self.max_interval_ms, more: 0 }
    }
}

impl Segment {
    /// Moves all times by `by_ms`.
    pub(crate) fn shift(&mut self, by_ms: i64) {
        if self.readings > 0 {
            self.start = self.start.wrapping_add(by_ms);
            self.newest = self.newest.wrapping_add(by_ms);
        }
    }

    /// Returns whether readings can lead to this state; that of a damaged snapshot may be another.
    pub(crate) fn is_sound(&self) -> bool {
        self.min.is_finite() && self.min <= self.max && self.max.is_finite() && self.readings <= READINGS_MAX
    }
}

/// Largest integer for which `f64` has the middle between it and every smaller one.
const EXACT_MIDDLE_MAX: u64 = 1 << 52;

impl Holding for SegmentHold {
    type State = Segment;

    fn usable(&self, quality: Quality) -> bool {
        quality.is_usable(self.uncertain_is_bad)
    }

    fn newest_held(segment: &Segment) -> Option<i64> {
        (segment.readings > 0).then_some(segment.newest)
    }

    fn takes(&self, number: Number) -> bool {
        number.is_float_or_within(EXACT_MIDDLE_MAX)
    }

    fn is_overdue(&self, elapsed_ms: i64) -> bool {
        self.max_interval_ms.is_some_and(|max| elapsed_ms >= max)
    }

    fn number(
        &self,
        last: &mut LastEmitted,
        segment: &mut Segment,
        point: Point,
        on: &mut impl FnMut(Settlement),
    ) -> Verdict {
        let v = point.value().as_f64();
        if segment.readings > 0 {
            let overdue =
                self.max_interval_ms.is_some_and(|max| point.time.saturating_sub(segment.start) >= max);
            let (min, max) = (segment.min.min(v), segment.max.max(v));
            if overdue || max - min > 2.0 * self.deviation {
                let why = if overdue { EmitReason::MaxInterval } else { EmitReason::SegmentClosed };
                self.close(last, segment, Some(why), on);
            } else {
                let readings = segment.readings.saturating_add(1);
                *segment = Segment { start: segment.start, newest: point.time, min, max, readings };
                return Verdict::Held;
            }
        }
        *segment = Segment { start: point.time, newest: point.time, min: v, max: v, readings: 1 };
        Verdict::Held
    }

    fn close(
        &self,
        last: &mut LastEmitted,
        segment: &mut Segment,
        why: Option<EmitReason>,
        on: &mut impl FnMut(Settlement),
    ) {
        let closed = std::mem::take(segment);
        // A run has one status: that of the last emitted reading, since a change of it would have ended the run.
        let (1.., Some(quality)) = (closed.readings, last.status()) else { return };
        // Halves first: the sum of two large numbers may overflow.
        let value = Number::F64(closed.min / 2.0 + closed.max / 2.0);
        let (time, reason) = (closed.start, why.unwrap_or(EmitReason::SegmentClosed));
        on(Settlement::Drop(DropReason::Compressed, closed.readings));
        on(Settlement::Emit(ReleasedReading { time, value, quality, reason, synthetic: true }));
        last.emitted(&value.into(), quality, time, true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Value;

    fn run(stage: &SegmentHold, rows: &[(i64, f64, Quality)]) -> (Vec<(i64, f64)>, Vec<Verdict>) {
        let (mut state, mut kept, mut verdicts) = (SegmentHoldState::default(), Vec::new(), Vec::new());
        for &(time, value, quality) in rows {
            let mut sink = |r: ReleasedReading| kept.push((r.time, r.value.as_f64()));
            verdicts.push(stage.check(&mut state, value, quality, time, &mut sink));
        }
        stage.flush(&mut state, &mut |r| kept.push((r.time, r.value.as_f64())));
        (kept, verdicts)
    }

    #[test]
    fn a_change_of_status_closes_the_run_and_passes_as_it_is() -> Result<(), ParamError> {
        let good = Quality::GOOD;
        let rows =
            [(0, 1.0, good), (1, 2.0, good), (2, 2.5, good), (3, 9.0, Quality::BAD), (4, 8.0, Quality::BAD)];
        let (kept, verdicts) = run(&SegmentHold::new(0.5)?, &rows);
        assert_eq!(kept, [(1, 2.25)]);
        use Verdict::{Drop, Emit, Held};
        let bad = Drop(DropReason::BadQuality);
        assert_eq!(verdicts, [Emit(EmitReason::First), Held, Held, Emit(EmitReason::StatusChange), bad]);
        Ok(())
    }

    #[test]
    fn a_boolean_after_an_open_run_passes_also_if_it_is_the_one_before_it() -> Result<(), ParamError> {
        let hold = SegmentHold::new(0.5)?;
        let (mut state, mut kept) = (SegmentHoldState::default(), Vec::new());
        let rows: [(Value<'_>, i64); 4] =
            [(true.into(), 0), (20.0.into(), 1), (20.5.into(), 2), (true.into(), 3)];
        let verdicts = rows.map(|(value, time)| {
            hold.check(&mut state, value, Quality::GOOD, time, &mut |r| kept.push((r.time, r.value.as_f64())))
        });
        use Verdict::{Emit, Held};
        assert_eq!(verdicts, [Emit(EmitReason::First), Held, Held, Emit(EmitReason::Change)]);
        assert_eq!(kept, [(1, 20.25)]);
        Ok(())
    }

    #[test]
    fn a_run_ends_at_its_longest_time_and_at_a_flush() -> Result<(), ParamError> {
        let rows: Vec<_> = (0..8).map(|t| (t, 1.0, Quality::GOOD)).collect();
        let (kept, _) = run(&SegmentHold::new(0.5)?.max_interval_ms(3)?, &rows);
        assert_eq!(kept, [(1, 1.0), (4, 1.0), (7, 1.0)]);
        let (kept, _) = run(
            &SegmentHold::new(f64::MAX)?,
            &[(0, 0.0, Quality::GOOD), (1, f64::MAX, Quality::GOOD), (2, -f64::MAX, Quality::GOOD)],
        );
        assert_eq!(
            kept,
            [(1, f64::MAX / 2.0 - f64::MAX / 2.0)],
            "an infinite difference and its half do not overflow"
        );
        Ok(())
    }

    #[test]
    fn parameters_that_cannot_work_are_refused() {
        for deviation in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(SegmentHold::new(deviation).is_err(), "{deviation}");
        }
    }
}
