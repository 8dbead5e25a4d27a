#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, missing_docs, reason = "test code")]
//! `import`: the field's own files as golden ones, what `check` says of the result, and exit codes.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::authority::Authority;
use support::gateway::BINARY;

/// Folder of the field's files and of what they become.
fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import")
}

fn edge_gateway(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(BINARY).args(arguments).current_dir(dir).env("SITE_ID", "site7").output().unwrap()
}

/// Text with this machine's name taken out, which the client identifier is made of.
fn text(bytes: &[u8]) -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let own =
        [host.trim(), "upstream"].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(".");
    String::from_utf8(bytes.to_vec()).unwrap().replace(&format!("\"{own}\""), "\"HOST.upstream\"")
}

/// `EDGE_WRITE_DOCS=1` writes the golden files.
fn compare(name: &str, made: &str) {
    let path = golden().join(name);
    if std::env::var_os("EDGE_WRITE_DOCS").is_some() {
        fs::write(&path, made).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), made, "{name}");
}

#[test]
fn the_field_s_own_files_become_a_gateway() {
    let output = edge_gateway(&golden(), &["import", "bridge.conf", "telegraf.conf"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    compare("gateway.toml", &text(&output.stdout));
    compare("warnings.txt", &text(&output.stderr));
    // Four traps of this file, each at its line.
    let warnings = text(&output.stderr);
    for (line, part) in [
        (4, "commands of an outage were lost"),
        (11, "subscribes to \"cmd/hub/${SITE_ID}/cmd/#\""),
        (11, "mqtt-bridge carries commands"),
        (14, "keeps the OLDEST"),
    ] {
        let place = format!("bridge.conf:{line}: warning: ");
        assert!(
            warnings.lines().any(|said| said.starts_with(&place) && said.contains(part)),
            "{line}: {warnings}"
        );
    }
}

#[test]
fn check_takes_what_import_makes_where_its_files_are() {
    let dir = tempfile::tempdir().unwrap();
    let certs = dir.path().join("certs");
    fs::create_dir(&certs).unwrap();
    let authority = Authority::new(&certs, "ca");
    authority.sign(&certs, "client", Some("gw14"));
    let made = edge_gateway(&golden(), &["import", "bridge.conf", "telegraf.conf"]).stdout;
    let made = String::from_utf8(made).unwrap().replace("/mosquitto/certs", certs.to_str().unwrap());
    fs::write(dir.path().join("gateway.toml"), made).unwrap();
    let output = edge_gateway(dir.path(), &["check", "gateway.toml"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    for part in [
        "plant/+/data/# -> hub/site7/TOPIC",
        "hub/site7/readings in Json batches",
        "mqtts://hub.iot.example.com:8883",
    ] {
        assert!(said.contains(part), "{part} is missing in\n{said}");
    }
}

#[test]
fn exit_codes_tell_warnings_on_demand_and_files_that_are_none() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    write("good.conf", "connection up\naddress h\nremote_clientid g\ntopic a/# out 1\n");
    write(
        "warned.conf",
        "connection up\naddress h\nremote_clientid g\ntopic a/# out 0\nremote_password hush\n",
    );
    write("none.conf", "listener 1883\n");
    write("latin.conf", "");
    fs::write(dir.path().join("latin.conf"), b"connection caf\xe9\n").unwrap();
    write("bad.toml", "[agent\n");
    for (arguments, code, said) in [
        (&["good.conf"][..], 0, "4 lines: 4 became keys, 0 comments; 0 warnings.\n"),
        (&["good.conf", "--strict"], 0, "0 warnings"),
        (&["warned.conf"], 0, "warned.conf:4: warning: QoS 0"),
        (&["warned.conf", "--strict"], 1, "; 2 warnings.\n"),
        (&["none.conf"], 2, "none.conf: error: no connection section"),
        (&["latin.conf"], 2, "latin.conf:1: error: "),
        (&["missing.conf"], 2, "missing.conf: "),
        (&["good.conf", "missing.toml"], 2, "missing.toml: "),
        (&["good.conf", "bad.toml"], 2, "bad.toml:1: error: no TOML"),
        (&[], 2, "MOSQUITTO_CONF"),
    ] {
        let output = edge_gateway(dir.path(), &[&["import"], arguments].concat());
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
        assert!(stderr.contains(said), "{arguments:?}: {stderr}");
        assert_eq!(output.stdout.is_empty(), code == 2, "{arguments:?}");
        assert!(!format!("{stderr}{}", text(&output.stdout)).contains("hush"), "{arguments:?}");
    }
}
