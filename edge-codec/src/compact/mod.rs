//! The compact batch: two bytes per reading and less, readable by anyone.

mod ans;
mod bits;
mod clock;
mod column;
mod decode;
mod encode;
mod form;
mod frame;
mod learn;
mod message;
mod names;
mod order;
mod plan;
mod quality;
mod rows;
mod search;
mod small;
mod table;
mod token;
mod wrong;

pub use decode::{decode, table_wanted};
pub use encode::{Encoder, Level};
pub(crate) use rows::Rows;
pub use table::Table;

/// `application/vnd.edge.batch;v=1`.
pub const CONTENT_TYPE: &str = crate::content_type::COMPACT;

/// A batch has at most so many readings per byte, compressed or not: what a reader allocates is bounded by its input.
const READINGS_PER_BYTE: usize = 32;

/// Fields of the message `Batch`; those up to 7, and 10, are the header's, as in `rows.proto`.
mod field {
    pub(super) const COLUMNS: u32 = 8;
    pub(super) const TABLE: u32 = 9;
    pub(super) const TEXTS: u32 = 11;
    pub(super) const PADDING: u32 = 12;
    #[cfg_attr(not(feature = "zstd"), allow(dead_code, reason = "only written with zstd"))]
    pub(super) const ZSTD: u32 = 13;
}
