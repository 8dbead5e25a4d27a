//! SenML in JSON, `application/senml+json` (RFC 8428 §5). See the [module above](super) for what maps to what.
//!
//! Numbers without fraction and exponent are integers and exact, as in [our JSON](crate::json).

mod decode;
mod encode;

pub(crate) use decode::pack;
pub use decode::{decode, decode_at};
pub use encode::SenmlJson;

/// Encoder of SenML in JSON; see [`Encoder`](crate::Encoder).
///
/// ```
/// use edge_codec::{Limits, Reading, SensorTable, Value, senml};
///
/// let mut sensors = SensorTable::new();
/// sensors.insert(7, "line2/temp", "Cel");
/// let mut encoder = senml::json::Encoder::new(&sensors);
/// encoder.push(&Reading { sensor: 7, time: 1_580_515_200_000, value: Value::F64(53.6), quality: 0 })?;
/// let batch = encoder.finish_under(1_000)?;
/// assert_eq!(senml::json::decode(&batch, &Limits::default())?.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type Encoder<S> = crate::Encoder<S, SenmlJson>;

/// Media type of the format, `application/senml+json`.
pub const CONTENT_TYPE: &str = crate::content_type::SENML_JSON;
