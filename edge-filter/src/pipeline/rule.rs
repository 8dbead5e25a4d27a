//! The stages of one rule.

use crate::{Deadband, ErrorBound, LossBound, Normalise, Range, Stale, TimeGuard};

/// Which stages a sensor's readings go through, in this fixed order: normalise, time guard, range, deadband, stale.
///
/// The default normalises OPC UA qualities and guards the time; the other stages are off.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rule {
    pub(super) normalise: Normalise,
    pub(super) time_guard: TimeGuard,
    pub(super) range: Option<Range>,
    pub(super) deadband: Option<Deadband>,
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
        self.range = Some(stage);
        self
    }

    /// Suppresses small changes.
    #[must_use]
    pub fn deadband(mut self, stage: Deadband) -> Self {
        self.deadband = Some(stage);
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
        self.deadband.map_or(ErrorBound::Exact, |stage| stage.error_bound())
    }

    /// What the rule's stages together may lose.
    #[must_use]
    pub fn loss_bound(&self) -> LossBound {
        self.time_guard.loss_bound()
    }
}
