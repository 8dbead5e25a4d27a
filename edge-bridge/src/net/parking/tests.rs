//! Promise 4 for refused rows: whatever the disk and the power do, a row is in one of the two queues, under one identity.

mod accepted;
mod ages;
mod failing_disks;
mod in_place;
mod moved_rows;
mod order;
mod power_cuts;
mod registration;
mod settled_exchanges;
mod settled_rows;

use std::time::Duration;

use bytes::Bytes;
use edge_queue::testing::SimDir;
use edge_queue::{Config, Ledger, ManualClock, Now, OnFull, Queue, Reason};
use tokio::task::JoinHandle;

use super::*;
use crate::bridge::spool::{Identity, LeaseId, Leased, Settled, Spool};
use crate::net::queue_spool::QueueSpool;
use crate::row::Row;
use crate::wire::Utf8;

const REFUSED: ReasonCode = ReasonCode::NOT_AUTHORIZED;

fn config() -> Config {
    Config::default().max_bytes(16 << 20)
}

fn parked_config() -> Config {
    config().lanes(1).row_bytes_max(256 * 1024 + ENVELOPE_BYTES)
}

/// A spool on two simulated disks.
struct Rig {
    main: aio::Queue,
    spool: QueueSpool,
    wake: Arc<Notify>,
    parked: ParkedQueue,
    task: JoinHandle<()>,
}

impl Rig {
    async fn new(main: Queue, existed: bool, open: Open) -> Self {
        let main = aio::Queue::of(main).unwrap();
        let consumer = main.consumer(CONSUMER).await.unwrap();
        let wake = Arc::new(Notify::new());
        let (parking, parker) = Parking::with(&main, open, existed, wake.clone());
        let parked = parking.queue();
        let spool = QueueSpool::new(consumer, parking, wake.clone());
        Self { main, spool, wake, parked, task: tokio::spawn(parker.run()) }
    }

    async fn push(&self, rows: impl IntoIterator<Item = Row>) {
        for row in rows {
            drop(self.main.push(row.into_queue_row()).await.unwrap());
        }
        self.main.commit().await.unwrap();
    }

    /// Leases until there are `rows`.
    async fn lease(&mut self, parked: bool, rows: usize) -> Vec<Leased> {
        let mut out = Vec::new();
        while out.len() < rows {
            let left = rows - out.len();
            let more = match parked {
                true => self.spool.lease_parked(0, left, usize::MAX),
                false => self.spool.lease(0, left, usize::MAX),
            };
            if more.is_empty() {
                soon(self.wake.notified()).await;
            }
            out.extend(more);
        }
        out
    }

    fn park(&mut self, rows: &[Leased]) {
        rows.iter().for_each(|row| self.spool.park(row.id, REFUSED));
    }

    /// Waits until no row of the first queue is on its way.
    async fn all_moved(&self, moved: u64) {
        // The ledger may follow after the last wake.
        soon(async {
            while ledger(&self.main).moved < moved {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    /// Ends the link and waits for its task.
    async fn end(self) -> aio::Queue {
        drop(self.spool);
        soon(self.task).await.unwrap();
        self.main
    }
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it does not come")
}

fn on(dir: &SimDir, config: Config, clock: Arc<dyn edge_queue::Clock>) -> Queue {
    Queue::open_in(Box::new(dir.clone()), config, clock).unwrap()
}

fn still() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 10_000, wall_ms: 0, synced: true }))
}

fn opens(dir: &SimDir, config: Config, clock: Arc<dyn edge_queue::Clock>) -> Open {
    let dir = dir.clone();
    Box::new(move || {
        let queue = Queue::open_in(Box::new(dir.clone()), config.clone(), clock.clone());
        Box::pin(async move { queue.map(|queue| aio::Queue::of(queue).unwrap()) })
    })
}

fn row(n: u8) -> Row {
    Row::new(Utf8::try_from(format!("plant/{n}")).unwrap(), Bytes::from(vec![n; 30]))
}

fn ledger(queue: &aio::Queue) -> Ledger {
    let ledger = queue.ledger().into_iter().max_by_key(|ledger| ledger.accepted).unwrap();
    assert!(ledger.balanced(), "{ledger:?}");
    ledger
}

fn numbers(rows: &[Leased]) -> Vec<u8> {
    rows.iter().map(|leased| leased.row.payload[0]).collect()
}

/// Everything that is left in a queue: payload's number and identity.
fn drain(queue: &Queue, parked: bool) -> Vec<(u8, Identity)> {
    let mut out = Vec::new();
    let mut consumer = queue.consumer(CONSUMER).unwrap();
    loop {
        let chunk = consumer.lease(100, edge_queue::Wait::None).unwrap();
        if chunk.is_empty() {
            return out;
        }
        for lease in chunk {
            let own =
                if parked { Envelope::open(lease.meta()).unwrap().0.identity } else { identity(&lease) };
            out.push((lease.payload()[0], own));
            lease.ack();
        }
    }
}

#[tokio::test]
async fn a_parked_row_keeps_what_it_was_and_the_order_is_that_of_parking() {
    let (main, parked, clock) = (SimDir::new(), SimDir::new(), still());
    let mut rig =
        Rig::new(on(&main, config(), clock.clone()), false, opens(&parked, parked_config(), clock.clone()))
            .await;
    let special =
        Row { key: Bytes::from_static(b"key"), weight: 3, lane: Some(0), ttl_ms: Some(60_000), ..row(0) };
    rig.push([special.clone(), row(1), row(2)]).await;
    let first = rig.lease(false, 3).await;
    assert_eq!(numbers(&first), [0, 1, 2]);
    clock.advance_ms(5_000);
    rig.park(&[first[2].clone(), first[0].clone()]);
    assert_eq!(rig.spool.parked(), 4, "on their way counts as parked");
    while ledger(&rig.main).moved + 3 < 4 || rig.main.ledger().iter().map(|l| l.moved).sum::<u64>() < 4 {
        soon(rig.wake.notified()).await;
    }
    clock.advance_ms(1_000);
    let again = rig.lease(true, 2).await;
    assert_eq!(numbers(&again), [2, 0]);
    assert_eq!(again[1].identity, first[0].identity);
    assert_eq!(again[1].row, special);
    assert_eq!((again[1].age_ms, again[0].age_ms), (6_000, 6_000), "age goes on");
    // Refused once more: in its place, until the next pass. Given back: in its place, and at once.
    rig.park(&again[..1]);
    rig.spool.give_back(again[1].id);
    assert_eq!(numbers(&rig.lease(true, 1).await), [0]);
    assert_eq!((rig.spool.lease_parked(0, 9, usize::MAX).len(), rig.spool.is_scanned()), (0, Some(true)));
    rig.spool.give_back(LeaseId(again[1].id.0 + 1));
    rig.spool.scan_parked();
    let third = rig.lease(true, 2).await;
    assert_eq!(numbers(&third), [2, 0]);
    assert_eq!(third[0].identity, first[2].identity);
    assert_eq!(third[0].age_ms, 6_000);
    rig.spool.ack(third[1].id);
    rig.spool.settle(third[0].id, Settled::Discarded);
    assert_eq!((rig.spool.parked(), rig.spool.waiting()), (0, 0));
    let there = ledger(rig.parked.get().unwrap());
    assert_eq!((there.accepted, there.delivered, there.moved, there.dropped.total()), (4, 3, 0, 1));
}

/// Leases and parks what is new until nothing more comes. Gives the numbers of what was leased.
async fn park_all(rig: &mut Rig) -> Vec<u8> {
    let mut seen = Vec::new();
    for _ in 0..20 {
        let rows = rig.spool.lease(0, 64, usize::MAX);
        seen.extend(numbers(&rows));
        rig.park(&rows);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    seen
}

#[tokio::test]
async fn full_of_parked_rows_that_may_not_go_the_rest_waits_in_place() {
    let (main, parked, clock) = (SimDir::new(), SimDir::new(), still());
    let small = parked_config().max_messages(6).on_full(OnFull::Reject);
    let mut rig =
        Rig::new(on(&main, config(), clock.clone()), false, opens(&parked, small, clock.clone())).await;
    rig.push((0..11).map(row)).await;
    let all: Vec<u8> = (0..11).collect();
    assert_eq!(park_all(&mut rig).await, all, "each once: nothing loops");
    assert_eq!((rig.spool.parked(), rig.spool.in_place()), (6, 5));
    rig.push([row(11)]).await;
    let next = rig.lease(false, 1).await;
    assert_eq!(numbers(&next), [11], "others go on");
    rig.spool.ack(next[0].id);
    // Parked rows are leased however full it is; two make room for the oldest that wait.
    rig.spool.scan_parked();
    let rows = rig.lease(true, 3).await;
    assert_eq!(numbers(&rows), [0, 1, 2]);
    rows[..2].iter().for_each(|row| rig.spool.ack(row.id));
    rig.park(&rows[2..]);
    let began = std::time::Instant::now();
    while rig.spool.parked() < 6 && began.elapsed() < Duration::from_secs(30) {
        park_all(&mut rig).await;
    }
    rig.spool.scan_parked();
    let mut kept = Vec::new();
    for _ in 0..2 {
        let rows = rig.lease(true, 3).await;
        kept.extend(numbers(&rows));
        rig.park(&rows);
    }
    assert_eq!(kept, [2, 3, 4, 5, 6, 7], "in their order");
    assert_eq!(rig.spool.in_place(), 3);
    let there = ledger(rig.parked.get().unwrap());
    assert_eq!((there.accepted, there.dropped.total()), (8, 0));
}

#[tokio::test]
async fn a_row_too_large_to_be_parked_waits_alone() {
    let (main, parked, clock) = (SimDir::new(), SimDir::new(), still());
    let small = parked_config().row_bytes_max(1_000);
    let mut rig =
        Rig::new(on(&main, config(), clock.clone()), false, opens(&parked, small, clock.clone())).await;
    rig.push([row(0), Row { payload: Bytes::from(vec![1; 2_000]), ..row(1) }, row(2)]).await;
    assert_eq!(park_all(&mut rig).await, [0, 1, 2], "each once: nothing loops");
    assert_eq!((rig.spool.parked(), rig.spool.in_place()), (2, 1));
    let main = rig.end().await;
    assert_eq!((ledger(&main).queued, ledger(&main).leased), (1, 0));
}

/// Parks 100 rows of three kinds in a queue for 100 of them, of which every third is then delivered.
async fn with_holes(delivered: impl Fn(u8) -> bool) -> Rig {
    let (main, parked, clock) = (SimDir::new(), SimDir::new(), still());
    let full = parked_config().max_messages(100);
    let mut rig =
        Rig::new(on(&main, config(), clock.clone()), false, opens(&parked, full, clock.clone())).await;
    rig.push((0..100).map(row)).await;
    let rows = rig.lease(false, 100).await;
    rig.park(&rows);
    rig.all_moved(100).await;
    rig.spool.scan_parked();
    for _ in 0..2 {
        // At most half of a queue is leased at a time.
        for leased in rig.lease(true, 50).await {
            match delivered(leased.row.payload[0]) {
                true => rig.spool.ack(leased.id),
                false => rig.spool.park(leased.id, REFUSED),
            }
        }
    }
    rig
}

#[tokio::test]
async fn a_pass_over_a_full_queue_that_changes_nothing_drops_and_writes_nothing() {
    let mut rig = with_holes(|_| false).await;
    let there = ledger(rig.parked.get().unwrap());
    assert_eq!((there.accepted, there.queued, there.moved, there.dropped.total()), (100, 100, 0, 0));
    assert_eq!((rig.spool.lease_parked(0, 9, usize::MAX).len(), rig.spool.is_scanned()), (0, Some(true)));
}

#[tokio::test]
async fn a_pass_over_many_holes_closes_them_and_keeps_the_order() {
    let mut rig = with_holes(|n| n % 3 == 1).await;
    assert!(ledger(rig.parked.get().unwrap()).ranges > 30);
    rig.spool.close_holes();
    rig.spool.scan_parked();
    let kept: Vec<u8> = (0..100).filter(|n| n % 3 != 1).collect();
    assert_eq!(numbers(&rig.lease(true, 50).await), kept[..50]);
    let there = ledger(rig.parked.get().unwrap());
    assert_eq!((there.queued, there.moved, there.ranges, there.dropped.total()), (67, 67, 0, 0));
    assert!(!rig.spool.has_holes());
}

/// Rows in their place wait for the room that the holes take: the holes are closed all the same.
#[tokio::test]
async fn holes_are_closed_while_rows_wait_in_their_place_for_them() {
    let mut rig = with_holes(|n| n % 3 == 1).await;
    rig.push((100..130).map(row)).await;
    let rows = rig.lease(false, 30).await;
    rig.park(&rows);
    soon(async {
        while rig.spool.in_place() + ledger(&rig.main).moved < 130 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let (in_place, parked) = (rig.spool.in_place(), rig.spool.parked());
    assert!(in_place > 0 && in_place + parked == 97, "{in_place} wait, {parked} are parked");
    rig.spool.close_holes();
    rig.spool.scan_parked();
    let first = rig.lease(true, 40).await;
    assert_eq!(numbers(&first), (0..60).filter(|n| n % 3 != 1).collect::<Vec<u8>>());
    let there = ledger(rig.parked.get().unwrap());
    assert_eq!((there.queued, there.ranges, there.dropped.total()), (parked, 0, 0));
    // Now there is room for them.
    park_all(&mut rig).await;
    assert_eq!((rig.spool.in_place(), rig.spool.parked(), rig.spool.has_holes()), (0, 97, false));
}

#[tokio::test]
async fn full_of_parked_rows_the_oldest_go_counted_and_told() {
    let (main, parked, clock) = (SimDir::new(), SimDir::new(), still());
    let small = parked_config().max_messages(3);
    let mut rig =
        Rig::new(on(&main, config(), clock.clone()), false, opens(&parked, small, clock.clone())).await;
    rig.push((0..8).map(row)).await;
    let rows = rig.lease(false, 8).await;
    rig.park(&rows);
    rig.all_moved(8).await;
    let left = rig.lease(true, 1).await;
    let there = ledger(rig.parked.get().unwrap());
    assert_eq!((there.accepted, there.queued, there.dropped.for_reason(Reason::Overflow)), (8, 3, 5));
    assert_eq!(numbers(&left), [5]);
    rig.spool.give_back(left[0].id);
    let main = rig.end().await;
    assert_eq!((ledger(&main).moved, ledger(&main).queued), (8, 0));
    let consumer = on(&parked, parked_config(), clock).consumer(CONSUMER).unwrap();
    assert_eq!(consumer.gaps().iter().map(|gap| gap.count).sum::<u64>(), 5);
}

/// On a real directory: nothing is there before the first refusal, and a new start finds what is parked before it leases anything.
#[tokio::test]
async fn a_new_start_knows_what_is_parked() {
    let dir = tempfile::tempdir().unwrap();
    let open = || async { Queue::open(dir.path(), config()).unwrap() };
    let start = |main: Queue| async move {
        let main = aio::Queue::of(main).unwrap();
        let consumer = main.consumer(CONSUMER).await.unwrap();
        let wake = Arc::new(Notify::new());
        let (parking, parker) = Parking::new(&main, wake.clone());
        let parked = parking.queue();
        let spool = QueueSpool::new(consumer, parking, wake.clone());
        Rig { main, spool, wake, parked, task: tokio::spawn(parker.run()) }
    };
    let mut rig = start(open().await).await;
    rig.push((0..5).map(row)).await;
    assert!(!dir.path().join(DIR).exists());
    let rows = rig.lease(false, 5).await;
    rig.park(&rows[..2]);
    rig.all_moved(2).await;
    rig.spool.ack(rows[2].id);
    rig.end().await.close().await.unwrap();
    let mut rig = start(open().await).await;
    assert!(rig.spool.lease(0, 10, usize::MAX).is_empty(), "not before it is known what is parked");
    let next = rig.lease(false, 2).await;
    assert_eq!((numbers(&next), rig.spool.parked()), (vec![3, 4], 2));
    let again = rig.lease(true, 2).await;
    assert_eq!(numbers(&again), [0, 1]);
    assert_eq!(again[1].identity, rows[1].identity);
    // Of the parked rows too, what was leased and not acknowledged is there again.
    rig.spool.ack(LeaseId(again[0].id.0));
    rig.end().await.close().await.unwrap();
    let mut rig = start(open().await).await;
    assert_eq!(numbers(&rig.lease(true, 1).await), [1]);
    assert_eq!(rig.spool.parked(), 1);
}
