//! Protobuf batches: the message `edge.rows.v1.Batch` of `proto/rows.proto`, text in [`PROTO`].
//!
//! No protoc at build: the prost structs in [`schema`] are written by hand and a test holds them against the
//! `.proto`. Doubles are eight bytes on the wire, so every bit of them stays.
//!
//! The decoder reads rows itself and borrows their text: a `repeated Row` of empty rows (two bytes each) would make prost
//! allocate more than thirty times the input before any limit could speak, and every string apart.

pub mod columns;
mod decode;
mod encode;
pub(crate) mod envelope;
pub(crate) mod fields;
mod row;
pub mod schema;

pub use decode::decode;
pub use encode::Protobuf;
pub(crate) use row::Rows;

/// Encoder of Protobuf rows; see [`Encoder`](crate::Encoder).
///
/// ```
/// use edge_codec::{Limits, Reading, SensorTable, Value, protobuf};
///
/// let mut sensors = SensorTable::new();
/// sensors.insert(7, "line2/temp", "Cel");
/// let mut encoder = protobuf::Encoder::new(&sensors);
/// encoder.push(&Reading { sensor: 7, time: 1_580_515_200_000, value: Value::F64(53.6), quality: 0 })?;
/// let batch = encoder.finish_under(1_000)?;
/// assert_eq!(protobuf::decode(&batch, &Limits::default())?.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type Encoder<S> = crate::Encoder<S, Protobuf>;

/// Media type of the format, `application/vnd.edge.rows+protobuf;v=1`.
pub const CONTENT_TYPE: &str = crate::content_type::PROTOBUF_ROWS;

/// Published schema, for everybody who generates readers in another language.
pub const PROTO: &str = include_str!("../../proto/rows.proto");

/// Version of this layout, the value of the field `version`.
const VERSION: u32 = 1;
