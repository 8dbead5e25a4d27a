//! Watch for silent sensors of one filter that survives a kill: it expects the sensors of the last process, and records changes of the list for
//! the next one. Pure.
//!
//! A filter reports the silence of a sensor that it has seen. After a kill it has seen none, so without this list a sensor that fell silent
//! before would never be reported.

use std::collections::{BTreeSet, HashMap};

/// State of the watch. Sensors are given by their numbers in the filter's pipeline, and times are as in `Now::up_ms`.
#[derive(Debug, Default)]
pub(in crate::run) struct Silence {
    /// Up time at which each expected sensor of the last process counts as stale, unless it sends a reading before.
    due: HashMap<u32, u64>,
    order: BTreeSet<(u64, u32)>,
    changed: Changed,
}

/// Changes of the list since they were last taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changed {
    /// Set when a sensor is watched that was not before. Until the list is on disk, a kill leaves its silence unreported.
    pub(crate) grew: bool,
    /// Set when a sensor was reported as stale. Until the list is on disk, a kill has it reported again.
    pub(crate) shrank: bool,
}

impl Changed {
    pub(crate) fn and(self, other: Self) -> Self {
        Self { grew: self.grew || other.grew, shrank: self.shrank || other.shrank }
    }
}

impl Silence {
    /// Expects a reading, until `until_ms`, of a sensor that the last process watched.
    pub(in crate::run) fn await_sensor(&mut self, sensor: u32, until_ms: u64) {
        self.heard_of(sensor);
        self.due.insert(sensor, until_ms);
        self.order.insert((until_ms, sensor));
    }

    /// Records that the filter watches a sensor from now on.
    pub(in crate::run) fn is_watched_from_now(&mut self, sensor: u32) {
        // One that was waited for is on disk.
        self.changed.grew |= !self.heard_of(sensor);
    }

    /// Records that a sensor has another unit, or that the filter's state was restored.
    pub(in crate::run) fn is_other(&mut self) {
        self.changed.grew = true;
    }

    /// Records that the filter reported a sensor as stale.
    pub(in crate::run) fn is_reported(&mut self) {
        self.changed.shrank = true;
    }

    /// Returns the next sensor whose silence is to be reported, and stops expecting it. `None`: none is due.
    pub(in crate::run) fn next_stale(&mut self, up_ms: u64) -> Option<u32> {
        let &(_, sensor) = self.order.first().filter(|(due_ms, _)| *due_ms <= up_ms)?;
        self.heard_of(sensor);
        self.changed.shrank = true;
        Some(sensor)
    }

    pub(in crate::run) fn deadline_ms(&self) -> Option<u64> {
        self.order.first().map(|(due_ms, _)| *due_ms)
    }

    /// Iterates over the expected sensors of the last process.
    pub(in crate::run) fn awaited(&self) -> impl Iterator<Item = u32> {
        self.order.iter().map(|(_, sensor)| *sensor)
    }

    pub(in crate::run) fn take_changed(&mut self) -> Changed {
        std::mem::take(&mut self.changed)
    }

    /// Stops expecting a sensor. Returns whether it was expected.
    fn heard_of(&mut self, sensor: u32) -> bool {
        let due = self.due.remove(&sensor);
        due.is_some_and(|due_ms| self.order.remove(&(due_ms, sensor)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_waited_for_is_stale_once_at_its_time_unless_it_is_heard_of() {
        let mut silence = Silence::default();
        for (sensor, until_ms) in [(1, 300), (2, 100), (3, 200), (2, 250)] {
            silence.await_sensor(sensor, until_ms);
        }
        assert_eq!((silence.deadline_ms(), silence.next_stale(199)), (Some(200), None));
        silence.is_watched_from_now(3);
        assert_eq!(silence.take_changed(), Changed::default(), "it is in the list");
        assert_eq!(silence.awaited().collect::<Vec<_>>(), [2, 1]);
        assert_eq!([(); 3].map(|()| silence.next_stale(1_000)), [Some(2), Some(1), None]);
        assert_eq!(silence.take_changed(), Changed { grew: false, shrank: true });
        silence.is_watched_from_now(2);
        assert_eq!(silence.take_changed(), Changed { grew: true, shrank: false });
    }
}
