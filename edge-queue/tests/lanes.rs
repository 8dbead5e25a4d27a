//! Promises 3 and 4: a lane that goes and comes back has lost nothing that was to be told, and no number.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use std::sync::Arc;

use edge_queue::inspect::{InspectError, Inspection};
use edge_queue::testing::{Flaw, Outcome, SimDir};
use edge_queue::transfer::{Item, Stream};
use edge_queue::{
    Config, Consumer, Event, Gap, Lane, LaneConfig, Ledger, ManualClock, Now, OnFull, OpenError, Queue,
    Reason, Row, StoreKind, Wait,
};

const KINDS: [StoreKind; 2] = [StoreKind::Ring, StoreKind::Redb];
const LAST: Lane = Lane(2);

fn open(dir: &SimDir, kind: StoreKind, lanes: u8, max_bytes: u64) -> Queue {
    try_open(dir, kind, lanes, max_bytes).unwrap()
}

fn try_open(dir: &SimDir, kind: StoreKind, lanes: u8, max_bytes: u64) -> Result<Queue, OpenError> {
    let clock = Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1_000, ..Now::default() }));
    let config = Config::default().store(kind).lanes(lanes).max_bytes(max_bytes).on_full(OnFull::DropOldest);
    let config = config.lane(LAST, LaneConfig::default().max_messages(10));
    Queue::open_in(Box::new(dir.clone()), config, clock)
}

fn push(q: &Queue, lane: Lane, rows: usize) {
    for _ in 0..rows {
        drop(q.push(Row::new(vec![7; 100]).lane(lane)).unwrap());
    }
}

fn drain(consumer: &mut Consumer) -> usize {
    let mut rows = 0;
    loop {
        let chunk = consumer.lease(500, Wait::None).unwrap();
        if chunk.is_empty() {
            return rows;
        }
        rows += chunk.len();
        chunk.ack();
    }
}

fn of_last(q: &Queue) -> Option<Ledger> {
    q.ledger().into_iter().find(|ledger| ledger.lane == LAST)
}

fn told(hub: &Consumer) -> Vec<(Lane, u64, Reason)> {
    hub.gaps().iter().map(|gap: &Gap| (gap.lane, gap.count, gap.reason)).collect()
}

/// Of 100 rows in the last lane 90 were dropped and 10 delivered; nobody was told yet.
fn lossy(dir: &SimDir, kind: StoreKind) -> Ledger {
    let q = open(dir, kind, 3, 2 << 20);
    let mut hub = q.consumer("hub").unwrap();
    push(&q, LAST, 100);
    assert_eq!(drain(&mut hub), 10);
    drop(hub);
    let ledger = of_last(&q).unwrap();
    q.close().unwrap();
    ledger
}

/// Lives without the last lane, and what is known of it afterwards: its ledger, and what "hub" is told.
fn away_and_back(kind: StoreKind) -> (Ledger, Vec<(Lane, u64, Reason)>, Queue) {
    let dir = SimDir::new();
    lossy(&dir, kind);
    // Other limits, so that the ring makes new files, and enough rows for many segments.
    for (life, max_bytes) in [2 << 20, 3 << 20, 2 << 20].into_iter().enumerate() {
        let q = open(&dir, kind, 2, max_bytes);
        let mut hub = q.consumer("hub").unwrap();
        for _ in 0..50 {
            push(&q, Lane(1), 200);
            q.commit().unwrap();
            drain(&mut hub);
        }
        assert!(of_last(&q).is_none());
        drop(hub);
        match life {
            1 => drop(q),
            _ => q.close().unwrap(),
        }
    }
    let q = open(&dir, kind, 3, 2 << 20);
    let told = told(&q.consumer("hub").unwrap());
    (of_last(&q).unwrap(), told, q)
}

#[test]
fn a_lane_that_is_back_has_its_ledger_its_losses_and_its_next_number() {
    for kind in KINDS {
        let before = lossy(&SimDir::new(), kind);
        let (ledger, told, q) = away_and_back(kind);
        assert_eq!((ledger, told), (before, vec![(LAST, 90, Reason::Overflow)]), "{kind:?}");
        push(&q, LAST, 1);
        let lease = q.consumer("hub").unwrap().lease(1, Wait::None).unwrap().into_iter().next().unwrap();
        assert_eq!((lease.lane(), lease.id().seq), (LAST, 101), "{kind:?}: numbers never begin again");
        lease.ack();
        assert!(of_last(&q).unwrap().balanced());
    }
}

/// The negative control: a queue that forgets such a lane tells nobody.
#[test]
fn a_lane_that_is_forgotten_while_it_is_away_is_caught() {
    for kind in KINDS {
        let (ledger, told, _) = Flaw::LaneForgotten.during(|| away_and_back(kind));
        assert_eq!(
            (ledger.dropped.total(), told.len()),
            (0, 0),
            "{kind:?}: the history does not reach the bug"
        );
    }
}

#[test]
fn losses_of_a_lane_that_is_away_are_told() {
    for kind in KINDS {
        let dir = SimDir::new();
        lossy(&dir, kind);
        let q = open(&dir, kind, 2, 2 << 20);
        assert_eq!(told(&q.consumer("hub").unwrap()), [(LAST, 90, Reason::Overflow)], "{kind:?}");
    }
}

#[test]
fn an_export_has_the_losses_of_a_lane_that_is_away() {
    for kind in KINDS {
        let dir = SimDir::new();
        lossy(&dir, kind);
        let q = open(&dir, kind, 2, 2 << 20);
        let expected: Vec<_> = q.consumer("hub").unwrap().gaps();
        assert_eq!(expected.iter().map(|gap| (gap.lane, gap.count)).collect::<Vec<_>>(), [(LAST, 90)]);
        let (mut online, mut offline) = (Vec::new(), Vec::new());
        q.export(&mut online).unwrap();
        q.close().unwrap();
        let mut found = Inspection::open_in(Box::new(dir.clone())).unwrap();
        found.export(&mut offline).unwrap();
        assert_eq!(found.gaps().count(), 1);
        for bytes in [online, offline] {
            let (mut stream, mut gaps) = (Stream::new(bytes.as_slice()), Vec::new());
            while let Some(item) = stream.next_item().unwrap() {
                let Item::Gap(consumer, gap) = item else { panic!("{item:?}") };
                assert_eq!(consumer, "hub");
                gaps.push(gap);
            }
            assert_eq!(gaps, expected, "{kind:?}");
        }
    }
}

#[test]
fn a_loss_reported_while_the_lane_is_away_is_told_once_also_after_a_power_cut() {
    for kind in KINDS {
        let dir = SimDir::new();
        let before = lossy(&dir, kind);
        let q = open(&dir, kind, 1, 2 << 20);
        let mut hub = q.consumer("hub").unwrap();
        hub.ack_gaps(&hub.gaps());
        assert!(told(&hub).is_empty());
        q.commit().unwrap();
        let dir = dir.crash(Outcome::Lost, 1);
        let q = open(&dir, kind, 3, 2 << 20);
        assert_eq!(of_last(&q).unwrap(), before, "{kind:?}");
        assert!(told(&q.consumer("hub").unwrap()).is_empty(), "{kind:?}");
    }
}

#[test]
fn consumers_that_come_and_go_while_a_lane_is_away_find_it_as_it_is() {
    for kind in KINDS {
        let dir = SimDir::new();
        lossy(&dir, kind);
        let q = open(&dir, kind, 2, 2 << 20);
        drop(q.consumer("new").unwrap());
        assert!(q.forget("hub").unwrap());
        q.close().unwrap();
        let q = open(&dir, kind, 3, 2 << 20);
        let mut new = q.consumer("new").unwrap();
        assert!(told(&new).is_empty(), "{kind:?}: what another lost");
        push(&q, LAST, 5);
        assert_eq!((drain(&mut new), q.stats().messages), (5, 0), "{kind:?}");
        assert!(q.ledger().iter().all(Ledger::balanced));
    }
}

/// The number of lanes is in snapshots alone, and the file kept its three regions: rows of the last lane were neither exported nor kept.
#[test]
fn rows_of_a_lane_that_came_back_are_found_after_a_kill() {
    let dir = SimDir::new();
    let q = open(&dir, StoreKind::Ring, 3, 2 << 20);
    drop(q.consumer("hub").unwrap());
    q.close().unwrap();
    dir.set_capacity(dir.allocated_bytes() + 4096);
    let q = open(&dir, StoreKind::Ring, 2, 2 << 20);
    assert!(q.events().iter().any(|event| matches!(event, Event::LimitsKept(_))));
    q.close().unwrap();
    let q = open(&dir, StoreKind::Ring, 3, 2 << 20);
    push(&q, LAST, 5);
    q.commit().unwrap();
    let dir = dir.crash(Outcome::Lost, 1);
    drop(q);
    let mut found = Inspection::open_in(Box::new(dir.clone())).unwrap();
    let mut rows = 0;
    let each = (0..found.state().lanes).map(Lane).try_for_each(|lane| {
        found.each_row::<InspectError>(lane, 1, |_| {
            rows += 1;
            Ok(true)
        })
    });
    each.unwrap();
    assert_eq!((rows, found.export(&mut Vec::new()).unwrap().rows()), (5, 5));
    drop(found);
    let refused = try_open(&dir, StoreKind::Ring, 2, 2 << 20).map(drop).unwrap_err();
    assert!(refused.to_string().contains("lane 2 still holds 5 rows"), "{refused}");
    let q = open(&dir, StoreKind::Ring, 3, 2 << 20);
    assert_eq!(drain(&mut q.consumer("hub").unwrap()), 5);
}
