//! A backlog on its way to another gateway (promises 2, 3, 4 and 12): everything arrives in order with its
//! times, of a damaged stream what is whole, and an import is all or nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

#[path = "common/streams.rs"]
mod streams;

use std::sync::Arc;

use edge_queue::inspect::Inspection;
use edge_queue::store::StoredRow;
use edge_queue::testing::{Call, Fault, FaultError, Outcome, Rng, SimDir, budget_percent, seed};
use edge_queue::transfer::{ImportError, Imported, StreamError, config_for, import, import_changed};
use edge_queue::{Config, Lane, ManualClock, Now, OnFull, OpenError, Queue, Row, StoreKind, Wait};

use streams::{GATEWAY, gaps, read, rows, stream};

const DURABLE: [StoreKind; 2] = [StoreKind::Ring, StoreKind::Redb];

fn config(kind: StoreKind) -> Config {
    let lane = edge_queue::LaneConfig::default().max_bytes(1 << 20);
    Config::default()
        .store(kind)
        .lane(Lane::ALARM, lane)
        .max_bytes(1 << 20)
        .row_bytes_max(64 * 1024)
        .segment_bytes(256 * 1024)
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1, wall_ms: 1, synced: true }))
}

fn open(dir: &SimDir, config: Config) -> Result<Queue, OpenError> {
    Queue::open_in(Box::new(dir.clone()), config, clock())
}

/// Returns what is imported, as an inspection finds it.
fn found(dir: &SimDir) -> Vec<StoredRow> {
    let mut found = Inspection::open_in(Box::new(dir.clone())).unwrap();
    assert!(found.is_clean() && found.damage().is_empty(), "{found:?}");
    let mut rows = Vec::new();
    for lane in 0..found.state().lanes {
        let each = found.each_row::<edge_queue::inspect::InspectError>(Lane(lane), 1, |row| {
            rows.push(row.clone());
            Ok(true)
        });
        each.unwrap();
    }
    assert!(found.lost().is_empty());
    rows
}

/// The same rows with the identity a new queue gives them.
fn renumbered(rows: &[StoredRow]) -> Vec<StoredRow> {
    let mut next = [1; 4];
    let renumber = |row: &StoredRow| {
        let seq = next[usize::from(row.lane.0)];
        next[usize::from(row.lane.0)] += 1;
        StoredRow { seq, epoch: 1, ..row.clone() }
    };
    rows.iter().map(renumber).collect()
}

fn import_into(dir: &SimDir, kind: StoreKind, bytes: &[u8]) -> Result<Imported, ImportError> {
    import(Box::new(dir.clone()), &config(kind), bytes)
}

#[test]
fn what_is_exported_is_imported_row_by_row() {
    let mut cases = 0;
    for nth in 0..budget_percent() * 2 {
        let kind = DURABLE[nth as usize % 2];
        let rows = rows(seed() + nth, 800);
        let bytes = stream(&rows, &gaps());
        let (read_rows, read_gaps, end) = read(&bytes).unwrap();
        assert_eq!((&read_rows, &read_gaps), (&rows, &gaps()));
        assert!(
            end.is_whole() && (end.gateway, end.epoch, end.lanes) == (GATEWAY, Some(7), Some(2)),
            "{end:?}"
        );
        let dir = SimDir::new();
        let done = import_into(&dir, kind, &bytes).unwrap();
        assert_eq!((done.rows(), done.gaps, done.stream), (rows.len() as u64, gaps(), end));
        assert_eq!(found(&dir), renumbered(&rows));
        cases += 1;
    }
    println!("executed transfer_round_trips: {cases} cases");
}

/// The application's bytes say that a row came by a copy; what does not fit any more is refused.
#[test]
fn rows_are_stored_as_they_are_changed_on_the_way() {
    let rows = rows(seed() + 3, 800);
    let bytes = stream(&rows, &[]);
    for kind in DURABLE {
        let dir = SimDir::new();
        let to = || Box::new(dir.clone());
        let grow = |row: &mut StoredRow| row.meta = vec![7; 64 * 1024 + 1].into();
        let refused = import_changed(to(), &config(kind), bytes.as_slice(), grow).unwrap_err();
        assert!(matches!(refused, ImportError::TooLarge { .. }) && dir.names().is_empty(), "{refused}");
        let mark = |row: &mut StoredRow| row.meta = row.meta.iter().copied().chain([7]).collect();
        import_changed(to(), &config(kind), bytes.as_slice(), mark).unwrap();
        let mut changed = renumbered(&rows);
        changed.iter_mut().for_each(mark);
        assert_eq!(found(&dir), changed);
    }
}

#[test]
fn a_running_queue_exports_what_waits_and_the_imported_one_delivers_it() {
    for (from, to) in [(0, 1), (1, 0)] {
        let dir = SimDir::new();
        let queue = open(&dir, config(DURABLE[from])).unwrap();
        let mut hub = queue.consumer("hub").unwrap();
        let _slow = queue.consumer("slow").unwrap();
        for n in 0..50u8 {
            drop(
                queue
                    .push(
                        Row::new(vec![n]).key("k").meta("m").weight(2).ttl(std::time::Duration::from_secs(9)),
                    )
                    .unwrap(),
            );
        }
        queue.commit().unwrap();
        let leases: Vec<_> = hub.lease(20, Wait::None).unwrap().into_iter().collect();
        drop(queue.push(Row::new("unwritten").lane(Lane::ALARM)).unwrap());
        let mut bytes = Vec::new();
        let before = queue.ledger();
        let done = queue.export(&mut bytes).unwrap();
        assert_eq!((done.lanes[0].rows, done.lanes[1].rows, done.lanes[1].weight), (1, 50, 100));
        assert_eq!(queue.ledger(), before);
        hub.ack(leases);
        queue.close().unwrap();
        let dir = SimDir::new();
        let done = import_into(&dir, DURABLE[to], &bytes).unwrap();
        let queue = open(&dir, config(DURABLE[to])).unwrap();
        assert_eq!(queue.gateway_id(), done.gateway);
        assert_ne!(done.gateway, done.stream.gateway);
        let mut hub = queue.consumer("hub").unwrap();
        let mut payloads = Vec::new();
        for lease in hub.lease(100, Wait::None).unwrap() {
            assert!(lease.stored() && lease.id().gateway == done.gateway);
            payloads.push(lease.payload().to_vec());
            lease.ack();
        }
        assert_eq!(payloads.len(), 51);
        payloads.retain(|payload| payload.len() == 1);
        assert!(payloads.iter().map(|payload| payload[0]).eq(0..50));
        queue.commit().unwrap();
        assert!(queue.ledger().iter().all(|ledger| ledger.balanced() && ledger.queued == 0));
        queue.close().unwrap();
    }
}

/// A row as large as a row may be is stored and exported, so it must be imported too.
#[test]
fn the_largest_row_there_is_moves() {
    let most = 16 << 20;
    let row = StoredRow { payload: vec![7; most].into(), ..edge_queue::testing::row_at(Lane(0), 1, 1) };
    let row = StoredRow { key: Default::default(), meta: Default::default(), ..row };
    let bytes = stream(std::slice::from_ref(&row), &[]);
    let config = config_for(bytes.as_slice(), StoreKind::Ring).unwrap();
    let dir = SimDir::new();
    import(Box::new(dir.clone()), &config, bytes.as_slice()).unwrap();
    assert_eq!(found(&dir).first().map(|row| row.payload.len()), Some(most));
}

/// Promise 3: of each lane.
#[test]
fn a_running_queue_exports_the_losses_that_nobody_was_told_of() {
    for kind in DURABLE {
        let dir = SimDir::new();
        let queue = open(&dir, config(kind).on_full(OnFull::DropOldest)).unwrap();
        let hub = queue.consumer("hub").unwrap();
        for lane in [Lane::ALARM, Lane::TELEMETRY] {
            for _ in 0..80 {
                drop(queue.push(Row::new(vec![7; 30_000]).lane(lane)).unwrap());
                queue.commit().unwrap();
            }
        }
        let lost = hub.gaps();
        assert!([Lane::ALARM, Lane::TELEMETRY].iter().all(|lane| lost.iter().any(|gap| gap.lane == *lane)));
        let mut bytes = Vec::new();
        queue.export(&mut bytes).unwrap();
        let found: Vec<_> = read(&bytes).unwrap().1.into_iter().collect();
        assert_eq!(
            found,
            lost.into_iter().map(|gap| ("hub".to_owned(), gap)).collect::<Vec<_>>(),
            "{kind:?}"
        );
        queue.close().unwrap();
    }
}

/// Promises 2 and 3: an export commits, and then reads up to the newest row. One that another thread pushed in between is in RAM alone, and no
/// hole: it stays queued for every consumer.
#[test]
fn rows_pushed_while_an_export_commits_are_kept() {
    for kind in DURABLE {
        let dir = SimDir::default();
        let queue = open(&dir, config(kind)).unwrap();
        let mut consumers = ["a", "b"].map(|name| queue.consumer(name).unwrap());
        let mut receipts = vec![queue.push(Row::new(vec![1])).unwrap()];
        let hold = dir.hold(Call::Sync);
        let exported = std::thread::scope(|scope| {
            let export = scope.spawn(|| queue.export(&mut Vec::new()).unwrap());
            hold.wait_until_held();
            receipts.push(queue.push(Row::new(vec![2])).unwrap());
            drop(hold);
            export.join().unwrap()
        });
        assert_eq!(exported.rows(), 1, "{kind:?}: the second is not on the medium");
        for consumer in &mut consumers {
            let chunk = consumer.lease(10, Wait::None).unwrap();
            let payloads: Vec<&[u8]> = chunk.iter().map(|lease| &lease.payload()[..]).collect();
            assert_eq!(payloads, [[1], [2]], "{kind:?}");
            chunk.ack();
        }
        for ledger in queue.ledger() {
            assert!(ledger.dropped.total() == 0 && ledger.queued == 0, "{kind:?}: {ledger:?}");
        }
        drop(receipts);
    }
}

#[test]
fn a_block_with_a_wrong_byte_costs_its_rows_and_an_import_takes_the_rest() {
    let rows = rows(seed() + 1, 800);
    let bytes = stream(&rows, &[]);
    let starts: Vec<usize> = (0..bytes.len() - 4).filter(|at| bytes[*at..].starts_with(b"EDGX")).collect();
    let mut bad = bytes.clone();
    bad[starts[2] + 100] ^= 0x10;
    let lost = u32::from_le_bytes(bytes[starts[2] + 20..][..4].try_into().unwrap());
    for kind in DURABLE {
        let dir = SimDir::new();
        let done = import_into(&dir, kind, &bad).unwrap();
        assert_eq!((done.stream.rows_missing, done.stream.ended), (u64::from(lost), true));
        assert_eq!(done.rows() + u64::from(lost), rows.len() as u64);
        assert_eq!(found(&dir).len() as u64, done.rows());
    }
}

#[test]
fn an_import_that_cannot_be_whole_leaves_nothing_and_says_why() {
    let rows = rows(seed() + 2, 800);
    let bytes = stream(&rows, &[]);
    for kind in DURABLE {
        let empty = |dir: &SimDir| dir.names().is_empty();
        let refused = |config: Config| {
            let dir = SimDir::new();
            let error = import(Box::new(dir.clone()), &config, bytes.as_slice()).unwrap_err();
            assert!(empty(&dir), "{error}: {:?}", dir.names());
            error
        };
        assert!(matches!(
            refused(config(kind).lanes(1)),
            ImportError::NoSuchLane { lane: Lane(1), lanes: 1 }
        ));
        assert!(matches!(refused(config(kind).max_messages(8)), ImportError::TooMuch { .. }));
        assert!(matches!(refused(config(kind).row_bytes_max(100)), ImportError::TooLarge { limit: 100, .. }));
        let nothing = import_into(&SimDir::new(), kind, b"no stream").unwrap_err();
        assert!(matches!(nothing, ImportError::Stream(StreamError::NoExport)));
        // Twice into the same directory.
        let dir = SimDir::new();
        import_into(&dir, kind, &bytes).unwrap();
        let before = dir.counters();
        for again in DURABLE {
            assert!(matches!(import_into(&dir, again, &bytes), Err(ImportError::NotEmpty { .. })));
        }
        assert_eq!(dir.counters().operations, before.operations);
        let queue = open(&dir, config(kind)).unwrap();
        assert!(matches!(import_into(&dir, kind, &bytes), Err(ImportError::Open(OpenError::Busy))));
        queue.close().unwrap();
    }
    assert!(matches!(
        import_into(&SimDir::new(), StoreKind::Memory, &bytes),
        Err(ImportError::Open(OpenError::Config(_)))
    ));
}

#[test]
fn a_power_cut_or_a_failing_call_leaves_no_queue_or_a_whole_one() {
    let rows = rows(seed() + 3, 300);
    let bytes = stream(&rows, &[]);
    let mut rng = Rng::new(seed());
    let mut cases = 0;
    for kind in DURABLE {
        let dir = SimDir::new();
        dir.record();
        import_into(&dir, kind, &bytes).unwrap();
        let mut recording = dir.recording();
        for at in 0..=recording.operations() {
            for outcome in Outcome::ALL {
                let after = recording.crash_at(at, outcome, rng.next_u64());
                cases += judge(&after, kind, &bytes, &rows);
            }
        }
        for call in Call::ALL {
            for nth in 0..40 {
                let dir = SimDir::new();
                dir.fail(Fault { call, after: nth, error: FaultError::Io, sticky: nth % 2 == 0 });
                let done = import_into(&dir, kind, &bytes);
                let fired = dir.counters().faults > 0;
                dir.heal();
                assert!(done.is_err() || found(&dir) == renumbered(&rows), "{call:?} {nth}");
                cases += judge(&dir, kind, &bytes, &rows);
                if !fired {
                    break;
                }
            }
        }
    }
    println!("executed transfer_crash_states: {cases} cases");
}

/// A power cut left half of an import behind, as large as a whole queue.
#[test]
fn an_import_begins_anew_where_another_was_cut_short_and_needs_no_room_for_both() {
    let rows = rows(seed() + 5, 300);
    let bytes = stream(&rows, &[]);
    for kind in DURABLE {
        let dir = SimDir::new();
        dir.record();
        import_into(&dir, kind, &bytes).unwrap();
        let mut recording = dir.recording();
        let whole = dir.allocated_bytes();
        let at = recording.operations() - 3;
        let after = recording.crash_at(at, Outcome::Kept, 1);
        let left: Vec<_> = after.names().into_iter().filter(|name| name.starts_with("import-")).collect();
        assert!(!left.is_empty() && after.allocated_bytes() > whole / 2, "{:?}", after.names());
        after.set_capacity(after.allocated_bytes().max(whole) + 64 * 1024);
        import_into(&after, kind, &bytes).unwrap();
        assert_eq!(found(&after), renumbered(&rows));
        assert!(after.names().iter().all(|name| !name.starts_with("import-")), "{:?}", after.names());
    }
}

/// Somebody who is told that an import is done may delete where it came from.
#[test]
fn an_import_that_is_done_survives_a_power_cut() {
    let rows = rows(seed() + 4, 300);
    let bytes = stream(&rows, &[]);
    for kind in DURABLE {
        let dir = SimDir::new();
        import_into(&dir, kind, &bytes).unwrap();
        for outcome in Outcome::ALL {
            assert_eq!(found(&dir.crash(outcome, 1)), renumbered(&rows), "{kind:?} {outcome:?}");
        }
    }
}

/// Rows that came from another machine are not as old as this one is up.
#[test]
fn rows_of_unknown_age_from_another_machine_get_old_from_the_open_on() {
    const DAY_MS: u64 = 86_400_000;
    let unsynced = |boot_id, up_ms| Arc::new(ManualClock::new(Now { boot_id, up_ms, ..Now::default() }));
    for kind in DURABLE {
        let open = |dir: &SimDir, clock: &Arc<ManualClock>| {
            let config = config(kind).max_age(std::time::Duration::from_millis(7 * DAY_MS));
            Queue::open_in(Box::new(dir.clone()), config, clock.clone()).unwrap()
        };
        let queue = open(&SimDir::new(), &unsynced(1, 1));
        let receipts: Vec<_> = (0..3).map(|_| queue.push(Row::new("21.5")).unwrap()).collect();
        queue.commit().unwrap();
        let mut bytes = Vec::new();
        queue.export(&mut bytes).unwrap();
        drop(receipts);
        let (dir, clock) = (SimDir::new(), unsynced(2, 30 * DAY_MS));
        assert_eq!(import_into(&dir, kind, &bytes).unwrap().rows(), 3);
        let queue = open(&dir, &clock);
        let mut hub = queue.consumer("hub").unwrap();
        assert_eq!(hub.lease(2, Wait::None).unwrap().len(), 2, "{kind:?}");
        clock.advance_ms(7 * DAY_MS);
        assert_eq!(hub.lease(3, Wait::None).unwrap().len(), 0, "{kind:?}");
        assert_eq!(queue.ledger().iter().map(edge_queue::Ledger::expired).sum::<u64>(), 3);
    }
}

/// Nothing there, and then the import works; or everything.
fn judge(dir: &SimDir, kind: StoreKind, bytes: &[u8], rows: &[StoredRow]) -> u64 {
    let file = if kind == StoreKind::Ring { "queue.ring" } else { "queue.redb" };
    if !dir.names().iter().any(|name| name == file) {
        import_into(dir, kind, bytes).unwrap();
    }
    assert_eq!(found(dir), renumbered(rows));
    1
}
