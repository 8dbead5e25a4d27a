#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]
// The README's examples need every format.
#![cfg_attr(
    all(feature = "senml", feature = "sparkplug", feature = "influx"),
    doc = include_str!("../README.md")
)]
#![cfg_attr(
    not(all(feature = "senml", feature = "sparkplug", feature = "influx")),
    doc = "Sensor readings in standard formats behind one batch model, with limits on every decoder.\n\n# Features\n\nThis page is of a build without \
           some of the formats: JSON, CBOR, Protobuf, SenML, Sparkplug, line protocol and the compact batch are features."
)]

mod batch;
mod batch_encoder;
mod encoder;
mod error;
mod format;
mod identity;
mod limits;
mod model;
mod number_text;
mod record;
mod sensors;
mod seq_runs;
mod series;
#[cfg(any(feature = "json", feature = "influx"))]
mod text;
#[cfg(any(feature = "compact", feature = "protobuf"))]
mod zigzag;

pub mod base64;
#[cfg(feature = "cbor")]
pub mod cbor;
#[cfg(feature = "compact")]
pub mod compact;
#[cfg(feature = "influx")]
pub mod influx;
#[cfg(feature = "json")]
pub mod json;
pub mod plain_value;
#[cfg(feature = "protobuf")]
pub mod protobuf;
#[cfg(feature = "senml")]
pub mod senml;
#[cfg(feature = "sparkplug")]
pub mod sparkplug;

pub use batch::Batch;
pub use batch_encoder::BatchEncoder;
pub use encoder::Encoder;
pub use error::{DecodeError, EncodeError};
pub use format::{Codec, Format, content_type};
pub use identity::{BatchId, Header, ParseBatchIdError};
pub use limits::Limits;
pub use model::{Reading, Value, quality};
pub use record::{Record, Source};
pub use sensors::{Sensor, SensorTable, Sensors};
pub use series::{Series, SeriesValues};

/// Refuses an input above [`Limits::bytes`], which every decoder does first.
fn check_input(input: &[u8], limits: &Limits) -> Result<(), DecodeError> {
    let (limit, found) = (limits.bytes, input.len() as u64);
    if input.len() > limit {
        return Err(DecodeError::Limit { what: "input bytes", offset: limit, limit, found });
    }
    Ok(())
}

/// Returns the input as text; refuses an input that is not UTF-8.
fn input_text(input: &[u8]) -> Result<&str, DecodeError> {
    std::str::from_utf8(input)
        .map_err(|e| DecodeError::Malformed { offset: e.valid_up_to(), what: "text is not UTF-8".into() })
}
