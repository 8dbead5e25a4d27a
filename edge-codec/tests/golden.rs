#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![cfg(all(feature = "senml", feature = "sparkplug", feature = "influx"))]
//! The bytes on the wire stay what they are: files under `tests/golden/` are kept for ever (promise 4: identity and
//! readings of a batch written by an older gateway are still read).
//!
//! `EDGE_GOLDEN=write cargo test -p edge-codec --test golden` adds the files of a new format; a file that exists is
//! never overwritten.

mod support;

use edge_codec::sparkplug::{self, Birth};
use edge_codec::{BatchId, Limits, Reading, Value, influx};
use std::path::PathBuf;
use support::{AnyEncoder, KINDS, Kind, plain_table, samples, table};

const ID: BatchId = BatchId { gateway: 0x00c0_ffee_0000_0001, lane: 1, epoch: 42, first_seq: 1000 };

fn dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Json => "batch-v1.json",
        Kind::Cbor => "batch-v1.cbor",
        Kind::Protobuf => "batch-v1.pb",
        Kind::Columns => "batch-columns-v1.pb",
        Kind::SenmlJson => "pack.senml.json",
        Kind::SenmlCbor => "pack.senml.cbor",
        Kind::SenmlDecimal => "pack-decimal.senml.cbor",
        Kind::Sparkplug => "birth.sparkplug",
    }
}

/// `None`: the format has no sequence numbers.
fn name_with_holes(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::Json => "batch-seqs-v1.json",
        Kind::Cbor => "batch-seqs-v1.cbor",
        Kind::Protobuf => "batch-seqs-v1.pb",
        Kind::Columns => "batch-columns-seqs-v1.pb",
        Kind::SenmlJson => "pack-seqs.senml.json",
        Kind::SenmlCbor => "pack-seqs.senml.cbor",
        Kind::SenmlDecimal => "pack-seqs-decimal.senml.cbor",
        Kind::Sparkplug => return None,
    })
}

/// Sequence numbers with holes of one and of more, for as many readings.
fn seqs(readings: usize) -> impl Iterator<Item = u64> {
    (0..readings as u64).map(|n| 1000 + n + n / 3 + if n > 7 { 500 } else { 0 })
}

fn encoded(kind: Kind) -> Vec<u8> {
    let table = kind.table();
    let mut enc = AnyEncoder::new(kind, &table).identify(ID, true);
    kind.samples().iter().for_each(|r| enc.push(r).unwrap());
    enc.finish_under(usize::MAX).unwrap().to_vec()
}

fn encoded_with_holes(kind: Kind) -> Vec<u8> {
    let table = kind.table();
    let mut enc = AnyEncoder::new(kind, &table).identify(ID, false);
    let readings = kind.samples();
    seqs(readings.len()).zip(&readings).for_each(|(seq, r)| enc.push_at(seq, r).unwrap());
    enc.finish_under(usize::MAX).unwrap().to_vec()
}

/// Formats and forms that are only written here.
fn written() -> [(&'static str, Vec<u8>); 3] {
    let table = table();
    let readings = Kind::Sparkplug.samples();
    let sparkplug = |mut enc: sparkplug::Encoder<_>| {
        readings.iter().for_each(|r| enc.push(r).unwrap());
        enc.finish_under(usize::MAX).unwrap().to_vec()
    };
    let plain = plain_table();
    let mut lines = influx::Encoder::new(&plain);
    Kind::SenmlJson.samples().iter().for_each(|r| lines.push(r).unwrap());
    [
        ("payload.sparkplug", sparkplug(sparkplug::Encoder::new(&table))),
        (
            "data.sparkplug",
            sparkplug(sparkplug::Encoder::new(&table).aliases().first_seq(1).historical(true)),
        ),
        ("lines.influx", lines.finish_under(usize::MAX).unwrap().to_vec()),
    ]
}

/// The files, with what is written today.
fn files() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    let plain = KINDS.into_iter().map(|kind| (name(kind), encoded(kind)));
    let with_holes = |kind| Some((name_with_holes(kind)?, encoded_with_holes(kind)));
    plain.chain(KINDS.into_iter().filter_map(with_holes)).chain(written())
}

/// FNV-1a, 64 bits.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3))
}

#[test]
fn golden_files_are_written_today_as_they_were() {
    let write = std::env::var("EDGE_GOLDEN").is_ok_and(|v| v == "write");
    for (name, encoded) in files() {
        let path = dir().join(name);
        if write && !path.exists() {
            std::fs::write(&path, &encoded).unwrap();
            println!("{name} {:016x}", hash(&encoded));
        }
        assert_eq!(encoded, std::fs::read(&path).unwrap(), "{}", path.display());
    }
}

#[test]
fn golden_files_are_those_of_the_manifest() {
    let manifest = std::fs::read_to_string(dir().join("MANIFEST")).unwrap();
    let mut listed: Vec<_> = manifest.lines().map(|l| l.split_once(' ').unwrap()).collect();
    for (file, sum) in &listed {
        assert_eq!(format!("{:016x}", hash(&std::fs::read(dir().join(file)).unwrap())), *sum, "{file}");
    }
    let mut found: Vec<String> = std::fs::read_dir(dir())
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|f| f != "MANIFEST")
        .collect();
    found.sort();
    listed.sort_unstable();
    assert_eq!(found, listed.iter().map(|(file, _)| *file).collect::<Vec<_>>());
}

#[test]
fn golden_files_read_as_the_readings_they_were_made_of() {
    for kind in KINDS {
        let table = kind.table();
        let bytes = std::fs::read(dir().join(name(kind))).unwrap();
        let batch = kind.decode(&bytes, &Limits::default()).unwrap();
        let kept = kind.keeps_identity();
        assert_eq!((batch.header().id, batch.header().pd), (kept.then_some(ID), kept));
        let names = batch.sensors().clone();
        let sent = kind.samples();
        assert_eq!(batch.len(), sent.len());
        for (got, sent) in batch.zip(&sent) {
            let got = got.unwrap();
            assert_eq!(names.get(got.sensor).unwrap().name, table.get(sent.sensor).unwrap().name);
            assert_eq!(names.get(got.sensor).unwrap().unit, table.get(sent.sensor).unwrap().unit);
            let expected = Reading { quality: kind.quality(sent.quality), ..sent.clone() };
            assert!(
                Reading { sensor: sent.sensor, ..got.clone() }.same(&expected),
                "{kind:?}: {sent:?}, {got:?}"
            );
        }
    }
}

#[test]
fn golden_files_with_holes_read_as_the_rows_they_were_made_of() {
    for (kind, name) in KINDS.into_iter().filter_map(|kind| Some((kind, name_with_holes(kind)?))) {
        let bytes = std::fs::read(dir().join(name)).unwrap();
        let mut batch = kind.decode(&bytes, &Limits::default()).unwrap();
        let sent = kind.samples();
        for (seq, sent) in seqs(sent.len()).zip(&sent) {
            assert_eq!(batch.next_seq(), Some(seq), "{kind:?}");
            let got = batch.next().unwrap().unwrap();
            assert!(Reading { sensor: sent.sensor, ..got }.same(sent));
        }
        assert_eq!((batch.next_seq(), batch.next()), (None, None));
    }
}

#[test]
fn golden_data_is_read_with_its_birth() {
    let file = |name| std::fs::read(dir().join(name)).unwrap();
    let (birth, data) = (file("birth.sparkplug"), file("data.sparkplug"));
    let birth = Birth::read(&birth, &Limits::default()).unwrap();
    let batch = birth.decode(&data, &Limits::default()).unwrap();
    assert_eq!((batch.sensors(), batch.len()), (&table(), Kind::Sparkplug.samples().len()));
    for (got, sent) in batch.zip(Kind::Sparkplug.samples()) {
        let got = got.unwrap();
        assert!(got.value.same(&sent.value) && got.time == sent.time, "{sent:?}, {got:?}");
    }
}

/// Negative control: one changed bit changes the sum.
#[test]
fn the_sum_sees_one_bit() {
    let mut bytes = encoded(Kind::Cbor);
    let before = hash(&bytes);
    bytes[20] ^= 1;
    assert_ne!(before, hash(&bytes));
    assert_eq!(hash(b"foobar"), 0x8594_4171_f739_67e8, "the published test vector");
    assert_eq!(samples()[12].value, Value::Null);
}
