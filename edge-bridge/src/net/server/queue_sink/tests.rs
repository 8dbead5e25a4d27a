use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use edge_queue::{Config, OnFull, StoreKind};

use super::*;
use crate::puback_chain::{ConnectionId, PubackChain};
use crate::wire::Utf8;

const WITHIN: Duration = Duration::from_secs(20);

struct Rig {
    sink: QueueSink,
    queue: aio::Queue,
    receipts: Receipts,
    chain: PubackChain,
}

impl Rig {
    async fn open(config: Config) -> Self {
        let config = config.store(StoreKind::Memory).lanes(2).on_full(OnFull::Reject);
        let queue = aio::Queue::open("memory", config).await.unwrap();
        let receipts = Receipts::default();
        let sink = QueueSink::start(&queue, 2, receipts.clone());
        let mut chain = PubackChain::new(usize::MAX);
        chain.open(ConnectionId(1), None);
        Self { sink, queue, receipts, chain }
    }

    fn push(&mut self, lanes: &[Option<u8>]) -> Ticket {
        let ticket = self.chain.store(0, ConnectionId(1), None, None, 1);
        assert_eq!(self.sink.push(ticket, lanes.iter().map(|lane| row(*lane, 10)).collect()), Ok(()));
        ticket
    }

    /// The next tickets that are resolved.
    async fn resolved(&self) -> Vec<Ticket> {
        loop {
            let resolved = self.receipts.take();
            if !resolved.is_empty() {
                return resolved;
            }
            tokio::time::timeout(WITHIN, self.receipts.woken()).await.expect("a receipt");
        }
    }

    async fn until(&mut self, full_lanes: u8) {
        let polled = async {
            while self.sink.full_lanes() != full_lanes {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(WITHIN, polled).await.expect("the lanes' room changes");
    }
}

fn row(lane: Option<u8>, bytes: usize) -> Row {
    Row { lane, ..Row::new(Utf8::from_static("a"), Bytes::from(vec![b'x'; bytes])) }
}

#[tokio::test]
async fn a_message_is_safe_when_its_rows_in_all_lanes_are() {
    let mut rig = Rig::open(Config::default().ack_within(Duration::from_secs(3_600))).await;
    let ticket = rig.push(&[Some(0), None, Some(0)]);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(rig.receipts.take(), []);
    rig.sink.commit();
    assert_eq!(rig.resolved().await, [ticket]);
}

/// A message without rows is withheld: whoever withheld it knows when it is to be told.
#[tokio::test]
async fn a_message_without_rows_is_for_the_application_to_resolve() {
    let mut rig = Rig::open(Config::default().ack_within(Duration::from_millis(1))).await;
    let withheld = rig.push(&[]);
    let stored = rig.push(&[None]);
    assert_eq!(rig.resolved().await, [stored]);
    let (receipts, asked) = (rig.receipts.clone(), Arc::<AtomicU64>::default());
    let commits = asked.clone();
    let sink = QueueSink::new(rig.sink.intake.clone(), rig.receipts.clone()).when_safe(move |ticket| {
        let receipts = receipts.clone();
        move || [withheld, ticket].into_iter().for_each(|ticket| receipts.resolve(ticket))
    });
    rig.sink = sink.on_commit(move || {
        commits.fetch_add(1, Ordering::Relaxed);
    });
    let last = rig.push(&[None]);
    assert_eq!(rig.resolved().await, [withheld, last]);
    rig.sink.commit();
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

/// Promise 7: a full lane holds up its own messages and no others.
#[tokio::test]
async fn a_full_lane_waits_alone_and_goes_on_when_there_is_room() {
    let limits = edge_queue::LaneConfig::default().max_messages(2).on_full(OnFull::Reject);
    let config = Config::default().lane(edge_queue::Lane(1), limits).ack_within(Duration::from_millis(1));
    let mut rig = Rig::open(config).await;
    let mut consumer = rig.queue.consumer("hub").await.unwrap();
    let first = rig.push(&[Some(1), Some(1)]);
    assert_eq!(rig.resolved().await, [first]);
    let held = rig.push(&[Some(1)]);
    rig.until(0b10).await;
    assert!(rig.sink.has_room(), "there is room for messages to the other lane");
    let other = rig.push(&[Some(0)]);
    assert_eq!(rig.resolved().await, [other]);

    for lease in consumer.lease(2).await.unwrap() {
        lease.ack();
    }
    assert_eq!(rig.resolved().await, [held]);
    rig.until(0).await;
}

#[tokio::test]
async fn what_no_queue_would_take_is_counted_and_holds_nothing_up() {
    let mut rig = Rig::open(Config::default().ack_within(Duration::from_millis(1))).await;
    let ticket = rig.chain.store(0, ConnectionId(1), None, None, 1);
    rig.sink.push(ticket, vec![row(None, 300 * 1024), row(None, 1)]).unwrap();
    assert_eq!(rig.resolved().await, [ticket]);
    assert_eq!(rig.sink.never_stored(), 1);
}

/// Promise 1: never early, also at the end.
#[tokio::test]
async fn a_message_that_was_not_stored_when_the_queue_closed_is_never_resolved() {
    let limits = edge_queue::LaneConfig::default().max_messages(1).on_full(OnFull::Reject);
    let mut rig = Rig::open(Config::default().lane(edge_queue::Lane(1), limits)).await;
    let _consumer = rig.queue.consumer("hub").await.unwrap();
    let stored = rig.push(&[Some(1)]);
    let waits = rig.push(&[Some(1)]);
    rig.until(0b10).await;
    rig.queue.clone().close().await.unwrap();
    assert_eq!(rig.resolved().await, [stored]);
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert!(!rig.receipts.take().contains(&waits));
}

/// Back-pressure: more than the way holds is handed back, whole.
#[tokio::test]
async fn a_message_without_room_on_the_way_is_handed_back() {
    let mut rig = Rig::open(Config::default()).await;
    // No await: the task does not run meanwhile.
    let mut taken = 0;
    while rig.sink.has_room() {
        rig.push(&[Some(0)]);
        taken += 1;
    }
    assert!(taken > 500 && rig.sink.is_busy());
    let ticket = rig.chain.store(0, ConnectionId(1), None, None, 1);
    let rows = vec![row(Some(1), 10), row(Some(0), 10)];
    assert_eq!(rig.sink.push(ticket, rows.clone()), Err(rows.clone()));
    let mut resolved = 0;
    while resolved < taken {
        rig.sink.commit();
        resolved += rig.resolved().await.len();
    }
    assert!(rig.sink.has_room() && !rig.sink.is_busy());
    assert_eq!(rig.sink.push(ticket, rows), Ok(()));
}

#[test]
fn a_pause_ends_and_begins_again_after_the_task_has_caught_up() {
    let start = Instant::now();
    let at = |ms| move || start + Duration::from_millis(ms);
    let mut pause = Pause { since: None, max: Duration::from_millis(100) };
    assert!(!pause.goes_on(false, at(0)));
    assert!(pause.goes_on(true, at(10)) && pause.goes_on(true, at(109)));
    assert!(!pause.goes_on(true, at(110)) && !pause.goes_on(true, at(1_000)));
    assert!(!pause.goes_on(false, at(1_000)));
    assert!(pause.goes_on(true, at(1_001)));
}
