//! A power cut inside the commit that begins a segment, and damage that takes the segment before as well (promises 2 and 3):
//! receipted rows are told as lost; rows of the torn commit, and rows that were done, are not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

#[path = "common/ring_image.rs"]
mod ring_image;

use edge_queue::store::{Change, DoneRows, Position, RingStore, State, Store};
use edge_queue::testing::{Flaw, Outcome, SimDir};

use ring_image::{FILE, LANE, PAGE, SEGMENT, SEGMENTS_AT, commit, open, plain, read, row};

/// Power cuts that are tried for one that leaves a whole frame of the new segment, but not its start.
const CUTS: u64 = 20_000;
/// Rows that are receipted in the run that the power cut ends.
const OPEN: u64 = 6;
const SECTOR: usize = 512;

/// Everything below `floor` is acknowledged, by so many consumers that a snapshot takes more than a sector, and given up.
fn acknowledge(store: &mut RingStore, state: &mut State, floor: u64) {
    let mut lane = state.lane[0];
    lane.floor = floor;
    let position = Position::from_floor(floor);
    let names = (0..8).map(|nth| format!("{nth:64}"));
    let mut changes: Vec<_> =
        names.map(|consumer| Change::Position { consumer, lane: LANE, position: position.clone() }).collect();
    changes.push(Change::Lane { lane: LANE, state: lane });
    changes.iter().for_each(|change| state.apply(change));
    store.commit(&changes, state).unwrap();
    store.advance(LANE, &DoneRows::below(floor)).unwrap();
}

/// A ring that was closed cleanly after so many commits of seven pages, all of them acknowledged.
fn closed(commits: u64) -> SimDir {
    let dir = SimDir::new();
    let (mut store, mut state) = opened(&dir);
    for last in (1..=commits).map(|nth| nth * 4) {
        let rows: Vec<_> = (last - 3..=last).map(|seq| row(seq, vec![1; 7_000])).collect();
        commit(&mut store, &mut state, &rows);
        acknowledge(&mut store, &mut state, last + 1);
    }
    store.commit(&[Change::Closed], &state).unwrap();
    dir
}

fn opened(dir: &SimDir) -> (RingStore, State) {
    let (store, found) = open(dir);
    (store, found.state)
}

/// Slots that hold a segment's start.
fn begun(dir: &SimDir) -> Vec<usize> {
    let bytes = dir.content(FILE).unwrap();
    let slots = (SEGMENTS_AT..bytes.len()).step_by(SEGMENT);
    slots.filter(|at| bytes[*at..].starts_with(b"EDGF")).collect()
}

/// Cuts the power in the first commit of a run that begins a segment: of that segment a frame arrived, and not the start. Then
/// damages all others.
fn cut(closed: &SimDir, open: u64) -> SimDir {
    for rows in 1..40 {
        let dir = closed.crash(Outcome::Kept, 0);
        let (mut store, mut state) = opened(&dir);
        let next = state.lane[0].next;
        (next..next + open).for_each(|seq| commit(&mut store, &mut state, &[plain(seq)]));
        let (next, before) = (next + open, dir.content(FILE).unwrap());
        dir.record();
        let torn: Vec<_> = (next..next + rows).map(|seq| row(seq, vec![2; 3_000])).collect();
        commit(&mut store, &mut state, &torn);
        let now = dir.content(FILE).unwrap();
        let fresh = |at: &usize| before[*at..][..PAGE] != now[*at..][..PAGE];
        let Some(start) = begun(&dir).into_iter().find(fresh) else { continue };
        let mut recording = dir.recording();
        let last = recording.operations() - 1;
        let tears = |dir: &SimDir| {
            let found = dir.content(FILE).unwrap();
            let page = |nth: usize| start + nth * PAGE..start + (nth + 1) * PAGE;
            // Without its first sector a slot that was used before still holds the old segment.
            let is_begun = found[start..][..SECTOR] == now[start..][..SECTOR];
            is_begun && found[page(0)] != now[page(0)] && found[page(1)] == now[page(1)]
        };
        let mut cuts = (0..CUTS).map(|seed| recording.crash_at(last, Outcome::Torn, seed));
        let after = cuts.find(tears).expect("a cut that leaves a frame of the segment, but not its start");
        for at in (SEGMENTS_AT..now.len()).step_by(SEGMENT).filter(|at| *at != start) {
            assert!(after.damage(FILE, at as u64, &[0; SEGMENT]));
        }
        return after;
    }
    panic!("no commit begins a segment");
}

/// Rows that the open after the cut tells as lost, and the one after that.
fn lost(commits: u64, open: u64) -> u64 {
    let dir = cut(&closed(commits), open);
    let told = || read(&mut opened(&dir).0).1;
    let lost = told();
    assert_eq!(told(), lost, "the next open tells the same");
    lost
}

#[test]
fn receipted_rows_before_a_torn_commit_are_told_when_damage_takes_their_segment() {
    for commits in [1, 2, 5, 9, 14] {
        let lost = lost(commits, OPEN);
        assert!(lost >= OPEN, "{lost} lost of {OPEN}, {commits} commits before were done");
    }
}

#[test]
fn rows_that_were_done_and_a_torn_commits_own_are_not_told_whatever_damage_takes() {
    for commits in [1, 2, 5, 9, 14] {
        assert_eq!(lost(commits, 0), 0, "{commits} commits before were done");
    }
}

/// The first again with the bug.
#[test]
fn a_torn_commit_that_excuses_the_segment_before_is_caught() {
    assert_eq!(Flaw::AllForgiven.during(|| lost(1, OPEN)), 0, "not found");
}
