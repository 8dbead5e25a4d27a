#![forbid(unsafe_code)]
#![doc = include_str!("../README.md")]

mod error;
pub mod medium;
mod row;
mod state;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
mod time;

pub use error::{CommitError, ConfigError, ConsumerError, Limit, OpenError, PushError};
pub use row::{LANES_MAX, Lane, ROW_OVERHEAD_BYTES, Row, RowId, Seq, StoredRow};
pub use state::{Change, ConsumerState, GapRecord, LaneState, Position, Reason, State};
pub use time::{Expiry, Now, Stamp, age_ms};
