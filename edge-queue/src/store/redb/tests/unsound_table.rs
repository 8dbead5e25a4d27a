//! A table of rows that is not sound, or looks like it: pages that lead round in a circle, no place for another table, a hole that an
//! earlier damage has left.

use super::*;
use crate::per_lane::PerLane;
use crate::state::{ConsumerState, Position};

const PAGE: usize = 4096;
const LEAF: u8 = 1;
const BRANCH: u8 = 2;

fn bytes_at<const N: usize>(page: &[u8], at: usize) -> [u8; N] {
    page[at..at + N].try_into().unwrap()
}

/// Place of a page of the smallest size, by its number in redb: pages lie behind the header and that of the region.
fn place_of(number: u64) -> usize {
    (usize::try_from(number & 0x000f_ffff).unwrap() + 1) * PAGE
}

/// Branch pages of the table of rows, each with the places of its children's numbers.
fn branches(content: &[u8]) -> Vec<(usize, Vec<usize>)> {
    let mut found = Vec::new();
    for at in (0..content.len()).step_by(PAGE).filter(|at| content[*at] == BRANCH) {
        let children = usize::from(u16::from_le_bytes(bytes_at(content, at + 2))) + 1;
        let numbers: Vec<usize> = (0..children).map(|nth| at + 8 + 16 * children + 8 * nth).collect();
        let is_leaf = |number: &usize| {
            let page = numbers.last().filter(|last| **last + 8 <= at + PAGE).is_some();
            page && content.get(place_of(u64::from_le_bytes(bytes_at(content, *number)))) == Some(&LEAF)
        };
        if children > 3 && numbers.iter().all(is_leaf) {
            found.push((at, numbers));
        }
    }
    found
}

/// Makes a child of every branch the branch itself, not the last, which an open looks at.
fn lead_round(dir: &SimDir) {
    let content = dir.content("queue.redb").unwrap();
    let branches = branches(&content);
    assert!(!branches.is_empty(), "no branch");
    for (at, numbers) in branches {
        let number = (at / PAGE - 1) as u64;
        assert_eq!(place_of(number), at);
        assert!(dir.damage("queue.redb", numbers[numbers.len() / 2] as u64, &number.to_le_bytes()));
    }
}

/// Promise 2: pages that lead round in a circle are left after a bounded number of steps, and the rows behind come by a rebuilt table.
#[test]
fn pages_that_lead_round_in_a_circle_are_left() {
    let dir = SimDir::new();
    fill(&dir, 1500, 1);
    lead_round(&dir);
    let (mut store, _) = open(&dir);
    assert_eq!(read_all(&mut store), ((1..=1500).collect(), vec![]));
    assert_eq!(dir.names(), ["bad/queue.redb.1", "ballast", "queue.redb"]);
}

/// Promise 11: where there is no place for another table, a circle ends in an error, and the rows come once there is.
#[test]
fn on_a_full_disk_pages_that_lead_round_in_a_circle_are_an_error_until_there_is_room() {
    let dir = SimDir::new();
    // More than redb's cache, and damaged when the file is open: an open would find it.
    fill(&dir, 9000, 1);
    let (mut store, _) = open(&dir);
    lead_round(&dir);
    dir.set_capacity(dir.allocated_bytes());
    let (mut from, mut chunks) = (0, 0);
    let failed = loop {
        match store.read(Lane(1), from, LIMIT).map(|chunk| chunk.next) {
            Ok(Some(next)) => from = next,
            Ok(None) => break false,
            Err(_) => break true,
        }
        chunks += 1;
        assert!(chunks < 100, "a read goes on for ever");
    };
    assert!(failed, "{:?} {:?} {from}", dir.names(), store.table);
    dir.heal();
    assert_eq!(read_all(&mut store), ((1..=9000).collect(), vec![]));
}

/// Promise 12: what redb does when it closes trusts pages that may be damaged, so a file that is set aside is not written to any more.
#[test]
fn a_file_that_is_set_aside_is_left_as_it_was_found() {
    let dir = SimDir::new();
    fill(&dir, 300, 1);
    damage_key(&dir, 100, 0, 7);
    let (mut store, _) = open(&dir);
    let found = dir.content("queue.redb").unwrap();
    assert_eq!(read_all(&mut store), ((1..=300).collect(), vec![]));
    assert!(dir.content("bad/queue.redb.1").unwrap() == found, "written to");
    drop(store);
    assert!(dir.content("bad/queue.redb.1").unwrap() == found, "written to later");
}

#[test]
fn what_is_passed_over_in_a_row_is_bounded() {
    let mut astray = table_state::Astray::default();
    assert!((0..10_000).all(|_| astray.pass_over().is_ok()) && astray.pass_over().is_err());
    astray.ends();
    assert!(astray.pass_over().is_ok());
}

/// Promise 11: without a restart, a table for which there was no place is rebuilt once there is.
#[test]
fn a_table_that_was_given_up_on_a_full_disk_is_rebuilt_when_there_is_room() {
    let dir = SimDir::new();
    let mut state = fill(&dir, 300, 1);
    damage_key(&dir, 100, 0, 7);
    let (mut store, recovered) = open(&dir);
    state.epoch = recovered.state.epoch;
    dir.set_capacity(dir.allocated_bytes());
    assert!(!read_all(&mut store).1.is_empty(), "given up");
    let mut commit = |store: &mut RedbStore| {
        state.lane[1].next += 1;
        store.commit(&[], &state).unwrap();
    };
    // One more try after one commit, and again one after two more.
    (0..2).for_each(|_| commit(&mut store));
    assert!(!read_all(&mut store).1.is_empty(), "still no room");
    dir.heal();
    assert!(!read_all(&mut store).1.is_empty(), "no try before it is due");
    (0..2).for_each(|_| commit(&mut store));
    assert_eq!(read_all(&mut store), ((1..=300).collect(), vec![]));
    assert_eq!(dir.names(), ["bad/queue.redb.1", "ballast", "queue.redb"]);
}

/// Reads of the medium for three rows around one that is gone, after an open.
fn reads_around(dir: &SimDir, gone: Seq) -> u64 {
    let (mut store, _) = open(dir);
    let before = dir.counters().reads;
    let chunk = store.read(Lane(1), gone - 1, ReadLimit { rows: 3, bytes: 1 << 20 }).unwrap();
    assert_eq!((chunk.rows.len(), chunk.lost.len(), chunk.lost[0].first), (3, 1, gone));
    dir.counters().reads - before
}

/// Promise 6: a start does not cost a look at every row because of a loss that was told.
#[test]
fn a_hole_that_every_consumer_was_told_of_costs_no_look_at_the_whole_table() {
    const GONE: Seq = 4500;
    let dir = SimDir::new();
    // More than redb's cache.
    fill(&dir, 9000, 1);
    let (content, payload) = (dir.content("queue.redb").unwrap(), row(GONE).payload);
    let places = (0..content.len()).filter(|at| content[*at..].starts_with(&payload));
    places.for_each(|at| assert!(dir.damage("queue.redb", at as u64, &[!payload[0]])));
    assert!(dir.damage("queue.redb", 0, &[0xff; 4096]));
    drop(open(&dir));
    let look = reads_around(&dir, GONE);
    let (mut store, Recovered { mut state, .. }) = open(&dir);
    let mut lanes = PerLane::<Position>::default();
    lanes[1] = Position::from_floor(1);
    lanes[1].acked.insert(GONE, GONE);
    state.consumers.push(ConsumerState { name: "hub".into(), lanes });
    store.commit(&[], &state).unwrap();
    drop(store);
    let reads = reads_around(&dir, GONE);
    assert!(reads * 5 < look, "{reads} reads, {look} before anybody was told");
}
