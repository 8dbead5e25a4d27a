//! Crash rig: checks every crash state of a recorded history (promises 1, 2 and 4 at the store's level).

use std::collections::BTreeMap;

use super::disk::Outcome;
use super::history::{History, Plan, Step, row_at, small_options};
use super::medium::{Recording, SimDir};
use super::rng::Rng;
use super::rule::{JudgeRule, Violation};
use super::store_rule::{
    Rule, accepted, close_mark, highest_seq_covers, identity, judged, recognised, undamaged,
};
use crate::error::OpenError;
use crate::medium::Dir;
use crate::row::{Lane, Seq, StoredRow};
use crate::state::{Change, Position, State};
use crate::store::{DoneRows, Lost, ReadLimit, Recovered, Store, StoreError};

/// Function that opens the judged store on a directory with [`small_options`]. The rig calls it for every start of a history and for every crash state.
pub type Open<'a> = &'a dyn Fn(Box<dyn Dir>) -> Result<(Box<dyn Store>, Recovered), OpenError>;

/// Open or commit of a history, and the bookkeeping that it left.
#[derive(Clone, Debug)]
struct Moment {
    /// Boundary at which the call was made.
    asked_at: usize,
    /// Boundary at which the call had returned.
    done_at: usize,
    /// The bookkeeping that held from then on.
    state: State,
    /// Set for the clean close.
    closed: bool,
}

/// A recorded history and what must be true of it at each boundary.
#[derive(Clone, Debug)]
pub struct CrashRig {
    recording: Recording,
    moments: Vec<Moment>,
    rows: BTreeMap<(Lane, Seq), (usize, StoredRow)>,
    no_room: bool,
}

impl CrashRig {
    /// Runs a history on `dir`, a store of [`small_options`] half of whose limit is used, and records it. An error is
    /// the store's own, without any fault.
    pub fn record(dir: &SimDir, open: Open<'_>, plan: &Plan) -> Result<CrashRig, Violation> {
        let half = small_options().lane_bytes.iter().min().copied().unwrap_or(0) / 2;
        let rig = CrashRig::record_with(dir, open, plan, half)?;
        Rule::Refusal.require(!rig.no_room, || "no room within half of the limit".to_owned())?;
        Ok(rig)
    }

    /// Records as [`record`](Self::record) does, with a backlog of up to `backlog_bytes` per lane. Beyond the lane's limit the lane runs out of segments
    /// now and then, and acknowledgements must be written before rows find room; the history ends at rows that find none even then.
    pub fn record_with(
        dir: &SimDir,
        open: Open<'_>,
        plan: &Plan,
        backlog_bytes: u64,
    ) -> Result<CrashRig, Violation> {
        dir.record();
        let recording = dir.recording();
        let mut rig = CrashRig { recording, moments: Vec::new(), rows: BTreeMap::new(), no_room: false };
        judged(|| rig.run(dir, open, plan, backlog_bytes))?;
        rig.recording = dir.recording();
        Ok(rig)
    }

    fn run(
        &mut self,
        dir: &SimDir,
        open: Open<'_>,
        plan: &Plan,
        backlog_bytes: u64,
    ) -> Result<(), Violation> {
        let (mut store, recovered) = self.open(dir, open)?;
        let mut history = History::with_backlog(plan, recovered.state, backlog_bytes);
        while !self.no_room
            && let Some(step) = history.next_step()
        {
            match step {
                Step::Commit { rows, changes, state } => {
                    self.commit(dir, store.as_mut(), rows, &changes, &state)?;
                }
                Step::Reopen { clean } => {
                    if clean {
                        let state = history.state.clone();
                        self.commit(dir, store.as_mut(), Vec::new(), &[Change::Closed], &state)?;
                    }
                    drop(store);
                    let (again, recovered) = self.open(dir, open)?;
                    store = again;
                    close_mark(Some(clean), &recovered)?;
                    history.state = recovered.state;
                }
            }
        }
        Ok(())
    }

    /// Returns whether the history ended at rows that found no room. A store never has that within the lane's limit.
    pub fn found_no_room(&self) -> bool {
        self.no_room
    }

    /// Number of recorded operations; boundaries are `0..=` this.
    pub fn operations(&self) -> usize {
        self.recording.operations()
    }

    /// Cuts the power at a `percent` share of all boundaries (seeded), with every outcome, and judges what is found.
    /// Returns the number of states judged, or the first violation.
    pub fn judge(&mut self, open: Open<'_>, seed: u64, percent: u64) -> Result<u64, Violation> {
        let mut rng = Rng::new(seed);
        let mut cases = 0;
        for at in 0..=self.recording.operations() {
            if rng.below(100) >= percent {
                continue;
            }
            for outcome in Outcome::ALL {
                let case = rng.next_u64();
                let dir = self.recording.crash_at(at, outcome, case);
                judged(|| self.judge_state(&dir, open, at, case)).map_err(|violation| {
                    let all = self.recording.operations();
                    violation.at(format_args!(
                        "after {cases} states, boundary {at} of {all}, {outcome:?}, case {case}"
                    ))
                })?;
                cases += 1;
            }
        }
        Ok(cases)
    }

    fn open(&mut self, dir: &SimDir, open: Open<'_>) -> Result<(Box<dyn Store>, Recovered), Violation> {
        let asked_at = dir.recorded();
        let (store, recovered) = accepted("open", open(Box::new(dir.clone())))?;
        let state = recovered.state.clone();
        self.moments.push(Moment { asked_at, done_at: dir.recorded(), state, closed: false });
        Ok((store, recovered))
    }

    fn commit(
        &mut self,
        dir: &SimDir,
        store: &mut dyn Store,
        rows: Vec<StoredRow>,
        changes: &[Change],
        state: &State,
    ) -> Result<(), Violation> {
        if let Err(full) = stage(store, &rows) {
            self.commit_floors(dir, store, state).map_err(|why| why.at(full))?;
            let staged = stage(store, &rows);
            self.no_room = matches!(staged, Err(StoreError::Full { .. }));
            if self.no_room {
                return Ok(());
            }
            accepted("append", staged)?;
        }
        let asked_at = dir.recorded();
        accepted("commit", store.commit(changes, state))?;
        let nth = self.moments.len();
        self.rows.extend(rows.into_iter().map(|row| ((row.lane, row.seq), (nth, row))));
        let closed = changes.contains(&Change::Closed);
        self.moments.push(Moment { asked_at, done_at: dir.recorded(), state: state.clone(), closed });
        give_up(store, state)?;
        // The queue has idle moments, but not after every commit; nor does it read all the time.
        if nth.is_multiple_of(3) {
            accepted("prepare", store.prepare())?;
        }
        if nth.is_multiple_of(7) {
            self.expect_all(store, state)?;
        }
        Ok(())
    }

    /// Writes what was acknowledged alone, so that its space can be used for rows that found none.
    fn commit_floors(
        &mut self,
        dir: &SimDir,
        store: &mut dyn Store,
        wanted: &State,
    ) -> Result<(), Violation> {
        let Some(before) = self.moments.last() else { return Ok(()) };
        let (asked_at, mut state) = (dir.recorded(), before.state.clone());
        let mut changes = Vec::new();
        for ((at, lane), wanted) in (0u8..state.lanes).zip(&mut state.lane).zip(&wanted.lane) {
            lane.floor = wanted.floor.min(lane.next);
            changes.push(Change::Lane { lane: Lane(at), state: *lane });
        }
        accepted("commit", store.commit(&changes, &state))?;
        give_up(store, &state)?;
        self.moments.push(Moment { asked_at, done_at: dir.recorded(), state, closed: false });
        Ok(())
    }

    /// Requires that everything committed and not given up can be read while the store lives.
    fn expect_all(&self, store: &mut dyn Store, state: &State) -> Result<(), Violation> {
        for (lane, figures) in (0u8..state.lanes).map(Lane).zip(&state.lane) {
            let found = read_all(store, lane, figures.floor)?;
            let mut expected = self.rows.range((lane, figures.floor)..=(lane, Seq::MAX));
            if let Some(((_, seq), _)) = expected.find(|((_, seq), (_, row))| found.get(seq) != Some(row)) {
                Rule::LiveRow
                    .broken(|| format!("lane {} row {seq} was committed and cannot be read", lane.0))?;
            }
        }
        Ok(())
    }

    /// Opens what the crash left and compares it with what had been promised at `at`.
    fn judge_state(&self, dir: &SimDir, open: Open<'_>, at: usize, case: u64) -> Result<(), Violation> {
        let (mut store, recovered) = accepted("open", open(Box::new(dir.clone())))?;
        let done = self.moments.iter().rposition(|moment| moment.done_at <= at);
        let under_way = self.moments.iter().rposition(|moment| moment.asked_at < at);
        // A commit that wrote nothing is done where it was asked.
        let Some(under_way) = under_way.max(done) else { return Ok(()) };
        undamaged(&recovered)?;
        let closed =
            self.moments.get(done.unwrap_or(0)..=under_way).unwrap_or_default().iter().any(|m| m.closed);
        // A close that was under way may be done or not.
        close_mark(Some(false).filter(|_| !closed && done.is_some()), &recovered)?;
        self.judge_bookkeeping(&recovered, done, under_way)?;
        for lane in 0..recovered.state.lanes {
            self.judge_rows(store.as_mut(), &recovered, Lane(lane), done, under_way)?;
        }
        // One in four goes on: rows of the next life must not bring back rows of this one.
        if case.is_multiple_of(4) {
            self.judge_next_life(dir, open, store, &recovered, case)?;
        }
        Ok(())
    }

    fn judge_bookkeeping(
        &self,
        recovered: &Recovered,
        done: Option<usize>,
        under_way: usize,
    ) -> Result<(), Violation> {
        let Some(done) = done else { return Ok(()) };
        let mut allowed = self.moments.get(done..=under_way).unwrap_or_default().iter().map(|m| &m.state);
        let found = &recovered.state;
        let matches = |state: &State, lane: usize| {
            // A consumer's lanes may come back one without the other; then its place in the other is the default.
            let place = |state: &State| -> Position {
                let lanes = state.consumers.first().map(|consumer| &consumer.lanes);
                lanes.and_then(|lanes| lanes.get(lane).cloned()).unwrap_or_default()
            };
            state.lane.get(lane) == found.lane.get(lane) && place(state) == place(found)
        };
        for lane in 0..usize::from(found.lanes) {
            if !allowed.clone().any(|state| matches(state, lane)) {
                let figures = |state: &State| state.lane.get(lane).copied();
                let (found, allowed) = (figures(found), allowed.clone().map(figures).collect::<Vec<_>>());
                Rule::Bookkeeping.broken(|| {
                    format!(
                        "lane {lane}: the bookkeeping is none of the committed ones: {found:?}, not {allowed:?}"
                    )
                })?;
            }
        }
        allowed.next().map_or(Ok(()), |before| identity(before, found))
    }

    fn judge_rows(
        &self,
        store: &mut dyn Store,
        recovered: &Recovered,
        lane: Lane,
        done: Option<usize>,
        under_way: usize,
    ) -> Result<(), Violation> {
        let floor = recovered.state.lane.get(usize::from(lane.0)).map_or(1, |lane| lane.floor);
        let found = read_all(store, lane, floor)?;
        for (seq, row) in &found {
            let pushed = self.rows.get(&(lane, *seq)).filter(|(nth, _)| *nth <= under_way);
            recognised(row, pushed.map(|(_, row)| row))?;
        }
        highest_seq_covers(lane, found.last_key_value().map(|(seq, _)| *seq), recovered)?;
        let Some(done) = done else { return Ok(()) };
        let figures = |state: &State| state.lane.get(usize::from(lane.0)).copied();
        let figures_at = |nth: usize| self.moments.get(nth).and_then(|moment| figures(&moment.state));
        // Of the commit that was under way rows may be missing, nobody was told that they are safe; but then the lane's
        // bookkeeping must not speak of it.
        let told = |nth: usize| {
            nth <= done
                || (figures_at(nth) == figures(&recovered.state) && figures_at(nth) != figures_at(done))
        };
        for ((_, seq), (nth, _)) in self.rows.range((lane, floor)..=(lane, Seq::MAX)) {
            if told(*nth) && !found.contains_key(seq) {
                let (rule, what) = if *nth <= done {
                    (Rule::ReceiptedRow, "was receipted")
                } else {
                    (Rule::ToldRow, "is in the bookkeeping")
                };
                rule.broken(|| format!("lane {} row {seq} {what} and is lost (floor {floor})", lane.0))?;
            }
        }
        Ok(())
    }

    /// Writes one more commit after the crash, cuts the power again and looks for rows that nobody pushed.
    fn judge_next_life(
        &self,
        dir: &SimDir,
        open: Open<'_>,
        mut store: Box<dyn Store>,
        recovered: &Recovered,
        case: u64,
    ) -> Result<(), Violation> {
        let mut rng = Rng::new(case);
        let lane = Lane(recovered.state.lanes.saturating_sub(1));
        let at = usize::from(lane.0);
        let mut state = recovered.state.clone();
        let floor = state.lane.get(at).map_or(1, |lane| lane.floor);
        let (kept, _) = read_found(store.as_mut(), lane, floor)?;
        let highest = recovered.highest_seq.get(at).copied().unwrap_or(0);
        let first = state.lane.get(at).map_or(1, |lane| lane.next).max(highest + 1);
        let last = first + rng.between(0, 20);
        let rows: Vec<StoredRow> = (first..=last).map(|seq| row_at(lane, seq, state.epoch)).collect();
        if let Some(slot) = state.lane.get_mut(at) {
            slot.next = last + 1;
        }
        let change = state.lane.get(at).map(|&state| Change::Lane { lane, state });
        match store.append(&rows) {
            // It was full before.
            Err(StoreError::Full { .. }) => return Ok(()),
            appended => accepted("append after the crash", appended)?,
        }
        accepted("commit after the crash", store.commit(change.as_slice(), &state))?;
        let after = dir.crash(Outcome::Subset, case);
        let (mut store, _) = accepted("second open", open(Box::new(after)))?;
        let mut expected = kept;
        expected.extend(rows.into_iter().map(|row| (row.seq, row)));
        let (found, _) = read_found(store.as_mut(), lane, floor)?;
        let odd = |a: &BTreeMap<Seq, StoredRow>, b: &BTreeMap<Seq, StoredRow>| {
            a.iter().filter(|(seq, row)| b.get(seq) != Some(row)).map(|(seq, _)| *seq).collect::<Vec<_>>()
        };
        let (lost, ghosts) = (odd(&expected, &found), odd(&found, &expected));
        Rule::NextLifeRow
            .require(lost.is_empty(), || format!("second crash: lost {lost:?}, new rows {first}..={last}"))?;
        Rule::NextLifeGhost.require(ghosts.is_empty(), || {
            format!("second crash: ghosts {ghosts:?}, new rows {first}..={last}")
        })
    }
}

fn stage(store: &mut dyn Store, rows: &[StoredRow]) -> Result<(), StoreError> {
    rows.chunk_by(|a, b| a.lane == b.lane).try_for_each(|lane| store.append(lane))
}

/// Gives up what lies below the floors.
fn give_up(store: &mut dyn Store, state: &State) -> Result<(), Violation> {
    let mut floors = (0u8..state.lanes).map(Lane).zip(&state.lane);
    accepted(
        "advance",
        floors.try_for_each(|(lane, figures)| store.advance(lane, &DoneRows::below(figures.floor))),
    )
}

/// Reads every row of a lane from `from` on, in small chunks; a loss is a breach, where nothing was cut or damaged.
pub(super) fn read_all(
    store: &mut dyn Store,
    lane: Lane,
    from: Seq,
) -> Result<BTreeMap<Seq, StoredRow>, Violation> {
    let (found, lost) = read_found(store, lane, from)?;
    Rule::LossReported.require(lost.is_empty(), || format!("lane {}: reported as lost: {lost:?}", lane.0))?;
    Ok(found)
}

/// Reads every row of a lane from `from` on, and what is reported as lost.
pub(super) fn read_found(
    store: &mut dyn Store,
    lane: Lane,
    from: Seq,
) -> Result<(BTreeMap<Seq, StoredRow>, Vec<Lost>), Violation> {
    let (mut found, mut lost) = (BTreeMap::new(), Vec::new());
    let (mut at, limit) = (from, ReadLimit { rows: 500, bytes: 256 * 1024 });
    loop {
        let chunk = accepted("read", store.read(lane, at, limit))?;
        lost.extend(chunk.lost);
        for row in chunk.rows {
            let after = found.last_key_value().is_none_or(|(last, _)| row.seq > *last);
            Rule::ReadOrder.require(row.seq >= at && after, || {
                format!("lane {} row {} out of order", lane.0, row.seq)
            })?;
            found.insert(row.seq, row);
        }
        match chunk.next {
            Some(next) if next > at => at = next,
            Some(next) => {
                Rule::ReadProgress.broken(|| format!("read stands still at {next}"))?;
                return Ok((found, lost));
            }
            None => return Ok((found, lost)),
        }
    }
}
