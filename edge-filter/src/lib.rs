#![forbid(unsafe_code)]
#![cfg_attr(feature = "config", doc = include_str!("../README.md"))]
#![cfg_attr(
    not(feature = "config"),
    doc = "Filters for sensor readings at the edge; the guide is in README.md."
)]

mod alarm;
mod bound;
pub mod control;
mod deadband;
mod error;
mod interlock;
mod normalise;
mod outcome;
mod pid;
mod pipeline;
mod quality;
mod ramp;
mod range;
mod reading;
mod stale;
mod switch;
mod time_guard;
mod value;

pub use alarm::{
    AckError, AlarmCommand, AlarmCommandError, AlarmLevel, AlarmState, AlarmTransition, BadInput,
    ExclusiveAlarm, ExclusiveAlarmState, ExclusiveState, Limit, LimitAlarm, LimitAlarmState,
};
pub use bound::{ErrorBound, LossBound};
pub use deadband::{Deadband, DeadbandState};
pub use error::ParamError;
pub use interlock::{
    Condition, Degraded, Interlock, InterlockError, InterlockState, InterlockStatus, Reset, Test, Vote,
};
pub use normalise::Normalise;
pub use outcome::{DropReason, Emit, EmitReason, Outcome};
pub use pid::{AntiWindup, Pid, PidBadInput, PidInput, PidMode, PidState, PidStatus};
pub use pipeline::{
    AlarmEvent, Builder, Pattern, PatternError, Pipeline, RestoreError, Rule, SNAPSHOT_VERSION, Snapshot,
    Stats,
};
pub use quality::{Quality, QualityScheme};
pub use ramp::Ramp;
pub use range::{Range, RangeAction};
pub use reading::Reading;
pub use stale::{Stale, StaleState};
pub use switch::{HysteresisSwitch, HysteresisSwitchState, SwitchBadInput};
pub use time_guard::{OutOfOrder, Passage, TimeGuard, TimeGuardState};
pub use value::Value;

#[cfg(feature = "config")]
pub use pipeline::{ConfigError, config};
