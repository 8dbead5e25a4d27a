//! Rule of a pipeline: the stages that its sensors' readings pass.

use super::lookahead::Lookahead;
use super::quality_checks::QualityChecks;
use super::transforms::Transforms;
use crate::check::{Hampel, JumpReject, Normalise, OutlierAction, Range, RangeAction};
use crate::qartod::{AttenuatedSignal, FlatLine, RateOfChange, Spike};
use crate::reduce::Reducer;
use crate::time::{Stale, TimeGuard};
use crate::transform::{Counter, Scale};
use crate::{Cost, ErrorBound, LossBound};

/// Stages of a sensor's readings, in this fixed order: normalise, time guard, judging stages (range first, those that
/// look ahead last), transforming stages, one reducer, stale.
///
/// The spike test and the centred Hampel test judge a reading by later ones. With them readings wait in a queue ([`delay`](Rule::delay) of
/// them) and come late by as many, also for alarms. A reading that cannot be judged (bad, or no number), and everything that starts the sensor
/// again or ends its readings (a gap, a clock set back, silence, a stop), does not wait: the readings in the queue go on before it without
/// further judgement.
///
/// The default rule normalises OPC UA qualities and guards the time; it has no other stage.
///
/// ```
/// use edge_filter::check::Range;
/// use edge_filter::reduce::SwingingDoor;
/// use edge_filter::time::Stale;
/// use edge_filter::{ErrorBound, LossBound, Rule};
///
/// let rule = Rule::new()
///     .range(Range::new(-40.0, 150.0)?)
///     .reducer(SwingingDoor::new(0.5)?)
///     .stale(Stale::after_ms(30_000)?);
/// assert_eq!(rule.error_bound(), ErrorBound::Linear(0.5));
/// assert_eq!(rule.reducer_loss_bound(), LossBound::Readings(1));
/// # Ok::<(), edge_filter::ParamError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rule {
    pub(super) normalise: Normalise,
    pub(super) time_guard: TimeGuard,
    pub(super) quality_checks: QualityChecks,
    pub(super) lookahead: Lookahead,
    pub(super) transforms: Transforms,
    pub(super) reducer: Option<Reducer>,
    pub(super) stale: Option<Stale>,
}

impl Rule {
    /// Creates the default rule.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the stage that interprets qualities and NaN.
    #[must_use]
    pub fn normalise(mut self, stage: Normalise) -> Self {
        self.normalise = stage;
        self
    }

    /// Sets the stage that treats times out of order.
    #[must_use]
    pub fn time_guard(mut self, stage: TimeGuard) -> Self {
        self.time_guard = stage;
        self
    }

    /// Sets the range check, which marks or drops readings out of range.
    #[must_use]
    pub fn range(mut self, stage: Range) -> Self {
        self.quality_checks.range = Some(stage);
        self
    }

    /// Sets the test that marks or drops readings whose value changes faster than the process can.
    #[must_use]
    pub fn rate_of_change(mut self, test: RateOfChange, action: RangeAction) -> Self {
        self.quality_checks.rate_of_change = Some((test, action));
        self
    }

    /// Sets the test that marks or drops readings of a sensor that does not move any more.
    #[must_use]
    pub fn flat_line(mut self, test: FlatLine, action: RangeAction) -> Self {
        self.quality_checks.flat_line = Some((test, action));
        self
    }

    /// Sets the test that marks or drops readings of a sensor that moves less than the process.
    #[must_use]
    pub fn attenuated_signal(mut self, test: AttenuatedSignal, action: RangeAction) -> Self {
        self.quality_checks.attenuated_signal = Some((test, action));
        self
    }

    /// Sets the test that marks, drops or replaces outliers. With a causal window each reading is judged by those before it, when it comes;
    /// with a centred one by its whole neighbourhood, half a window of readings late.
    #[must_use]
    pub fn hampel(mut self, test: Hampel, action: impl Into<OutlierAction>) -> Self {
        (self.quality_checks.hampel, self.lookahead.hampel) = (None, None);
        let place =
            if test.delay() > 0 { &mut self.lookahead.hampel } else { &mut self.quality_checks.hampel };
        *place = Some((test, action.into()));
        self
    }

    /// Sets the test that marks or drops readings that neither neighbour confirms, one reading late.
    #[must_use]
    pub fn spike(mut self, test: Spike, action: RangeAction) -> Self {
        self.lookahead.spike = Some((test, action));
        self
    }

    /// Sets the check that marks or drops readings too far from the last accepted value.
    #[must_use]
    pub fn jump_reject(mut self, test: JumpReject, action: RangeAction) -> Self {
        self.quality_checks.jump_reject = Some((test, action));
        self
    }

    /// Sets the stage that turns a counter's readings into the total since the first, over wraps and resets.
    #[must_use]
    pub fn counter(mut self, stage: Counter) -> Self {
        self.transforms.counter = Some(stage);
        self
    }

    /// Sets the conversion to the unit of the plant; alarms, tolerances and bounds are in that unit.
    #[must_use]
    pub fn scale(mut self, stage: Scale) -> Self {
        self.transforms.scale = Some(stage);
        self
    }

    /// Sets the stage that decides which readings go on: one of [`reduce`](crate::reduce), or a [`Stage`](crate::reduce::Stage) of your own.
    #[must_use]
    pub fn reducer(mut self, stage: impl Into<Reducer>) -> Self {
        self.reducer = Some(stage.into());
        self
    }

    /// Sets the stage that reports silence of the sensor.
    #[must_use]
    pub fn stale(mut self, stage: Stale) -> Self {
        self.stale = Some(stage);
        self
    }

    /// Returns the bound of the error that the rule's stages cause together.
    #[must_use]
    pub fn error_bound(&self) -> ErrorBound {
        let hampel = self.quality_checks.hampel.or(self.lookahead.hampel);
        match hampel.map(|(_, action)| action.error_bound()) {
            None | Some(ErrorBound::Exact) => {
                self.reducer.as_ref().map_or(ErrorBound::Exact, Cost::error_bound)
            }
            Some(bound) => bound,
        }
    }

    /// Returns whether a sensor needs a state besides that of its reducer.
    pub(super) fn keeps_state(&self) -> bool {
        self.quality_checks.keeps_state() || self.delay() > 0 || self.transforms.keeps_state()
    }

    /// Returns the number of a sensor's readings that wait for later ones to judge them.
    #[must_use]
    pub fn delay(&self) -> usize {
        self.lookahead.delay()
    }

    /// Returns the time guard of this rule.
    #[must_use]
    pub fn guard(&self) -> &TimeGuard {
        &self.time_guard
    }

    /// Returns the bound of the readings that the rule's stages lose together: those that wait to be judged or that the reducer holds, in a
    /// crash, and those that the time guard or the quality checks refuse before they accept a change.
    #[must_use]
    pub fn loss_bound(&self) -> LossBound {
        together(self.refusal_loss_bound(), self.reducer_loss_bound())
    }

    /// Returns the most bytes that this rule's stages keep of one sensor beside fixed states: windows and queues of its readings. Stages of
    /// other crates are not in it.
    #[must_use]
    pub fn window_bytes(&self) -> usize {
        let open =
            if let Some(Reducer::Window(window, _)) = &self.reducer { window.window_bytes() } else { 0 };
        open + self.quality_checks.window_bytes() + self.lookahead.window_bytes()
    }

    /// Returns the bound of the readings that are refused without a crash: by the time guard before it accepts that a clock was set back, and
    /// by the quality checks before they accept a new level.
    #[must_use]
    pub fn refusal_loss_bound(&self) -> LossBound {
        together(self.time_guard.loss_bound(), LossBound::Readings(self.quality_checks.refused_max()))
    }

    /// Returns the bound of the readings that a crash loses: those that wait to be judged, and those that the reducer holds.
    #[must_use]
    pub fn reducer_loss_bound(&self) -> LossBound {
        let waiting = LossBound::Readings(u32::try_from(self.delay()).unwrap_or(u32::MAX));
        together(waiting, self.reducer.as_ref().map_or(LossBound::Nothing, Cost::loss_bound))
    }
}

/// Returns the sum of two losses: numbers of readings add up, and so do the times of what is open, one of which may have no end.
fn together(a: LossBound, b: LossBound) -> LossBound {
    let readings = |bound| match bound {
        LossBound::Nothing => 0,
        LossBound::Readings(n) | LossBound::Open { more: n, .. } => n,
    };
    let more = readings(a).saturating_add(readings(b));
    match (a, b) {
        (LossBound::Open { span_ms: a, .. }, LossBound::Open { span_ms: b, .. }) => {
            let span_ms = a.zip(b).map(|(a, b)| a.saturating_add(b));
            LossBound::Open { span_ms, more }
        }
        (LossBound::Open { span_ms, .. }, _) | (_, LossBound::Open { span_ms, .. }) => {
            LossBound::Open { span_ms, more }
        }
        _ if more == 0 => LossBound::Nothing,
        _ => LossBound::Readings(more),
    }
}
