#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
#![cfg(feature = "encryption")]
//! `check` compares `[queue] key_file` with the queue in the state directory, also beside the gateway that has it open.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::free_port;
use support::gateway::{BINARY, Gateway};
use support::publisher::Publisher;

/// A gateway.toml beside `queue.key`, `other.key`, and the state directory; with this line for the key.
struct Site {
    dir: tempfile::TempDir,
    config: String,
    listen: std::net::SocketAddr,
}

impl Site {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, byte) in [("queue.key", 1), ("other.key", 2)] {
            let path = dir.path().join(name);
            fs::write(&path, [byte; 32]).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        let listen = free_port();
        let config = format!(
            "[gateway]\nid = \"g\"\n[local]\nlisten = \"{listen}\"\n[hub]\nurl = \"mqtt://127.0.0.1:1\"\n[[route]]\nmatch = \"plant/#\"\n[queue]\nmax_bytes = \"1MiB\"\n"
        );
        Self { dir, config, listen }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn start(&self, key: &str) -> Gateway {
        let mut gateway = Gateway::new(self.dir.path(), &format!("{}{key}", self.config));
        gateway.start();
        gateway
    }

    /// Exit code of `check` with this key, its report, and what it complains of.
    fn check(&self, key: &str) -> (Option<i32>, String, String) {
        let file = self.path("check.toml");
        fs::write(&file, format!("{}{key}", self.config)).unwrap();
        let mut command = Command::new(BINARY);
        let output = command.arg("check").arg(file).arg("--state").arg(self.path("state")).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }
}

/// Names and bytes of all files below a directory.
fn content(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(content(&path)),
            false if path.is_file() => files.push((path.clone(), fs::read(path).unwrap())),
            false => {}
        }
    }
    files.sort();
    files
}

const KEY: &str = "key_file = \"queue.key\"\n";
const OTHER: &str = "key_file = \"other.key\"\n";

#[test]
fn another_key_than_the_queue_s_is_found_beside_the_gateway_that_runs_and_after_it() {
    for (own, wrong) in [
        (
            KEY,
            [
                (OTHER, "the queue is encrypted with another key than that in OTHER ([queue] key_file): "),
                ("", "the queue is encrypted, and there is no key: [queue] key_file is not set: "),
            ],
        ),
        (
            "",
            [
                (KEY, "made without encryption and takes no key"),
                (OTHER, " The key is that in OTHER ([queue] key_file)"),
            ],
        ),
    ] {
        let site = Site::new();
        assert_eq!(site.check(own).0, Some(0));
        assert!(!site.path("state").exists(), "check makes nothing");
        let mut gateway = site.start(own);
        let mut sensor = Publisher::new(site.listen, "sensor", 10);
        sensor.publish("plant/a", "1");
        sensor.settle(0, 20);
        let (ring, other) = (site.path("state/queue.ring"), site.path("other.key"));
        let checks = || {
            let (code, report, said) = site.check(own);
            assert_eq!((code, said.as_str()), (Some(0), ""), "{said}");
            let key = site.path("queue.key");
            let line = match own {
                "" => "not encrypted: whoever has the disk can read what waits".to_owned(),
                _ => format!("encrypted with the key in {} ([queue] key_file)", key.display()),
            };
            let line = format!("  queue in {}: {line}\n", site.path("state").display());
            assert!(report.contains(&line), "{report}");
            for (key, words) in wrong {
                let (code, report, said) = site.check(key);
                let begin = format!("error: queue.key_file: {}: ", ring.display());
                let words = words.replace("OTHER", &other.display().to_string());
                assert!(code == Some(2) && said.starts_with(&begin) && said.contains(&words), "{said}");
                assert!(!report.contains("queue in "), "{report}");
            }
        };
        checks();
        assert_eq!(gateway.get("/readyz").unwrap().0, 200);
        gateway.terminate();
        let before = content(&site.path("state"));
        checks();
        assert!(content(&site.path("state")) == before, "check changes nothing");
        let mut gateway = site.start(own);
        assert_eq!(gateway.metric("edge_queue_messages"), Some(1.0));
        gateway.terminate();
    }
}

/// It is opened later than the other, and what the hub has refused stays there.
#[test]
fn the_queue_of_refused_messages_is_compared_too() {
    let site = Site::new();
    site.start(KEY).terminate();
    fs::rename(site.path("state"), site.path("former")).unwrap();
    site.start("").terminate();
    fs::create_dir(site.path("former/parked")).unwrap();
    fs::copy(site.path("state/queue.ring"), site.path("former/parked/queue.ring")).unwrap();
    fs::remove_dir_all(site.path("state")).unwrap();
    fs::rename(site.path("former"), site.path("state")).unwrap();
    let (code, _, said) = site.check(KEY);
    let begin = format!("error: queue.key_file: {}: ", site.path("state/parked/queue.ring").display());
    assert!(code == Some(2) && said.starts_with(&begin) && said.lines().count() == 1, "{said}");
}

#[test]
fn a_queue_that_cannot_be_looked_at_is_a_warning() {
    let site = Site::new();
    fs::create_dir(site.path("state")).unwrap();
    std::os::unix::fs::symlink("elsewhere", site.path("state/queue.ring")).unwrap();
    let (code, _, said) = site.check(KEY);
    assert_eq!(code, Some(0), "{said}");
    let ring = site.path("state/queue.ring");
    assert!(said.starts_with(&format!("warning: {}: ", ring.display())), "{said}");
    assert!(said.contains("`[queue] key_file` is not compared with it"), "{said}");
}
