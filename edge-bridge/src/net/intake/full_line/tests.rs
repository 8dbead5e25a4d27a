use std::sync::Arc;

use bytes::Bytes;
use edge_queue::testing::SimDir;
use edge_queue::{Config, Queue, SystemClock, aio};
use tokio::time::timeout;

use super::*;
use crate::net::intake::Intake;
use crate::net::log_fields::Fields;
use crate::row::Row;
use crate::wire::Utf8;

async fn put(intake: &Intake) {
    let row = Row::new(Utf8::from_static("t"), Bytes::from_static(b"21.5"));
    intake.reserve().await.unwrap().put(vec![row], || {});
}

/// Returns what is logged of a second message that comes to a queue of one, which may be on its way to the hub.
async fn log_of_a_second(on_full: OnFull, is_on_its_way: bool) -> String {
    let log = Fields::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let limits = Config::default().max_bytes(8 << 20).max_messages(1).on_full(on_full);
    let queue = Queue::open_in(Box::new(SimDir::new()), limits, Arc::new(SystemClock::new())).unwrap();
    let queue = aio::Queue::of(queue).unwrap();
    let mut hub = queue.consumer("hub").await.unwrap();
    let intake = Intake::start(&queue, 1);
    put(&intake).await;
    let _leased = if is_on_its_way { Some(hub.lease(1).await.unwrap()) } else { None };
    put(&intake).await;
    let accepted = || queue.ledger().iter().map(|ledger| ledger.accepted).sum::<u64>();
    while intake.without_room() == 0 && accepted() < 2 {
        tokio::task::yield_now().await;
    }
    log.take()
}

#[tokio::test]
async fn a_full_queue_says_what_its_policy_does() {
    let refuses = "the queue is full: sensors are not acknowledged until there is room";
    let keeps = "the queue is full, and gives up nothing that is on its way to the hub";
    for (on_full, is_on_its_way, words) in [
        (OnFull::Reject, false, Some(refuses)),
        (OnFull::DropOldest, true, Some(keeps)),
        (OnFull::DropOldest, false, None),
    ] {
        let log = timeout(Duration::from_secs(20), log_of_a_second(on_full, is_on_its_way)).await;
        let log = log.unwrap_or_else(|_| panic!("{on_full:?}, {is_on_its_way}: no end"));
        let lines: Vec<_> =
            log.lines().filter(|line| line.contains("sensors are not acknowledged")).collect();
        assert_eq!(lines.len(), usize::from(words.is_some()), "{on_full:?} {log}");
        assert!(words.is_none_or(|words| lines[0].contains(words)), "{on_full:?} {log}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_disk_is_told_from_the_policy_and_there_is_one_line_an_hour() {
    let log = Fields::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let mut line = FullLine::default();
    line.say(Limit::Unwritten, Some(OnFull::DropOldest));
    assert!(log.take().contains("the disk does not take"));
    line.say(Limit::Messages, Some(OnFull::DropNewest));
    tokio::time::advance(AGAIN - Duration::from_secs(1)).await;
    line.say(Limit::Messages, Some(OnFull::DropNewest));
    assert_eq!(log.take(), "");
    tokio::time::advance(Duration::from_secs(1)).await;
    line.say(Limit::Messages, Some(OnFull::DropNewest));
    assert!(log.take().contains("as many losses between messages as it can"));
}
