//! Promises 3, 4 and 11: acknowledgements with holes keep every segment of a lane in use although few rows wait. Then the
//! policy applies with reason `fragmented`, what was receipted is there or recorded, and it ends when the holes close.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use edge_queue::store::{
    Change, DoneRows, Options, ReadLimit, RingStore, State, Store, StoreError, StoreStats, StoredChunk,
    StoredRow,
};
use edge_queue::testing::SimDir;
use edge_queue::{
    Config, Consumer, Lane, LaneConfig, Lease, Limit, ManualClock, Now, OnFull, Pending, PushError, Queue,
    Reason, Receipt, Row, Seq, StoreKind, Wait,
};

const ROUND: u32 = 50;

fn config(on_full: OnFull) -> Config {
    Config::default()
        .store(StoreKind::Ring)
        .max_bytes(256 * 1024)
        .lane(Lane::ALARM, LaneConfig::default().max_bytes(256 * 1024))
        .row_bytes_max(4 * 1024)
        .segment_bytes(256 * 1024)
        .on_full(on_full)
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1_000, ..Now::default() }))
}

/// A queue and what was told about its rows.
struct Rig {
    q: Queue,
    hub: Consumer,
    next: u32,
    pending: Vec<(u32, Pending)>,
    stored: BTreeSet<u32>,
    settled: BTreeSet<u32>,
    acked: BTreeSet<u32>,
}

impl Rig {
    fn new(dir: &SimDir, on_full: OnFull) -> Rig {
        let q = Queue::open_in(Box::new(dir.clone()), config(on_full), clock()).unwrap();
        let hub = q.consumer("hub").unwrap();
        let (pending, stored, settled, acked) = Default::default();
        Rig { q, hub, next: 0, pending, stored, settled, acked }
    }

    fn push(&mut self) -> Result<(), Limit> {
        let row = Row::new([&self.next.to_be_bytes()[..], &[0; 1_000]].concat());
        match self.q.push(row) {
            Ok(pending) => self.pending.push((self.next, pending)),
            Err(PushError::Full { limit, .. }) => return Err(limit),
            Err(other) => panic!("{other}"),
        }
        self.next += 1;
        Ok(())
    }

    fn settle(&mut self) {
        self.q.commit().unwrap();
        for (n, pending) in std::mem::take(&mut self.pending) {
            match pending.try_get().unwrap() {
                Some(Receipt::Stored) => self.stored.insert(n),
                Some(Receipt::Settled(Reason::Fragmented)) => self.settled.insert(n),
                other => panic!("row {n}: {other:?}"),
            };
        }
    }

    /// Acknowledges what waits, but for every 40th row when there shall be `holes`.
    fn deliver(&mut self, holes: bool) {
        let mut returned: Vec<Lease> = Vec::new();
        loop {
            let chunk = self.hub.lease(100, Wait::None).unwrap();
            if chunk.is_empty() {
                break;
            }
            for lease in chunk {
                let n = u32::from_be_bytes(lease.payload()[..4].try_into().unwrap());
                if holes && n.is_multiple_of(40) {
                    returned.push(lease);
                } else {
                    assert!(self.acked.insert(n), "row {n} twice");
                    lease.ack();
                }
            }
        }
    }

    /// Rounds until a push meets the region's end; gives the limit if it was refused.
    fn fill(&mut self) -> Option<Limit> {
        for _ in 0..200 {
            for _ in 0..ROUND {
                if let Err(limit) = self.push() {
                    self.settle();
                    return Some(limit);
                }
            }
            self.settle();
            if !self.settled.is_empty() || self.fragmented() > 0 {
                return None;
            }
            self.deliver(true);
            assert!(self.q.ledger()[1].queued < 100, "the counters are far below the limit");
        }
        panic!("the region never ended");
    }

    fn fragmented(&self) -> u64 {
        self.q.ledger()[1].dropped.for_reason(Reason::Fragmented)
    }

    /// Nothing receipted is gone without a record, and pushing goes on for ever once there are no holes.
    fn recovers(mut self, dir: &SimDir) {
        self.deliver(false);
        self.q.commit().unwrap();
        let before = self.fragmented();
        for _ in 0..60 {
            for _ in 0..ROUND {
                self.push().unwrap();
            }
            self.settle();
            self.deliver(false);
        }
        assert_eq!(self.fragmented(), before, "without holes nothing is dropped");
        let gone: Vec<u32> = self.stored.difference(&self.acked).copied().collect();
        let recorded: u64 = self.hub.gaps().iter().map(|gap| gap.count).sum();
        assert!(self.hub.gaps().iter().all(|gap| gap.reason == Reason::Fragmented));
        assert_eq!(recorded, before);
        assert_eq!(gone.len() + self.settled.len(), usize::try_from(recorded).unwrap(), "{gone:?}");
        let ledger = self.q.ledger()[1].clone();
        assert!(ledger.balanced() && ledger.queued == 0, "{ledger:?}");
        drop(self.hub);
        self.q.close().unwrap();
        let q = Queue::open_in(Box::new(dir.clone()), config(OnFull::Reject), clock()).unwrap();
        let again = q.ledger()[1].clone();
        assert_eq!((again.accepted, again.dropped), (ledger.accepted, ledger.dropped));
    }
}

#[test]
fn reject_names_the_region_and_works_again_when_the_holes_close() {
    let dir = SimDir::new();
    let mut rig = Rig::new(&dir, OnFull::Reject);
    assert_eq!(rig.fill(), Some(Limit::Region));
    assert!(rig.settled.is_empty() && rig.fragmented() == 0);
    rig.recovers(&dir);
}

#[test]
fn drop_newest_settles_the_new_rows_as_fragmented() {
    let dir = SimDir::new();
    let mut rig = Rig::new(&dir, OnFull::DropNewest);
    assert_eq!(rig.fill(), None);
    assert!(!rig.settled.is_empty());
    rig.recovers(&dir);
}

#[test]
fn drop_oldest_gives_up_the_rows_between_the_holes_and_no_new_one() {
    let dir = SimDir::new();
    let mut rig = Rig::new(&dir, OnFull::DropOldest);
    assert_eq!(rig.fill(), None);
    assert!(rig.settled.is_empty(), "rows that lie in no segment free none: {:?}", rig.settled);
    rig.recovers(&dir);
}

#[test]
fn drop_oldest_cannot_give_up_what_is_leased() {
    let mut rig = Rig::new(&SimDir::new(), OnFull::DropOldest);
    let mut held: Vec<Lease> = Vec::new();
    let refused = loop {
        if let Some(limit) = (0..ROUND).find_map(|_| rig.push().err()) {
            break limit;
        }
        rig.settle();
        for (nth, lease) in rig.hub.lease(1_000, Wait::None).unwrap().into_iter().enumerate() {
            if nth == 0 { held.push(lease) } else { lease.ack() }
        }
        assert!(held.len() < 100, "the region never ended");
    };
    assert_eq!(refused, Limit::Region);
    held.into_iter().for_each(Lease::ack);
    rig.q.commit().unwrap();
    rig.push().unwrap();
}

/// A store that finds out only when it is asked to take rows that no segment is free, until a floor moves.
struct Tight {
    store: RingStore,
    full: Arc<AtomicBool>,
}

impl Store for Tight {
    fn append(&mut self, rows: &[StoredRow]) -> Result<(), StoreError> {
        match rows.first().filter(|_| self.full.load(Ordering::Relaxed)) {
            Some(row) => Err(StoreError::Full { lane: row.lane }),
            None => self.store.append(rows),
        }
    }
    fn commit(&mut self, changes: &[Change], state: &State) -> Result<(), StoreError> {
        self.store.commit(changes, state)
    }
    fn read(&mut self, lane: Lane, from: Seq, limit: ReadLimit) -> Result<StoredChunk, StoreError> {
        self.store.read(lane, from, limit)
    }
    fn advance(&mut self, lane: Lane, done: &DoneRows) -> Result<(), StoreError> {
        self.full.store(false, Ordering::Relaxed);
        self.store.advance(lane, done)
    }
    fn stats(&self) -> StoreStats {
        self.store.stats()
    }
}

fn tight(dir: &SimDir, on_full: OnFull) -> (Queue, Arc<AtomicBool>) {
    let options = Options {
        lanes: 2,
        lane_bytes: [256 * 1024; 4].into(),
        segment_bytes: 256 * 1024,
        row_bytes_max: 4 * 1024,
        gateway: 1,
        epoch_step: 1,
    };
    let (store, found) = RingStore::open(Box::new(dir.clone()), &options).unwrap();
    let full = Arc::new(AtomicBool::new(false));
    let store = Box::new(Tight { store, full: full.clone() });
    (Queue::with_store(store, found, config(on_full), clock()).unwrap(), full)
}

#[test]
fn a_commit_that_finds_no_segment_frees_one_by_the_policy() {
    let (q, full) = tight(&SimDir::new(), OnFull::DropOldest);
    let hub = q.consumer("hub").unwrap();
    let old: Vec<Pending> = (0..20).map(|_| q.push(Row::new(vec![0; 1_000])).unwrap()).collect();
    q.commit().unwrap();
    full.store(true, Ordering::Relaxed);
    let new: Vec<Pending> = (0..5).map(|_| q.push(Row::new(vec![1; 1_000])).unwrap()).collect();
    q.commit().unwrap();
    assert!(old.iter().chain(&new).all(|pending| pending.try_get() == Ok(Some(Receipt::Stored))));
    let gaps = hub.gaps();
    assert_eq!(gaps.len(), 1);
    assert_eq!((gaps[0].count, gaps[0].reason), (20, Reason::Fragmented));
    let ledger = q.ledger()[1].clone();
    assert!(ledger.balanced() && ledger.queued == 5, "{ledger:?}");
}

/// Nothing in RAM tells the sizes of the old rows after a restart.
#[test]
fn a_commit_that_finds_no_segment_reads_the_rows_that_it_gives_up() {
    let dir = SimDir::new();
    let (q, _) = tight(&dir, OnFull::DropOldest);
    drop(q.consumer("hub").unwrap());
    let old: Vec<Pending> = (0..20).map(|_| q.push(Row::new(vec![0; 1_000])).unwrap()).collect();
    q.commit().unwrap();
    assert!(old.iter().all(|pending| pending.try_get() == Ok(Some(Receipt::Stored))));
    drop(q);
    let (q, full) = tight(&dir, OnFull::DropOldest);
    let hub = q.consumer("hub").unwrap();
    let _last = q.push(Row::new("last")).unwrap();
    q.commit().unwrap();
    full.store(true, Ordering::Relaxed);
    let new: Vec<Pending> = (0..5).map(|_| q.push(Row::new(vec![1; 1_000])).unwrap()).collect();
    q.commit().unwrap();
    assert!(new.iter().all(|pending| pending.try_get() == Ok(Some(Receipt::Stored))));
    let gaps: Vec<(u64, Reason)> = hub.gaps().iter().map(|gap| (gap.count, gap.reason)).collect();
    assert_eq!(gaps, [(21, Reason::Fragmented)]);
}

#[test]
fn where_the_policy_frees_none_rows_wait_without_a_receipt_until_there_is_one() {
    let (q, full) = tight(&SimDir::new(), OnFull::Reject);
    let mut hub = q.consumer("hub").unwrap();
    let old = q.push(Row::new("old")).unwrap();
    q.commit().unwrap();
    full.store(true, Ordering::Relaxed);
    let new = q.push(Row::new("new")).unwrap();
    assert!(q.commit().is_err());
    assert_eq!((old.try_get(), new.try_get()), (Ok(Some(Receipt::Stored)), Ok(None)));
    hub.lease(1, Wait::None).unwrap().ack();
    // The acknowledgement alone can be written, and moves the floor; then there is room.
    q.commit().unwrap();
    assert_eq!(new.try_get(), Ok(Some(Receipt::Stored)));
    assert_eq!(hub.lease(9, Wait::None).unwrap().len(), 1);
}
