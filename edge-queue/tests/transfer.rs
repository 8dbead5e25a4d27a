//! A backlog on its way to another gateway (promises 2, 3, 4 and 12): everything arrives in order with its times, of a damaged
//! stream what is whole, and an import is all or nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use std::path::PathBuf;
use std::sync::Arc;

use edge_queue::inspect::Inspection;
use edge_queue::testing::{Call, Fault, FaultError, Outcome, Rng, SimDir, budget_percent, row_at, seed};
use edge_queue::transfer::{Exporter, ImportError, Imported, Item, Stream, StreamEnd, StreamError, import};
use edge_queue::{
    Config, Expiry, Gap, GapRecord, Lane, ManualClock, Now, OpenError, Queue, Reason, Row, Stamp, StoreKind,
    StoredRow, Wait,
};

const DURABLE: [StoreKind; 2] = [StoreKind::Ring, StoreKind::Redb];
const GATEWAY: u64 = 0x0123_4567_89ab_cdef;
/// FNV-1a of the fixture.
const HASH: u64 = 0x51ec80e69b6fbd70;

fn config(kind: StoreKind) -> Config {
    let lane = edge_queue::LaneConfig::default().max_bytes(1 << 20);
    Config::default()
        .store(kind)
        .lane(Lane::ALARM, lane)
        .max_bytes(1 << 20)
        .row_bytes_max(64 * 1024)
        .segment_bytes(256 * 1024)
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1, wall_ms: 1, synced: true }))
}

fn open(dir: &SimDir, config: Config) -> Result<Queue, OpenError> {
    Queue::open_in(Box::new(dir.clone()), config, clock())
}

/// Rows of two lanes with holes between their numbers.
fn rows(seed: u64, count: u64) -> Vec<StoredRow> {
    let mut rng = Rng::new(seed);
    let mut rows = Vec::new();
    for lane in [Lane(0), Lane(1)] {
        let mut seq = rng.between(1, 1 << 40);
        for _ in 0..rng.below(count) {
            rows.push(row_at(lane, seq, rng.between(1, 9) as u32));
            seq += rng.between(1, 50);
        }
    }
    rows
}

fn stream(rows: &[StoredRow], gaps: &[(String, Gap)]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut exporter = Exporter::new(&mut out, GATEWAY, 7, 2).unwrap();
    rows.iter().for_each(|row| exporter.row(row).unwrap());
    gaps.iter().for_each(|(consumer, gap)| exporter.gap(consumer, gap).unwrap());
    let done = exporter.finish().unwrap();
    assert_eq!((done.rows(), done.gaps), (rows.len() as u64, gaps.len() as u64));
    assert_eq!(done.stream_bytes, out.len() as u64);
    out
}

fn gaps() -> Vec<(String, Gap)> {
    let record = |reason| GapRecord {
        first_seq: 3,
        last_seq: 1 << 50,
        first_ms: -5,
        last_ms: i64::MAX,
        count: 9,
        reason,
    };
    Reason::ALL.into_iter().map(|r| ("hub".to_owned(), Gap { lane: Lane(1), record: record(r) })).collect()
}

type Read = (Vec<StoredRow>, Vec<(String, Gap)>, StreamEnd);

fn read(bytes: &[u8]) -> Result<Read, StreamError> {
    let (mut rows, mut gaps) = (Vec::new(), Vec::new());
    let mut stream = Stream::new(bytes);
    while let Some(item) = stream.next_item()? {
        match item {
            Item::Row(row) => rows.push(row),
            Item::Gap(consumer, gap) => gaps.push((consumer, gap)),
            other => panic!("{other:?}"),
        }
    }
    Ok((rows, gaps, *stream.end()))
}

/// What is imported, as an inspection finds it.
fn found(dir: &SimDir) -> Vec<StoredRow> {
    let mut found = Inspection::open_in(Box::new(dir.clone())).unwrap();
    assert!(found.is_clean() && found.damage().is_empty(), "{found:?}");
    let mut rows = Vec::new();
    for lane in 0..found.state().lanes {
        let each = found.each_row::<edge_queue::inspect::InspectError>(Lane(lane), 1, |row| {
            rows.push(row.clone());
            Ok(true)
        });
        each.unwrap();
    }
    assert!(found.lost().is_empty());
    rows
}

/// The same rows with the identity a new queue gives them.
fn renumbered(rows: &[StoredRow]) -> Vec<StoredRow> {
    let mut next = [1; 4];
    let renumber = |row: &StoredRow| {
        let seq = next[usize::from(row.lane.0)];
        next[usize::from(row.lane.0)] += 1;
        StoredRow { seq, epoch: 1, ..row.clone() }
    };
    rows.iter().map(renumber).collect()
}

fn import_into(dir: &SimDir, kind: StoreKind, bytes: &[u8]) -> Result<Imported, ImportError> {
    import(Box::new(dir.clone()), &config(kind), bytes)
}

#[test]
fn what_is_exported_is_imported_row_by_row() {
    let mut cases = 0;
    for nth in 0..budget_percent() * 2 {
        let kind = DURABLE[nth as usize % 2];
        let rows = rows(seed() + nth, 800);
        let bytes = stream(&rows, &gaps());
        let (read_rows, read_gaps, end) = read(&bytes).unwrap();
        assert_eq!((&read_rows, &read_gaps), (&rows, &gaps()));
        assert!(
            end.is_whole() && (end.gateway, end.epoch, end.lanes) == (GATEWAY, Some(7), Some(2)),
            "{end:?}"
        );
        let dir = SimDir::new();
        let done = import_into(&dir, kind, &bytes).unwrap();
        assert_eq!((done.rows(), done.gaps, done.stream), (rows.len() as u64, gaps(), end));
        assert_eq!(found(&dir), renumbered(&rows));
        cases += 1;
    }
    println!("executed transfer_round_trips: {cases} cases");
}

#[test]
fn a_running_queue_exports_what_waits_and_the_imported_one_delivers_it() {
    for (from, to) in [(0, 1), (1, 0)] {
        let dir = SimDir::new();
        let queue = open(&dir, config(DURABLE[from])).unwrap();
        let mut hub = queue.consumer("hub").unwrap();
        let _slow = queue.consumer("slow").unwrap();
        for n in 0..50u8 {
            drop(
                queue
                    .push(
                        Row::new(vec![n]).key("k").meta("m").weight(2).ttl(std::time::Duration::from_secs(9)),
                    )
                    .unwrap(),
            );
        }
        queue.commit().unwrap();
        let leases: Vec<_> = hub.lease(20, Wait::None).unwrap().into_iter().collect();
        drop(queue.push(Row::new("unwritten").lane(Lane::ALARM)).unwrap());
        let mut bytes = Vec::new();
        let before = queue.ledger();
        let done = queue.export(&mut bytes).unwrap();
        assert_eq!((done.lanes[0].rows, done.lanes[1].rows, done.lanes[1].weight), (1, 50, 100));
        assert_eq!(queue.ledger(), before);
        hub.ack(leases);
        queue.close().unwrap();
        let dir = SimDir::new();
        let done = import_into(&dir, DURABLE[to], &bytes).unwrap();
        let queue = open(&dir, config(DURABLE[to])).unwrap();
        assert_eq!(queue.gateway_id(), done.gateway);
        assert_ne!(done.gateway, done.stream.gateway);
        let mut hub = queue.consumer("hub").unwrap();
        let mut payloads = Vec::new();
        for lease in hub.lease(100, Wait::None).unwrap() {
            assert!(lease.stored() && lease.id().gateway == done.gateway);
            payloads.push(lease.payload().to_vec());
            lease.ack();
        }
        assert_eq!(payloads.len(), 51);
        payloads.retain(|payload| payload.len() == 1);
        assert!(payloads.iter().map(|payload| payload[0]).eq(0..50));
        queue.commit().unwrap();
        assert!(queue.ledger().iter().all(|ledger| ledger.balanced() && ledger.queued == 0));
        queue.close().unwrap();
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
fn a_block_with_a_wrong_byte_costs_its_rows_and_an_import_takes_the_rest() {
    let rows = rows(seed() + 1, 800);
    let bytes = stream(&rows, &[]);
    let starts: Vec<usize> = (0..bytes.len() - 4).filter(|at| bytes[*at..].starts_with(b"EDGX")).collect();
    let mut bad = bytes.clone();
    bad[starts[2] + 100] ^= 0x10;
    let lost = u32::from_le_bytes(bytes[starts[2] + 20..][..4].try_into().unwrap());
    for kind in DURABLE {
        let dir = SimDir::new();
        let done = import_into(&dir, kind, &bad).unwrap();
        assert_eq!((done.stream.rows_missing, done.stream.ended), (u64::from(lost), true));
        assert_eq!(done.rows() + u64::from(lost), rows.len() as u64);
        assert_eq!(found(&dir).len() as u64, done.rows());
    }
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

#[test]
fn an_import_that_cannot_be_whole_leaves_nothing_and_says_why() {
    let rows = rows(seed() + 2, 800);
    let bytes = stream(&rows, &[]);
    for kind in DURABLE {
        let empty = |dir: &SimDir| dir.names().is_empty();
        let refused = |config: Config| {
            let dir = SimDir::new();
            let error = import(Box::new(dir.clone()), &config, bytes.as_slice()).unwrap_err();
            assert!(empty(&dir), "{error}: {:?}", dir.names());
            error
        };
        assert!(matches!(
            refused(config(kind).lanes(1)),
            ImportError::NoSuchLane { lane: Lane(1), lanes: 1 }
        ));
        assert!(matches!(refused(config(kind).max_messages(8)), ImportError::TooMuch { .. }));
        assert!(matches!(refused(config(kind).row_bytes_max(100)), ImportError::TooLarge { limit: 100, .. }));
        let nothing = import_into(&SimDir::new(), kind, b"no stream").unwrap_err();
        assert!(matches!(nothing, ImportError::Stream(StreamError::NoExport)));
        // Twice into the same directory.
        let dir = SimDir::new();
        import_into(&dir, kind, &bytes).unwrap();
        let before = dir.counters();
        for again in DURABLE {
            assert!(matches!(import_into(&dir, again, &bytes), Err(ImportError::NotEmpty { .. })));
        }
        assert_eq!(dir.counters().operations, before.operations);
        let queue = open(&dir, config(kind)).unwrap();
        assert!(matches!(import_into(&dir, kind, &bytes), Err(ImportError::Open(OpenError::Busy))));
        queue.close().unwrap();
    }
    assert!(matches!(
        import_into(&SimDir::new(), StoreKind::Memory, &bytes),
        Err(ImportError::Open(OpenError::Config(_)))
    ));
}

#[test]
fn a_power_cut_or_a_failing_call_leaves_no_queue_or_a_whole_one() {
    let rows = rows(seed() + 3, 300);
    let bytes = stream(&rows, &[]);
    let mut rng = Rng::new(seed());
    let mut cases = 0;
    for kind in DURABLE {
        let dir = SimDir::new();
        dir.record();
        import_into(&dir, kind, &bytes).unwrap();
        let mut recording = dir.recording();
        for at in 0..=recording.operations() {
            for outcome in Outcome::ALL {
                let after = recording.crash_at(at, outcome, rng.next_u64());
                cases += judge(&after, kind, &bytes, &rows);
            }
        }
        for call in Call::ALL {
            for nth in 0..40 {
                let dir = SimDir::new();
                dir.fail(Fault { call, after: nth, error: FaultError::Io, sticky: nth % 2 == 0 });
                let done = import_into(&dir, kind, &bytes);
                let fired = dir.counters().faults > 0;
                dir.heal();
                assert!(done.is_err() || found(&dir) == renumbered(&rows), "{call:?} {nth}");
                cases += judge(&dir, kind, &bytes, &rows);
                if !fired {
                    break;
                }
            }
        }
    }
    println!("executed transfer_crash_states: {cases} cases");
}

/// Nothing there, and then the import works; or everything.
fn judge(dir: &SimDir, kind: StoreKind, bytes: &[u8], rows: &[StoredRow]) -> u64 {
    let file = if kind == StoreKind::Ring { "queue.ring" } else { "queue.redb" };
    if !dir.names().iter().any(|name| name == file) {
        import_into(dir, kind, bytes).unwrap();
    }
    assert_eq!(found(dir), renumbered(rows));
    1
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
/// `EDGE_REGENERATE_GOLDEN=1 cargo test -p edge-queue --test transfer`, which prints the new hash.
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
