//! Counters of a pipeline, which count every reading, by reason.

use std::fmt;

use crate::reduce::number::Settlement;
use crate::reduce::{ReleasedReading, Verdict};
use crate::{DropReason, EmitReason};

/// Counters of a pipeline since it was built. It always holds that `input + restored = emitted + dropped + held`. Synthetic emits are not
/// readings and are counted separately. The `Debug` form names the reasons that have any.
#[derive(Clone, Default, PartialEq, Eq)]
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

/// Counters of an enum's values, by the value's word.
struct ByReason<'a, R>(&'a [R], &'a [u64], fn(R) -> &'static str);

impl<R: Copy> fmt::Debug for ByReason<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(reasons, counts, word) = self;
        let counted = reasons.iter().zip(*counts).filter(|(_, count)| **count > 0);
        f.debug_map().entries(counted.map(|(reason, count)| (word(*reason), count))).finish()
    }
}

impl fmt::Debug for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            input,
            restored,
            held,
            synthetic,
            stale,
            over_limit,
            names_refused,
            evicted,
            unknown_quality,
            alarm_events_lost,
            emitted,
            dropped,
        } = self;
        f.debug_struct("Stats")
            .field("input", input)
            .field("restored", restored)
            .field("held", held)
            .field("synthetic", synthetic)
            .field("stale", stale)
            .field("over_limit", over_limit)
            .field("names_refused", names_refused)
            .field("evicted", evicted)
            .field("unknown_quality", unknown_quality)
            .field("alarm_events_lost", alarm_events_lost)
            .field("emitted", &ByReason(EmitReason::ALL, emitted, EmitReason::as_str))
            .field("dropped", &ByReason(DropReason::ALL, dropped, DropReason::as_str))
            .finish()
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_shown_by_the_words_of_their_reasons() {
        let mut stats = Stats::default();
        stats.emitted[EmitReason::First as usize] = 1;
        let shown = format!("{stats:?}");
        assert!(shown.ends_with("emitted: {\"first\": 1}, dropped: {} }"), "{shown}");
    }
}
