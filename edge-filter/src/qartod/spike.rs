//! Spike: test for a value that neither of its neighbours confirms.

use super::{QartodFlag, Thresholds};
use crate::{Cost, LossBound, ParamError};

/// Method of comparing a value with its neighbours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "config", serde(rename_all = "snake_case"))]
#[allow(clippy::exhaustive_enums, reason = "the methods of the standard")]
pub enum SpikeMethod {
    /// Distance of the value from the mean of its two neighbours.
    #[default]
    Average,
    /// The smaller of the distances to both neighbours, if the value is above both or below both; otherwise 0.
    Differential,
}

/// Spike test of QARTOD. A value needs its successor to be judged, so one reading is held.
///
/// The first and the last value, and the neighbours of a missing one, are unknown. 24 bytes per sensor.
///
/// ```
/// # use edge_filter::qartod::{QartodFlag, Spike, SpikeMethod, SpikeState};
/// let spike = Spike::new(SpikeMethod::Average, Some(3.0), Some(6.0))?;
/// let mut state = SpikeState::default();
/// let flags: Vec<_> = [1.0, 2.0, 9.0, 2.0].iter().filter_map(|&v| spike.check(&mut state, v)).collect();
/// assert_eq!(flags, [QartodFlag::Unknown, QartodFlag::Good, QartodFlag::Fail]); // of 1, 2 and 9
/// # Ok::<(), edge_filter::ParamError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spike {
    method: SpikeMethod,
    thresholds: Thresholds,
}

/// State of a [`Spike`] per sensor: the held value and the one before it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
pub struct SpikeState {
    held: Option<f64>,
    before: Option<f64>,
}

impl Spike {
    /// Creates a test: values further from their neighbours than `suspect` are suspect, and than `fail` they fail; in the unit of the sensor.
    ///
    /// # Errors
    /// If neither threshold is given, or one is NaN, infinite or negative.
    pub fn new(method: SpikeMethod, suspect: Option<f64>, fail: Option<f64>) -> Result<Self, ParamError> {
        Ok(Spike { method, thresholds: Thresholds::new(("suspect", suspect), ("fail", fail))? })
    }

    /// Holds `value` and tests the value held before it; `None` if none was held.
    pub fn check(&self, state: &mut SpikeState, value: f64) -> Option<QartodFlag> {
        let flag = state.held.map(|held| match state.before {
            Some(before) => self.judge(before, held, value),
            None => at_the_edge(held),
        });
        state.before = state.held.replace(value);
        flag
    }

    /// Tests the held value without a successor and starts again: at the end, before a gap, when a sensor is stale.
    /// `None` if none is held.
    pub fn finish(&self, state: &mut SpikeState) -> Option<QartodFlag> {
        state.before = None;
        state.held.take().map(at_the_edge)
    }

    fn judge(&self, before: f64, value: f64, after: f64) -> QartodFlag {
        if !value.is_finite() {
            return QartodFlag::Missing;
        }
        let distance = match self.method {
            SpikeMethod::Average => (value - (before + after) / 2.0).abs(),
            SpikeMethod::Differential => {
                let (rise, fall) = (value - before, after - value);
                if rise * fall < 0.0 { rise.abs().min(fall.abs()) } else { 0.0 }
            }
        };
        if before.is_finite() && after.is_finite() && distance.is_finite() {
            self.thresholds.exceeded_by(distance)
        } else {
            QartodFlag::Unknown
        }
    }
}

impl Cost for Spike {
    fn loss_bound(&self) -> LossBound {
        LossBound::Readings(1)
    }
}

fn at_the_edge(value: f64) -> QartodFlag {
    if value.is_finite() { QartodFlag::Unknown } else { QartodFlag::Missing }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(method: SpikeMethod, values: &[f64]) -> Result<Vec<u8>, ParamError> {
        let spike = Spike::new(method, Some(3.0), Some(6.0))?;
        let mut state = SpikeState::default();
        let mut flags: Vec<u8> =
            values.iter().filter_map(|&v| spike.check(&mut state, v)).map(QartodFlag::number).collect();
        flags.extend(spike.finish(&mut state).map(QartodFlag::number));
        assert_eq!(state, SpikeState::default());
        Ok(flags)
    }

    #[test]
    fn flags_are_those_of_ioos_qc_with_missing_values_among_them() -> Result<(), ParamError> {
        let (nan, inf) = (f64::NAN, f64::INFINITY);
        let values = [
            1.0, 2.0, 9.0, 2.0, nan, 50.0, 51.0, inf, -60.0, 5.0, -inf, 7.0, 7.0, -8.0, 7.0, nan, -9.0, 9.0,
            -9.0,
        ];
        // ioos_qc 3.0.0: spike_test(values, 3, 6, method)
        let average = [2, 1, 4, 2, 9, 2, 2, 9, 2, 2, 9, 2, 4, 4, 2, 9, 2, 4, 2];
        let differential = [2, 1, 4, 2, 9, 2, 2, 9, 2, 2, 9, 2, 1, 4, 2, 9, 2, 4, 2];
        assert_eq!(flags(SpikeMethod::Average, &values)?, average);
        assert_eq!(flags(SpikeMethod::Differential, &values)?, differential);
        Ok(())
    }

    #[test]
    fn a_distance_of_exactly_the_threshold_is_good() -> Result<(), ParamError> {
        assert_eq!(flags(SpikeMethod::Average, &[0.0, 3.0, 0.0])?, [2, 1, 2]);
        assert_eq!(flags(SpikeMethod::Average, &[0.0, 6.0, 0.0])?, [2, 3, 2]);
        assert_eq!(flags(SpikeMethod::Average, &[f64::MAX, 6.0, f64::MAX])?, [2, 2, 2], "no mean");
        Ok(())
    }

    #[test]
    fn thresholds_that_cannot_work_are_refused() {
        for (suspect, fail) in [(None, None), (Some(f64::NAN), None), (None, Some(-1.0))] {
            assert!(Spike::new(SpikeMethod::Average, suspect, fail).is_err(), "{suspect:?} {fail:?}");
        }
    }
}
