//! InfluxDB line protocol: batches out, one line per reading ([`Encoder`]), and what Telegraf or a sensor sends in ([`import`]).
//!
//! ```text
//! readings,sensor=line2/temp,unit=Cel value=53.6 1580515200000000000
//! ```
//!
//! Measurement ([`Encoder::measurement`](crate::Encoder::measurement)), the tags `sensor` and `unit` (absent if there
//! is none), fields, time in the chosen [`Precision`].
//!
//! InfluxDB refuses a field whose type changes, so each kind of value has a field of its own:
//!
//! | value | field |
//! |---|---|
//! | double | `value=53.6`, the shortest text that reads back to the same bits |
//! | `i64` | `int=-5i` |
//! | `u64` | `uint=5u` (InfluxDB 2 and later) |
//! | bool | `bool=t` |
//! | text | `text="…"`, quotes and backslashes escaped |
//! | bytes | `bytes="…"`, base64url without padding |
//! | null | none: the line has the field `quality` alone |
//!
//! A quality that is not 0 is the field `quality=2147483648i`.
//!
//! Refused when pushed ([`NotCarried`](crate::EncodeError::NotCarried)): NaN and infinities, names and units with
//! control characters or backslashes (the protocol cannot escape them in tags), times that do not fit `i64` in the
//! precision. Lost: the batch's identity and mark; InfluxDB recognises a repeated reading by measurement, tags and
//! time.
//!
//! **In**, [`import`] takes lines of any writer: tags and fields in any order, `\,`, `\=` and `\ ` in names, `\"` and `\\` in texts, comments, empty
//! lines, and NUL bytes behind the last line.

mod encode;
mod import;
mod line_parser;

pub use encode::{Influx, Precision};
pub use import::import;

/// Encoder of line protocol; see [`Encoder`](crate::Encoder).
///
/// ```
/// use edge_codec::{Reading, SensorTable, Value, influx};
///
/// let mut sensors = SensorTable::new();
/// sensors.insert(7, "line2/temp", "Cel");
/// let mut encoder = influx::Encoder::new(&sensors).measurement("plant");
/// encoder.push(&Reading { sensor: 7, time: 1_580_515_200_000, value: Value::F64(53.6), quality: 0 })?;
/// let batch = encoder.finish_under(1_000)?;
/// assert_eq!(batch, "plant,sensor=line2/temp,unit=Cel value=53.6 1580515200000000000\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type Encoder<S> = crate::Encoder<S, Influx>;

/// Content type that InfluxDB's write endpoint expects: `text/plain; charset=utf-8`.
pub const CONTENT_TYPE: &str = crate::content_type::INFLUX;
