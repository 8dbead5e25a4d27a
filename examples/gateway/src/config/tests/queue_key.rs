//! `[queue] key_file`: the key of an encrypted queue.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

#[cfg(feature = "encryption")]
const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// Reads a configuration beside a key file of this content and mode.
fn with(key: &[u8], mode: u32, name: &str) -> Result<(Config, Findings), Findings> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("queue.key");
    fs::write(&file, key).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    let text = format!(
        "[gateway]\nid = \"g\"\n[local]\nlisten = \"127.0.0.1:1\"\n[hub]\nurl = \"mqtt://hub:1\"\n[queue]\nkey_file = \"{name}\"\n[[route]]\nmatch = \"#\"\nto = \"up/\"\n"
    );
    Config::parse(&dir.path().join("gateway.toml"), &text, &|_| None)
}

#[cfg(feature = "encryption")]
#[test]
fn a_key_of_the_queue_is_read_and_shown_nowhere() {
    let bytes: Vec<u8> = (0..32).collect();
    let (raw, findings) = with(&bytes, 0o600, "queue.key").unwrap();
    assert_eq!(findings.to_string(), "");
    let (text, _) = with(format!("{HEX}\n").as_bytes(), 0o600, "queue.key").unwrap();
    assert!(raw.queue.key.is_some() && raw.queue.key == text.queue.key);
    let shown = format!("{raw:?}");
    assert!(!shown.contains(HEX) && !shown.contains("0, 1, 2, 3"), "{shown}");
    // Another key, and another file with the same one, at a reload.
    let (other, _) = with(&[7; 32], 0o600, "queue.key").unwrap();
    assert_eq!(raw.changes(&other).at_start, ["[queue]"]);
    assert!(raw.changes(&text).at_start.is_empty());
}

#[cfg(feature = "encryption")]
#[test]
fn mistakes_of_a_key_are_told_without_it() {
    for key in [&b""[..], b"correct horse", &HEX.as_bytes()[1..]] {
        let said = with(key, 0o600, "queue.key").unwrap_err().to_string();
        let expected = format!("/queue.key: {} bytes are no key: it is 32 bytes", key.len());
        assert!(said.contains("error: queue.key_file: /") && said.contains(&expected), "{said}");
        assert!(!said.contains("horse") && !said.contains("0203"), "{said}");
    }
    let absent = with(&[7; 32], 0o600, "absent").unwrap_err().to_string();
    assert!(
        absent.contains("error: queue.key_file: /") && absent.contains("/absent: No such file"),
        "{absent}"
    );
    let folder = with(&[7; 32], 0o600, ".").unwrap_err().to_string();
    assert!(folder.contains("error: queue.key_file: /") && folder.contains("/.: is a directory"), "{folder}");
    // Root reads a file of any mode.
    match with(&[7; 32], 0o000, "queue.key").map_err(|findings| findings.to_string()) {
        Ok((config, _)) => assert!(config.queue.key.is_some()),
        Err(said) => {
            assert!(said.contains("error: queue.key_file: /"), "{said}");
            assert!(said.contains("/queue.key: Permission denied"), "{said}");
        }
    }
    let (_, open) = with(&[7; 32], 0o644, "queue.key").unwrap();
    let open = open.to_string();
    let expected = "/queue.key: mode 0644, others may read the key: chmod 600";
    assert!(open.contains("warning: queue.key_file: /") && open.contains(expected), "{open}");
}

#[cfg(not(feature = "encryption"))]
#[test]
fn a_build_without_encryption_names_its_feature() {
    let said = with(&[7; 32], 0o600, "queue.key").unwrap_err().to_string();
    assert!(said.contains("error: queue.key_file:") && said.contains("feature `encryption`"), "{said}");
}
