//! Crash states of the stores (promises 1, 2 and 4): a power cut at every write and sync of recorded histories, five
//! outcomes each. `EDGE_TEST_BUDGET` is the number of histories, of redb half as many, whose states take twice as long; one
//! in ten fills the store until it has no free segment.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

#[path = "common/cores.rs"]
mod cores;
#[path = "common/stores.rs"]
mod stores;

use edge_queue::Lane;
use edge_queue::store::{Change, ReadLimit, Recovered, Store, StoredRow};
use edge_queue::testing::{CrashRig, Plan, SimDir, budget_percent, row_at, seed, tight_options};

#[test]
fn no_power_cut_loses_a_receipted_row_or_wakes_a_ghost() {
    let all = budget_percent();
    // The fourth fills the store.
    let histories = [all, all.div_ceil(2).max(all.min(4))];
    for (((name, open), rows), histories) in stores::TIGHT.into_iter().zip([2_500, 900]).zip(histories) {
        no_power_cut_loses(name, open, rows, histories);
    }
}

#[test]
fn no_power_cut_loses_a_receipted_row_of_an_encrypted_ring() {
    let histories = budget_percent().div_ceil(10).max(4);
    no_power_cut_loses("encrypted_ring", stores::TIGHT_ENCRYPTED, 2_500, histories);
}

fn no_power_cut_loses(name: &str, open: stores::OpenStore, rows: u64, histories: u64) {
    let [cases, _] = cores::sum_of(histories, |nth| {
        let full = nth % 10 == 3;
        let plan = Plan {
            seed: seed() + nth,
            rows: if full { 2 * rows } else { rows },
            rows_per_commit_max: if full { 1_000 } else { 200 },
            reopens: true,
        };
        let backlog_bytes = if full { 230 * 1024 } else { 32 * 1024 };
        let rig = CrashRig::record_with(&SimDir::new(), &open, &plan, backlog_bytes);
        let judged = rig.and_then(|mut rig| {
            assert!(full || !rig.found_no_room(), "{name}, history {nth}: no room within the limit");
            rig.judge(&open, seed() + nth, 100)
        });
        [judged.unwrap_or_else(|why| panic!("{name}, history {nth}: {why}")), 0]
    });
    println!("executed crash_states.{name}: {cases} cases of {histories} histories");
    assert!(cases > 100, "{name}: {cases} cases");
}

/// Found by the rig: of the commit that began a segment a later frame's header had arrived, the segment's own had not. The
/// open saw that it was never begun, went on in the segment before, and the next open took those rows for a failed commit's.
#[test]
fn a_segment_that_was_never_begun_takes_no_later_row_with_it() {
    for keep_head in [false, true] {
        let dir = half_begun(keep_head);
        let (mut store, found) = ring(&dir);
        let (mut state, first) = (found.state.clone(), found.highest_seq[1] + 1);
        let rows: Vec<StoredRow> = (first..first + 10).map(|seq| row_at(LANE, seq, state.epoch)).collect();
        // More commits than the torn one had frames before its segment; none begins another by itself.
        for rows in rows.chunks(2) {
            state.lane[1].next += 2;
            store.append(rows).unwrap();
            store.commit(&[Change::Lane { lane: LANE, state: state.lane[1] }], &state).unwrap();
        }
        drop(store);
        let (mut store, found) = ring(&dir);
        assert_eq!(found.damage, [""; 0]);
        let chunk = store.read(LANE, first, ReadLimit { rows: 99, bytes: 1 << 20 }).unwrap();
        assert_eq!((chunk.rows, chunk.lost), (rows, Vec::new()), "head kept: {keep_head}");
    }
}

const LANE: Lane = Lane(1);
const PAGE: usize = 4096;

fn ring(dir: &SimDir) -> (Box<dyn Store>, Recovered) {
    stores::open("ring", Box::new(dir.clone()), &tight_options()).unwrap()
}

/// A ring whose last commit began a segment and was torn there: of each of its frames the header is left, of the first
/// only with `keep_head`.
fn half_begun(keep_head: bool) -> SimDir {
    let dir = SimDir::new();
    let (mut store, found) = ring(&dir);
    let (mut state, mut next) = (found.state.clone(), 1);
    let heads = |dir: &SimDir| {
        let content = dir.content("queue.ring").unwrap();
        let is_head = |page: &[u8]| page.starts_with(b"EDGF") && page[5] == 1 && page[6] == LANE.0;
        content.chunks(PAGE).enumerate().filter(|(_, page)| is_head(page)).map(|(n, _)| n).collect::<Vec<_>>()
    };
    let mut known = Vec::new();
    // Before the commit that is torn a small one, which leaves the segment before some room.
    for count in [2, 90].into_iter().cycle() {
        let before = dir.content("queue.ring").unwrap();
        let rows: Vec<StoredRow> = (next..next + count).map(|seq| row_at(LANE, seq, state.epoch)).collect();
        next += count;
        state.lane[1].next = next;
        store.append(&rows).unwrap();
        store.commit(&[Change::Lane { lane: LANE, state: state.lane[1] }], &state).unwrap();
        let new: Vec<usize> = heads(&dir).into_iter().filter(|page| !known.contains(page)).collect();
        known.extend(&new);
        if known.len() < 2 {
            continue;
        }
        let after = dir.content("queue.ring").unwrap();
        let written = |page: &usize| before[page * PAGE..][..PAGE] != after[page * PAGE..][..PAGE];
        for page in (0..after.len() / PAGE).filter(written) {
            let kept = if page == new[0] && !keep_head { 0 } else { 512 };
            assert!(dir.damage("queue.ring", (page * PAGE + kept) as u64, &vec![0xee; PAGE - kept]));
        }
        break;
    }
    dir
}
