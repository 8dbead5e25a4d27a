//! Snapshot of a controller's state for a restart: alarms that wait for an acknowledgement, trips, setpoints, integrals.

use super::Controller;
use super::output::OutputState;
use crate::RestoreError;
use crate::alarm::{KeptAlarm, LimitAlarmState, LimitIdentities};
use crate::interlock::InterlockState;

/// Version of the snapshot that [`Controller::snapshot`] writes.
pub const CONTROL_SNAPSHOT_VERSION: u32 = 1;

/// Snapshot of the states of a [`Controller`], by name. It has no inputs: their age after a restart is not known, so
/// each is missing, and its outputs are safe, until a value comes. It has no bypasses either: they end with the
/// process, and their whole time counts towards the limit.
///
/// With the feature `config` it implements `serde`'s traits; any format will do that keeps integers and finite floats
/// exactly. It has no checksum: the application that stores it adds one.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
pub struct ControlSnapshot {
    version: u32,
    /// Time of the last scan.
    scanned_ns: Option<u64>,
    outputs: Vec<NamedState<OutputState>>,
    interlocks: Vec<NamedState<InterlockState>>,
    alarms: Vec<StoredAlarm>,
}

/// State of an alarm, by the name of the input and what identifies its limits; `None` in the snapshot of an earlier version of this program.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
struct StoredAlarm {
    name: String,
    #[cfg_attr(feature = "config", serde(default))]
    limits: Option<LimitIdentities>,
    state: LimitAlarmState,
}

#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
struct NamedState<S> {
    name: String,
    state: S,
}

impl<S> NamedState<S> {
    fn of((name, state): (&str, S)) -> Self {
        NamedState { name: name.to_owned(), state }
    }
}

impl Controller {
    /// Returns the states that a restart is to keep.
    #[must_use]
    pub fn snapshot(&self) -> ControlSnapshot {
        ControlSnapshot {
            version: CONTROL_SNAPSHOT_VERSION,
            scanned_ns: self.last_ns,
            outputs: self
                .outputs
                .iter()
                .map(|output| NamedState::of((output.name(), output.state())))
                .collect(),
            interlocks: self.interlocks.states().map(NamedState::of).collect(),
            alarms: self
                .alarms
                .states(&self.inputs)
                .map(|(name, limits, state)| StoredAlarm {
                    name: name.to_owned(),
                    limits: Some(limits),
                    state,
                })
                .collect(),
        }
    }

    /// Overwrites a snapshot that this controller made before with the present states, without allocating.
    pub fn snapshot_into(&self, snapshot: &mut ControlSnapshot) {
        let ControlSnapshot { version, scanned_ns, outputs, interlocks, alarms } = snapshot;
        (*version, *scanned_ns) = (CONTROL_SNAPSHOT_VERSION, self.last_ns);
        write(outputs, self.outputs.iter().map(super::Output::state));
        write(interlocks, self.interlocks.states().map(|(_, state)| state));
        for (stored, (_, limits, state)) in alarms.iter_mut().zip(self.alarms.states(&self.inputs)) {
            (stored.limits, stored.state) = (Some(limits), state);
        }
    }

    /// Restores the snapshot of an earlier process. Call it before the first scan.
    ///
    /// * A state whose name the configuration no longer has is ignored; a name that the snapshot does not have starts cold.
    /// * Outputs stay in their safe states until the first scan, which also reports their states, those of the interlocks, and the alarms whose
    ///   restored state is not the one that was reported last. An alarm that waits as before is not reported again.
    /// * A latched trip stays latched.
    /// * An interlock that was energised stays so only if its inputs are set before the first scan. Without their values its
    ///   condition is unknown, and that scan trips it. Values that come later end such a trip if the interlock resets by
    ///   itself; one with [`Reset::Manual`](crate::interlock::Reset::Manual) waits for a person.
    /// * If the last scan is at most the watchdog's time ago, as for a hot standby, outputs go on from their values. If it is longer ago, or later
    ///   than `now_ns`, they begin at their safe states: a ramp goes from there at its rate, a law that holds its value holds
    ///   that one, and a PID controller goes from there without a bump, at its rate (one without an integral when its input or setpoint changes). A mode, and a value that was set by hand, stay.
    /// * A delay that began later than `now_ns`, because the clock was set back, begins now. So does the least time of a switch, and that one also
    ///   where outputs begin at their safe states: the clock may have been set ahead meanwhile, from 1970 to today.
    /// * Each limit of an alarm gets the state of that of its input and level which the configuration describes in the same words; else of that with
    ///   the same value; else of the only one that is left. Where several may be meant, none counts as acknowledged or hidden: what was active or
    ///   waited for a hand is a new occurrence, which the first scan reports.
    /// * An output whose state has a number that is not finite starts cold.
    ///
    /// # Errors
    /// If the snapshot is of another version; then nothing was changed, and every interlock is tripped.
    pub fn restore(&mut self, snapshot: &ControlSnapshot, now_ns: u64) -> Result<(), RestoreError> {
        let found = snapshot.version;
        if found != CONTROL_SNAPSHOT_VERSION {
            return Err(RestoreError::Version { found, supported: CONTROL_SNAPSHOT_VERSION });
        }
        let now_ms = super::ms(now_ns);
        let pause = |last: u64| now_ns.checked_sub(last).is_some_and(|pause| pause <= self.watchdog_ns);
        self.last_ns = snapshot.scanned_ns.filter(|last| pause(*last));
        let goes_on = self.last_ns.is_some();
        for output in &mut self.outputs {
            if let Some(kept) = snapshot.outputs.iter().find(|kept| kept.name == output.name()) {
                output.resume(&kept.state, goes_on, now_ms);
            }
        }
        let kept = |name: &str| snapshot.interlocks.iter().find(|kept| kept.name == name);
        self.interlocks.resume(|name| kept(name).map(|kept| kept.state), now_ms);
        let alarms = snapshot.alarms.iter().map(|stored| {
            let StoredAlarm { name, limits, state } = stored;
            (name.as_str(), KeptAlarm { limits: limits.as_ref(), state })
        });
        self.alarms.resume(&self.inputs, alarms, goes_on, now_ms);
        Ok(())
    }
}

fn write<S>(kept: &mut [NamedState<S>], states: impl Iterator<Item = S>) {
    kept.iter_mut().zip(states).for_each(|(kept, state)| kept.state = state);
}
