//! Encoding of readings as Protobuf rows.

use super::schema::{self, ROWS, SENSORS};
use super::{envelope, fields};
use crate::encoder::{Appended, Draft, Row, Wire};
use crate::{EncodeError, Header, Reading, Sensor, Value};
use prost::Message;

/// Marker type of an [`Encoder`](crate::Encoder) for Protobuf rows.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Protobuf;

impl Wire for Protobuf {
    type Body = Appended;

    fn check(&self, _: &Reading<'_>, _: &Sensor<'_>) -> Result<(), EncodeError> {
        Ok(())
    }

    fn sensor(&self, body: &mut Appended, sensor: &Sensor<'_>, _: u8, _: bool) {
        let out = &mut body.sensors;
        let entry = schema::Sensor {
            id: sensor.id,
            name: sensor.name.clone().into_owned(),
            unit: sensor.unit.clone().into_owned(),
        };
        append(out, SENSORS, &entry);
    }

    fn row(&self, body: &mut Appended, row: &Row<'_>) {
        let (out, reading, since_base) = (&mut body.rows, row.reading, row.since_base);
        let row = schema::Row {
            sensor: reading.sensor,
            time: since_base,
            value: Some(value(&reading.value)),
            quality: reading.quality,
        };
        append(out, ROWS, &row);
    }

    fn frame_len(&self, header: &Header, draft: &Draft<Appended>) -> usize {
        let outer = envelope::len(header, draft.base_time, &draft.runs);
        outer + draft.body.sensors.len() + draft.body.rows.len()
    }

    fn number_len(number: u64) -> usize {
        fields::varint_len(number)
    }

    /// Joins the parts of the message, which may simply follow each other (Protobuf encoding, "Last One Wins" and merging).
    fn frame(&self, header: &Header, draft: &Draft<Appended>) -> Vec<u8> {
        let mut out = envelope::head(header, draft.base_time);
        out.extend_from_slice(&draft.body.sensors);
        out.extend_from_slice(&draft.body.rows);
        envelope::put_runs(&mut out, &draft.runs);
        out
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

/// Appends an embedded message as tag, length and content. Writing to a `Vec` cannot fail.
fn append(out: &mut Vec<u8>, tag: u32, message: &impl Message) {
    fields::put_varint(out, u64::from(tag) << 3 | fields::LEN);
    let written = message.encode_length_delimited(out);
    debug_assert!(written.is_ok());
}
