#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]

mod acked_ids;
#[cfg(feature = "tokio")]
pub mod aio;
mod cloned_disk;
mod close_on_drop;
mod config;
mod consumer;
mod contained_waker;
mod engine;
mod error;
mod event;
mod fault;
mod gap;
#[cfg(any(feature = "ring", feature = "redb"))]
pub mod inspect;
mod key;
mod lease;
mod ledger;
mod locks_and_atomics;
mod loss_share;
mod lost_row_times;
pub mod medium;
mod model;
mod pending;
mod per_lane;
mod planted_flaw;
mod queue;
mod receipt;
mod row;
mod row_age;
mod second_queue;
mod shell;
mod state;
mod stats;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
mod time;
#[cfg(feature = "tools")]
pub mod tools;
#[cfg(any(feature = "ring", feature = "redb"))]
pub mod transfer;

pub use acked_ids::{AckIdsError, AckedIds, IdRange};
pub use config::{Config, ConsumerConfig, LaneConfig, OnFault, OnFull, Order, StoreKind};
pub use consumer::Consumer;
pub use engine::Wait;
pub use error::{CommitError, ConfigError, ConsumerError, Limit, OpenError, PushError};
pub use event::Event;
pub use fault::{FaultKind, STALLED_AFTER_MS};
pub use gap::Gap;
#[cfg(feature = "encryption")]
pub use key::{Key, KeyFormatError};
pub use lease::{Chunk, Lease};
pub use ledger::Ledger;
pub use pending::Pending;
pub use queue::{BatchError, Queue};
pub use receipt::{Receipt, WaitError};
pub use row::{LANES_MAX, Lane, ROW_OVERHEAD_BYTES, Row, RowId, Seq};
pub use row_age::{Expiry, age_ms};
pub use shell::{Clock, ClockSync, ManualClock, SystemClock};
pub use state::{Dropped, Reason};
pub use stats::{Health, LaneStats, Stats};
pub use time::{Now, Stamp};
