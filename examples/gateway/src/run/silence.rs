//! Watch for silence over a kill, of one filter: sensors of the last run that are waited for, and whether the list that the
//! next run needs has changed. Pure.
//!
//! A filter reports a sensor that it has seen. After a kill it has seen none, so a sensor that fell silent before would never
//! be reported.

use std::collections::{BTreeSet, HashMap};

/// Sensors are named by their numbers in the filter's pipeline, times are on the axis of `Now::up_ms`.
#[derive(Debug, Default)]
pub(super) struct Silence {
    /// Times at which sensors of the last run of which nothing was heard in this one are stale.
    due: HashMap<u32, u64>,
    order: BTreeSet<(u64, u32)>,
    changed: Changed,
}

/// Changes of the list since it was last asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changed {
    /// A sensor is watched that was not. Until that is on disk, a kill leaves its silence unreported.
    pub(crate) grew: bool,
    /// A sensor was reported stale. Until that is on disk, a kill has it reported again.
    pub(crate) shrank: bool,
}

impl Changed {
    pub(crate) fn and(self, other: Self) -> Self {
        Self { grew: self.grew || other.grew, shrank: self.shrank || other.shrank }
    }
}

impl Silence {
    /// The last run watched this sensor.
    pub(super) fn await_sensor(&mut self, sensor: u32, until_ms: u64) {
        self.heard_of(sensor);
        self.due.insert(sensor, until_ms);
        self.order.insert((until_ms, sensor));
    }

    /// The filter watches a sensor from now on.
    pub(super) fn is_watched_from_now(&mut self, sensor: u32) {
        // One that was waited for is on disk.
        self.changed.grew |= !self.heard_of(sensor);
    }

    /// A sensor is watched under another unit, or the filter's state was restored.
    pub(super) fn is_other(&mut self) {
        self.changed.grew = true;
    }

    /// The filter reported a sensor stale.
    pub(super) fn is_reported(&mut self) {
        self.changed.shrank = true;
    }

    /// The next sensor whose silence is to be reported, once.
    pub(super) fn next_stale(&mut self, up_ms: u64) -> Option<u32> {
        let &(_, sensor) = self.order.first().filter(|(due_ms, _)| *due_ms <= up_ms)?;
        self.heard_of(sensor);
        self.changed.shrank = true;
        Some(sensor)
    }

    pub(super) fn deadline_ms(&self) -> Option<u64> {
        self.order.first().map(|(due_ms, _)| *due_ms)
    }

    /// Sensors that are waited for.
    pub(super) fn awaited(&self) -> impl Iterator<Item = u32> {
        self.order.iter().map(|(_, sensor)| *sensor)
    }

    pub(super) fn take_changed(&mut self) -> Changed {
        std::mem::take(&mut self.changed)
    }

    /// Returns whether it was waited for.
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
