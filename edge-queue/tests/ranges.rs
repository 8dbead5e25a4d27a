//! Promises 3, 6 and 12: each consumer pays for the holes it leaves, nobody's holes grow without bound, and what is written
//! of them always fits.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use std::sync::Arc;

use edge_queue::testing::{Flaw, SimDir};
use edge_queue::{
    Config, Consumer, Lane, LaneConfig, Lease, ManualClock, Now, OnFull, Queue, Row, StoreKind, Wait,
};

/// Ranges that any consumer may take while all have fewer, that each has for itself, and the most there can be.
const SHARED: u64 = 1_024;
const EACH: u64 = 128;
const BOUND: u64 = 2_048;

fn open(dir: &SimDir, config: Config) -> Queue {
    let clock = Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1_000, ..Now::default() }));
    Queue::open_in(Box::new(dir.clone()), config.store(StoreKind::Ring), clock).unwrap()
}

fn small(lanes: u8, max_bytes: u64, max_messages: u64) -> Config {
    let lane = LaneConfig::default().max_bytes(max_bytes).max_messages(max_messages);
    let config = Config::default().lanes(lanes).row_bytes_max(4_096).segment_bytes(192 << 10);
    (0..lanes).fold(config.max_bytes(max_bytes), |config, at| config.lane(Lane(at), lane))
}

fn ranges(q: &Queue) -> u64 {
    q.ledger().iter().map(|ledger| ledger.ranges).sum()
}

fn ranges_of(q: &Queue, name: &str) -> u64 {
    q.ledger().iter().filter(|ledger| ledger.consumer == name).map(|ledger| ledger.ranges).sum()
}

/// Leases `rows` and acknowledges every second; keeps the others.
fn punch(consumer: &mut Consumer, rows: usize) -> Vec<Lease> {
    let mut kept = Vec::new();
    for lease in consumer.lease(rows, Wait::None).unwrap() {
        if lease.id().seq.is_multiple_of(2) { lease.ack() } else { kept.push(lease) }
    }
    kept
}

/// One consumer takes every range it can; how many rows another gets in one lease, before and after a restart.
fn beside_a_culprit() -> (usize, usize) {
    let dir = SimDir::new();
    let q = open(&dir, Config::default().lanes(1));
    let (mut a, mut b) = (q.consumer("a").unwrap(), q.consumer("b").unwrap());
    for n in 0..10_000u32 {
        let _receipt = q.push(Row::new(n.to_be_bytes().to_vec())).unwrap();
    }
    let kept = punch(&mut a, 2_100);
    assert_eq!(ranges_of(&q, "a"), SHARED);
    let before = b.lease(500, Wait::None).unwrap().len();
    drop((a, b, kept));
    q.close().unwrap();
    // The culprit does not come back.
    let q = open(&dir, Config::default().lanes(1));
    let mut b = q.consumer("b").unwrap();
    let after = b.lease(500, Wait::None).unwrap();
    let seen = after.len();
    drop(after);
    if seen == 500 {
        let kept = punch(&mut b, 500);
        assert_eq!(ranges_of(&q, "b"), EACH, "its own, although the shared ones are taken");
        assert_eq!(kept.len(), 250);
        assert!(b.lease(10, Wait::None).unwrap().is_empty(), "its own holes are its own cost");
        kept.into_iter().for_each(Lease::ack);
        assert_eq!(ranges_of(&q, "b"), 0);
        assert_eq!(b.lease(10, Wait::None).unwrap().len(), 10);
    }
    (before, seen)
}

#[test]
fn one_consumers_holes_do_not_slow_another() {
    assert_eq!(beside_a_culprit(), (500, 500));
}

#[test]
fn one_budget_for_all_is_caught() {
    let (before, after) = Flaw::RangesShared.during(beside_a_culprit);
    assert!(before < 500 && after < 500, "{before} and {after} rows: not caught");
}

/// Every second of many leased rows is given back and would be evicted; what became of the pushes, the commits, the ranges.
fn evict_between_leases(on_full: OnFull) -> Result<u64, String> {
    const LEASED: usize = 60_000;
    let q = open(&SimDir::new(), small(1, 8 << 20, 120_000).on_full(on_full));
    let mut hub = q.consumer("hub").unwrap();
    for _ in 0..120_000 {
        let _receipt = q.push(Row::new("x")).map_err(|e| e.to_string())?;
    }
    let held: Vec<Lease> = hub.lease(LEASED, Wait::None).unwrap().into_iter().step_by(2).collect();
    let mut most = 0;
    for n in 0..45_000u32 {
        let _receipt = q.push(Row::new("y")).map_err(|e| format!("push {n}: {e}"))?;
        if n.is_multiple_of(1_000) {
            q.commit().map_err(|e| format!("commit after {n}: {e}"))?;
            most = most.max(ranges(&q));
        }
    }
    q.commit().map_err(|e| format!("commit: {e}"))?;
    if !q.ledger()[0].balanced() || q.stats().messages != 120_000 {
        return Err(format!("{:?}", q.ledger()));
    }
    // Rows that were passed over are evicted again once the holes are closed.
    held.into_iter().for_each(Lease::ack);
    q.close().map_err(|e| format!("close: {e}"))?;
    Ok(most.max(1))
}

#[test]
fn eviction_between_leases_makes_no_holes_without_bound() {
    let most = evict_between_leases(OnFull::DropOldest).unwrap();
    assert!((SHARED..=BOUND).contains(&most), "{most} ranges");
}

#[test]
fn holes_without_bound_are_caught() {
    let found = Flaw::RangesUnbounded.during(|| evict_between_leases(OnFull::DropOldest));
    match found {
        Ok(most) => assert!(most > BOUND, "{most} ranges: not caught"),
        Err(why) => assert!(why.contains("commit"), "for the wrong reason: {why}"),
    }
}

/// A lane that drops its newest makes a hole each time it had room for a moment.
#[test]
fn dropping_the_newest_makes_no_holes_without_bound() {
    let q = open(&SimDir::new(), small(1, 1 << 20, 8_000).on_full(OnFull::DropNewest));
    let mut hub = q.consumer("hub").unwrap();
    for _ in 0..8_000 {
        let _receipt = q.push(Row::new("x")).unwrap();
    }
    for n in 0..20_000 {
        hub.lease(1, Wait::None).unwrap().ack();
        for _ in 0..2 {
            assert!(q.push(Row::new("y")).is_ok(), "{n}");
        }
        assert!(ranges(&q) <= SHARED + 8, "{n}: {} ranges", ranges(&q));
    }
    assert!(q.ledger()[0].balanced());
    q.close().unwrap();
}

/// Eight consumers with as many ranges as they can have in four lanes, names and gap records at their bounds: it is
/// committed, closed and found again in the smallest segments there are.
#[test]
fn the_bookkeeping_at_its_caps_is_written_and_found_again() {
    let dir = SimDir::new();
    let config = || small(4, 256 << 10, 6_000).on_full(OnFull::DropOldest);
    let names: Vec<String> = (0..8).map(|n| format!("{n}").repeat(64)).collect();
    let q = open(&dir, config());
    let mut consumers: Vec<Consumer> = names.iter().map(|name| q.consumer(name).unwrap()).collect();
    let push = |rows: u32| {
        for n in 0..rows * 4 {
            let row = Row::new("x").lane(Lane(u8::try_from(n % 4).unwrap()));
            if let Err(refused) = q.push(row) {
                panic!("row {n}: {refused} {:?}", q.stats());
            }
        }
        q.commit().unwrap();
    };
    push(5_000);
    let mut kept = Vec::new();
    for (nth, consumer) in consumers.iter_mut().enumerate() {
        kept.push(punch(consumer, if nth == 0 { 2_200 } else { 400 }));
    }
    assert_eq!(ranges(&q), SHARED + 7 * EACH);
    q.commit().unwrap();
    // Rows are given back and evicted between others, which leaves gap records too.
    for leases in &mut kept {
        let mut nth = 0;
        leases.retain(|_| {
            nth += 1;
            nth % 3 != 0
        });
    }
    for _ in 0..20 {
        push(500);
    }
    let (most, gaps) = (ranges(&q), consumers.iter().map(|consumer| consumer.gaps().len()).sum::<usize>());
    assert!((SHARED + 7 * EACH..=BOUND).contains(&most), "{most} ranges");
    assert!((8..=256).contains(&gaps), "{gaps} gap records");
    println!("{most} ranges, {gaps} gap records, {} bytes written", q.stats().store.bytes_written);
    let mut before = q.ledger();
    drop((consumers, kept));
    q.close().unwrap();
    let q = open(&dir, config());
    before.iter_mut().for_each(|ledger| ledger.leased = 0);
    assert_eq!(q.ledger(), before);
}
