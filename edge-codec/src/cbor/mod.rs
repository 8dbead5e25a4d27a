//! CBOR batches (RFC 8949), deterministic out (§4.2.1), strict in.
//!
//! One map with these text keys, in this order; unknown keys are skipped:
//!
//! | key | value |
//! |---|---|
//! | `"t"` | base time, ms since the Unix epoch; 0 if there are no readings |
//! | `"v"` | 1, the version of this layout |
//! | `"id"` | text `gateway-lane-epoch-seq` ([`BatchId`](crate::BatchId)); absent if unknown |
//! | `"pd"` | 1 if the rows are possible duplicates; else absent |
//! | `"rows"` | array of `[sensor, ms since base, value]` or `[…, quality]` if the quality is not 0 |
//! | `"seqs"` | array of run lengths `[n0, skip1, n1, …]`: `n0` rows in sequence from `id` on, `skip1` numbers that are not here, `n1` rows, …; absent without a hole |
//! | `"sensors"` | array of `[sensor, name]` or `[…, unit]` if there is one |
//!
//! Values: floats in the shortest of half, single and double that keeps the bits; NaN is `f9 7e00` if it is the
//! quiet NaN without payload, else a double. Integers, text, byte strings, booleans and null as CBOR has them.
//! Integers below -2^63 and tags are refused. Indefinite lengths are refused everywhere; integers and floats that
//! are longer than necessary are accepted.

pub(crate) mod decode;
mod encode;
pub(crate) mod read;
mod rows;
pub(crate) mod write;

pub use decode::decode;
pub use encode::Cbor;
pub(crate) use rows::Rows;

/// Encoder of CBOR batches; see [`Encoder`](crate::Encoder).
///
/// ```
/// use edge_codec::{Limits, Reading, SensorTable, Value, cbor};
///
/// let mut sensors = SensorTable::new();
/// sensors.insert(7, "line2/temp", "Cel");
/// let mut encoder = cbor::Encoder::new(&sensors);
/// encoder.push(&Reading { sensor: 7, time: 1_580_515_200_000, value: Value::F64(53.6), quality: 0 })?;
/// let batch = encoder.finish_under(1_000)?;
/// assert_eq!(cbor::decode(&batch, &Limits::default())?.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type Encoder<S> = crate::Encoder<S, Cbor>;

/// Media type of the format, `application/cbor`.
pub const CONTENT_TYPE: &str = crate::content_type::CBOR;

/// Version of the layout: the value of `"v"`.
const VERSION: u64 = 1;
