//! Promises 2 and 11: a ring whose every segment is taken can still note what was acknowledged, also after a kill.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

#[path = "common/ring_image.rs"]
mod ring_image;

use edge_queue::store::{Change, DoneRows, Position, State, Store, StoreError};
use edge_queue::testing::SimDir;

use ring_image::{FILE, LANE, SEGMENT, SEGMENTS_AT, open, plain, read};

fn position(floor: u64) -> Change {
    let position = Position::from_floor(floor);
    Change::Position { consumer: "hub".into(), lane: LANE, position }
}

/// Rows until the lane is full, then acknowledgements until they have begun the last segment, then a kill.
fn full_ring(dir: &SimDir) -> (u64, State) {
    let (mut store, found) = open(dir);
    let mut state = found.state;
    let mut next = 1;
    loop {
        let rows: Vec<_> = (next..next + 14).map(plain).collect();
        match store.append(&rows) {
            Ok(()) => store.commit(&[], &state).unwrap(),
            Err(StoreError::Full { .. }) => break,
            Err(e) => panic!("{e}"),
        }
        next += 14;
    }
    // Changes of more than half a page take pages of their own, until one begins the segment kept for them.
    let segments = |dir: &SimDir| {
        let bytes = dir.content(FILE).unwrap();
        bytes[SEGMENTS_AT..].chunks(SEGMENT).filter(|segment| segment.starts_with(b"EDGF")).count()
    };
    for n in 0..200 {
        let mut position = Position::from_floor(1);
        position.acked = (0..900).map(|range| (10 + range * 4, 10 + range * 4 + n % 2)).collect();
        let change = Change::Position { consumer: "hub".into(), lane: LANE, position };
        state.apply(&change);
        store.commit(&[change], &state).unwrap();
        if segments(dir) == 5 {
            return (next, state);
        }
    }
    panic!("the last segment was never begun");
}

#[test]
fn a_kill_after_the_last_segment_was_begun_leaves_a_ring_that_can_be_drained() {
    let dir = SimDir::new();
    let (next, mut state) = full_ring(&dir);
    let (mut store, found) = open(&dir);
    assert!(!found.clean && found.damage.is_empty(), "{found:?}");
    assert_eq!(read(&mut store).0.len() as u64, next - 1, "no row is lost");
    state.epoch = found.state.epoch;
    let change = position(next);
    state.apply(&change);
    state.lane[0].floor = next;
    store.commit(&[change], &state).expect("what was acknowledged can be noted");
    store.advance(LANE, &DoneRows::below(next)).unwrap();
    store.append(&[plain(next)]).unwrap();
    store.commit(&[], &state).unwrap();
    assert_eq!(read(&mut store).0, [plain(next)]);
}

#[test]
fn damage_that_leaves_no_segment_to_write_costs_the_oldest_and_says_so() {
    let dir = SimDir::new();
    let (next, mut state) = full_ring(&dir);
    // The segment begun last cannot be continued: its first page is gone.
    let bytes = dir.content(FILE).unwrap();
    let generation = |n: &usize| bytes[SEGMENTS_AT + n * SEGMENT + 24..][..8].to_vec();
    let last = (0..5)
        .max_by_key(|n| {
            let mut g = generation(n);
            g.reverse();
            g
        })
        .unwrap();
    assert!(dir.damage(FILE, (SEGMENTS_AT + last * SEGMENT) as u64, &[0x5a; 512]));
    let (mut store, found) = open(&dir);
    let (rows, lost, _) = read(&mut store);
    assert_eq!(rows.len() as u64 + lost, next - 1, "{found:?}");
    let change = position(next);
    state.apply(&change);
    store.commit(&[change], &state).expect("what was acknowledged can be noted");
}
