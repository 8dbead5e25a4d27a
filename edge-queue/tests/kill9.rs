//! kill -9 of a writing process, again and again on the same directory (promises 1 and 2). This shows process crashes
//! only: the page cache survives them. Lost syncs are shown by `crash.rs` and `power_cut_ext4.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

#[path = "common/stores.rs"]
mod stores;
#[path = "common/writer.rs"]
mod writer;

use edge_queue::medium::os::OsDir;
use edge_queue::testing::{Rng, budget_percent, seed};
use writer::Account;

const DIR: &str = "EDGE_QUEUE_KILL9_DIR";
const STORE: &str = "EDGE_QUEUE_KILL9_STORE";
const ROUNDS_FULL: u64 = 60;

#[test]
fn what_was_receipted_survives_kill_9() {
    for (name, open) in stores::DURABLE {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_str().unwrap();
        let (mut account, mut rng) = (Account::default(), Rng::new(seed()));
        let rounds = (ROUNDS_FULL * budget_percent()).div_ceil(100).max(5);
        for round in 0..rounds {
            let (mut child, mut lines) =
                writer::spawn("the_writer_alone_loses_nothing", &[(DIR, path), (STORE, name)]);
            let acks = usize::try_from(rng.between(1, 80)).unwrap();
            let seen = account.listen(&mut lines, acks);
            child.kill().unwrap();
            account.listen(&mut lines, usize::MAX);
            let status = child.wait().unwrap();
            assert_eq!(seen, acks, "{name}, round {round}: the writer ended by itself: {status}");
            let lost = account.lost(open, Box::new(OsDir::new(path).unwrap()));
            assert!(lost.is_empty(), "{name}, round {round}: lost {lost:?}");
        }
        println!("executed kill9.{name}: {rounds} cases");
    }
}

/// Plays the writer when the variables say so; alone it runs for a while and nothing may be missing.
#[test]
fn the_writer_alone_loses_nothing() {
    if let (Ok(path), Ok(name)) = (std::env::var(DIR), std::env::var(STORE)) {
        let open = stores::by_name(&name);
        println!();
        writer::write(open, Box::new(OsDir::new(path).unwrap()), u64::MAX, &mut std::io::stdout());
        return;
    }
    for (name, open) in stores::DURABLE {
        let dir = tempfile::tempdir().unwrap();
        let mut printed = Vec::new();
        writer::write(open, Box::new(OsDir::new(dir.path()).unwrap()), 30, &mut printed);
        let mut account = Account::default();
        let text = String::from_utf8(printed).unwrap();
        assert_eq!(account.listen(&mut text.lines().map(str::to_owned), usize::MAX), 30, "{name}");
        assert!(account.lost(open, Box::new(OsDir::new(dir.path()).unwrap())).is_empty(), "{name}");
    }
}
