//! Transforms of a value: totals of wrapping counters, scale and unit.

mod counter;
mod scale;

pub use counter::{Count, Counter, CounterState, CounterWidth};
pub use scale::Scale;
