//! Changed limits as an application meets them (promises 2, 3 and 6): nothing is dropped by an open; `on_full` decides at the
//! next push, counted and with gap records; a lane goes only when it is empty.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use std::sync::Arc;

use edge_queue::inspect::Inspection;
use edge_queue::testing::{Call, Fault, FaultError, SimDir};
use edge_queue::{
    Config, Event, Lane, LaneConfig, ManualClock, Now, OnFull, OpenError, PushError, Queue, Reason, Row,
    RowId, StoreKind, Wait,
};

const KIB: u64 = 1024;
const DURABLE: [StoreKind; 2] = [StoreKind::Ring, StoreKind::Redb];

fn config(kind: StoreKind, bytes: u64) -> Config {
    Config::default()
        .store(kind)
        .max_bytes(bytes)
        .lane(Lane::ALARM, LaneConfig::default().max_bytes(64 * KIB))
        .row_bytes_max(8 * 1024)
        .segment_bytes(256 * KIB)
}

fn open(dir: &SimDir, config: Config) -> Result<Queue, OpenError> {
    let clock = Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1, wall_ms: 1, synced: true }));
    Queue::open_in(Box::new(dir.clone()), config, clock)
}

/// A queue closed with `rows` rows of 1 KiB waiting for the consumer `hub`.
fn waiting(kind: StoreKind, rows: u64, bytes: u64) -> SimDir {
    let dir = SimDir::new();
    let queue = open(&dir, config(kind, bytes)).unwrap();
    let hub = queue.consumer("hub").unwrap();
    for n in 0..rows {
        drop(queue.push(Row::new(vec![n as u8; 1024])).unwrap());
        if n % 10 == 9 {
            queue.commit().unwrap();
        }
    }
    drop(hub);
    queue.close().unwrap();
    dir
}

fn drain(queue: &Queue) -> Vec<RowId> {
    let mut hub = queue.consumer("hub").unwrap();
    let mut ids = Vec::new();
    loop {
        let chunk = hub.lease(100, Wait::None).unwrap();
        if chunk.is_empty() {
            return ids;
        }
        for lease in chunk {
            ids.push(lease.id());
            lease.ack();
        }
    }
}

fn balanced(queue: &Queue) {
    queue.ledger().iter().for_each(|ledger| assert!(ledger.balanced(), "{ledger:?}"));
}

#[test]
fn a_limit_below_the_backlog_drops_nothing_at_open_and_what_on_full_says_at_a_push() {
    for kind in DURABLE {
        for on_full in [OnFull::DropOldest, OnFull::DropNewest, OnFull::Reject] {
            let dir = waiting(kind, 400, 1024 * KIB);
            let queue = open(&dir, config(kind, 128 * KIB).on_full(on_full)).unwrap();
            let told = queue.events();
            let kept = told.iter().any(|event| matches!(event, Event::LimitsKept(_)));
            assert_eq!(kept, kind == StoreKind::Ring, "{told:?}");
            let ledger =
                |queue: &Queue| queue.ledger().into_iter().find(|l| l.lane == Lane::TELEMETRY).unwrap();
            assert_eq!((ledger(&queue).queued, ledger(&queue).dropped.total()), (400, 0));
            let pushed = queue.push(Row::new(vec![7; 1024]));
            let (queued, dropped) = match on_full {
                OnFull::DropOldest => (124, 277),
                OnFull::DropNewest => (400, 1),
                OnFull::Reject => {
                    assert!(matches!(pushed, Err(PushError::Full { .. })), "{pushed:?}");
                    (400, 0)
                }
            };
            queue.commit().unwrap();
            let now = ledger(&queue);
            assert_eq!((now.queued, now.dropped.for_reason(Reason::Overflow)), (queued, dropped), "{kind:?}");
            let hub = queue.consumer("hub").unwrap();
            assert_eq!(hub.gaps().iter().map(|gap| gap.count).sum::<u64>(), dropped);
            drop(hub);
            balanced(&queue);
            assert_eq!(drain(&queue).len() as u64, queued);
            balanced(&queue);
            queue.close().unwrap();
        }
    }
}

#[test]
fn the_file_shrinks_at_the_first_open_after_what_waits_fits() {
    let dir = waiting(StoreKind::Ring, 400, 1024 * KIB);
    let length = || dir.content("queue.ring").unwrap().len();
    let before = length();
    let queue = open(&dir, config(StoreKind::Ring, 128 * KIB)).unwrap();
    assert_eq!(drain(&queue).len(), 400);
    queue.close().unwrap();
    assert_eq!(length(), before);
    let queue = open(&dir, config(StoreKind::Ring, 128 * KIB)).unwrap();
    assert!(length() < before / 2 && queue.events().is_empty());
}

#[test]
fn rows_keep_their_identity_over_changed_limits_and_numbers_go_on() {
    for kind in DURABLE {
        let dir = waiting(kind, 50, 1024 * KIB);
        let queue = open(&dir, config(kind, 2048 * KIB).lanes(3)).unwrap();
        drop(queue.push(Row::new("next").lane(Lane::TELEMETRY)).unwrap());
        let ids = drain(&queue);
        let gateway = queue.gateway_id();
        let expected = |seq| RowId { gateway, lane: Lane(1), epoch: if seq <= 50 { 1 } else { 2 }, seq };
        assert_eq!(ids, (1..=51).map(expected).collect::<Vec<_>>(), "{kind:?}");
    }
}

#[test]
fn a_lane_goes_only_when_it_is_empty() {
    for kind in DURABLE {
        let dir = SimDir::new();
        let three = || config(kind, 1024 * KIB).lanes(3);
        let queue = open(&dir, three()).unwrap();
        drop(queue.consumer("hub").unwrap());
        for lane in 0..3 {
            drop(queue.push(Row::new("x").lane(Lane(lane))).unwrap());
        }
        queue.close().unwrap();
        let refused = open(&dir, config(kind, 1024 * KIB)).map(drop).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "lanes: lane 2 still holds 1 rows: deliver them first, or open with at least 3 lanes"
        );
        let queue = open(&dir, three()).unwrap();
        let mut hub = queue.consumer("hub").unwrap();
        hub.lease(9, Wait::None).unwrap().into_iter().filter(|l| l.lane() == Lane(2)).for_each(|l| l.ack());
        drop(hub);
        queue.close().unwrap();
        let queue = open(&dir, config(kind, 1024 * KIB)).unwrap();
        balanced(&queue);
        assert_eq!(drain(&queue).iter().map(|id| id.lane.0).collect::<Vec<_>>(), [0, 1]);
        queue.close().unwrap();
    }
}

/// The state that a kill or a power cut would not have changed stays: the epoch, the mark of the clean close, the file.
#[test]
fn an_open_that_is_refused_changes_nothing() {
    for kind in DURABLE {
        let dir = SimDir::new();
        let three = || config(kind, 1024 * KIB).lanes(3);
        let queue = open(&dir, three()).unwrap();
        drop(queue.push(Row::new(vec![7; 1024]).lane(Lane(2))).unwrap());
        queue.close().unwrap();
        let found = |dir: &SimDir| {
            let found = Inspection::open_in(Box::new(dir.clone())).unwrap();
            (found.epoch(), found.is_clean(), found.damage().len(), dir.names())
        };
        let (before, bytes) = (found(&dir), dir.content("queue.ring"));
        for _ in 0..3 {
            assert!(matches!(open(&dir, config(kind, 1024 * KIB)), Err(OpenError::Config(_))));
        }
        assert_eq!(found(&dir), before, "{kind:?}");
        assert!(before.1 && dir.content("queue.ring") == bytes, "{kind:?}");
    }
}

#[test]
fn rows_that_damage_took_from_a_lane_that_goes_are_reported() {
    let dir = SimDir::new();
    let three = || config(StoreKind::Ring, 1024 * KIB).lanes(3);
    let queue = open(&dir, three()).unwrap();
    drop(queue.consumer("hub").unwrap());
    drop(queue.push(Row::new(vec![7; 1024]).lane(Lane(2))).unwrap());
    queue.close().unwrap();
    let image = dir.content("queue.ring").unwrap();
    let at = image.windows(1024).position(|payload| payload == [7; 1024]).unwrap();
    assert!(dir.damage("queue.ring", at as u64, &[0xee]));
    let queue = open(&dir, config(StoreKind::Ring, 1024 * KIB)).unwrap();
    let told = queue.events();
    let lost = |event: &Event| matches!(event, Event::SetAside(what) if what.contains("lane 2: 1 rows"));
    assert!(told.iter().any(lost), "{told:?}");
}

/// It was: no queue at all, and no PUBACK for a sensor, until there was room or the old limits were back.
#[test]
fn larger_limits_without_room_for_both_files_wait_for_an_open_with_room() {
    let dir = waiting(StoreKind::Ring, 100, 1024 * KIB);
    dir.set_capacity(dir.allocated_bytes() + 64 * KIB);
    let wanted = || config(StoreKind::Ring, 8192 * KIB).on_full(OnFull::Reject);
    let kept = |queue: &Queue| queue.events().iter().any(|event| matches!(event, Event::LimitsKept(_)));
    let mut pushed = 100;
    {
        let queue = open(&dir, wanted()).unwrap();
        assert!(kept(&queue));
        // As much as the old file holds, and no commit fails.
        while let Ok(receipt) = queue.push(Row::new(vec![1; 1024])) {
            drop(receipt);
            queue.commit().unwrap();
            pushed += 1;
            assert!(pushed < 2_000, "more than the file holds");
        }
        assert!(pushed > 500, "{pushed}");
        balanced(&queue);
        queue.close().unwrap();
    }
    dir.heal();
    let queue = open(&dir, wanted()).unwrap();
    assert!(!kept(&queue));
    for _ in 0..2_000 {
        drop(queue.push(Row::new(vec![2; 1024])).unwrap());
        queue.commit().unwrap();
    }
    assert_eq!(drain(&queue).len(), pushed + 2_000);
    balanced(&queue);
}

/// One such message kept the rows of all lanes from being stored, and took the backlog away segment by segment.
#[test]
fn a_row_that_no_segment_holds_is_refused_while_larger_limits_wait_for_room() {
    let dir = waiting(StoreKind::Ring, 100, 1024 * KIB);
    dir.set_capacity(dir.allocated_bytes() + 64 * KIB);
    let wanted = || config(StoreKind::Ring, 8192 * KIB).row_bytes_max(1024 * 1024).segment_bytes(2048 * KIB);
    {
        let queue = open(&dir, wanted()).unwrap();
        let refused = queue.push(Row::new(vec![1; 512 * 1024])).unwrap_err();
        let PushError::TooLarge { limit, .. } = refused else { panic!("{refused}") };
        assert!(limit >= 8 * 1024, "{limit}: less than before");
        drop(queue.push(Row::new(vec![2; limit])).unwrap());
        queue.commit().unwrap();
        assert_eq!(drain(&queue).len(), 101);
        balanced(&queue);
        queue.close().unwrap();
    }
    dir.heal();
    let queue = open(&dir, wanted()).unwrap();
    drop(queue.push(Row::new(vec![3; 1024 * 1024])).unwrap());
    queue.commit().unwrap();
    assert_eq!(drain(&queue).len(), 1);
}

/// Figures showed the limit of the configuration while data was given up at the file's.
#[test]
fn while_the_file_keeps_its_division_its_limit_is_the_one_in_force() {
    for on_full in [OnFull::DropOldest, OnFull::DropNewest, OnFull::Reject] {
        let dir = waiting(StoreKind::Ring, 100, 1024 * KIB);
        dir.set_capacity(dir.allocated_bytes() + 64 * KIB);
        let wanted = || config(StoreKind::Ring, 8192 * KIB).on_full(on_full);
        let queue = open(&dir, wanted()).unwrap();
        let telemetry = |queue: &Queue| queue.stats().lanes.remove(1);
        assert_eq!(telemetry(&queue).max_bytes, 1024 * KIB);
        for _ in 0..2_000 {
            // What finds no room is refused, or has its receipt.
            drop(queue.push(Row::new(vec![1; 1024])));
            queue.commit().unwrap();
        }
        let full = telemetry(&queue);
        assert!((1000 * KIB..=1024 * KIB).contains(&full.bytes), "{full:?}");
        let by_policy = full.dropped.for_reason(Reason::Overflow) + full.refused;
        assert_eq!((by_policy, full.dropped.for_reason(Reason::Fragmented)), (2_100 - full.messages, 0));
        queue.close().unwrap();
        dir.heal();
        let queue = open(&dir, wanted()).unwrap();
        assert_eq!((telemetry(&queue).max_bytes, telemetry(&queue).messages), (8192 * KIB, full.messages));
        balanced(&queue);
    }
}

#[test]
fn damage_found_while_limits_change_is_counted_like_any_other() {
    let lost_with = |bytes, after: Option<u64>| {
        let dir = waiting(StoreKind::Ring, 100, 1024 * KIB);
        let image = dir.content("queue.ring").unwrap();
        let at = image.windows(1024).position(|payload| payload == [35; 1024]).unwrap();
        assert!(dir.damage("queue.ring", at as u64, &[0xee]));
        if let Some(after) = after {
            dir.fail(Fault { call: Call::Sync, after, error: FaultError::Io, sticky: false });
        }
        let Ok(queue) = open(&dir, config(StoreKind::Ring, bytes)) else { return (10, false, None) };
        let kept = queue.events().iter().any(|event| matches!(event, Event::LimitsKept(_)));
        balanced(&queue);
        let delivered = drain(&queue).len() as u64;
        let lost: u64 = queue.ledger().iter().map(edge_queue::Ledger::quarantined).sum();
        let hub = queue.consumer("hub").unwrap();
        let told = hub.gaps();
        assert_eq!(told.iter().map(|gap| gap.count).sum::<u64>(), lost);
        assert_eq!(delivered + lost, 100, "after {after:?} syncs");
        assert!(queue.ledger().iter().all(|ledger| ledger.balanced() && ledger.queued == 0));
        (lost, kept, told.first().map(|gap| (gap.first_seq, gap.last_seq)))
    };
    assert_eq!(lost_with(1024 * KIB, None), (10, false, Some((31, 40))));
    assert_eq!(lost_with(2048 * KIB, None), (10, false, Some((31, 40))));
    // Where the copy fails after it has met the damage, the old file goes on, and the loss with it.
    let failed: Vec<_> = (0..9).map(|after| lost_with(2048 * KIB, Some(after))).collect();
    assert!(
        failed.iter().all(|(lost, ..)| *lost == 10) && failed.iter().filter(|(_, kept, _)| *kept).count() > 1,
        "{failed:?}"
    );
}
