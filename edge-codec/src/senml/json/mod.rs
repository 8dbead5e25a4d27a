//! SenML in JSON, `application/senml+json` (RFC 8428 §5). See the [module above](super) for what maps to what.
//!
//! Numbers without fraction and exponent are integers and exact, as in [our JSON](crate::json).

mod decode;
mod encode;

pub(crate) use decode::pack;
pub use decode::{decode, decode_at};
pub use encode::SenmlJson;

/// Encoder of SenML in JSON; see [`Encoder`](crate::Encoder).
pub type Encoder<S> = crate::Encoder<S, SenmlJson>;

/// Media type of the format, `application/senml+json`.
pub const CONTENT_TYPE: &str = crate::content_type::SENML_JSON;
