//! Promises 3, 6 and 7: limits hold, also after a restart; what they cost is recorded; lanes keep their room.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use std::sync::Arc;

use edge_queue::testing::SimDir;
use edge_queue::{
    Config, Lane, LaneConfig, Limit, ManualClock, Now, OnFull, PushError, Queue, Reason, Row, StoreKind, Wait,
};

fn open(dir: &SimDir, config: Config) -> Queue {
    let clock = Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1_000, ..Now::default() }));
    Queue::open_in(Box::new(dir.clone()), config.store(StoreKind::Ring), clock).unwrap()
}

fn number(n: u32) -> Row {
    Row::new(n.to_be_bytes().to_vec())
}

fn value(payload: &[u8]) -> u32 {
    u32::from_be_bytes(payload.try_into().unwrap())
}

#[test]
fn drop_oldest_keeps_the_newest_over_a_restart() {
    let dir = SimDir::new();
    let config = Config::default().max_bytes(1024 * 1024).max_messages(5_000);
    let q = open(&dir, config.clone());
    drop(q.consumer("hub").unwrap());
    for n in 0..20_000 {
        let _receipt = q.push(number(n)).unwrap();
        if n % 300 == 0 {
            q.commit().unwrap();
        }
        assert!(q.stats().messages <= 5_000 || n % 100 != 0);
    }
    q.close().unwrap();
    let q = open(&dir, config);
    for n in 20_000..21_000 {
        let _receipt = q.push(number(n)).unwrap();
    }
    let mut hub = q.consumer("hub").unwrap();
    let (mut expected, mut seen) = (16_000, 0);
    loop {
        let chunk = hub.lease(700, Wait::None).unwrap();
        if chunk.is_empty() {
            break;
        }
        for lease in &chunk {
            assert_eq!(value(lease.payload()), expected);
            expected += 1;
            seen += 1;
        }
        chunk.ack();
    }
    assert_eq!(seen, 5_000);
    let ledger = &q.ledger()[1];
    assert_eq!((ledger.accepted, ledger.delivered, ledger.queued), (21_000, 5_000, 0));
    // 16 000 lost rows are one record.
    let gaps = hub.gaps();
    assert_eq!(gaps.len(), 1);
    assert_eq!((gaps[0].count, gaps[0].reason), (16_000, Reason::Overflow));
    hub.ack_gaps(&gaps);
    assert!(hub.gaps().is_empty());
}

#[test]
fn a_leased_row_is_not_evicted_and_a_returned_one_is_marked_unconfirmed() {
    let q = open(&SimDir::new(), Config::default().max_messages(10));
    let mut hub = q.consumer("hub").unwrap();
    for n in 0..10 {
        let _receipt = q.push(number(n)).unwrap();
    }
    let leased = hub.lease(10, Wait::None).unwrap();
    assert_eq!(leased.len(), 5, "half of the limit");
    for n in 10..13 {
        let _receipt = q.push(number(n)).unwrap();
    }
    assert_eq!(hub.gaps()[0].count, 3);
    drop(leased);
    let _receipt = q.push(number(13)).unwrap();
    let reasons: Vec<Reason> = hub.gaps().iter().map(|gap| gap.reason).collect();
    assert_eq!(reasons, [Reason::Overflow, Reason::OverflowUnconfirmed]);
    let first = hub.lease(1, Wait::None).unwrap();
    assert_eq!(value(first.iter().next().unwrap().payload()), 1, "returned rows keep their place");
}

/// Reading over all of them would take more tries than a push has.
#[test]
fn the_oldest_row_is_found_behind_any_number_of_leased_ones() {
    const ROWS: usize = 140_000;
    let q = open(&SimDir::new(), Config::default().max_messages(ROWS as u64).max_bytes(64 << 20));
    let mut hub = q.consumer("hub").unwrap();
    for n in 0..ROWS as u32 {
        let _receipt = q.push(number(n)).unwrap();
    }
    q.commit().unwrap();
    let mut leases = Vec::new();
    while leases.len() < 69_000 {
        leases.extend(hub.lease(69_000 - leases.len(), Wait::None).unwrap());
    }
    let _receipt = q.push(number(0)).unwrap();
    let gaps = hub.gaps();
    assert_eq!((gaps.len(), gaps[0].first_seq, gaps[0].count), (1, 69_001, 1), "{gaps:?}");
    // What comes back is the oldest again.
    drop(leases);
    let _receipt = q.push(number(0)).unwrap();
    assert_eq!(hub.gaps().iter().map(|gap| gap.first_seq).min(), Some(1));
}

#[test]
fn telemetry_never_evicts_an_alarm() {
    let q = open(&SimDir::new(), Config::default().max_messages(100));
    let mut hub = q.consumer("hub").unwrap();
    let _receipt = q.push(number(0).lane(Lane::ALARM)).unwrap();
    for n in 1..1_000 {
        let _receipt = q.push(number(n).lane(Lane::TELEMETRY)).unwrap();
    }
    let first = hub.lease(1, Wait::None).unwrap().into_iter().next().unwrap();
    assert_eq!((first.lane(), value(first.payload())), (Lane::ALARM, 0));
}

#[test]
fn reject_hands_the_row_back_and_names_the_limit() {
    let alarm = LaneConfig::default().max_messages(4);
    let q = open(&SimDir::new(), Config::default().lane(Lane::ALARM, alarm).on_full(OnFull::Reject));
    let _receipt = q.push(number(1).lane(Lane::ALARM).weight(4)).unwrap();
    match q.push(number(2).lane(Lane::ALARM)) {
        Err(PushError::Full { row, limit, most }) => {
            assert_eq!((value(&row.payload), limit, most), (2, Limit::Messages, Some(4)));
        }
        other => panic!("{other:?}"),
    }
    assert!(q.push(number(3).lane(Lane::ALARM).weight(4)).is_err());
    assert_eq!(q.stats().lanes[0].refused, 5, "by weight");
    let large = q.push(Row::new(vec![0; 256 * 1024 + 1])).unwrap_err();
    assert!(matches!(large, PushError::TooLarge { limit: 262_144, .. }), "{large}");
}

#[test]
fn eviction_moves_the_slow_consumer_alone() {
    let q = open(&SimDir::new(), Config::default().max_messages(100));
    let (mut fast, slow) = (q.consumer("fast").unwrap(), q.consumer("slow").unwrap());
    for n in 0..1_000 {
        let _receipt = q.push(number(n)).unwrap();
        fast.lease(1, Wait::None).unwrap().ack();
    }
    let ledgers = q.ledger();
    let of = |name: &str| ledgers.iter().find(|l| l.consumer == name && l.lane == Lane::TELEMETRY).unwrap();
    assert_eq!((of("fast").delivered, of("fast").dropped.total()), (1_000, 0));
    assert_eq!((of("slow").queued, of("slow").dropped.total()), (100, 900));
    assert!(fast.gaps().is_empty() && slow.gaps().len() == 1);
}
