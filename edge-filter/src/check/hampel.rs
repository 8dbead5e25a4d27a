//! Hampel filter: outliers by the median of the neighbourhood.

use crate::check::RangeAction;
use crate::error::{ParamError, width};
use crate::qartod::QartodFlag;
use crate::{Cost, ErrorBound, LossBound, Quality};
use std::collections::VecDeque;

/// Position of the judged value in its window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "config", serde(rename_all = "snake_case"))]
#[allow(clippy::exhaustive_enums, reason = "the two there are")]
pub enum Alignment {
    /// In the middle of its window, which has as many values after it as before it. The verdict comes `window / 2` readings late.
    #[default]
    Centered,
    /// At the end of its window. The verdict comes at once.
    Causal,
}

/// An outlier is further from the median of its window than `n_sigma` times 1.4826 times the median of these distances
/// (MAD), the estimate of the standard deviation that outliers do not move.
///
/// Where more than half of the window is one value the MAD is 0: then an outlier is whatever is further off than
/// `min_scale` (0 by default). Values whose window is not full are not judged, as in the Python package `hampel`. A
/// missing value is not judged and enters no window. 8 bytes per value of the window; a sort per reading.
///
/// ```
/// # use edge_filter::check::{Alignment, Hampel, HampelState};
/// let hampel = Hampel::new(3, 3.0, Alignment::Causal)?;
/// let mut state = HampelState::default();
/// let judged = [1.0, 2.0, 1.5, 100.0].map(|v| hampel.check(&mut state, v).map(|j| (j.outlier, j.median)));
/// assert_eq!(judged, [None, None, Some((false, 1.5)), Some((true, 2.0))]);
/// # Ok::<(), edge_filter::ParamError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hampel {
    window: usize,
    n_sigma: f64,
    alignment: Alignment,
    min_scale: f64,
}

/// State of a [`Hampel`] per sensor: the values of its window.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
pub struct HampelState {
    window: VecDeque<f64>,
}

impl HampelState {
    /// Empties the window, for a gap in the readings or after the clock was set. The readings not yet judged are not judged any more.
    pub fn restart(&mut self) {
        self.window.clear();
    }

    /// Returns whether readings can lead to this state; that of a damaged snapshot may be another.
    pub(crate) fn is_sound(&self) -> bool {
        self.window.len() <= Hampel::MAX_WINDOW + 1 && self.window.iter().all(|value| value.is_finite())
    }
}

/// The verdict on the value [`Hampel::delay`] readings ago.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct HampelVerdict {
    /// True if the reading is an outlier.
    pub outlier: bool,
    /// Median of the window, which may replace the value.
    pub median: f64,
}

/// Treatment of an outlier.
///
/// ```
/// # use edge_filter::{ParamError, Rule, check::{Alignment, Hampel, OutlierAction}};
/// let rule = Rule::new().hampel(Hampel::new(9, 3.0, Alignment::Centered)?, OutlierAction::Replace);
/// # let _ = rule;
/// # Ok::<(), ParamError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "config", serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum OutlierAction {
    /// An outlier passes with the quality `BadOutOfRange`.
    #[default]
    Mark,
    /// An outlier is dropped and counted.
    Drop,
    /// The median of the window replaces an outlier, with the quality `UncertainSubstituteValue`. The measured value is not kept.
    Replace,
}

impl From<RangeAction> for OutlierAction {
    fn from(action: RangeAction) -> Self {
        match action {
            RangeAction::Mark => OutlierAction::Mark,
            RangeAction::Drop => OutlierAction::Drop,
        }
    }
}

impl OutlierAction {
    /// Returns the quality after the verdict, and the value that replaces the measured one (`None`: it stays). The outer `None`: the reading
    /// must be dropped.
    #[must_use]
    pub fn apply(self, verdict: HampelVerdict, quality: Quality) -> Option<(Option<f64>, Quality)> {
        match self {
            _ if !verdict.outlier => Some((None, quality)),
            OutlierAction::Mark => Some((None, QartodFlag::Fail.mark(quality))),
            OutlierAction::Drop => None,
            OutlierAction::Replace => Some((Some(verdict.median), Quality::UNCERTAIN_SUBSTITUTE)),
        }
    }

    /// Returns the bound of the action: a median that replaces a value may be any distance from it.
    pub(crate) fn error_bound(self) -> ErrorBound {
        match self {
            OutlierAction::Mark | OutlierAction::Drop => ErrorBound::Exact,
            OutlierAction::Replace => ErrorBound::NoneStated,
        }
    }
}

impl Hampel {
    /// Longest window, in readings.
    pub const MAX_WINDOW: usize = 64;

    /// Returns the most bytes that the window of a sensor takes. Lists double when they grow.
    pub(crate) fn window_bytes(&self) -> usize {
        (self.window + 1).next_power_of_two().max(4) * size_of::<f64>()
    }

    /// Creates a filter with a window of `window` values; a centred window of an even length is one longer, so that it has a middle.
    ///
    /// # Errors
    /// If the window is not within 2 to [`Hampel::MAX_WINDOW`], or `n_sigma` is NaN, infinite or negative.
    pub fn new(window: usize, n_sigma: f64, alignment: Alignment) -> Result<Self, ParamError> {
        if !(2..=Self::MAX_WINDOW).contains(&window) {
            return Err(ParamError::new("window", "within 2 to 64", window));
        }
        let window = match alignment {
            Alignment::Centered => window / 2 * 2 + 1,
            Alignment::Causal => window,
        };
        Ok(Hampel { window, n_sigma: width("n_sigma", n_sigma)?, alignment, min_scale: 0.0 })
    }

    /// Sets the distance from the median beyond which a value is an outlier where the MAD is 0.
    ///
    /// # Errors
    /// If it is NaN, infinite or negative.
    pub fn min_scale(mut self, distance: f64) -> Result<Self, ParamError> {
        self.min_scale = width("min_scale", distance)?;
        Ok(self)
    }

    /// Returns the number of readings by which a verdict comes late.
    #[must_use]
    pub fn delay(&self) -> usize {
        match self.alignment {
            Alignment::Centered => self.window / 2,
            Alignment::Causal => 0,
        }
    }

    /// Adds `value` to the window, and tests the value [`delay`](Hampel::delay) readings ago. Returns `None` while the
    /// window fills, and for a missing value.
    pub fn check(&self, state: &mut HampelState, value: f64) -> Option<HampelVerdict> {
        if !value.is_finite() {
            return None;
        }
        state.window.push_back(value);
        while state.window.len() > self.window {
            state.window.pop_front();
        }
        if state.window.len() < self.window {
            return None;
        }
        let judged = *state.window.get(self.window - 1 - self.delay())?;
        let mut buffer = [0.0; Self::MAX_WINDOW + 1];
        let values = buffer.get_mut(..self.window)?;
        for (slot, &v) in values.iter_mut().zip(&state.window) {
            *slot = v;
        }
        let median = median(values)?;
        for v in values.iter_mut() {
            *v = (*v - median).abs();
        }
        let mad = self::median(values)?;
        let allowed = if mad == 0.0 { self.min_scale } else { self.n_sigma * 1.4826 * mad };
        Some(HampelVerdict { outlier: (judged - median).abs() > allowed, median })
    }
}

impl Cost for Hampel {
    fn loss_bound(&self) -> LossBound {
        match u32::try_from(self.delay()) {
            Ok(0) | Err(_) => LossBound::Nothing,
            Ok(delay) => LossBound::Readings(delay),
        }
    }
}

/// Returns the median of the values, which it sorts: the mean of the middle two if their number is even. `None` if there are none.
fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = *values.get(values.len() / 2 - 1)?;
    Some(lower / 2.0 + upper / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outliers(hampel: &Hampel, values: &[f64]) -> Vec<usize> {
        let mut state = HampelState::default();
        let judged = values.iter().map(|&v| hampel.check(&mut state, v)).enumerate();
        judged.filter(|(_, j)| j.is_some_and(|j| j.outlier)).map(|(i, _)| i - hampel.delay()).collect()
    }

    #[test]
    fn the_example_of_the_python_package() -> Result<(), ParamError> {
        let values = [1.0, 2.0, 3.0, 100.0, 4.0, 5.0, 6.0];
        let hampel = Hampel::new(3, 3.0, Alignment::Centered)?;
        assert_eq!(hampel.delay(), 1);
        assert_eq!(outliers(&hampel, &values), [3], "hampel 1.0.2: window_size=3, n_sigma=3.0");
        let mut state = HampelState::default();
        let median = values.iter().filter_map(|&v| hampel.check(&mut state, v)).find(|j| j.outlier);
        assert_eq!(median, Some(HampelVerdict { outlier: true, median: 4.0 }));
        Ok(())
    }

    #[test]
    fn a_window_that_is_mostly_one_value_flags_only_beyond_min_scale() -> Result<(), ParamError> {
        let values = [5.0, 5.0, 5.0, 5.1, 5.0, 5.0, 7.0, 5.0, 5.0];
        let hampel = Hampel::new(5, 3.0, Alignment::Centered)?;
        assert_eq!(outliers(&hampel, &values), [3, 6]);
        assert_eq!(outliers(&hampel.min_scale(0.5)?, &values), [6]);
        Ok(())
    }

    #[test]
    fn missing_values_enter_no_window() -> Result<(), ParamError> {
        let hampel = Hampel::new(4, 2.0, Alignment::Causal)?;
        let mut state = HampelState::default();
        for v in [1.0, f64::NAN, 2.0, f64::INFINITY, 3.0] {
            assert_eq!(hampel.check(&mut state, v), None);
        }
        assert_eq!(hampel.check(&mut state, 4.0), Some(HampelVerdict { outlier: false, median: 2.5 }));
        Ok(())
    }

    #[test]
    fn windows_that_cannot_work_are_refused() -> Result<(), ParamError> {
        assert!(Hampel::new(1, 3.0, Alignment::Causal).is_err());
        assert!(Hampel::new(65, 3.0, Alignment::Causal).is_err());
        assert!(Hampel::new(5, f64::NAN, Alignment::Causal).is_err());
        assert_eq!(Hampel::new(64, 3.0, Alignment::Centered)?.delay(), 32);
        Ok(())
    }
}
