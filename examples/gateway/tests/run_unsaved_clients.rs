#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! Local clients' sessions and retained messages that the disk refuses: the queue has its room already, and goes on. The verdict and the status say
//! it until they are saved.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::gateway::Gateway;
use support::mosquitto::retain;
use support::{free_port, wait_until};

const REST: &str = "[queue]\nmax_bytes = \"1MiB\"\n[[route]]\nmatch = \"up/#\"\n";

fn status(gateway: &Gateway) -> serde_json::Value {
    let (code, body) = gateway.get("/status.json").unwrap();
    assert_eq!(code, 200);
    serde_json::from_str(&body).unwrap()
}

/// Text of the need, if there is one.
fn need(gateway: &Gateway) -> Option<String> {
    let status = status(gateway);
    let need = status["needs"].as_array().unwrap().iter().find(|need| need["id"] == "clients_unsaved")?;
    assert_eq!(need["level"], "act");
    Some(need["text"].as_str().unwrap().to_owned())
}

/// A retained message is not saved after `refuse`, says so with `cause`, and is saved after `mend`.
#[track_caller]
fn says_so_until_they_are_saved(
    dir: &Path,
    cause: &str,
    refuse: impl FnOnce(&Path),
    mend: impl FnOnce(&Path),
) {
    let (gateway, listen) = Gateway::started(dir, free_port(), REST);
    let saved = || fs::read(gateway.state.join("clients")).unwrap_or_default();
    let has = |text: &str| saved().windows(text.len()).any(|part| part == text.as_bytes());
    retain(listen, "setpoint/first", "21");
    wait_until("it is saved", 60, || has("setpoint/first"));
    assert_eq!((need(&gateway), status(&gateway)["verdict"].clone()), (None, "storing".into()));

    refuse(&gateway.state);
    retain(listen, "setpoint/second", "22");
    wait_until("it is said", 60, || need(&gateway).is_some());
    let text = need(&gateway).unwrap();
    assert!(text.contains(cause), "{text}");
    assert_eq!(status(&gateway)["verdict"], "degraded");
    assert!(has("setpoint/first") && !has("setpoint/second"));

    mend(&gateway.state);
    // It is tried again after a minute.
    wait_until("it is saved", 120, || has("setpoint/second"));
    wait_until("it is no longer said", 30, || need(&gateway).is_none());
    assert_eq!(status(&gateway)["verdict"], "storing");
}

/// A directory with something in it stands where the next file is written.
#[test]
fn a_file_of_clients_that_cannot_be_written_is_told_until_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let refuse = |state: &Path| fs::create_dir_all(state.join("clients.new/somebodys")).unwrap();
    says_so_until_they_are_saved(dir.path(), "directory", refuse, |state| {
        fs::remove_dir_all(state.join("clients.new")).unwrap();
    });
}

/// A file system of 32 MiB; ends with this value.
struct SmallDisk(PathBuf);

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
#[ignore = "for root, mounts a tmpfs: cargo test -p edge-gateway --test run_unsaved_clients -- --ignored"]
fn clients_that_find_no_room_on_the_disk_are_told_until_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    fs::create_dir(&state).unwrap();
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=32m", "none"]).arg(&state).status().unwrap();
    assert!(mounted.success());
    let _disk = SmallDisk(state);
    let refuse = |state: &Path| {
        let mut filler = fs::File::create(state.join("filler")).unwrap();
        while std::io::Write::write_all(&mut filler, &[1; 4_096]).is_ok() {}
    };
    says_so_until_they_are_saved(dir.path(), "No space left on device", refuse, |state| {
        fs::remove_file(state.join("filler")).unwrap();
    });
}
