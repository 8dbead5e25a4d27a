//! The stages of one rule.

use super::judges::Judges;
use super::reducer::Reducer;
use super::transforms::Transforms;
use crate::{
    AttenuatedSignal, Counter, ErrorBound, FlatLine, Hampel, JumpReject, LossBound, Normalise, Range,
    RangeAction, RateOfChange, Scale, Stale, TimeGuard,
};

/// Which stages a sensor's readings go through, in this fixed order: normalise, time guard, judging stages (range),
/// transforming stages, one reducer, stale.
///
/// The default normalises OPC UA qualities and guards the time; the other stages are off.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rule {
    pub(super) normalise: Normalise,
    pub(super) time_guard: TimeGuard,
    pub(super) judges: Judges,
    pub(super) transforms: Transforms,
    pub(super) reducer: Option<Reducer>,
    pub(super) stale: Option<Stale>,
}

impl Rule {
    /// The default rule.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How qualities and NaN are read.
    #[must_use]
    pub fn normalise(mut self, stage: Normalise) -> Self {
        self.normalise = stage;
        self
    }

    /// What is done about times out of order.
    #[must_use]
    pub fn time_guard(mut self, stage: TimeGuard) -> Self {
        self.time_guard = stage;
        self
    }

    /// Marks or drops what is out of range.
    #[must_use]
    pub fn range(mut self, stage: Range) -> Self {
        self.judges.range = Some(stage);
        self
    }

    /// Marks or drops what changes faster than it can.
    #[must_use]
    pub fn rate_of_change(mut self, test: RateOfChange, action: RangeAction) -> Self {
        self.judges.rate_of_change = Some((test, action));
        self
    }

    /// Marks or drops what does not move any more.
    #[must_use]
    pub fn flat_line(mut self, test: FlatLine, action: RangeAction) -> Self {
        self.judges.flat_line = Some((test, action));
        self
    }

    /// Marks or drops what moves less than the process.
    #[must_use]
    pub fn attenuated_signal(mut self, test: AttenuatedSignal, action: RangeAction) -> Self {
        self.judges.attenuated_signal = Some((test, action));
        self
    }

    /// Marks or drops outliers, each judged by the readings before it: a reading is decided about when it comes, so a
    /// centred window is used as a causal one.
    #[must_use]
    pub fn hampel(mut self, test: Hampel, action: RangeAction) -> Self {
        self.judges.hampel = Some((test.causal(), action));
        self
    }

    /// Marks or drops what is too far from the last accepted value.
    #[must_use]
    pub fn jump_reject(mut self, test: JumpReject, action: RangeAction) -> Self {
        self.judges.jump_reject = Some((test, action));
        self
    }

    /// Makes of a counter's readings the total since the first, over wraps and resets.
    #[must_use]
    pub fn counter(mut self, stage: Counter) -> Self {
        self.transforms.counter = Some(stage);
        self
    }

    /// Converts to the unit of the plant; alarms, tolerances and bounds are in that unit.
    #[must_use]
    pub fn scale(mut self, stage: Scale) -> Self {
        self.transforms.scale = Some(stage);
        self
    }

    /// Decides which readings go on: a [`Deadband`](crate::Deadband), a [`SwingingDoor`](crate::SwingingDoor), …
    #[must_use]
    pub fn reducer(mut self, stage: impl Into<Reducer>) -> Self {
        self.reducer = Some(stage.into());
        self
    }

    /// Reports silence.
    #[must_use]
    pub fn stale(mut self, stage: Stale) -> Self {
        self.stale = Some(stage);
        self
    }

    /// The error that the rule's stages together may cost.
    #[must_use]
    pub fn error_bound(&self) -> ErrorBound {
        self.reducer.map_or(ErrorBound::Exact, |stage| stage.error_bound())
    }

    /// What the rule's stages together may lose: what the reducer holds, in a crash, and what the time guard refuses
    /// before it believes that a clock was set back.
    #[must_use]
    pub fn loss_bound(&self) -> LossBound {
        let refused = self.judges.refused_max();
        let judged = match self.time_guard.loss_bound() {
            LossBound::Readings(guarded) => LossBound::Readings(guarded.saturating_add(refused)),
            _ if refused > 0 => LossBound::Readings(refused),
            guard => guard,
        };
        match (judged, self.reducer_loss_bound()) {
            (LossBound::Readings(a), LossBound::Readings(b)) => LossBound::Readings(a.saturating_add(b)),
            (judged, LossBound::Nothing) => judged,
            (_, reducer) => reducer,
        }
    }

    /// What a crash alone may cost: the readings that the reducer holds.
    #[must_use]
    pub fn reducer_loss_bound(&self) -> LossBound {
        self.reducer.map_or(LossBound::Nothing, |stage| stage.loss_bound())
    }
}
