//! A short run with a call that fails (promise 11): no panic, no false `Ok`, and once the medium heals everything
//! accepted is stored.

use std::collections::BTreeMap;

use super::crash::{Open, read_all, read_found};
use super::disk::Outcome;
use super::fault::Fault;
use super::history::row_at;
use super::medium::SimDir;
use super::rng::Rng;
use super::rule::{JudgeRule, Violation};
use super::store_rule::{Rule, judged};
use crate::medium::Call;
use crate::row::{Lane, Seq, StoredRow};
use crate::state::{Change, LaneState, State};
use crate::store::{DoneRows, Store};

const LANE: Lane = Lane(1);
const STEPS: u64 = 14;
/// Number of refusals in a row after which the medium heals.
const PATIENCE: u32 = 3;

/// Performs a short run with `fault` planted before the first open. `Ok(true)` if the fault fired; `Ok(false)` if the run has too few such calls.
pub fn survive(open: Open<'_>, fault: Fault, seed: u64) -> Result<bool, Violation> {
    let verdict = judged(|| {
        let dir = SimDir::new();
        dir.fail(fault);
        let mut run = Run::open(&dir, open)?;
        run.blind = fault.call == Call::Read && fault.sticky;
        run.live(seed)?;
        Ok(dir.counters().faults > 0)
    });
    verdict.map_err(|why| why.at(format_args!("{fault:?}")))
}

struct Run<'a> {
    dir: SimDir,
    open: Open<'a>,
    store: Box<dyn Store>,
    state: State,
    /// Rows whose commit returned `Ok` and that were not given up.
    committed: BTreeMap<Seq, StoredRow>,
    /// Rows found by a restart whose commit had not returned `Ok`: they may stay or be missing.
    found: BTreeMap<Seq, StoredRow>,
    /// Rows in RAM, as the queue keeps them.
    pending: Vec<StoredRow>,
    refused: u32,
    /// Set while no row can be read: rows may be reported as lost, and must be readable again after the healing.
    blind: bool,
}

impl<'a> Run<'a> {
    fn open(dir: &SimDir, open: Open<'a>) -> Result<Run<'a>, Violation> {
        let (store, state, _) = reopen(dir, open)?;
        let (committed, found, pending) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        Ok(Run { dir: dir.clone(), open, store, state, committed, found, pending, refused: 0, blind: false })
    }

    fn live(&mut self, seed: u64) -> Result<(), Violation> {
        let mut rng = Rng::new(seed);
        for step in 0..STEPS {
            let count = if rng.one_in(4) { 60 } else { rng.between(1, 8) };
            for _ in 0..count {
                let seq = self.figures().next;
                self.pending.push(row_at(LANE, seq, self.state.epoch));
                self.set(LaneState { next: seq + 1, ..self.figures() });
            }
            if step % 3 == 2
                && let Some(&seq) = self.committed.keys().nth(self.committed.len() / 2)
            {
                self.set(LaneState { floor: seq, ..self.figures() });
            }
            self.commit(step)?;
            if step == STEPS / 2 {
                self.restart()?;
            }
        }
        self.dir.heal();
        self.blind = false;
        self.refused = 0;
        self.commit(STEPS)?;
        Rule::Healing.require(self.pending.is_empty(), || "healed, but the commit still fails".into())?;
        self.expect_committed(&self.dir.crash(Outcome::Subset, seed))?;
        self.restart()
    }

    fn commit(&mut self, step: u64) -> Result<(), Violation> {
        let change = Change::Lane { lane: LANE, state: self.figures() };
        let said = self
            .store
            .append(&self.pending)
            .and_then(|()| self.store.commit(std::slice::from_ref(&change), &self.state));
        if said.is_err() {
            self.refused += 1;
            if self.refused >= PATIENCE {
                self.dir.heal();
            }
            return Ok(());
        }
        self.refused = 0;
        self.committed.extend(self.pending.drain(..).map(|row| (row.seq, row)));
        if self.dir.counters().faults > 0 {
            self.expect_committed(&self.dir.crash(Outcome::Lost, step))?;
        }
        let floor = self.figures().floor;
        self.committed = self.committed.split_off(&floor);
        // An advance is a hint about space; a refused one comes again.
        let _ = self.store.advance(LANE, &DoneRows::below(floor));
        let _ = self.store.prepare();
        if self.blind {
            return Ok(());
        }
        let found = read_all(self.store.as_mut(), LANE, floor);
        match found {
            Ok(found) => self.expect_live(&found).map_err(|why| why.at(format_args!("step {step}"))),
            Err(why) => self.excused(why),
        }
    }

    /// Requires that exactly what was committed is there while the store lives.
    fn expect_live(&self, found: &BTreeMap<Seq, StoredRow>) -> Result<(), Violation> {
        let mut allowed = self.found.clone();
        allowed.extend(self.committed.clone());
        let lost = self.committed.keys().find(|seq| !found.contains_key(seq));
        let ghost = found.iter().find(|(seq, row)| allowed.get(seq) != Some(row)).map(|(seq, _)| seq);
        Rule::LiveRow.require(lost.is_none(), || format!("read: lost {lost:?}, ghost {ghost:?}"))?;
        Rule::LiveGhost.require(ghost.is_none(), || format!("read: ghost {ghost:?}"))
    }

    /// A medium that failed may refuse reads, and rows may be reported as lost; nothing else.
    fn excused(&self, why: Violation) -> Result<(), Violation> {
        let refused = matches!(why.rule, Rule::Refusal | Rule::LossReported);
        if refused && self.dir.counters().faults > 0 { Ok(()) } else { Err(why) }
    }

    /// Expects every row whose commit said `Ok` after a power cut.
    fn expect_committed(&self, after: &SimDir) -> Result<(), Violation> {
        let (mut store, state, _) = reopen(after, self.open)?;
        let floor = state.lane.get(1).map_or(1, |lane| lane.floor);
        // Rows that never had their `Ok` may be reported as lost.
        let (found, _) = read_found(store.as_mut(), LANE, floor)?;
        match self.committed.range(floor..).find(|(seq, row)| found.get(seq) != Some(row)) {
            Some((seq, _)) => {
                Rule::FalseOk.broken(|| format!("row {seq} had its Ok and a power cut took it"))
            }
            None => Ok(()),
        }
    }

    /// Drops the store and what is in RAM, as a kill does, and opens again.
    fn restart(&mut self) -> Result<(), Violation> {
        self.store = Box::new(super::model::ModelStore::new(self.state.clone()));
        let (store, state, highest) = reopen(&self.dir, self.open)?;
        (self.store, self.state) = (store, state);
        let mut figures = self.figures();
        figures.next = figures.next.max(highest + 1);
        self.set(figures);
        let found = match read_all(self.store.as_mut(), LANE, figures.floor) {
            Ok(found) => found,
            Err(why) => {
                self.excused(why)?;
                self.dir.heal();
                read_all(self.store.as_mut(), LANE, figures.floor)?
            }
        };
        self.found.extend(self.pending.drain(..).map(|row| (row.seq, row)));
        self.committed = self.committed.split_off(&figures.floor);
        self.expect_live(&found).map_err(|why| why.at("after a restart"))
    }

    fn figures(&self) -> LaneState {
        self.state.lane.get(1).copied().unwrap_or_default()
    }

    fn set(&mut self, figures: LaneState) {
        self.state.apply(&Change::Lane { lane: LANE, state: figures });
    }
}

type Reopened = (Box<dyn Store>, State, Seq);

/// Opens, with patience for a medium that fails now and then.
fn reopen(dir: &SimDir, open: Open<'_>) -> Result<Reopened, Violation> {
    let mut refused = 0;
    loop {
        match open(Box::new(dir.clone())) {
            Ok((store, found)) => {
                return Ok((store, found.state, found.highest_seq.get(1).copied().unwrap_or(0)));
            }
            Err(e) if refused > PATIENCE => {
                return Err(Rule::Healing.fatal(format!("open still fails when healed: {e}")));
            }
            Err(_) => refused += 1,
        }
        if refused == PATIENCE {
            dir.heal();
        }
    }
}
