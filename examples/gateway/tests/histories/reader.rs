//! A reader at the hub: the public decoder, the content type, and the session tables that the hub has shown it.

use edge_codec::compact::{Table, table_wanted};
use edge_codec::{Batch, Format, Limits};
use serde::Deserialize;

use super::record::{Gap, Records, Row, Value, Whole};
use super::support::mosquitto::Arrived;

/// Told by the judge's own publisher.
pub(crate) const PROBE: &str = "probe/";

/// Adds to the records what one reader got; a hub that was killed is another one's. Batches wait for their table, as those
/// of `edge-decode subscribe` do.
pub(crate) fn read(arrived: &[Arrived], records: &mut Records) {
    let mut tables = Vec::new();
    for message in arrived.iter().filter(|message| message.topic.contains("/table/")) {
        match Table::decode(&message.bytes, &Limits::default()) {
            Ok(table) => tables.push(table),
            Err(why) => records.unreadable.push(format!("{}: {why}", message.topic)),
        }
    }
    for message in arrived {
        let topic = message.topic.as_str();
        if topic.contains("/table/") || topic.starts_with(PROBE) {
            continue;
        }
        let read = match topic {
            _ if topic.ends_with("/$gap") => gaps(message, records),
            _ if topic.starts_with("out/") => batch(message, &tables, records),
            _ => {
                records.wholes.push(whole(message));
                Ok(())
            }
        };
        if let Err(why) = read {
            let format = &message.content_type;
            records.unreadable.push(format!("{topic}, {format}, {} bytes: {why}", message.bytes.len()));
        }
    }
}

/// As `docs/guide/hub.md` says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Report {
    id: String,
    gateway: String,
    gaps: Vec<ReportedGap>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReportedGap {
    lane: u8,
    lane_name: String,
    reason: String,
    count: u64,
    first_seq: u64,
    last_seq: u64,
    first_ms: i64,
    last_ms: i64,
}

fn gaps(message: &Arrived, records: &mut Records) -> Result<(), String> {
    if message.content_type != "application/vnd.edge.gaps+json" {
        return Err("content type".to_owned());
    }
    let report: Report = serde_json::from_slice(&message.bytes).map_err(|error| error.to_string())?;
    let gateway = u64::from_str_radix(&report.gateway, 16).map_err(|error| error.to_string())?;
    let of_others = records.rows.first().is_some_and(|row| row.id.0 != gateway);
    if report.id != "g" || of_others || report.gaps.is_empty() {
        return Err(format!("{}, {gateway:x}", report.id));
    }
    for gap in report.gaps {
        let ReportedGap { lane, lane_name, reason, count, first_seq, last_seq, first_ms, last_ms } = gap;
        if lane_name.is_empty() || first_ms <= 0 || last_ms < first_ms {
            return Err(format!("lane {lane_name}, {first_ms} to {last_ms}"));
        }
        records.gaps.push(Gap { lane, reason, first_seq, last_seq, count });
    }
    Ok(())
}

fn whole(message: &Arrived) -> Whole {
    let property = |name: &str| {
        let after = message.user_properties.split(&format!("{name}:")).nth(1);
        after.and_then(|after| after.split(' ').next()).unwrap_or_default().to_owned()
    };
    Whole {
        id: property("edge-id"),
        pd: property("edge-pd") == "1",
        topic: message.topic.clone(),
        payload: message.payload.clone(),
    }
}

fn batch(message: &Arrived, tables: &[Table], records: &mut Records) -> Result<(), String> {
    let limits = Limits::default();
    let format = Format::for_content_type(&message.content_type).ok_or("content type")?;
    let wanted = match format {
        Format::Compact => table_wanted(&message.bytes, &limits).map_err(|error| error.to_string())?,
        _ => None,
    };
    let batch = match wanted {
        None => format.decode(&message.bytes, &limits),
        Some(id) => {
            let table = tables.iter().find(|table| table.id() == id).ok_or("no such table")?;
            table.decode_batch(&message.bytes, &limits)
        }
    };
    rows(batch.map_err(|error| error.to_string())?, records)
}

fn rows(mut batch: Batch<'_>, records: &mut Records) -> Result<(), String> {
    let header = *batch.header();
    let id = header.id.ok_or("no identity")?;
    let names = batch.sensors().clone();
    let number = records.rows.last().map_or(0, |row| row.batch + 1);
    while let Some(seq) = batch.next_seq() {
        let reading = batch.next().ok_or("a number without a reading")?.map_err(|error| error.to_string())?;
        let sensor = names.get(reading.sensor).ok_or("a sensor without a name")?;
        records.rows.push(Row {
            id: (id.gateway, id.lane, id.epoch, seq),
            pd: header.pd,
            batch: number,
            sensor: sensor.name.to_string(),
            time: reading.time,
            value: value(&reading.value)?,
            quality: reading.quality,
            unit: sensor.unit.to_string(),
        });
    }
    match batch.next() {
        None => Ok(()),
        Some(_) => Err("a reading without a number".to_owned()),
    }
}

fn value(value: &edge_codec::Value<'_>) -> Result<Value, String> {
    use edge_codec::Value as Read;
    Ok(match value {
        Read::F64(value) => Value::Float(*value),
        Read::I64(value) => Value::Int(*value),
        Read::U64(value) => Value::Int(i64::try_from(*value).map_err(|_| format!("{value} was never sent"))?),
        Read::Bool(value) => Value::Bool(*value),
        Read::Text(value) => Value::Text(value.to_string()),
        Read::Null => Value::Null,
        Read::Bytes(_) => return Err("bytes were never sent".to_owned()),
    })
}
