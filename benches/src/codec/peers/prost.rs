//! prost by derive, over the schemas that edge-codec publishes: what a generated reader and writer of any language do.

use edge_codec::protobuf::{self, columns};
use edge_codec::{Reading, SensorTable};
use prost::Message;

pub(in super::super) type Rows = protobuf::schema::Batch;
pub(in super::super) type Columns = columns::schema::Batch;

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// A batch as the message that an application would fill.
pub(in super::super) fn rows(
    readings: &[Reading<'_>],
    sensors: &SensorTable<'static>,
) -> Result<Rows, String> {
    let mut encoder = protobuf::Encoder::new(sensors);
    readings.iter().try_for_each(|r| encoder.push(r)).map_err(text)?;
    decode(&encoder.finish_under(usize::MAX).map_err(text)?)
}

/// The same as packed arrays.
pub(in super::super) fn columns(
    readings: &[Reading<'_>],
    sensors: &SensorTable<'static>,
) -> Result<Columns, String> {
    let mut encoder = columns::Encoder::new(sensors);
    readings.iter().try_for_each(|r| encoder.push(r)).map_err(text)?;
    decode(&encoder.finish_under(usize::MAX).map_err(text)?)
}

pub(in super::super) fn encode(message: &impl Message) -> Vec<u8> {
    message.encode_to_vec()
}

pub(in super::super) fn decode<M: Message + Default>(bytes: &[u8]) -> Result<M, String> {
    M::decode(bytes).map_err(text)
}
