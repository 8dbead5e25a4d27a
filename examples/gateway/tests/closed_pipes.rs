#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs, reason = "test code")]
//! Commands of `edge-gateway` whose answers or errors nobody reads.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};

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

const TOPIC: &str = r#"{"topic":"a","reason":"no","held":1,"held_readings":1,"parked":0}"#;

/// Answers one request on the control socket of a state directory, as a gateway does.
fn answer(state: &Path) -> std::thread::JoinHandle<()> {
    let path = state.join("control.sock");
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(path).unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = String::new();
        BufReader::new(&stream).read_line(&mut request).unwrap();
        // A command that has ended reads no answer.
        let _ = stream.write_all(format!("{TOPIC}\nok done\n").as_bytes());
    })
}

/// As `… | true` does: the command ends as if its answer had been read.
#[test]
fn nobody_who_reads_the_answer_is_no_failure() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().display().to_string();
    let file = dir.path().join("parked.jsonl").display().to_string();
    for arguments in [&["list"][..], &["retry"], &["drop", "--all"], &["export", &file], &["export", "-"]] {
        let answering = answer(dir.path());
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let command = Command::new(env!("CARGO_BIN_EXE_edge-gateway"))
            .arg("parked")
            .args(arguments)
            .args(["--state", &state])
            .stdout(writer)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let done = command.wait_with_output().unwrap();
        answering.join().unwrap();
        let said = String::from_utf8(done.stderr).unwrap();
        assert_eq!((done.status.code(), said.as_str()), (Some(0), ""), "{arguments:?}");
    }
}
