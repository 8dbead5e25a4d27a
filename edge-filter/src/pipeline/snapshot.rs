//! The state of a pipeline, to be taken over a clean restart.

use super::Pipeline;
use super::slot::Slot;
use crate::LimitAlarmState;
use std::fmt;

/// The version that [`Pipeline::snapshot`] writes.
pub const SNAPSHOT_VERSION: u32 = 2;

/// The state of every sensor, by name, with the readings that its stages hold. Holds neither rules nor counters: rules may change between two runs, and
/// counters count one run.
///
/// With the feature `config` it implements `serde`'s traits; any format will do that keeps integers and finite
/// floats exactly.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
pub struct Snapshot {
    pub(super) version: u32,
    pub(super) sensors: Vec<SensorSnapshot>,
}

#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct SensorSnapshot {
    #[cfg_attr(feature = "config", serde(rename = "n"))]
    pub(super) name: String,
    #[cfg_attr(feature = "config", serde(rename = "s"))]
    pub(super) slot: Slot,
    #[cfg_attr(feature = "config", serde(rename = "a", default, skip_serializing_if = "Option::is_none"))]
    pub(super) alarm: Option<LimitAlarmState>,
}

impl Snapshot {
    /// How many sensors it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sensors.len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sensors.is_empty()
    }
}

impl Pipeline {
    /// The state of every sensor.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let sensors = self.sensors.iter().zip(0..).map(|(slot, place)| SensorSnapshot {
            name: self.names.name(self.names.number_of(place)).unwrap_or_default().to_owned(),
            slot: slot.clone(),
            alarm: slot.alarm().and_then(|place| self.alarms.state(place)).cloned(),
        });
        Snapshot { version: SNAPSHOT_VERSION, sensors: sensors.collect() }
    }

    /// Takes over the states of `snapshot`; a sensor that exists already is overwritten. In a new pipeline the sensors
    /// get the numbers they had. Stages that a sensor's rule has no longer are ignored, with what they hold (to keep that
    /// over a change of rules, [`flush`](Pipeline::flush) first), new ones start cold; sensors beyond `max_keys` are
    /// left out.
    ///
    /// # Errors
    /// If the snapshot is of another version; then nothing was changed.
    pub fn restore(&mut self, snapshot: Snapshot) -> Result<(), RestoreError> {
        if snapshot.version != SNAPSHOT_VERSION {
            return Err(RestoreError::Version { found: snapshot.version, supported: SNAPSHOT_VERSION });
        }
        for restored in snapshot.sensors {
            let number = self.intern(&restored.name);
            let Some(place) = self.names.place(number) else { continue };
            let Some(slot) = self.sensors.get_mut(place as usize) else { continue };
            let rule = slot.rule().and_then(|place| self.rules.get(place)).map(|(_, rule)| rule);
            let before = slot.held();
            slot.adopt(restored.slot, rule);
            self.stats.replaced(before, slot.held());
            if let (Some(place), Some(state)) = (slot.alarm(), restored.alarm) {
                self.alarms.restore(place, state);
            }
            self.deadlines.set(place, self.deadline(place));
        }
        Ok(())
    }
}

/// A snapshot that cannot be taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RestoreError {
    /// Written by another version; starting cold is safe: every sensor's first reading passes.
    Version {
        /// The snapshot's version.
        found: u32,
        /// The version that this crate reads.
        supported: u32,
    },
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RestoreError::Version { found, supported } => {
                write!(f, "the filter snapshot has version {found}, this program reads version {supported}")
            }
        }
    }
}

impl std::error::Error for RestoreError {}
