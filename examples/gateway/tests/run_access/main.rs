#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! `edge-gateway run` with users and rights, between Mosquitto's clients and a Mosquitto as hub. Promises 1 and 12.

mod certificates;
mod rights;
#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use support::gateway::{BINARY, Gateway};
use support::mosquitto::{Mosquitto, Subscriber};
use support::{free_port, wait_until};

const RIGHTS: &str =
    "user oven3\ntopic write plant/oven3/#\nuser panel\ntopic read #\npattern write sites/%u/#\n";

/// Sets a password by the command that users have; returns what it said.
fn passwd(dir: &Path, user: &str, password: &str, more: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    command.arg("passwd").arg(dir.join("users")).arg(user).args(more);
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // One that refuses its arguments does not read, and may be gone.
    let _ = child.stdin.take().unwrap().write_all(format!("{password}\n").as_bytes());
    child.wait_with_output().unwrap()
}

/// A file that root makes for the gateway is one that the gateway can read.
#[test]
fn a_password_file_that_root_makes_is_its_folder_s_owner_s() {
    let dir = tempfile::tempdir().unwrap();
    let owner = || fs::metadata(dir.path().join("users")).unwrap().uid();
    let is_root = fs::metadata(dir.path()).unwrap().uid() == 0;
    let said = |output: Output| String::from_utf8(output.stderr).unwrap();
    let warns = said(passwd(dir.path(), "oven3", "secret", &[])).contains("only root can read it");
    assert_eq!(warns, is_root);
    if !is_root {
        return;
    }
    fs::remove_file(dir.path().join("users")).unwrap();
    std::os::unix::fs::chown(dir.path(), Some(12_345), None).unwrap();
    let told = said(passwd(dir.path(), "oven3", "secret", &[]));
    assert!(owner() == 12_345 && !told.contains("only root"), "{told}");
    // Whose it was before it still is.
    std::os::unix::fs::chown(dir.path(), Some(23_456), None).unwrap();
    assert!(passwd(dir.path(), "panel", "secret", &[]).status.success());
    assert_eq!(owner(), 12_345);
}

fn client(name: &str, at: SocketAddr, login: Option<(&str, &str)>) -> Command {
    let mut command = Command::new(name);
    command.args(["-h", "127.0.0.1", "-p", &at.port().to_string(), "-V", "5"]);
    if let Some((user, password)) = login {
        command.args(["-u", user, "-P", password]);
    }
    command
}

/// Publishes at QoS 1; `None`: taken, otherwise what `mosquitto_pub` says.
fn publish(at: SocketAddr, login: Option<(&str, &str)>, topic: &str, payload: &str) -> Option<String> {
    let output =
        client("mosquitto_pub", at, login).args(["-q", "1", "-t", topic, "-m", payload]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (!output.status.success() || !said.is_empty()).then_some(said)
}

/// A `mosquitto_sub` that writes to a file.
fn subscriber(at: SocketAddr, login: (&str, &str), to: &Path) -> Child {
    let out = fs::File::create(to).unwrap();
    let mut command = client("mosquitto_sub", at, Some(login));
    command.args(["-q", "1", "-t", "#", "-F", "%t %p", "-i", login.0, "-c", "-x", "600"]);
    command.stdout(out).stderr(Stdio::null()).spawn().unwrap()
}

fn config(listen: SocketAddr, hub: SocketAddr) -> String {
    format!(
        "[gateway]\nid = \"g\"\n[local]\nlisten = \"{listen}\"\npassword_file = \"users\"\nacl_file = \"rights\"\n\
         [hub]\nurl = \"mqtt://{hub}\"\n[[route]]\nmatch = \"#\"\nto = \"up/\"\n"
    )
}

#[test]
fn users_do_what_they_may_and_the_files_are_followed() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let hub = Mosquitto::start(dir, "");
    let at_hub = Subscriber::start(hub.address, "up/#");
    for user in ["oven3", "panel"] {
        assert!(passwd(dir, user, "secret", &[]).status.success());
    }
    fs::write(dir.join("rights"), RIGHTS).unwrap();
    let listen = free_port();
    let mut gateway = Gateway::new(dir, &config(listen, hub.address));
    gateway.start();
    let (oven, panel) = (("oven3", "secret"), ("panel", "secret"));
    let mut reader = subscriber(listen, panel, &dir.join("read"));
    let read = || fs::read_to_string(dir.join("read")).unwrap();
    wait_until("the panel reads", 20, || {
        publish(listen, Some(panel), "sites/panel/ready", "?");
        read().contains("ready")
    });

    assert_eq!(publish(listen, Some(oven), "plant/oven3/temp", "1"), None);
    assert_eq!(publish(listen, Some(panel), "sites/panel/x", "2"), None, "by the pattern");
    whoever_has_no_right_is_named(dir, listen);
    for login in [None, Some(("oven3", "guess")), Some(("eve", "secret"))] {
        assert!(publish(listen, login, "plant/oven3/temp", "forged").is_some(), "{login:?}");
    }

    // A right less for the panel, then another password for the oven, with which both hold: within seconds, without a restart.
    fs::write(dir.join("rights"), RIGHTS.replace("read #", "read plant/#")).unwrap();
    assert!(passwd(dir, "oven3", "other", &[]).status.success());
    wait_until("the files are followed", 30, || {
        gateway.log().contains("the access of local clients has changed")
    });
    wait_until("the old password is refused", 30, || {
        publish(listen, Some(oven), "plant/oven3/ready", "?").is_some()
    });
    wait_until("it is told no more", 30, || status(dir).contains("None since the rights changed"));
    let oven = ("oven3", "other");
    assert_eq!(publish(listen, Some(oven), "sites/oven3/x", "3"), None);
    assert_eq!(publish(listen, Some(oven), "plant/oven3/temp", "4"), None);

    a_broken_file_changes_nothing(dir, &gateway);
    assert_eq!(publish(listen, Some(oven), "plant/oven3/temp", "5"), None);

    wait_until("the panel has read", 30, || read().contains("plant/oven3/temp 5"));
    let _ = reader.kill().and_then(|()| reader.wait());
    assert_eq!(
        without_ready(read().lines().map(str::to_owned)),
        ["plant/oven3/temp 1", "sites/panel/x 2", "plant/oven3/temp 4", "plant/oven3/temp 5"],
        "nothing forged, and no other site's after its right was gone"
    );
    let at_hub = || {
        let all = at_hub.arrived().into_iter();
        without_ready(all.map(|arrived| format!("{} {}", arrived.topic, arrived.payload)))
    };
    wait_until("all is at the hub", 20, || at_hub().len() == 5);
    let expected = [
        "up/plant/oven3/temp 1",
        "up/sites/panel/x 2",
        "up/sites/oven3/x 3",
        "up/plant/oven3/temp 4",
        "up/plant/oven3/temp 5",
    ];
    assert_eq!(at_hub(), expected);
    assert_eq!(gateway.terminate().0.code(), Some(0));
}

fn whoever_has_no_right_is_named(dir: &Path, listen: SocketAddr) {
    for (user, topic) in [("oven3", "plant/oven4/temp"), ("panel", "plant/oven3/temp")] {
        let said = publish(listen, Some((user, "secret")), topic, "forged").unwrap();
        assert!(said.to_lowercase().contains("not authorized"), "{said}");
    }
    wait_until("the status names who has no right, and where", 30, || {
        let told = status(dir);
        told.contains("2 messages refused") && told.contains("of user \"panel\" on \"plant/oven3/temp\"")
    });
}

/// Leaves out what only asked whether something is ready.
fn without_ready(lines: impl Iterator<Item = String>) -> Vec<String> {
    lines.filter(|line| !line.contains("ready")).collect()
}

fn status(dir: &Path) -> String {
    let output = Command::new(BINARY).args(["status", "--state"]).arg(dir.join("state")).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn a_broken_file_changes_nothing(dir: &Path, gateway: &Gateway) {
    let whole = fs::read(dir.join("users")).unwrap();
    fs::write(dir.join("users"), "oven3:secret\n").unwrap();
    wait_until("it is told", 30, || gateway.log().contains("the access of local clients stays as it was"));
    assert!(gateway.log().contains("line 1: the password is not hashed"), "{}", gateway.log());
    // A monitor that never reads the log sees it, until it is mended.
    let is_told = || {
        let state = dir.join("state");
        let status =
            Command::new(BINARY).args(["status", "--nagios", "--state"]).arg(state).output().unwrap();
        let said = String::from_utf8_lossy(&status.stdout).into_owned();
        (
            status.status.code(),
            said.contains("access are not in force")
                && said.contains("users ([local] password_file): line 1: the password is not hashed"),
        ) == (Some(1), true)
    };
    wait_until("the status tells it", 30, &is_told);
    fs::write(dir.join("users"), whole).unwrap();
    wait_until("the status no longer tells it", 30, || !is_told());
}

/// Users, rights and what was acknowledged outlive a kill in an outage of the hub.
#[test]
fn promise_1_with_users_too_what_is_acknowledged_outlives_a_kill_in_an_outage() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let mut hub = Mosquitto::start(dir, "");
    hub.kill_9();
    assert!(passwd(dir, "oven3", "secret", &[]).status.success());
    fs::write(dir.join("rights"), RIGHTS).unwrap();
    let listen = free_port();
    let mut gateway = Gateway::new(dir, &config(listen, hub.address));
    gateway.start();
    let login = Some(("oven3", "secret"));
    let mut acknowledged = Vec::new();
    for n in 0..40 {
        if n == 20 {
            gateway.kill_9();
            gateway.start();
        }
        let payload = n.to_string();
        if publish(listen, login, "plant/oven3/temp", &payload).is_none() {
            acknowledged.push(payload);
        }
        assert!(publish(listen, login, "plant/other", "forged").is_some());
        assert!(publish(listen, Some(("oven3", "guess")), "plant/oven3/temp", "forged").is_some());
    }
    assert_eq!(acknowledged.len(), 40);
    let at_hub = gateway.paused(|| {
        hub.run();
        Subscriber::start(hub.address, "up/#")
    });
    let payloads = || at_hub.arrived().iter().map(|arrived| arrived.payload.clone()).collect::<Vec<_>>();
    wait_until("all is at the hub", 60, || acknowledged.iter().all(|one| payloads().contains(one)));
    assert!(!payloads().contains(&"forged".to_owned()));
    gateway.terminate();
}

#[test]
fn passwd_writes_what_mosquitto_reads_and_says_what_it_cannot() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::write(dir.join("users"), "# kept\n").unwrap();
    let said = |output: Output| String::from_utf8(output.stderr).unwrap();
    assert!(said(passwd(dir, "ann", "one", &[])).contains("user \"ann\" is added"));
    assert!(said(passwd(dir, "bob", "two", &[])).contains("is added"));
    assert!(said(passwd(dir, "ann", "three", &[])).contains("is changed"));
    let broker = Mosquitto::start(dir, &format!("user root\npassword_file {}", dir.join("users").display()));
    assert_eq!(publish(broker.address, Some(("ann", "three")), "x", "x"), None);
    assert!(publish(broker.address, Some(("ann", "one")), "x", "x").is_some());
    assert!(said(passwd(dir, "bob", "", &["--delete"])).contains("taken out"));
    let text = fs::read_to_string(dir.join("users")).unwrap();
    assert!(text.starts_with("# kept\nann:$7$101$") && text.lines().count() == 2, "{text}");
    for (user, password, more, expected) in [
        ("ann", "", &[][..], "the password is empty"),
        ("a:b", "x", &[], "user \"a:b\": a user name has no colon"),
        ("bob", "", &["--delete"], "no user \"bob\""),
    ] {
        let output = passwd(dir, user, password, more);
        assert_eq!(output.status.code(), Some(1));
        assert!(said(output).contains(expected), "{expected}");
    }
    assert_eq!(fs::read_to_string(dir.join("users")).unwrap(), text, "nothing is lost by a mistake");
    let at_once: Vec<_> = (0..8)
        .map(|n| {
            std::thread::spawn({
                let dir = dir.to_owned();
                move || passwd(&dir, &format!("user{n}"), "x", &[]).status.success()
            })
        })
        .collect();
    assert!(at_once.into_iter().all(|one| one.join().unwrap()));
    let text = fs::read_to_string(dir.join("users")).unwrap();
    assert_eq!((text.lines().count(), dir.join("users.new").exists()), (10, false), "{text}");
}
