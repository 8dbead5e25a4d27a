//! A power cut on a real ext4 (promises 1 and 2): an image on a loop device, shut down without a flush of its journal
//! while a process writes, so that everything not made durable is gone; then mounted again. The negative controls are a
//! medium whose sync does nothing, and a library that takes the system's syncs away.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

#[path = "common/ext4.rs"]
mod ext4;
#[path = "common/no_sync.rs"]
mod no_sync;
#[path = "common/stores.rs"]
mod stores;
#[path = "common/writer.rs"]
mod writer;

use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use edge_queue::medium::Dir;
use edge_queue::medium::os::OsDir;
use edge_queue::testing::{Rng, seed};
use ext4::Disk;
use no_sync::no_sync;
use writer::Account;

const DIR: &str = "EDGE_QUEUE_CUT_DIR";
const STORE: &str = "EDGE_QUEUE_CUT_STORE";
const LYING: &str = "EDGE_QUEUE_CUT_LYING";
const CUTS: u64 = 20;

#[test]
#[ignore = "needs root and loop devices: cargo test -p edge-queue --test power_cut_ext4 -- --ignored"]
fn what_was_receipted_survives_a_power_cut() {
    for (name, open) in stores::DURABLE {
        let lost = cut_often(name, open, CUTS, &[]);
        assert_eq!(lost, 0, "{name}");
        println!("executed power_cut_ext4.{name}: {CUTS} cases");
    }
}

#[test]
#[ignore = "needs root and loop devices: cargo test -p edge-queue --test power_cut_ext4 -- --ignored"]
fn a_sync_that_does_nothing_loses_rows() {
    for (name, open) in stores::DURABLE {
        let lost = cut_often(name, open, 3, &[(LYING, "1")]);
        assert!(lost > 0, "{name}: the rig does not notice a sync that does nothing");
    }
}

#[test]
#[ignore = "needs root, loop devices and libeatmydata1: cargo test -p edge-queue --test power_cut_ext4 -- --ignored"]
fn a_process_without_syncs_loses_rows() {
    let library = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"]
        .map(|folder| format!("{folder}/libeatmydata.so"))
        .into_iter()
        .find(|library| Path::new(library).exists())
        .expect("libeatmydata.so is not installed: apt-get install -y libeatmydata1");
    for (name, open) in stores::DURABLE {
        let lost = cut_often(name, open, 3, &[("LD_PRELOAD", &library)]);
        assert!(lost > 0, "{name}: the rig does not notice a process without syncs");
        println!("executed power_cut_ext4.{name} under libeatmydata: {lost} rows lost, as they must be");
    }
}

/// One disk at a time: a process forked for the other one would hold this one's files open for a moment.
static ONE_DISK: Mutex<()> = Mutex::new(());

/// Rows lost over `cuts` power cuts of one file system; `more` is added to the writer's environment.
fn cut_often(name: &str, open: stores::OpenStore, cuts: u64, more: &[(&str, &str)]) -> usize {
    let _one = ONE_DISK.lock().unwrap_or_else(PoisonError::into_inner);
    let disk = Disk::new("96M");
    let (mut account, mut rng, mut lost) = (Account::default(), Rng::new(seed()), 0);
    let spool = disk.mount.join("spool");
    for _ in 0..cuts {
        let path = spool.to_str().unwrap();
        let variables = [&[(DIR, path), (STORE, name)], more].concat();
        let (mut child, mut lines) = writer::spawn("the_writer_stops_at_the_first_error", &variables);
        let acks = usize::try_from(rng.between(1, 120)).unwrap();
        let seen = account.listen(&mut lines, acks);
        disk.cut();
        account.listen(&mut lines, usize::MAX);
        child.wait().unwrap();
        assert_eq!(seen, acks, "{name}: the writer ended before the cut");
        disk.remount();
        lost += account.lost(open, Box::new(OsDir::new(&spool).unwrap())).len();
        if lost > 0 {
            break;
        }
    }
    lost
}

/// Plays the writer when the variables say so; alone it shows that an error ends it.
#[test]
fn the_writer_stops_at_the_first_error() {
    if let (Ok(path), Ok(name)) = (std::env::var(DIR), std::env::var(STORE)) {
        let dir = OsDir::new(path).unwrap();
        let lying = std::env::var(LYING).is_ok_and(|lying| lying == "1");
        let dir: Box<dyn Dir> = if lying { no_sync(dir) } else { Box::new(dir) };
        println!();
        writer::write(stores::by_name(&name), dir, u64::MAX, &mut io::stdout());
        return;
    }
    for (name, open) in stores::DURABLE {
        let dir = edge_queue::testing::SimDir::new();
        dir.freeze_after(150);
        let mut printed = Vec::new();
        writer::write(open, Box::new(dir.clone()), u64::MAX, &mut printed);
        let mut account = Account::default();
        let text = String::from_utf8(printed).unwrap();
        assert!(account.listen(&mut text.lines().map(str::to_owned), usize::MAX) > 0, "{name}");
        let after = dir.crash(edge_queue::testing::Outcome::Lost, 1);
        assert!(account.lost(open, Box::new(after)).is_empty(), "{name}");
    }
}
