//! The age of the oldest row: of what waits, before and after a restart, and none once nothing does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use std::sync::Arc;

use edge_queue::testing::SimDir;
use edge_queue::{Config, ManualClock, Now, Queue, Row, StoreKind, Wait, aio};

fn open(dir: &SimDir, kind: StoreKind, clock: &Arc<ManualClock>) -> Queue {
    Queue::open_in(Box::new(dir.clone()), Config::default().store(kind), clock.clone()).unwrap()
}

#[test]
fn the_oldest_row_that_waits_gives_the_age() {
    for kind in [StoreKind::Ring, StoreKind::Redb] {
        let clock = Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1, wall_ms: 1, synced: true }));
        let dir = SimDir::new();
        let queue = open(&dir, kind, &clock);
        let mut hub = queue.consumer("hub").unwrap();
        assert_eq!(queue.stats().oldest_age_ms, None);
        for _ in 0..3 {
            drop(queue.push(Row::new(vec![1])).unwrap());
            clock.advance_ms(100);
        }
        assert_eq!(queue.stats().oldest_age_ms, Some(300), "before the commit");
        queue.commit().unwrap();
        assert_eq!(queue.stats().oldest_age_ms, Some(300));
        hub.lease(1, Wait::None).unwrap().ack();
        assert_eq!(queue.stats().oldest_age_ms, Some(200), "the next one");
        drop(hub);
        queue.close().unwrap();

        clock.advance_ms(1_000);
        let queue = open(&dir, kind, &clock);
        assert_eq!(queue.stats().oldest_age_ms, Some(1_200), "{kind:?}, after a restart");
        queue.consumer("hub").unwrap().lease(9, Wait::None).unwrap().ack();
        assert_eq!(queue.stats().oldest_age_ms, None);
    }
}

#[tokio::test]
async fn an_async_program_is_told_the_age_of_a_row_that_only_the_disk_has() {
    for kind in [StoreKind::Ring, StoreKind::Redb] {
        let clock = Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1, wall_ms: 1, synced: true }));
        let dir = SimDir::new();
        let queue = open(&dir, kind, &clock);
        let _hub = queue.consumer("hub").unwrap();
        drop(queue.push(Row::new(vec![1])).unwrap());
        queue.close().unwrap();
        clock.advance_ms(1_000);
        let queue = aio::Queue::of(open(&dir, kind, &clock)).unwrap();
        for age_ms in [1_000, 1_500] {
            assert_eq!(queue.stats().await.unwrap().oldest_age_ms, Some(age_ms), "{kind:?}");
            clock.advance_ms(500);
        }
    }
}
