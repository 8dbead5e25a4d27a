//! Decoding of JSON batches into readings.

#![deny(clippy::indexing_slicing)]

use super::FieldMap;
use super::import::{Defaults, ReadingArray, read};
use super::reading_place::reading_place;
use super::visit::{Key, Node, Purpose, Scalar};
use super::visitor_state::Guard;
use crate::batch::Rows;
use crate::seq_runs::{check_runs, seqs};
use crate::{Batch, DecodeError, Header, Limits, Reading, Record, Sensor, SensorTable, Value};
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

/// Decodes a batch. JSON names sensors by text, so the decoder numbers them: 0, 1, … in the order of first appearance, one number per pair of
/// name and unit.
///
/// # Errors
/// Any [`DecodeError`] for input that the [`limits`](Limits) or the layout of this module do not allow.
pub fn decode<'a>(input: &'a [u8], limits: &Limits) -> Result<Batch<'a>, DecodeError> {
    let map = FieldMap::batch();
    let BatchObject { header, runs, records } =
        read(input, &map, limits, |guard, deserializer| BatchVisitor { guard }.deserialize(deserializer))?;
    let (sensors, readings) = intern(records, limits.sensors, input)?;
    let seqs = seqs(input.len(), &header, runs, readings.len())?;
    Ok(Batch {
        header,
        sensors: sensors.into(),
        left: readings.len(),
        seqs,
        skipped: 0,
        rows: Rows::Ready(readings.into_iter()),
    })
}

/// Content of the batch's outer object.
struct BatchObject<'a> {
    header: Header,
    runs: Option<Vec<u64>>,
    records: Vec<Record<'a>>,
}

type NumberedReadings<'a> = (SensorTable<'a>, Vec<Reading<'a>>);

fn intern<'a>(
    records: Vec<Record<'a>>,
    limit: usize,
    input: &[u8],
) -> Result<NumberedReadings<'a>, DecodeError> {
    let mut numbers: HashMap<(Cow<'a, str>, Cow<'a, str>), u32> = HashMap::new();
    let mut readings = Vec::with_capacity(records.len());
    for (at, mut record) in records.into_iter().enumerate() {
        let next = numbers.len();
        let key = (std::mem::take(&mut record.sensor), std::mem::take(&mut record.unit));
        let number = match numbers.get(&key) {
            Some(number) => *number,
            None => {
                let number = u32::try_from(next).ok().filter(|_| next < limit);
                let number = number.ok_or_else(|| {
                    let (offset, found) = (reading_place(input, at), next as u64 + 1);
                    DecodeError::Limit { what: "sensors", offset, limit, found }
                })?;
                numbers.insert(key, number);
                number
            }
        };
        readings.push(record.into_reading(number));
    }
    let list = numbers.into_iter().map(|((name, unit), id)| Sensor { id, name, unit }).collect();
    let table = SensorTable::from_unsorted(list).map_err(|twice| DecodeError::Duplicate {
        offset: input.len(),
        field: format!("sensor {twice}").into(),
    })?;
    Ok((table, readings))
}

/// Visitor of the batch's outer object.
struct BatchVisitor<'g, 'de, 'm> {
    guard: &'g mut Guard<'de, 'm>,
}

impl<'de> DeserializeSeed<'de> for BatchVisitor<'_, 'de, '_> {
    type Value = BatchObject<'de>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for BatchVisitor<'_, 'de, '_> {
    type Value = BatchObject<'de>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a batch object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let guard = self.guard;
        guard.check_depth(1)?;
        let (mut header, mut runs, mut records) = (Header::default(), None, None);
        let this = guard.open();
        while access.next_key_seed(Key { guard, object: this })?.is_some() {
            match guard.last_key() {
                "id" => {
                    let scalar = access.next_value_seed(Scalar { guard, role: None })?;
                    header.id = id(guard, &scalar)?;
                }
                "pd" => {
                    let scalar = access.next_value_seed(Scalar { guard, role: None })?;
                    header.pd = pd(guard, &scalar)?;
                }
                "seqs" => runs = Some(access.next_value_seed(RunList { guard, level: 2 })?),
                "readings" => {
                    let defaults = Defaults { sensor: None, arrival_ms: None };
                    records = Some(access.next_value_seed(ReadingArray { guard, level: 2, defaults })?);
                }
                _ => access.next_value_seed(Node { guard, level: 1, purpose: Purpose::Nothing })?,
            }
        }
        guard.close(this);
        match records {
            Some(records) => Ok(BatchObject { header, runs, records }),
            None => Err(guard.missing("readings".into())),
        }
    }
}

/// Seed that reads the array of run lengths. `level`: its depth in the input.
pub(crate) struct RunList<'g, 'de, 'm> {
    pub(crate) guard: &'g mut Guard<'de, 'm>,
    pub(crate) level: usize,
}

impl<'de> DeserializeSeed<'de> for RunList<'_, 'de, '_> {
    type Value = Vec<u64>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for RunList<'_, 'de, '_> {
    type Value = Vec<u64>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of whole numbers")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        self.guard.check_depth(self.level)?;
        let mut runs = Vec::new();
        while let Some(number) = access.next_element::<u64>()? {
            runs.push(number);
            if let Err(error) = check_runs(0, runs.len(), self.guard.limits) {
                return Err(self.guard.fail(error));
            }
        }
        Ok(runs)
    }
}

fn id<E: de::Error>(guard: &mut Guard<'_, '_>, scalar: &Value<'_>) -> Result<Option<crate::BatchId>, E> {
    let parsed = match scalar {
        Value::Null => return Ok(None),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    };
    parsed.map(Some).ok_or_else(|| guard.malformed("id is not gateway-lane-epoch-seq in hexadecimal"))
}

fn pd<E: de::Error>(guard: &mut Guard<'_, '_>, scalar: &Value<'_>) -> Result<bool, E> {
    match scalar {
        Value::I64(1) | Value::Bool(true) => Ok(true),
        Value::I64(0) | Value::Bool(false) | Value::Null => Ok(false),
        _ => Err(guard.malformed("pd is not 0 or 1")),
    }
}
