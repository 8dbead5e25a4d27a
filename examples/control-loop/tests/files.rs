//! Files that `control-loop check` reads.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use std::fs::OpenOptions;
use std::process::Command;

/// A pipe that nobody writes is not waited for, and what never ends or is too large is not read.
#[test]
fn only_a_file_of_a_configurations_size_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    assert!(Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
    let large = OpenOptions::new().create_new(true).write(true).open(at("large")).unwrap();
    large.set_len(1 << 40).unwrap();
    for (file, why) in [
        (at("pipe"), "not a file, but a pipe"),
        ("/dev/zero".into(), "not a file, but a device"),
        ("/proc/kmsg".into(), "not a file, but a part of /proc"),
        (at("large"), "1099511627776 bytes, at most 1048576 are read"),
    ] {
        // One that waits is ended with another code.
        let mut command = Command::new("timeout");
        command.args(["60", env!("CARGO_BIN_EXE_control-loop"), "check"]).arg(&file);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(
            (output.status.code(), said),
            (Some(2), format!("control-loop: {}: {why}\n", file.display()))
        );
    }
}
