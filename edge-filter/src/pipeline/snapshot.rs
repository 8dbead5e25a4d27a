//! Snapshot of a pipeline's state, to be restored after a clean restart.

use super::Pipeline;
use super::slot::Slot;
use crate::alarm::LimitAlarmState;
use crate::snapshot_serde::as_array;
use std::fmt;

/// Version of the snapshot that [`Pipeline::snapshot`] writes.
pub const SNAPSHOT_VERSION: u32 = 3;

/// The state of every sensor, by name, with the readings that its stages hold. Holds neither rules nor counters: rules
/// may change between two runs, and counters count one run.
///
/// With the feature `config` it implements `serde`'s traits; any format will do that keeps integers and finite
/// floats exactly. A sensor with a deadband, a heartbeat and a silence to report takes some 60 bytes of CBOR beside its
/// name, with a swinging door some 80.
///
/// ```
/// use edge_filter::reduce::Deadband;
/// use edge_filter::{DropReason, Outcome, Pipeline, Quality, Reading, Rule, Value};
///
/// let rule = || Rule::new().reducer(Deadband::absolute(0.5).unwrap());
/// let at = |sensor, time, value| Reading { sensor, time, value: Value::F64(value), quality: Quality::GOOD };
/// let mut before = Pipeline::builder().rule("#", rule())?.build();
/// let sensor = before.intern("line2/temp");
/// assert!(matches!(before.process(at(sensor, 0, 20.0), 0, &mut |_| ()), Outcome::Emit(_)));
/// let snapshot = before.snapshot();
///
/// let mut after = Pipeline::builder().rule("#", rule())?.build();
/// assert!(after.restore(snapshot)?.is_empty()); // no state was damaged
/// let sensor = after.intern("line2/temp");
/// let outcome = after.process(at(sensor, 1_000, 20.4), 1_000, &mut |_| ());
/// assert_eq!(outcome, Outcome::Drop(DropReason::InDeadband)); // 20.0 is still known
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    pub(super) version: u32,
    /// Base of the slots' times, so that they are small numbers, which take fewer bytes.
    pub(super) base_ms: i64,
    pub(super) sensors: Vec<SensorSnapshot>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct SensorSnapshot {
    pub(super) name: String,
    pub(super) slot: Slot,
    pub(super) alarm: Option<LimitAlarmState>,
}

as_array!(SensorSnapshot { name, slot, alarm });

impl Snapshot {
    /// Returns the number of sensors in the snapshot.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sensors.len()
    }

    /// Returns whether the snapshot has no sensors.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sensors.is_empty()
    }
}

/// Snapshot written as an array with the version first. If the version is another one the rest is not read, so a snapshot of another version is
/// not taken for a damaged one.
#[cfg(feature = "config")]
mod written {
    use super::{SNAPSHOT_VERSION, Snapshot};
    use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, SeqAccess, Visitor};
    use std::fmt;

    impl serde::Serialize for Snapshot {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            (self.version, self.base_ms, &self.sensors).serialize(serializer)
        }
    }

    impl<'de> Deserialize<'de> for Snapshot {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_seq(Parts)
        }
    }

    struct Parts;

    impl<'de> Visitor<'de> for Parts {
        type Value = Snapshot;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the version of a filter snapshot, then the snapshot")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Snapshot, A::Error> {
            let version = seq.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
            if version != SNAPSHOT_VERSION {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(Snapshot { version, base_ms: 0, sensors: Vec::new() });
            }
            let base_ms = seq.next_element()?.ok_or_else(|| A::Error::invalid_length(1, &self))?;
            let sensors = seq.next_element()?.ok_or_else(|| A::Error::invalid_length(2, &self))?;
            Ok(Snapshot { version, base_ms, sensors })
        }
    }
}

impl Pipeline {
    /// Returns the state of every sensor.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let base_ms = self.sensors.iter().filter_map(|(_, slot)| slot.guard.watermark()).max().unwrap_or(0);
        let sensors = self.sensors.iter().map(|(number, slot)| {
            let name = self.sensors.name(number).unwrap_or_default().to_owned();
            let alarm = slot.alarm().and_then(|place| self.alarms.state(place)).cloned();
            let mut slot = slot.clone();
            slot.shift(base_ms.wrapping_neg());
            SensorSnapshot { name, slot, alarm }
        });
        Snapshot { version: SNAPSHOT_VERSION, base_ms, sensors: sensors.collect() }
    }

    /// Restores the states of `snapshot`; a sensor that exists already is overwritten. In a new pipeline the sensors get the numbers they had.
    /// States of stages that a sensor's rule no longer has are ignored, with the readings that they hold ([`flush`](Pipeline::flush) before a
    /// change of rules keeps those). New stages start cold, and sensors beyond `max_keys` are left out. Returns the states that no stage can
    /// have reached, which are left out too, so that their sensors start cold. Not every damage is found, so whoever stores a snapshot should
    /// add a checksum.
    ///
    /// # Errors
    /// If the snapshot has another version; nothing was changed then.
    pub fn restore(&mut self, snapshot: Snapshot) -> Result<Vec<DamagedState>, RestoreError> {
        if snapshot.version != SNAPSHOT_VERSION {
            return Err(RestoreError::Version { found: snapshot.version, supported: SNAPSHOT_VERSION });
        }
        let mut damaged = Vec::new();
        for mut restored in snapshot.sensors {
            let number = self.intern(&restored.name);
            if let Some(part) = restored.slot.flaw() {
                damaged.push(DamagedState { sensor: restored.name, part });
                continue;
            }
            restored.slot.shift(snapshot.base_ms);
            let Some(place) = self.sensors.place(number) else { continue };
            let Some(slot) = self.sensors.slot_mut(place) else { continue };
            let rule = self.rules.of(slot);
            let before = slot.held();
            slot.adopt(restored.slot, rule);
            self.stats.replaced(before, slot.held());
            if let (Some(place), Some(state)) = (slot.alarm(), restored.alarm) {
                self.alarms.restore(place, state);
            }
            self.deadlines.set(place, self.deadline(place));
        }
        Ok(damaged)
    }
}

/// State in a snapshot that was left out because it was damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DamagedState {
    /// Name of the sensor.
    pub sensor: String,
    /// Part of the state that no stage can have reached.
    pub part: &'static str,
}

impl fmt::Display for DamagedState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "of sensor {} {} cannot be", self.sensor, self.part)
    }
}

/// Error for a snapshot that cannot be restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RestoreError {
    /// The snapshot has another version. Starting without it is safe, because every sensor's first reading passes.
    Version {
        /// Version of the snapshot.
        found: u32,
        /// Version that this crate reads.
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
