//! Data reduction: stages that decide which readings go on, each with a stated [error bound](crate::ErrorBound) and
//! [loss bound](crate::LossBound).

mod deadband;
pub(crate) mod holding;
pub(crate) mod last_emitted;
pub(crate) mod number;
mod on_change;
mod own_stage;
pub(crate) mod reducer;
mod sample;
mod segment_hold;
mod swinging_door;

pub use deadband::{Deadband, DeadbandState, Trigger};
pub use number::{Number, ReleasedReading, Settlement, Verdict};
pub use on_change::{Dedup, OnChange, OnChangeState};
pub use own_stage::{OwnStage, Stage};
pub use reducer::Reducer;
pub use sample::{Pick, Sample, SampleState};
pub use segment_hold::{SegmentHold, SegmentHoldState};
pub use swinging_door::{SwingingDoor, SwingingDoorState};
