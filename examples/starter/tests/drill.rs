#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test: real processes, sockets and time"
)]
//! The starter in the outage drill, with the command line that the drill's README names: the sensors send numbers, and compact batches arrive.

use std::path::Path;
use std::process::ExitCode;

#[test]
fn the_drill_of_the_starter_finds_every_acknowledged_number_in_its_batches() {
    let dir = tempfile::tempdir().unwrap();
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../drill/README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let line = "target/quick/edge-starter 127.0.0.1:{local_port} mqtt://127.0.0.1:{hub_port} site7 {state}";
    assert!(readme.contains(&format!("--numbers --gateway \"{line}\"")), "the command line of the README");
    let command = line.replace("target/quick/edge-starter", env!("CARGO_BIN_EXE_edge-starter"));
    let report = dir.path().to_str().unwrap();
    let options = ["--seconds", "30", "--seed", "5", "--report", report, "--numbers", "--gateway", &command];
    let code = outage_drill::command_line(["outage-drill"].into_iter().chain(options));
    let report = std::fs::read(dir.path().join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
    let checks = report["checks"].as_array().unwrap();
    assert_eq!(code == ExitCode::SUCCESS, checks.iter().all(|check| check["kept"] == true), "{checks:#?}");
    assert_eq!((report["lost"].as_u64(), report["kills"].as_u64()), (Some(0), Some(1)), "{checks:#?}");
    let is_readable = |name: &str| name.starts_with("Every batch");
    let readable = checks.iter().find(|check| check["name"].as_str().is_some_and(is_readable)).unwrap();
    assert_eq!(readable["kept"], true, "{checks:#?}");
    // What a loaded machine delays is not judged here.
    assert!(
        report["acknowledged"].as_u64().unwrap() > report["published"].as_u64().unwrap() / 2,
        "{checks:#?}"
    );
    assert!(report["delivered_unique"].as_u64() >= report["acknowledged"].as_u64(), "{checks:#?}");
}
