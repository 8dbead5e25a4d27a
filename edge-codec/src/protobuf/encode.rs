//! Readings to Protobuf.

use super::schema::{self, Head, ROWS, SENSORS, SEQS};
use super::{VERSION, fields};
use crate::encoder::{Draft, Wire};
use crate::{EncodeError, Header, Reading, Sensor, Value};
use prost::Message;

/// Marks an [`Encoder`](crate::Encoder) as one for Protobuf.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Protobuf;

impl Wire for Protobuf {
    fn check(&self, _: &Reading<'_>) -> Result<(), EncodeError> {
        Ok(())
    }

    fn sensor(&self, out: &mut Vec<u8>, sensor: &Sensor<'_>) {
        let entry = schema::Sensor {
            id: sensor.id,
            name: sensor.name.clone().into_owned(),
            unit: sensor.unit.clone().into_owned(),
        };
        append(out, SENSORS, &entry);
    }

    fn row(&self, out: &mut Vec<u8>, reading: &Reading<'_>, since_base: i64, _: &Sensor<'_>, _: bool) {
        let row = schema::Row {
            sensor: reading.sensor,
            time: since_base,
            value: Some(value(&reading.value)),
            quality: reading.quality,
        };
        append(out, ROWS, &row);
    }

    fn frame_len(&self, header: &Header, draft: &Draft) -> usize {
        let seqs = draft.runs.size(|n| self.number_len(n));
        let seqs = seqs.map_or(0, |(_, bytes)| 1 + self.number_len(bytes as u64) + bytes);
        head(header, draft).encoded_len() + draft.sensors.len() + draft.rows.len() + seqs
    }

    fn number_len(&self, number: u64) -> usize {
        prost::encoding::encoded_len_varint(number)
    }

    /// The parts of a message may simply follow each other (Protobuf encoding, "Last One Wins" and merging).
    fn frame(&self, header: &Header, draft: &Draft) -> Vec<u8> {
        let mut out = head(header, draft).encode_to_vec();
        out.extend_from_slice(&draft.sensors);
        out.extend_from_slice(&draft.rows);
        if let Some((_, bytes)) = draft.runs.size(|n| self.number_len(n)) {
            fields::put_varint(&mut out, u64::from(SEQS) << 3 | fields::LEN);
            fields::put_varint(&mut out, bytes as u64);
            draft.runs.numbers().for_each(|n| fields::put_varint(&mut out, n));
        }
        out
    }
}

fn head(header: &Header, draft: &Draft) -> Head {
    Head {
        version: VERSION,
        gateway: header.id.map(|id| id.gateway),
        lane: header.id.map(|id| id.lane.into()),
        epoch: header.id.map(|id| id.epoch),
        first_seq: header.id.map(|id| id.first_seq),
        pd: header.pd,
        base_time: draft.base_time,
    }
}

fn value(value: &Value<'_>) -> schema::Value {
    match value {
        Value::F64(v) => schema::Value::F64(*v),
        Value::I64(v) => schema::Value::I64(*v),
        Value::U64(v) => schema::Value::U64(*v),
        Value::Bool(v) => schema::Value::Bool(*v),
        Value::Text(v) => schema::Value::Text(v.clone().into_owned()),
        Value::Bytes(v) => schema::Value::Bytes(v.clone().into_owned()),
        Value::Null => schema::Value::Null(true),
    }
}

/// Appends an embedded message: tag, length, content. Writing to a `Vec` cannot fail.
fn append(out: &mut Vec<u8>, tag: u32, message: &impl Message) {
    fields::put_varint(out, u64::from(tag) << 3 | fields::LEN);
    let written = message.encode_length_delimited(out);
    debug_assert!(written.is_ok());
}
