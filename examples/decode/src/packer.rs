//! One encoder, whatever the format.

use std::sync::Arc;

use bytes::Bytes;
use edge_codec::compact::{self, Table};
use edge_codec::{
    BatchId, EncodeError, Format, Reading, SensorTable, cbor, json, protobuf, senml, sparkplug,
};

use crate::frames::PAYLOAD_BYTES_MAX;

type Names = SensorTable<'static>;

/// Collects readings of one batch.
pub(crate) enum Packer {
    Compact(Box<compact::Encoder<Names>>),
    Json(json::Encoder<Names>),
    Cbor(cbor::Encoder<Names>),
    Protobuf(protobuf::Encoder<Names>),
    Columns(protobuf::columns::Encoder<Names>),
    SenmlJson(senml::json::Encoder<Names>),
    SenmlCbor(senml::cbor::Encoder<Names>),
    Sparkplug(sparkplug::Encoder<Names>),
}

macro_rules! each {
    ($packer:expr, $encoder:ident => $do:expr) => {
        match $packer {
            Packer::Compact($encoder) => $do,
            Packer::Json($encoder) => $do,
            Packer::Cbor($encoder) => $do,
            Packer::Protobuf($encoder) => $do,
            Packer::Columns($encoder) => $do,
            Packer::SenmlJson($encoder) => $do,
            Packer::SenmlCbor($encoder) => $do,
            Packer::Sparkplug($encoder) => $do,
        }
    };
}

/// References of a compact batch to its sensors.
#[derive(Clone, Debug)]
pub(crate) enum Sensors {
    InTheBatch,
    InTable(Arc<Table>),
}

impl Packer {
    /// `level` and `sensors` are for compact batches. `None`: a format of a newer codec.
    pub(crate) fn new(
        format: Format,
        level: compact::Level,
        names: &Names,
        sensors: &Sensors,
    ) -> Option<Self> {
        let names = names.clone();
        Some(match format {
            Format::Compact => {
                let encoder = compact::Encoder::new(level);
                Self::Compact(Box::new(match sensors {
                    Sensors::InTheBatch => encoder.sensors(names),
                    Sensors::InTable(table) => encoder.table(table.clone()),
                }))
            }
            Format::Json => Self::Json(json::Encoder::new(names)),
            Format::Cbor => Self::Cbor(cbor::Encoder::new(names)),
            Format::Protobuf => Self::Protobuf(protobuf::Encoder::new(names)),
            Format::Columns => Self::Columns(protobuf::columns::Encoder::new(names)),
            Format::SenmlJson => Self::SenmlJson(senml::json::Encoder::new(names)),
            Format::SenmlCbor => Self::SenmlCbor(senml::cbor::Encoder::new(names)),
            // Names and units in every payload, as births have them: each can be read alone.
            Format::Sparkplug => Self::Sparkplug(sparkplug::Encoder::new(names).birth()),
            _ => return None,
        })
    }

    /// Sets the identity of the first reading to come, in the formats that carry one.
    pub(crate) fn id(self, id: BatchId) -> Self {
        match self {
            Self::Compact(encoder) => Self::Compact(Box::new(encoder.id(id))),
            Self::Json(encoder) => Self::Json(encoder.id(id)),
            Self::Cbor(encoder) => Self::Cbor(encoder.id(id)),
            Self::Protobuf(encoder) => Self::Protobuf(encoder.id(id)),
            Self::Columns(encoder) => Self::Columns(encoder.id(id)),
            Self::SenmlJson(encoder) => Self::SenmlJson(encoder.id(id)),
            Self::SenmlCbor(encoder) => Self::SenmlCbor(encoder.id(id)),
            Self::Sparkplug(encoder) => Self::Sparkplug(encoder),
        }
    }

    pub(crate) fn push(&mut self, reading: &Reading<'_>) -> Result<(), EncodeError> {
        each!(self, encoder => encoder.push(reading))
    }

    pub(crate) fn len(&self) -> usize {
        each!(self, encoder => encoder.len())
    }

    /// Everything that waits, in one batch unless that would be too large for a frame; then in the next calls.
    pub(crate) fn finish(&mut self) -> Result<Option<Bytes>, EncodeError> {
        if self.len() == 0 {
            return Ok(None);
        }
        each!(self, encoder => encoder.finish_under(PAYLOAD_BYTES_MAX)).map(Some)
    }
}
