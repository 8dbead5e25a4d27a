//! A payload is not copied on its way: from RAM it is the producer's buffer, from the ring a slice of the one that was
//! read, with the rows of a frame side by side. redb hands out its values for the length of a read only, so there each
//! row is copied once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use std::sync::Arc;

use bytes::Bytes;
use edge_queue::testing::SimDir;
use edge_queue::{Config, Lease, ManualClock, Now, Queue, Row, StoreKind, Wait};

const ROWS: usize = 200;
const LEN: usize = 300;

fn open(dir: &SimDir, kind: StoreKind) -> Queue {
    let clock = Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1_000, ..Now::default() }));
    Queue::open_in(Box::new(dir.clone()), Config::default().max_bytes(1024 * 1024).store(kind), clock)
        .unwrap()
}

/// Returns how many rows lie right behind the one before them in memory: what is between them is their record, not a buffer.
fn neighbours(leases: &[Lease]) -> usize {
    let at = |lease: &Lease| lease.payload().as_ptr() as usize;
    let near = |pair: &&[Lease]| {
        at(&pair[1]).checked_sub(at(&pair[0])).is_some_and(|d| (LEN..LEN + 64).contains(&d))
    };
    leases.windows(2).filter(near).count()
}

#[test]
fn a_row_in_ram_is_the_buffer_that_was_pushed() {
    let q = open(&SimDir::new(), StoreKind::Ring);
    let payload = Bytes::from(vec![7; LEN]);
    let _receipt = q.push(Row::new(payload.clone())).unwrap();
    let mut hub = q.consumer("hub").unwrap();
    let lease = hub.lease(1, Wait::None).unwrap().into_iter().next().unwrap();
    assert_eq!(lease.payload().as_ptr(), payload.as_ptr());
}

#[test]
fn rows_read_from_the_ring_are_slices_of_one_buffer_per_frame() {
    // The same rows over redb are copied one by one: what is measured is not how the allocator happens to place things.
    for (kind, sliced) in [(StoreKind::Ring, true), (StoreKind::Redb, false)] {
        let dir = SimDir::new();
        let q = open(&dir, kind);
        let mut hub = q.consumer("hub").unwrap();
        for n in 0..ROWS {
            let _receipt = q.push(Row::new(vec![n as u8; LEN]).key("k").meta("m")).unwrap();
        }
        q.close().unwrap();
        let q = open(&dir, kind);
        drop(std::mem::replace(&mut hub, q.consumer("hub").unwrap()));
        let leases: Vec<Lease> = hub.lease(ROWS, Wait::None).unwrap().into_iter().collect();
        assert_eq!(leases.len(), ROWS);
        assert!((0..ROWS).all(|n| leases[n].payload()[..] == [n as u8; LEN] && leases[n].key() == "k"));
        let neighbours = neighbours(&leases);
        println!("{kind:?}: {neighbours} of {ROWS} rows lie behind the one before");
        // All but the first of each frame of at most 64 KiB.
        assert_eq!(neighbours >= ROWS - 1 - ROWS * LEN / (32 * 1024), sliced, "{kind:?}: {neighbours}");
        // Held rows keep their bytes whatever is read after them.
        drop(hub);
        let mut hub = q.consumer("other").unwrap();
        assert!(hub.lease(ROWS, Wait::None).unwrap().is_empty());
        assert!((0..ROWS).all(|n| leases[n].payload()[..] == [n as u8; LEN]));
    }
}
