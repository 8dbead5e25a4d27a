//! Files that a queue and its tools make on a real file system: their sizes, and their modes whatever the umask.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use edge_queue::testing::SimDir;
use edge_queue::{Config, Queue, Row, StoreKind, SystemClock};

fn config(kind: StoreKind) -> Config {
    Config::default().store(kind).max_bytes(1 << 20)
}

/// Mode of everything below a path, itself included, by name.
fn modes(path: &Path, found: &mut BTreeMap<String, u32>) {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    found.insert(name, fs::metadata(path).unwrap().permissions().mode() & 0o7777);
    if path.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| modes(&entry.unwrap().path(), found));
    }
}

fn all_private(path: &Path) -> Vec<String> {
    let mut found = BTreeMap::new();
    modes(path, &mut found);
    for (name, mode) in &found {
        assert!([0o700, 0o600].contains(mode), "{name} has mode {mode:o}");
    }
    found.into_keys().collect()
}

#[test]
fn a_spool_and_what_is_set_aside_in_it_are_private() {
    for (kind, file) in [(StoreKind::Ring, "queue.ring"), (StoreKind::Redb, "queue.redb")] {
        let home = tempfile::tempdir().unwrap();
        let spool = home.path().join("a/spool");
        let q = Queue::open(&spool, config(kind)).unwrap();
        drop(q.push(Row::new("x")).unwrap());
        q.close().unwrap();
        assert!(all_private(&home.path().join("a")).contains(&"lock".to_owned()));
        fs::write(spool.join(file), vec![1; 100_000]).unwrap();
        Queue::open(&spool, config(kind)).unwrap().close().unwrap();
        assert!(all_private(&spool).contains(&"bad".to_owned()), "{kind:?}");
    }
}

#[test]
fn a_directory_that_exists_keeps_its_mode() {
    let home = tempfile::tempdir().unwrap();
    let spool = home.path().join("spool");
    fs::create_dir(&spool).unwrap();
    fs::set_permissions(&spool, fs::Permissions::from_mode(0o750)).unwrap();
    Queue::open(&spool, config(StoreKind::Ring)).unwrap().close().unwrap();
    assert_eq!(fs::metadata(&spool).unwrap().permissions().mode() & 0o777, 0o750);
}

/// In processes of their own: a umask belongs to all threads of one.
#[test]
fn no_umask_opens_or_locks_what_the_tools_make() {
    for umask in ["000", "022", "077", "277"] {
        let home = tempfile::tempdir().unwrap();
        let (spool, stream, moved) =
            (home.path().join("spool"), home.path().join("backlog.edgx"), home.path().join("moved"));
        let q = Queue::open(&spool, config(StoreKind::Ring)).unwrap();
        drop(q.push(Row::new("x")).unwrap());
        q.close().unwrap();
        for (command, from, to) in [("export", &spool, &stream), ("import", &stream, &moved)] {
            let tool = env!("CARGO_BIN_EXE_edge-queue");
            let script = format!("umask {umask}; exec \"$0\" {command} \"$1\" \"$2\"");
            let run = Command::new("sh").args(["-c", &script, tool]).args([from, to]).output().unwrap();
            assert!(run.status.success(), "umask {umask}: {}", String::from_utf8_lossy(&run.stderr));
        }
        all_private(&stream);
        assert!(all_private(&moved).contains(&"queue.ring".to_owned()), "umask {umask}");
    }
}

/// The figure of both READMEs.
#[test]
fn an_open_with_defaults_reserves_159_mb() {
    let home = tempfile::tempdir().unwrap();
    let spool = home.path().join("spool");
    Queue::open(&spool, Config::default()).unwrap().close().unwrap();
    let len = fs::metadata(spool.join("queue.ring")).unwrap().len();
    assert_eq!((len, Config::default().disk_bytes()), (159_391_744, 159_391_744));
}

#[test]
fn an_open_without_room_says_how_much_is_reserved_and_what_to_lower() {
    let dir = SimDir::new();
    dir.set_capacity(1 << 20);
    let refused = Queue::open_in(Box::new(dir), Config::default(), Arc::new(SystemClock::new())).map(drop);
    let said = refused.unwrap_err().to_string();
    assert!(said.contains("reserves 159391744 bytes") && said.contains("lower max_bytes"), "{said}");
}
