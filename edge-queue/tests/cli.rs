//! The `edge-queue` binary on real files (promise 2): exit codes 0, 1 and 2, and a directory that stays as it was.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use std::time::SystemTime;

use edge_queue::{Config, Key, OnFull, Queue, Row, Wait};

fn config() -> Config {
    Config::default().max_bytes(1 << 20).on_full(OnFull::Reject)
}

fn run(arguments: &[&Path]) -> (i32, String, String) {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_edge-queue")).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// Every file with its content and when it was changed.
fn files(dir: &Path) -> BTreeMap<String, (Vec<u8>, SystemTime)> {
    let entry = |entry: std::fs::DirEntry| {
        let changed = entry.metadata().unwrap().modified().unwrap();
        (entry.file_name().into_string().unwrap(), (std::fs::read(entry.path()).unwrap(), changed))
    };
    std::fs::read_dir(dir).unwrap().map(|e| entry(e.unwrap())).collect()
}

#[test]
fn a_backlog_is_looked_at_moved_and_delivered_by_command_line() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    let (spool, export, target) = (path("spool"), path("backlog.edgx"), path("target"));
    let of = |command: &'static str| -> &'static Path { Path::new(command) };
    let queue = Queue::open(&spool, config()).unwrap();
    let rows: Vec<_> = (0..100u8).map(|n| queue.push(Row::new(vec![n])).unwrap()).collect();
    queue.commit().unwrap();
    drop(rows);
    let (code, _, said) = run(&[of("check"), &spool]);
    assert_eq!((code, said.contains("open")), (1, true), "busy: {said}");
    let (code, _, said) = run(&[of("export"), &spool, &export]);
    assert_eq!((code, said.contains("`edge-gateway backup OUT --state DIR`")), (1, true), "{said}");
    assert!(!export.exists(), "nothing was exported");
    queue.close().unwrap();

    let before = files(&spool);
    for command in ["check", "stats", "dump"] {
        let (code, said, _) = run(&[of(command), &spool]);
        assert_eq!((code, said.is_empty()), (0, false), "{command}: {said}");
    }
    let (code, said, _) = run(&[of("export"), &spool, &export]);
    assert_eq!((code, said.contains("100 rows")), (0, true), "{said}");
    assert!(files(&spool) == before, "a byte or a time changed");
    let (code, _, said) = run(&[of("export"), &spool, &export]);
    assert_eq!(code, 2, "an export never writes over a file: {said}");

    let (code, said, _) = run(&[of("import"), &export, &target]);
    assert_eq!(code, 0, "{said}");
    let (code, _, said) = run(&[of("import"), &export, &target]);
    assert_eq!(code, 2, "an import never adds to a queue: {said}");
    let queue = Queue::open(&target, config()).unwrap();
    let mut hub = queue.consumer("hub").unwrap();
    let payloads: Vec<u8> = hub.lease(200, Wait::None).unwrap().into_iter().map(|l| l.payload()[0]).collect();
    assert!(payloads.into_iter().eq(0..100));
}

#[test]
fn damage_is_exit_1_and_a_wrong_command_line_exit_2() {
    let home = tempfile::tempdir().unwrap();
    let spool = home.path().join("spool");
    let queue = Queue::open(&spool, config()).unwrap();
    drop(queue.push(Row::new("x")).unwrap());
    queue.close().unwrap();
    let ring = spool.join("queue.ring");
    let mut bytes = std::fs::read(&ring).unwrap();
    bytes[..8192].fill(0);
    std::fs::write(&ring, bytes).unwrap();
    let of = |command: &'static str| -> &'static Path { Path::new(command) };
    let (code, said, _) = run(&[of("check"), &spool]);
    assert_eq!((code, said.contains("both superblocks are damaged")), (1, true), "{said}");
    let (code, said, _) = run(&[of("check"), &spool, of("--json")]);
    assert_eq!((code, said.contains("\"ok\":false")), (1, true), "{said}");
    let (code, said, _) = run(&[of("salvage"), &spool, &home.path().join("out")]);
    assert_eq!((code, said.contains("1 rows and 0 losses")), (1, true), "{said}");
    for wrong in [&[of("check")][..], &[of("no-such-command")], &[of("check"), &home.path().join("nowhere")]]
    {
        assert_eq!(run(wrong).0, 2, "{wrong:?}");
    }
    assert_eq!(run(&[of("check"), home.path()]).0, 2, "no queue there");
}

#[test]
fn an_encrypted_queue_is_looked_at_and_moved_with_its_key_alone() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    let (spool, export, target, plain) = (path("spool"), path("out.edgx"), path("target"), path("plain"));
    let (key, other, none) = (path("key"), path("other"), path("none"));
    std::fs::write(&key, "07".repeat(32)).unwrap();
    std::fs::write(&other, [1; 32]).unwrap();
    std::fs::write(&none, "a password").unwrap();
    let encrypted = || config().encryption(Key::new([7; 32]));
    let queue = Queue::open(&spool, encrypted()).unwrap();
    drop(queue.push(Row::new("secret")).unwrap());
    queue.close().unwrap();
    let before = files(&spool);
    let of = |word: &'static str| -> &'static Path { Path::new(word) };
    let (code, said, _) = run(&[of("check"), &spool, of("--key-file"), &key]);
    assert_eq!((code, said.contains("format 2")), (0, true), "{said}");
    let (code, said, _) = run(&[of("--key-file"), &key, of("dump"), &spool]);
    assert_eq!((code, said.contains("\"payload\":\"secret\"")), (0, true), "{said}");
    for command in ["check", "stats", "dump"] {
        let (code, _, said) = run(&[of(command), &spool]);
        assert_eq!((code, said.contains("there is no key")), (2, true), "{command}: {said}");
        let (code, _, said) = run(&[of(command), &spool, of("--key-file"), &other]);
        assert_eq!((code, said.contains("another key")), (2, true), "{command}: {said}");
        let (code, _, said) = run(&[of(command), &spool, of("--key-file"), &none]);
        assert_eq!((code, said.contains("10 bytes are no key")), (2, true), "{command}: {said}");
    }
    assert_eq!(run(&[of("export"), &spool, &export, of("--key-file"), &key]).0, 0);
    assert!(files(&spool) == before, "a byte or a time changed");
    assert_eq!(run(&[of("import"), &export, &target, of("--key-file"), &key]).0, 0);
    assert_eq!(run(&[of("import"), &export, &plain]).0, 0);
    assert_eq!(Queue::open(&target, encrypted()).unwrap().stats().messages, 1);
    assert_eq!(Queue::open(&plain, config()).unwrap().stats().messages, 1);
    let (code, _, said) = run(&[of("check"), &plain, of("--key-file"), &key]);
    assert_eq!((code, said.contains("takes no key")), (2, true), "{said}");
}
