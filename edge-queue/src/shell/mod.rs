//! Outside world: the time, and random numbers.

mod clock;
mod clock_sync;
mod machine;
mod random;

pub use clock::{Clock, ManualClock, SystemClock};
pub use clock_sync::ClockSync;
pub(crate) use machine::Machine;
pub(crate) use random::random_u64;
