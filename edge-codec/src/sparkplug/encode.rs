//! Encoding of readings as Sparkplug payloads.

use super::metric::{UNIT_KEY, datatype};
use super::{quality, tag};
use crate::encoder::{Appended, Draft, Row, Wire};
use crate::protobuf::fields::{put_number, put_string, put_varint, varint_len};
use crate::{EncodeError, Header, Reading, Sensor, Sensors, Value};
use bytes::Bytes;

/// Marker type of an [`Encoder`](crate::Encoder) for Sparkplug B.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Sparkplug {
    naming: Naming,
    historical: bool,
    sent_ms: Option<u64>,
    seq: u8,
}

/// Fields by which a metric names its sensor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Naming {
    #[default]
    Name,
    Birth,
    Alias,
}

impl<S: Sensors> crate::Encoder<S, Sparkplug> {
    /// Writes metrics with name, alias and datatype, and the first one of each sensor with its unit: for NBIRTH and DBIRTH, and for payloads
    /// that must be complete in themselves.
    pub fn birth(mut self) -> Self {
        self.wire.naming = Naming::Birth;
        self
    }

    /// Writes metrics with the alias alone, which the birth has announced: for NDATA and DDATA.
    pub fn aliases(mut self) -> Self {
        self.wire.naming = Naming::Alias;
        self
    }

    /// Sets whether the readings of the next payloads are marked as historical, that is, sent late out of a backlog. Default: no.
    pub fn historical(mut self, historical: bool) -> Self {
        self.wire.historical = historical;
        self
    }

    /// Sets the `seq` of the next payload; the following ones count on and wrap at 256. Default 0, as a birth has it.
    pub fn first_seq(mut self, seq: u8) -> Self {
        self.wire.seq = seq;
        self
    }

    /// Sets the payload's own timestamp in milliseconds since the Unix epoch. Default: the time of its first reading.
    pub fn sent_at(mut self, sent_ms: u64) -> Self {
        self.wire.sent_ms = Some(sent_ms);
        self
    }
}

/// Returns a payload without metrics around bytes of another format, which `uuid` names (Sparkplug 3.0 §6.4.5).
#[must_use]
pub fn with_body(sent_ms: u64, seq: u8, uuid: &str, body: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(body.len() + uuid.len() + 32);
    put_number(&mut out, tag::TIMESTAMP, sent_ms);
    put_number(&mut out, tag::SEQ, seq.into());
    put_string(&mut out, tag::UUID, uuid.as_bytes());
    put_string(&mut out, tag::BODY, body);
    out.into()
}

/// Returns the payload of an NCMD that makes a node send its births again (Sparkplug 3.0 §6.4.23).
#[must_use]
pub fn rebirth_request(sent_ms: u64) -> Bytes {
    let (mut out, mut metric) = (Vec::with_capacity(48), Vec::with_capacity(32));
    put_string(&mut metric, tag::metric::NAME, b"Node Control/Rebirth");
    put_number(&mut metric, tag::metric::TIMESTAMP, sent_ms);
    put_number(&mut metric, tag::metric::DATATYPE, datatype::BOOLEAN.into());
    put_number(&mut metric, tag::metric::BOOLEAN, 1);
    put_number(&mut out, tag::TIMESTAMP, sent_ms);
    put_string(&mut out, tag::METRICS, &metric);
    out.into()
}

impl Wire for Sparkplug {
    type Body = Appended;

    fn check(&self, reading: &Reading<'_>, _: &Sensor<'_>) -> Result<(), EncodeError> {
        if reading.time < 0 {
            let (sensor, time) = (reading.sensor, reading.time);
            return Err(EncodeError::NotCarried {
                format: "Sparkplug",
                what: "a time before 1970",
                sensor,
                time,
            });
        }
        Ok(())
    }

    fn sensor(&self, _: &mut Appended, _: &Sensor<'_>, _: u8, _: bool) {}

    fn row(&self, body: &mut Appended, row: &Row<'_>) {
        let metric = self.metric(row);
        put_string(&mut body.rows, tag::METRICS, &metric);
    }

    fn number_len(_: u64) -> usize {
        0
    }

    fn frame_len(&self, _: &Header, draft: &Draft<Appended>) -> usize {
        let sent_ms = self.sent_ms(draft);
        1 + varint_len(sent_ms) + draft.body.rows.len() + 1 + varint_len(self.seq.into())
    }

    fn frame(&self, header: &Header, draft: &Draft<Appended>) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.frame_len(header, draft));
        put_number(&mut out, tag::TIMESTAMP, self.sent_ms(draft));
        out.extend_from_slice(&draft.body.rows);
        put_number(&mut out, tag::SEQ, self.seq.into());
        out
    }

    fn framed(&mut self) {
        self.seq = self.seq.wrapping_add(1);
    }
}

impl Sparkplug {
    fn sent_ms(&self, draft: &Draft<Appended>) -> u64 {
        // Times below 0 were refused.
        self.sent_ms.unwrap_or(draft.base_time.cast_unsigned())
    }

    fn metric(&self, row: &Row<'_>) -> Vec<u8> {
        use tag::metric as tag;
        let (reading, mut out) = (row.reading, Vec::with_capacity(64));
        if self.naming != Naming::Alias {
            put_string(&mut out, tag::NAME, row.sensor.name.as_bytes());
        }
        if self.naming != Naming::Name {
            put_number(&mut out, tag::ALIAS, reading.sensor.into());
        }
        put_number(&mut out, tag::TIMESTAMP, reading.time.cast_unsigned());
        if self.naming != Naming::Alias || sign_in_doubt(&reading.value) {
            put_number(&mut out, tag::DATATYPE, datatype(&reading.value).into());
        }
        if self.historical {
            put_number(&mut out, tag::IS_HISTORICAL, 1);
        }
        let has_unit = self.naming == Naming::Birth && row.new && !row.sensor.unit.is_empty();
        let unit = has_unit.then_some(row.sensor.unit.as_ref());
        properties(&mut out, reading.quality, unit);
        value(&mut out, &reading.value);
        out
    }
}

/// Returns whether a reader without the datatype could not tell if this integer is negative.
fn sign_in_doubt(value: &Value<'_>) -> bool {
    matches!(value, Value::I64(..0)) || matches!(value, Value::U64(v) if i64::try_from(*v).is_err())
}

fn datatype(value: &Value<'_>) -> u32 {
    match value {
        // A null has none of its own and must name one.
        Value::F64(_) | Value::Null => datatype::DOUBLE,
        Value::I64(_) => datatype::INT64,
        Value::U64(_) => datatype::UINT64,
        Value::Bool(_) => datatype::BOOLEAN,
        Value::Text(_) => datatype::STRING,
        Value::Bytes(_) => datatype::BYTES,
    }
}

/// Appends quality and unit as a PropertySet: first the keys, then the values. Nothing if the quality is good and no unit is given.
fn properties(out: &mut Vec<u8>, status: u32, unit: Option<&str>) {
    use tag::property as tag;
    let quality = quality::to_property(status);
    if quality.is_none() && unit.is_none() {
        return;
    }
    let (mut set, mut property) = (Vec::new(), Vec::new());
    if quality.is_some() {
        put_string(&mut set, tag::KEYS, quality::KEY.as_bytes());
    }
    if unit.is_some() {
        put_string(&mut set, tag::KEYS, UNIT_KEY.as_bytes());
    }
    if let Some(quality) = quality {
        put_number(&mut property, tag::TYPE, datatype::INT32.into());
        put_number(&mut property, tag::INT, quality.into());
        put_string(&mut set, tag::VALUES, &property);
    }
    if let Some(unit) = unit {
        property.clear();
        put_number(&mut property, tag::TYPE, datatype::STRING.into());
        put_string(&mut property, tag::STRING, unit.as_bytes());
        put_string(&mut set, tag::VALUES, &property);
    }
    put_string(out, super::tag::metric::PROPERTIES, &set);
}

fn value(out: &mut Vec<u8>, value: &Value<'_>) {
    use tag::metric as tag;
    match value {
        Value::F64(v) => {
            put_varint(out, u64::from(tag::DOUBLE) << 3 | 1);
            out.extend_from_slice(&v.to_bits().to_le_bytes());
        }
        Value::I64(v) => put_number(out, tag::LONG, v.cast_unsigned()),
        Value::U64(v) => put_number(out, tag::LONG, *v),
        Value::Bool(v) => put_number(out, tag::BOOLEAN, (*v).into()),
        Value::Text(v) => put_string(out, tag::STRING, v.as_bytes()),
        Value::Bytes(v) => put_string(out, tag::BYTES, v),
        Value::Null => put_number(out, tag::IS_NULL, 1),
    }
}
