//! Cases that only redb has: damage, refusal, a full disk. The contract itself is proved by `tests/conformance.rs`.

mod durability;
mod unsound_table;

use bytes::Bytes;

use super::*;
use crate::row_age::Expiry;
use crate::store::{DoneRows, Lost};
use crate::testing::{Call, Fault, FaultError, Outcome, Rng, SimDir};
use crate::time::Stamp;

const LIMIT: ReadLimit = ReadLimit { rows: 1000, bytes: 1 << 20 };

fn options() -> Options {
    Options {
        lanes: 2,
        lane_bytes: [1 << 20; LANES_MAX].into(),
        segment_bytes: 1 << 18,
        row_bytes_max: 1 << 16,
        gateway: 42,
        epoch_step: 1,
    }
}

fn row(seq: Seq) -> StoredRow {
    StoredRow {
        lane: Lane(1),
        seq,
        epoch: 1,
        stamp: Stamp::default(),
        ttl_ms: None,
        expiry: Expiry::Lenient,
        weight: 1 + (seq % 3) as u32,
        key: Bytes::new(),
        meta: Bytes::from(format!("plant/{seq}")),
        payload: Rng::new(seq).bytes(200).into(),
    }
}

fn open(dir: &SimDir) -> (RedbStore, Recovered) {
    RedbStore::open(Box::new(dir.clone()), &options()).unwrap()
}

/// `count` rows in commits of ten, none of the first `below` wanted any more.
fn fill(dir: &SimDir, count: u64, below: Seq) -> State {
    let (mut store, recovered) = open(dir);
    let mut state = recovered.state;
    for first in (1..=count).step_by(10) {
        let rows: Vec<StoredRow> = (first..(first + 10).min(count + 1)).map(row).collect();
        state.lane[1].next = first + 10;
        store.append(&rows).unwrap();
        store.commit(&[], &state).unwrap();
    }
    state.lane[1].floor = below;
    store.commit(&[], &state).unwrap();
    store.advance(Lane(1), &DoneRows::below(below)).unwrap();
    state
}

fn read_all(store: &mut RedbStore) -> (Vec<Seq>, Vec<Lost>) {
    read_from(store, 0)
}

fn read_from(store: &mut RedbStore, mut from: Seq) -> (Vec<Seq>, Vec<Lost>) {
    let (mut rows, mut lost) = (Vec::new(), Vec::new());
    loop {
        let chunk = store.read(Lane(1), from, LIMIT).unwrap();
        for found in &chunk.rows {
            assert_eq!(*found, row(found.seq), "silently wrong bytes");
            rows.push(found.seq);
        }
        lost.extend(chunk.lost);
        match chunk.next {
            Some(next) => from = next,
            None => return (rows, lost),
        }
    }
}

/// Promise 2: whatever page is damaged, open works, no wrong bytes come out, and what is missing is counted.
#[test]
fn any_damaged_page_costs_its_rows_and_nothing_else() {
    let dir = SimDir::new();
    fill(&dir, 300, 1);
    let len = dir.content("queue.redb").unwrap().len() as u64;
    let mut rng = Rng::new(7);
    let (mut with_loss, mut set_aside) = (0, 0);
    for page in 0..len / 4096 {
        let damaged = dir.crash(Outcome::Kept, 0);
        let garbage = if rng.one_in(2) { vec![0; 4096] } else { rng.bytes(4096) };
        assert!(damaged.damage("queue.redb", page * 4096, &garbage));
        let (mut store, _) = open(&damaged);
        let (rows, lost) = read_all(&mut store);
        let missing: u64 = lost.iter().map(|lost| lost.rows).sum();
        assert_eq!(rows.len() as u64 + missing, 300, "page {page}: {lost:?}");
        assert!(missing < 60, "page {page} took {missing} rows");
        with_loss += u64::from(missing > 0);
        set_aside += u64::from(damaged.names().iter().any(|name| name.starts_with("bad/")));
        let (_, again) = read_all(&mut store);
        assert_eq!(again, lost, "whoever reads is told");
    }
    assert!(with_loss > 10 && set_aside > 3, "{with_loss} pages lost rows, {set_aside} files set aside");
}

/// Promise 2: a damaged row right behind those that were removed is counted with its own weight, and not with theirs.
#[test]
fn a_damaged_row_behind_removed_ones_weighs_its_own() {
    const BELOW: Seq = 101;
    let dir = SimDir::new();
    let state = fill(&dir, 300, BELOW);
    let (mut store, _) = open(&dir);
    store.advance(Lane(1), &DoneRows::below(BELOW)).unwrap();
    store.commit(&[], &state).unwrap();
    drop(store);
    let (content, payload) = (dir.content("queue.redb").unwrap(), row(BELOW).payload);
    let found = (0..content.len()).filter(|at| content[*at..].starts_with(&payload));
    let damaged = found.map(|at| assert!(dir.damage("queue.redb", at as u64, &[!payload[0]]))).count();
    assert!(damaged > 0, "the row is nowhere in the file");
    let (rows, lost) = read_all(&mut open(&dir).0);
    assert_eq!(rows, (BELOW + 1..=300).collect::<Vec<_>>());
    let lost: Vec<_> = lost.iter().map(|lost| (lost.last, lost.rows, lost.weight)).collect();
    assert_eq!(lost, [(BELOW, 1, u64::from(row(BELOW).weight))]);
}

/// Damages the key of a row, wherever it lies, and leaves the row's own number alone.
fn damage_key(dir: &SimDir, seq: Seq, byte: usize, bit: u8) {
    let content = dir.content("queue.redb").unwrap();
    let key = [&[1][..], &seq.to_le_bytes()].concat();
    let is_key = |at: &usize| {
        content[*at..].starts_with(&key) && !content[at - value::PREFIX_BYTES..].starts_with(b"EQr1")
    };
    let places: Vec<usize> = (4096..content.len()).filter(is_key).collect();
    assert!(!places.is_empty(), "row {seq} has no key");
    for at in places {
        let place = at + 1 + byte;
        assert!(dir.damage("queue.redb", place as u64, &[content[place] ^ 1 << bit]));
    }
}

/// Promise 3: with a damaged key a search goes astray. What a read finds may not depend on where it begins: else rows that one
/// read reports as lost another one counts as there.
#[test]
fn a_read_finds_the_same_wherever_it_begins() {
    let dir = SimDir::new();
    fill(&dir, 300, 1);
    let mut rebuilt = 0;
    for (seq, byte, bit) in (12..=300)
        .step_by(11)
        .chain([300])
        .flat_map(|seq| [(seq, 0, 3), (seq, 0, 7), (seq, 1, 0), (seq, 6, 1)])
    {
        let damaged = dir.crash(Outcome::Kept, 0);
        damage_key(&damaged, seq, byte, bit);
        let (mut store, recovered) = open(&damaged);
        assert_eq!(recovered.highest_seq[1], 300, "row {seq}, byte {byte}");
        for from in [seq.saturating_sub(1), 150, 40, 260, 1] {
            let (rows, lost) = read_from(&mut store, from);
            assert_eq!(
                (rows, lost),
                ((from.max(1)..=300).collect(), vec![]),
                "row {seq}, byte {byte}, from {from}"
            );
        }
        rebuilt += u64::from(damaged.names().iter().any(|name| name.starts_with("bad/")));
    }
    assert!(rebuilt > 50, "{rebuilt}");
}

/// Remains of an earlier damage are no sign of another one: the file stays.
#[test]
fn rows_that_are_missing_from_a_sound_table_are_lost_and_the_file_stays() {
    let dir = SimDir::new();
    fill(&dir, 300, 1);
    let (content, payload) = (dir.content("queue.redb").unwrap(), row(150).payload);
    let places = (0..content.len()).filter(|at| content[*at..].starts_with(&payload));
    places.for_each(|at| assert!(dir.damage("queue.redb", at as u64, &[!payload[0]])));
    assert!(dir.damage("queue.redb", 0, &[0xff; 4096]));
    drop(open(&dir));
    for _ in 0..2 {
        let (mut store, recovered) = open(&dir);
        let (rows, lost) = read_all(&mut store);
        assert_eq!((rows.len(), lost.len(), lost[0].rows, lost[0].first), (299, 1, 1, 150));
        assert!(recovered.damage.is_empty());
    }
    assert_eq!(dir.names(), ["bad/queue.redb.1", "ballast", "queue.redb"]);
}

/// Promise 11: where the disk has no space for another file, what a damaged one still gives comes out.
#[test]
fn on_a_full_disk_a_table_that_is_not_sound_is_read_as_it_is() {
    let dir = SimDir::new();
    fill(&dir, 300, 1);
    damage_key(&dir, 100, 0, 7);
    let (mut store, _) = open(&dir);
    dir.set_capacity(dir.allocated_bytes());
    let (rows, lost) = read_all(&mut store);
    assert_eq!(
        (rows.len() as u64 + lost.iter().map(|lost| lost.rows).sum::<u64>(), lost.is_empty()),
        (300, false)
    );
    assert_eq!(dir.names(), ["ballast", "queue.redb"], "and nothing is left of the attempt");
}

/// Promise 3: a queue that runs gives the numbers behind its newest row to new rows; an old page may hold others under them.
#[test]
fn a_file_that_is_rebuilt_while_the_queue_runs_brings_no_row_that_the_queue_does_not_know() {
    let dir = SimDir::new();
    fill(&dir, 300, 1);
    damage_key(&dir, 100, 0, 7);
    let content = dir.content("queue.redb").unwrap();
    let unused = content.chunks(4096).rposition(|page| page.iter().all(|byte| *byte == 0)).unwrap() as u64;
    let ghost = value::encode_row(&row(301), value::Totals { rows: 301, weight: 602 });
    assert!(dir.damage("queue.redb", unused * 4096, &ghost));
    let (mut store, recovered) = open(&dir);
    assert_eq!((recovered.highest_seq[1], recovered.damage.len()), (300, 0));
    assert_eq!(read_all(&mut store), ((1..=300).collect(), vec![]));
    assert_eq!(dir.names(), ["bad/queue.redb.1", "ballast", "queue.redb"]);
}

/// Promise 2: a file that redb refuses whole is searched for rows; numbers below the floor stay gone.
#[test]
fn a_refused_file_is_set_aside_and_its_rows_go_on() {
    let dir = SimDir::new();
    let state = fill(&dir, 100, 21);
    assert!(dir.damage("queue.redb", 0, &[0xff; 4096]));
    let (mut store, recovered) = open(&dir);
    assert_eq!(recovered.damage.len(), 1, "{recovered:?}");
    assert_eq!((recovered.state.gateway, recovered.state.epoch), (42, state.epoch + 1));
    assert_eq!(recovered.highest_seq[1], 100);
    assert_eq!(read_all(&mut store), ((21..=100).collect(), Vec::new()));
    assert_eq!(dir.names(), ["bad/queue.redb.1", "ballast", "queue.redb"]);
    drop(store);
    assert!(open(&dir).1.damage.is_empty(), "reported once");
}

/// Promise 2: each file that was damaged is kept, not only the last.
#[test]
fn a_second_file_is_set_aside_beside_the_first() {
    let dir = SimDir::new();
    fill(&dir, 100, 1);
    let damage = || assert!(dir.damage("queue.redb", 0, &[0xff; 4096]));
    damage();
    drop(open(&dir));
    let first = dir.content("bad/queue.redb.1");
    damage();
    drop(open(&dir));
    assert_eq!(dir.names(), ["bad/queue.redb.1", "bad/queue.redb.2", "ballast", "queue.redb"]);
    assert!(dir.content("bad/queue.redb.1") == first, "the first was replaced");
}

/// Promise 2: of two rows of one number, an unconfirmed one of a crashed run and its successor, the later epoch's goes on, whichever lies first.
#[test]
fn of_two_rows_of_one_number_the_later_epochs_is_carried_over() {
    for epochs in [[1, 2], [2, 1]] {
        let dir = SimDir::new();
        fill(&dir, 10, 1);
        let rows = epochs.map(|epoch| StoredRow { epoch, payload: vec![epoch as u8; 9].into(), ..row(11) });
        let totals = value::Totals { rows: 11, weight: 22 };
        let both = rows.iter().flat_map(|row| value::encode_row(row, totals)).collect::<Vec<u8>>();
        let end = dir.content("queue.redb").unwrap().len() as u64;
        assert!(dir.damage("queue.redb", end - 4096, &both) && dir.damage("queue.redb", 0, &[0xff; 4096]));
        let (mut store, recovered) = open(&dir);
        assert_eq!(recovered.damage.len(), 1, "{recovered:?}");
        let found = store.read(Lane(1), 11, LIMIT).unwrap().rows;
        assert_eq!(found.iter().map(|row| (row.seq, row.epoch)).collect::<Vec<_>>(), [(11, 2)], "{epochs:?}");
        assert_eq!(found[0].payload, vec![2; 9]);
    }
}

/// Promise 11: on a full disk rows are refused, what is there can still be given up, and then there is room again.
#[test]
fn a_full_disk_can_be_drained() {
    let dir = SimDir::new();
    let mut state = fill(&dir, 2000, 1);
    let (mut store, _) = open(&dir);
    dir.set_capacity(dir.allocated_bytes() + 64 * 1024);
    let mut next = 2001;
    let full = loop {
        store.append(&(next..next + 50).map(row).collect::<Vec<_>>()).unwrap();
        state.lane[1].next = next + 50;
        match store.commit(&[], &state) {
            Ok(()) => next += 50,
            Err(e) => break e,
        }
        assert!(next < 20_000, "the disk never got full");
    };
    assert!(full.to_string().contains("failed"), "{full}");
    for below in (100..2000).step_by(100) {
        state.lane[1].floor = below;
        store.commit(&[], &state).unwrap();
        store.advance(Lane(1), &DoneRows::below(below)).unwrap();
    }
    state.lane[1].next = next;
    store.commit(&[], &state).unwrap();
    store.append(&(next..next + 50).map(row).collect::<Vec<_>>()).unwrap();
    store.commit(&[], &state).unwrap();
    drop(store);
    let (mut store, _) = open(&dir);
    assert_eq!(read_all(&mut store).0, (1900..next + 50).collect::<Vec<_>>());
}

/// A failed sync followed by a good one and a power cut: the trap of the page cache that claims to be clean. The failed
/// commit also removes rows, so that it leaves pages which the commit after it does not write again by itself.
#[test]
fn rows_committed_after_a_failed_sync_survive_a_power_cut() {
    let mut failed = 0;
    for seed in 0..60 {
        let dir = SimDir::new();
        let mut state = fill(&dir, 400, 1);
        let (mut store, _) = open(&dir);
        let below = 20 + seed * 5;
        state.lane[1].floor = below;
        store.commit(&[], &state).unwrap();
        store.advance(Lane(1), &DoneRows::below(below)).unwrap();
        dir.fail(Fault { call: Call::Sync, after: seed % 2, error: FaultError::Io, sticky: false });
        let rows: Vec<StoredRow> = (401..=430).map(row).collect();
        state.lane[1].next = 431;
        store.append(&rows).unwrap();
        if store.commit(&[], &state).is_err() {
            failed += 1;
            assert_eq!(read_all(&mut store).0.last(), Some(&400), "a failed commit's rows do not count");
            store.append(&rows).unwrap();
            store.commit(&[], &state).unwrap();
        }
        let after = dir.crash(Outcome::Lost, seed);
        let (mut store, recovered) = open(&after);
        assert!(recovered.damage.is_empty(), "seed {seed}: {:?}", recovered.damage);
        assert_eq!(read_all(&mut store), ((below..=430).collect(), Vec::new()), "seed {seed}");
    }
    assert!(failed > 20, "{failed}");
}

/// A commit whose sync failed may be in the file all the same, and what it removed is then removed: number 2 was never
/// written, and must not be taken for a row that is gone.
#[test]
fn rows_that_a_failed_commit_removed_are_not_lost() {
    let mut failed = 0;
    for after in 0..3 {
        let dir = SimDir::new();
        let (mut store, recovered) = open(&dir);
        let mut state = recovered.state;
        store.append(&[row(1), row(3)]).unwrap();
        (state.lane[1].next, state.lane[1].floor) = (4, 2);
        store.commit(&[], &state).unwrap();
        store.advance(Lane(1), &DoneRows::below(2)).unwrap();
        dir.fail(Fault { call: Call::Sync, after, error: FaultError::Io, sticky: false });
        store.append(&[row(4)]).unwrap();
        failed += u64::from(store.commit(&[], &state).is_err());
        dir.heal();
        state.lane[1].next = 5;
        store.commit(&[], &state).unwrap();
        drop(store);
        let (rows, lost) = read_all(&mut open(&dir).0);
        assert_eq!((rows[0], lost), (3, Vec::new()), "sync {after}");
    }
    assert!(failed > 0, "no commit failed");
}

/// The same of rows that are not carried over, since they were given up before the file was refused.
#[test]
fn rows_given_up_before_a_file_is_set_aside_are_not_lost() {
    let dir = SimDir::new();
    let (mut store, recovered) = open(&dir);
    let mut state = recovered.state;
    store.append(&[row(1), row(3)]).unwrap();
    (state.lane[1].next, state.lane[1].floor) = (4, 2);
    store.commit(&[], &state).unwrap();
    drop(store);
    assert!(dir.damage("queue.redb", 0, &[0xff; 4096]));
    let (mut store, recovered) = open(&dir);
    assert_eq!(recovered.damage.len(), 1, "{recovered:?}");
    assert_eq!(read_all(&mut store), (vec![3], Vec::new()));
}
