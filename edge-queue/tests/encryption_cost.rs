//! Cost of encryption in processor time and bytes: `cargo test --release -p edge-queue --test encryption_cost -- --nocapture` prints both, of commits
//! as a gateway makes them, on the file system of the temporary directory. Nothing is asserted of a time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use edge_queue::medium::os::OsDir;
use edge_queue::store::{Change, Options, ReadLimit, RingStore, Store, StoredRow};
use edge_queue::testing::budget_percent;
use edge_queue::{Key, Lane, Now};

const LANE: Lane = Lane(0);
const ROUNDS: u64 = 5;

fn options() -> Options {
    Options {
        lanes: 1,
        lane_bytes: [64 << 20; 4].into(),
        segment_bytes: 1 << 20,
        row_bytes_max: 8192,
        gateway: 1,
        epoch_step: 1,
    }
}

fn row(seq: u64) -> StoredRow {
    StoredRow {
        lane: LANE,
        seq,
        epoch: 1,
        stamp: Now { boot_id: 7, up_ms: seq, wall_ms: 1, synced: true },
        ttl_ms: None,
        expiry: Default::default(),
        weight: 1,
        key: Default::default(),
        meta: "plant/line2/temperature".into(),
        payload: vec![seq as u8; 200].into(),
    }
}

/// Nanoseconds for which the processor ran this thread, in the kernel too; `None` where the system does not say.
fn processor_ns() -> Option<u64> {
    std::fs::read_to_string("/proc/thread-self/schedstat").ok()?.split(' ').next()?.parse().ok()
}

/// Nanoseconds of all commits with so many rows and of the reads of these rows, and bytes written.
fn measured(key: Option<&Key>, batch: u64, commits: u64) -> [u64; 3] {
    let dir = tempfile::tempdir().unwrap();
    let os = Box::new(OsDir::new(dir.path()).unwrap());
    let (mut store, found) = match key {
        None => RingStore::open(os, &options()).unwrap(),
        Some(key) => RingStore::open_encrypted(os, &options(), key).unwrap(),
    };
    let mut state = found.state;
    let batches: Vec<Vec<StoredRow>> =
        (0..commits).map(|nth| (nth * batch + 1..=(nth + 1) * batch).map(row).collect()).collect();
    let start = processor_ns().unwrap_or_default();
    for rows in &batches {
        state.lane[0].next += batch;
        store.append(rows).unwrap();
        store.commit(&[Change::Lane { lane: LANE, state: state.lane[0] }], &state).unwrap();
    }
    let written = processor_ns().unwrap_or_default();
    let (mut rows, mut next) = (0, Some(1));
    while let Some(from) = next {
        let chunk = store.read(LANE, from, ReadLimit { rows: 100, bytes: 1 << 20 }).unwrap();
        rows += chunk.rows.len() as u64;
        next = chunk.next;
    }
    let read = processor_ns().unwrap_or_default();
    assert_eq!(rows, commits * batch);
    [written - start, read - written, store.stats().bytes_written]
}

#[test]
fn what_encryption_takes_of_the_processor_and_of_the_disk() {
    let key = Key::new([7; 32]);
    for batch in [1, 30, 300] {
        let commits = (4 * budget_percent()).clamp(40, 400);
        // Sums, since some systems count the time in steps of milliseconds.
        let mut sums = [[0; 3]; 2];
        for _ in 0..ROUNDS {
            for (sum, key) in sums.iter_mut().zip([None, Some(&key)]) {
                sum.iter_mut().zip(measured(key, batch, commits)).for_each(|(sum, one)| *sum += one);
            }
        }
        let [plain, encrypted] = sums.map(|[written, read, bytes]| {
            let commits = ROUNDS * commits;
            [written / commits, read / (commits * batch), bytes / commits]
        });
        println!(
            "{batch} rows of 200 B a commit, plain and encrypted: {} and {} ns a commit, {} and {} ns a row read, {} and {} B a commit",
            plain[0], encrypted[0], plain[1], encrypted[1], plain[2], encrypted[2]
        );
        // Frames grow, and a page is written again: what is added shows in the pages alone.
        assert!(encrypted[2] < plain[2] + plain[2] / 20 + 4096);
    }
}
