//! Counters: every reading is accounted for, by reason.

use crate::reduce::number::Settlement;
use crate::reduce::{ReleasedReading, Verdict};
use crate::{DropReason, EmitReason};

/// Counters of a pipeline since it was built. Always: `input + restored = emitted + dropped + held`; synthetic emits are
/// not readings and are counted apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Readings given to `process`.
    pub input: u64,
    /// Readings that a snapshot brought back, held by a stage.
    pub restored: u64,
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
    /// Sensors forgotten to make room for others.
    pub evicted: u64,
    /// Readings whose quality number the scheme does not know; treated as bad.
    pub unknown_quality: u64,
    /// Alarm events that nobody polled in time; the states themselves are never lost.
    pub alarm_events_lost: u64,
    pub(super) emitted: [u64; EmitReason::ALL.len()],
    pub(super) dropped: [u64; DropReason::ALL.len()],
}

impl Stats {
    /// Number of readings emitted.
    #[must_use]
    pub fn emitted(&self) -> u64 {
        self.emitted.iter().sum()
    }

    /// Readings emitted for this reason.
    #[must_use]
    pub fn emitted_by(&self, reason: EmitReason) -> u64 {
        self.emitted.get(reason as usize).copied().unwrap_or(0)
    }

    /// Number of readings dropped.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// Readings dropped for this reason.
    #[must_use]
    pub fn dropped_by(&self, reason: DropReason) -> u64 {
        self.dropped.get(reason as usize).copied().unwrap_or(0)
    }

    /// Returns whether every reading is accounted for.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        self.input + self.restored == self.emitted() + self.dropped() + self.held
    }

    /// Counts the fate of a reading.
    pub(super) fn count(&mut self, verdict: Verdict) {
        self.input += 1;
        match verdict {
            Verdict::Emit(reason) => self.add_emitted(reason),
            Verdict::Drop(reason) => self.add_dropped(reason, 1),
            Verdict::Held => self.held += 1,
        }
    }

    /// Readings that were held are held no longer.
    pub(super) fn settle(&mut self, event: &Settlement) {
        match *event {
            Settlement::Emit(ReleasedReading { synthetic: true, .. }) => self.synthetic += 1,
            Settlement::Emit(ReleasedReading { reason, .. }) => {
                self.held = self.held.saturating_sub(1);
                self.add_emitted(reason);
            }
            Settlement::Drop(reason, readings) => {
                self.held = self.held.saturating_sub(readings);
                self.add_dropped(reason, readings);
            }
        }
    }

    /// A snapshot replaced the state of a sensor, which held `before`, by one that holds `after`.
    pub(super) fn replaced(&mut self, before: u64, after: u64) {
        self.settle(&Settlement::Drop(DropReason::Compressed, before));
        self.held += after;
        self.restored += after;
    }

    fn add_emitted(&mut self, reason: EmitReason) {
        if let Some(counter) = self.emitted.get_mut(reason as usize) {
            *counter += 1;
        }
    }

    fn add_dropped(&mut self, reason: DropReason, readings: u64) {
        if let Some(counter) = self.dropped.get_mut(reason as usize) {
            *counter += readings;
        }
    }
}
