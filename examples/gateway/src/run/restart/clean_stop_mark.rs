//! Mark of a clean stop: the file `stopped.json`, which also has the filters' states.
//!
//! The mark is written at the end of a stop, and removed durably before the first reading after the next start. A kill leaves no mark; then every
//! sensor's first reading passes the filter, and messages that may be repeated are marked as possible duplicates. A start that fails before its
//! first reading leaves the mark for the next one.
//!
//! ```text
//! edge-gateway stopped 2 SHA-256-OF-THE-REST
//! {"clean": true, "filters": [{"match": …, "origin": {"rules": …, "destination": …}, "snapshot": …}, …], "rows": […], "written": {"boot": …, "up_ms": …, "wall_ms": …, "synced": …}}
//! ```
//! While rows of the last process are not yet safe in the queue, the mark has only those rows and is not clean. Version 1, `[["MATCH", SNAPSHOT],
//! …]`, can still be read.

#![allow(
    clippy::disallowed_methods,
    reason = "a shell: one small file, read at the start and written at the end"
)]

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;

use edge_bridge::Row;
use edge_filter::Snapshot;
use edge_queue::{Clock as _, Now, SystemClock, age_ms};
use edge_state::file as state_file;
use serde::{Deserialize, Serialize, Serializer};

use crate::run::filters::filter::FilterSnapshot;
use crate::run::filters::filter_state::FilterState;

use super::kept_row::KeptRow;
use edge_state::checksummed as checksummed_file;

const FILE: &str = "stopped.json";
/// Name to which a directory is renamed that has the name of the mark.
const ASIDE: &str = "stopped.json.aside";
/// Name of a file that is made only to find out whether the disk has room for a mark.
const TRIAL: &str = "stopped.json.trial";
/// Bytes by which the trial file exceeds the filters' states, to make room for rows.
const SPARE: u64 = 64 << 10;
const VERSION: &str = "edge-gateway stopped 2 ";
const VERSION_1: &str = "edge-gateway stopped 1 ";
/// Size of the largest mark that is read: 10 000 sensors in each of some routes need less. One that a program did not write takes no memory, whatever
/// its size.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Longest first line, which has the checksum, in bytes.
const HEAD_BYTES: u64 = 128;
const BODY_BYTES_MAX: u64 = FILE_BYTES_MAX - HEAD_BYTES;

/// State that the last process left.
#[derive(Debug, Default)]
pub(crate) struct LastRun {
    /// Set if the last process stopped cleanly.
    pub(crate) clean: bool,
    pub(crate) filters: Vec<FilterState>,
    /// Rows that the queue had no room for at the stop.
    pub(crate) rows: Vec<Row>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Mark<F> {
    clean: bool,
    filters: F,
    rows: Vec<KeptRow>,
    /// Time of writing, from which the rows' times to live count; `None` in marks of earlier versions of the program.
    #[serde(default)]
    written: Option<WrittenAt>,
}

/// Stamp of the queue's clock, as text.
#[derive(Debug, Serialize, Deserialize)]
struct WrittenAt {
    boot: String,
    up_ms: u64,
    wall_ms: i64,
    synced: bool,
}

impl WrittenAt {
    fn now() -> Self {
        let Now { boot_id, up_ms, wall_ms, synced } = SystemClock::new().now();
        Self { boot: format!("{boot_id:x}"), up_ms, wall_ms, synced }
    }

    /// Returns the age of the mark; 0 where it is not known, as in the queue.
    fn age_ms(self, now: &Now) -> u64 {
        let Self { boot, up_ms, wall_ms, synced } = self;
        let Ok(boot_id) = u128::from_str_radix(&boot, 16) else { return 0 };
        age_ms(&Now { boot_id, up_ms, wall_ms, synced }, now).unwrap_or(0)
    }
}

/// Returns the content of the mark, without removing it. An unreadable mark counts as an unclean stop.
pub(crate) fn read(state: &Path) -> LastRun {
    let path = state.join(FILE);
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "it is damaged");
    let body = checksummed_file::open(state, FILE, &[VERSION, VERSION_1], FILE_BYTES_MAX);
    let last = body.and_then(|(version, body)| {
        let last = if version == 0 { parse(body) } else { parse_version_1(body) };
        last.ok_or_else(damaged)
    });
    match last {
        Ok(last) => last,
        Err(error) if error.kind() == io::ErrorKind::NotFound => LastRun::default(),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "the mark of the last stop is damaged: starting as after a kill; what filters held is lost, as check says of each rule");
            LastRun::default()
        }
    }
}

/// Removes the mark durably. Call it before the first reading, when nothing can fail any more before that. A directory with the mark's name is
/// renamed.
///
/// # Errors
/// The disk refused.
pub(crate) fn remove(state: &Path) -> io::Result<()> {
    let path = state.join(FILE);
    match fs::remove_file(&path) {
        // Perhaps of an attempt whose sync failed.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(_) if path.is_dir() => set_aside(state)?,
        Err(error) => return Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
        Ok(()) => {}
    }
    state_file::sync_names(state)
}

/// Renames a directory that has the name of the mark.
fn set_aside(state: &Path) -> io::Result<()> {
    let (path, aside) = (state.join(FILE), state.join(ASIDE));
    fs::rename(&path, &aside)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: a directory: {error}", path.display())))?;
    tracing::warn!(path = %path.display(), aside = %aside.display(), "a directory in the place of the mark of a clean stop is set aside");
    Ok(())
}

/// Returns the size of the mark, in bytes, with room for some rows. For `filters` see [`leave`].
///
/// # Errors
/// It is larger than what the next start reads.
pub(crate) fn bytes<I>(filters: impl Fn() -> I) -> io::Result<u64>
where
    I: Iterator<Item = FilterState>,
{
    let mark =
        Mark { clean: true, filters: OneByOne(filters), rows: Vec::new(), written: Some(WrittenAt::now()) };
    let mut counted = Counted(0);
    serde_json::to_writer(&mut counted, &mark).map_err(|_| too_large())?;
    Ok(HEAD_BYTES + counted.0 + SPARE)
}

/// Writer that counts bytes, up to the largest body of a mark.
struct Counted(u64);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        if self.0 > BODY_BYTES_MAX { Err(too_large()) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn too_large() -> io::Error {
    let text = format!("the filters' states have more than {} MiB", FILE_BYTES_MAX >> 20);
    io::Error::new(io::ErrorKind::FileTooLarge, text)
}

/// Finds out whether the disk has room for a mark of so many bytes.
///
/// # Errors
/// The disk refused.
pub(crate) fn try_room(state: &Path, bytes: u64) -> io::Result<()> {
    state_file::try_room(state, TRIAL, bytes)
}

/// Writes the mark of a clean stop, durably. `filters` makes the filters' states one after the other, because all at once would take as much memory
/// as the filters. `rows`: rows that the queue had no room for. States that are more than the next start reads, or the disk has room for, are left
/// out, and the mark has the rows.
///
/// # Errors
/// The disk refused, and the next start treats this stop as unclean; or only the states are left out.
pub(crate) fn leave<I>(state: &Path, filters: impl Fn() -> I, rows: &[Row]) -> io::Result<()>
where
    I: Iterator<Item = FilterState>,
{
    let rows = || rows.iter().map(KeptRow::from).collect();
    let written = || Some(WrittenAt::now());
    let whole = Mark { clean: true, filters: OneByOne(filters), rows: rows(), written: written() };
    let result = write(state, FILE, &whole);
    match result.as_ref().map_err(io::Error::kind) {
        Err(io::ErrorKind::FileTooLarge | io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
            let none: &[FilterState] = &[];
            let mark = Mark { clean: true, filters: none, rows: rows(), written: written() };
            write(state, FILE, &mark).and(result)
        }
        _ => result,
    }
}

/// States that are made while they are written.
struct OneByOne<F>(F);

impl<I: Iterator<Item = FilterState>, F: Fn() -> I> Serialize for OneByOne<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}

/// Replaces the mark durably by one that has only `rows` and is not clean, so that a kill from now on counts as an unclean stop.
///
/// # Errors
/// The disk refused.
pub(crate) fn leave_rows(state: &Path, rows: &[Row]) -> io::Result<()> {
    let filters: &[FilterState] = &[];
    let rows = rows.iter().map(KeptRow::from).collect();
    write(state, FILE, &Mark { clean: false, filters, rows, written: Some(WrittenAt::now()) })
}

/// Writes a mark as the file `name`. One that the next start would not read is an error.
fn write(state: &Path, name: &str, mark: &Mark<impl Serialize>) -> io::Result<()> {
    let written = checksummed_file::replace_by(state, name, VERSION, BODY_BYTES_MAX, |body| {
        Ok(serde_json::to_writer(body, mark)?)
    });
    written.map_err(|error| match (error.kind(), error.raw_os_error()) {
        (io::ErrorKind::FileTooLarge, None) => too_large(),
        _ => error,
    })
}

fn parse(body: impl Read) -> Option<LastRun> {
    let Mark { clean, filters, rows, written } =
        serde_json::from_reader::<_, Mark<Vec<FilterState>>>(body).ok()?;
    let mut rows: Vec<Row> = rows.into_iter().map(KeptRow::into_row).collect::<Option<_>>()?;
    let age_ms = written.map_or(0, |written| written.age_ms(&SystemClock::new().now()));
    for row in &mut rows {
        // The queue counts what has expired.
        row.ttl_ms = row.ttl_ms.map(|ttl_ms| ttl_ms.saturating_sub(age_ms));
        // The queue may have had it before the kill.
        row.possible_duplicate |= !clean;
    }
    Some(LastRun { clean, filters, rows })
}

/// Reads a mark of version 1, which has no rules, units and rows.
fn parse_version_1(body: impl Read) -> Option<LastRun> {
    let snapshots: Vec<(String, Snapshot)> = serde_json::from_reader(body).ok()?;
    let state = |(filter_topic, sensors)| {
        let snapshot = FilterSnapshot { sensors, units: Vec::new(), copies: Vec::new() };
        FilterState { filter_topic, origin: None, snapshot }
    };
    Some(LastRun { clean: true, filters: snapshots.into_iter().map(state).collect(), rows: Vec::new() })
}

#[cfg(test)]
mod tests;
