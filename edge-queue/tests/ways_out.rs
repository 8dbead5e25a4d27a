//! Promise 3: ways out of the queue that are no delivery. A row moved to another store and a row given up by the
//! application have columns of their own in the ledger, durably; and a lease is bounded in bytes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use edge_queue::testing::SimDir;
use edge_queue::{
    Config, Consumer, Lease, Ledger, Queue, Reason, Receipt, Row, StoreKind, SystemClock, Wait,
};
use std::sync::Arc;

const KINDS: [StoreKind; 2] = [StoreKind::Ring, StoreKind::Redb];

fn config(kind: StoreKind) -> Config {
    Config::default().store(kind).lanes(1).max_bytes(8 << 20)
}

fn open(dir: &SimDir, config: &Config) -> Queue {
    Queue::open_in(Box::new(dir.clone()), config.clone(), Arc::new(SystemClock::new())).unwrap()
}

fn leases(consumer: &mut Consumer, rows: usize) -> Vec<Lease> {
    consumer.lease(rows, Wait::None).unwrap().into_iter().collect()
}

fn ledger(queue: &Queue, consumer: &str) -> Ledger {
    let ledger = queue.ledger().into_iter().find(|ledger| ledger.consumer == consumer).unwrap();
    assert!(ledger.balanced(), "{ledger:?}");
    ledger
}

#[test]
fn moved_and_given_up_rows_are_counted_apart_over_restarts() {
    for kind in KINDS {
        let dir = SimDir::new();
        let q = open(&dir, &config(kind));
        let mut hub = q.consumer("hub").unwrap();
        let receipts: Vec<_> = (0..10).map(|n| q.push(Row::new(vec![n; 20])).unwrap()).collect();
        let mut out = leases(&mut hub, 10).into_iter();
        let mut next = || out.next().unwrap();
        next().moved();
        next().discard();
        next().expire();
        next().ack();
        // What is durable elsewhere waits for nothing; what is lost waits until the loss is durable.
        let now: Vec<_> = receipts.iter().take(4).map(|r| r.try_get().unwrap()).collect();
        assert_eq!(now, [Some(Receipt::Stored), None, None, Some(Receipt::HandedOver)], "{kind:?}");
        q.commit().unwrap();
        let settled = |reason| Ok(Some(Receipt::Settled(reason)));
        assert_eq!(receipts[1].try_get(), settled(Reason::Discarded), "{kind:?}");
        assert_eq!(receipts[2].try_get(), settled(Reason::Expired), "{kind:?}");
        assert_eq!(receipts[4].try_get(), Ok(Some(Receipt::Stored)), "{kind:?}");
        // Stored ones as well as those that were never written.
        next().moved();
        next().discard();
        drop(out);
        let expected = |l: &Ledger| (l.accepted, l.delivered, l.moved, l.queued, l.dropped.total());
        assert_eq!(expected(&ledger(&q, "hub")), (10, 1, 2, 4, 3), "{kind:?}");
        drop(hub);
        q.close().unwrap();
        let q = open(&dir, &config(kind));
        let found = ledger(&q, "hub");
        assert_eq!(expected(&found), (10, 1, 2, 4, 3), "{kind:?}");
        assert_eq!((found.dropped.for_reason(Reason::Discarded), found.expired()), (2, 1), "{kind:?}");
        let mut hub = q.consumer("hub").unwrap();
        let gaps: Vec<_> = hub.gaps().iter().map(|gap| (gap.reason, gap.count)).collect();
        assert_eq!(gaps, [(Reason::Discarded, 1), (Reason::Expired, 1), (Reason::Discarded, 1)], "{kind:?}");
        // Who has only the queue finds and ends them by the consumer's name.
        assert_eq!((q.gaps("hub"), q.gaps("nobody").len()), (hub.gaps(), 0));
        q.ack_gaps("nobody", &hub.gaps());
        q.ack_gaps("hub", &hub.gaps()[..1]);
        assert_eq!(hub.gaps().len(), 2);
        let left: Vec<u8> = leases(&mut hub, 10).iter().map(|lease| lease.payload()[0]).collect();
        assert_eq!(left, [6, 7, 8, 9], "{kind:?}: neither moved nor given up rows come again");
    }
}

/// Each consumer has its own way: of one row's receipts a loss is what is told.
#[test]
fn of_several_consumers_a_loss_decides_and_then_a_move() {
    let q = open(&SimDir::new(), &config(StoreKind::Ring));
    let (mut a, mut b) = (q.consumer("a").unwrap(), q.consumer("b").unwrap());
    let receipts: Vec<_> = (0..3).map(|n| q.push(Row::new(vec![n])).unwrap()).collect();
    let ends: [[fn(Lease); 2]; 3] =
        [[Lease::moved, Lease::ack], [Lease::discard, Lease::moved], [Lease::moved, Lease::discard]];
    for ((first, second), [of_a, of_b]) in leases(&mut a, 3).into_iter().zip(leases(&mut b, 3)).zip(ends) {
        of_a(first);
        of_b(second);
    }
    q.commit().unwrap();
    let lost = Receipt::Settled(Reason::Discarded);
    let told: Vec<_> = receipts.iter().map(|r| r.try_get().unwrap().unwrap()).collect();
    assert_eq!(told, [Receipt::Stored, lost, lost]);
    assert_eq!((ledger(&q, "a").moved, ledger(&q, "b").moved), (2, 1));
}

/// At the cap of ranges an end waits for its turn and is then what it was.
#[test]
fn a_way_out_that_waits_for_a_range_stays_what_it_was() {
    let q = open(&SimDir::new(), &config(StoreKind::Ring));
    let mut hub = q.consumer("hub").unwrap();
    for n in 0..5_000u32 {
        drop(q.push(Row::new(n.to_be_bytes().to_vec())).unwrap());
    }
    let (mut kept, mut ended) = (Vec::new(), [0u64; 3]);
    for (n, lease) in leases(&mut hub, 4_800).into_iter().enumerate() {
        match n % 6 {
            1 => lease.moved(),
            3 => lease.discard(),
            5 => lease.ack(),
            _ => {
                kept.push(lease);
                continue;
            }
        }
        ended[n % 6 / 2] += 1;
    }
    kept.into_iter().for_each(Lease::ack);
    let found = ledger(&q, "hub");
    let discarded = found.dropped.for_reason(Reason::Discarded);
    assert_eq!([found.moved, discarded, found.delivered - 2_400], ended);
}

/// 1 000 rows of 250 kB asked for at once cost one row more than the bound, not 250 MB.
#[test]
fn a_lease_is_bounded_in_bytes() {
    for kind in [StoreKind::Memory, StoreKind::Ring, StoreKind::Redb] {
        let q = open(&SimDir::new(), &config(kind));
        let mut hub = q.consumer("hub").unwrap();
        for n in 0..20u8 {
            let size = if n == 3 { 200_000 } else { 50_000 };
            drop(q.push(Row::new(vec![n; size])).unwrap());
            q.commit().unwrap();
        }
        let mut taken = Vec::new();
        let mut take = |bytes: u64| {
            let chunk = hub.lease_up_to(256, bytes, Wait::None).unwrap();
            let numbers: Vec<u8> = chunk.iter().map(|lease| lease.payload()[0]).collect();
            taken.push(chunk);
            numbers
        };
        assert_eq!(take(1), [0], "{kind:?}: the first goes whatever its size");
        assert_eq!(take(100_064), [1, 2], "{kind:?}");
        assert_eq!(take(100_064), [3], "{kind:?}");
        assert_eq!(take(100_063), [4], "{kind:?}: a byte too few for two");
        assert_eq!(take(u64::MAX).len(), 15, "{kind:?}");
        assert_eq!(hub.waiting(), 0, "{kind:?}");
        taken.pop();
        assert_eq!(hub.waiting(), 15, "{kind:?}");
    }
}
