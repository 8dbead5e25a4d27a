//! The examples end well and print what their heads say.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use std::path::PathBuf;
use std::process::Command;

/// Finds an example beside this test; a run of this test alone has not built it.
fn program(name: &str) -> PathBuf {
    let target = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_path_buf();
    let program = target.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    if !program.exists() {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let arguments = ["build", "--quiet", "--offline", "--manifest-path", manifest, "--example", name];
        assert!(Command::new(env!("CARGO")).args(arguments).status().unwrap().success());
    }
    program
}

fn prints(name: &str) -> Vec<String> {
    let output = Command::new(program(name)).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {said}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn hello_shows_the_whole_cycle() {
    let lines = ["3 rows survive a power cut", "sent 21.5", "sent 21.6", "3 accepted, 2 delivered, 1 queued"];
    assert_eq!(prints("hello"), lines);
}

#[test]
fn survive_kill_loses_nothing_that_was_receipted() {
    assert_eq!(prints("survive_kill"), ["killed after 200 receipts: 0 lost"]);
}

#[test]
fn two_priorities_keeps_the_alarms() {
    let lines = prints("two_priorities");
    assert!(lines[0].starts_with("first: alarm 0, alarm 500, "), "{lines:?}");
    assert_eq!(
        lines[1..],
        ["given up: Some(0) alarms, Some(4000) readings", "gap: readings 1 to 4000 (overflow)"]
    );
}

#[test]
fn own_store_is_found_again() {
    assert_eq!(prints("own_store"), ["the next run finds 1 row of epoch 1"]);
}
