#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test: real processes, sockets and time"
)]
//! `drill --gateway` with the command line of `edge-gateway` itself that the drill's README names: judged from outside alone, as anybody's.

use std::path::Path;
use std::process::{Command, Stdio};

const BINARY: &str = env!("CARGO_BIN_EXE_edge-gateway");

#[test]
fn edge_gateway_is_drilled_as_a_command_like_any_other_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../drill/README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let line = "env LOCAL_PORT={local_port} HUB_PORT={hub_port} target/quick/edge-gateway run examples/drill/foreign.toml --state {state}";
    assert!(readme.contains(&format!("--gateway \"{line}\"")), "the command line of the README");
    let command = line.replace("target/quick/edge-gateway", BINARY);
    let mut drill = Command::new(BINARY);
    drill.args(["drill", "--seconds", "30", "--seed", "5", "--report"]).arg(dir.path());
    drill.args(["--gateway", &command]).current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let output = drill.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    let report =
        std::fs::read(dir.path().join("report.json")).unwrap_or_else(|error| panic!("{error}: {said}"));
    let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
    println!("{said}");
    assert_eq!((report["lost"].as_u64(), report["kills"].as_u64()), (Some(0), Some(1)), "{said}");
    // What a loaded machine delays is not judged here.
    assert!(report["acknowledged"].as_u64().unwrap() > report["published"].as_u64().unwrap() / 2, "{said}");
    assert!(report["delivered_unique"].as_u64() >= report["acknowledged"].as_u64(), "{said}");
    assert!(!report["checks"].as_array().unwrap().iter().any(|check| check["promise"] == 3), "{said}");
}

/// Figures that this machine's load does not change: what waits is the traffic's, and bytes go by rows.
const STEADY: [&str; 4] = ["link_bytes_per_message", "store_bytes", "waiting_rows", "waiting_bytes"];

#[test]
fn the_sizing_predicts_its_own_drill_within_a_quarter() {
    let dir = tempfile::tempdir().unwrap();
    let mut drill = Command::new(BINARY);
    drill.args(["drill", "--seconds", "40", "--seed", "5", "--report"]).arg(dir.path());
    let output = drill.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    let report =
        std::fs::read(dir.path().join("report.json")).unwrap_or_else(|error| panic!("{error}: {said}"));
    let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
    println!("{said}");
    assert_eq!(report["lost"].as_u64(), Some(0), "{said}");
    for key in STEADY {
        let ratio = report["forecast"][key]["ratio"].as_f64().unwrap();
        assert!((0.75..=1.25).contains(&ratio), "{key}: {ratio}\n{said}");
    }
    assert!(report["forecast"]["catch_up_seconds"]["predicted"].is_number(), "{said}");
    assert!(
        std::fs::read_to_string(dir.path().join("report.html")).unwrap().contains("Predicted and measured")
    );
}
