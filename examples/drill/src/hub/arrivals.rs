//! Lines of the record from what arrives at the hub: one per message, or per reading of a batch.

use std::borrow::Cow;

use edge_bridge::bridge::{identity_text, is_possible_duplicate};
use edge_bridge::wire::{PropertyId, Publish};
use edge_codec::{BatchId, Format, Value};

use crate::record::{Arrived, Class, Reading, sha256_hex};
use crate::tables::Tables;

/// Batches of the shipped configuration's readings.
pub(super) const READINGS_TOPIC: &str = "site7/readings";
/// Batches of the route that the drill adds. Beside these two everything is `raw`.
pub(crate) const FILTERED_TOPIC: &str = "site7/filtered";
/// Level between the topic of batches and the gateway's name in the topic of their session table.
const TABLE_LEVEL: &str = "/table/";

fn is_batch(topic: &str) -> bool {
    [READINGS_TOPIC, FILTERED_TOPIC].contains(&topic)
}

pub(super) fn is_table(topic: &str) -> bool {
    topic.split_once(TABLE_LEVEL).is_some_and(|(batches, _)| is_batch(batches))
}

/// Makes a line of the record for each message, or for each reading of a batch. A batch that cannot be read brings none: its readings then count as
/// lost.
pub(super) fn arrivals(
    publish: &Publish,
    time: i64,
    tables: &Tables,
) -> Result<Vec<Arrived>, edge_codec::DecodeError> {
    let topic = publish.topic.as_str();
    let arrived = Arrived {
        class: Class::Raw,
        client: topic.rsplit('/').next().map(str::to_owned),
        topic: topic.to_owned(),
        sha256: sha256_hex(&publish.payload),
        time,
        id: identity_text(&publish.properties).map(Cow::into_owned),
        pd: publish.dup || is_possible_duplicate(&publish.properties),
        reading: None,
    };
    let content_type = publish.properties.str(PropertyId::ContentType);
    if is_batch(topic) {
        readings(&publish.payload, &arrived, tables, filtered)
    } else if content_type == Some(Format::Compact.content_type()) {
        readings(&publish.payload, &arrived, tables, counted)
    } else {
        Ok(vec![arrived])
    }
}

/// Makes a reading's line of those of its message, of its sensor and of what was measured.
type Line = fn(Arrived, String, &edge_codec::Reading<'_>) -> Arrived;

fn filtered(message: Arrived, sensor: String, row: &edge_codec::Reading<'_>) -> Arrived {
    let (value, text) = match &row.value {
        Value::F64(value) => (*value, None),
        Value::I64(value) => (*value as f64, None),
        Value::Text(text) => (f64::NAN, Some(text.to_string())),
        // No sensor of the drill sends anything else: such a reading stands for none of theirs.
        _ => (f64::NAN, None),
    };
    let reading = Reading { sensor: sensor.clone(), event_time: row.time, value, text, quality: row.quality };
    Arrived { class: Class::Filtered, client: Some(sensor), reading: Some(reading), ..message }
}

/// A message that was a plain number, and came in a batch of another gateway's: its sensor is named by its topic.
fn counted(message: Arrived, sensor: String, row: &edge_codec::Reading<'_>) -> Arrived {
    let text = match &row.value {
        Value::F64(value) => value.to_string(),
        Value::I64(value) => value.to_string(),
        _ => String::new(),
    };
    let client = sensor.rsplit('/').next().map(str::to_owned);
    Arrived { client, topic: sensor, sha256: sha256_hex(text.as_bytes()), ..message }
}

fn readings(
    payload: &[u8],
    message: &Arrived,
    tables: &Tables,
    line: Line,
) -> Result<Vec<Arrived>, edge_codec::DecodeError> {
    let mut batch = tables.decode(payload)?;
    let header = *batch.header();
    let mut readings = Vec::new();
    loop {
        // The identity of the row, not of the batch: after a broken link the same rows may be cut into other batches.
        let id =
            header.id.zip(batch.next_seq()).map(|(id, first_seq)| BatchId { first_seq, ..id }.to_string());
        let Some(row) = batch.next().transpose()? else { return Ok(readings) };
        let sensor =
            batch.sensors().get(row.sensor).map_or_else(String::new, |sensor| sensor.name.to_string());
        readings.push(line(Arrived { id, pd: header.pd || message.pd, ..message.clone() }, sensor, &row));
    }
}
