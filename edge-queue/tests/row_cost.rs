//! Promise 6: what one row costs in allocations on its way in and out, and in RAM while it waits. The figures are in the
//! README; the bounds here are somewhat above them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![allow(unsafe_code, reason = "a counting allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use bytes::Bytes;
use edge_queue::{Config, ManualClock, Now, Queue, Row, Wait};

struct Counting;

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
    static BYTES: Cell<i64> = const { Cell::new(0) };
}

fn count(calls: u64, bytes: i64) {
    CALLS.with(|c| c.set(c.get() + calls));
    BYTES.with(|b| b.set(b.get() + bytes));
}

// SAFETY: every call goes to the system allocator unchanged; counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size() as i64);
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        count(0, -(layout.size() as i64));
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const COMMIT_ROWS: usize = 1_000;
const COMMITS: usize = 20;
const LEASE_ROWS: usize = 100;

fn queue(dir: &std::path::Path) -> Queue {
    let clock = Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1_000, ..Now::default() }));
    // On a manual clock there is no other thread: what is counted is all there is.
    Queue::open_with_clock(dir, Config::default().max_unwritten_bytes(64 << 20), clock).unwrap()
}

fn push_singly(q: &Queue, payload: &Bytes, rows: usize) {
    for _ in 0..rows {
        let _receipt = q.push(Row::new(payload.clone())).unwrap();
    }
}

fn push_batch(q: &Queue, payload: &Bytes, rows: usize) {
    let _receipts = q.push_batch((0..rows).map(|_| Row::new(payload.clone()))).unwrap();
}

/// Allocations per row of pushing with commits, and of draining.
fn allocations(push: fn(&Queue, &Bytes, usize)) -> (f64, f64) {
    let dir = tempfile::tempdir().unwrap();
    let (q, payload) = (queue(dir.path()), Bytes::from(vec![7; 200]));
    let mut hub = q.consumer("hub").unwrap();
    let (mut pushing, mut draining) = (0, 0);
    // The first round makes what later ones use again.
    for round in 0..2 {
        let start = CALLS.get();
        for _ in 0..COMMITS {
            push(&q, &payload, COMMIT_ROWS);
            q.commit().unwrap();
        }
        let pushed = CALLS.get();
        let mut drained = 0;
        while drained < COMMITS * COMMIT_ROWS {
            let chunk = hub.lease(LEASE_ROWS, Wait::None).unwrap();
            drained += chunk.len();
            chunk.ack();
            q.tick();
        }
        if round == 1 {
            (pushing, draining) = (pushed - start, CALLS.get() - pushed);
        }
    }
    let per_row = |calls: u64| calls as f64 / (COMMITS * COMMIT_ROWS) as f64;
    (per_row(pushing), per_row(draining))
}

#[test]
fn promise_6_rows_share_their_allocations() {
    for (how, push) in [("batch", push_batch as fn(&Queue, &Bytes, usize)), ("singly", push_singly)] {
        let (pushing, draining) = allocations(push);
        println!("allocations per row, pushed as {how}: {pushing:.3} in, {draining:.3} out");
        assert!(pushing <= 0.06, "{pushing} allocations per row pushed as {how}");
        assert!(draining <= 0.3, "{draining} allocations per row drained");
    }
}

#[test]
fn promise_6_a_waiting_row_takes_a_stated_amount_of_ram() {
    const ROWS: usize = 20_000;
    for (how, push) in [("batch", push_batch as fn(&Queue, &Bytes, usize)), ("singly", push_singly)] {
        let dir = tempfile::tempdir().unwrap();
        let (q, payload) = (queue(dir.path()), Bytes::from(vec![7; 200]));
        let _hub = q.consumer("hub").unwrap();
        let before = BYTES.get();
        push(&q, &payload, ROWS);
        let per_row = (BYTES.get() - before) as f64 / ROWS as f64;
        println!("bytes of RAM per waiting row besides its payload, pushed as {how}: {per_row:.0}");
        assert!(q.stats().unwritten_bytes > 0, "they wait");
        // Its entry, and room for the list to grow into.
        assert!((192.0..=420.0).contains(&per_row), "{per_row} bytes per waiting row pushed as {how}");
    }
}
