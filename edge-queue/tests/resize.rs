//! Changed limits at open (promises 2, 3, 4 and 6): the rows still wanted move to another file with their identity; a power
//! cut or a failing call on the way leaves the old file or the new one, never neither.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use std::panic::{AssertUnwindSafe, catch_unwind};

use edge_queue::store::{
    Change, DoneRows, Options, ReadLimit, Recovered, RingStore, State, Store, StoredRow,
};
use edge_queue::testing::{
    Call, Fault, FaultError, Flaw, History, Outcome, Plan, Rng, SimDir, Step, SyncBug, budget_percent,
    row_at, seed, small_options,
};
use edge_queue::{Lane, OpenError};

const FILE: &str = "queue.ring";
const PAGE: usize = 4096;

fn open(dir: &SimDir, options: &Options) -> Result<(RingStore, Recovered), OpenError> {
    RingStore::open(Box::new(dir.clone()), options)
}

/// A store in the middle of its life, closed with the mark or without, and what is wanted of it.
fn lived(seed: u64, clean: bool) -> (SimDir, Vec<StoredRow>, State) {
    let dir = SimDir::new();
    let (mut store, found) = open(&dir, &small_options()).unwrap();
    let plan = Plan { seed, rows: 1_500, rows_per_commit_max: 200, reopens: false };
    let mut history = History::new(&plan, found.state, &small_options());
    while let Some(step) = history.next_step() {
        let Step::Commit { rows, changes, state } = step else { continue };
        for lane in rows.chunk_by(|a, b| a.lane == b.lane) {
            store.append(lane).unwrap();
        }
        store.commit(&changes, &state).unwrap();
        (0..2).for_each(|lane| {
            store.advance(Lane(lane), &DoneRows::below(state.lane[usize::from(lane)].floor)).unwrap();
        });
    }
    let state = history.state.clone();
    if clean {
        store.commit(&[Change::Closed], &state).unwrap();
    }
    let rows = wanted(&mut store, &state);
    assert!(rows.len() > 100, "{} rows", rows.len());
    (dir, rows, state)
}

fn wanted(store: &mut dyn Store, state: &State) -> Vec<StoredRow> {
    let mut rows = Vec::new();
    for lane in (0..state.lanes).map(Lane) {
        let mut next = Some(1);
        while let Some(from) = next {
            let chunk = store.read(lane, from, ReadLimit { rows: 300, bytes: 100_000 }).unwrap();
            assert!(chunk.lost.is_empty(), "{:?}", chunk.lost);
            rows.extend(chunk.rows);
            next = chunk.next;
        }
    }
    rows.retain(|row| state.wants(row.lane, row.seq));
    rows
}

/// Larger, more lanes, smaller, other segments.
fn changed() -> Vec<Options> {
    let old = small_options();
    vec![
        Options { lane_bytes: [1 << 20; 4].into(), ..old },
        Options { lanes: 4, ..old },
        Options { lane_bytes: [320 * 1024; 4].into(), ..old },
        Options { segment_bytes: 128 * 1024, row_bytes_max: 32 * 1024, ..old },
    ]
}

/// The store as it must be found, whichever file it lies in, and fit to go on.
fn judge(dir: &SimDir, options: &Options, rows: &[StoredRow], state: &State) -> Result<(), String> {
    let (mut store, found) = open(dir, options).map_err(|e| format!("open failed: {e}"))?;
    if !found.damage.is_empty() || found.limits_kept.is_some() {
        return Err(format!("{:?}, {:?}", found.damage, found.limits_kept));
    }
    let same = found.state.lane == state.lane && found.state.consumers == state.consumers;
    if !same || found.state.gateway != state.gateway || found.state.epoch <= state.epoch {
        return Err(format!("the bookkeeping is {:?} and was {state:?}", found.state));
    }
    if wanted(&mut store, &found.state) != rows {
        return Err("other rows are wanted".into());
    }
    let mut state = found.state;
    let next = row_at(Lane(1), state.lane[1].next.max(found.highest_seq[1] + 1), state.epoch);
    state.lane[1].next = next.seq + 1;
    let change = Change::Lane { lane: Lane(1), state: state.lane[1] };
    store.append(std::slice::from_ref(&next)).map_err(|e| e.to_string())?;
    store.commit(&[change], &state).map_err(|e| e.to_string())?;
    drop(store);
    let (mut store, _) = open(&dir.crash(Outcome::Lost, 1), options).map_err(|e| format!("again: {e}"))?;
    let found = wanted(&mut store, &state);
    if found.len() != rows.len() + 1 || !found.contains(&next) {
        return Err("a row committed afterwards is lost".into());
    }
    Ok(())
}

/// Cuts the power at every boundary of the open with changed limits.
fn cut(
    dir: &SimDir,
    options: &Options,
    rows: &[StoredRow],
    state: &State,
    rng: &mut Rng,
) -> Result<u64, String> {
    dir.record();
    open(dir, options).map_err(|e| format!("open failed: {e}"))?;
    let mut recording = dir.recording();
    let mut cases = 0;
    for at in 0..=recording.operations() {
        for outcome in Outcome::ALL {
            let case = rng.next_u64();
            let dir = recording.crash_at(at, outcome, case);
            let options = if case.is_multiple_of(2) { *options } else { small_options() };
            let verdict = catch_unwind(AssertUnwindSafe(|| judge(&dir, &options, rows, state)));
            verdict
                .unwrap_or_else(|_| Err("it panicked".into()))
                .map_err(|why| format!("boundary {at}, {outcome:?}, case {case}: {why}"))?;
            cases += 1;
        }
    }
    Ok(cases)
}

#[test]
fn a_power_cut_while_limits_change_leaves_the_old_file_or_the_new_one() {
    let (mut cases, mut rng) = (0, Rng::new(seed()));
    for nth in 0..budget_percent().div_ceil(10) {
        for clean in [true, false] {
            for options in changed() {
                let (dir, rows, state) = lived(seed() + nth, clean);
                cases += cut(&dir, &options, &rows, &state, &mut rng)
                    .unwrap_or_else(|why| panic!("history {nth}, {options:?}: {why}"));
            }
        }
    }
    println!("executed resize_crash_states.ring: {cases} cases");
    assert!(cases > 200, "{cases} cases");
}

/// The negative control: a sync that does nothing while the file is made anew must be noticed.
#[test]
fn a_sync_that_does_nothing_while_limits_change_is_caught() {
    let (dir, rows, state) = lived(seed(), true);
    dir.plant(SyncBug::Nothing);
    let verdict = cut(&dir, &changed()[0], &rows, &state, &mut Rng::new(seed()));
    assert!(verdict.is_err(), "{verdict:?}");
}

#[test]
fn any_call_may_fail_while_limits_change_and_the_old_limits_still_work() {
    let mut cases = 0;
    for options in changed() {
        for call in Call::ALL {
            for after in 0.. {
                let (dir, rows, state) = lived(seed(), true);
                dir.fail(Fault { call, after, error: FaultError::Io, sticky: after.is_multiple_of(2) });
                // Whether it opens is the call's matter; that it does not lose anything is ours.
                let opened = open(&dir, &options).map(drop);
                let fired = dir.counters().faults > 0;
                dir.heal();
                let next = if after.is_multiple_of(3) { options } else { small_options() };
                judge(&dir, &next, &rows, &state)
                    .unwrap_or_else(|why| panic!("{call:?} {after}, {opened:?}: {why}"));
                cases += 1;
                // Reads are many and alike.
                if !fired || (call == Call::Read && after > budget_percent() / 5) {
                    break;
                }
            }
        }
    }
    println!("executed resize_faults.ring: {cases} cases");
}

#[test]
fn without_space_for_a_second_file_the_old_limits_stay_and_new_lanes_are_refused() {
    let (dir, rows, state) = lived(seed(), true);
    let [larger, more_lanes, ..] = changed()[..] else { panic!("four changes") };
    dir.set_capacity(dir.allocated_bytes() + 64 * 1024);
    let (store, found) = open(&dir, &larger).unwrap();
    assert!(found.limits_kept.is_some_and(|why| why.contains("on disk")));
    drop(store);
    let Err(OpenError::NoSpace { needed, .. }) = open(&dir, &more_lanes).map(drop) else {
        panic!("it has room")
    };
    assert!(needed > 1 << 20, "{needed}");
    assert_eq!(dir.names(), [FILE]);
    judge(&dir, &small_options(), &rows, &state).unwrap();
}

/// Counts the cases, and the bytes whose damage leaves the bookkeeping behind the log.
fn numbers_stay_given_away() -> Result<(u64, u64), String> {
    let (mut cases, mut behind) = (0, 0);
    for clean in [true, false] {
        let dir = twenty_rows_in_each_lane(clean);
        let image = dir.content(FILE).unwrap();
        let written = image.chunks(PAGE).enumerate().filter(|(_, page)| page.iter().any(|byte| *byte != 0));
        // In a frame's header, and in its rows.
        let places = written.flat_map(|(page, _)| [70, 120, 200].map(|offset| page * PAGE + offset));
        for place in places {
            let hurt = || {
                let copy = dir.crash(Outcome::Kept, 0);
                assert!(copy.damage(FILE, place as u64, &[image[place] ^ 1]));
                copy
            };
            let (_, found) = open(&hurt(), &small_options()).unwrap();
            behind += u64::from((0..2).any(|at| found.state.lane[at].next <= found.highest_seq[at]));
            let known = next_numbers(&found);
            for options in changed() {
                let dir = hurt();
                for nth in ["the open that changes limits", "the one after it"] {
                    let next = next_numbers(&open(&dir, &options).unwrap().1);
                    if next[0] < known[0] || next[1] < known[1] {
                        return Err(format!("byte {place}, closed {clean}, {nth}: {next:?} after {known:?}"));
                    }
                }
                cases += 1;
            }
        }
    }
    Ok((cases, behind))
}

/// The next number of each lane, as far as an open knows.
fn next_numbers(found: &Recovered) -> [u64; 2] {
    [0, 1].map(|lane: usize| found.state.lane[lane].next.max(found.highest_seq[lane] + 1))
}

fn twenty_rows_in_each_lane(closed: bool) -> SimDir {
    let dir = SimDir::new();
    let (mut store, found) = open(&dir, &small_options()).unwrap();
    let mut state = found.state;
    for seq in 1..=20 {
        for lane in [Lane(0), Lane(1)] {
            let figures = &mut state.lane[usize::from(lane.0)];
            figures.next = seq + 1;
            let change = Change::Lane { lane, state: *figures };
            store.append(&[row_at(lane, seq, state.epoch)]).unwrap();
            store.commit(&[change], &state).unwrap();
        }
    }
    if closed {
        store.commit(&[Change::Closed], &state).unwrap();
    }
    dir
}

/// Damage can take a row together with the bookkeeping that its number is given away; the log still knows by the frame's
/// header, and the file with that header goes.
#[test]
fn numbers_of_damaged_rows_stay_given_away_when_limits_change() {
    let (cases, behind) = numbers_stay_given_away().unwrap();
    println!("executed resize_numbers.ring: {cases} cases");
    assert!(behind > 0, "no damage left the bookkeeping behind the log");
    let verdict = Flaw::NextNotRaised.during(numbers_stay_given_away);
    assert!(verdict.is_err(), "{verdict:?}");
}
