#![forbid(unsafe_code)]
#![cfg_attr(feature = "config", doc = include_str!("../README.md"))]
#![cfg_attr(
    not(feature = "config"),
    doc = "Filters for sensor readings at the edge; the guide is in README.md."
)]

mod alarm;
mod as_array;
mod bound;
pub mod control;
mod counter;
mod deadband;
pub mod downsample;
mod error;
mod hampel;
mod held;
mod interlock;
mod jump_reject;
mod last;
mod normalise;
mod on_change;
mod outcome;
mod overflowing;
mod pid;
mod pipeline;
mod qartod;
mod quality;
mod ramp;
mod range;
mod reading;
mod sample;
mod scale;
mod segment_hold;
mod stale;
mod swinging_door;
mod switch;
mod time_guard;
mod value;
mod window;

pub use alarm::{
    AckError, AlarmCommand, AlarmCommandError, AlarmLevel, AlarmState, AlarmTransition, BadInput,
    ExclusiveAlarm, ExclusiveAlarmState, ExclusiveState, Limit, LimitAlarm, LimitAlarmState,
};
pub use bound::{ErrorBound, LossBound};
pub use counter::{Count, Counter, CounterState, CounterWidth};
pub use deadband::{Deadband, DeadbandState, Trigger};
pub use error::ParamError;
pub use hampel::{Alignment, Hampel, HampelState, HampelVerdict, OutlierAction};
pub use held::{Number, Released, Verdict};
pub use interlock::{
    Condition, Degraded, Interlock, InterlockError, InterlockState, InterlockStatus, Reset, Test, Vote,
};
pub use jump_reject::{JumpReject, JumpRejectState};
pub use normalise::Normalise;
pub use on_change::{Dedup, OnChange, OnChangeState};
pub use outcome::{DropReason, Emit, EmitReason, Outcome};
pub use pid::{AntiWindup, DerivativeForm, Pid, PidBadInput, PidInput, PidMode, PidState, PidStatus};
pub use pipeline::{
    AlarmEvent, Builder, OverLimit, Pattern, PatternError, Pipeline, Reducer, RestoreError, Rule,
    SNAPSHOT_VERSION, Snapshot, Stats,
};
pub use qartod::{
    AttenuatedSignal, AttenuatedSignalState, Attenuation, FlatLine, FlatLineState, QartodFlag, RateOfChange,
    RateOfChangeState, Spike, SpikeMethod, SpikeState,
};
pub use quality::{Quality, QualityScheme};
pub use ramp::Ramp;
pub use range::{Range, RangeAction};
pub use reading::Reading;
pub use sample::{Pick, Sample, SampleState};
pub use scale::Scale;
pub use segment_hold::{SegmentHold, SegmentHoldState};
pub use stale::{Stale, StaleState};
pub use swinging_door::{SwingingDoor, SwingingDoorState};
pub use switch::{HysteresisSwitch, HysteresisSwitchState, SwitchBadInput};
pub use time_guard::{Passage, TimeGuard, TimeGuardState, TimePolicy};
pub use value::Value;
pub use window::{Aggregate, MEDIAN_READINGS_MAX, Taken, Window, WindowResult, WindowState};

#[cfg(feature = "config")]
pub use pipeline::{ConfigError, Problem, config};
