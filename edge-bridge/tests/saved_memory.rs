//! Memory while saved clients are restored, whatever is in their bytes. Promise 12.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![allow(unsafe_code, reason = "a counting allocator has to implement GlobalAlloc")]

#[path = "listener_support/mod.rs"]
mod listener_support;
#[path = "support/random.rs"]
#[allow(unreachable_pub, reason = "each test uses a part")]
mod random;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use edge_bridge::listener::Config;
use edge_bridge::wire::{Packet, Publish, QoS, Version};
use listener_support::*;
use random::Rng;

struct Counting;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static MOST: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread that is being torn down has no counter any more; it is not one that we measure.
        let held = HELD.try_with(|held| {
            held.set(held.get().wrapping_add(layout.size()));
            held.get()
        });
        let _ = MOST.try_with(|most| most.set(most.get().max(held.unwrap_or(0))));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        let _ = HELD.try_with(|held| held.set(held.get().wrapping_sub(layout.size())));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes of the largest file that the gateway reads.
const FILE_MAX: usize = 4 << 20;

/// Returns the most memory that a restore takes beyond what it leaves.
fn memory(saved: &[u8], config: &Config) -> usize {
    let mut site = Site::new(config.clone());
    let begin = HELD.get();
    MOST.set(begin);
    let restored = site.listener.restore(site.now, saved);
    let (most, left) = (MOST.get() - begin, HELD.get() - begin);
    drop(restored);
    most - left
}

/// So many retained messages with payloads of so many bytes, saved.
fn full(messages: usize, bytes: usize, config: &Config) -> Vec<u8> {
    let mut site = Site::new(config.clone());
    let publisher = site.client("pub", Version::V5);
    for n in 0..messages {
        let text = "x".repeat(bytes);
        let retained =
            Publish { retain: true, qos: QoS::AtMostOnce, packet_id: None, ..message(&n.to_string(), &text) };
        site.send(publisher, &[Packet::Publish(retained)]);
    }
    site.listener.save(site.now).bytes
}

fn large() -> Config {
    let mut config = Config::default();
    (config.max_retained, config.max_retained_bytes, config.max_memory) = (100_000, 64 << 20, 256 << 20);
    config
}

#[test]
fn a_full_file_takes_a_few_times_its_size() {
    let config = large();
    // Measured: 10.0 MB, 3.1 MB, and 1.1 MB. Short messages take more in memory than in the file.
    let cases =
        [(40_000, 1, 10_500_000), (10_000, 60, 3_300_000), (20, 50_000, 1_200_000), (4, 250_000, 1_600_000)];
    for (messages, bytes, bound) in cases {
        let mut saved = full(messages, bytes, &config);
        assert!((500_000..=1_050_000).contains(&saved.len()), "{} bytes", saved.len());
        for damaged in [false, true] {
            if damaged {
                // A part of the records.
                (0..saved.len()).step_by(5_000).for_each(|at| saved[at] ^= 0x55);
            }
            let most = memory(&saved, &config);
            println!("{messages} messages of {bytes} bytes in {}: {most} bytes", saved.len());
            assert!(most <= bound, "{most} bytes for {messages} messages of {bytes}");
        }
    }
}

#[test]
fn what_is_no_such_file_takes_no_more_than_itself() {
    let mut random = Rng::new(1);
    let noise: Vec<u8> = (0..FILE_MAX).map(|_| u8::try_from(random.below(256)).unwrap()).collect();
    let short: Vec<u8> = (0..FILE_MAX).map(|at| u8::from(at % 2 == 1)).collect();
    let version_1: Vec<u8> = (0..FILE_MAX).map(|at| u8::from(at % 2 == 0)).collect();
    let long: Vec<u8> = (0..FILE_MAX).map(|at| if at % 20 == 0 { 0 } else { 20 }).collect();
    for bytes in [noise, short, version_1, long, vec![0; FILE_MAX], vec![255; FILE_MAX]] {
        let most = memory(&bytes, &Config::default());
        println!("{most} bytes");
        assert!(most <= FILE_MAX + 1_000, "{most} bytes");
    }
}
