//! All calls of a running queue at once, from threads of their own: whatever they do to each other, every consumer gets every row (promises 2 and 3).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use edge_queue::testing::{Rng, SimDir, budget_percent, seed};
use edge_queue::{
    Config, Consumer, Lane, Lease, ManualClock, Now, Pending, Queue, Reason, Row, StoreKind, Wait,
};

const ROWS: u64 = 600;
const PRODUCERS: u64 = 2;
const CONSUMERS: [&str; 3] = ["a", "b", "c"];

/// Rows that one consumer brought to an end, and the weight of those it discarded.
#[derive(Default)]
struct Ended {
    ids: BTreeSet<u64>,
    discarded: u64,
}

fn open(kind: StoreKind) -> Queue {
    let clock = ManualClock::new(Now { boot_id: 1, up_ms: 1, wall_ms: 1, synced: true });
    // Nothing is ever dropped: limits are far away.
    let config = Config::default()
        .store(kind)
        .lanes(2)
        .lane(Lane(0), edge_queue::LaneConfig::default().max_bytes(8 << 20))
        .max_bytes(8 << 20)
        .row_bytes_max(8 * 1024)
        .segment_bytes(256 * 1024)
        .commit_bytes(16 * 1024);
    Queue::open_in(Box::new(SimDir::new()), config, Arc::new(clock)).unwrap()
}

fn row(id: u64, rng: &mut Rng) -> Row {
    let mut payload = id.to_le_bytes().to_vec();
    let most = if rng.one_in(20) { 6_000 } else { 200 };
    payload.resize(8 + rng.below(most) as usize, 7);
    Row::new(payload).lane(Lane(rng.below(2) as u8)).weight(1 + rng.below(3) as u32)
}

fn id(lease: &Lease) -> u64 {
    u64::from_le_bytes(lease.payload()[..8].try_into().unwrap())
}

fn produce(queue: &Queue, first: u64, rng: &mut Rng) -> Vec<Pending> {
    let mut receipts = Vec::new();
    let mut next = first;
    while next < first + ROWS {
        let rows: Vec<Row> =
            (next..(next + 1 + rng.below(8)).min(first + ROWS)).map(|id| row(id, rng)).collect();
        next += rows.len() as u64;
        if rng.one_in(2) {
            receipts.extend(queue.push_batch(rows).unwrap());
        } else {
            receipts.extend(rows.into_iter().map(|row| queue.push(row).unwrap()));
        }
        std::thread::yield_now();
    }
    receipts
}

/// Leases, and acknowledges, discards, passes over or drops what comes.
fn consume(mut consumer: Consumer, ended: &Mutex<Ended>, stop: &AtomicBool, rng: &mut Rng) {
    let mut kept: Vec<Lease> = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let chunk = match rng.below(3) {
            0 => consumer.lease_up_to(1 + rng.below(40) as usize, rng.below(5_000), Wait::None),
            _ => consumer.lease(1 + rng.below(40) as usize, Wait::None),
        };
        for lease in chunk.unwrap() {
            match rng.below(20) {
                0 => end(ended, lease, true),
                1 | 2 => drop(lease),
                3 => lease.pass(),
                4 | 5 => kept.push(lease),
                _ => end(ended, lease, false),
            }
        }
        match rng.below(30) {
            0 => consumer.scan(),
            1..4 => consumer.rewind(),
            4..8 => kept.drain(..).for_each(|lease| end(ended, lease, false)),
            _ => {}
        }
        std::thread::yield_now();
    }
}

fn end(ended: &Mutex<Ended>, lease: Lease, discards: bool) {
    let mut ended = ended.lock().unwrap();
    assert!(ended.ids.insert(id(&lease)), "row {} came again after its end", id(&lease));
    if discards {
        ended.discarded += u64::from(lease.weight());
        lease.discard();
    } else {
        lease.ack();
    }
}

/// Exports, commits and asks for figures.
fn look(queue: &Queue, stop: &AtomicBool, rng: &mut Rng) {
    while !stop.load(Ordering::Relaxed) {
        match rng.below(4) {
            0 => queue.commit().unwrap(),
            1 => queue.commit_ends().unwrap(),
            _ => drop(queue.export(&mut std::io::sink()).unwrap()),
        }
        assert!(queue.ledger().iter().all(edge_queue::Ledger::balanced));
        assert!(queue.committed_ledger().iter().all(edge_queue::Ledger::balanced));
        let _ = queue.stats();
    }
}

#[test]
fn every_consumer_gets_every_row_whatever_is_called_at_once() {
    let rounds = (40 * budget_percent()).div_ceil(100);
    for round in 0..rounds {
        let kind = if round % 2 == 0 { StoreKind::Ring } else { StoreKind::Redb };
        let queue = open(kind);
        let ended: [Mutex<Ended>; 3] = Default::default();
        let rng = |thread: u64| Rng::new(seed() ^ (round << 8 | thread));
        // Registered before the first row: all are each one's.
        let consumers: Vec<Consumer> = CONSUMERS.map(|name| queue.consumer(name).unwrap()).into();
        let second = queue.consumer("c").unwrap();
        let (producing, stop) = (AtomicBool::new(false), AtomicBool::new(false));
        let receipts: Vec<Pending> = std::thread::scope(|scope| {
            for (nth, consumer) in consumers.into_iter().chain([second]).enumerate() {
                let (ended, stop) = (&ended[nth.min(2)], &stop);
                scope.spawn(move || consume(consumer, ended, stop, &mut rng(nth as u64)));
            }
            let looks = scope.spawn(|| look(&queue, &producing, &mut rng(10)));
            let producers: Vec<_> = (0..PRODUCERS)
                .map(|nth| {
                    let queue = &queue;
                    scope.spawn(move || produce(queue, nth * ROWS, &mut rng(20 + nth)))
                })
                .collect();
            let receipts = producers.into_iter().flat_map(|producer| producer.join().unwrap()).collect();
            producing.store(true, Ordering::Relaxed);
            looks.join().unwrap();
            stop.store(true, Ordering::Relaxed);
            receipts
        });
        assert_eq!(receipts.len() as u64, PRODUCERS * ROWS);
        let all: BTreeSet<u64> = (0..PRODUCERS * ROWS).collect();
        for (name, ended) in CONSUMERS.into_iter().zip(&ended) {
            let mut consumer = queue.consumer(name).unwrap();
            consumer.rewind();
            while consumer.queued() > 0 {
                let chunk = consumer.lease(100, Wait::None).unwrap();
                let left = consumer.queued();
                assert!(
                    !chunk.is_empty(),
                    "{kind:?}, round {round}, {name}: {left} are queued, and none comes"
                );
                chunk.into_iter().for_each(|lease| end(ended, lease, false));
            }
            let ended = ended.lock().unwrap();
            let missing: Vec<_> = all.difference(&ended.ids).collect();
            assert!(missing.is_empty(), "{kind:?}, round {round}, {name}: {missing:?} never came");
            let ledgers: Vec<_> =
                queue.ledger().into_iter().filter(|ledger| ledger.consumer == name).collect();
            let dropped: u64 = ledgers.iter().map(|ledger| ledger.dropped.total()).sum();
            let discarded: u64 =
                ledgers.iter().map(|ledger| ledger.dropped.for_reason(Reason::Discarded)).sum();
            assert_eq!(
                (dropped, discarded),
                (ended.discarded, ended.discarded),
                "{kind:?}, round {round}, {name}"
            );
        }
        queue.close().unwrap();
    }
    println!("executed {rounds} rounds of all calls at once, 2 producers, 4 consumers, exports");
}
