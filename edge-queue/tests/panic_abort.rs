//! Promise 2 where nothing can be caught: a program built with `panic = "abort"` opens damaged rings and lives.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![allow(clippy::disallowed_methods, reason = "a test starts processes")]

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use edge_queue::testing::budget_percent;

const SIGABRT: i32 = 6;
/// Bytes between two cases at the full budget; `ring_damage.rs` tries every byte.
const STEP: u64 = 53;

/// Builds the child once, in its own folder below `target/`, with the versions of our own lock file.
fn build() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let child = package.join("tests/abort_child");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("abort_child");
    std::fs::copy(package.parent().unwrap().join("Cargo.lock"), child.join("Cargo.lock")).unwrap();
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--manifest-path"])
        .arg(child.join("Cargo.toml"))
        .env("CARGO_TARGET_DIR", &target)
        .status()
        .unwrap();
    assert!(status.success(), "the child does not compile");
    target.join("release/abort-child")
}

fn run(child: &Path, argument: &str) -> Output {
    // `timeout` is in Debian's coreutils: a child that hangs is a failure, not a hanging test.
    Command::new("timeout").arg("300").arg(child).arg(argument).output().unwrap()
}

#[test]
fn damaged_rings_open_where_every_panic_aborts() {
    let child = build();
    let planted = run(&child, "panic");
    assert!(!planted.status.success() && planted.stdout.is_empty(), "a panic was caught: {planted:?}");
    // `timeout` ends as its child did, by signal or with 128 and its number.
    let died = planted.status.signal().or(planted.status.code().map(|code| code - 128));
    assert_eq!(died, Some(SIGABRT), "{planted:?}");

    let output = run(&child, &(STEP * 100 / budget_percent()).to_string());
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{:?}: {out}{err}", output.status);
    println!("executed ring.panic_abort: {}", out.trim());
}
