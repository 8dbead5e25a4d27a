//! Hysteresis switch (Schmitt trigger): switches on at one value and off at another.

use crate::error::{ParamError, delay};
use crate::{Cost, Quality};

/// A two-point controller. With `on_at` above `off_at` it is on while the value is high (a fan, a pump), otherwise while
/// it is low (a heater). Between the two it stays as it is; both are inclusive.
///
/// It is off before the first usable value. Least on and off times keep a compressor from short cycles; only bad input
/// overrules them.
///
/// ```
/// # use edge_filter::{*, hysteresis_switch::*};
/// let heater = HysteresisSwitch::new(18.0, 20.0)?;
/// let mut state = HysteresisSwitchState::default();
/// assert!(heater.check(&mut state, 17.5, Quality::GOOD, 0));
/// assert!(heater.check(&mut state, 19.9, Quality::GOOD, 1000));
/// assert!(!heater.check(&mut state, 20.0, Quality::GOOD, 2000));
/// # Ok::<(), ParamError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HysteresisSwitch {
    on_at: f64,
    off_at: f64,
    min_on_ms: i64,
    min_off_ms: i64,
    bad_input: SwitchBadInput,
}

/// Effect of a bad reading, a NaN or an infinity on a [`HysteresisSwitch`].
///
/// ```
/// # use edge_filter::{ParamError, Quality, hysteresis_switch::{HysteresisSwitch, HysteresisSwitchState, SwitchBadInput}};
/// let fan = HysteresisSwitch::new(30.0, 27.0)?.bad_input(SwitchBadInput::On);
/// assert!(fan.check(&mut HysteresisSwitchState::default(), f64::NAN, Quality::BAD, 0));
/// # Ok::<(), ParamError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "config", serde(rename_all = "lowercase"))]
#[allow(clippy::exhaustive_enums, reason = "off, on, or neither")]
pub enum SwitchBadInput {
    /// The output is off at once.
    #[default]
    Off,
    /// The output is on at once.
    On,
    /// The switch stays as it is.
    Hold,
}

/// State of a [`HysteresisSwitch`]. By default it is off, and has never been on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
pub struct HysteresisSwitchState {
    on: bool,
    since_now: Option<i64>,
}

impl HysteresisSwitchState {
    /// Returns whether the switch is on.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// Returns the state for a process that starts now. A least time that began later, because the clock was set back, begins now. So does each
    /// unless the process `goes_on`: the clock may have been set meanwhile, and how long ago the switch changed is not known.
    pub(crate) fn resumed(self, goes_on: bool, now_ms: i64) -> Self {
        let since = |since: i64| if goes_on { since.min(now_ms) } else { now_ms };
        HysteresisSwitchState { since_now: self.since_now.map(since), ..self }
    }

    /// Records that the application switched, whatever the value and the least times. The next least time counts from then on.
    pub(crate) fn switched(&mut self, on: bool, now_ms: i64) {
        if on != self.on {
            *self = HysteresisSwitchState { on, since_now: Some(now_ms) };
        }
    }
}

impl HysteresisSwitch {
    /// Creates a switch that switches on at `on_at` and off at `off_at`.
    ///
    /// # Errors
    /// If one is NaN or infinite, or they are the same.
    pub fn new(on_at: f64, off_at: f64) -> Result<Self, ParamError> {
        for (param, at) in [("on_at", on_at), ("off_at", off_at)] {
            if !at.is_finite() {
                return Err(ParamError::new(param, "a finite number", at));
            }
        }
        if on_at == off_at {
            return Err(ParamError::new("off_at", "another value than `on_at`", off_at));
        }
        Ok(HysteresisSwitch { on_at, off_at, min_on_ms: 0, min_off_ms: 0, bad_input: SwitchBadInput::Off })
    }

    /// Sets the least time for which the switch stays on, in milliseconds.
    ///
    /// # Errors
    /// If the time is negative.
    pub fn min_on_ms(mut self, ms: i64) -> Result<Self, ParamError> {
        self.min_on_ms = delay("min_on_ms", ms)?;
        Ok(self)
    }

    /// Sets the least time for which the switch stays off, in milliseconds. It does not count before the switch was on for the first time.
    ///
    /// # Errors
    /// If the time is negative.
    pub fn min_off_ms(mut self, ms: i64) -> Result<Self, ParamError> {
        self.min_off_ms = delay("min_off_ms", ms)?;
        Ok(self)
    }

    /// Sets the effect of input that cannot be used. Default: [`SwitchBadInput::Off`].
    #[must_use]
    pub fn bad_input(mut self, what: SwitchBadInput) -> Self {
        self.bad_input = what;
        self
    }

    /// Updates the switch with a reading. Returns whether it is on.
    pub fn check(
        &self,
        state: &mut HysteresisSwitchState,
        value: f64,
        quality: impl Into<Quality>,
        now_ms: i64,
    ) -> bool {
        let usable = value.is_finite() && !quality.into().is_bad();
        let wanted = match (usable, self.bad_input) {
            (true, _) => self.wanted(state.on, value),
            (false, SwitchBadInput::Off) => false,
            (false, SwitchBadInput::On) => true,
            (false, SwitchBadInput::Hold) => state.on,
        };
        if wanted != state.on && (!usable || self.may_change(state, now_ms)) {
            *state = HysteresisSwitchState { on: wanted, since_now: Some(now_ms) };
        }
        state.on
    }

    fn wanted(&self, on: bool, value: f64) -> bool {
        let high = self.on_at > self.off_at;
        let reached = |at: f64, upwards: bool| if upwards { value >= at } else { value <= at };
        if on { !reached(self.off_at, !high) } else { reached(self.on_at, high) }
    }

    /// Returns whether the least on or off time is over. A clock that was set back counts as over, so that it cannot lengthen a cycle for ever.
    fn may_change(&self, state: &HysteresisSwitchState, now_ms: i64) -> bool {
        let least = if state.on { self.min_on_ms } else { self.min_off_ms };
        let since = state.since_now;
        since.is_none_or(|since| now_ms < since || now_ms.saturating_sub(since) >= least)
    }
}

/// No reading is held. After a crash the switch is off until the next value.
impl Cost for HysteresisSwitch {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_in_the_millisecond_of_the_last_is_none_but_one_before_it_is() -> Result<(), ParamError> {
        let switch = HysteresisSwitch::new(80.0, 70.0)?.min_on_ms(100)?;
        for (now_ms, on) in [(1000, true), (1001, true), (999, false)] {
            let mut state = HysteresisSwitchState::default();
            assert!(switch.check(&mut state, 80.0, Quality::GOOD, 1000));
            assert_eq!(switch.check(&mut state, 70.0, Quality::GOOD, now_ms), on, "{now_ms}");
        }
        Ok(())
    }

    #[test]
    fn both_directions_with_inclusive_ends() -> Result<(), ParamError> {
        for (on_at, off_at, rows) in [
            (80.0, 70.0, [(75.0, false), (80.0, true), (75.0, true), (70.0, false), (79.9, false)]),
            (18.0, 20.0, [(19.0, false), (18.0, true), (19.0, true), (20.0, false), (18.1, false)]),
        ] {
            let switch = HysteresisSwitch::new(on_at, off_at)?;
            let mut state = HysteresisSwitchState::default();
            for (value, on) in rows {
                assert_eq!(switch.check(&mut state, value, Quality::GOOD, 0), on, "{on_at} {value}");
            }
        }
        assert!(HysteresisSwitch::new(1.0, 1.0).is_err() && HysteresisSwitch::new(f64::NAN, 1.0).is_err());
        Ok(())
    }

    #[test]
    fn short_cycles_are_prevented_but_bad_input_acts_at_once() -> Result<(), ParamError> {
        let pump = HysteresisSwitch::new(80.0, 70.0)?.min_on_ms(1_000)?.min_off_ms(5_000)?;
        let mut state = HysteresisSwitchState::default();
        assert!(pump.check(&mut state, 90.0, Quality::GOOD, 0), "it was never on: nothing to wait for");
        assert!(pump.check(&mut state, 60.0, Quality::GOOD, 999));
        assert!(!pump.check(&mut state, 60.0, Quality::GOOD, 1_000));
        assert!(!pump.check(&mut state, 90.0, Quality::GOOD, 5_999));
        assert!(pump.check(&mut state, 90.0, Quality::GOOD, 6_000));
        for (value, quality) in
            [(f64::NAN, Quality::GOOD), (90.0, Quality::BAD), (f64::INFINITY, Quality::GOOD)]
        {
            for (what, on) in
                [(SwitchBadInput::Off, false), (SwitchBadInput::On, true), (SwitchBadInput::Hold, true)]
            {
                assert_eq!(pump.bad_input(what).check(&mut state.clone(), value, quality, 6_001), on);
            }
        }
        Ok(())
    }
}
