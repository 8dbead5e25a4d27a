//! `check`: reports whether every row of a queue can be read.

use std::io::Write;

use serde_json::Value;

use super::words;
use super::{Outcome, QueueDir, ToolError, inspect};
use crate::inspect::{InspectError, Inspection};
use crate::row::{LANES_MAX, Lane};
use crate::transfer::LaneTotals;

/// Reads every row and reports the damage that an open would find. [`Outcome::Damage`] if there is any. A torn commit is no damage, because none
/// of its rows had a receipt.
///
/// # Errors
/// The directory cannot be inspected, or `out` not be written.
pub fn check(dir: impl Into<QueueDir>, json: bool, out: &mut dyn Write) -> Result<Outcome, ToolError> {
    let mut found = match inspect(dir.into()) {
        Err(e @ InspectError::Unusable) => return unusable(&e, json, out),
        other => other?,
    };
    let mut lanes = [LaneTotals::default(); LANES_MAX];
    for (lane, totals) in (0..found.state().lanes).map(Lane).zip(&mut lanes) {
        found.each_row::<ToolError>(lane, 1, |row| {
            totals.add(row);
            Ok(true)
        })?;
    }
    let lanes = lanes.get(..usize::from(found.state().lanes)).unwrap_or_default();
    let clean = found.is_whole();
    if json { as_json(&found, lanes, clean, out) } else { as_text(&found, lanes, clean, out) }?;
    Ok(Outcome::of(clean))
}

fn unusable(error: &InspectError, json: bool, out: &mut dyn Write) -> Result<Outcome, ToolError> {
    if json {
        writeln!(
            out,
            "{}",
            words::json_line(&serde_json::json!({ "ok": false, "damage": [error.to_string()] }))
        )?;
    } else {
        writeln!(out, "DAMAGED: {error}\nedge-queue salvage searches it for rows")?;
    }
    Ok(Outcome::Damage)
}

fn as_text(
    found: &Inspection,
    lanes: &[LaneTotals],
    clean: bool,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    writeln!(out, "{}", words::headline(found))?;
    for (lane, totals) in lanes.iter().enumerate() {
        writeln!(out, "{}", words::lane(lane, totals))?;
    }
    if found.tail_uncertain() {
        writeln!(out, "the last run ended inside a commit; none of it was receipted")?;
    }
    if clean {
        return writeln!(out, "OK: every row was read");
    }
    writeln!(out, "DAMAGED:")?;
    found.damage().iter().try_for_each(|what| writeln!(out, "  {what}"))?;
    found.lost().iter().try_for_each(|(lane, lost)| writeln!(out, "  {}", words::lost(*lane, lost)))?;
    if found.damage().is_empty() && found.lost().is_empty() {
        writeln!(out, "  the file was refused while it was read; its rows could be read all the same")?;
    }
    writeln!(out, "the next start sets this aside, counts it and goes on with the rest")
}

fn as_json(
    found: &Inspection,
    lanes: &[LaneTotals],
    clean: bool,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    let mut map = words::headline_json(found);
    let rows = lanes.iter().enumerate().map(|(lane, totals)| words::lane_json(lane, totals));
    let lost = found.lost().iter().map(|(lane, lost)| words::lost_json(*lane, lost));
    map.insert("ok".into(), clean.into());
    map.insert("rows".into(), Value::Array(rows.collect()));
    map.insert("lost".into(), Value::Array(lost.collect()));
    writeln!(out, "{}", words::json_line(&Value::Object(map)))
}
