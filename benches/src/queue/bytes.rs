//! Bytes of a commit: `queue.store_bytes.*` as the store counts it, `queue.device_bytes.*` as the device counts what
//! arrives there. Their ratio to the messages' bytes is the write amplification.

use edge_queue::StoreKind;

use super::incoming::MESSAGE_BYTES;
use super::mount::Disk;
use super::peer::Peer;
use super::peers::{self, Ours};
use super::scratch;
use crate::measure::Figure;

/// Messages per commit; 30 are a second's worth of a busy gateway.
const BATCHES: [usize; 5] = [1, 10, 30, 100, 1_000];
/// Those of a new ring, enough to write several segments for the first time.
const FIRST_LAP: [usize; 3] = [30, 100, 1_000];
const COMMITS: usize = 400;
/// Fewer commits of large batches: their bytes vary less.
const MESSAGES_MAX: usize = 60_000;

pub(super) fn store_names() -> Vec<String> {
    ["ring", "redb"].into_iter().flat_map(|peer| names("store_bytes", peer)).collect()
}

pub(super) fn device_names() -> Vec<String> {
    let first_lap = FIRST_LAP.map(|batch| format!("queue.device_bytes.ring_first_lap.b{batch}"));
    peers::NAMES.into_iter().flat_map(|peer| names("device_bytes", peer)).chain(first_lap).collect()
}

fn names(what: &str, peer: &str) -> Vec<String> {
    BATCHES.map(|batch| format!("queue.{what}.{peer}.b{batch}")).to_vec()
}

/// Bytes handed to the medium per commit, of the ring once it has been round.
pub(super) fn store() -> Result<(), String> {
    let dir = scratch()?;
    for (name, kind) in [("ring", StoreKind::Ring), ("redb", StoreKind::Redb)] {
        let mut ours = Ours::open(&dir.path().join(name), kind)?;
        if kind == StoreKind::Ring {
            ours.go_round()?;
        }
        for batch in BATCHES {
            let before = ours.written();
            (0..commits(batch)).try_for_each(|_| ours.commit(batch))?;
            print(format!("queue.store_bytes.{name}.b{batch}"), ours.written() - before, batch);
            ours.drain(1_000, 1_000)?;
        }
    }
    Ok(())
}

/// The same for the device's count, the file system's journal included.
pub(super) fn device() -> Result<(), String> {
    let disk = match Disk::new("2G") {
        Ok(disk) => disk,
        Err(reason) => {
            eprintln!("queue.device_bytes: skipped: {reason}");
            return Ok(());
        }
    };
    for name in peers::NAMES {
        let mut peer = peers::one(name, &disk.path().join(name), true)?;
        for batch in BATCHES {
            on_device(&disk, name, peer.as_mut(), batch)?;
        }
    }
    for batch in FIRST_LAP {
        let mut ring = peers::one("ring", &disk.path().join(format!("new{batch}")), false)?;
        on_device(&disk, "ring_first_lap", ring.as_mut(), batch)?;
    }
    Ok(())
}

fn on_device(disk: &Disk, name: &str, peer: &mut dyn Peer, batch: usize) -> Result<(), String> {
    (0..5).try_for_each(|_| peer.commit(batch))?;
    let (bytes, flushes) = disk.settled()?;
    (0..commits(batch)).try_for_each(|_| peer.commit(batch))?;
    let (bytes_after, flushes_after) = disk.settled()?;
    print(format!("queue.device_bytes.{name}.b{batch}"), bytes_after.saturating_sub(bytes), batch);
    let flushes = flushes_after.saturating_sub(flushes) as f64 / commits(batch) as f64;
    eprintln!("queue.device_bytes.{name}.b{batch}: {flushes:.2} flushes per commit");
    peer.drain(1_000, 1_000).map(drop)
}

fn commits(batch: usize) -> usize {
    COMMITS.min(MESSAGES_MAX / batch)
}

fn print(figure: String, bytes: u64, batch: usize) {
    let value = bytes as f64 / commits(batch) as f64;
    let ratio = Some(value / (batch * MESSAGE_BYTES) as f64);
    Figure { figure, value, unit: "B/commit", baseline: "payload".to_owned(), ratio, runs: commits(batch) }
        .print();
}
