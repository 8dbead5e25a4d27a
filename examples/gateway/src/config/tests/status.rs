//! `[status]`: the token of the status page.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

const TOKEN: &str = "0123456789abcdef";

/// Reads a configuration with these lines beside a token file of this content and mode.
fn with(token: &str, mode: u32, lines: &str) -> Result<(Config, Findings), Findings> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    fs::write(&file, token).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    let text = format!(
        "[gateway]\nid = \"g\"\n[local]\nlisten = \"127.0.0.1:1\"\n[hub]\nurl = \"mqtt://hub:1\"\n[[route]]\nmatch = \"#\"\nto = \"up/\"\n{lines}"
    );
    Config::parse(&dir.path().join("gateway.toml"), &text, &|_| None)
}

const METRICS: &str = "[metrics]\nlisten = \"0.0.0.0:9100\"\n[status]\ntoken_file = \"token\"\n";

#[test]
fn a_token_is_read_and_shown_nowhere() {
    let (config, findings) = with(&format!("{TOKEN}\n"), 0o600, METRICS).unwrap();
    assert_eq!(findings.to_string(), "");
    assert_eq!(config.status_token.as_ref().map(Token::as_bytes), Some(TOKEN.as_bytes()));
    let shown = format!("{config:?}");
    assert!(!shown.contains(TOKEN) && !shown.contains("48, 49, 50"), "{shown}");
    assert!(with(TOKEN, 0o600, "").unwrap().0.status_token.is_none());
}

#[test]
fn mistakes_of_a_token_are_told_without_it() {
    let (short, long) = ("x".repeat(15), "x".repeat(513));
    for token in [short.as_str(), &long, "0123456789 abcdef", "0123456789abcd\u{e9}"] {
        let said = with(token, 0o600, METRICS).unwrap_err().to_string();
        assert!(said.contains("error: status.token_file:") && said.contains("16 to 512 printable"), "{said}");
        assert!(!said.contains(token), "{said}");
    }
    assert!(with("", 0o600, METRICS).unwrap_err().to_string().contains("empty"));
    let absent = METRICS.replace("\"token\"", "\"absent\"");
    assert!(with(TOKEN, 0o600, &absent).unwrap_err().to_string().contains("error: status.token_file:"));
    let (_, open) = with(TOKEN, 0o644, METRICS).unwrap();
    assert!(open.to_string().contains("others may read the token: chmod 600"), "{open}");
    let (_, useless) = with(TOKEN, 0o600, "[status]\ntoken_file = \"token\"\n").unwrap();
    assert!(useless.to_string().contains("without `[metrics] listen`"), "{useless}");
    let unknown = with(TOKEN, 0o600, "[status]\ntoken = \"x\"\n").unwrap_err().to_string();
    assert!(unknown.contains("did you mean `token_file`?"), "{unknown}");
}
