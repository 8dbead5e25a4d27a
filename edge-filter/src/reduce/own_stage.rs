//! Own stages: reducing stages that a user of the crate writes, and that the pipeline runs like its own.

use super::holding::Holding;
use super::last_emitted::LastEmitted;
use super::number::{Number, Point, ReleasedReading, Settlement, Verdict};
use crate::{Cost, EmitReason, Quality, Value};
use std::fmt;

/// Reducing stage that a user of the crate writes: its parameters, and the state of one sensor.
///
/// [`Rule::reducer`](crate::Rule::reducer) takes it; every sensor gets a [copy](Stage::copied). Before the stage is asked, the pipeline does
/// what all holding stages share: the first reading, changes of status and of class, booleans and texts pass at once, after a
/// [`flush`](Stage::flush); bad and non-finite readings never come to the stage. Every held reading must be settled through `out` once, or the
/// pipeline's counters are wrong.
///
/// ```
/// use edge_filter::reduce::{Number, Settlement, Stage, Verdict};
/// use edge_filter::{Cost, DropReason, EmitReason, ErrorBound, Outcome, Pipeline, Quality, Reading, Rule, Value};
///
/// /// Passes a new maximum only.
/// #[derive(Clone, Debug)]
/// struct PeakHold(f64);
///
/// impl Cost for PeakHold {
///     fn error_bound(&self) -> ErrorBound {
///         ErrorBound::NoneStated
///     }
/// }
///
/// impl Stage for PeakHold {
///     fn process(&mut self, _: i64, value: Number, _: Quality, _: &mut dyn FnMut(Settlement)) -> Verdict {
///         match value.as_f64() > self.0 {
///             true => {
///                 self.0 = value.as_f64();
///                 Verdict::Emit(EmitReason::Change)
///             }
///             false => Verdict::Drop(DropReason::Compressed),
///         }
///     }
///
///     fn passed(&mut self, _: i64, value: &Value<'_>, _: Quality) {
///         self.0 = value.as_f64().filter(|v| v.is_finite()).unwrap_or(f64::NEG_INFINITY);
///     }
///
///     fn copied(&self) -> Box<dyn Stage> {
///         Box::new(self.clone())
///     }
/// }
///
/// let mut pipeline = Pipeline::builder().rule("#", Rule::new().reducer(PeakHold(f64::NEG_INFINITY)))?.build();
/// let sensor = pipeline.intern("press/force");
/// let mut passes = |time, value| {
///     let reading = Reading { sensor, time, value: Value::F64(value), quality: Quality::GOOD };
///     matches!(pipeline.process(reading, time, &mut |_| ()), Outcome::Emit(_))
/// };
/// assert_eq!([passes(0, 5.0), passes(1, 4.0), passes(2, 6.0)], [true, false, true]);
/// # Ok::<(), edge_filter::PatternError>(())
/// ```
pub trait Stage: Cost + fmt::Debug + Send + Sync {
    /// Filters a finite number that is later than everything the sensor emitted. `out` gets the readings that are
    /// emitted before it, and the held readings that are dropped.
    fn process(
        &mut self,
        time: i64,
        value: Number,
        quality: Quality,
        out: &mut dyn FnMut(Settlement),
    ) -> Verdict;

    /// Handles a reading that passed without being offered, at which the stage begins again. Nothing is held then.
    fn passed(&mut self, time: i64, value: &Value<'_>, quality: Quality);

    /// Settles all held readings, for a silence, a gap, a clock that was set, or a stop.
    fn flush(&mut self, _out: &mut dyn FnMut(Settlement)) {}

    /// Returns the number of held readings.
    fn held(&self) -> u64 {
        0
    }

    /// Returns the wall clock time at which [`tick`](Self::tick) has something to do; `None` if there is none. A time that is not after the
    /// last `tick` is ignored.
    fn next_deadline(&self) -> Option<i64> {
        None
    }

    /// Emits or drops the readings that are due at `now_ms`.
    fn tick(&mut self, _now_ms: i64, _out: &mut dyn FnMut(Settlement)) {}

    /// Returns the state of the sensor for a clean restart; empty for a stage that then begins cold.
    fn snapshot(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Restores a state that [`snapshot`](Self::snapshot) wrote, perhaps under other parameters. Returns `false` if the sensor must begin cold.
    fn restore(&mut self, _snapshot: &[u8]) -> bool {
        false
    }

    /// Returns a copy with the same parameters and state: `Box::new(self.clone())`.
    fn copied(&self) -> Box<dyn Stage>;
}

/// User's [`Stage`] in a [`Reducer`](super::Reducer), or its saved state until a rule takes it over.
#[derive(Debug)]
pub struct OwnStage {
    stage: Result<Box<dyn Stage>, Vec<u8>>,
    /// Time of the last `tick`. A deadline that is not after it would always be due.
    ticked_ms: i64,
}

impl OwnStage {
    pub(super) fn new(stage: Box<dyn Stage>) -> Self {
        OwnStage { stage: Ok(stage), ticked_ms: i64::MIN }
    }

    pub(super) fn cost(&self) -> &dyn Cost {
        match &self.stage {
            Ok(stage) => stage.as_ref(),
            Err(_) => &SavedState,
        }
    }

    fn saved(&self) -> Vec<u8> {
        match &self.stage {
            Ok(stage) => stage.snapshot(),
            Err(saved) => saved.clone(),
        }
    }

    /// Returns this stage, which is cold, with the state of `old` if it accepts that.
    pub(super) fn take_over(self, old: &Self) -> Self {
        let mut warm = self.clone();
        let is_taken = warm.stage.as_mut().is_ok_and(|stage| stage.restore(&old.saved()));
        if is_taken { warm } else { self }
    }

    pub(super) fn held(&self) -> u64 {
        self.stage.as_ref().map_or(0, |stage| stage.held())
    }

    pub(super) fn deadline(&self) -> Option<i64> {
        let deadline = self.stage.as_ref().ok()?.next_deadline();
        deadline.filter(|deadline| *deadline > self.ticked_ms)
    }

    pub(super) fn tick(&mut self, last: &mut LastEmitted, now_ms: i64, on: &mut impl FnMut(Settlement)) {
        self.ticked_ms = self.ticked_ms.max(now_ms);
        if let Ok(stage) = &mut self.stage {
            stage.tick(now_ms, &mut |settlement| emitted(last, settlement, None, on));
        }
    }
}

impl Clone for OwnStage {
    fn clone(&self) -> Self {
        let stage = self.stage.as_ref().map(|stage| stage.copied()).map_err(Vec::clone);
        OwnStage { stage, ticked_ms: self.ticked_ms }
    }
}

/// Compares stages by their `Debug` text and their saved state.
impl PartialEq for OwnStage {
    fn eq(&self, other: &Self) -> bool {
        self.saved() == other.saved() && format!("{:?}", self.stage) == format!("{:?}", other.stage)
    }
}

#[cfg(feature = "config")]
impl serde::Serialize for OwnStage {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.saved().serialize(serializer)
    }
}

#[cfg(feature = "config")]
impl<'de> serde::Deserialize<'de> for OwnStage {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(OwnStage { stage: Err(serde::Deserialize::deserialize(deserializer)?), ticked_ms: i64::MIN })
    }
}

/// Placeholder for a saved state whose own stage is gone.
struct SavedState;

impl Cost for SavedState {}

/// Passes on the readings that a stage emits or drops, and records the last emitted one.
fn emitted(
    last: &mut LastEmitted,
    mut settlement: Settlement,
    why: Option<EmitReason>,
    on: &mut impl FnMut(Settlement),
) {
    if let Settlement::Emit(ReleasedReading { time, value, quality, reason, .. }) = &mut settlement {
        *reason = why.unwrap_or(*reason);
        last.emitted(&(*value).into(), *quality, *time, !quality.is_bad());
    }
    on(settlement);
}

/// Skeleton of the holding stages around a user's stage.
pub(super) struct Skeleton;

impl Holding for Skeleton {
    type State = OwnStage;

    fn usable(&self, quality: Quality) -> bool {
        !quality.is_bad()
    }

    fn newest_held(_: &OwnStage) -> Option<i64> {
        None
    }

    fn has_held(own: &OwnStage) -> bool {
        own.held() > 0
    }

    fn passed(own: &mut OwnStage, value: &Value<'_>, quality: Quality, time: i64) {
        if let Ok(stage) = &mut own.stage {
            stage.passed(time, value, quality);
        }
    }

    fn number(
        &self,
        last: &mut LastEmitted,
        own: &mut OwnStage,
        point: Point,
        on: &mut impl FnMut(Settlement),
    ) -> Verdict {
        let Ok(stage) = &mut own.stage else { return Verdict::Emit(EmitReason::Passthrough) };
        let mut out = |settlement| emitted(last, settlement, None, on);
        stage.process(point.time, point.value(), point.quality, &mut out)
    }

    fn close(
        &self,
        last: &mut LastEmitted,
        own: &mut OwnStage,
        why: Option<EmitReason>,
        on: &mut impl FnMut(Settlement),
    ) {
        if let Ok(stage) = &mut own.stage {
            stage.flush(&mut |settlement| emitted(last, settlement, why, on));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows the first number alone, and saves the second alone.
    #[derive(Clone)]
    struct Shown(u8, u8);

    impl fmt::Debug for Shown {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.fmt(f)
        }
    }

    impl Cost for Shown {}

    impl Stage for Shown {
        fn process(&mut self, _: i64, _: Number, _: Quality, _: &mut dyn FnMut(Settlement)) -> Verdict {
            Verdict::Emit(EmitReason::Change)
        }

        fn passed(&mut self, _: i64, _: &Value<'_>, _: Quality) {}

        fn snapshot(&self) -> Vec<u8> {
            vec![self.1]
        }

        fn copied(&self) -> Box<dyn Stage> {
            Box::new(self.clone())
        }
    }

    #[test]
    fn stages_are_the_same_if_they_show_and_save_the_same() {
        let own = |shown, saved| OwnStage::new(Box::new(Shown(shown, saved)));
        assert_eq!(own(1, 2), own(1, 2));
        assert!(own(1, 2) != own(1, 3) && own(1, 2) != own(2, 2));
    }
}
