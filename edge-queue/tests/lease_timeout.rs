//! Leases that end by time, and rows given back for later: at-least-once holds whoever forgets a lease, and what is left of one does no
//! harm to the next.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]

use std::sync::Arc;
use std::time::Duration;

use edge_queue::testing::{Call, SimDir};
use edge_queue::{
    Clock, Config, Consumer, ConsumerConfig, Lease, ManualClock, Now, OnFull, Queue, Row, StoreKind,
    SystemClock, Wait, aio,
};
use futures_util::StreamExt;

const MINUTE: Duration = Duration::from_secs(60);
const LONG: Duration = Duration::from_secs(600);

struct Rig {
    queue: Queue,
    clock: Arc<ManualClock>,
}

impl Rig {
    fn new(dir: &SimDir, config: Config, rows: u8) -> Rig {
        let clock = Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1_000, ..Now::default() }));
        let queue = Queue::open_in(Box::new(dir.clone()), config.lanes(1), clock.clone()).unwrap();
        (0..rows).for_each(|n| drop(queue.push(Row::new(vec![n])).unwrap()));
        Rig { queue, clock }
    }

    fn hub(&self, time: Duration) -> Consumer {
        self.queue.consumer_with("hub", ConsumerConfig::default().lease_time(time)).unwrap()
    }

    fn delivered(&self) -> u64 {
        self.queue.ledger().iter().map(|ledger| ledger.delivered).sum()
    }
}

fn lease(consumer: &mut Consumer, rows: usize) -> Vec<Lease> {
    consumer.lease(rows, Wait::None).unwrap().into_iter().collect()
}

fn numbers(leases: &[Lease]) -> Vec<u8> {
    leases.iter().map(|lease| lease.payload()[0]).collect()
}

#[test]
fn a_row_whose_lease_is_over_goes_out_again_and_the_old_lease_does_nothing() {
    let rig = Rig::new(&SimDir::new(), Config::default(), 4);
    let (mut one, mut two) = (rig.hub(MINUTE), rig.hub(MINUTE));
    let old = lease(&mut one, 3);
    assert_eq!((numbers(&old), numbers(&lease(&mut two, 9))), (vec![0, 1, 2], vec![3]));
    rig.clock.advance_ms(59_999);
    assert!(old.iter().all(|lease| !lease.is_over()));
    rig.clock.advance_ms(1);
    assert!(old.iter().all(Lease::is_over));
    let new = lease(&mut two, 9);
    assert_eq!(numbers(&new), [0, 1, 2, 3]);
    let [first, second, third] = <[Lease; 3]>::try_from(old).unwrap();
    first.ack();
    second.discard();
    drop(third);
    assert_eq!((rig.delivered(), rig.queue.stats().messages), (0, 4));
    assert_eq!(numbers(&lease(&mut one, 9)), Vec::<u8>::new(), "the drop gave nothing back");
    new.into_iter().for_each(Lease::ack);
    assert_eq!((rig.delivered(), rig.queue.stats().messages), (4, 0));
    assert!(rig.queue.ledger().iter().all(|ledger| ledger.balanced() && ledger.leased == 0));
}

#[test]
fn an_acknowledgement_in_time_counts_and_a_consumer_without_a_limit_holds_its_rows() {
    let rig = Rig::new(&SimDir::new(), Config::default(), 2);
    let mut limited = rig.hub(MINUTE);
    let mut patient = rig.queue.consumer("patient").unwrap();
    drop(rig.queue.push(Row::new(vec![9])).unwrap());
    let (in_time, held) = (lease(&mut limited, 1), lease(&mut patient, 9));
    rig.clock.advance_ms(30_000);
    in_time.into_iter().for_each(Lease::ack);
    rig.clock.advance_ms(600_000);
    assert_eq!(numbers(&lease(&mut limited, 9)), [1, 9]);
    assert!(held.len() == 1 && !held[0].is_over() && lease(&mut patient, 9).is_empty());
    held.into_iter().for_each(Lease::ack);
    assert_eq!(rig.delivered(), 2);
}

#[test]
fn a_row_that_is_released_comes_back_to_its_old_place_after_its_delay() {
    let (dir, config) = (SimDir::new(), Config::default().max_messages(6).on_full(OnFull::DropOldest));
    let rig = Rig::new(&dir, config.clone(), 4);
    let mut hub = rig.queue.consumer("hub").unwrap();
    let [first, second] = <[Lease; 2]>::try_from(lease(&mut hub, 2)).unwrap();
    second.release(2 * MINUTE);
    first.release(MINUTE);
    assert_eq!(rig.queue.ledger()[0].leased, 2);
    rig.clock.advance_ms(59_999);
    assert_eq!(numbers(&lease(&mut hub, 9)), [2], "half of the lane is leased");
    // What is given back for later is nobody's to evict.
    (10..14).for_each(|n| drop(rig.queue.push(Row::new(vec![n])).unwrap()));
    rig.clock.advance_ms(1);
    assert_eq!(numbers(&lease(&mut hub, 9)), [0, 10]);
    rig.clock.advance_ms(60_000);
    assert_eq!(numbers(&lease(&mut hub, 9)), [0, 1, 10]);
    hub.lease(1, Wait::None).unwrap().into_iter().for_each(|lease| lease.release(LONG));
    drop(hub);
    rig.queue.close().unwrap();
    let rig = Rig::new(&dir, config, 0);
    let mut hub = rig.queue.consumer("hub").unwrap();
    assert_eq!(numbers(&lease(&mut hub, 1)), [0], "a restart ends the delay");
}

#[test]
fn a_consumer_that_sleeps_gets_a_row_when_its_delay_or_its_lease_is_over() {
    let queue = Queue::open("", Config::default().store(StoreKind::Memory)).unwrap();
    let limits = ConsumerConfig::default().lease_time(Duration::from_millis(80));
    let mut hub = queue.consumer_with("hub", limits).unwrap();
    drop(queue.push(Row::new("1")).unwrap());
    let clock = SystemClock::new();
    for wait in [Wait::For(LONG), Wait::Forever] {
        let since = clock.now().up_ms;
        lease(&mut hub, 1).into_iter().for_each(|lease| lease.release(Duration::from_millis(60)));
        let held = hub.lease(1, wait).unwrap();
        assert!(held.len() == 1 && clock.now().up_ms - since >= 59);
        let again = hub.lease(1, wait).unwrap();
        assert!(again.len() == 1 && clock.now().up_ms - since >= 135);
        assert!(clock.now().up_ms - since < 30_000, "not at the writer's next look");
        drop(again);
    }
}

#[tokio::test]
async fn an_async_consumer_gets_them_too_and_nothing_that_is_over() {
    let config = Config::default().store(StoreKind::Memory);
    let queue = aio::Queue::open("", config).await.unwrap();
    let limits = ConsumerConfig::default().lease_time(Duration::from_millis(500));
    let mut hub = queue.consumer_with("hub", limits).await.unwrap();
    for n in 0..3u8 {
        drop(queue.push(Row::new(vec![n])).await.unwrap());
    }
    let first = hub.next().await.unwrap().unwrap();
    assert_eq!(first.payload()[0], 0);
    // Two more were leased ahead; the time of all is over.
    tokio::time::sleep(Duration::from_millis(700)).await;
    for n in 0..3u8 {
        let row = tokio::time::timeout(Duration::from_secs(20), hub.next()).await.unwrap().unwrap().unwrap();
        assert!(row.payload()[0] == n && !row.is_over());
        row.ack();
    }
    first.ack();
    drop(queue.push(Row::new(vec![7])).await.unwrap());
    hub.next().await.unwrap().unwrap().release(Duration::from_millis(50));
    let row =
        tokio::time::timeout(Duration::from_secs(20), hub.next()).await.expect("woken").unwrap().unwrap();
    assert_eq!(row.payload()[0], 7);
    row.ack();
    assert_eq!(queue.ledger().iter().map(|ledger| ledger.delivered).sum::<u64>(), 4);
}

/// The writer thread, which tells async consumers, is at work in a commit then, and others may see the end first.
#[tokio::test]
async fn an_async_consumer_gets_a_row_whose_lease_ended_while_the_medium_hung() {
    for who_looks in ["nobody", "another consumer", "the holder"] {
        let dir = SimDir::new();
        let config = Config::default().ack_within(Duration::from_millis(20));
        let queue = Queue::open_in(Box::new(dir.clone()), config, Arc::new(SystemClock::new())).unwrap();
        let mut other = queue.consumer("other").unwrap();
        let queue = aio::Queue::of(queue).unwrap();
        let limits = ConsumerConfig::default().lease_time(Duration::from_millis(200));
        let mut hub = queue.consumer_with("hub", limits).await.unwrap();
        queue.commit().await.unwrap();
        let hold = dir.hold(Call::Sync);
        drop(queue.push(Row::new(vec![7])).await.unwrap());
        let first = hub.lease(1).await.unwrap();
        hold.wait_until_held();
        let again = tokio::spawn(async move { hub.lease(1).await.map(|rows| rows.len()) });
        tokio::time::sleep(Duration::from_millis(300)).await;
        match who_looks {
            "another consumer" => drop(other.lease(1, Wait::None).unwrap()),
            "the holder" => assert!(first.iter().all(Lease::is_over)),
            _ => {}
        }
        drop(hold);
        let again = tokio::time::timeout(Duration::from_secs(20), again).await;
        assert_eq!(again.expect(who_looks).unwrap().unwrap(), 1);
    }
}

#[test]
fn two_handles_of_one_name_share_its_rows_and_its_place() {
    let rig = Rig::new(&SimDir::new(), Config::default(), 4);
    let (mut one, mut two) = (rig.queue.consumer("hub").unwrap(), rig.queue.consumer("hub").unwrap());
    let (left, right) = (lease(&mut one, 2), lease(&mut two, 9));
    assert_eq!((numbers(&left), numbers(&right)), (vec![0, 1], vec![2, 3]));
    one.ack(right);
    left.into_iter().for_each(Lease::ack);
    assert_eq!((rig.delivered(), rig.queue.ledger().len()), (4, 1));
}

/// A stream leases ahead; a chunk that is asked for later holds none of these once their time is over.
#[tokio::test]
async fn a_chunk_holds_no_row_that_was_read_ahead_and_whose_time_is_over() {
    let rig = Rig::new(&SimDir::new(), Config::default(), 3);
    let limits = ConsumerConfig::default().lease_time(MINUTE);
    let queue = aio::Queue::of(rig.queue.clone()).unwrap();
    let mut hub = queue.consumer_with("hub", limits).await.unwrap();
    let first = hub.next().await.unwrap().unwrap();
    rig.clock.advance_ms(60_000);
    assert!(first.is_over());
    let rows: Vec<Lease> = hub.lease(9).await.unwrap().into_iter().collect();
    assert!(numbers(&rows) == [0, 1, 2] && !rows.iter().any(Lease::is_over));
    rows.into_iter().for_each(Lease::ack);
    assert_eq!(rig.delivered(), 3);
}
