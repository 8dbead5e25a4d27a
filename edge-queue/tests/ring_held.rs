//! Promises 1 to 3 on the smallest ring, whose syncs fail (EIO) now and then before its power goes: commits fail half written,
//! their slots are used again in the same run, and the newest changes lie in segments that were given up.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

#[path = "common/ring_image.rs"]
mod ring_image;

use std::collections::BTreeMap;

use edge_queue::Seq;
use edge_queue::store::{Change, DoneRows, Position, RingStore, State, Store, StoreError};
use edge_queue::testing::{Call, Fault, FaultError, Flaw, Outcome, Rng, SimDir, budget_percent, seed};

use ring_image::{LANE, PAGE, open, read, row};

/// Of a page and a half, so that a segment takes ten, or small enough to share a page.
const SIZES: [usize; 2] = [PAGE + PAGE / 2, 100];
const PER_SEGMENT: u64 = 10;
const STEPS_MAX: u64 = 10;
/// No commit has more.
const OPERATIONS_MAX: u64 = 50;

/// A ring and what must be there after a power cut: the attempt at writing each row that counts.
struct Rig {
    dir: SimDir,
    store: RingStore,
    state: State,
    next: Seq,
    attempt: u64,
    kept: BTreeMap<Seq, u64>,
    /// Attempts that failed since the last one that did not: they may be found.
    doubt: Vec<(Seq, u64)>,
}

fn position(consumer: &str, floor: Seq) -> Change {
    let position = Position::from_floor(floor);
    Change::Position { consumer: consumer.into(), lane: LANE, position }
}

impl Rig {
    /// One commit begins in the first segment, with the only word of the consumer `other`, and goes on through two more; all of
    /// its rows are then given up, by changes that lie in the last one.
    fn new() -> Rig {
        let dir = SimDir::new();
        let (store, found) = open(&dir);
        let (kept, doubt) = (BTreeMap::new(), Vec::new());
        let mut rig = Rig { dir, store, state: found.state, next: 1, attempt: 0, kept, doubt };
        rig.commit(1, SIZES[0], &[]).unwrap();
        rig.commit(2 * PER_SEGMENT + 2, SIZES[0], &[position("other", 5)]).unwrap();
        rig.give_up();
        rig
    }

    /// The next rows and changes; nothing of the rig moves when the store refuses.
    fn commit(&mut self, rows: u64, bytes: usize, changes: &[Change]) -> Result<(), StoreError> {
        self.attempt += 1;
        let attempt = self.attempt;
        let seqs = self.next..self.next + rows;
        let payload = || [&attempt.to_le_bytes()[..], &vec![attempt as u8; bytes]].concat();
        let rows: Vec<_> = seqs.clone().map(|seq| row(seq, payload())).collect();
        let mut state = self.state.clone();
        changes.iter().for_each(|change| state.apply(change));
        self.store.append(&rows)?;
        self.doubt.extend(seqs.clone().map(|seq| (seq, attempt)));
        self.store.commit(changes, &state)?;
        self.doubt.clear();
        self.kept.extend(seqs.clone().map(|seq| (seq, attempt)));
        (self.state, self.next) = (state, seqs.end);
        Ok(())
    }

    fn give_up(&mut self) {
        let floor = self.next;
        let mut lane = self.state.lane[0];
        lane.floor = floor;
        let changes = [position("hub", floor), Change::Lane { lane: LANE, state: lane }];
        self.commit(0, 0, &changes).expect("what was acknowledged can be noted");
        self.store.advance(LANE, &DoneRows::below(floor)).unwrap();
        self.kept.clear();
    }

    /// A commit that fails at one of its syncs, one that does not, or all rows given up.
    fn step(&mut self, rng: &mut Rng) {
        let (rows, bytes) = (rng.between(1, 3 * PER_SEGMENT), SIZES[usize::from(rng.one_in(3))]);
        match rng.below(10) {
            0..5 => {
                let after = rng.below(2);
                self.dir.fail(Fault { call: Call::Sync, after, error: FaultError::Io, sticky: false });
                let _failed_or_not = self.commit(rows, bytes, &[]);
                self.dir.heal();
            }
            5..8 => {
                let done = self.commit(rows.div_ceil(3), bytes, &[]);
                assert!(matches!(done, Ok(()) | Err(StoreError::Full { .. })), "{done:?}");
            }
            _ => self.give_up(),
        }
    }

    /// Judges what a power cut leaves: every consumer's place, every row that counts, none that does not, and nothing damaged.
    fn judge(&self, outcome: Outcome, seed: u64) -> Result<(), String> {
        let (mut store, found) = open(&self.dir.crash(outcome, seed));
        let (known, expected) = (&found.state.consumers, &self.state.consumers);
        if known != expected || found.state.lane[0].floor != self.state.lane[0].floor {
            return Err(format!("{known:?} instead of {expected:?}"));
        }
        let (rows, lost, _) = read(&mut store);
        if lost > 0 || !found.damage.is_empty() {
            return Err(format!("{lost} lost, {:?}", found.damage));
        }
        let attempt = |payload: &[u8]| u64::from_le_bytes(payload[..8].try_into().unwrap());
        let rows: BTreeMap<Seq, u64> = rows.iter().map(|row| (row.seq, attempt(&row.payload))).collect();
        if let Some(seq) = self.kept.keys().find(|seq| !rows.contains_key(seq)) {
            return Err(format!("row {seq} was receipted and is lost"));
        }
        let counts = |seq: &Seq, nth: &u64| {
            *seq < self.state.lane[0].floor
                || self.kept.get(seq) == Some(nth)
                || (!self.kept.contains_key(seq) && self.doubt.contains(&(*seq, *nth)))
        };
        match rows.iter().find(|(seq, nth)| !counts(seq, nth)) {
            Some((seq, nth)) => Err(format!("row {seq} is of attempt {nth}")),
            None => Ok(()),
        }
    }
}

/// A short life, then the power goes in a commit, after so many operations. `true`: that commit had no more.
fn trial(seed: u64, operations: u64) -> Result<bool, String> {
    let (mut rig, mut rng) = (Rig::new(), Rng::new(seed));
    for _ in 0..rng.below(STEPS_MAX) {
        rig.step(&mut rng);
    }
    rig.dir.freeze_after(operations);
    // A region that is full has nothing under way.
    let rows = rng.between(1, PER_SEGMENT + 1);
    let ended = matches!(rig.commit(rows, SIZES[0], &[]), Ok(()) | Err(StoreError::Full { .. }));
    for outcome in Outcome::ALL {
        rig.judge(outcome, seed)
            .map_err(|why| format!("seed {seed}, cut after {operations}, {outcome:?}: {why}"))?;
    }
    Ok(ended)
}

/// The number of states judged, or the first violation.
fn trials(count: u64) -> Result<u64, String> {
    let (mut rng, mut cases) = (Rng::new(seed()), 0);
    for _ in 0..count {
        let seed = rng.next_u64();
        for operations in 0.. {
            cases += Outcome::ALL.len() as u64;
            if trial(seed, operations)? {
                break;
            }
            assert!(operations < OPERATIONS_MAX, "a commit has fewer operations");
        }
    }
    Ok(cases)
}

#[test]
fn failing_syncs_and_a_power_cut_take_no_row_and_no_consumers_place() {
    let cases = trials((3_000 * budget_percent()).div_ceil(100)).unwrap_or_else(|why| panic!("{why}"));
    println!("executed ring_held: {cases} cases");
}

#[test]
fn segments_judged_without_their_generation_are_caught() {
    let found = Flaw::GenerationIgnored.during(|| trials(3_000)).expect_err("not caught");
    println!("ring, {:?}: found at {found}", Flaw::GenerationIgnored);
}
