//! Promises 6 and 11 on a ring of few segments: what a push was told there is room for, the next commit stores, however much
//! bookkeeping goes with it and wherever the process was killed before; a region's end is a refused push and never a fault.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use std::sync::Arc;

use edge_queue::store::{Options, RingStore};
use edge_queue::testing::{Outcome, Rng, SimDir, budget_percent, seed};
use edge_queue::{
    Config, Consumer, Health, Lane, Lease, Limit, ManualClock, Now, OnFull, Pending, PushError, Queue,
    Receipt, Row, Wait,
};

const ROW_BYTES_MAX: u64 = 6_000;
const LIVES: u64 = 5;
const STEPS: u64 = 60;

/// Five segments of 64 KiB per lane: fewer there cannot be.
fn open(dir: &SimDir) -> Queue {
    let options = Options {
        lanes: 2,
        lane_bytes: [32 * 1024; 4].into(),
        segment_bytes: 64 * 1024,
        row_bytes_max: ROW_BYTES_MAX as usize,
        gateway: 7,
        epoch_step: 1,
    };
    let (store, found) = RingStore::open(Box::new(dir.clone()), &options).unwrap();
    // The counters never limit: only the region does.
    let config = Config::default()
        .row_bytes_max(ROW_BYTES_MAX as usize)
        .max_bytes(1 << 30)
        .max_unwritten_bytes(1 << 20)
        .on_full(OnFull::Reject);
    let clock = Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1_000, ..Now::default() }));
    Queue::with_store(Box::new(store), found, config, clock).unwrap()
}

/// Pushes a few rows or until the region ends; `true` if it did.
fn push(queue: &Queue, rng: &mut Rng, pending: &mut Vec<Pending>) -> bool {
    let largest = [1, 60, 500, ROW_BYTES_MAX][usize::try_from(rng.below(4)).unwrap()];
    for _ in 0..rng.between(1, 400) {
        let lane = if rng.one_in(3) { Lane::ALARM } else { Lane::TELEMETRY };
        let len = rng.below(largest);
        let payload = rng.bytes(usize::try_from(len).unwrap());
        match queue.push(Row::new(payload).lane(lane)) {
            Ok(receipt) => pending.push(receipt),
            Err(PushError::Full { limit: Limit::Region, .. }) => return true,
            Err(other) => panic!("{other}"),
        }
    }
    false
}

/// Acknowledges some of what waits, every second row or whole stretches: holes are what makes bookkeeping large.
fn deliver(hub: &mut Consumer, rng: &mut Rng) {
    let holes = rng.below(4);
    let most = usize::try_from(rng.between(1, 3_000)).unwrap();
    let leases: Vec<Lease> = hub.lease(most, Wait::None).unwrap().into_iter().collect();
    for (nth, lease) in leases.into_iter().enumerate() {
        if holes == 0 || !(nth as u64).is_multiple_of(holes + 1) {
            lease.ack();
        }
    }
}

#[test]
fn what_a_push_found_room_for_is_stored_by_the_next_commit() {
    let (mut commits, mut ends) = (0, 0);
    for trial in 0..(400 * budget_percent()).div_ceil(100) {
        let (mut rng, mut dir) = (Rng::new(seed() + trial), SimDir::new());
        for _ in 0..rng.between(1, LIVES) {
            let queue = open(&dir);
            let names = ["a", "b", "c", "a consumer with a name of some length"];
            let count = usize::try_from(rng.between(1, 4)).unwrap();
            let mut hubs: Vec<Consumer> =
                names[..count].iter().map(|name| queue.consumer(name).unwrap()).collect();
            for step in 0..STEPS {
                let mut pending = Vec::new();
                ends += u64::from(push(&queue, &mut rng, &mut pending));
                let done = queue.commit();
                assert!(done.is_ok(), "trial {trial}, step {step}: {done:?}");
                assert_eq!(queue.stats().health, Health::Healthy, "trial {trial}, step {step}");
                for receipt in pending {
                    let got = receipt.try_get();
                    assert_eq!(got, Ok(Some(Receipt::Stored)), "trial {trial}, step {step}");
                }
                commits += 1;
                for hub in &mut hubs {
                    if rng.one_in(2) {
                        deliver(hub, &mut rng);
                    }
                }
            }
            for ledger in queue.ledger() {
                assert!(ledger.balanced() && ledger.dropped.total() == 0, "trial {trial}: {ledger:?}");
            }
            // Killed or closed.
            if rng.one_in(2) {
                drop(hubs);
                queue.close().unwrap();
            } else {
                dir = dir.crash(Outcome::Kept, 0);
            }
        }
    }
    assert!(ends > 0, "the region never ended");
    println!("executed room: {commits} cases, {ends} of them at the region's end");
}
