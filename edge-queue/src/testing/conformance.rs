//! Conformance tests for the contract of [`store`](crate::store), rule by rule, as functions over a way to open a store. Each returns the first
//! violation in words. A store passes if [`check_all`] does.

use std::collections::BTreeMap;

use super::crash::{Open, read_all};
use super::disk::Outcome;
use super::fault::{Fault, FaultError};
use super::history::{History, Plan, Step, row_at, small_options};
use super::medium::SimDir;
use super::model::ModelStore;
use super::rng::Rng;
use crate::medium::Call;
use crate::row::{Lane, Seq, StoredRow};
use crate::state::{Change, ConsumerState, Dropped, LaneState, Position, State};
use crate::store::{DoneRows, ReadLimit, Recovered, Store};

const LANE: Lane = Lane(1);
const LIMIT: ReadLimit = ReadLimit { rows: 100, bytes: 1 << 20 };

/// Kind of a store, by whether its content outlives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Rows are in RAM: the rules about reopening, power and failing media do not apply.
    Volatile,
    /// Rows are on the medium.
    Durable,
}

/// Runs every check that applies.
pub fn check_all(open: Open<'_>, kind: Kind) -> Result<(), String> {
    staged_rows_are_not_there_before_the_commit(open)?;
    reads_keep_their_limits_and_skip_holes(open)?;
    lanes_are_apart(open)?;
    rows_above_the_advance_stay(open)?;
    the_same_history_gives_the_same_answers(open, kind, 1)?;
    if kind == Kind::Durable {
        what_was_committed_survives_a_power_cut(open)?;
        bookkeeping_survives_and_the_epoch_rises(open)?;
        after_an_error_the_same_rows_are_taken_again(open)?;
    }
    Ok(())
}

/// Rule 1: rows that are staged are not readable before their commit.
pub fn staged_rows_are_not_there_before_the_commit(open: Open<'_>) -> Result<(), String> {
    let (mut store, recovered) = fresh(&SimDir::new(), open)?;
    let rows = rows(1..=5, recovered.state.epoch);
    store.append(&rows).map_err(|e| e.to_string())?;
    expect("staged rows", &read_all(store.as_mut(), LANE, 1)?, &[])?;
    store.commit(&[], &state_after(&recovered, 6)).map_err(|e| e.to_string())?;
    expect("committed rows", &read_all(store.as_mut(), LANE, 1)?, &rows)
}

/// Rules 2 and 4: `Ok` means that every outcome of a power cut keeps the rows.
pub fn what_was_committed_survives_a_power_cut(open: Open<'_>) -> Result<(), String> {
    let dir = SimDir::new();
    let (mut store, recovered) = fresh(&dir, open)?;
    let mut all = Vec::new();
    for commit in 0..20 {
        let first = all.len() as u64 + 1;
        let rows = rows(first..=first + commit % 7, recovered.state.epoch);
        let state = state_after(&recovered, first + commit % 7 + 1);
        append_commit(store.as_mut(), &rows, &[lane_change(&state)], &state)?;
        all.extend(rows);
        for outcome in Outcome::ALL {
            let after = dir.crash(outcome, commit);
            let (mut store, found) = fresh(&after, open)?;
            expect("rows after a power cut", &read_all(store.as_mut(), LANE, 1)?, &all)?;
            if found.clean {
                return Err("a power cut was taken for a clean close".into());
            }
        }
    }
    Ok(())
}

/// Rule 2: the state comes back as it was, the close mark too, and every open raises the epoch durably.
pub fn bookkeeping_survives_and_the_epoch_rises(open: Open<'_>) -> Result<(), String> {
    let dir = SimDir::new();
    let (mut store, first) = fresh(&dir, open)?;
    let position = Position {
        floor: 3,
        acked: (0..200).map(|n| (10 + n * 4, 11 + n * 4)).collect(),
        accepted: 900,
        delivered: 400,
        moved: 7,
        dropped: Dropped([0, 1, 2, 3, 4, 5, 6]),
        queued_bytes: 6_000,
        gaps: Vec::new(),
    };
    let mut changes = vec![
        Change::Lane {
            lane: LANE,
            state: LaneState { next: 901, floor: 3, rows: 5, weight: 6, bytes: 7, recount_due: true },
        },
        Change::Position { consumer: "hub".into(), lane: LANE, position: position.clone() },
        Change::Position { consumer: "gone".into(), lane: LANE, position },
    ];
    let mut state = first.state.clone();
    changes.iter().for_each(|change| state.apply(change));
    append_commit(store.as_mut(), &[], &changes, &state)?;
    changes = vec![Change::Forget { consumer: "gone".into() }];
    changes.iter().for_each(|change| state.apply(change));
    append_commit(store.as_mut(), &[], &changes, &state)?;
    let cut = dir.crash(Outcome::Lost, 1);
    append_commit(store.as_mut(), &[], &[Change::Closed], &state)?;
    drop(store);
    for (dir, clean) in [(cut, false), (dir, true)] {
        let (_, found) = fresh(&dir, open)?;
        let consumers = |state: &State| -> Vec<ConsumerState> { state.consumers.clone() };
        if found.clean != clean || found.tail_uncertain && clean {
            return Err(format!("clean {clean}: found {}, {}", found.clean, found.tail_uncertain));
        }
        if consumers(&found.state) != consumers(&state) || found.state.lane != state.lane {
            return Err(format!("the state came back as {:?}, was {state:?}", found.state));
        }
        if found.state.gateway != first.state.gateway || found.state.epoch <= first.state.epoch {
            return Err(format!("identity {:?} after {:?}", found.state.epoch, first.state.epoch));
        }
        let (_, again) = fresh(&dir.crash(Outcome::Lost, 2), open)?;
        if again.state.epoch <= found.state.epoch {
            return Err("an open did not raise the epoch durably".into());
        }
    }
    Ok(())
}

/// Rule 3: an error leaves an empty stage and nothing half trusted; the same rows are accepted again.
pub fn after_an_error_the_same_rows_are_taken_again(open: Open<'_>) -> Result<(), String> {
    for (call, error) in [
        (Call::Sync, FaultError::Io),
        (Call::Write, FaultError::Io),
        (Call::Write, FaultError::NoSpace),
        (Call::Write, FaultError::Short),
    ] {
        for after in 0..3 {
            let dir = SimDir::new();
            let (mut store, recovered) = fresh(&dir, open)?;
            let epoch = recovered.state.epoch;
            append_commit(store.as_mut(), &rows(1..=9, epoch), &[], &state_after(&recovered, 10))?;
            dir.fail(Fault { call, after, error, sticky: false });
            let again = rows(10..=30, epoch);
            let state = state_after(&recovered, 31);
            let mut failures = 0;
            while append_commit(store.as_mut(), &again, &[lane_change(&state)], &state).is_err() {
                failures += 1;
                if failures > 3 {
                    return Err(format!("{call:?} {error:?}: it never healed"));
                }
                expect("after an error", &read_all(store.as_mut(), LANE, 1)?, &rows(1..=9, epoch))?;
            }
            let all = rows(1..=30, epoch);
            expect("healed", &read_all(store.as_mut(), LANE, 1)?, &all)?;
            let cut = dir.crash(Outcome::Lost, after);
            let (mut store, _) = fresh(&cut, open)?;
            expect("healed and cut", &read_all(store.as_mut(), LANE, 1)?, &all)?;
        }
    }
    Ok(())
}

/// Rule 4: a read gives rows in ascending order, from the number asked for on, within the limits, and leaves out numbers that were never written.
pub fn reads_keep_their_limits_and_skip_holes(open: Open<'_>) -> Result<(), String> {
    let (mut store, recovered) = fresh(&SimDir::new(), open)?;
    let rows: Vec<StoredRow> = (1..=300).filter(|seq| seq % 7 != 0).map(|seq| row(seq, 1)).collect();
    for part in rows.chunks(40) {
        let next = part.last().map_or(1, |row| row.seq + 1);
        append_commit(store.as_mut(), part, &[], &state_after(&recovered, next))?;
    }
    for (from, limit) in [
        (1, ReadLimit { rows: 1, bytes: 1 << 20 }),
        (7, ReadLimit { rows: 13, bytes: 1 << 20 }),
        (150, ReadLimit { rows: 1000, bytes: 700 }),
        (290, LIMIT),
        (301, LIMIT),
    ] {
        let chunk = store.read(LANE, from, limit).map_err(|e| e.to_string())?;
        let size = |row: &StoredRow| row.key.len() + row.meta.len() + row.payload.len();
        let bytes: usize = chunk.rows.iter().map(size).sum();
        let fits = chunk.rows.len() <= limit.rows && (bytes <= limit.bytes || chunk.rows.len() == 1);
        let expected: Vec<&StoredRow> = rows.iter().filter(|row| row.seq >= from).collect();
        let right = chunk.rows.iter().zip(&expected).all(|(a, b)| a == *b);
        let goes_on = chunk.next.is_some() || chunk.rows.len() == expected.len();
        if !fits || !right || !goes_on || !chunk.lost.is_empty() {
            return Err(format!("read from {from} within {limit:?} gave {} rows", chunk.rows.len()));
        }
    }
    Ok(())
}

/// Rows of one lane never show in another, also when their numbers are the same.
pub fn lanes_are_apart(open: Open<'_>) -> Result<(), String> {
    let (mut store, recovered) = fresh(&SimDir::new(), open)?;
    let urgent: Vec<StoredRow> = (1..=4).map(|seq| row_at(Lane(0), seq, 1)).collect();
    let plain = rows(1..=4, 1);
    store.append(&urgent).map_err(|e| e.to_string())?;
    append_commit(store.as_mut(), &plain, &[], &state_after(&recovered, 5))?;
    store.advance(LANE, &DoneRows::below(3)).map_err(|e| e.to_string())?;
    expect("lane 0", &read_all(store.as_mut(), Lane(0), 1)?, &urgent)?;
    expect("lane 1", &read_all(store.as_mut(), LANE, 3)?, plain.get(2..).unwrap_or_default())
}

/// Rule 5, and reuse of space: four times the lane's limit is written, never more than a part of it at once.
pub fn rows_above_the_advance_stay(open: Open<'_>) -> Result<(), String> {
    let dir = SimDir::new();
    let (mut store, recovered) = fresh(&dir, open)?;
    let limit = small_options().lane_bytes.get(1).copied().unwrap_or(0);
    let mut kept: Vec<StoredRow> = Vec::new();
    let (mut seq, mut through, mut state) = (1, 0, recovered.state.clone());
    while through < limit * 4 {
        let rows = rows(seq..=seq + 99, recovered.state.epoch);
        through += rows.iter().map(StoredRow::bytes).sum::<u64>();
        seq += 100;
        kept.extend(rows.iter().cloned());
        kept.drain(..kept.len().saturating_sub(250));
        let floor = kept.first().map_or(seq, |row| row.seq);
        state.apply(&Change::Lane {
            lane: LANE,
            state: LaneState { next: seq, floor, ..LaneState::default() },
        });
        append_commit(store.as_mut(), &rows, &[lane_change(&state)], &state)?;
        store.advance(LANE, &DoneRows::below(floor)).map_err(|e| e.to_string())?;
        expect("above the advance", &read_all(store.as_mut(), LANE, floor)?, &kept)?;
    }
    Ok(())
}

/// Differential test: a seeded history on the store and on [`ModelStore`] gives the same answers at every step.
pub fn the_same_history_gives_the_same_answers(open: Open<'_>, kind: Kind, seed: u64) -> Result<(), String> {
    let dir = SimDir::new();
    let (mut store, recovered) = fresh(&dir, open)?;
    let mut model = ModelStore::new(recovered.state.clone());
    let plan = Plan { seed, rows: 1500, rows_per_commit_max: 120, reopens: kind == Kind::Durable };
    let mut history = History::new(&plan, recovered.state, &small_options());
    let mut rng = Rng::new(seed ^ 0xd1ff);
    while let Some(step) = history.next_step() {
        match step {
            Step::Commit { rows, changes, state } => {
                append_commit(store.as_mut(), &rows, &changes, &state)?;
                append_commit(&mut model, &rows, &changes, &state)?;
                for (lane, figures) in (0u8..state.lanes).zip(&state.lane) {
                    store.advance(Lane(lane), &DoneRows::below(figures.floor)).map_err(|e| e.to_string())?;
                    model.advance(Lane(lane), &DoneRows::below(figures.floor)).map_err(|e| e.to_string())?;
                }
            }
            Step::Reopen { clean } => {
                if clean {
                    append_commit(store.as_mut(), &[], &[Change::Closed], &history.state)?;
                }
                drop(store);
                let (again, found) = fresh(&dir, open)?;
                store = again;
                if found.state.lane != model.state().lane || found.state.consumers != model.state().consumers
                {
                    return Err(format!("seed {seed}: reopened with {:?}", found.state));
                }
                history.state = found.state;
            }
        }
        let lane = Lane(u8::from(rng.one_in(2)));
        let figures = history.state.lane.get(usize::from(lane.0)).copied().unwrap_or_default();
        let from = rng.between(figures.floor, figures.next);
        if read_all(store.as_mut(), lane, from)? != read_all(&mut model, lane, from)? {
            return Err(format!("seed {seed}: lane {} differs from {from} on", lane.0));
        }
    }
    Ok(())
}

fn fresh(dir: &SimDir, open: Open<'_>) -> Result<(Box<dyn Store>, Recovered), String> {
    open(Box::new(dir.clone())).map_err(|e| format!("open failed: {e}"))
}

fn row(seq: Seq, epoch: u32) -> StoredRow {
    row_at(LANE, seq, epoch)
}

fn rows(seqs: std::ops::RangeInclusive<Seq>, epoch: u32) -> Vec<StoredRow> {
    seqs.map(|seq| row(seq, epoch)).collect()
}

fn state_after(recovered: &Recovered, next: Seq) -> State {
    let mut state = recovered.state.clone();
    state.apply(&Change::Lane { lane: LANE, state: LaneState { next, ..LaneState::default() } });
    state
}

fn lane_change(state: &State) -> Change {
    let figures = state.lane.get(usize::from(LANE.0)).copied().unwrap_or_default();
    Change::Lane { lane: LANE, state: figures }
}

fn append_commit(
    store: &mut dyn Store,
    rows: &[StoredRow],
    changes: &[Change],
    state: &State,
) -> Result<(), String> {
    for lane in rows.chunk_by(|a, b| a.lane == b.lane) {
        store.append(lane).map_err(|e| format!("append: {e}"))?;
    }
    store.commit(changes, state).map_err(|e| format!("commit: {e}"))
}

fn expect(what: &str, found: &BTreeMap<Seq, StoredRow>, expected: &[StoredRow]) -> Result<(), String> {
    if found.values().eq(expected) {
        return Ok(());
    }
    let seqs: Vec<Seq> = found.keys().copied().collect();
    Err(format!("{what}: found {seqs:?}, expected {} rows with their bytes", expected.len()))
}
