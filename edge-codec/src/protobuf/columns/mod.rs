//! Protobuf batches, one packed array per field: the message `edge.columns.v1.Batch` of `proto/columns.proto`, text in
//! [`PROTO`].
//!
//! The same content as [rows](super) in a third to a quarter of the bytes: a double costs eight, its sensor and time
//! about one each. Every sensor's entry says what kind its values are; a sensor whose values are of several kinds has
//! an entry for each, so no reading needs a tag. The order of the readings is kept.

mod decode;
mod encode;
mod packed;
mod rows;
pub mod schema;

pub use decode::decode;
pub use encode::Columns;
pub(crate) use rows::Rows;

/// Encoder of Protobuf columns; see [`Encoder`](crate::Encoder).
///
/// ```
/// use edge_codec::{Limits, Reading, SensorTable, Value, protobuf::columns};
///
/// let mut sensors = SensorTable::new();
/// sensors.insert(7, "line2/temp", "Cel");
/// let mut encoder = columns::Encoder::new(&sensors);
/// encoder.push(&Reading { sensor: 7, time: 1_580_515_200_000, value: Value::F64(53.6), quality: 0 })?;
/// let batch = encoder.finish_under(1_000)?;
/// assert_eq!(columns::decode(&batch, &Limits::default())?.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type Encoder<S> = crate::Encoder<S, Columns>;

/// Media type of the format, `application/vnd.edge.columns+protobuf;v=1`.
pub const CONTENT_TYPE: &str = crate::content_type::PROTOBUF_COLUMNS;

/// Published schema, for everybody who generates readers in another language.
pub const PROTO: &str = include_str!("../../../proto/columns.proto");
