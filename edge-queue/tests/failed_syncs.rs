//! Promise 1 on the ring after a sync that failed (case 5 of `docs/queue-format.md`): the system shows pages that are not on the medium, and a process
//! that goes on with them makes them durable before it relies on them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

#[path = "common/ring_image.rs"]
mod ring_image;

use edge_queue::store::{Change, DoneRows, Options, Recovered, RingStore, State, Store};
use edge_queue::testing::{Call, Fault, FaultError, Flaw, Outcome, SimDir};

use ring_image::{LANE, commit, options, plain, read};

fn open(dir: &SimDir) -> (RingStore, Recovered) {
    RingStore::open(Box::new(dir.clone()), &roomy()).unwrap()
}

/// Room for some commits that fail.
fn roomy() -> Options {
    Options { lane_bytes: [128 * 1024; 4].into(), ..options() }
}

/// A ring that was used for some laps: every slot has the remains of an earlier life.
struct Used {
    dir: SimDir,
    store: RingStore,
    state: State,
    next: u64,
}

impl Used {
    fn new(commits: u64) -> Used {
        let dir = SimDir::new();
        let (store, found) = open(&dir);
        let mut used = Used { dir, store, state: found.state, next: 1 };
        for _ in 0..commits {
            used.state.lane[0].floor = used.next.saturating_sub(30).max(1);
            used.commit(60);
            used.store.advance(LANE, &DoneRows::below(used.state.lane[0].floor)).unwrap();
        }
        used
    }

    fn commit(&mut self, rows: u64) {
        commit(
            &mut self.store,
            &mut self.state,
            &(self.next..self.next + rows).map(plain).collect::<Vec<_>>(),
        );
        self.next += rows;
    }

    /// A commit whose sync fails; the system has its pages, and the medium has not.
    fn fails(&mut self, rows: u64, changes: &[Change]) {
        self.dir.fail(Fault { call: Call::Sync, after: 0, error: FaultError::Io, sticky: false });
        self.store.append(&(self.next..self.next + rows).map(plain).collect::<Vec<_>>()).unwrap();
        assert!(self.store.commit(changes, &self.state).is_err());
    }

    /// The process ends, and another goes on while the system runs.
    fn reopened(mut self) -> Used {
        // The file's lock goes with the process.
        self.store = open(&SimDir::new()).0;
        let (store, found) = open(&self.dir);
        (self.store, self.state, self.next) = (store, found.state, found.highest_seq[0] + 1);
        self
    }

    /// Expects after a power cut every row from the floor on, and that nothing is lost.
    fn survives(self, what: &str) {
        for seed in 0..4 {
            let (mut store, found) = open(&self.dir.crash(Outcome::Lost, seed));
            let (rows, lost, _) = read(&mut store);
            assert_eq!((rows.last().map(|row| row.seq), lost), (Some(self.next - 1), 0), "{what}: {found:?}");
            assert!(rows.is_sorted_by(|a, b| a.seq + 1 == b.seq), "{what}");
        }
    }
}

#[test]
fn a_close_whose_sync_failed_is_not_believed_because_the_system_shows_its_mark() {
    for commits in 30..50 {
        let mut used = Used::new(commits);
        // The last commit begins a segment, so that the next open begins one too: the close mark's.
        used.fails(0, &[Change::Lane { lane: LANE, state: used.state.lane[0] }]);
        used.commit(1);
        let mut used = used.reopened();
        used.fails(0, &[Change::Closed]);
        let mut used = used.reopened();
        used.commit(1);
        used.survives(&format!("after {commits} commits"));
    }
}

#[test]
fn what_failed_commits_left_is_made_durable_by_the_open_that_takes_it_in() {
    for commits in 30..50 {
        let mut used = Used::new(commits);
        (0..2).for_each(|_| used.fails(20, &[]));
        let mut used = used.reopened();
        used.commit(1);
        used.survives(&format!("after {commits} commits"));
    }
}

/// Rows that are told as lost after power cuts in an open that finds a commit of several frames whose sync failed.
fn lost_by_cut_opens() -> u64 {
    let mut lost = 0;
    for (operations, outcome) in (0..12).flat_map(|n| Outcome::ALL.map(|outcome| (n, outcome))) {
        for seed in 0..6 {
            let mut used = Used::new(30 + seed);
            used.fails(150, &[]);
            let dir = used.dir.clone();
            drop(used);
            dir.freeze_after(operations);
            drop(RingStore::open(Box::new(dir.clone()), &roomy()));
            lost += read(&mut open(&dir.crash(outcome, seed)).0).1;
        }
    }
    lost
}

#[test]
fn an_open_that_is_cut_reports_nothing_of_a_failed_commit_as_lost() {
    assert_eq!(lost_by_cut_opens(), 0);
}

#[test]
fn an_epoch_raised_before_what_was_found_is_durable_is_caught() {
    assert!(Flaw::EpochFirst.during(lost_by_cut_opens) > 0);
}
