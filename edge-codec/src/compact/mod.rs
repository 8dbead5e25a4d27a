//! Compact batch format: two bytes per reading or less, lossless, with a published specification.
//!
//! A batch is the message `edge.batch.v1.Batch` ([`PROTO`]): sensors that are polled together share a clock, values become
//! integers (decimals, printed digits, or bits), integers become small differences, and those
//! are entropy-coded with weights that are fixed, or learned and announced in a session [`Table`]. The recipe is
//! `docs/codec-formats.md`, a reader in Python `decoders/python/edge_batch.py`.
//!
//! ```
//! use edge_codec::compact::{self, Encoder, Table};
//! use edge_codec::{Limits, Reading, SensorTable, Value};
//! use std::sync::Arc;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let rows: Vec<_> = (0..100)
//!     .map(|n| Reading { sensor: 7, time: 1000 * n, value: Value::F64(20.0 + n as f64 / 10.0), quality: 0 })
//!     .collect();
//! let mut enc = Encoder::numbered();
//! for r in &rows { enc.push(r)? }
//! let bytes = enc.finish_under(16_184)?;
//! for (r, sent) in compact::decode(&bytes, &Limits::default())?.zip(&rows) {
//!     assert!(r?.same(sent));
//! }
//!
//! // Against a session table: smaller still, above all in small batches.
//! let mut sensors = SensorTable::new();
//! sensors.insert(7, "line2/temp", "Cel");
//! let table = Arc::new(Table::learn(1, &sensors, &rows));
//! let announced = table.bytes().clone();                     // on a retained topic
//! let mut enc = Encoder::with_table(table);
//! for r in &rows { enc.push(r)? }
//! let bytes = enc.finish_under(16_184)?;
//! let table = Table::decode(&announced, &Limits::default())?; // at the hub
//! assert_eq!(table.decode_batch(&bytes, &Limits::default())?.len(), 100);
//! # Ok(()) }
//! ```

mod decoder;
mod encoder;
mod inline_names;
mod layout;
mod level;
mod list_bytes;
mod quality;
mod row_order;
mod sensor_positions;
mod session_table;
mod shared_timestamps;
mod stream;
mod values;
mod zstd_wrap;

pub(crate) use decoder::Rows;
pub use decoder::{decode, table_wanted};
pub use encoder::Encoder;
pub use level::Level;
pub use session_table::Table;

/// Content type `application/vnd.edge.batch;v=1`.
pub const CONTENT_TYPE: &str = crate::content_type::COMPACT;

/// Published Protobuf schema of the format.
pub const PROTO: &str = include_str!("../../proto/batch.proto");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_schema_has_the_fields_that_are_written() {
        use layout::field::{COLUMNS, PADDING, TABLE_COLUMNS, TEXTS, ZSTD};
        let fields = [
            ("bytes columns", COLUMNS),
            ("bytes table_columns", TABLE_COLUMNS),
            ("bytes texts", TEXTS),
            ("bytes padding", PADDING),
            ("bytes zstd", ZSTD),
            ("uint32 version", 1),
            ("optional fixed64 gateway", 2),
            ("optional uint32 lane", 3),
            ("optional uint32 epoch", 4),
            ("optional uint64 first_seq", 5),
            ("bool pd", 6),
            ("repeated uint64 seqs", 10),
            ("repeated Sensor sensors", 2),
            ("bytes hints", 3),
        ];
        for (name, number) in fields {
            assert!(PROTO.contains(&format!("{name} = {number};")), "{name}");
        }
    }
}
