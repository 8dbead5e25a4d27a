use super::*;
use edge_queue::testing::SimDir;

fn hub() -> HubConfig {
    HubConfig::new("mqtt://127.0.0.1:9", "test", "unused")
}

/// `[hub]` has no `max_bytes`, which the queue would name.
#[tokio::test]
async fn a_full_disk_is_told_with_what_helps_here() {
    let dir = SimDir::new();
    dir.set_capacity(1 << 20);
    let told = open_in(&hub(), Box::new(dir)).await.map(drop).unwrap_err();
    let needed = config().disk_bytes();
    assert!(told.starts_with(&format!("disk full: the spool needs {needed} bytes, ")), "{told}");
    assert!(told.ends_with(": make room on its disk") && !told.contains("max_bytes"), "{told}");
}

fn text(topic: &str) -> Utf8 {
    Utf8::try_from(topic).unwrap()
}

/// More than waits, then the last word, then the disk is mended: a stop tries once more.
#[tokio::test]
async fn the_last_events_are_queued_by_a_stop_and_the_others_counted() {
    let dir = tempfile::tempdir().unwrap();
    let spool = dir.path().join("spool");
    std::fs::write(&spool, "no directory").unwrap();
    let stats = Arc::<NetStats>::default();
    let mut sender = Hub::start(hub(), Spool::Dir(spool.clone()), stats.clone(), Duration::from_secs(2));
    tokio::time::sleep(LOOK).await;
    for n in 0..1_000 {
        sender.offer(text(&format!("out/{n}")), Bytes::new(), false);
        sender.offer(text(&format!("event/{n}")), Bytes::new(), true);
    }
    sender.offer(text("event/output/valve"), Bytes::from_static(b"stopped"), true);
    std::fs::remove_file(&spool).unwrap();
    sender.stop(Duration::from_secs(10)).await;
    assert_eq!(stats.queued() + stats.not_queued(), 2_001, "each is queued or counted");
    let queue = Queue::open(&spool, config()).unwrap();
    let mut consumer = queue.consumer(CONSUMER).unwrap();
    let rows = consumer.lease(1_000, edge_queue::Wait::None).unwrap();
    let is_last = |row: Row| row.topic.as_str() == "event/output/valve" && row.payload == "stopped";
    let mut rows = rows.iter().filter_map(|row| Row::from_meta(row.meta(), row.payload().clone()));
    assert!(rows.any(is_last));
}

/// One that nobody can open: the loss is counted, and nobody waits.
#[tokio::test]
async fn a_stop_without_a_queue_counts_what_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let spool = dir.path().join("spool");
    std::fs::write(&spool, "no directory").unwrap();
    for spool in [Spool::Dir(spool), Spool::Nowhere] {
        let stats = Arc::<NetStats>::default();
        let mut sender = Hub::start(hub(), spool, stats.clone(), Duration::from_secs(2));
        (0..700).for_each(|_| sender.offer(text("event/x"), Bytes::new(), true));
        sender.stop(Duration::from_secs(2)).await;
        assert_eq!((stats.queued(), stats.not_queued()), (0, 700));
    }
}
