//! Counters: every reading is accounted for, by reason.

use crate::{DropReason, EmitReason, Outcome};

/// What a pipeline did since it was built. Always: `input = emitted + dropped + held`; synthetic emits are not
/// readings and are counted apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Readings given to `process`.
    pub input: u64,
    /// Readings that a stage holds now.
    pub held: u64,
    /// Emits made by the filter.
    pub synthetic: u64,
    /// Times that a sensor fell silent.
    pub stale: u64,
    /// Readings that passed without any rule being asked, since their sensor has no number: the limit was reached.
    pub over_limit: u64,
    /// Names that got no number for want of room; a name counts each time.
    pub names_refused: u64,
    /// Readings whose quality number the scheme does not know; treated as bad.
    pub unknown_quality: u64,
    /// Alarm events that nobody polled in time; the states themselves are never lost.
    pub alarm_events_lost: u64,
    pub(super) emitted: [u64; EmitReason::ALL.len()],
    pub(super) dropped: [u64; DropReason::ALL.len()],
}

impl Stats {
    /// Readings emitted.
    #[must_use]
    pub fn emitted(&self) -> u64 {
        self.emitted.iter().sum()
    }

    /// Readings emitted for this reason.
    #[must_use]
    pub fn emitted_by(&self, reason: EmitReason) -> u64 {
        self.emitted.get(reason as usize).copied().unwrap_or(0)
    }

    /// Readings dropped.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// Readings dropped for this reason.
    #[must_use]
    pub fn dropped_by(&self, reason: DropReason) -> u64 {
        self.dropped.get(reason as usize).copied().unwrap_or(0)
    }

    /// Whether every reading is accounted for.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        self.input == self.emitted() + self.dropped() + self.held
    }

    pub(super) fn count(&mut self, outcome: &Outcome<'_>) {
        self.input += 1;
        let counter = match outcome {
            Outcome::Emit(emit) => self.emitted.get_mut(emit.reason as usize),
            Outcome::Drop(reason) => self.dropped.get_mut(*reason as usize),
            Outcome::Held => Some(&mut self.held),
        };
        if let Some(counter) = counter {
            *counter += 1;
        }
    }
}
