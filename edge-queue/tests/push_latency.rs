//! Promises 11 and 14: a push waits for no disk. Whatever the store does, nobody holds the bookkeeping meanwhile: while each
//! of its calls is under way another thread pushes, acknowledges and asks for figures.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![allow(clippy::disallowed_methods, reason = "a second thread is what is tested")]

use std::collections::BTreeMap;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use edge_queue::store::{
    Change, DoneRows, Options, ReadLimit, RingStore, State, Store, StoreError, StoreStats, StoredChunk,
    StoredRow,
};
use edge_queue::testing::SimDir;
use edge_queue::{Config, Lane, LaneConfig, ManualClock, Now, OnFull, Queue, Row, Seq, StoreKind, Wait};

/// A push that is not done by then waits for the call.
const PATIENCE: Duration = Duration::from_secs(10);

/// Number of looks at which each call was under way, and of those in which nobody could push.
type Calls = Arc<Mutex<BTreeMap<&'static str, (u32, u32)>>>;

/// Pushes from another thread in the middle of each of the store's calls.
struct Busy {
    store: RingStore,
    queue: Arc<OnceLock<Queue>>,
    calls: Calls,
}

impl Busy {
    fn probe(&self, call: &'static str) {
        let Some(q) = self.queue.get().cloned() else { return };
        let (done, waits) = channel();
        std::thread::spawn(move || {
            // Refused or not: it must answer.
            let _answer = q.push(Row::new("meanwhile").lane(Lane::ALARM));
            let _figures = q.ledger();
            let _heard = done.send(());
        });
        let blocked = u32::from(waits.recv_timeout(PATIENCE).is_err());
        let mut calls = self.calls.lock().unwrap();
        let seen = calls.entry(call).or_default();
        *seen = (seen.0 + 1, seen.1 + blocked);
    }
}

impl Store for Busy {
    fn append(&mut self, rows: &[StoredRow]) -> Result<(), StoreError> {
        self.probe("append");
        self.store.append(rows)
    }
    fn commit(&mut self, changes: &[Change], state: &State) -> Result<(), StoreError> {
        self.probe("commit");
        self.store.commit(changes, state)
    }
    fn read(&mut self, lane: Lane, from: Seq, limit: ReadLimit) -> Result<StoredChunk, StoreError> {
        self.probe("read");
        self.store.read(lane, from, limit)
    }
    fn advance(&mut self, lane: Lane, done: &DoneRows) -> Result<(), StoreError> {
        self.probe("advance");
        self.store.advance(lane, done)
    }
    fn prepare(&mut self) -> Result<(), StoreError> {
        self.probe("prepare");
        self.store.prepare()
    }
    fn stats(&self) -> StoreStats {
        self.store.stats()
    }
}

#[test]
fn no_call_of_the_store_is_made_while_a_push_would_have_to_wait() {
    let options = Options {
        lanes: 2,
        lane_bytes: [4 * 1024 * 1024; 4].into(),
        segment_bytes: 1024 * 1024,
        row_bytes_max: 64 * 1024,
        gateway: 1,
        epoch_step: 1,
    };
    let (store, found) = RingStore::open(Box::new(SimDir::new()), &options).unwrap();
    let (queue, calls) = (Arc::new(OnceLock::new()), Calls::default());
    let busy = Busy { store, queue: queue.clone(), calls: calls.clone() };
    let clock = Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1_000, ..Now::default() }));
    let config = Config::default()
        .store(StoreKind::Ring)
        .max_messages(3_000)
        .lane(Lane::ALARM, LaneConfig::default().max_messages(100_000))
        .on_full(OnFull::DropOldest);
    let q = Queue::with_store(Box::new(busy), found, config, clock.clone()).unwrap();
    let mut hub = q.consumer("hub").unwrap();
    queue.set(q.clone()).unwrap();
    // Far over the limit, so that drop-oldest outruns what a commit prepared and reads within pushes; leases read too.
    for n in 0..12_000 {
        let _receipt = q.push(Row::new(vec![0; 1_000])).unwrap();
        if n % 1_500 == 0 {
            q.commit().unwrap();
            clock.advance_ms(100);
            q.tick();
        }
    }
    q.commit().unwrap();
    for _ in 0..10 {
        hub.lease(200, Wait::None).unwrap().ack();
    }
    let _figures = q.stats();
    q.commit().unwrap();
    let calls = calls.lock().unwrap().clone();
    println!("store calls (seen, blocked): {calls:?}");
    assert!(calls.values().all(|(_, blocked)| *blocked == 0), "{calls:?}");
    for call in ["append", "commit", "read", "advance", "prepare"] {
        assert!(calls.contains_key(call), "{call} was never seen: {calls:?}");
    }
    assert!(calls["read"].0 > 5, "{calls:?}");
}
