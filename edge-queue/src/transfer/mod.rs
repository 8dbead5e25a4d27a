//! Moving a backlog to another gateway: a stream of blocks that prove themselves.
//!
//! [`Exporter`] writes a stream, [`Stream`] reads it whatever became of it on the way, [`import`](import()) makes a new queue of
//! it. Every byte of it is drawn in the repository's description of the formats.
//!
//! The rows keep payload, meta, key, lane, order, time stamp, time to live and weight. They get a new identity, since a row is
//! only known upstream as (gateway, lane, epoch, seq) and the new gateway is another one: a row that the old gateway had sent,
//! and of whose arrival it had not heard, may arrive once more under a new identity. The old identity, and the losses the old
//! gateway had not reported yet, are in the stream for whoever asks later; positions of consumers are not.

mod block;
mod export;
mod fitting_config;
mod import;
mod record;
mod staged;
mod stream;

pub use export::{ExportError, Exported, Exporter, LaneTotals};
pub use fitting_config::config_for;
pub use import::{ImportError, Imported, import, import_changed};
pub use stream::{Item, Stream, StreamEnd, StreamError};
