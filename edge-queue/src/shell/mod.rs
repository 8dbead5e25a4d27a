//! Access to the outside world: time, random numbers, and the directory of a queue.

mod clock;
mod directory;
mod machine;
mod random;
mod wall_clock_trust;

pub use clock::{Clock, ManualClock, SystemClock};
pub(crate) use directory::open_dir;
pub(crate) use machine::Machine;
pub(crate) use random::{random_epoch_step, random_u64};
pub use wall_clock_trust::ClockSync;
