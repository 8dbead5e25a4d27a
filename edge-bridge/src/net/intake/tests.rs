use bytes::Bytes;
use edge_queue::testing::{Call, Fault, FaultError, SimDir};
use edge_queue::{Config, Lane, LaneConfig, OnFull, Queue, SystemClock};

use super::pusher::WAITING_MAX;
use super::*;
use crate::wire::{PropertiesBuilder, Utf8};

const ALARM: u8 = 0;
const TELEMETRY: u8 = 1;

async fn rig() -> (aio::Queue, aio::Consumer, Intake) {
    let alarms = LaneConfig::default().max_messages(4);
    let limits = Config::default().lanes(2).max_bytes(8 << 20).max_messages(4).on_full(OnFull::Reject);
    let limits = limits.lane(Lane(ALARM), alarms);
    let queue = Queue::open_in(Box::new(SimDir::new()), limits, Arc::new(SystemClock::new())).unwrap();
    let queue = aio::Queue::of(queue).unwrap();
    let hub = queue.consumer("hub").await.unwrap();
    let intake = Intake::start(&queue, 2);
    (queue, hub, intake)
}

fn rows(lane: u8, numbers: impl IntoIterator<Item = u8>) -> Vec<Row> {
    let row = |n| {
        let mut row = Row::new(Utf8::from_static("t"), Bytes::from(vec![n]));
        row.lane = Some(lane);
        row
    };
    numbers.into_iter().map(row).collect()
}

/// Puts a message in and gives what is notified when it is safe.
async fn put(intake: &Intake, rows: Vec<Row>) -> Arc<Notify> {
    let safe = Arc::<Notify>::default();
    let told = safe.clone();
    intake.reserve().await.unwrap().put(rows, move || told.notify_one());
    safe
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it does not come")
}

/// Takes the next rows for the hub.
async fn taken(hub: &mut aio::Consumer, rows: usize) -> Vec<u8> {
    let mut numbers = Vec::new();
    while numbers.len() < rows {
        for lease in soon(hub.lease(rows - numbers.len())).await.unwrap() {
            numbers.push(lease.payload()[0]);
            lease.ack();
        }
    }
    numbers
}

/// A runtime with tasks that are always ready looks for tasks that another thread woke now and then only, and takes one each time.
#[tokio::test]
async fn receipts_of_a_commit_come_together_however_busy_the_runtime_is() {
    const MESSAGES: usize = 4_000;
    let limits = Config::default().max_bytes(64 << 20);
    let queue = Queue::open_in(Box::new(SimDir::new()), limits, Arc::new(SystemClock::new())).unwrap();
    let intake = Intake::start(&aio::Queue::of(queue).unwrap(), 1);
    let (rounds, settled) = (Arc::<AtomicU64>::default(), Arc::new(Mutex::new(Vec::new())));
    for _ in 0..MESSAGES {
        let (rounds, settled) = (rounds.clone(), settled.clone());
        let row = Row::new(Utf8::from_static("t"), Bytes::from_static(b"21.5"));
        let note = move || settled.lock().unwrap().push(rounds.load(Ordering::Relaxed));
        intake.reserve().await.unwrap().put(vec![row], note);
    }
    let busy: Vec<_> = (0..50).map(|_| tokio::spawn(busy())).collect();
    intake.commit();
    soon(async {
        while settled.lock().unwrap().len() < MESSAGES {
            rounds.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
    })
    .await;
    busy.iter().for_each(JoinHandle::abort);
    let mut rounds = settled.lock().unwrap().clone();
    rounds.dedup();
    assert!(rounds.len() < 100, "{MESSAGES} receipts in {} rounds", rounds.len());
}

/// Promise 1: publishers are not read while too many messages wait for their receipts; those that have them are none of these.
#[tokio::test]
async fn messages_that_have_their_receipts_make_nobody_wait() {
    let limits = Config::default().max_bytes(64 << 20);
    let queue = Queue::open_in(Box::new(SimDir::new()), limits, Arc::new(SystemClock::new())).unwrap();
    let intake = Intake::start(&aio::Queue::of(queue).unwrap(), 1);
    let settled = Arc::<AtomicUsize>::default();
    for n in 0..=UNSETTLED_MAX {
        let (one, row) = (settled.clone(), Row::new(Utf8::from_static("t"), Bytes::from_static(b"21.5")));
        let note = move || {
            one.fetch_add(1, Ordering::Relaxed);
        };
        intake.reserve().await.unwrap().put(vec![row], note);
        if n % 1_000 == 0 || n == UNSETTLED_MAX {
            intake.commit();
            soon(async {
                while settled.load(Ordering::Relaxed) <= n {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            })
            .await;
        }
    }
    assert!(intake.has_room() && !intake.is_behind());
}

async fn busy() {
    loop {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn rows_that_wait_for_their_lane_do_not_hold_up_another_lane() {
    let (_queue, mut hub, intake) = rig().await;
    let telemetry = put(&intake, rows(TELEMETRY, 0..6)).await;
    let more = put(&intake, rows(TELEMETRY, 6..8)).await;
    soon(async {
        while intake.has_room_in(Some(TELEMETRY)) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(intake.has_room_in(Some(ALARM)) && intake.has_room_in(None) && !intake.has_room());
    let alarm = put(&intake, rows(ALARM, [100])).await;
    soon(alarm.notified()).await;
    assert_eq!(taken(&mut hub, 9).await, [100, 0, 1, 2, 3, 4, 5, 6, 7], "each lane in its order");
    soon(telemetry.notified()).await;
    soon(more.notified()).await;
    soon(async {
        while !intake.has_room() {
            tokio::time::sleep(AGAIN).await;
        }
    })
    .await;
    let after = put(&intake, rows(TELEMETRY, [8])).await;
    soon(after.notified()).await;
}

/// Each row is on its way, without room, or in the queue.
#[tokio::test]
async fn rows_that_wait_are_counted_by_reason() {
    let (queue, mut hub, intake) = rig().await;
    let waits = || (intake.on_the_way(), intake.without_room());
    let _safe = put(&intake, rows(TELEMETRY, 0..6)).await;
    let _safe = put(&intake, rows(TELEMETRY, 6..8)).await;
    assert_eq!(waits(), (8, 0));
    soon(async {
        while waits() != (0, 4) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(queue.stats().await.unwrap().messages, 4);
    assert_eq!(taken(&mut hub, 8).await, [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(waits(), (0, 0));
}

/// From the moment at which a message is put, its wait for room included.
#[tokio::test]
async fn the_time_to_a_messages_receipt_is_counted_once_for_all_its_rows() {
    let (queue, mut hub, intake) = rig().await;
    let first = put(&intake, rows(ALARM, 0..2)).await;
    intake.commit();
    soon(first.notified()).await;
    let fits_not = put(&intake, rows(TELEMETRY, 0..6)).await;
    intake.commit();
    let waits = Duration::from_millis(300);
    tokio::time::sleep(waits).await;
    assert_eq!(intake.receipts().count(), 1, "one message has its receipts");
    taken(&mut hub, 8).await;
    intake.commit();
    soon(fits_not.notified()).await;
    let receipts = intake.receipts();
    assert_eq!(receipts.count(), 2);
    assert!(receipts.sum_ms() >= waits.as_millis() as u64, "{receipts:?}");
    let early = Intake::closed();
    let safe = put(&early, rows(ALARM, [0])).await;
    tokio::time::sleep(waits).await;
    early.open(&queue, 2);
    early.commit();
    soon(safe.notified()).await;
    assert!(early.receipts().sum_ms() >= waits.as_millis() as u64, "the queue opened late");
}

#[tokio::test]
async fn what_waits_for_room_when_the_queue_is_closed_is_left_in_order() {
    let (queue, _hub, intake) = rig().await;
    let _safe = put(&intake, rows(TELEMETRY, 0..6)).await;
    let both = [rows(TELEMETRY, [6]), rows(ALARM, [100]), rows(TELEMETRY, [7])].concat();
    let _safe = put(&intake, both).await;
    let alarm = put(&intake, rows(ALARM, [101])).await;
    soon(alarm.notified()).await;
    // Taken by the task or not, when the queue is closed.
    let _safe = put(&intake, rows(TELEMETRY, [8])).await;
    queue.close().await.unwrap();
    let left = soon(intake.unpushed()).await;
    let left: Vec<u8> = left.iter().map(|row| row.payload[0]).collect();
    assert_eq!(left, [4, 5, 6, 7, 8]);
}

#[tokio::test]
async fn filters_rows_for_a_full_lane_are_bounded() {
    let (_queue, _hub, intake) = rig().await;
    // What waits for the lane and exceeds its limit by a message, what is held, and what waits for the task.
    let most = WAITING_MAX / 256 + 2 * MESSAGES_MAX + 1;
    let (mut taken, mut refused_in_a_row) = (0, 0);
    while refused_in_a_row < 20 {
        match intake.try_reserve() {
            Some(permit) => {
                permit.put(rows(TELEMETRY, 0..=255), || {});
                (taken, refused_in_a_row) = (taken + 1, 0);
                assert!(taken <= most, "it takes in more than {most} messages");
            }
            None => {
                refused_in_a_row += 1;
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
    assert!(!intake.has_room_in(Some(ALARM)));
}

fn more_than_may_wait() -> Vec<Row> {
    (0..WAITING_MAX + 256).flat_map(|n| rows(TELEMETRY, [(n % 100) as u8])).collect()
}

/// Promise 7: messages of many readings are more than may wait. What is held behind them is not lost.
#[tokio::test]
async fn however_many_rows_wait_for_a_lane_the_others_go_on() {
    let (queue, mut hub, intake) = rig().await;
    let waiting = 2 * more_than_may_wait().len() - 4;
    for _ in 0..2 {
        intake.reserve().await.unwrap().put(more_than_may_wait(), || {});
    }
    let _held = put(&intake, rows(TELEMETRY, [7])).await;
    for n in [100, 101] {
        let alarm = put(&intake, rows(ALARM, [n])).await;
        queue.commit().await.unwrap();
        soon(alarm.notified()).await;
        assert_eq!(taken(&mut hub, 1).await, [n]);
    }
    assert!(intake.has_room_in(Some(ALARM)) && !intake.has_room_in(Some(TELEMETRY)));
    queue.close().await.unwrap();
    let left = soon(intake.unpushed()).await;
    assert_eq!((left.len(), left.last().map(|row| row.payload[0])), (waiting + 1, Some(7)));
}

/// Promise 7: two lanes were full, and only one of them has room.
#[tokio::test]
async fn a_lane_with_room_goes_on_however_many_rows_wait_for_another() {
    let (_queue, mut hub, intake) = rig().await;
    intake.reserve().await.unwrap().put(more_than_may_wait(), || {});
    let _waits = put(&intake, rows(ALARM, 100..105)).await;
    let held = [put(&intake, rows(ALARM, [105])).await, put(&intake, rows(ALARM, [106])).await];
    let (mut alarms, mut telemetry) = (Vec::new(), 0);
    while alarms.len() < 7 {
        intake.commit();
        match taken(&mut hub, 1).await[0] {
            alarm @ 100.. => alarms.push(alarm),
            _ => telemetry += 1,
        }
    }
    assert_eq!(alarms, (100..107).collect::<Vec<_>>());
    assert!(telemetry < 200, "still more wait than may: {telemetry} are gone");
    for held in held {
        soon(held.notified()).await;
    }
}

/// Also a row that waited for room has its lane and the number under which it is in the queue.
#[tokio::test]
async fn watched_rows_are_shown_when_they_are_safe_and_no_others() {
    let (queue, mut hub, intake) = rig().await;
    let safe = Arc::<Mutex<Vec<(u8, SafeRow)>>>::default();
    let shown = safe.clone();
    intake.watch_rows(move |row| {
        let (n, shown) = (row.payload[0], shown.clone());
        (n % 2 == 0).then(|| Box::new(move |safe| shown.lock().unwrap().push((n, safe))) as OnSafe)
    });
    intake.watch_rows(|_| panic!("the first one counts"));
    let telemetry = put(&intake, rows(TELEMETRY, 0..6)).await;
    let alarm = put(&intake, rows(ALARM, [100, 101, 102])).await;
    queue.commit().await.unwrap();
    soon(async {
        while intake.without_room() != 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(safe.lock().unwrap().iter().all(|(n, _)| ![4, 5].contains(n)), "they wait for room");
    let mut numbers = Vec::new();
    while numbers.len() < 9 {
        for lease in soon(hub.lease(9)).await.unwrap() {
            numbers.push((lease.payload()[0], lease.id().lane.0, lease.id().seq));
            lease.ack();
        }
    }
    queue.commit().await.unwrap();
    soon(async { tokio::join!(telemetry.notified(), alarm.notified()) }).await;
    let mut safe: Vec<_> = safe.lock().unwrap().iter().map(|(n, safe)| (*n, safe.lane, safe.seq)).collect();
    numbers.retain(|(n, ..)| n % 2 == 0);
    safe.sort_unstable();
    numbers.sort_unstable();
    assert_eq!((safe.len(), safe), (5, numbers));
}

/// A message of one byte may carry 200 kB of properties.
#[test]
fn promise_12_bytes_on_the_way_are_bounded_whatever_part_of_a_message_is_large() {
    const SIZE: usize = 60_000;
    let text = "x".repeat(SIZE);
    let row = || Row::new(Utf8::from_static("t"), Bytes::new());
    let mut user = PropertiesBuilder::new();
    user.user("k", &text).unwrap();
    let large = [
        Row { payload: Bytes::from(text.clone()), ..row() },
        Row { topic: Utf8::try_from(text.as_str()).unwrap(), ..row() },
        Row { key: Bytes::from(text.clone()), ..row() },
        Row { properties: user.finish(), ..row() },
    ];
    for row in large {
        let intake = Intake::closed();
        let mut taken = 0;
        while intake.takes_messages() {
            intake.try_reserve().unwrap().put(vec![row.clone()], || {});
            taken += 1;
        }
        assert!(taken * SIZE < BYTES_MAX + 2 * SIZE, "{taken} rows of {} bytes", row.bytes());
    }
}

/// The queue closes with rows that its disk never took: their receipts end without an answer, which is none.
#[tokio::test]
async fn promise_1_rows_that_a_failing_disk_never_took_are_not_told_to_be_safe() {
    let dir = SimDir::new();
    let limits = Config::default().max_bytes(8 << 20).ack_within(Duration::from_millis(50));
    let queue = Queue::open_in(Box::new(dir.clone()), limits, Arc::new(SystemClock::new())).unwrap();
    let queue = aio::Queue::of(queue).unwrap();
    let _hub = queue.consumer("hub").await.unwrap();
    let intake = Intake::start(&queue, 1);
    for call in [Call::Write, Call::Sync] {
        dir.fail(Fault { call, after: 0, error: FaultError::Io, sticky: true });
    }
    intake.watch_rows(|_| Some(Box::new(|safe| panic!("shown as safe: {safe:?}"))));
    let safe = put(&intake, rows(0, [1])).await;
    intake.commit();
    tokio::time::sleep(Duration::from_millis(300)).await;
    queue.close().await.unwrap_err();
    let told = tokio::time::timeout(Duration::from_millis(300), safe.notified()).await;
    assert!(told.is_err(), "told safe although it was never written");
}

/// \[MQTT-3.3.2-6\]. The queue counts what expired.
#[tokio::test]
async fn the_time_for_which_a_row_waits_for_room_is_a_part_of_its_time_to_live() {
    let (queue, mut hub, intake) = rig().await;
    let mut late = rows(TELEMETRY, 4..16);
    late.iter_mut().for_each(|row| row.ttl_ms = Some(60_000));
    late[0].ttl_ms = Some(5_000);
    let _safe = put(&intake, rows(TELEMETRY, 0..4)).await;
    let _safe = put(&intake, late).await;
    soon(async {
        while intake.without_room() != 12 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(10)).await;
    tokio::time::resume();
    assert_eq!(taken(&mut hub, 4).await, [0, 1, 2, 3]);
    let leases = soon(hub.lease(1)).await.unwrap();
    let of_leases: Vec<_> = leases.iter().map(|lease| (lease.payload()[0], lease.ttl_left_ms())).collect();
    assert!(matches!(of_leases[..], [(5, Some(..=50_000))]), "{of_leases:?}");
    drop(leases);
    queue.close().await.unwrap();
    let left = soon(intake.unpushed()).await;
    assert!(left.last().is_some_and(|row| row.ttl_ms.is_some_and(|ms| ms <= 50_000)), "{left:?}");
}
