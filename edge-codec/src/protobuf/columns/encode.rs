//! Encoding of readings as Protobuf columns.

use super::super::{envelope, fields};
use super::schema::{Kind, tag};
use crate::encoder::{Body, Draft, Row, Wire};
use crate::zigzag::zigzag;
use crate::{EncodeError, Header, Reading, Sensor, Value};
use fields::{LEN, put_string, put_varint, varint_len};

/// Marker type of an [`Encoder`](crate::Encoder) for Protobuf columns.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Columns;

impl Wire for Columns {
    type Body = Arrays;

    fn check(&self, _: &Reading<'_>, _: &Sensor<'_>) -> Result<(), EncodeError> {
        Ok(())
    }

    fn kind(&self, value: &Value<'_>) -> u8 {
        kind(value) as u8
    }

    fn sensor(&self, body: &mut Arrays, sensor: &Sensor<'_>, kind: u8, again: bool) {
        let text = |text: &'_ str| if again { Vec::new() } else { text.as_bytes().to_vec() };
        put_string(body.array(Part::Name), tag::NAME, &text(&sensor.name));
        put_string(body.array(Part::Unit), tag::UNIT, &text(&sensor.unit));
        put_varint(body.array(Part::Id), sensor.id.into());
        body.array(Part::Kind).push(kind);
        let state = &mut body.state;
        state.has_units |= !sensor.unit.is_empty();
        state.has_numbers |= sensor.id != state.entries;
        state.has_kinds |= kind != 0;
        state.entries += 1;
    }

    fn row(&self, body: &mut Arrays, row: &Row<'_>) {
        put_varint(body.array(Part::Sensor), row.entry as u64);
        let delta = row.since_base.wrapping_sub(body.state.since_base);
        body.state.since_base = row.since_base;
        put_varint(body.array(Part::Time), zigzag(delta));
        body.quality(row.reading.quality);
        match &row.reading.value {
            Value::F64(v) => body.array(Part::F64).extend_from_slice(&v.to_bits().to_le_bytes()),
            Value::I64(v) => put_varint(body.array(Part::I64), zigzag(*v)),
            Value::U64(v) => put_varint(body.array(Part::U64), *v),
            Value::Bool(v) => body.array(Part::Bool).push((*v).into()),
            Value::Text(v) => put_string(body.array(Part::Text), tag::TEXT, v.as_bytes()),
            Value::Bytes(v) => put_string(body.array(Part::Bytes), tag::BYTES, v),
            Value::Null => {}
        }
    }

    fn number_len(number: u64) -> usize {
        varint_len(number)
    }

    fn frame_len(&self, header: &Header, draft: &Draft<Arrays>) -> usize {
        let arrays = PARTS.into_iter().map(|part| draft.body.framed_len(part)).sum::<usize>();
        envelope::len(header, draft.base_time, &draft.runs) + arrays
    }

    fn frame(&self, header: &Header, draft: &Draft<Arrays>) -> Vec<u8> {
        let mut out = envelope::head(header, draft.base_time);
        envelope::put_runs(&mut out, &draft.runs);
        for part in PARTS.into_iter().filter(|part| draft.body.is_needed(*part)) {
            let framed = draft.body.framed_len(part);
            if let (Some(number), true) = (part.packed(), framed > 0) {
                put_varint(&mut out, u64::from(number) << 3 | LEN);
                put_varint(&mut out, draft.body.len(part) as u64);
            }
            out.extend_from_slice(&draft.body.arrays[part as usize]);
            if let (Part::Quality, Some((status, count))) = (part, draft.body.open_run()) {
                put_varint(&mut out, status);
                put_varint(&mut out, count);
            }
        }
        out
    }
}

fn kind(value: &Value<'_>) -> Kind {
    match value {
        Value::F64(_) => Kind::F64,
        Value::I64(_) => Kind::I64,
        Value::U64(_) => Kind::U64,
        Value::Bool(_) => Kind::Bool,
        Value::Text(_) => Kind::Text,
        Value::Bytes(_) => Kind::Bytes,
        Value::Null => Kind::Null,
    }
}

/// Arrays of the message, in the order in which they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Name,
    Unit,
    Sensor,
    Time,
    F64,
    I64,
    U64,
    Bool,
    Text,
    Bytes,
    Quality,
    Id,
    Kind,
}

const COUNT: usize = 13;
const PARTS: [Part; COUNT] = [
    Part::Name,
    Part::Unit,
    Part::Sensor,
    Part::Time,
    Part::F64,
    Part::I64,
    Part::U64,
    Part::Bool,
    Part::Text,
    Part::Bytes,
    Part::Quality,
    Part::Id,
    Part::Kind,
];

impl Part {
    /// Returns the field number of a packed array; `None` for texts and bytes, which carry theirs with every element.
    fn packed(self) -> Option<u32> {
        match self {
            Part::Name | Part::Unit | Part::Text | Part::Bytes => None,
            Part::Sensor => Some(tag::SENSOR),
            Part::Time => Some(tag::TIME),
            Part::F64 => Some(tag::F64),
            Part::I64 => Some(tag::I64),
            Part::U64 => Some(tag::U64),
            Part::Bool => Some(tag::BOOL),
            Part::Quality => Some(tag::QUALITY),
            Part::Id => Some(tag::ID),
            Part::Kind => Some(tag::KIND),
        }
    }
}

/// Arrays that are being filled.
#[derive(Debug, Default)]
pub struct Arrays {
    arrays: [Vec<u8>; COUNT],
    state: State,
}

/// State on which the encoding of the next reading depends.
#[derive(Clone, Copy, Debug, Default)]
pub struct State {
    since_base: i64,
    /// Run of equal qualities that is still open: StatusCode and count.
    quality: (u32, u64),
    entries: u32,
    /// True if a sensor has a unit. `has_numbers`: a number is not its entry's place; `has_kinds`: a kind is not double. Else the array is left
    /// out.
    has_units: bool,
    has_numbers: bool,
    has_kinds: bool,
}

impl Arrays {
    fn array(&mut self, part: Part) -> &mut Vec<u8> {
        &mut self.arrays[part as usize]
    }

    /// Returns whether the array must be written, because its absence would mean something else.
    fn is_needed(&self, part: Part) -> bool {
        match part {
            Part::Unit => self.state.has_units,
            Part::Id => self.state.has_numbers,
            Part::Kind => self.state.has_kinds,
            _ => true,
        }
    }

    fn len(&self, part: Part) -> usize {
        if !self.is_needed(part) {
            return 0;
        }
        let open = if part == Part::Quality { self.open_run() } else { None };
        let open = open.map_or(0, |(status, count)| varint_len(status) + varint_len(count));
        self.arrays[part as usize].len() + open
    }

    /// Returns the length of an array with its key and length field; 0 if it is left out.
    fn framed_len(&self, part: Part) -> usize {
        let len = self.len(part);
        match part.packed() {
            Some(number) if len > 0 => varint_len(u64::from(number) << 3) + varint_len(len as u64) + len,
            _ => len,
        }
    }

    /// Returns the last run of qualities, StatusCode and count; `None` if all readings are good.
    fn open_run(&self) -> Option<(u64, u64)> {
        let (status, count) = self.state.quality;
        let written = status != 0 || !self.arrays[Part::Quality as usize].is_empty();
        written.then_some((status.into(), count))
    }

    fn quality(&mut self, status: u32) {
        let (open, count) = self.state.quality;
        if open == status {
            self.state.quality.1 += 1;
            return;
        }
        if count > 0 {
            let closed = self.array(Part::Quality);
            put_varint(closed, open.into());
            put_varint(closed, count);
        }
        self.state.quality = (status, 1);
    }
}

impl Body for Arrays {
    type Mark = ([usize; COUNT], State);

    fn mark(&self) -> Self::Mark {
        (self.arrays.each_ref().map(Vec::len), self.state)
    }

    fn undo(&mut self, (lens, state): Self::Mark) {
        self.arrays.iter_mut().zip(lens).for_each(|(array, len)| array.truncate(len));
        self.state = state;
    }
}
