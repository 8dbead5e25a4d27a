//! The ring over many laps, failed syncs and changed limits (promises 2, 4, 8 and 11 at the store's level).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use edge_queue::store::{
    Change, DoneRows, Options, ReadLimit, Recovered, RingStore, State, Store, StoreError, StoredRow,
};
use edge_queue::testing::{Call, Fault, FaultError, SimDir};
use edge_queue::{Lane, Seq, Stamp};

const LANE: Lane = Lane(1);

fn options(limit: u64) -> Options {
    Options {
        lanes: 2,
        lane_bytes: [128 * 1024, limit, 0, 0].into(),
        segment_bytes: 64 * 1024,
        row_bytes_max: 8 * 1024,
        gateway: 5,
        epoch_step: 1,
    }
}

fn open(dir: &SimDir, limit: u64) -> (RingStore, Recovered) {
    RingStore::open(Box::new(dir.clone()), &options(limit)).unwrap()
}

fn row(seq: Seq) -> StoredRow {
    StoredRow {
        lane: LANE,
        seq,
        epoch: 2,
        stamp: Stamp { boot_id: 1, up_ms: seq, wall_ms: 0, synced: false },
        ttl_ms: Some(seq),
        expiry: Default::default(),
        weight: 1,
        key: "".into(),
        meta: "a topic of some forty bytes, more or less".into(),
        payload: vec![seq as u8; 160].into(),
    }
}

fn rows(range: std::ops::Range<Seq>) -> Vec<StoredRow> {
    range.map(row).collect()
}

fn commit(store: &mut RingStore, state: &mut State, rows: &[StoredRow]) -> Result<(), StoreError> {
    let next = rows.last().map_or(state.lane[1].next, |row| row.seq + 1);
    let mut lane = state.lane[1];
    lane.next = next;
    let change = Change::Lane { lane: LANE, state: lane };
    store.append(rows)?;
    state.apply(&change);
    store.commit(&[change], state)
}

fn read(store: &mut RingStore, mut from: Seq) -> Vec<StoredRow> {
    let mut rows = Vec::new();
    loop {
        let chunk = store.read(LANE, from, ReadLimit { rows: 50, bytes: 10_000 }).unwrap();
        assert!(chunk.lost.is_empty(), "{:?}", chunk.lost);
        rows.extend(chunk.rows);
        match chunk.next {
            Some(next) => from = next,
            None => return rows,
        }
    }
}

#[test]
fn ten_laps_with_reopens_keep_exactly_what_is_above_the_floor() {
    let dir = SimDir::new();
    let (mut store, recovered) = open(&dir, 256 * 1024);
    let mut state = recovered.state;
    let mut next = 1;
    for round in 0..400u64 {
        let size = [1, 3, 80, 7, 200, 1][round as usize % 6];
        commit(&mut store, &mut state, &rows(next..next + size)).unwrap();
        next += size;
        let floor = next.saturating_sub(600).max(1);
        state.lane[1].floor = floor;
        if round % 5 == 0 {
            commit(&mut store, &mut state, &[]).unwrap();
            store.advance(LANE, &DoneRows::below(floor)).unwrap();
        }
        if round % 29 == 0 {
            drop(store);
            let (again, found) = open(&dir, 256 * 1024);
            (store, state) = (again, found.state);
            assert_eq!(found.damage, Vec::<String>::new());
            assert_eq!(found.highest_seq[1], next - 1);
            assert_eq!(read(&mut store, floor), rows(floor..next));
        }
    }
    let file = 8192 + (8 + 12) * 65_536;
    assert_eq!(dir.content("queue.ring").unwrap().len(), file);
    assert!(store.stats().quarantined == 0);
}

#[test]
fn a_full_lane_says_so_before_writing_and_still_notes_what_was_given_up() {
    let dir = SimDir::new();
    let (mut store, recovered) = open(&dir, 128 * 1024);
    let (mut state, mut next) = (recovered.state, 1);
    while commit(&mut store, &mut state, &rows(next..next + 50)).is_ok() {
        next += 50;
    }
    assert!(next * 200 > 2 * 128 * 1024, "the region holds twice the limit: {next}");
    let written = store.stats().bytes_written;
    assert!(matches!(store.append(&rows(next..next + 50)), Err(StoreError::Full { lane: LANE })));
    assert_eq!(store.stats().bytes_written, written);
    state.lane[1].floor = next;
    commit(&mut store, &mut state, &[]).unwrap();
    store.advance(LANE, &DoneRows::below(next)).unwrap();
    commit(&mut store, &mut state, &rows(next..next + 50)).unwrap();
    assert_eq!(read(&mut store, 1), rows(next..next + 50));
}

#[test]
fn after_a_failed_sync_the_same_rows_go_to_another_place_and_are_found_once() {
    let dir = SimDir::new();
    let (mut store, recovered) = open(&dir, 256 * 1024);
    let mut state = recovered.state;
    commit(&mut store, &mut state, &rows(1..40)).unwrap();
    dir.fail(Fault { call: Call::Sync, after: 0, error: FaultError::Io, sticky: false });
    assert!(commit(&mut store, &mut state, &rows(40..50)).is_err());
    assert_eq!(read(&mut store, 1), rows(1..40), "nothing staged counts");
    commit(&mut store, &mut state, &rows(40..60)).unwrap();
    assert_eq!(read(&mut store, 1), rows(1..60));
    drop(store);
    let (mut store, found) = open(&dir, 256 * 1024);
    assert_eq!(found.damage, Vec::<String>::new());
    assert_eq!(read(&mut store, 1), rows(1..60));
}

#[test]
fn changed_limits_move_everything_or_nothing() {
    let dir = SimDir::new();
    let (mut store, recovered) = open(&dir, 256 * 1024);
    let (gateway, mut state) = (recovered.state.gateway, recovered.state);
    commit(&mut store, &mut state, &rows(1..1000)).unwrap();
    state.lane[1].floor = 100;
    commit(&mut store, &mut state, &[]).unwrap();
    store.commit(&[Change::Closed], &state).unwrap();
    drop(store);
    let (mut store, found) = open(&dir, 1024 * 1024);
    assert!(found.clean && found.damage.is_empty() && found.state.gateway == gateway, "{found:?}");
    assert_eq!(found.state.lane, state.lane);
    assert_eq!(read(&mut store, 100), rows(100..1000));
    assert_eq!(found.highest_seq[1], 999);
    state = found.state;
    commit(&mut store, &mut state, &rows(1000..3000)).unwrap();
    drop(store);
    // Too small for what waits: the old limits stay, and the operator is told.
    let (mut store, found) = open(&dir, 64 * 1024);
    assert!(found.damage.is_empty() && found.limits_kept.is_some(), "{found:?}");
    assert_eq!(read(&mut store, 100), rows(100..3000));
    assert_eq!(dir.names(), ["queue.ring"]);
}

#[test]
fn a_commit_costs_the_pages_it_fills() {
    let dir = SimDir::new();
    let usual = Options { lane_bytes: [8 << 20; 4].into(), segment_bytes: 1 << 20, ..options(0) };
    let (mut store, recovered) = RingStore::open(Box::new(dir), &usual).unwrap();
    let (mut state, mut next) = (recovered.state, 1);
    // What consumers acknowledged goes with the rows.
    for (size, limit, acked) in [(1u64, 4200, false), (1, 4200, true), (30, 8500, false), (30, 8500, true)] {
        // On the first lap a segment is filled before its first use, here ahead of the commits.
        store.prepare().unwrap();
        let before = store.stats();
        for _ in 0..100 {
            store.append(&rows(next..next + size)).unwrap();
            next += size;
            state.lane[1].next = next;
            let changes = acked.then_some(Change::Lane { lane: LANE, state: state.lane[1] });
            store.commit(changes.as_slice(), &state).unwrap();
        }
        let after = store.stats();
        assert_eq!(after.syncs - before.syncs, 100);
        let bytes = (after.bytes_written - before.bytes_written) / 100;
        assert!(bytes <= limit, "{size} rows, {acked}: {bytes} bytes per commit");
    }
}

#[test]
fn a_new_segment_is_filled_by_the_commit_that_begins_it_when_small_ones_will_follow() {
    let usual = Options { lane_bytes: [8 << 20; 4].into(), segment_bytes: 1 << 20, ..options(0) };
    for (size, filled) in [(1u64, true), (30, true), (300, false), (1000, false)] {
        let (mut store, recovered) = RingStore::open(Box::new(SimDir::new()), &usual).unwrap();
        let mut state = recovered.state;
        let mut written = Vec::new();
        for first in [1, 1 + size] {
            let before = store.stats();
            store.append(&rows(first..first + size)).unwrap();
            state.lane[1].next = first + size;
            store.commit(&[], &state).unwrap();
            assert_eq!(store.stats().syncs - before.syncs, 1, "the commit's own sync covers it");
            written.push(store.stats().bytes_written - before.bytes_written);
        }
        assert_eq!(written[0] >= 1 << 20, filled, "{size} rows: {written:?}");
        assert!(written[1] < 1 << 19, "{size} rows: {written:?}");
    }
}

/// Promise 8: what is said to have been written is what the disk was given, and the syncs are those it was asked for.
#[test]
fn bytes_and_syncs_are_those_of_the_disk() {
    let dir = SimDir::new();
    let (mut store, recovered) = open(&dir, 256 * 1024);
    let (mut state, mut next) = (recovered.state, 1);
    let (at_open, told) = (dir.counters(), store.stats());
    for size in [1, 30, 0, 400, 1, 0] {
        commit(&mut store, &mut state, &rows(next..next + size)).unwrap();
        next += size;
    }
    store.commit(&[Change::Closed], &state).unwrap();
    let (at_end, after) = (dir.counters(), store.stats());
    assert_eq!(after.bytes_written - told.bytes_written, at_end.bytes_written - at_open.bytes_written);
    assert_eq!(after.syncs - told.syncs, at_end.syncs - at_open.syncs);
    // One for each commit, and that of the superblock which says that it was closed.
    assert_eq!(after.syncs - told.syncs, 8);
}

/// Slots that were filled ahead and not used stay filled over a power cut, and nothing is filled before it is nearly needed.
#[test]
fn a_slot_is_filled_once_in_the_life_of_a_store() {
    let usual = Options { lane_bytes: [8 << 20; 4].into(), segment_bytes: 1 << 20, ..options(0) };
    let (dir, mut next, mut filled) = (SimDir::new(), 1, Vec::new());
    for run in 0..3 {
        let (mut store, recovered) = RingStore::open(Box::new(dir.clone()), &usual).unwrap();
        let mut state = recovered.state;
        for commits in [0, 1, 100] {
            for _ in 0..commits {
                state.lane[1].next = next + 20;
                commit(&mut store, &mut state, &rows(next..next + 20)).unwrap();
                next += 20;
            }
            let before = store.stats().bytes_written;
            store.prepare().unwrap();
            filled.push((run, commits, (store.stats().bytes_written - before) >> 20));
        }
        // Dropped without a close mark.
    }
    // For each of the two lanes when the store is new, and when half of the first and of the second segment is used.
    let some: Vec<_> = filled.iter().filter(|(_, _, mib)| *mib > 0).copied().collect();
    assert_eq!(some, [(0, 0, 2), (0, 100, 1), (1, 100, 1)], "{filled:?}");
}
