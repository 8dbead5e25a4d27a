#![forbid(unsafe_code)]
//! Filters for sensor readings at the edge.

mod alarm;
mod bound;
mod deadband;
mod error;
mod normalise;
mod outcome;
mod quality;
mod range;
mod reading;
mod stale;
mod time_guard;
mod value;

pub use alarm::{AckError, AlarmLevel, AlarmState, AlarmTransition, Limit, LimitAlarm, LimitAlarmState};
pub use bound::{ErrorBound, LossBound};
pub use deadband::{Deadband, DeadbandState};
pub use error::ParamError;
pub use normalise::Normalise;
pub use outcome::{DropReason, Emit, EmitReason, Outcome};
pub use quality::{Quality, QualityScheme};
pub use range::{Range, RangeAction};
pub use reading::Reading;
pub use stale::{Stale, StaleState};
pub use time_guard::{OutOfOrder, Passage, TimeGuard, TimeGuardState};
pub use value::Value;

