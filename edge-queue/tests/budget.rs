//! Promise 6: a queue made for a budget of disk and RAM stays within it, and the figures that say so are true.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![allow(unsafe_code, reason = "a counting allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use edge_queue::testing::{Rng, budget_percent, seed};
use edge_queue::{Config, ConsumerConfig, Lane, ManualClock, Now, OnFull, Order, Queue, Row, Wait};

struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn add(bytes: usize) {
    let now = IN_USE.fetch_add(bytes, Ordering::Relaxed) + bytes;
    PEAK.fetch_max(now, Ordering::Relaxed);
}

// SAFETY: every call goes to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(ptr, layout) }
    }
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // The old block lives until it is copied.
        add(new_size);
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// Fills the queue beyond its limits in the worst way for RAM, and reads it, as two consumers do.
fn use_hard(dir: &Path, config: &Config, rng: &mut Rng) {
    let clock = Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1_000, ..Now::default() }));
    let q = Queue::open_with_clock(dir, config.clone(), clock).unwrap();
    let mut hub = q.consumer("hub").unwrap();
    let limited = ConsumerConfig::default().max_messages(500);
    let mut log = q.consumer_with("log", limited).unwrap();
    // One size per run: many small rows fill entries, large ones buffers.
    let row = 1 << rng.between(2, 12);
    let limit = config.disk_bytes().min(24 * MIB);
    let mut pushed = 0;
    while pushed < limit {
        let lane = if rng.one_in(8) { Lane::ALARM } else { Lane::TELEMETRY };
        let Ok(_pending) = q.push(Row::new(vec![7; row]).lane(lane)) else { break };
        pushed += row as u64 + 100;
        if rng.one_in(3_000) {
            for consumer in [&mut hub, &mut log] {
                drop(consumer.lease(3, Wait::None).unwrap());
                consumer.lease(8, Wait::None).unwrap().ack();
            }
        }
    }
    for _ in 0..200 {
        hub.lease(5, Wait::None).unwrap().ack();
        log.lease(5, Wait::None).unwrap().ack();
    }
    q.close().unwrap();
}

fn dir_bytes(dir: &Path) -> u64 {
    let files = std::fs::read_dir(dir).unwrap().map(Result::unwrap);
    // A line or two about the machine are not of the queue's size.
    files.filter(|file| file.file_name() != "machine").map(|file| file.metadata().unwrap().len()).sum()
}

/// One test in this file: the allocator counts the whole process.
#[test]
fn promise_6_a_queue_made_for_a_budget_stays_within_it() {
    let mut rng = Rng::new(seed());
    let cases = (24 * budget_percent() / 100).max(4);
    let mut least = 100;
    for case in 0..cases {
        let (disk, ram) = (rng.between(MIB, 48 * MIB), rng.between(3 * MIB, 24 * MIB));
        let config = Config::for_budget(disk, ram).unwrap();
        config.validate().unwrap();
        assert!(config.disk_bytes() <= disk && config.disk_bytes() * 10 >= disk * 6, "{disk}: {config:?}");
        assert!(config.ram_bytes(2) <= ram, "{ram}: {config:?}");
        let (order, full) = (Order::live_first(), [OnFull::DropOldest, OnFull::Reject]);
        let config = config.order(order).on_full(full[(case % 2) as usize]);
        let dir = tempfile::tempdir().unwrap();
        let before = IN_USE.load(Ordering::Relaxed);
        PEAK.store(before, Ordering::Relaxed);
        use_hard(dir.path(), &config, &mut rng);
        let peak = (PEAK.load(Ordering::Relaxed) - before) as u64;
        assert_eq!(dir_bytes(dir.path()), config.disk_bytes());
        let estimate = config.ram_bytes(2);
        least = least.min(peak * 100 / estimate);
        println!("{disk:9} {ram:9} peak {peak:9} of {estimate:9} {}%", peak * 100 / estimate);
        assert!(peak <= estimate, "{peak} bytes of RAM, {estimate} were estimated: {config:?}");
    }
    println!("executed budget: {cases} cases");
    assert!(least >= 10, "an estimate of {least} times too much helps nobody");
}
