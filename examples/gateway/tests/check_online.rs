#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! `edge-gateway check --online` against Mosquitto and scripted hubs.

mod support;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use edge_bridge::net::certificate_ends;
use support::authority::Authority;
use support::gateway::{BINARY, Gateway};
use support::hub::{Answer, Hub, Manners, Unknown};
use support::mosquitto::{Mosquitto, Subscriber};
use support::{free_port, wait_until};

const PARTS: &str = "[[route]]\nmatch = \"raw/#\"\nto = \"site/\"\n[[route]]\nmatch = \"plant/#\"\nto = \"out\"\nformat = \"compact\"\n\
    fields = { value = \"value\" }\n[[command]]\nmatch = \"cmd/g/+\"\nto = \"valve/+\"\nexpiry = \"1m\"\nallow_unbounded = true\n";

/// Exit code and report. `rest`: lines of `[hub]`, and what follows it.
fn check(dir: &Path, hub: SocketAddr, rest: &str, options: &[&str]) -> (Option<i32>, String) {
    let file = dir.join("checked.toml");
    let listen = free_port();
    let config = format!(
        "[gateway]\nid = \"g\"\n[local]\nlisten = \"{listen}\"\n[hub]\nurl = \"mqtt://{hub}\"\n{rest}\n{PARTS}"
    );
    fs::write(&file, config).unwrap();
    let output = Command::new(BINARY).arg("check").arg(&file).arg("--online").args(options).output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

/// Lines of the report from the one on, that is titled `online`.
fn online(report: &str) -> Vec<&str> {
    report.lines().skip_while(|line| !line.starts_with("online")).map(|line| line[14..].trim_end()).collect()
}

#[test]
fn what_the_hub_grants_and_refuses_is_told_while_the_gateway_runs_on() {
    let dir = tempfile::tempdir().unwrap();
    let rules = dir.path().join("acl");
    let all = "topic write site/#\ntopic write dead-letter/#\ntopic write edge/#\ntopic readwrite out/#\ntopic read cmd/#\n";
    fs::write(&rules, format!("{all}topic write out\ntopic read #\ntopic read $SYS/#\ntopic write probe\n"))
        .unwrap();
    let lines = format!("acl_file {}\nsys_interval 1\nmax_queued_messages 0", rules.display());
    let hub = Mosquitto::start(dir.path(), &lines);
    let at_hub = Subscriber::start(hub.address, "#");
    let figures = Subscriber::start(hub.address, "$SYS/broker/clients/disconnected");
    let config = format!(
        "[gateway]\nid = \"g\"\n[local]\nlisten = \"{}\"\n[hub]\nurl = \"mqtt://{}\"\n{PARTS}",
        free_port(),
        hub.address
    );
    let mut gateway = Gateway::new(dir.path(), &config);
    gateway.start();
    wait_until("the gateway is connected", 20, || hub.connects("g") == 1);

    let (code, report) = check(dir.path(), hub.address, "", &["--publish"]);
    assert_eq!(code, Some(0), "{report}");
    let granted = online(&report);
    assert!(granted[0].contains(": connected in ") && granted[0].ends_with(", MQTT 5"), "{report}");
    let round_trip = |line: &&&str| {
        let ms = line
            .strip_prefix("round trip ")
            .and_then(|rest| rest.strip_suffix(" ms, of an UNSUBSCRIBE and its answer"));
        ms.is_some_and(|ms| ms.parse::<u64>().is_ok())
    };
    assert_eq!(granted.iter().filter(round_trip).count(), 1, "{report}");
    assert!(!granted.iter().any(|line| line.starts_with("TLS")), "{report}");
    for line in [
        "may subscribe to out/table/g/#",
        "may subscribe to cmd/g/+",
        "may publish to site/raw/edge-check",
        "may publish to out",
        "may publish to dead-letter/plant/edge-check",
        "may publish to edge/answers/g",
        "commands are kept for a gateway that is away for 1 d 0 h (Session Expiry)",
    ] {
        assert!(granted.contains(&line), "{line} is missing in\n{report}");
    }
    let tests =
        || at_hub.arrived().into_iter().filter(|one| one.content_type == "application/vnd.edge.check");
    wait_until("a test message is there for each topic", 20, || tests().count() == 5);
    assert!(tests().all(|one| one.bytes.is_empty()));
    wait_until("nothing stays", 30, || figures.arrived().last().is_some_and(|now| now.payload == "0"));
    assert_eq!(hub.connects("g"), 1, "the gateway's own connection stays");
    // Nothing is published unless it is asked for.
    let before = tests().count();
    let (code, report) = check(dir.path(), hub.address, "", &[]);
    assert_eq!((code, tests().count()), (Some(0), before), "{report}");
    assert!(report.contains("whether it may publish was not tried: --publish"), "{report}");

    fs::write(&rules, all.replace("edge/#", "edge/x") + "topic write probe\n").unwrap();
    hub.reconfigure(&lines);
    let (code, report) = check(dir.path(), hub.address, "", &["--publish"]);
    assert_eq!(code, Some(1), "{report}");
    let refused = online(&report);
    assert!(refused.contains(&"FAILS: may not publish to edge/answers/g: 0x87 Not authorized"), "{report}");
    // Those behind a refused one are tried all the same.
    assert!(refused.contains(&"may publish to dead-letter/plant/edge-check"), "{report}");
    assert_eq!(gateway.terminate().0.code(), Some(0));
}

#[test]
fn a_refused_subscription_fails() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), &Mosquitto::rights(dir.path(), false));
    let (code, report) = check(dir.path(), hub.address, "", &[]);
    assert_eq!(code, Some(1), "{report}");
    let lines = online(&report);
    for filter in ["out/table/g/#", "cmd/g/+"] {
        let line = format!("FAILS: may not subscribe to {filter}: 0x87 Not authorized");
        assert!(lines.contains(&line.as_str()), "{line} is missing in\n{report}");
    }
}

#[test]
fn the_version_of_tls_and_the_end_of_the_hubs_certificate_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).display().to_string();
    let plant = Authority::new(dir.path(), "plant");
    plant.sign_for_days(dir.path(), "hub", "hub", 40);
    let secure = free_port();
    let lines = format!(
        "user root\nlistener {} 127.0.0.1\ncertfile {}\nkeyfile {}",
        secure.port(),
        file("hub.crt"),
        file("hub.key")
    );
    let _hub = Mosquitto::start(dir.path(), &lines);
    let config = format!(
        "[gateway]\nid = \"g\"\n[local]\nlisten = \"{}\"\n[hub]\nurl = \"mqtts://localhost:{}\"\nca = \"plant.crt\"\n[[route]]\nmatch = \"#\"\nto = \"up/\"\n",
        free_port(),
        secure.port()
    );
    fs::write(dir.path().join("checked.toml"), config).unwrap();
    let output = Command::new(BINARY)
        .arg("check")
        .arg(dir.path().join("checked.toml"))
        .arg("--online")
        .output()
        .unwrap();
    let report = String::from_utf8(output.stdout).unwrap();
    let ends = certificate_ends(dir.path().join("hub.crt")).unwrap();
    let end = ends[0].duration_since(UNIX_EPOCH).unwrap();
    let line =
        format!("TLS 1.3; the hub's certificate is valid until {}", edge_page::date(end.as_millis() as i64));
    assert!(online(&report).contains(&line.as_str()), "{line} is missing in\n{report}");
    assert!(
        report.contains("the session is kept for a gateway that is away for 1 d 0 h (Session Expiry)"),
        "{report}"
    );
}

/// The other address is tried all the same, and what cannot be reached decides.
#[test]
fn an_address_that_is_not_there_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "");
    let nobody = free_port();
    let rest = format!("further_urls = [\"mqtt://{nobody}\"]");
    let (code, report) = check(dir.path(), hub.address, &rest, &[]);
    assert_eq!(code, Some(69), "{report}");
    let lines = online(&report);
    assert!(lines[0].starts_with(&format!("mqtt://{}: connected in ", hub.address)), "{report}");
    let last = lines.last().unwrap();
    assert!(last.starts_with(&format!("mqtt://{nobody}: not reached: cannot connect to ")), "{report}");
    let (code, report) = check(dir.path(), nobody, "", &["--publish"]);
    assert_eq!(code, Some(69), "{report}");
}

#[test]
fn wrong_credentials_are_told_as_the_hub_says_it() {
    let dir = tempfile::tempdir().unwrap();
    let users = dir.path().join("users");
    fs::write(&users, "").unwrap();
    let hub =
        Mosquitto::start(dir.path(), &format!("password_file {}\nallow_anonymous false", users.display()));
    let (code, report) = check(dir.path(), hub.address, "", &[]);
    assert_eq!(code, Some(1), "{report}");
    let line =
        format!("mqtt://{}: FAILS: the server refused the connection: 0x87 Not authorized", hub.address);
    assert_eq!(online(&report)[0], line, "{report}");
}

/// In 3.1.1 a PUBACK says nothing about rights, and a session that is not clean stays for ever.
#[test]
fn a_hub_of_3_1_1_is_found_and_its_answers_are_worth_less() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "sys_interval 1");
    let figures = Subscriber::start(hub.address, "$SYS/broker/clients/disconnected");
    let (code, report) = check(dir.path(), hub.address, "protocol = \"3.1.1\"", &["--publish"]);
    assert_eq!(code, Some(0), "{report}");
    let lines = online(&report);
    assert!(lines[0].ends_with(", MQTT 3.1.1"), "{report}");
    let line = "out: acknowledged, which in MQTT 3.1.1 also a hub says that throws it away";
    assert!(lines.contains(&line), "{report}");
    wait_until("nothing stays", 30, || figures.arrived().last().is_some_and(|now| now.payload == "0"));
    let old =
        Hub::of_3_1_1(Manners { unknown: Unknown::ReturnCode, late: Duration::ZERO, early_publish: false });
    let (code, report) = check(dir.path(), old.address, "", &[]);
    assert_eq!(code, Some(0), "{report}");
    assert!(online(&report)[0].ends_with(", MQTT 3.1.1"), "{report}");
}

#[test]
fn a_hub_that_closes_or_never_answers_costs_that_topic_alone() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    hub.answer(|topic, _| match topic {
        "out" => Answer::Close,
        "edge/answers/g" => Answer::Silent,
        _ => Answer::Ack(0),
    });
    let (code, report) = check(dir.path(), hub.address, "", &["--publish"]);
    assert_eq!(code, Some(1), "{report}");
    let lines = online(&report);
    for line in [
        "may publish to site/raw/edge-check",
        "FAILS: the hub closes the connection at a message to out",
        "may publish to dead-letter/plant/edge-check",
        "FAILS: no answer to a message to edge/answers/g",
    ] {
        assert!(lines.contains(&line), "{line} is missing in\n{report}");
    }
}

/// Mosquitto says `max_inflight_messages` as its Receive Maximum, and no limit as the largest; MQTT 3.1.1 has no word for it.
#[test]
fn the_hubs_receive_maximum_is_told_beside_the_window() {
    let without = |report: &str| {
        let lines = online(report);
        lines
            .iter()
            .filter(|line| line.contains("without their PUBACK"))
            .map(|line| (*line).to_owned())
            .collect()
    };
    let told = |most: u16, rest: &str| -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let hub = Mosquitto::start(dir.path(), &format!("max_inflight_messages {most}"));
        let (code, report) = check(dir.path(), hub.address, rest, &[]);
        assert_eq!(code, Some(0), "{report}");
        without(&report)
    };
    let few = "at most 5 messages without their PUBACK: Receive Maximum 5, [hub] window = 40";
    assert_eq!(told(5, "window = 40"), [few]);
    let enough = "at most 40 messages without their PUBACK: Receive Maximum 700, [hub] window = 40";
    assert_eq!(told(700, "window = 40"), [enough]);
    let any = "at most 40 messages without their PUBACK: Receive Maximum 65535, [hub] window = 40";
    assert_eq!(told(0, "window = 40"), [any]);
    assert_eq!(told(5, "window = 40\nprotocol = \"3.1.1\""), [""; 0]);
}
