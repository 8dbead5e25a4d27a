#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! `check --findings`, as the unit calls it before each start: what is wrong, and nothing of what the configuration means.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use support::gateway::BINARY;

/// Exit code, standard output and standard error of `check` with the options.
fn check(dir: &Path, text: &str, options: &[&str]) -> (Option<i32>, String, String) {
    let file = dir.join("gateway.toml");
    let head =
        "[gateway]\nid = \"g\"\n[local]\nlisten = \"127.0.0.1:1883\"\n[hub]\nurl = \"mqtt://127.0.0.1:1\"\n";
    fs::write(&file, format!("{head}{text}")).unwrap();
    let mut command = Command::new(BINARY);
    let output = command.arg("check").arg(&file).args(options).current_dir(dir).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn what_is_wrong_is_told_alone_with_the_exit_code_of_check() {
    let dir = tempfile::tempdir().unwrap();
    let check = |text: &str, options: &[&str]| check(dir.path(), text, options);
    let good = "[[route]]\nmatch = \"plant/#\"\nto = \"up\"\nformat = \"compact\"\n";
    assert!(check(good, &[]).1.contains("outage covered"), "without the option");
    let nothing = (Some(0), String::new(), String::new());
    assert_eq!(check(good, &["--findings"]), nothing);

    // Of this machine, which no simulation tells.
    let large = format!("{good}[queue]\nmax_bytes = \"1024GiB\"\n");
    let (code, out, said) = check(&large, &["--findings", "--state", "."]);
    assert_eq!((code, out.as_str()), (Some(0), ""), "{said}");
    assert!(said.contains("warning: [queue] max_bytes"), "{said}");

    let wrong = good.replace("compact", "compct");
    let (code, out, said) = check(&wrong, &["--findings"]);
    assert_eq!((code, out.as_str()), (Some(2), ""), "{said}");
    assert_eq!(said, check(&wrong, &[]).2, "every mistake");
    assert!(said.contains("gateway.toml:10"), "{said}");
}

/// An option that would say nothing is a mistake of whoever gives it.
#[test]
fn what_is_not_predicted_has_no_load() {
    let dir = tempfile::tempdir().unwrap();
    let good = "[[route]]\nmatch = \"#\"\n";
    for load in ["--rate=5", "--payload=5", "--sensors=5", "--topic=5", "--measured", "--effective"] {
        let (code, out, said) = check(dir.path(), good, &["--findings", load]);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{load}: {said}");
        assert!(said.contains("cannot be used with"), "{load}: {said}");
    }
}
