//! SenML in CBOR, `application/senml+cbor` (RFC 8428 §6). See the [module above](super) for what maps to what.
//!
//! Out: deterministic (RFC 8949 §4.2.1), doubles in the shortest of half, single and double that keeps the bits, or as
//! [decimal fractions](crate::Encoder::decimal_fractions). In: integers, floats and decimal fractions (tag 4) whose
//! exponent and mantissa fit 64 bits; other tags, bignums and indefinite lengths (which are SensML's) are refused.

mod decode;
mod encode;

pub(crate) use decode::pack;
pub use decode::{decode, decode_at};
pub use encode::SenmlCbor;

/// Encoder of SenML in CBOR; see [`Encoder`](crate::Encoder).
///
/// ```
/// use edge_codec::{Limits, Reading, SensorTable, Value, senml};
///
/// let mut sensors = SensorTable::new();
/// sensors.insert(7, "line2/temp", "Cel");
/// let mut encoder = senml::cbor::Encoder::new(&sensors);
/// encoder.push(&Reading { sensor: 7, time: 1_580_515_200_000, value: Value::F64(53.6), quality: 0 })?;
/// let batch = encoder.finish_under(1_000)?;
/// assert_eq!(senml::cbor::decode(&batch, &Limits::default())?.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub type Encoder<S> = crate::Encoder<S, SenmlCbor>;

/// Media type of the format, `application/senml+cbor`.
pub const CONTENT_TYPE: &str = crate::content_type::SENML_CBOR;
