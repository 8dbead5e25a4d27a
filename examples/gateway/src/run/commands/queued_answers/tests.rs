//! A flood of refused commands before a real queue in memory, whose lane of alarms drops its oldest rows.

use std::collections::BTreeSet;

use bytes::Bytes;
use edge_bridge::wire::Utf8;
use edge_queue::{Config, OnFull, StoreKind};
use tokio::task::JoinSet;

use super::*;

const ALARMS: usize = 40;
const REFUSED: u64 = 20_000;
/// Most answers on the way to the queue at one time, as commands are in the gateway.
const TOGETHER: usize = 512;

fn row(payload: String) -> Row {
    let mut row = Row::new(Utf8::from_static("up"), Bytes::from(payload));
    row.lane = Some(0);
    row
}

/// Returns when each alarm has its receipt.
async fn store_alarms(intake: &Intake, numbers: std::ops::Range<usize>) {
    let mut receipts = Vec::new();
    for n in numbers {
        let (safe, is_safe) = oneshot::channel();
        let alarm = row(format!("alarm {n:03} {}", "x".repeat(1_000)));
        intake.reserve().await.unwrap().put(vec![alarm], || safe.send(()).unwrap_or_default());
        receipts.push(is_safe);
    }
    for receipt in receipts {
        receipt.await.unwrap();
    }
}

/// Returns how many of 80 acknowledged alarms never leave, half of which came before the flood and half in its middle, over a line that takes one
/// message while 500 commands come. `is_bounded`: whether the rule holds.
async fn lost_alarms(is_bounded: bool) -> usize {
    let settings = Config::default().store(StoreKind::Memory).lanes(2).max_bytes(1 << 20);
    let settings = settings.on_full(OnFull::DropOldest).ack_within(Duration::from_millis(10));
    let queue = aio::Queue::open("memory", settings).await.unwrap();
    let mut hub = queue.consumer(CONSUMER).await.unwrap();
    let intake = Intake::start(&queue, 2);
    let mut answers = QueuedAnswers::new(queue.clone(), CommandCounts::default()).await;
    let (mut tasks, mut arrived) = (JoinSet::new(), BTreeSet::new());
    let mut take = |payload: &[u8]| arrived.insert(String::from_utf8_lossy(payload)[..9].to_owned());
    store_alarms(&intake, 0..ALARMS).await;
    for n in 0..REFUSED {
        let answer = row(format!("an answer {}", "c".repeat(1_200)));
        if answers.admit(Ticket(n), &answer, AnswerKind::Refusal) || !is_bounded {
            tasks.spawn(store(intake.clone(), Ticket(n), answer));
        }
        if n == REFUSED / 2 {
            store_alarms(&intake, ALARMS..2 * ALARMS).await;
            let result = row("a result".to_owned());
            assert!(!is_bounded || answers.admit(Ticket(REFUSED), &result, AnswerKind::Result));
        }
        if n % 500 == 0 {
            if answers.wants_look() {
                tasks.spawn(answers.look());
            }
            for lease in hub.lease(1).await.unwrap() {
                take(lease.payload());
                lease.ack();
            }
        }
        while tasks.len() >= TOGETHER || n % 500 == 0 && !tasks.is_empty() {
            match tasks.join_next().await.unwrap().unwrap() {
                Some(Done::Answered(ticket)) => answers.stored(ticket),
                Some(Done::Looked(lane)) => answers.see(lane),
                _ => {}
            }
        }
    }
    while hub.queued() > 0 {
        for lease in hub.lease(100).await.unwrap() {
            take(lease.payload());
            lease.ack();
        }
    }
    (0..2 * ALARMS).filter(|n| !arrived.contains(&format!("alarm {n:03}"))).count()
}

#[tokio::test]
async fn promise_7_a_flood_of_answers_evicts_no_alarm() {
    assert_eq!(lost_alarms(true).await, 0);
}

/// A lane that was full at the start is looked at, as the dispatcher's ticks do, until it has room.
#[tokio::test]
async fn answers_have_room_once_a_lane_that_was_full_at_the_start_has() {
    let settings = Config::default().store(StoreKind::Memory).lanes(2).max_messages(80).max_bytes(8 << 20);
    let queue = aio::Queue::open("memory", settings).await.unwrap();
    let mut hub = queue.consumer(CONSUMER).await.unwrap();
    let limit = queue.stats().await.unwrap().lanes[0].max_messages;
    let intake = Intake::start(&queue, 2);
    store_alarms(&intake, 0..usize::try_from(limit).unwrap()).await;
    let mut answers = QueuedAnswers::new(queue.clone(), CommandCounts::default()).await;
    let answer = row("an answer".to_owned());
    assert!(!answers.admit(Ticket(1), &answer, AnswerKind::Result));
    while hub.queued() > 0 {
        hub.lease(100).await.unwrap().into_iter().for_each(|lease| lease.ack());
    }
    for _ in 0..100 {
        if answers.is_lane_full()
            && let Some(Done::Looked(lane)) = answers.look().await
        {
            answers.see(lane);
        }
    }
    assert!(answers.admit(Ticket(2), &answer, AnswerKind::Result));
}

#[tokio::test]
async fn without_the_bound_a_flood_of_answers_evicts_alarms() {
    assert!(lost_alarms(false).await > 0);
}
