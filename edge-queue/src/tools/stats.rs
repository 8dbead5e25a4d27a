//! `stats`: figures of the backlog, by lane and by consumer, with the age of the oldest row.

use std::io::Write;

use serde_json::{Map, Value, json};

use super::words;
use super::{Outcome, QueueDir, ToolError, inspect};
use crate::inspect::Inspection;
use crate::row::{Lane, StoredRow};
use crate::row_age::age_ms;
use crate::state::{ConsumerState, Position, Reason};
use crate::time::Now;
use crate::transfer::LaneTotals;

/// Writes figures per lane and consumer; reads every row. `now` gives the age of the oldest row, which is unknown when the
/// machine was restarted and its clock not synchronised.
///
/// # Errors
/// The directory cannot be looked into, or `out` not be written.
pub fn stats(
    dir: impl Into<QueueDir>,
    json: bool,
    now: &Now,
    out: &mut dyn Write,
) -> Result<Outcome, ToolError> {
    let mut found = inspect(dir.into())?;
    let mut lanes = Vec::new();
    for lane in (0..found.state().lanes).map(Lane) {
        let (mut totals, mut oldest) = (LaneTotals::default(), None);
        found.each_row::<ToolError>(lane, 1, |row| {
            totals.add(row);
            oldest.get_or_insert_with(|| row.clone());
            Ok(true)
        })?;
        lanes.push((totals, oldest));
    }
    if json { as_json(&found, &lanes, now, out) } else { as_text(&found, &lanes, now, out) }?;
    Ok(Outcome::of(found.is_whole()))
}

type Found = (LaneTotals, Option<StoredRow>);

fn as_text(found: &Inspection, lanes: &[Found], now: &Now, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(out, "{}", words::headline(found))?;
    writeln!(out, "file {}", words::size(found.file_bytes()))?;
    for (lane, (totals, oldest)) in lanes.iter().enumerate() {
        write!(out, "{}", words::lane(lane, totals))?;
        if let Some(region) = found.regions().get(lane) {
            let (used, all) = (region.used, region.used + region.free);
            write!(out, "; {used} of {all} segments of {} used", words::size(region.segment_bytes))?;
        }
        match oldest.as_ref().map(|row| age_ms(&row.stamp, now)) {
            Some(Some(age)) => writeln!(out, "; oldest {} s", age / 1000)?,
            Some(None) => writeln!(out, "; oldest of unknown age")?,
            None => writeln!(out)?,
        }
    }
    for consumer in consumers(found) {
        for (lane, place) in (0..found.state().lanes).zip(&consumer.lanes) {
            let dropped: u64 = place.dropped.total();
            writeln!(
                out,
                "consumer {} lane {lane}: {} queued of {} accepted, {} delivered, {} moved, {dropped} dropped; done below {} and in {} \
                 ranges above; {} losses to report",
                consumer.name.escape_debug(),
                queued(place),
                place.accepted,
                place.delivered,
                place.moved,
                place.floor.max(1),
                place.acked.len(),
                place.gaps.len()
            )?;
        }
    }
    found.damage().iter().try_for_each(|what| writeln!(out, "damaged: {what}"))?;
    found.lost().iter().try_for_each(|(lane, lost)| writeln!(out, "damaged: {}", words::lost(*lane, lost)))
}

fn as_json(found: &Inspection, lanes: &[Found], now: &Now, out: &mut dyn Write) -> std::io::Result<()> {
    let mut map = words::headline_json(found);
    let rows = lanes.iter().enumerate().map(|(lane, (totals, oldest))| {
        let mut value = words::lane_json(lane, totals);
        let age = oldest.as_ref().and_then(|row| age_ms(&row.stamp, now));
        if let Some(map) = value.as_object_mut() {
            map.insert("oldest_age_ms".into(), age.into());
            map.insert("oldest_seq".into(), oldest.as_ref().map(|row| row.seq).into());
            if let Some(region) = found.regions().get(lane) {
                map.insert("segment_bytes".into(), region.segment_bytes.into());
                map.insert("segments_used".into(), region.used.into());
                map.insert("segments_free".into(), region.free.into());
            }
        }
        value
    });
    let lost = found.lost().iter().map(|(lane, lost)| words::lost_json(*lane, lost));
    let all = consumers(found)
        .flat_map(|c| (0..found.state().lanes).zip(&c.lanes).map(|(l, p)| (c.name.as_str(), l, p)));
    map.insert("file_bytes".into(), found.file_bytes().into());
    map.insert("rows".into(), Value::Array(rows.collect()));
    map.insert("lost".into(), Value::Array(lost.collect()));
    map.insert(
        "consumers".into(),
        Value::Array(all.map(|(name, lane, place)| place_json(name, lane, place)).collect()),
    );
    writeln!(out, "{}", words::json_line(&Value::Object(map)))
}

/// Returns one consumer's cursor and ledger in one lane as JSON.
pub(super) fn place_json(consumer: &str, lane: u8, place: &Position) -> Value {
    let count = |reason: Reason| place.dropped.for_reason(reason);
    let dropped: Map<String, Value> =
        Reason::ALL.into_iter().map(|reason| (reason.name().to_owned(), count(reason).into())).collect();
    json!({
        "consumer": consumer,
        "lane": lane,
        "floor": place.floor.max(1),
        "ranges": place.acked.iter().collect::<Vec<_>>(),
        "accepted": place.accepted,
        "delivered": place.delivered,
        "moved": place.moved,
        "queued": queued(place),
        "dropped": dropped,
        "gaps": place.gaps.len(),
    })
}

/// Iterates over the named consumers; the unnamed placeholder keeps a cursor for the next first consumer.
pub(super) fn consumers(found: &Inspection) -> impl Iterator<Item = &ConsumerState> {
    found.state().consumers.iter().filter(|consumer| !consumer.name.is_empty())
}

fn queued(place: &Position) -> u64 {
    place.accepted.saturating_sub(place.settled())
}
