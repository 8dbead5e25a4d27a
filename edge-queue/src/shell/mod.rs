//! Outside world: the time, and random numbers.

mod clock;
mod random;

pub use clock::{Clock, ManualClock, SystemClock};
pub(crate) use random::random_u64;
