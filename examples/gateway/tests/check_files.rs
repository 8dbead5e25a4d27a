#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! Files that `check`, `import` and `restore` are given by mistake, or by who means harm: they are refused by name, kind and limit, and cost no more than a look.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

const GOOD: &str =
    "[gateway]\nid = \"g\"\n[local]\nlisten = \"127.0.0.1:1\"\n[hub]\nurl = \"mqtt://127.0.0.1:2\"\n";

/// Exit code and what the program complained of.
fn edge_gateway(arguments: &[&dyn AsRef<OsStr>]) -> (Option<i32>, String) {
    // One that waits is ended with another code.
    let mut command = Command::new("timeout");
    command.args(["60", env!("CARGO_BIN_EXE_edge-gateway")]);
    let output = command.args(arguments.iter().map(|argument| argument.as_ref())).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

fn check(dir: &Path, text: &str) -> (Option<i32>, String) {
    let file = dir.join("gateway.toml");
    fs::write(&file, text).unwrap();
    edge_gateway(&[&"check", &file])
}

#[test]
fn a_file_beyond_a_limit_is_refused_with_its_line_and_nothing_else_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("gateway.toml").display().to_string();
    for (table, line, key, limit) in [
        ("[[route]]\n", 1_007, "route[1001]", "at most 1000 [[route]]"),
        ("[[command]]\n", 1_007, "command[1001]", "at most 1000 [[command]]"),
        ("[x]\n", 5_004, "file", "at most 5000 tables"),
    ] {
        let (code, said) = check(dir.path(), &format!("{GOOD}{}", table.repeat(30_000)));
        let first = format!("error: {key}: {limit}\n  --> {at}:{line}:1\n");
        assert_eq!(code, Some(2), "{said}");
        assert!(said.starts_with(&first), "{said}");
        assert_eq!(said.matches("error: ").count(), 1, "{said}");
    }
    // Of all files together, and in the one that goes beyond.
    let more = dir.path().join("more.toml");
    fs::write(&more, "[[route]]\nmatch = \"a/#\"\n".repeat(600)).unwrap();
    let routes = "[[route]]\nmatch = \"b/#\"\n".repeat(500);
    let (code, said) = check(dir.path(), &format!("include = [\"more.toml\"]\n{GOOD}{routes}"));
    let first = format!("error: route[1001]: at most 1000 [[route]]\n  --> {}:1001:1\n", more.display());
    assert!(code == Some(2) && said.starts_with(&first), "{said}");
}

/// Files of rules and of loops are counted before they are parsed, too; of the filters' files each route keeps the text.
#[test]
fn a_file_of_rules_beyond_a_limit_is_refused_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let rules = dir.path().join("rules.toml");
    let route = "[[route]]\nmatch = \"a/#\"\nto = \"up\"\nformat = \"json\"\nfilter = \"rules.toml\"\n";
    let said_of = |text: &str, tables: &str| {
        fs::write(&rules, text).unwrap();
        check(dir.path(), &format!("{GOOD}{tables}"))
    };
    let rule = "[[rule]]\nmatch = \"a\"\n";
    let (code, said) = said_of(&rule.repeat(4_000), route);
    assert_eq!(code, Some(0), "{said}");
    for (tables, key) in
        [(route, "route[1].filter"), ("[control]\nrules = \"rules.toml\"\n", "control.rules")]
    {
        let (code, said) = said_of(&rule.repeat(40_000), tables);
        let first = format!("error: {key}: {}: line 8001: at most 4000 tables [[…]]\n", rules.display());
        assert!(code == Some(2) && said.contains(&first), "{said}");
    }
    let long = format!("{rule}# {}\n", "x".repeat(1 << 19));
    let (code, said) = said_of(&long, &route.repeat(9));
    let first = "error: route[8].filter: the filters of all routes have at most 4.0 MiB; one that several routes name counts for each\n";
    assert!(code == Some(2) && said.contains(first), "{said}");
}

#[test]
fn of_a_line_of_a_mebibyte_what_stands_around_each_mistake_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let mistakes: String = (0..300).map(|n| format!("x{n} = 1, ")).collect();
    let filler = "y".repeat(500_000);
    let text = format!("queue = {{ {mistakes}a = \"{filler}\" }} # {filler}\n{GOOD}");
    let (code, said) = check(dir.path(), &text);
    assert_eq!(code, Some(2), "{}", said.len());
    assert!(said.contains("error: queue.x150: unknown key\n"), "{}", &said[..1_000]);
    assert!(said.contains(" x149 = 1, x150 = 1, x151 = 1, "), "{}", &said[..1_000]);
    assert!(said.contains("... and "), "those beyond a hundred are counted");
    let longest = said.lines().map(|line| line.chars().count()).max();
    assert!(longest < Some(1_100), "{longest:?}");
    assert!(said.len() < 200_000, "{}", said.len());
}

/// A pipe that nobody writes is not waited for, and what never ends or is too large is not read.
#[test]
fn only_files_of_a_configurations_size_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    assert!(Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
    fs::File::create(at("large")).unwrap().set_len(1 << 40).unwrap();
    fs::write(at("empty.conf"), "").unwrap();
    for (file, why) in [
        (at("pipe"), "not a file, but a pipe"),
        ("/dev/zero".into(), "not a file, but a device"),
        ("/proc/kmsg".into(), "not a file, but a part of /proc"),
        (at("large"), "1099511627776 bytes, at most 1048576 are read"),
    ] {
        let config = format!("{GOOD}ca = \"{}\"\n", file.display()).replace("mqtt:", "mqtts:");
        for (code, said) in [
            edge_gateway(&[&"check", &file]),
            edge_gateway(&[&"import", &file]),
            edge_gateway(&[&"import", &at("empty.conf"), &file]),
            check(dir.path(), &config),
            check(dir.path(), &format!("include = [\"{}\"]\n{GOOD}", file.display())),
        ] {
            assert_eq!(code, Some(2), "{said}");
            assert!(said.contains(&file.display().to_string()) && said.contains(why), "{said}");
        }
        if !file.ends_with("large") {
            let (code, said) = edge_gateway(&[&"restore", &file, &"--state", &at("state")]);
            assert!(code == Some(1) && said.contains(why) && !at("state").exists(), "{said}");
        }
    }
}

/// Clients under it are let in until somebody renews it: TLS judges no dates of an authority that is named.
#[test]
fn an_authority_of_sensors_that_has_ended_is_an_error_as_one_of_the_hub_is() {
    let dir = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    fs::write(dir.path().join("cert"), params.self_signed(&key).unwrap().pem()).unwrap();
    fs::write(dir.path().join("key"), key.serialize_pem()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    for (year, code) in [(2099, 0), (2021, 2)] {
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        fs::write(dir.path().join("ca"), params.self_signed(&key).unwrap().pem()).unwrap();
        let local = "listen = \"127.0.0.1:1\"\ntls_listen = \"127.0.0.1:3\"\ncert = \"cert\"\nkey = \"key\"\nclient_ca = \"ca\"\n";
        let text = GOOD.replace("listen = \"127.0.0.1:1\"\n", local);
        let (found, said) = check(dir.path(), &format!("{text}[[route]]\nmatch = \"a\"\n"));
        assert_eq!(found, Some(code), "{said}");
        let is_told =
            said.contains("error: local.client_ca: ") && said.contains("every certificate in it has expired");
        assert_eq!(is_told, code == 2, "{said}");
    }
}
