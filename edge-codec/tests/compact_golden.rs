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

/// Each way from doubles to integers, a list of values, texts, and null alone.
fn forms() -> Vec<Reading<'static>> {
    let values = |n: u32| {
        let count = f64::from(1500 + n * n * 7919 % 331);
        let odd = u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let printed = format!("{}e{}", 1_000_003 + n * n * 79_199, i64::from(n % 5) - 9);
        vec![
            Value::F64(printed.parse().unwrap()),
            Value::F64(f64::from((f64::from(n) / 3.0).exp() as f32)),
            Value::F64(f64::from((2000 + n * n % 37) as f32 / 100.0)),
            Value::F64(format!("{:.13}", f64::from(2000 + n * n % 37) / 30.0).parse().unwrap()),
            Value::F64(-50.0 + count * 300.0 / 4095.0),
            Value::F64(f64::from_bits(odd)),
            Value::F64(f64::from(200 + n * n % 7) / 10.0),
            Value::I64([-5, 3, 1000, 77_777][(n * n / 3 % 4) as usize]),
            Value::Null,
            Value::Text(["open", "closed", "half open"][(n % 3) as usize].into()),
            Value::Bytes(vec![n as u8 % 2, 0xff].into()),
            [Value::Bool(n.is_multiple_of(4)), Value::U64(odd), Value::F64(0.5), Value::Null]
                [(n % 4) as usize]
                .clone(),
        ]
    };
    let poll = |n: u32| {
        let reading = move |(sensor, value)| Reading { sensor, time: 1000 * i64::from(n), value, quality: 0 };
        (3_u32..).zip(values(n)).map(reading)
    };
    (0..24).flat_map(poll).collect()
}

/// Some polls, whose numbers have holes.
fn numbered() -> Vec<Reading<'static>> {
    polls().into_iter().take(60).collect()
}

fn number(nth: u64) -> u64 {
    ID.first_seq + nth + u64::from(nth >= 7) * 3 + u64::from(nth >= 40) * 500
}

/// Number of the nth reading, if the batch has an identity.
fn numbers_of(name: &str, nth: u64) -> Option<u64> {
    match name {
        "compact-seqs-v1.bin" => Some(number(nth)),
        "compact-names-v1.bin" | "compact-small-v1.bin" => Some(ID.first_seq + nth),
        _ => None,
    }
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
    let forms = finish(Encoder::numbered(), &forms());
    let mut holes = session().encoder(Level::Fast).id(ID);
    (0..).zip(&numbered()).for_each(|(n, r)| holes.push_at(number(n), r).unwrap());
    let holes = holes.finish_under(usize::MAX).unwrap().to_vec();
    vec![
        ("compact-forms-v1.bin", self::forms(), forms),
        ("compact-seqs-v1.bin", numbered(), holes),
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

/// Readings as lines that a reader in another language can be held against: what a batch has not and what is 0 is left out, doubles
/// have their bits beside them, NaN and infinities those alone.
fn lines(mut batch: Batch<'_>) -> String {
    let (sensors, mut out) = (batch.sensors().clone(), String::new());
    while let Some(seq) = Some(batch.next_seq()) {
        let Some(reading) = batch.next() else { break };
        let reading = reading.unwrap();
        let sensor = sensors.get(reading.sensor);
        let text = |key, text: &str| {
            if text.is_empty() { String::new() } else { format!(",\"{key}\":{}", quoted(text)) }
        };
        let seq = seq.map(|seq| format!("\"seq\":{seq},")).unwrap_or_default();
        let name = sensor.map(|s| text("name", &s.name) + &text("unit", &s.unit)).unwrap_or_default();
        let quality = Some(reading.quality).filter(|q| *q != 0).map(|q| format!(",\"quality\":{q}"));
        let (kind, value) = value(&reading.value);
        let (number, time, quality) = (reading.sensor, reading.time, quality.unwrap_or_default());
        out += &format!("{{{seq}\"sensor\":{number}{name},\"time\":{time}{quality},\"{kind}\":{value}}}\n");
    }
    out
}

fn quoted(text: &str) -> String {
    let escaped = |c: char| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c.is_control() => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    };
    format!("\"{}\"", text.chars().map(escaped).collect::<String>())
}

fn value(value: &Value<'_>) -> (&'static str, String) {
    match value {
        Value::F64(v) => {
            let number = if v.is_finite() { format!("{v:?}") } else { "null".to_owned() };
            ("f64", format!("{number},\"bits\":\"{:016x}\"", v.to_bits()))
        }
        Value::I64(v) => ("i64", v.to_string()),
        Value::U64(v) => ("u64", v.to_string()),
        Value::Bool(v) => ("bool", v.to_string()),
        Value::Text(v) => ("text", quoted(v)),
        Value::Bytes(v) => ("bytes", quoted(&v.iter().map(|b| format!("{b:02x}")).collect::<String>())),
        Value::Null => ("null", "null".to_owned()),
    }
}

/// Holds rows against the file beside the batch.
fn assert_rows(name: &str, rows: &str, write: bool) {
    let file = path(&name.replace(".bin", ".rows.jsonl"));
    if write && !file.exists() {
        std::fs::write(&file, rows).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), rows, "{name}");
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
        assert_eq!(batch.header().id.is_some(), numbers_of(name, 0).is_some());
        assert_rows(name, &lines(announced.decode(&bytes, &Limits::default()).unwrap()), write);
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
        if name.contains("table") || name.contains("seqs") {
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
        for (nth, (line, sent)) in (0..).zip(printed.lines().zip(&sent)) {
            let number = numbers_of(name, nth).map_or_else(|| "-".to_owned(), |n| n.to_string());
            let start = format!("{number}\t{}\t{}\t{}\t", sent.sensor, sent.time, sent.quality);
            assert!(line.starts_with(&start), "{name}: {line}");
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
