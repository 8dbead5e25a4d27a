#![forbid(unsafe_code)]
#![doc = include_str!("../README.md")]

pub mod medium;
mod row;
mod state;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
mod time;

pub use row::{LANES_MAX, Lane, Row, RowId, Seq, StoredRow};
pub use state::{Change, ConsumerState, GapRecord, Position, Reason, State};
pub use time::{Expiry, Now, Stamp, age_ms};
