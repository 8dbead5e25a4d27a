//! Prints the sizing table of `docs/guide/sizing.md`: what an outage takes of disk and RAM, and what it wears of the flash.
//!
//! `cargo run --release -p edge-queue --example sizing`
//!
//! Not run by the tests.
#![allow(clippy::print_stdout, clippy::disallowed_macros, reason = "it prints a table")]

use std::error::Error;
use std::sync::Arc;

use edge_queue::testing::SimDir;
use edge_queue::{Config, ManualClock, Now, Queue, ROW_OVERHEAD_BYTES, Row};

const MIB: f64 = 1024.0 * 1024.0;
const DAY_S: u64 = 86_400;
const RATES: [(u64, usize); 5] = [(1, 200), (30, 200), (300, 200), (3_000, 200), (300, 2_000)];
const HOURS: [u64; 3] = [1, 24, 72];
/// Simulated: the first part writes every segment once, the second is measured.
const SECONDS: u64 = 600;

fn main() -> Result<(), Box<dyn Error>> {
    println!("| messages/s | bytes | outage | `max_bytes` | disk | RAM | flash, per day offline |");
    println!("|---|---|---|---|---|---|---|");
    for (rate, bytes) in RATES {
        let wear = store_bytes_per_day(rate, bytes)?;
        for hours in HOURS {
            let limit = rate * (bytes as u64 + ROW_OVERHEAD_BYTES) * hours * 3_600;
            let config = Config::default().max_messages(u64::MAX / 4).max_bytes(limit.max(1024 * 1024));
            let sizes = [limit, config.disk_bytes(), config.ram_bytes(1), wear].map(human);
            println!("| {rate} | {bytes} | {hours} h | {} |", sizes.join(" | "));
        }
    }
    Ok(())
}

fn human(bytes: u64) -> String {
    let mib = bytes as f64 / MIB;
    if mib < 1_024.0 { format!("{mib:.1} MiB") } else { format!("{:.1} GiB", mib / 1_024.0) }
}

/// Returns what the store writes while no consumer acknowledges anything, with one commit a second, once every segment was
/// written before.
fn store_bytes_per_day(rate: u64, bytes: usize) -> Result<u64, Box<dyn Error>> {
    let config = Config::default().max_bytes(8 * 1024 * 1024).lanes(1);
    let clock = Arc::new(ManualClock::new(Now::default()));
    let queue = Queue::open_in(Box::new(SimDir::new()), config.clone(), clock.clone())?;
    drop(queue.consumer("hub")?);
    let second = |queue: &Queue| -> Result<(), Box<dyn Error>> {
        for _ in 0..rate {
            let _receipt = queue.push(Row::new(vec![0; bytes]))?;
        }
        clock.advance_ms(1_000);
        queue.tick();
        Ok(())
    };
    while queue.stats().store.bytes_written < 2 * config.disk_bytes() {
        second(&queue)?;
    }
    let before = queue.stats().store.bytes_written;
    for _ in 0..SECONDS {
        second(&queue)?;
    }
    Ok((queue.stats().store.bytes_written - before) * (DAY_S / SECONDS))
}
