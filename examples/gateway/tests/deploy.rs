#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs, reason = "test code")]
//! The configuration in the manifest is one.

use std::process::Command;

#[test]
fn the_manifests_configuration_is_valid() {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/edge-gateway.yaml");
    let manifest = std::fs::read_to_string(manifest).unwrap();
    let start = manifest.find("gateway.toml: |\n").unwrap() + "gateway.toml: |\n".len();
    let text: Vec<&str> = manifest[start..].lines().map_while(|line| line.strip_prefix("    ")).collect();
    assert!(text.len() > 10, "{text:?}");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("gateway.toml");
    std::fs::write(&file, text.join("\n")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_edge-gateway")).arg("check").arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}
