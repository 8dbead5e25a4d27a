//! `dump`: the backlog, one JSON object per line.

use std::io::Write;

use serde_json::{Map, Value, json};

use super::stats::{consumers, place_json};
use super::words;
use super::{Outcome, QueueDir, ToolError, inspect};
use crate::row::{Lane, Seq, StoredRow};
use crate::row_age::Expiry;

/// Form in which payloads are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Payload {
    /// As text where they are UTF-8, else in base64.
    #[default]
    Text,
    /// Payloads in base64.
    Base64,
    /// Payloads are left out.
    None,
}

/// Selection of a dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dump {
    /// Lane to show; all if `None`.
    pub lane: Option<Lane>,
    /// Rows from this number on.
    pub from: Seq,
    /// Most rows to show.
    pub limit: u64,
    /// Form in which payloads are shown.
    pub payload: Payload,
}

impl Default for Dump {
    fn default() -> Dump {
        Dump { lane: None, from: 1, limit: u64::MAX, payload: Payload::default() }
    }
}

/// Writes one object per line: the `store`, each `consumer`'s place per lane, each `gap` not yet reported, each `row`, each
/// stretch of `lost` rows met on the way.
///
/// # Errors
/// The directory cannot be looked into, or `out` not be written.
pub fn dump(dir: impl Into<QueueDir>, what: &Dump, out: &mut dyn Write) -> Result<Outcome, ToolError> {
    let mut found = inspect(dir.into())?;
    let gateway = found.state().gateway;
    let lanes: Vec<Lane> = (0..found.state().lanes)
        .map(Lane)
        .filter(|lane| what.lane.is_none_or(|only| only == *lane))
        .collect();
    line("store", Value::Object(words::headline_json(&found)), out)?;
    for consumer in consumers(&found) {
        for lane in &lanes {
            if let Some(place) = consumer.lanes.get(usize::from(lane.0)) {
                line("consumer", place_json(&consumer.name, lane.0, place), out)?;
            }
        }
    }
    for (consumer, gap) in found.gaps().filter(|(_, gap)| lanes.contains(&gap.lane)) {
        line("gap", words::gap_json(consumer, &gap), out)?;
    }
    let mut left = what.limit;
    for lane in lanes {
        if left == 0 {
            break;
        }
        found.each_row::<ToolError>(lane, what.from, |row| {
            line("row", row_json(gateway, row, what.payload), out)?;
            left -= 1;
            Ok(left > 0)
        })?;
    }
    for (lane, lost) in found.lost() {
        line("lost", words::lost_json(*lane, lost), out)?;
    }
    Ok(Outcome::of(found.is_whole()))
}

fn line(kind: &str, mut value: Value, out: &mut dyn Write) -> std::io::Result<()> {
    if let Some(map) = value.as_object_mut() {
        map.insert("type".into(), kind.into());
    }
    writeln!(out, "{}", words::json_line(&value))
}

fn row_json(gateway: u64, row: &StoredRow, payload: Payload) -> Value {
    let value = json!({
        "id": words::id(gateway, row),
        "lane": row.lane.0,
        "epoch": row.epoch,
        "seq": row.seq,
        "wall_ms": row.stamp.wall_ms,
        "up_ms": row.stamp.up_ms,
        "boot": format!("{:032x}", row.stamp.boot_id),
        "synced": row.stamp.synced,
        "ttl_ms": row.ttl_ms,
        "strict": row.expiry == Expiry::Strict,
        "weight": row.weight,
        "payload_bytes": row.payload.len(),
    });
    let Value::Object(mut map) = value else { return Value::Object(Map::new()) };
    words::put_bytes(&mut map, "key", &row.key);
    words::put_bytes(&mut map, "meta", &row.meta);
    match payload {
        Payload::Text => words::put_bytes(&mut map, "payload", &row.payload),
        Payload::Base64 => drop(map.insert("payload_base64".into(), words::base64(&row.payload).into())),
        Payload::None => {}
    }
    Value::Object(map)
}
