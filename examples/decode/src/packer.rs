//! Encoder of the chosen format; its batches fit into a frame.

use std::sync::Arc;

use bytes::Bytes;
use edge_codec::compact::{self, Table};
use edge_codec::{BatchEncoder, EncodeError, Format, SensorTable};

use crate::frames::PAYLOAD_BYTES_MAX;

/// References of a compact batch to its sensors.
#[derive(Clone, Debug)]
pub(crate) enum Sensors {
    InTheBatch,
    InTable(Arc<Table>),
}

/// Makes an encoder; `level` and `sensors` are for compact batches.
pub(crate) fn encoder(
    format: Format,
    level: compact::Level,
    names: &SensorTable<'static>,
    sensors: &Sensors,
) -> Result<Box<dyn BatchEncoder>, EncodeError> {
    Ok(match (format, sensors) {
        (Format::Compact, Sensors::InTheBatch) => Box::new(compact::Encoder::new(names.clone()).level(level)),
        (Format::Compact, Sensors::InTable(table)) => {
            Box::new(compact::Encoder::with_table(table.clone()).level(level))
        }
        // Sparkplug payloads are births, with names and units in each: they can be read alone.
        (other, _) => other.encoder(names.clone())?,
    })
}

/// Encodes everything that waits, in one batch unless that would be too large for a frame; then in the next calls.
pub(crate) fn finish(encoder: &mut dyn BatchEncoder) -> Result<Option<Bytes>, EncodeError> {
    if encoder.is_empty() { Ok(None) } else { encoder.finish_under(PAYLOAD_BYTES_MAX).map(Some) }
}
