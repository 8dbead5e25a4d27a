//! What a commit writes: `queue.store_bytes.*` as the store counts it, `queue.amplification.*` as the system counts the
//! bytes given to `write`, `queue.device_bytes.*` as the device counts what arrives.

use std::path::Path;

use edge_queue::StoreKind;

use super::incoming::MESSAGE_BYTES;
use super::mount::Disk;
use super::ours::Ours;
use super::peers::{self, Peer};
use super::{scratch, text};
use crate::measure::Figure;

/// Messages per commit: each alone, and a second's worth of a busy gateway.
const BATCHES: [usize; 2] = [1, 30];
/// Those of the write amplification table.
const TABLE: [usize; 5] = [1, 10, 30, 100, 1_000];
const COMMITS: u64 = 400;
/// So that a peer's table of large batches stays below the time it takes to read it.
const MESSAGES_MAX: u64 = 60_000;

pub(super) fn store_names() -> Vec<String> {
    BATCHES.map(|batch| format!("queue.store_bytes.ring.b{batch}")).to_vec()
}

pub(super) fn device_names() -> Vec<String> {
    per_peer("device_bytes", &BATCHES)
}

pub(super) fn amplification_names() -> Vec<String> {
    per_peer("amplification", &TABLE)
}

fn per_peer(what: &str, batches: &[usize]) -> Vec<String> {
    let names = |peer: &str| batches.iter().map(|b| format!("queue.{what}.{peer}.b{b}")).collect::<Vec<_>>();
    peers::NAMES.iter().flat_map(|peer| names(peer)).collect()
}

/// Bytes handed to the medium per commit once the ring has been round.
pub(super) fn store() -> Result<(), String> {
    let dir = scratch()?;
    let mut ours = Ours::open(dir.path(), StoreKind::Ring)?;
    ours.go_round()?;
    for batch in BATCHES {
        let before = ours.written();
        (0..COMMITS).try_for_each(|_| ours.commit(batch))?;
        let value = (ours.written() - before) as f64 / COMMITS as f64;
        print(format!("queue.store_bytes.ring.b{batch}"), value, "B/commit", batch, value);
    }
    Ok(())
}

/// The same for the system's count, as a multiple of the messages' bytes. The ring has been round; the others write their
/// usual growing files.
pub(super) fn amplification() -> Result<(), String> {
    let dir = scratch()?;
    let written = || given_to_write().map(|bytes| (bytes, 0));
    for name in peers::NAMES {
        for batch in TABLE {
            let path = dir.path().join(format!("{name}{batch}"));
            let (bytes, _flushes) = per_commit(name, &path, batch, &written)?;
            let payload = (batch * MESSAGE_BYTES) as f64;
            print(format!("queue.amplification.{name}.b{batch}"), bytes / payload, "B/B", batch, bytes);
        }
    }
    Ok(())
}

/// The same for the device's count.
pub(super) fn device() -> Result<(), String> {
    let disk = match Disk::new("2G") {
        Ok(disk) => disk,
        Err(reason) => {
            eprintln!("queue.device_bytes: skipped: {reason}");
            return Ok(());
        }
    };
    for name in peers::NAMES {
        for batch in BATCHES {
            let path = disk.path().join(format!("{name}{batch}"));
            let (bytes, flushes) = per_commit(name, &path, batch, &|| disk.settled())?;
            print(format!("queue.device_bytes.{name}.b{batch}"), bytes, "B/commit", batch, bytes);
            eprintln!("queue.device_bytes.{name}.b{batch}: {flushes:.2} flushes per commit");
        }
    }
    Ok(())
}

/// What `counters` say that one commit costs a peer: bytes and flushes.
fn per_commit(
    name: &str,
    path: &Path,
    batch: usize,
    counters: &dyn Fn() -> Result<(u64, u64), String>,
) -> Result<(f64, f64), String> {
    let mut peer = peers::one(name, path, true)?;
    let commits = COMMITS.min(MESSAGES_MAX / batch as u64);
    (0..5).try_for_each(|_| peer.commit(batch))?;
    let before = counters()?;
    (0..commits).try_for_each(|_| peer.commit(batch))?;
    let after = counters()?;
    let each = |after: u64, before: u64| after.saturating_sub(before) as f64 / commits as f64;
    Ok((each(after.0, before.0), each(after.1, before.1)))
}

/// Bytes this process gave to `write` and its relatives.
fn given_to_write() -> Result<u64, String> {
    let io = std::fs::read_to_string("/proc/self/io").map_err(text)?;
    let line = io.lines().find_map(|line| line.strip_prefix("wchar: "));
    line.and_then(|value| value.parse().ok()).ok_or_else(|| "no wchar in /proc/self/io".to_owned())
}

fn print(figure: String, value: f64, unit: &'static str, batch: usize, bytes: f64) {
    let ratio = Some(bytes / (batch * MESSAGE_BYTES) as f64);
    Figure { figure, value, unit, baseline: "payload".to_owned(), ratio, runs: 1 }.print();
}
