//! Promise 11 on a real ext4 for root: somebody else fills the file system while the queue runs, it is too small from the
//! start, it hangs (frozen), it is aborted and read-only. The simulated twins are in `disk_full.rs` and `stalled.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![allow(clippy::disallowed_methods, reason = "files of others, and a second thread")]

#[path = "common/ext4.rs"]
mod ext4;
#[path = "common/watchdog.rs"]
mod watchdog;

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use edge_queue::{
    Config, Consumer, FaultKind, Health, ManualClock, Now, OpenError, Pending, Queue, Receipt, Row,
    StoreKind, Wait,
};
use ext4::{Disk, path, run};
use watchdog::must_end;

fn open(disk: &Disk, kind: StoreKind) -> Result<(Queue, Arc<ManualClock>), OpenError> {
    let clock = Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1_000, ..Now::default() }));
    let config = Config::default().store(kind).max_bytes(4 << 20).max_unwritten_bytes(400_000);
    Ok((Queue::open_with_clock(disk.mount.join("spool"), config, clock.clone())?, clock))
}

fn push(q: &Queue, count: usize) -> Vec<Pending> {
    (0..count).map_while(|_| q.push(Row::new(vec![7; 900])).ok()).collect()
}

fn drain(hub: &mut Consumer, rows: usize) -> usize {
    let chunk = hub.lease(rows, Wait::None).unwrap();
    let taken = chunk.len();
    chunk.ack();
    taken
}

/// Somebody else's file takes every block that is left.
fn fill(disk: &Disk) -> PathBuf {
    let name = disk.mount.join("filler");
    let mut file = std::fs::File::create(&name).unwrap();
    for piece in [1 << 20, 4096, 1] {
        while file.write_all(&vec![1; piece]).is_ok() {}
    }
    let _full = file.sync_all();
    name
}

fn fault(q: &Queue) -> Option<FaultKind> {
    match q.stats().health {
        Health::Degraded { kind, .. } => Some(kind),
        _ => None,
    }
}

fn all_stored(receipts: &[Pending]) -> bool {
    receipts.iter().all(|receipt| receipt.try_get() == Ok(Some(Receipt::Stored)))
}

#[test]
#[ignore = "needs root and loop devices: cargo test -p edge-queue --test disk_full_ext4 -- --ignored"]
fn the_ring_goes_on_for_laps_on_a_full_disk_and_opens_on_it() {
    must_end(|| {
        let disk = Disk::new("64M");
        let (mut q, _) = open(&disk, StoreKind::Ring).unwrap();
        let mut hub = q.consumer("hub").unwrap();
        push(&q, 100).into_iter().for_each(drop);
        q.commit().unwrap();
        fill(&disk);
        // Four laps, with a restart on the full disk in between; most of the first one goes into space that was only
        // reserved.
        for lap in 0..2 {
            for _ in 0..200 {
                let receipts = push(&q, 100);
                q.commit().unwrap();
                assert!(all_stored(&receipts), "lap {lap}");
                drain(&mut hub, 60);
            }
            assert_eq!(fault(&q), None);
            drop(hub);
            q.close().unwrap();
            q = open(&disk, StoreKind::Ring).unwrap().0;
            hub = q.consumer("hub").unwrap();
            assert_eq!(drain(&mut hub, 100), 100);
        }
        assert_eq!(q.stats().store.quarantined, 0);
    });
}

#[test]
#[ignore = "needs root and loop devices: cargo test -p edge-queue --test disk_full_ext4 -- --ignored"]
fn redb_on_a_full_disk_drains_accepts_again_and_opens_on_it() {
    must_end(|| {
        let disk = Disk::new("64M");
        let (q, clock) = open(&disk, StoreKind::Redb).unwrap();
        let mut hub = q.consumer("hub").unwrap();
        push(&q, 2_000).into_iter().for_each(drop);
        q.commit().unwrap();
        let filler = fill(&disk);
        let mut receipts = Vec::new();
        for _ in 0..200 {
            receipts.extend(push(&q, 100));
            if q.commit().is_err() {
                break;
            }
        }
        assert_eq!(fault(&q), Some(FaultKind::DiskFull));
        let mut turns = 0;
        while fault(&q).is_some() {
            assert!(drain(&mut hub, 100) > 0, "all is drained and the disk still counts as full");
            clock.advance_ms(10_000);
            q.tick();
            turns += 1;
        }
        println!("redb on a full ext4: well again after {turns} times 100 rows drained");
        let again = push(&q, 20);
        q.commit().unwrap();
        assert!(all_stored(&again));
        // And over a restart on the disk that is still full.
        drop(hub);
        q.close().unwrap();
        let (q, clock) = open(&disk, StoreKind::Redb).unwrap();
        let mut hub = q.consumer("hub").unwrap();
        drain(&mut hub, 100);
        clock.advance_ms(10_000);
        q.tick();
        assert_eq!(fault(&q), None);
        std::fs::remove_file(filler).unwrap();
        let receipts = push(&q, 1_000);
        q.commit().unwrap();
        assert!(!receipts.is_empty() && all_stored(&receipts));
    });
}

#[test]
#[ignore = "needs root and loop devices: cargo test -p edge-queue --test disk_full_ext4 -- --ignored"]
fn a_disk_too_small_is_an_error_with_numbers() {
    for kind in [StoreKind::Ring, StoreKind::Redb] {
        let disk = Disk::new("8M");
        if kind == StoreKind::Redb {
            // It reserves nothing: only a disk without any room is too small.
            std::fs::create_dir(disk.mount.join("spool")).unwrap();
            fill(&disk);
        }
        match open(&disk, kind) {
            Err(error @ OpenError::NoSpace { needed, free, .. }) => {
                assert!(needed > free, "{kind:?}");
                println!("{kind:?}: {error}");
            }
            other => panic!("{kind:?}: {:?}", other.err()),
        }
    }
}

/// Thaws whatever happens, or the machine could not unmount it.
struct Frozen<'a>(&'a Disk);

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        let _ = Command::new("fsfreeze").arg("-u").arg(&self.0.mount).status();
    }
}

#[test]
#[ignore = "needs root and loop devices: cargo test -p edge-queue --test disk_full_ext4 -- --ignored"]
fn a_frozen_file_system_is_a_stall_and_thaws() {
    for kind in [StoreKind::Ring, StoreKind::Redb] {
        must_end(move || {
            let disk = Disk::new("64M");
            let (q, clock) = open(&disk, kind).unwrap();
            let mut hub = q.consumer("hub").unwrap();
            run("fsfreeze", &["-f", path(&disk.mount)]);
            let frozen = Frozen(&disk);
            let receipts = push(&q, 10);
            let other = q.clone();
            let commit = std::thread::spawn(move || other.commit());
            // The clock only moves once the commit is under way.
            while fault(&q).is_none() {
                if q.stats().overdue_ms == 0 {
                    clock.advance_ms(1);
                } else {
                    clock.advance_ms(5_000);
                }
                std::thread::yield_now();
            }
            assert_eq!(fault(&q), Some(FaultKind::Stalled), "{kind:?}");
            assert!(!push(&q, 10).is_empty());
            assert_eq!(drain(&mut hub, 3), 3);
            assert!(receipts.iter().all(|receipt| receipt.try_get() != Ok(Some(Receipt::Stored))));
            drop(frozen);
            commit.join().unwrap().unwrap();
            assert_eq!(fault(&q), None, "{kind:?}");
            assert!(all_stored(&receipts[3..]));
        });
    }
}

#[test]
#[ignore = "needs root and loop devices: cargo test -p edge-queue --test disk_full_ext4 -- --ignored"]
fn an_aborted_file_system_is_a_state_and_not_an_exit() {
    for kind in [StoreKind::Ring, StoreKind::Redb] {
        must_end(move || {
            let disk = Disk::new("64M");
            let (q, clock) = open(&disk, kind).unwrap();
            let mut hub = q.consumer("hub").unwrap();
            let stored = push(&q, 50);
            q.commit().unwrap();
            // What ext4 does to itself after an error of its journal.
            run("mount", &["-o", "remount,abort", path(&disk.mount)]);
            let waiting = push(&q, 50);
            for _ in 0..30 {
                assert!(q.commit().is_err());
                clock.advance_ms(10_000);
                q.tick();
            }
            let kind_now = fault(&q);
            println!("{kind:?} on an aborted ext4: {kind_now:?}");
            assert!(matches!(kind_now, Some(FaultKind::ReadOnly | FaultKind::Io)), "{kind:?}: {kind_now:?}");
            assert!(all_stored(&stored) && waiting.iter().all(|r| r.try_get() == Ok(None)));
            // Everything still goes out.
            assert_eq!(drain(&mut hub, 1_000), 100);
            assert!(q.close().is_err());
        });
    }
}
