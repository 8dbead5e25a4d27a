//! JSON: what sensors send in ([`import`]), batches in and out ([`decode`], [`Encoder`]).
//!
//! [`import`] takes one sensor's payload: an object or an array of objects, with field names by configuration
//! ([`FieldMap`], as configuration data [`Fields`]); an object with several values, or with a list of readings, gives a
//! reading for each ([`FieldMap::each`]). Its [`Record`](crate::Record)s name their sensor by text, since numbers are the application's to give.
//!
//! A batch is `{"id":"00c0ffee00000001-1-2a-3e8","pd":1,"seqs":[2,1,3],"readings":[…]}` with `id` and `pd` as in
//! [`Header`](crate::Header) (absent if unknown and not marked), `seqs` the run lengths of sequence numbers that have
//! holes (`[n0,skip1,n1,…]`: `n0` readings in sequence from `id` on, `skip1` numbers that are not here, `n1` readings,
//! …; absent without a hole), and each reading
//! `{"sensor":"line2/temp","ts":1580515200000,"value":53.6,"unit":"Cel","quality":1073741824}` with `ts` in
//! milliseconds; `unit` is absent if there is none, `quality` if it is 0. Bytes stand as base64url without padding
//! (RFC 4648 §5) under `bytes` instead of `value`.
//!
//! Numbers: without fraction and exponent they are integers and exact from -2^63 to 2^64-1; all others are the
//! nearest double, so a longer integer loses digits. Doubles are written as the shortest text that reads back to the
//! same bits. JSON has no NaN and no infinity; see [`NonFinite`].
//!
//! Duplicate keys are refused in every object, also in fields nobody reads; text that looks like a number stays
//! text. Offsets in errors are where the reader stood: at or just after the item.

pub(crate) mod decode;
mod encode;
pub(crate) mod import;
mod map;
mod reading_place;
mod time;
pub(crate) mod visit;
pub(crate) mod visitor_state;

pub use decode::decode;
pub use encode::{Json, NonFinite};
pub use import::import;
pub use map::{FieldMap, Fields, TimeUnit};
pub use time::from_rfc3339 as rfc3339_ms;

/// Encoder of JSON batches; see [`Encoder`](crate::Encoder).
///
/// ```
/// use edge_codec::{Reading, SensorTable, Value, json};
///
/// let mut sensors = SensorTable::new();
/// sensors.insert(7, "line2/temp", "Cel");
/// let mut encoder = json::Encoder::new(&sensors);
/// encoder.push(&Reading { sensor: 7, time: 1_580_515_200_000, value: Value::F64(53.6), quality: 0 })?;
/// let batch = encoder.finish_under(1_000)?;
/// let text = r#"{"readings":[{"sensor":"line2/temp","ts":1580515200000,"value":53.6,"unit":"Cel"}]}"#;
/// assert_eq!(batch, text);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type Encoder<S> = crate::Encoder<S, Json>;

/// Media type of the format, `application/json`.
pub const CONTENT_TYPE: &str = crate::content_type::JSON;
