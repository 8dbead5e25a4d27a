//! `export`, `import`, `salvage`: transfer of a backlog from one gateway to another.

use std::io::{Read, Seek, Write};

use super::words;
use super::{Outcome, QueueDir, ToolError};
use crate::config::StoreKind;
use crate::inspect;
use crate::row::Lane;
use crate::transfer::{self, Exported, LaneTotals, StreamEnd};

/// Writes the backlog into `stream` and its size on `out`.
///
/// # Errors
/// The directory cannot be inspected, `stream` or `out` not be written.
pub fn export(
    dir: impl Into<QueueDir>,
    stream: &mut dyn Write,
    out: &mut dyn Write,
) -> Result<Outcome, ToolError> {
    let mut found = super::inspect(dir.into())?;
    let exported = found.export(stream)?;
    writeln!(out, "{}", words::headline(&found))?;
    say_exported(&exported, out)?;
    say_damage(found.damage(), found.lost(), out)?;
    Ok(Outcome::of(found.is_whole()))
}

/// Writes all readable rows of a damaged store into `stream` and a report on `out`.
///
/// # Errors
/// The directory cannot be inspected, `stream` or `out` not be written.
pub fn salvage(
    dir: impl Into<QueueDir>,
    stream: &mut dyn Write,
    out: &mut dyn Write,
) -> Result<Outcome, ToolError> {
    let QueueDir { dir, key } = dir.into();
    let salvaged = inspect::salvage_with(dir, key.as_ref(), stream)?;
    say_exported(&salvaged.exported, out)?;
    say_damage(&salvaged.damage, &salvaged.lost, out)?;
    if salvaged.searched {
        writeln!(out, "rows that were delivered before may be among them")?;
    }
    Ok(Outcome::of(salvaged.whole))
}

/// Creates a queue in an empty directory from a stream, with limits that fit it, encrypted if there is a key; the application's limits apply when it opens the queue.
/// [`Outcome::Damage`] if a part of the stream was missing.
///
/// # Errors
/// Nothing was imported: see [`transfer::import`].
pub fn import(
    mut stream: impl Read + Seek,
    dir: impl Into<QueueDir>,
    kind: StoreKind,
    out: &mut dyn Write,
) -> Result<Outcome, ToolError> {
    let QueueDir { dir, key } = dir.into();
    let mut config = transfer::config_for(&mut stream, kind)?;
    if let Some(key) = key {
        config = config.encryption(key);
    }
    stream.rewind().map_err(transfer::StreamError::Read)?;
    let done = transfer::import(dir, &config, stream)?;
    let from = done.stream.gateway;
    writeln!(out, "{} rows of gateway {from:016x} are now of gateway {:016x}", done.rows(), done.gateway)?;
    say_lanes(&done.lanes, out)?;
    for (consumer, gap) in &done.gaps {
        writeln!(out, "not imported: {}", words::gap(consumer, gap))?;
    }
    say_missing(&done.stream, out)?;
    Ok(Outcome::of(done.stream.is_whole()))
}

fn say_exported(exported: &Exported, out: &mut dyn Write) -> std::io::Result<()> {
    say_lanes(&exported.lanes, out)?;
    let (rows, gaps, bytes) = (exported.rows(), exported.gaps, exported.stream_bytes);
    writeln!(out, "{rows} rows and {gaps} losses to report, {}", words::size(bytes))
}

fn say_lanes(lanes: &[LaneTotals], out: &mut dyn Write) -> std::io::Result<()> {
    let with_rows = lanes.iter().enumerate().filter(|(_, totals)| totals.rows > 0);
    with_rows.map(|(lane, totals)| words::lane(lane, totals)).try_for_each(|text| writeln!(out, "{text}"))
}

fn say_damage(
    damage: &[String],
    lost: &[(Lane, crate::store::Lost)],
    out: &mut dyn Write,
) -> std::io::Result<()> {
    damage.iter().try_for_each(|what| writeln!(out, "damaged: {what}"))?;
    lost.iter().try_for_each(|(lane, lost)| writeln!(out, "damaged: {}", words::lost(*lane, lost)))
}

fn say_missing(stream: &StreamEnd, out: &mut dyn Write) -> std::io::Result<()> {
    if stream.rows_missing > 0 || stream.bytes_damaged > 0 {
        let (rows, bytes) = (stream.rows_missing, stream.bytes_damaged);
        writeln!(out, "damaged: {rows} rows are missing, {bytes} bytes of the stream could not be used")?;
    }
    if !stream.ended {
        writeln!(out, "damaged: the stream has no end, more may be missing")?;
    }
    Ok(())
}
