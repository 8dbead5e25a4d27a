//! The stages of one rule.

use super::judges::Judges;
use super::reducer::Reducer;
use super::transforms::Transforms;
use crate::{ErrorBound, LossBound, Normalise, Range, Stale, TimeGuard};

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

    /// What the rule's stages together may lose in a crash.
    #[must_use]
    pub fn loss_bound(&self) -> LossBound {
        let reducer = self.reducer.map_or(LossBound::Nothing, |stage| stage.loss_bound());
        match (self.time_guard.loss_bound(), reducer) {
            (LossBound::Readings(a), LossBound::Readings(b)) => LossBound::Readings(a.saturating_add(b)),
            (guard, LossBound::Nothing) => guard,
            (_, reducer) => reducer,
        }
    }
}
