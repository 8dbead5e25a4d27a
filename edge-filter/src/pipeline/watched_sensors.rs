//! Sensors whose silence is watched, for callers that keep their names over a stop without a snapshot.

use super::Pipeline;
use super::slot::Slot;

impl Pipeline {
    /// Returns the sensors whose silence will be reported: their rule has the stage `stale`, they were seen, and they are not stale.
    pub fn watched(&self) -> impl Iterator<Item = u32> {
        self.sensors.iter().filter(|(_, slot)| self.is_watched_slot(slot)).map(|(number, _)| number)
    }

    /// Returns whether a sensor is one of the [`watched`](Self::watched).
    #[must_use]
    pub fn is_watched(&self, sensor: u32) -> bool {
        self.sensors.of(sensor).is_some_and(|slot| self.is_watched_slot(slot))
    }

    /// Returns the silence after which a sensor is stale, in milliseconds; `None` if its rule has no stage `stale`.
    #[must_use]
    pub fn silence_ms(&self, sensor: u32) -> Option<i64> {
        Some(self.rule(sensor)?.stale.as_ref()?.timeout())
    }

    fn is_watched_slot(&self, slot: &Slot) -> bool {
        let stale = self.rules.of(slot).and_then(|rule| rule.stale.as_ref());
        stale.is_some_and(|stale| stale.deadline(&slot.stale).is_some())
    }
}
