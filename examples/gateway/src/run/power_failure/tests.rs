use std::path::Path;
use std::sync::Arc;

use control_loop::Loops;
use control_loop::restart_memory::Keeper;
use edge_bridge::ingest::Now;
use edge_queue::testing::SimDir;
use edge_queue::{Config as QueueConfig, Lease, Queue, Row, SystemClock};

use crate::config::Config;
use crate::run::hub::duplicate_marks::DuplicateMarks;
use crate::run::log::captured_log::captured;

use super::*;

/// Longer than any test: no commit comes by itself.
const HOUR: Duration = Duration::from_secs(3_600);

/// A queue on a simulated disk, with its consumer.
async fn queue() -> (aio::Queue, aio::Consumer) {
    let config = QueueConfig::default().max_bytes(1 << 20).ack_within(HOUR);
    let opened = Queue::open_in(Box::new(SimDir::new()), config, Arc::new(SystemClock::new())).unwrap();
    let queue = aio::Queue::of(opened).unwrap();
    let hub = queue.consumer(store::CONSUMER).await.unwrap();
    (queue, hub)
}

/// Puts a row into the queue, and nothing on its disk.
async fn push(queue: &aio::Queue) {
    drop(queue.push(Row::new("reading")).await.unwrap());
}

/// Numbers of rows that a start after a power cut would find accepted, and delivered.
fn on_disk(queue: &aio::Queue) -> (u64, u64) {
    let ledgers = queue.committed_ledger();
    (ledgers.iter().map(|ledger| ledger.accepted).sum(), ledgers.iter().map(|ledger| ledger.delivered).sum())
}

fn in_memory(intake: &Intake, control: Option<WriteNow>) -> InMemory {
    let text = "[gateway]\nid=\"g\"\n[local]\nlisten=\"127.0.0.1:1\"\n[hub]\nurl=\"mqtt://h\"\n[[route]]\nmatch=\"#\"\n";
    let (config, _) = Config::parse(Path::new("g.toml"), text, &|_| None).unwrap();
    let ingest = GatewayIngest::new(&config.routes, DuplicateMarks::new(Now::default(), true)).unwrap();
    let memory = InMemory::new((&ingest, intake, Clock::start()), OpenQueue::default(), None, None);
    InMemory { control, ..memory }
}

fn keeper(dir: &Path) -> Keeper {
    let loops = "[[output]]\nname = \"heater\"\nvalue = 0.0\n";
    let mut controller = Loops::parse(loops, Duration::from_secs(60)).unwrap().controller;
    let started =
        Keeper::start(dir.join("control-state"), &mut controller, control_loop::Clock::start(), |_| ());
    started.unwrap().0
}

/// The supply may end at any moment, and what stages hold waits here for room in a full intake.
#[tokio::test(flavor = "current_thread")]
async fn what_the_queue_has_is_safe_before_anything_that_may_have_to_wait() {
    let (queue, _hub) = queue().await;
    let intake = Intake::closed();
    let memory = in_memory(&intake, None);
    let _full: Vec<_> = std::iter::from_fn(|| intake.try_reserve()).collect();
    push(&queue).await;
    assert_eq!(on_disk(&queue), (0, 0));
    let committed = async {
        while on_disk(&queue) != (1, 0) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        waiting = memory.commit(&queue, || None) => panic!("there is no room in the intake: {waiting:?}"),
        () = committed => {}
        () = tokio::time::sleep(Duration::from_secs(30)) => panic!("it is not on disk"),
    }
}

/// Parked rows are in a queue of their own, and acknowledged ones would be sent once more.
#[tokio::test(flavor = "current_thread")]
async fn what_is_parked_and_what_the_hub_has_acknowledged_is_on_disk_too() {
    let ((queue, mut hub), (parked, _)) = (queue().await, queue().await);
    let memory = in_memory(&Intake::start(&queue, 1), None);
    push(&queue).await;
    queue.commit().await.unwrap();
    hub.lease(1).await.unwrap().into_iter().for_each(Lease::ack);
    push(&parked).await;
    assert_eq!((on_disk(&queue), on_disk(&parked)), ((1, 0), (0, 0)), "neither by itself");
    assert_eq!(memory.commit(&queue, || Some(parked.clone())).await, Some(0));
    assert_eq!((on_disk(&queue), on_disk(&parked)), ((1, 1), (1, 0)));
}

/// Loops go on from what is on disk: a person is told which part of the plant begins anew.
#[test]
fn each_part_that_is_not_on_disk_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let told = |control: WriteNow| {
        let memory = in_memory(&Intake::closed(), Some(control));
        captured(|| runtime.block_on(memory.make_durable()))
    };
    let keeper = keeper(dir.path());
    let control = keeper.write_now().unwrap();
    let told_of_both = [told(control.clone()), {
        drop(keeper);
        told(control)
    }];
    assert!(told_of_both[0].contains("left=\"the queue\""), "it is not open: {told_of_both:?}");
    assert!(
        told_of_both[1].contains("left=\"the queue, the states of the control loops\""),
        "{told_of_both:?}"
    );
}
