#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! `check` looks whether the disk of the state directory has room for the queue.

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use support::gateway::BINARY;

fn edge_gateway(arguments: &[&str]) -> Output {
    Command::new(BINARY).args(arguments).output().unwrap()
}

fn written(dir: &Path, text: &str) -> String {
    let path = dir.join("gateway.toml");
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// No disk has this room. A directory that does not exist yet will be on the disk of the nearest above it.
#[test]
fn a_queue_that_the_disk_has_no_room_for_is_a_warning_with_both_figures() {
    let dir = tempfile::tempdir().unwrap();
    // In the file, or as `run` has it from the unit.
    let ways =
        [(dir.path().to_owned(), false), (dir.path().join("not/yet"), false), (dir.path().to_owned(), true)];
    for (state, is_option) in ways {
        let state = state.to_str().unwrap();
        let (key, option) = match is_option {
            false => (format!("state = \"{state}\"\n"), vec![]),
            true => (String::new(), vec!["--state", state]),
        };
        let text = format!(
            "[gateway]\nid = \"g\"\n{key}[local]\nlisten = \"127.0.0.1:1883\"\n[hub]\nurl = \"mqtt://127.0.0.1:1\"\n[[route]]\nmatch = \"plant/#\"\n"
        );
        let check = |max_bytes: &str| {
            let text = format!("{text}[queue]\nmax_bytes = \"{max_bytes}\"\n");
            let output = edge_gateway(&[&["check", &written(dir.path(), &text)][..], &option].concat());
            assert_eq!(output.status.code(), Some(0), "a warning alone");
            String::from_utf8(output.stderr).unwrap()
        };
        let said = check("1024GiB");
        for part in ["warning: [queue] max_bytes", "2304.0 GiB", " free", state, dir.path().to_str().unwrap()]
        {
            assert!(said.contains(part), "{part} is missing in {said}");
        }
        assert_eq!(said.contains("does not exist yet"), state.ends_with("not/yet"), "{said}");
        assert_eq!(check("1MiB"), "");
    }
    assert!(!dir.path().join("not").exists(), "check makes nothing");
}
