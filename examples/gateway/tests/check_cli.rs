#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! The command line: what it says and with which exit code.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use support::free_port;
use support::gateway::{BINARY, Gateway};

fn edge_gateway(arguments: &[&str]) -> Output {
    Command::new(BINARY).args(arguments).output().unwrap()
}

fn written(dir: &Path, text: &str) -> String {
    let path = dir.join("gateway.toml");
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn good() -> String {
    format!(
        "[gateway]\nid = \"g\"\n[local]\nlisten = \"{}\"\n[hub]\nurl = \"mqtt://127.0.0.1:1\"\n[[route]]\nmatch = \"plant/#\"\n",
        free_port()
    )
}

#[test]
fn the_example_is_a_configuration() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/gateway.toml");
    let output = edge_gateway(&["check", example]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "no warnings: {}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("outage covered") && said.contains("RAM at most"), "{said}");
}

#[test]
fn every_mistake_is_told_at_once_with_its_place_and_nothing_is_started() {
    let dir = tempfile::tempdir().unwrap();
    let text = "[gateway]\nid = \"g\"\n[local]\nlisten = \"127.0.0.1:0\"\n[hub]\nurll = \"mqtt://h\"\n[queue]\nmax_bytes = \"1\"\n[[route]]\nmatch = \"#\"\nformat = \"compct\"\n";
    let file = written(dir.path(), text);
    for command in [vec!["check", &file], vec!["run", &file, "--state", dir.path().to_str().unwrap()]] {
        let output = edge_gateway(&command);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        for part in ["gateway.toml:6", "url", "gateway.toml:8", "max_bytes", "compact"] {
            assert!(said.contains(part), "{part} is missing in\n{said}");
        }
    }
    assert!(!dir.path().join("queue.ring").exists());
}

#[test]
fn a_hub_of_3_1_1_is_said_to_deny_in_silence() {
    let dir = tempfile::tempdir().unwrap();
    for (protocol, is_silent) in [("auto", false), ("5", false), ("3.1.1", true)] {
        let text = good().replace("[hub]\n", &format!("[hub]\nprotocol = \"{protocol}\"\n"));
        let output = edge_gateway(&["check", &written(dir.path(), &text)]);
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(said.contains("denies in silence"), is_silent, "{said}");
    }
}

#[test]
fn commands_are_explained_and_what_they_cannot_be_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = |hub: &str, rule: &str| {
        let text = good().replace("[hub]\n", &format!("[hub]\n{hub}\n")).replace("\"#\"", "\"plant/#\"");
        written(dir.path(), &format!("{text}[[command]]\nmatch = \"site7/cmd/#\"\n{rule}\n"))
    };
    let output = edge_gateway(&["check", &file("", "to = \"valve/#\"")]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "no warnings: {}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("command 1     site7/cmd/# at the hub -> valve/# for local clients"), "{said}");
    let output = edge_gateway(&["check", &file("protocol = \"3.1.1\"", "to = \"valve/+\"")]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("error: command[1].to: "), "{said}");
}

#[test]
fn compact_batches_are_a_format_like_the_others_and_a_batch_has_readings_or_bytes() {
    let dir = tempfile::tempdir().unwrap();
    for (max, said) in [("500", "500 readings"), ("\"16184B\"", "15.8 KiB")] {
        let route = format!("to = \"out\"\nformat = \"compact\"\nbatch_max = {max}\n");
        let output = edge_gateway(&["check", &written(dir.path(), &(good() + &route))]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(text.contains("Compact batches") && text.contains(said), "{said} is missing in\n{text}");
    }
    for (max, said) in [("\"16\"", "needs a unit"), ("\"16MiB\"", "256B to 256KiB"), ("true", "whole number")]
    {
        let route = format!("to = \"out\"\nformat = \"compact\"\nbatch_max = {max}\n");
        let output = edge_gateway(&["check", &written(dir.path(), &(good() + &route))]);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && text.contains(said), "{said} is missing in\n{text}");
    }
}

#[test]
fn without_a_place_for_the_queue_nothing_is_started() {
    let dir = tempfile::tempdir().unwrap();
    let output = edge_gateway(&["run", &written(dir.path(), &good())]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("--state"));
}

#[test]
fn tls_without_an_authority_trusts_those_of_the_system() {
    let dir = tempfile::tempdir().unwrap();
    let file = written(dir.path(), &good().replace("mqtt://", "mqtts://"));
    let output = edge_gateway(&["check", &file]);
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8(output.stdout).unwrap().contains("trusts the authorities of the system"));
    // A bundle that is none is found out before anything starts.
    let bundle = dir.path().join("bundle.pem");
    fs::write(&bundle, "nothing").unwrap();
    let state = dir.path().join("state");
    let output = Command::new(BINARY)
        .args(["run", &file, "--state", state.to_str().unwrap()])
        .env("SSL_CERT_FILE", &bundle)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("bundle.pem: no certificate in it"), "{said}");
}

/// A site's files, made for it: an authority, and a certificate of it with its key.
fn site_files(dir: &Path, days_left: i64) {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    let mut authority = CertificateParams::new(Vec::<String>::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    fs::write(dir.join("ca.crt"), authority.self_signed(&key).unwrap().pem()).unwrap();
    let authority = Issuer::new(authority, key);
    let mut params = CertificateParams::new(vec!["site7".to_owned()]).unwrap();
    let (now, days) =
        (std::time::SystemTime::now(), std::time::Duration::from_secs(86_400 * days_left.unsigned_abs()));
    params.not_after = if days_left < 0 { now - days } else { now + days }.into();
    let key = KeyPair::generate().unwrap();
    fs::write(dir.join("site7.crt"), params.signed_by(&key, &authority).unwrap().pem()).unwrap();
    fs::write(dir.join("site7.key"), key.serialize_pem()).unwrap();
    fs::set_permissions(dir.join("site7.key"), fs::Permissions::from_mode(0o600)).unwrap();
}

fn check_with_files(dir: &Path) -> (Option<i32>, String) {
    let hub = "mqtts://127.0.0.1:1\"\nca = \"ca.crt\"\ncert = \"site7.crt\"\nkey = \"site7.key";
    let output = edge_gateway(&["check", &written(dir, &good().replace("mqtt://127.0.0.1:1", hub))]);
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn the_key_that_does_not_fit_and_the_certificate_that_ends_are_found_before_the_site_is_visited() {
    let (fine, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    site_files(fine.path(), 365);
    assert_eq!(check_with_files(fine.path()), (Some(0), String::new()));
    fs::set_permissions(fine.path().join("site7.key"), fs::Permissions::from_mode(0o644)).unwrap();
    let (code, said) = check_with_files(fine.path());
    assert!(code == Some(0) && said.contains("site7.key: mode 0644, others may read the key"), "{said}");
    site_files(other.path(), 20);
    let (code, said) = check_with_files(other.path());
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("warning: hub.cert:") && said.contains("expires within 30 days"), "{said}");
    assert!(said.contains("gateway.toml:8:"), "{said}");
    site_files(other.path(), -2);
    let (code, said) = check_with_files(other.path());
    assert_eq!(code, Some(2), "{said}");
    let expired = "error: hub.cert: ";
    assert!(said.contains(expired) && said.contains("the certificate has expired, by this machine's clock"));
    assert!(said.contains("1 error, 0 warnings. Nothing was started."), "{said}");
    fs::copy(fine.path().join("site7.key"), other.path().join("site7.key")).unwrap();
    let (code, said) = check_with_files(other.path());
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("error: hub.key:") && said.contains("gateway.toml:9:"), "{said}");
    assert!(said.contains("site7.key: the key does not belong to the first certificate"), "{said}");
    fs::write(
        other.path().join("site7.key"),
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    )
    .unwrap();
    let (code, said) = check_with_files(other.path());
    assert!(
        code == Some(2) && said.contains("site7.key: the key is encrypted: write it without a passphrase"),
        "{said}"
    );
    // What is wrong with the certificate is told at its line.
    site_files(other.path(), 365);
    fs::write(
        other.path().join("site7.crt"),
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    )
    .unwrap();
    let (code, said) = check_with_files(other.path());
    assert!(
        code == Some(2) && said.contains("error: hub.cert:") && said.contains("gateway.toml:8:"),
        "{said}"
    );
    fs::write(other.path().join("ca.crt"), "nothing").unwrap();
    let (code, said) = check_with_files(other.path());
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("error: hub.ca:") && said.contains("no certificate in it"), "{said}");
}

/// The clock may be wrong, and what sensors send meanwhile is kept.
#[test]
fn a_certificate_that_has_expired_keeps_no_gateway_from_its_start() {
    let dir = tempfile::tempdir().unwrap();
    site_files(dir.path(), -2);
    let hub = "mqtts://127.0.0.1:1\"\nca = \"ca.crt\"\ncert = \"site7.crt\"\nkey = \"site7.key";
    let mut gateway = Gateway::new(dir.path(), &good().replace("mqtt://127.0.0.1:1", hub));
    gateway.start();
    assert!(gateway.terminate().0.success());
    let log = gateway.log();
    assert!(log.contains("warning: hub.cert: ") && log.contains("the certificate has expired"), "{log}");
    assert!(!log.contains("error: "), "{log}");
}

#[test]
fn a_second_gateway_on_the_same_state_is_refused_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let mut gateway = Gateway::new(dir.path(), &good());
    gateway.start();
    let output = gateway.command().output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("in use: another edge-gateway"), "{said}");
    assert!(gateway.terminate().0.success(), "the first one did not notice");
}

/// A warning: `run` starts without its queue, and opens it once there is a directory.
#[test]
fn a_state_that_is_no_directory_is_told_by_check() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("spool"), "somebody's").unwrap();
    let text = good().replace("id = \"g\"", "id = \"g\"\nstate = \"spool\"");
    let output = edge_gateway(&["check", &written(dir.path(), &text)]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("gateway.state") && said.contains("spool: it is no directory"), "{said}");
}

/// Promise 14: `check` says what the loops do when in doubt, and names what is wrong with them.
#[test]
fn control_loops_are_checked() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path(), &format!("{}[control]\nrules = \"control.toml\"\n", good()));
    let loops = include_str!("../control.toml");
    fs::write(dir.path().join("control.toml"), loops).unwrap();
    let output = edge_gateway(&["check", &path]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(said.contains("2 inputs (QoS 0), scanned every 0.01 s, watchdog 0.1 s"), "{said}");
    assert!(said.contains("out/plant/line/contactor is 0 when in doubt"), "{said}");
    for (from, to, expected) in [
        ("setpoint = 60.0", "setpoint = nan", "output 2: pid.setpoint"),
        ("is = false", "ist = false", "unknown field `ist`"),
        (
            "period_ms = 10\nwatchdog_ms = 100 ",
            "period_ms = 1001\nwatchdog_ms = 1001 ",
            "control.toml: line 5: control.period_ms: `period_ms` must be at most 1000, found 1001",
        ),
        ("watchdog_ms = 100 ", "watchdog_ms = 9 ", "`watchdog_ms` must be at least period_ms, found 9"),
        ("name = \"stop\"", "name = \"stop/+\"", "interlock 1: name: \"stop/+\""),
    ] {
        fs::write(dir.path().join("control.toml"), loops.replacen(from, to, 1)).unwrap();
        let output = edge_gateway(&["check", &path]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{to}");
        assert!(said.contains("error: control.rules: ") && said.contains(expected), "{to}:\n{said}");
    }
    let slow =
        loops.replacen("period_ms = 10\nwatchdog_ms = 100 ", "period_ms = 1001\nwatchdog_ms = 1001 ", 1);
    fs::write(dir.path().join("control.toml"), slow.replacen("setpoint = 60.0", "setpoint = nan", 1))
        .unwrap();
    let said = String::from_utf8_lossy(&edge_gateway(&["check", &path]).stderr).into_owned();
    assert!(said.contains("at most 1000, found 1001") && said.contains("output 2: pid.setpoint"), "{said}");
    // Without commands nobody can reset the interlock.
    let (before, rest) = loops.split_once("commands = true").unwrap();
    let (_, after) = rest.split_once("[[input]]").unwrap();
    fs::write(dir.path().join("control.toml"), format!("{before}\n[[input]]{after}")).unwrap();
    let output = edge_gateway(&["check", &path]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(
        said.contains("warning: control.rules: ") && said.contains("[[interlock]] \"stop\": reset by hand"),
        "{said}"
    );
    fs::write(dir.path().join("control.toml"), loops).unwrap();
    for (more, expected) in [
        ("rule = \"control.toml\"", "control.rule: unknown key"),
        ("publish_every = \"5ms\"\nrules = \"control.toml\"", "control.publish_every: from one"),
        ("rules = \"nowhere.toml\"", "nowhere.toml"),
        ("", "control.rules: missing"),
    ] {
        let path = written(dir.path(), &format!("{}[control]\n{more}\n", good()));
        let output = edge_gateway(&["check", &path]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{more}");
        assert!(said.contains(expected), "{more}:\n{said}");
    }
    let behind = good().replace("listen = ", "broker = ");
    let path = written(dir.path(), &format!("{behind}[control]\nrules = \"control.toml\"\n"));
    let said = String::from_utf8_lossy(&edge_gateway(&["check", &path]).stderr).into_owned();
    assert!(said.contains("control: needs `[local] listen`"), "{said}");
}

#[test]
fn a_listener_that_others_reach_is_a_warning_with_what_they_may_do() {
    let dir = tempfile::tempdir().unwrap();
    let with_commands = include_str!("../control.toml");
    let (before, rest) = with_commands.split_once("commands = true").unwrap();
    let (_, after) = rest.split_once("[[input]]").unwrap();
    let without = format!("{before}\n[[input]]{after}");
    let commands =
        " may publish inputs, and command at cmd/# within [commands]: client identifiers are claims\n";
    for (host, rules, expected) in [
        ("127.0.0.1", with_commands, None),
        ("[::1]", with_commands, None),
        ("0.0.0.0", with_commands, Some(commands)),
        ("[::]", with_commands, Some(commands)),
        ("192.168.1.2", &*without, Some(" may publish inputs\n")),
    ] {
        fs::write(dir.path().join("control.toml"), rules).unwrap();
        let local = format!("allow_anonymous = true\nlisten = \"{host}");
        let text = good().replacen("listen = \"127.0.0.1", &local, 1);
        let path = written(dir.path(), &format!("{text}[control]\nrules = \"control.toml\"\n"));
        let output = edge_gateway(&["check", &path]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{said}");
        let start = "warning: control: anyone who reaches local.listen";
        let told = said.split_once(start).map(|(_, rest)| rest);
        let is_right = match (told, expected) {
            (Some(told), Some(expected)) => told.starts_with(expected),
            (told, expected) => told.is_none() && expected.is_none(),
        };
        assert!(is_right, "{host}\n{said}");
    }
}

/// Neither findings nor the report: the strings stand in the file with escapes of TOML, or as they are.
#[test]
fn no_string_of_a_file_writes_a_line_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let forged = r"x\u001b[2J\u202e\u009b\nerror: forged: by a string\n  --> forged";
    let shown = r"x\u{1b}[2J\u{202e}\u{9b}\nerror: forged: by a string\n  --> forged";
    let raw = "x\u{202e}\u{9b}2J";
    fs::write(dir.path().join("control.toml"), format!("\"{forged}\" = 1\n")).unwrap();
    for (from, to, code, expected) in [
        ("mqtt://127.0.0.1:1", forged, 2, shown),
        ("match = \"plant/#\"", &*format!("match = \"{forged}#\""), 2, shown),
        ("match = \"plant/#\"", &format!("match = \"#\"\nformat = \"{forged}\""), 2, shown),
        ("match = \"plant/#\"", &format!("match = \"#\"\nfilter = \"{forged}\""), 2, shown),
        ("[hub]", &format!("[hub]\n\"{forged}\" = 1"), 2, shown),
        ("[hub]", "[control]\nrules = \"control.toml\"\n[hub]", 2, shown),
        ("url = ", &format!("# {raw}\nwindow = 0 # {raw}\nurl = "), 2, r"window = 0 # x\u{202e}\u{9b}2J"),
        ("[hub]", &format!("[hub]\nclient_id = \"{forged}\""), 0, shown),
        ("[hub]", &format!("[queue]\nlanes = [\"{forged}\"]\n[hub]"), 0, shown),
    ] {
        let output = edge_gateway(&["check", &written(dir.path(), &good().replacen(from, to, 1))]);
        let (report, findings) = (String::from_utf8(output.stdout), String::from_utf8(output.stderr));
        let said = report.unwrap() + &findings.unwrap();
        assert_eq!(output.status.code(), Some(code), "{to}\n{said}");
        let is_left = said.contains(|c: char| c != '\n' && (c.is_control() || c == '\u{202e}'));
        assert!(!is_left && said.contains(expected), "{to}\n{}", said.escape_debug());
        assert!(!said.lines().any(|line| line.starts_with("error: forged")), "{to}\n{said}");
    }
}

/// As `check FILE | head -0` does.
#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let dir = tempfile::tempdir().unwrap();
    let file = written(dir.path(), &good());
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(BINARY);
    command.args(["check", &file]).stdout(writer).stderr(std::process::Stdio::piped());
    let output = command.spawn().unwrap().wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), said.as_str()), (Some(0), ""));
}
