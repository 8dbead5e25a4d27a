//! Every example runs without a network, quickly, and prints what its readers are told.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![allow(clippy::disallowed_methods, reason = "programs are run, and timed")]
#![cfg(all(feature = "net", feature = "spool-queue"))]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const QUICK: Duration = Duration::from_secs(10);

/// Path of a built example: beside the folder of this program.
fn built(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let profile = own.parent().and_then(Path::parent).unwrap();
    let path = profile.join("examples").join(name);
    assert!(
        path.is_file(),
        "{} is not built: `cargo test` does, or `cargo build --examples`",
        path.display()
    );
    path
}

#[track_caller]
fn prints(name: &str, lines: &[&str]) {
    let begin = Instant::now();
    let output = Command::new(built(name)).output().unwrap();
    let took = begin.elapsed();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{name}: {text}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(text.lines().collect::<Vec<_>>(), lines, "{name}");
    assert!(took < QUICK, "{name} took {took:?}");
}

#[test]
fn bridge_stores_while_there_is_no_hub() {
    let stored = ["21.5: Stored", "21.6: Stored", "21.7: Stored"];
    prints("bridge", &[&stored[..], &["messages waiting: 3", "the hub got 21.5, 21.6, 21.7"]].concat());
}

#[test]
fn mtls_lets_in_who_has_a_certificate() {
    prints("mtls", &["without a certificate: not let in", "with a certificate: HandedOver"]);
}

#[test]
fn sans_io_carries_bytes_by_hand() {
    let said = ["connected", "received, not acknowledged: 1 in flight", "acknowledged: 0 in flight"];
    prints("sans_io", &[&said[..], &["after a minute: open"]].concat());
}

#[test]
fn own_ingest_stores_absorbs_and_refuses() {
    let said = ["21.5: HandedOver", "21.5: HandedOver", "180: HandedOver", "ajar: refused"];
    prints(
        "own_ingest",
        &[&said[..], &["stored: 2 readings, and the refused message as a dead letter"]].concat(),
    );
}

#[test]
fn commands_are_acknowledged_when_they_are_done() {
    prints("commands", &["cmd/valve: close", "cmd/valve: open", "the hub has 2 acknowledgements"]);
}

#[test]
fn every_example_is_run() {
    let all = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")).unwrap();
    let mut names: Vec<_> = all.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["bridge.rs", "commands.rs", "mtls.rs", "own_ingest.rs", "sans_io.rs"]);
}
