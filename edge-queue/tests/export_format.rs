//! The export stream (promises 2 and 12): of a damaged one every whole block is read and what is missing is counted; version 1 is
//! read for ever.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

#[path = "common/streams.rs"]
mod streams;

use std::io;
use std::path::PathBuf;

use edge_queue::store::StoredRow;
use edge_queue::testing::{Rng, budget_percent, seed};
use edge_queue::transfer::{Exporter, Stream, StreamError};
use edge_queue::{Expiry, Lane, Stamp};

use streams::{gaps, read, read_from, rows, stream};

/// FNV-1a of the fixture.
const HASH: u64 = 0xd0c2b03ba4806300;

/// An application's own, beside the rows.
#[test]
fn a_note_comes_back_and_a_stream_without_one_has_none() {
    for note in [&b""[..], b"[\"alarm\",\"telemetry\"]", b"EDGX EDG\x01"] {
        let mut bytes = Vec::new();
        Exporter::with_note(&mut bytes, 0x1d, 7, 2, note).unwrap().finish().unwrap();
        let mut read = Stream::new(bytes.as_slice());
        assert!(read.next_item().unwrap().is_none() && read.end().is_whole());
        assert_eq!((read.note(), read.end().epoch, read.end().lanes), (note, Some(7), Some(2)));
    }
}

/// Whatever byte is wrong: a panic never, rows that were not written never, and what is missing is counted.
#[test]
fn a_damaged_stream_gives_its_whole_blocks() {
    let mut rows = rows(seed(), 500);
    rows.iter_mut().for_each(|row| row.payload = row.payload.slice(..row.payload.len().min(400)));
    let bytes = stream(&rows, &gaps());
    let blocks = bytes.windows(4).filter(|w| w == b"EDGX").count();
    assert!(blocks >= 4, "{blocks} blocks");
    let mut rng = Rng::new(seed());
    let mut cases = 0;
    for _ in 0..budget_percent() * 100 {
        let mut bad = bytes.clone();
        match rng.below(4) {
            0 => bad.truncate(rng.below(bytes.len() as u64) as usize),
            1 => {
                let from = rng.below(bytes.len() as u64) as usize;
                let to = (from + rng.below(70_000) as usize).min(bytes.len());
                drop(bad.drain(from..to));
            }
            2 => {
                let at = rng.below(bytes.len() as u64) as usize;
                let junk_len = rng.between(1, 5_000) as usize;
                bad.splice(at..at, rng.bytes(junk_len));
            }
            _ => {
                for _ in 0..rng.between(1, 3) {
                    let at = rng.below(bytes.len() as u64) as usize;
                    bad[at] ^= 1 << rng.below(8);
                }
            }
        }
        cases += 1;
        let (found, _, end) = match read(&bad) {
            Ok(read) => read,
            Err(StreamError::NoExport) => continue,
            Err(e) => panic!("{e}"),
        };
        let mut all = rows.iter();
        assert!(
            found.iter().all(|row| all.any(|known| known == row)),
            "a row that was not written, or out of order"
        );
        if end.ended {
            assert_eq!(found.len() as u64 + end.rows_missing, rows.len() as u64);
        }
        assert!(bad == bytes || !end.is_whole(), "{end:?}");
    }
    println!("executed transfer_damage: {cases} cases");
}

#[test]
fn a_stream_inside_a_payload_is_not_read() {
    let inner = stream(&rows(5, 100), &[]);
    let mut outer = rows(6, 100);
    outer[3].payload = inner.clone().into();
    outer[4].payload = vec![b'E'; 70_000].into();
    let bytes = stream(&outer, &[]);
    for at in (0..bytes.len()).step_by(1 + bytes.len() / 3_000) {
        let mut bad = bytes.clone();
        bad[at] ^= 0xff;
        let (found, _, end) = read(&bad).unwrap();
        assert!(found.iter().all(|row| outer.contains(row)), "byte {at}");
        assert!(end.rows_missing + found.len() as u64 <= outer.len() as u64);
    }
}

#[test]
fn nonsense_and_later_versions_are_refused() {
    assert!(matches!(read(b""), Err(StreamError::NoExport)));
    assert!(matches!(read(&Rng::new(1).bytes(200_000)), Err(StreamError::NoExport)));
    let mut newer = stream(&rows(1, 50), &[]);
    newer[4] = 2;
    let crc = crc32c(&newer[..44]);
    newer[44..48].copy_from_slice(&crc.to_le_bytes());
    assert!(matches!(read(&newer), Err(StreamError::NewerFormat { found: 2, known: 1 })));
}

/// Every field away from its default somewhere.
fn golden_rows() -> Vec<StoredRow> {
    let row = |lane: u8, seq: u64| StoredRow {
        lane: Lane(lane),
        seq,
        epoch: if seq > 40 { u32::MAX } else { 3 },
        stamp: Stamp {
            boot_id: if seq < 40 { 7 } else { u128::MAX - 7 },
            up_ms: seq * 33,
            wall_ms: 1_700_000_000_000 - seq as i64,
            synced: seq.is_multiple_of(2),
        },
        ttl_ms: seq.is_multiple_of(3).then_some(seq * 1_000),
        expiry: if seq.is_multiple_of(5) { Expiry::Strict } else { Expiry::Lenient },
        weight: if seq.is_multiple_of(7) { 300 } else { 1 },
        key: if seq.is_multiple_of(4) { "site/a".into() } else { "".into() },
        meta: "plant/line2/temp".into(),
        payload: vec![seq as u8; if seq == 60 { 1_000 } else { 20 }].into(),
    };
    [(0, 5), (0, 1 << 40)]
        .into_iter()
        .chain((30..70).map(|seq| (1, seq)))
        .map(|(lane, seq)| row(lane, seq))
        .collect()
}

/// It stays as it is when the format changes; then a fixture of the new version joins it. Until version 1 is released:
/// `EDGE_REGENERATE_GOLDEN=1 cargo test -p edge-queue --test export_format`, which prints the new hash.
#[test]
fn a_stream_of_version_1_is_read_for_ever_and_written_now() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/export-v1.edgx");
    let now = stream(&golden_rows(), &gaps());
    if std::env::var_os("EDGE_REGENERATE_GOLDEN").is_some() {
        std::fs::write(&path, &now).unwrap();
        println!("const HASH: u64 = {:#x};", hash(&now));
    }
    let fixture = std::fs::read(path).unwrap();
    assert_eq!(hash(&fixture), HASH, "the fixture of version 1 was changed");
    let (rows, losses, end) = read(&fixture).unwrap();
    assert_eq!((rows, losses), (golden_rows(), gaps()));
    assert!(end.is_whole());
    assert!(now == fixture, "the same rows are written otherwise: a change of the format");
}

fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, b| (hash ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3))
}

/// Bit by bit, apart from the library the code uses.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 & 0u32.wrapping_sub(crc & 1)))
    })
}

/// A pipe that gives few bytes at a time, and is interrupted between them.
struct Trickle<'a> {
    left: &'a [u8],
    calls: u64,
}

impl io::Read for Trickle<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.calls += 1;
        if self.calls.is_multiple_of(5) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let few = self.left.len().min(into.len()).min(997);
        into[..few].copy_from_slice(&self.left[..few]);
        self.left = &self.left[few..];
        Ok(few)
    }
}

/// A read that returns less than was asked for is not the end: an import from a pipe loses no row.
#[test]
fn a_stream_that_comes_in_small_pieces_is_read_to_its_end() {
    let rows = rows(1, 500);
    let bytes = stream(&rows, &gaps());
    assert!(bytes.len() > 10_000, "{} bytes", bytes.len());
    let (found, told, end) = read_from(Trickle { left: &bytes, calls: 0 }).unwrap();
    assert!(end.is_whole(), "{end:?}");
    assert!(found == rows && told == gaps());
}
