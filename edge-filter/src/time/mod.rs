//! Time of readings: event times out of order, gaps, clocks that were set, sensors that fell silent.

mod stale;
mod time_guard;

pub use stale::{Stale, StaleState};
pub use time_guard::{Passage, TimeGuard, TimeGuardState, TimePolicy};
