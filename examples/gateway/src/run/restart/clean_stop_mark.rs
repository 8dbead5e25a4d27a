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
use std::io::{self, Read};
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
/// Name of a file that is written only to find out whether the disk has room for a mark.
const TRIAL: &str = "stopped.json.trial";
/// Bytes by which the trial file exceeds the filters' states, to make room for rows.
const SPARE: usize = 64 << 10;
const VERSION: &str = "edge-gateway stopped 2 ";
const VERSION_1: &str = "edge-gateway stopped 1 ";
/// Size of the largest mark that is read: 10 000 sensors in each of some routes need less. One that a program did not write takes no memory, whatever
/// its size.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Longest first line, which has the checksum, in bytes.
const HEAD_BYTES: u64 = 128;

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

/// Finds out whether the disk has room for the mark, by writing it under another name and removing it. For `filters` see [`leave`].
///
/// # Errors
/// The disk refused.
pub(crate) fn try_room<I>(state: &Path, filters: impl Fn() -> I) -> io::Result<()>
where
    I: Iterator<Item = FilterState>,
{
    let written = Some(WrittenAt::now());
    write(state, TRIAL, &Mark { clean: true, filters: OneByOne(filters), rows: Vec::new(), written }, SPARE)?;
    fs::remove_file(state.join(TRIAL))
}

/// Writes the mark of a clean stop, durably. `filters` makes the filters' states one after the other, because all at once would take as much memory
/// as the filters. `rows`: rows that the queue had no room for. States that are more than the next start reads are left out, and the mark has the
/// rows.
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
    match write(state, FILE, &whole, 0) {
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            let none: &[FilterState] = &[];
            let mark = Mark { clean: true, filters: none, rows: rows(), written: written() };
            write(state, FILE, &mark, 0).and(Err(error))
        }
        result => result,
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
    write(state, FILE, &Mark { clean: false, filters, rows, written: Some(WrittenAt::now()) }, 0)
}

/// Writes a mark as the file `name`, with `spare` bytes behind it. One that the next start would not read is an error.
fn write(state: &Path, name: &str, mark: &Mark<impl Serialize>, spare: usize) -> io::Result<()> {
    let bytes_max = FILE_BYTES_MAX - HEAD_BYTES;
    let written = checksummed_file::replace_by(state, name, VERSION, bytes_max, |body| {
        serde_json::to_writer(&mut *body, mark)?;
        body.write_all(&vec![b' '; spare])
    });
    written.map_err(|error| match (error.kind(), error.raw_os_error()) {
        (kind @ io::ErrorKind::FileTooLarge, None) => {
            io::Error::new(kind, format!("the filters' states have more than {} MiB", FILE_BYTES_MAX >> 20))
        }
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
mod tests {
    use crate::run::filters::filter_state::Origin;
    use crate::run::route::Destination;

    use super::*;
    use bytes::Bytes;
    use edge_bridge::wire::Utf8;
    use edge_filter::{Pipeline, Quality, Reading, Value};

    fn snapshot() -> Snapshot {
        let mut pipeline =
            Pipeline::from_toml("[[rule]]\nmatch = \"#\"\nstages = [ { deadband = { absolute = 1.0 } } ]")
                .unwrap();
        let sensor = pipeline.intern("a");
        let reading = Reading { sensor, time: 1, value: Value::F64(0.1), quality: Quality::GOOD };
        let _ = pipeline.process(reading, 1, &mut |_| {});
        pipeline.snapshot()
    }

    fn filters() -> Vec<FilterState> {
        let destination = Destination { to: "up".to_owned(), format: 1, lane: 1, qos: 2 };
        let origin = Some(Origin { rules: "old".to_owned(), destination });
        let snapshot = FilterSnapshot {
            sensors: snapshot(),
            units: vec![("a".into(), "Cel".into())],
            copies: Vec::new(),
        };
        vec![FilterState { filter_topic: "a/#".to_owned(), origin, snapshot }]
    }

    fn rows() -> Vec<Row> {
        vec![Row::new(Utf8::from_static("up"), Bytes::from_static(b"\0\xff"))]
    }

    /// Compares the written forms: a filter does not write what it finds out again by itself.
    fn written(filters: &[FilterState]) -> String {
        serde_json::to_string(filters).unwrap()
    }

    #[test]
    fn a_mark_that_cannot_be_removed_is_named() {
        let dir = tempfile::tempdir().unwrap();
        for name in [FILE, ASIDE] {
            fs::create_dir(dir.path().join(name)).unwrap();
            fs::write(dir.path().join(name).join("x"), "somebody's").unwrap();
        }
        let error = remove(dir.path()).unwrap_err().to_string();
        assert!(error.contains(FILE), "{error}");
    }

    #[test]
    fn a_directory_in_its_place_is_set_aside_with_what_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(FILE)).unwrap();
        fs::write(dir.path().join(FILE).join("x"), "somebody's").unwrap();
        assert!(!read(dir.path()).clean);
        remove(dir.path()).unwrap();
        leave(dir.path(), || filters().into_iter(), &rows()).unwrap();
        assert!(read(dir.path()).clean);
        assert_eq!(fs::read_to_string(dir.path().join(ASIDE).join("x")).unwrap(), "somebody's");
    }

    #[test]
    fn what_is_left_is_there_until_it_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!read(dir.path()).clean, "nothing was left");
        remove(dir.path()).unwrap();
        leave(dir.path(), || filters().into_iter(), &rows()).unwrap();
        for start in ["one that fails", "the next"] {
            let last = read(dir.path());
            assert!(last.clean, "{start}");
            assert_eq!(written(&last.filters), written(&filters()), "{start}");
            assert_eq!(last.rows, rows(), "{start}");
        }
        remove(dir.path()).unwrap();
        assert!(!read(dir.path()).clean, "gone");
    }

    /// The system refuses to sync that directory (EINVAL), so that the call is seen. There is no mark in it, as after a removal whose sync failed.
    #[cfg(target_os = "linux")]
    #[test]
    fn promise_13_a_mark_is_gone_only_once_its_directory_is_synced() {
        assert_eq!(remove(Path::new("/proc/self")).unwrap_err().raw_os_error(), Some(22));
    }

    /// A mark that is written and not read again would lose what was acknowledged and held, at a stop that was clean.
    #[test]
    fn states_that_are_too_large_to_be_read_again_are_told_and_the_rows_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let mut large = filters();
        large[0].filter_topic = "x".repeat(usize::try_from(FILE_BYTES_MAX).unwrap());
        let states = || large.iter().cloned();
        assert!(try_room(dir.path(), states).is_err(), "what they hold goes into the queue");
        assert!(leave(dir.path(), states, &rows()).is_err());
        let last = read(dir.path());
        assert_eq!((last.clean, last.filters.len(), last.rows), (true, 0, rows()));
    }

    #[test]
    fn rows_that_may_be_in_the_queue_are_marked_after_a_kill() {
        let dir = tempfile::tempdir().unwrap();
        leave(dir.path(), || filters().into_iter(), &rows()).unwrap();
        leave_rows(dir.path(), &rows()).unwrap();
        let last = read(dir.path());
        assert!(!last.clean && last.filters.is_empty());
        assert!(last.rows.len() == 1 && last.rows[0].possible_duplicate);
    }

    #[test]
    fn the_time_to_live_of_rows_goes_on_between_the_runs() {
        let dir = tempfile::tempdir().unwrap();
        let mut rows = rows();
        rows[0].ttl_ms = Some(60_000);
        let written = |past_ms: u64, of_now: bool| {
            let mut written = WrittenAt::now();
            written.up_ms = written.up_ms.saturating_sub(past_ms);
            written.boot = if of_now { written.boot } else { "1".to_owned() };
            // Not the clock of this machine.
            (written.wall_ms, written.synced) = (0, false);
            written
        };
        let past_ms = 100.min(WrittenAt::now().up_ms);
        let marks = [
            (Some(written(past_ms, true)), 60_000 - past_ms),
            (Some(written(0, false)), 60_000),
            (None, 60_000),
        ];
        for (written, most_ms) in marks {
            let is_known = written.as_ref().is_some_and(|written| written.boot != "1");
            let kept = rows.iter().map(KeptRow::from).collect();
            let filters: &[FilterState] = &[];
            write(dir.path(), FILE, &Mark { clean: true, filters, rows: kept, written }, 0).unwrap();
            let ttl_ms = read(dir.path()).rows[0].ttl_ms.unwrap();
            assert!(ttl_ms <= most_ms && (is_known || ttl_ms == most_ms), "{ttl_ms} {most_ms}");
        }
    }

    #[test]
    fn the_mark_of_an_earlier_version_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let body = serde_json::to_string(&[("a/#", snapshot())]).unwrap();
        checksummed_file::replace(dir.path(), FILE, VERSION_1, body.as_bytes()).unwrap();
        let last = read(dir.path());
        assert!(last.clean);
        let [state] = &last.filters[..] else { panic!("{:?}", last.filters) };
        assert!(!state.is_of_other_rules(None) && state.snapshot.sensors.len() == 1);
    }

    #[test]
    fn a_damaged_mark_is_an_unclean_stop() {
        let dir = tempfile::tempdir().unwrap();
        leave(dir.path(), || filters().into_iter(), &rows()).unwrap();
        let path = dir.path().join(FILE);
        let good = fs::read(&path).unwrap();
        for (what, bad) in [
            ("a bit", good.iter().enumerate().map(|(n, b)| if n == 120 { b ^ 1 } else { *b }).collect()),
            ("cut", good[..good.len() - 1].to_vec()),
            ("empty", Vec::new()),
            ("another version", [b"edge-gateway stopped 3 ".as_slice(), &good[23..]].concat()),
        ] {
            fs::write(&path, bad).unwrap();
            let last = read(dir.path());
            assert!(!last.clean && last.filters.is_empty(), "{what}");
        }
        remove(dir.path()).unwrap();
        assert!(!path.exists());
    }
}
