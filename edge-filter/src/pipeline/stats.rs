//! Counters of a pipeline, which count every reading, by reason.

use crate::reduce::number::Settlement;
use crate::reduce::{ReleasedReading, Verdict};
use crate::{DropReason, EmitReason};

/// Counters of a pipeline since it was built. It always holds that `input + restored = emitted + dropped + held`. Synthetic emits are not
/// readings and are counted separately.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Readings given to `process`.
    pub input: u64,
    /// Readings that a snapshot restored, each held by a stage.
    pub restored: u64,
    /// Readings that a stage holds now.
    pub held: u64,
    /// Synthetic emits, which the filter made itself.
    pub synthetic: u64,
    /// Times that a sensor fell silent.
    pub stale: u64,
    /// Readings that passed unfiltered because their sensor has no number, for want of room.
    pub over_limit: u64,
    /// Names that got no number for want of room. The same name counts every time.
    pub names_refused: u64,
    /// Sensors forgotten to make room for others.
    pub evicted: u64,
    /// Readings whose quality number the scheme does not define, so that it counts as bad.
    pub unknown_quality: u64,
    /// Alarm events that were dropped because the application did not poll them in time. The states of the alarms are
    /// never lost.
    pub alarm_events_lost: u64,
    pub(super) emitted: [u64; EmitReason::ALL.len()],
    pub(super) dropped: [u64; DropReason::ALL.len()],
}

impl Stats {
    /// Returns the number of readings emitted.
    #[must_use]
    pub fn emitted(&self) -> u64 {
        self.emitted.iter().sum()
    }

    /// Returns the number of readings emitted for this reason.
    #[must_use]
    pub fn emitted_by(&self, reason: EmitReason) -> u64 {
        self.emitted.get(reason as usize).copied().unwrap_or(0)
    }

    /// Returns the number of readings dropped.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// Returns the number of readings dropped for this reason.
    #[must_use]
    pub fn dropped_by(&self, reason: DropReason) -> u64 {
        self.dropped.get(reason as usize).copied().unwrap_or(0)
    }

    /// Returns whether the counters of emitted, dropped and held readings add up to the input and the restored
    /// readings.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        self.input + self.restored == self.emitted() + self.dropped() + self.held
    }

    /// Counts the outcome of a reading.
    pub(super) fn count(&mut self, verdict: Verdict) {
        self.input += 1;
        match verdict {
            Verdict::Emit(reason) => self.add_emitted(reason),
            Verdict::Drop(reason) => self.add_dropped(reason, 1),
            Verdict::Held => self.held += 1,
        }
    }

    /// Counts the outcome of readings that were held until now.
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

    /// Counts the replacement of a sensor's state, which held `before` readings, by one of a snapshot, which holds `after`.
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
