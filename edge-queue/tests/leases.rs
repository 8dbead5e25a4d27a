//! Promises 3 and 4: leased rows come back in order, acknowledgements out of order cost bounded memory, and nothing
//! waits for ever.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![allow(clippy::disallowed_methods, reason = "a second thread is what is tested")]

use std::sync::Arc;
use std::time::Duration;

use edge_queue::testing::SimDir;
use edge_queue::{
    Config, ConsumerError, Lane, Lease, ManualClock, Now, Queue, Row, StoreKind, SystemClock, Wait,
};

fn open(dir: &SimDir) -> Queue {
    let clock = Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1_000, ..Now::default() }));
    Queue::open_in(Box::new(dir.clone()), config(), clock).unwrap()
}

fn config() -> Config {
    Config::default().max_bytes(2 * 1024 * 1024).store(StoreKind::Ring)
}

fn number(n: u32) -> Row {
    Row::new(n.to_be_bytes().to_vec())
}

fn value(lease: &Lease) -> u32 {
    u32::from_be_bytes(lease.payload()[..].try_into().unwrap())
}

/// From rows that are only on the medium to those just pushed, with some returned on the way.
#[test]
fn a_consumer_far_behind_catches_up_in_order() {
    const BEHIND: u32 = 12_000;
    let q = open(&SimDir::new());
    let mut hub = q.consumer("hub").unwrap();
    let (mut pushed, mut leased) = (0, 0u32);
    let push = |rows: u32, pushed: &mut u32| {
        let _receipts = q.push_batch((*pushed..*pushed + rows).map(number)).unwrap();
        *pushed += rows;
        q.commit().unwrap();
    };
    while pushed < BEHIND {
        push(150, &mut pushed);
    }
    let mut at_the_end = 0;
    while at_the_end < 20 {
        push(7, &mut pushed);
        let chunk = hub.lease(90, Wait::None).unwrap();
        for (n, lease) in (0..).zip(chunk) {
            assert_eq!((value(&lease), lease.stored()), (leased, true));
            // The others return, and come again.
            if n < 80 {
                lease.ack();
                leased += 1;
            } else {
                break;
            }
        }
        at_the_end += u32::from(leased == pushed);
    }
    assert_eq!(q.stats().messages, 0);
}

#[test]
fn returned_leases_come_again_in_their_old_order() {
    let q = open(&SimDir::new());
    let mut hub = q.consumer("hub").unwrap();
    for n in 0..100 {
        let _receipt = q.push(number(n)).unwrap();
    }
    let mut leases: Vec<Lease> = hub.lease(60, Wait::None).unwrap().into_iter().collect();
    leases.remove(30).ack();
    // Returned backwards, which must not matter.
    while leases.pop().is_some() {}
    let again: Vec<u32> = hub.lease(100, Wait::None).unwrap().iter().map(value).collect();
    let expected: Vec<u32> = (0..100).filter(|n| *n != 30).collect();
    assert_eq!(again, expected);
}

/// Every second row acknowledged: 2 500 holes, but never more than 1 024 ranges; what is beyond waits and counts as
/// leased until the holes close. A restart forgets none of what was counted.
#[test]
fn acknowledgements_out_of_order_are_bounded_and_exact_over_a_restart() {
    let dir = SimDir::new();
    let q = open(&dir);
    let mut hub = q.consumer("hub").unwrap();
    for n in 0..5_000 {
        let _receipt = q.push(number(n)).unwrap();
    }
    q.commit().unwrap();
    let leases: Vec<Lease> = hub.lease(5_000, Wait::None).unwrap().into_iter().collect();
    assert_eq!(leases.len(), 5_000);
    let (odd, even): (Vec<Lease>, Vec<Lease>) = leases.into_iter().partition(|lease| value(lease) % 2 == 1);
    hub.ack(odd);
    let ledger = q.ledger()[1].clone();
    assert!(ledger.balanced());
    assert_eq!(ledger.delivered, 1_024);
    assert_eq!(hub.lease(10, Wait::None).unwrap().len(), 0);
    q.commit().unwrap();
    drop((even, hub));
    q.close().unwrap();

    let q = open(&dir);
    let mut hub = q.consumer("hub").unwrap();
    let mut rest = 0;
    loop {
        let chunk = hub.lease(100, Wait::None).unwrap();
        if chunk.is_empty() {
            break;
        }
        rest += chunk.len();
        chunk.ack();
    }
    assert_eq!(rest, 5_000 - 1_024);
    let ledger = q.ledger()[1].clone();
    assert!(ledger.balanced() && ledger.queued == 0 && ledger.delivered == 5_000);
}

#[test]
fn parked_acknowledgements_count_as_soon_as_the_holes_close() {
    let q = open(&SimDir::new());
    let mut hub = q.consumer("hub").unwrap();
    for n in 0..5_000 {
        let _receipt = q.push(number(n)).unwrap();
    }
    let leases: Vec<Lease> = hub.lease(5_000, Wait::None).unwrap().into_iter().collect();
    let (odd, even): (Vec<Lease>, Vec<Lease>) = leases.into_iter().partition(|lease| value(lease) % 2 == 1);
    hub.ack(odd);
    hub.ack(even);
    let ledger = q.ledger()[1].clone();
    assert!(ledger.balanced() && ledger.queued == 0 && ledger.leased == 0);
    assert_eq!(ledger.delivered, 5_000);
}

#[test]
fn a_blocked_lease_wakes_for_a_push_and_for_the_close() {
    let clock = Arc::new(SystemClock::new());
    let q = Queue::open_in(Box::new(SimDir::new()), config(), clock).unwrap();
    let mut hub = q.consumer("hub").unwrap();
    let reader = std::thread::spawn(move || {
        let chunk = hub.lease(10, Wait::Forever).unwrap();
        let got: Vec<u32> = chunk.iter().map(value).collect();
        chunk.ack();
        (got, hub.lease(10, Wait::Forever).map(|chunk| chunk.len()))
    });
    let _receipt = q.push(number(7)).unwrap();
    while q.ledger()[usize::from(Lane::TELEMETRY.0)].delivered == 0 {
        std::thread::yield_now();
    }
    let mut other = q.consumer("hub").unwrap();
    assert!(other.lease(1, Wait::For(Duration::from_millis(1))).unwrap().is_empty());
    q.close().unwrap();
    let (got, end) = reader.join().unwrap();
    assert_eq!(got, [7]);
    assert!(matches!(end, Err(ConsumerError::Closed)));
}

#[test]
fn a_lease_of_a_forgotten_consumer_is_nobodys() {
    let q = open(&SimDir::new());
    let mut hub = q.consumer("hub").unwrap();
    let _receipt = q.push(number(1)).unwrap();
    let old: Vec<Lease> = hub.lease(1, Wait::None).unwrap().into_iter().collect();
    assert!(q.forget("hub").unwrap());
    assert!(!q.forget("hub").unwrap());
    assert!(matches!(hub.lease(1, Wait::None), Err(ConsumerError::Forgotten)));
    let mut new = q.consumer("hub").unwrap();
    old.into_iter().for_each(Lease::ack);
    assert_eq!(
        new.lease(1, Wait::None).unwrap().len(),
        1,
        "an old lease does not speak for the new consumer"
    );
}

/// On the medium they are still there: which of them are done is all that keeps them from going out again.
#[test]
fn what_the_last_consumer_acknowledged_does_not_come_back_for_the_next_after_a_restart() {
    let dir = SimDir::new();
    let q = open(&dir);
    let mut hub = q.consumer("hub").unwrap();
    (0..10).for_each(|n| drop(q.push(number(n)).unwrap()));
    q.commit().unwrap();
    hub.lease(6, Wait::None).unwrap().into_iter().filter(|row| value(row) % 3 == 1).for_each(Lease::ack);
    drop(hub);
    assert!(q.forget("hub").unwrap());
    q.close().unwrap();
    let q = open(&dir);
    let mut next = q.consumer("next").unwrap();
    let left: Vec<u32> = next.lease(99, Wait::None).unwrap().iter().map(value).collect();
    assert_eq!(left, [0, 2, 3, 5, 6, 7, 8, 9]);
}

/// Consumers of two queues have the same numbers, and so have their rows.
#[test]
fn a_lease_of_another_queue_is_acknowledged_there_and_not_here() {
    let (here, there) = (open(&SimDir::new()), open(&SimDir::new()));
    let (mut ours, mut theirs) = (here.consumer("hub").unwrap(), there.consumer("hub").unwrap());
    for q in [&here, &there] {
        drop(q.push(number(1)).unwrap());
    }
    let _held = ours.lease(1, Wait::None).unwrap();
    ours.ack(theirs.lease(1, Wait::None).unwrap());
    let delivered = |q: &Queue| q.ledger().iter().map(|ledger| ledger.delivered).sum::<u64>();
    assert_eq!((delivered(&here), delivered(&there)), (0, 1));
}

#[test]
fn names_and_the_number_of_consumers_are_bounded() {
    let q = open(&SimDir::new());
    assert!(matches!(q.consumer(""), Err(ConsumerError::Name { limit: 64 })));
    assert!(matches!(q.consumer(&"x".repeat(65)), Err(ConsumerError::Name { limit: 64 })));
    for n in 0..8 {
        q.consumer(&format!("c{n}")).unwrap();
    }
    assert!(matches!(q.consumer("c8"), Err(ConsumerError::TooMany { limit: 8 })));
    q.consumer("c3").unwrap();
}

/// Two handles of one name are one consumer: no row goes out twice, and a rewind of one moves the other.
#[test]
fn two_handles_of_one_name_share_the_rows_and_the_place() {
    let q = open(&SimDir::new());
    let (mut one, mut other) = (q.consumer("hub").unwrap(), q.consumer("hub").unwrap());
    let _receipts = q.push_batch((0..4).map(number)).unwrap();
    let first = one.lease(2, Wait::None).unwrap();
    let second = other.lease(9, Wait::None).unwrap();
    let values = |chunk: &edge_queue::Chunk| chunk.iter().map(value).collect::<Vec<_>>();
    assert_eq!((values(&first), values(&second)), (vec![0, 1], vec![2, 3]));
    first.into_iter().for_each(Lease::pass);
    assert!(other.lease(9, Wait::None).unwrap().is_empty(), "passed over");
    one.rewind();
    assert_eq!(values(&other.lease(9, Wait::None).unwrap()), [0, 1]);
}
