#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs, reason = "test code")]
//! Commands of `edge-gateway` whose errors nobody reads.

use std::process::Command;

/// As `… 2>&1 | true` does: the exit code is that of the answer.
#[test]
fn nobody_who_reads_the_errors_changes_no_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("gateway.toml").display().to_string();
    std::fs::write(&file, "not a configuration").unwrap();
    let state = dir.path().display().to_string();
    for (arguments, code) in [
        (&["check", &file][..], 2),
        (&["run", &file, "--state", &state], 2),
        (&["route", &file, "t"], 2),
        (&["status", "--state", &state], 69),
        (&["import", "/nowhere"], 2),
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let status = Command::new(env!("CARGO_BIN_EXE_edge-gateway"))
            .args(arguments)
            .stderr(writer)
            .stdout(std::process::Stdio::null())
            .status();
        assert_eq!(status.unwrap().code(), Some(code), "{arguments:?}");
    }
}
