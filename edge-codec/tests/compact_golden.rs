#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![cfg(all(feature = "compact", feature = "zstd"))]
//! Compact batches and session tables that were written once are read for ever (promise 4), here and by Python.
//!
//! The files are under `tests/golden/` with their hashes in MANIFEST. An encoder may find a smaller batch one day, so
//! what is written is not held against them. `EDGE_GOLDEN=write cargo test -p edge-codec --test compact_golden` adds files
//! that are not there.

#[path = "support/session.rs"]
mod session;
mod support;

use edge_codec::compact::{Encoder, Level};
use edge_codec::{Batch, BatchId, Limits, Reading, Value};
use session::{Reader, Session};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use support::{non_finite, samples, table};

const ID: BatchId = BatchId { gateway: 0x00c0_ffee_0000_0001, lane: 1, epoch: 42, first_seq: 1000 };
const TABLE: &str = "compact-table-v1.table";

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// One of everything.
fn kinds() -> Vec<Reading<'static>> {
    samples().into_iter().chain(non_finite()).collect()
}

/// A poll of three sensors each second, one of them bad for a while.
fn polls() -> Vec<Reading<'static>> {
    let poll = |n: i64| {
        let quality = if (20..25).contains(&n) { 0x8008_0000 } else { 0 };
        let at =
            |sensor, value, quality| Reading { sensor, time: 1_580_515_200_000 + 1000 * n, value, quality };
        let level = Value::F64((200 + n * n % 7) as f64 / 10.0);
        [at(0, level, quality), at(1, Value::I64(n * 3), 0), at(2, Value::Bool(n % 9 == 0), 0)]
    };
    (0..60).flat_map(poll).collect()
}

fn session() -> Session {
    Session::learn(1, &table(), &polls())
}

/// Name, readings, and the batch as it is written today.
fn files() -> Vec<(&'static str, Vec<Reading<'static>>, Vec<u8>)> {
    let finish = |mut encoder: Encoder<_>, readings: &[Reading<'_>]| {
        readings.iter().for_each(|r| encoder.push(r).unwrap());
        encoder.finish_under(usize::MAX).unwrap().to_vec()
    };
    let names = finish(Encoder::new(table()).id(ID), &kinds());
    let small = finish(Encoder::new(table()).level(Level::Small).id(ID), &kinds());
    let by_table = finish(session().encoder(Level::Fast), &polls());
    let bare = finish(Encoder::numbered(), &polls());
    vec![
        ("compact-names-v1.bin", kinds(), names),
        ("compact-small-v1.bin", kinds(), small),
        ("compact-table-v1.bin", polls(), by_table),
        ("compact-bare-v1.bin", polls(), bare),
    ]
}

fn assert_same(batch: Batch<'_>, sent: &[Reading<'_>]) {
    assert_eq!(batch.len(), sent.len());
    batch.zip(sent).for_each(|(got, sent)| assert!(got.unwrap().same(sent), "{sent:?}"));
}

#[test]
fn golden_compact_batches_read_as_the_readings_they_were_made_of() {
    let write = std::env::var("EDGE_GOLDEN").is_ok_and(|v| v == "write");
    let session_file = path(TABLE);
    if write && !session_file.exists() {
        std::fs::write(&session_file, session().announced()).unwrap();
    }
    let announced = Reader::of(&std::fs::read(session_file).unwrap(), &Limits::default()).unwrap();
    for (name, sent, today) in files() {
        if write && !path(name).exists() {
            std::fs::write(path(name), &today).unwrap();
        }
        let bytes = std::fs::read(path(name)).unwrap();
        let batch = announced.decode(&bytes, &Limits::default()).unwrap();
        assert_eq!(batch.header().id.is_some(), name.contains("names") || name.contains("small"));
        assert_same(batch, &sent);
        // What is written today reads the same.
        assert_same(session().reader().decode(&today, &Limits::default()).unwrap(), &sent);
    }
}

#[test]
fn golden_compact_batches_are_read_by_python() {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("decoders/python/edge_batch.py");
    for (name, sent, _) in files() {
        let batch = std::fs::read(path(name)).unwrap();
        let frame = [&(batch.len() as u32).to_be_bytes(), batch.as_slice()].concat();
        let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&file, frame).unwrap();
        let mut command = Command::new("python3");
        command.arg(&script).stdin(Stdio::from(std::fs::OpenOptions::new().read(true).open(file).unwrap()));
        if name.contains("table") {
            command.arg(path(TABLE));
        }
        let output = command.output().expect("this test needs python3");
        let (printed, said) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if name.contains("small") {
            assert!(!output.status.success() && said.contains("Zstandard"), "{said}");
            continue;
        }
        assert!(output.status.success(), "{name}: {said}");
        assert_eq!(printed.lines().count(), sent.len());
        for (line, sent) in printed.lines().zip(&sent) {
            let start = format!("\t{}\t{}\t{}\t", sent.sensor, sent.time, sent.quality);
            assert!(line.contains(&start), "{name}: {line}");
            if let Value::F64(v) = sent.value {
                assert!(line.contains(&format!("\t{:016x} ", v.to_bits())), "{name}: {line}");
            }
        }
    }
}

/// Negative control: a golden batch with one other bit is not the same batch.
#[test]
fn a_changed_golden_batch_is_noticed() {
    let mut bytes = std::fs::read(path("compact-bare-v1.bin")).unwrap();
    let last = bytes.len() - 20;
    bytes[last] ^= 0x10;
    let reader = Reader::without_table();
    let read = reader.decode(&bytes, &Limits::default());
    let same = |batch: Batch<'_>| {
        batch.len() == polls().len() && batch.zip(polls()).all(|(a, b)| a.unwrap().same(&b))
    };
    assert!(!read.is_ok_and(same));
}
