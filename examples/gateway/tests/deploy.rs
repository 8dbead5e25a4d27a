#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs, reason = "test code")]
//! The configuration in the manifest is one, and the unit lets the gateway do what the docs say.

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

/// `check` fails for an expired certificate, with which the gateway still stores; `parked` asks by a socket of the file system.
#[test]
fn the_unit_starts_the_gateway_whatever_check_finds_and_lets_its_socket_be() {
    let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/edge-gateway.service");
    let unit = std::fs::read_to_string(unit).unwrap();
    let of = |key: &str| unit.lines().filter_map(|line| line.strip_prefix(key)).collect::<Vec<_>>();
    assert!(of("ExecStartPre=").iter().all(|command| command.starts_with('-')), "{unit}");
    assert_eq!(of("StartLimitIntervalSec="), ["0"], "{unit}");
    let families = of("RestrictAddressFamilies=").concat();
    assert!(families.split(' ').any(|family| family == "AF_UNIX"), "{unit}");
}
