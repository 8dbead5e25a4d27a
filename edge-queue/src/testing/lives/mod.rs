//! Several power cuts in a row (promises 1 and 2 at the store's level): every life (the time from one open to the next power cut) writes after
//! the remains of the one before, and none may bring back rows that an earlier one gave up, nor lose rows that any of them had receipted.

mod commit;
mod judge;

use std::collections::BTreeMap;

use super::crash::Open;
use super::disk::Outcome;
use super::medium::SimDir;
use super::rng::Rng;
use super::rule::{JudgeRule, Violation};
use super::store_rule::{Rule, accepted, judged};
use crate::per_lane::PerLane;
use crate::row::{LANES_MAX, Lane, Seq, StoredRow};
use crate::state::State;
use crate::store::{Recovered, Store};

/// Lanes that the lives use.
const LANES: u8 = 2;
const CONSUMER: &str = "hub";
/// Average number of commits of a life, if its power does not go during the open.
const COMMITS_PER_LIFE: u64 = 8;
/// Approximate number of operations of an open.
const OPEN_OPERATIONS: u64 = 6;

type Rows = BTreeMap<(Lane, Seq), StoredRow>;

/// A store in use, from which any number of trials begins; each goes its own way.
#[derive(Debug)]
pub struct Lives {
    dir: SimDir,
    rng: Rng,
    /// Rows that must be there, because they had a receipt or an open found them; done rows are left out.
    kept: Rows,
    /// Bookkeeping that an open must find.
    durable: State,
    /// Highest row number of each lane.
    highest: PerLane<Seq>,
    /// Commit that was under way when the last life ended, which may be there in part; `None` when there was none.
    doubt: Option<Doubt>,
    /// State in which an open must find the store: `Some(true)` for cleanly closed, `Some(false)` for not; `None` when nobody can
    /// know.
    closed: Option<bool>,
    backlog_bytes_max: u64,
    /// Set if rows are held: in each lane one at a time is not acknowledged whatever follows it.
    holds: bool,
    held: [Option<Seq>; LANES_MAX],
    operations_per_commit: u64,
    cuts: u64,
}

/// Commit without a receipt.
#[derive(Clone, Debug)]
struct Doubt {
    rows: Rows,
    state: State,
}

/// Store after the last power cut of a trial, for whoever goes on with it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Survivor {
    /// Disk of the store.
    pub dir: SimDir,
    /// Every row it holds that was not given up.
    pub rows: BTreeMap<(Lane, Seq), StoredRow>,
    /// Number of power cuts.
    pub cuts: u64,
}

impl Lives {
    /// A store that took `commits` commits and was then left as it was. An error is the store's own, without any fault.
    pub fn begin(open: Open<'_>, seed: u64, commits: u64) -> Result<Lives, Violation> {
        let mut rng = Rng::new(seed);
        let mut lives = Lives {
            dir: SimDir::new(),
            kept: Rows::new(),
            durable: State::new(0, LANES),
            highest: PerLane::all(0),
            doubt: None,
            closed: Some(false),
            backlog_bytes_max: rng.between(10, 100) * 1024,
            holds: false,
            held: [None; LANES_MAX],
            operations_per_commit: 4,
            cuts: 0,
            rng,
        };
        let (mut store, found) = accepted("open", open(Box::new(lives.dir.clone())))?;
        lives.durable = found.state;
        let made = lives.dir.counters().operations;
        judged(|| {
            (0..commits).try_for_each(|_| match lives.commit(store.as_mut())? {
                true => Ok(()),
                false => Err(Rule::Refusal.fatal("a commit failed without any fault".into())),
            })
        })?;
        let operations = lives.dir.counters().operations - made;
        lives.operations_per_commit = operations.checked_div(commits).unwrap_or(4);
        Ok(lives)
    }

    /// Makes lives in which rows are held now and then while the region goes on being used around them.
    #[must_use]
    pub fn holding(mut self) -> Lives {
        self.holds = true;
        self
    }

    /// Cuts the power two to four times, in commits, in opens and between them, with a kill or a clean close here and
    /// there; judges every open and, at last, what is left. The same seed gives the same trial.
    pub fn trial(&self, open: Open<'_>, seed: u64) -> Result<Survivor, Violation> {
        let mut lives = self.fork(seed);
        let cuts = lives.rng.between(2, 4);
        let verdict = judged(|| {
            while lives.cuts < cuts {
                lives.live(open)?;
            }
            let (mut store, found) = lives.open(open)?;
            lives.judge(store.as_mut(), &found)
        });
        let cuts = lives.cuts;
        verdict.map_err(|why| why.at(format_args!("seed {seed}, after {cuts} power cuts")))?;
        Ok(Survivor { dir: lives.dir, rows: lives.kept, cuts })
    }

    /// Returns the same store, on a disk of its own.
    fn fork(&self, seed: u64) -> Lives {
        Lives {
            dir: self.dir.crash(Outcome::Kept, seed),
            rng: Rng::new(seed),
            kept: self.kept.clone(),
            durable: self.durable.clone(),
            doubt: self.doubt.clone(),
            ..*self
        }
    }

    /// Opens, commits until the power goes or the process ends, and leaves the disk as that left it.
    fn live(&mut self, open: Open<'_>) -> Result<(), Violation> {
        let longest = self.operations_per_commit.max(1) * 2 * COMMITS_PER_LIFE;
        let operations = self.rng.below(if self.rng.clone().one_in(3) { OPEN_OPERATIONS } else { longest });
        let before = self.dir.counters().operations;
        let spent = |dir: &SimDir| dir.counters().operations - before;
        self.dir.freeze_after(operations);
        match open(Box::new(self.dir.clone())) {
            Ok((mut store, found)) => {
                // Whoever judges has a lamp.
                self.dir.heal();
                self.judge(store.as_mut(), &found)?;
                self.dir.freeze_after(operations.saturating_sub(spent(&self.dir)));
                while self.commit(store.as_mut())? {}
            }
            // The epoch may be raised or not.
            Err(_) if spent(&self.dir) >= operations => self.closed = self.closed.filter(|closed| !closed),
            opened => drop(accepted("open", opened)?),
        }
        // The process may also die alone: what it wrote without a sync is still on its way.
        if self.rng.one_in(5) {
            self.dir.heal();
        } else {
            let outcome = Outcome::ALL[usize::try_from(self.rng.below(5)).unwrap_or(0)];
            self.dir = self.dir.crash(outcome, self.rng.next_u64());
            self.cuts += 1;
        }
        Ok(())
    }

    fn open(&self, open: Open<'_>) -> Result<(Box<dyn Store>, Recovered), Violation> {
        self.dir.heal();
        accepted("open", open(Box::new(self.dir.clone())))
    }
}
