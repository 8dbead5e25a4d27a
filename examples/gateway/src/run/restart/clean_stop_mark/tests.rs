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
    let snapshot =
        FilterSnapshot { sensors: snapshot(), units: vec![("a".into(), "Cel".into())], copies: Vec::new() };
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
    assert!(bytes(states).is_err(), "what they hold goes into the queue");
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
    let marks =
        [(Some(written(past_ms, true)), 60_000 - past_ms), (Some(written(0, false)), 60_000), (None, 60_000)];
    for (written, most_ms) in marks {
        let is_known = written.as_ref().is_some_and(|written| written.boot != "1");
        let kept = rows.iter().map(KeptRow::from).collect();
        let filters: &[FilterState] = &[];
        write(dir.path(), FILE, &Mark { clean: true, filters, rows: kept, written }).unwrap();
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
