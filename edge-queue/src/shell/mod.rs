//! Access to the outside world: time, and random numbers.

mod clock;
mod machine;
mod random;
mod wall_clock_trust;

pub use clock::{Clock, ManualClock, SystemClock};
pub(crate) use machine::Machine;
pub(crate) use random::{random_epoch_step, random_u64};
pub use wall_clock_trust::ClockSync;
