#![allow(clippy::unwrap_used, missing_docs, reason = "test code")]
//! A reader that goes away is no failure: `filter-lab … | true`, `filter-lab … 2>&1 | true`.

mod support;

use std::process::{Command, Stdio};
use support::data;

/// Runs the program with one of its outputs closed. Returns its exit code, and what it said on standard error.
fn run(arguments: &[&str], closes_errors: bool) -> (Option<i32>, String) {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_filter-lab"));
    command.args(arguments);
    let command = if closes_errors {
        command.stderr(writer).stdout(Stdio::null())
    } else {
        command.stdout(writer).stderr(Stdio::piped())
    };
    let done = command.spawn().unwrap().wait_with_output().unwrap();
    (done.status.code(), String::from_utf8(done.stderr).unwrap())
}

#[test]
fn nobody_who_reads_changes_no_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (rules, out, none) = (path("rules.toml"), path("out.csv"), path("none.csv"));
    std::fs::write(&rules, "[[rule]]\nmatch = \"#\"\nstages = [ { on_change = {} } ]\n").unwrap();
    let input = data().join("temp.csv").display().to_string();
    for arguments in [
        &["run", "--suggest", "--in", &input][..],
        &["run", "--rules", &rules, "--in", &input, "--out", &out],
    ] {
        assert_eq!(run(arguments, false), (Some(0), String::new()), "{arguments:?}");
    }
    assert_eq!(run(&["run", "--suggest", "--in", &none], true).0, Some(1));
}
