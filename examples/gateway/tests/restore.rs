#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! `edge-gateway restore` as an operator runs it: on another machine, with a copy that was taken under load.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use support::gateway::{BINARY, Gateway};
use support::mosquitto::{Mosquitto, Subscriber};
use support::publisher::Publisher;
use support::{free_port, wait_until};

const ROUTES: &str = "[[route]]\nmatch = \"plant/#\"\nto = \"up/\"\n";

fn command(name: &str, copy: &Path, state: &Path) -> Output {
    Command::new(BINARY).arg(name).arg(copy).arg("--state").arg(state).output().unwrap()
}

/// Restores where it must not be: exit code 1, with this text. What is in the state directory stays as it is.
fn refused(copy: &Path, state: &Path, text: &str) {
    let queue = state.join("queue.ring");
    let before = fs::read(&queue).ok();
    let done = command("restore", copy, state);
    let said = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains(text) && said.contains("Nothing was restored"), "{said}");
    assert!(fs::read(&queue).ok() == before, "the queue is another one");
}

#[test]
fn a_copy_is_restored_once_and_only_whole_where_no_gateway_runs() {
    let dir = tempfile::tempdir().unwrap();
    let (gateway, listen) = Gateway::started(dir.path(), free_port(), ROUTES);
    let mut sensor = Publisher::new(listen, "sensor", 100);
    (0..2_000).for_each(|n| sensor.publish("plant/n", &n.to_string()));
    sensor.settle(0, 60);
    let copy = dir.path().join("copy.edgx");
    let done = std::thread::scope(|scope| {
        let done = scope.spawn(|| command("backup", &copy, &gateway.state));
        (2_000..3_000).for_each(|n| sensor.publish("plant/n", &n.to_string()));
        done.join().unwrap()
    });
    sensor.settle(0, 60);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let said = String::from_utf8(done.stdout).unwrap();
    let rows: usize = said.split_once(" rows, ").unwrap().0.parse().unwrap();
    let done = command("restore", &copy, &gateway.state);
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(done.status.code() == Some(1) && said.contains("Nothing was restored"), "{said}");
    assert_eq!(gateway.metric("edge_queue_messages"), Some(3_000.0));

    let other = tempfile::tempdir().unwrap();
    let state = other.path().join("state");
    let bytes = fs::read(&copy).unwrap();
    let damaged = dir.path().join("damaged.edgx");
    fs::write(&damaged, &bytes[..bytes.len() / 2]).unwrap();
    refused(&damaged, &state, "the copy is damaged");
    fs::write(&damaged, &bytes[..bytes.len() / 100]).unwrap();
    refused(&damaged, &state, "no row is intact");
    assert!(!state.exists(), "a damaged copy makes nothing");
    let done = command("restore", &copy, &state);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    assert!(String::from_utf8(done.stdout).unwrap().starts_with(&format!("{rows} rows of queue ")));
    refused(&copy, &state, "has a queue already");

    let hub = Mosquitto::start(other.path(), "max_queued_messages 0");
    let at_hub = Subscriber::start(hub.address, "up/#");
    let (other, _) = Gateway::started(other.path(), hub.address, ROUTES);
    wait_until("the copy is delivered", 60, || at_hub.arrived().len() >= rows);
    wait_until("nothing waits", 60, || other.metric("edge_queue_messages") == Some(0.0));
    let arrived = at_hub.arrived();
    let got: BTreeSet<_> = arrived.iter().map(|message| message.payload.clone()).collect();
    let all = |end: usize| (0..end).map(|n| n.to_string()).collect::<BTreeSet<_>>();
    assert!(got.is_superset(&all(2_000)) && got.is_subset(&all(3_000)));
    assert_eq!((got.len(), arrived.len()), (rows, rows), "each once");
    // The first gateway may deliver each of them, too, under another identity.
    let unmarked = arrived.iter().find(|message| !message.user_properties.contains("edge-pd:1"));
    assert_eq!(unmarked.map(|message| &message.user_properties), None);
}

/// Rows go by the place of their lane in the list: in another list telemetry would become an alarm, under another limit.
#[test]
fn a_copy_is_not_restored_into_other_lanes_and_no_start_takes_it_with_them() {
    let dir = tempfile::tempdir().unwrap();
    let (gateway, listen) = Gateway::started(dir.path(), free_port(), ROUTES);
    let mut sensor = Publisher::new(listen, "sensor", 100);
    (0..20).for_each(|n| sensor.publish("plant/n", &n.to_string()));
    sensor.settle(0, 60);
    let copy = dir.path().join("copy.edgx");
    assert_eq!(command("backup", &copy, &gateway.state).status.code(), Some(0));

    let other = tempfile::tempdir().unwrap();
    let config = |lanes: &str| {
        format!(
            "[gateway]\nid = \"g\"\n[local]\nlisten = \"{}\"\n[hub]\nurl = \"mqtt://{}\"\n[queue]\nlanes = {lanes}\n{ROUTES}",
            free_port(),
            free_port()
        )
    };
    let swapped = Gateway::new(other.path(), &config("[\"telemetry\", \"alarm\"]"));
    let restore = |gateway: &Gateway, copy: &Path| {
        let file = gateway.dir.join("gateway.toml");
        Command::new(BINARY)
            .arg("restore")
            .args([copy, &file])
            .arg("--state")
            .arg(&gateway.state)
            .output()
            .unwrap()
    };
    let done = restore(&swapped, &copy);
    let said = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(1), "{said}");
    for part in
        ["[\"alarm\", \"telemetry\"]", "[\"telemetry\", \"alarm\"]", "gateway.toml:8", "Nothing was restored"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!swapped.state.join("queue.ring").exists());
    // Without the file nobody knows: then the start does.
    assert_eq!(command("restore", &copy, &swapped.state).status.code(), Some(0));
    let ended = swapped.command().output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(2), "{said}");
    assert!(said.contains("20 messages wait in the lanes [\"alarm\", \"telemetry\"]"), "{said}");

    let third = tempfile::tempdir().unwrap();
    let same = Gateway::new(third.path(), &config("[\"alarm\", \"telemetry\"]"));
    assert_eq!(restore(&same, &copy).status.code(), Some(0));
}

/// The new queue has no record of them: a known loss was told nowhere.
#[test]
fn losses_that_no_hub_was_told_are_printed_by_backup_and_restore() {
    let dir = tempfile::tempdir().unwrap();
    let small = format!("[queue]\nmax_messages = 100\non_full = \"drop-oldest\"\n{ROUTES}");
    let (gateway, listen) = Gateway::started(dir.path(), free_port(), &small);
    let mut sensor = Publisher::new(listen, "sensor", 100);
    (0..300).for_each(|n| sensor.publish("plant/n", &n.to_string()));
    sensor.settle(0, 60);
    let copy = dir.path().join("copy.edgx");
    let done = command("backup", &copy, &gateway.state);
    let said = String::from_utf8(done.stdout).unwrap();
    assert!(said.contains("1 report of losses, not yet at the hub"), "{said}");
    let done = command("restore", &copy, &dir.path().join("other"));
    let said = String::from_utf8(done.stdout).unwrap();
    assert!(said.contains("lost before the copy, and not told at hub: 200 readings of lane "), "{said}");
}

/// The key is all of a gateway.toml that a restore cannot do without: a credential that only the service has leaves no backlog in the clear.
#[cfg(feature = "encryption")]
#[test]
fn a_copy_is_encrypted_whatever_else_of_the_file_is_missing_and_without_its_key_not_restored() {
    let dir = tempfile::tempdir().unwrap();
    let (gateway, listen) = Gateway::started(dir.path(), free_port(), ROUTES);
    let mut sensor = Publisher::new(listen, "sensor", 100);
    (0..20).for_each(|n| sensor.publish("plant/n", &format!("plain reading {n}")));
    sensor.settle(0, 60);
    let copy = dir.path().join("copy.edgx");
    assert_eq!(command("backup", &copy, &gateway.state).status.code(), Some(0));

    let (file, state) = (dir.path().join("other.toml"), dir.path().join("other"));
    let queue = state.join("queue.ring");
    let restore = |key: &str| {
        let text = format!(
            "[gateway]\nid = \"g\"\n[local]\nlisten = \"{}\"\n[hub]\nurl = \"mqtt://{}\"\nuser = \"u\"\n\
             password_file = \"${{EDGE_TEST_UNSET}}/hub\"\n[queue]\n{key}\n{ROUTES}",
            free_port(),
            free_port()
        );
        fs::write(&file, text).unwrap();
        let done =
            Command::new(BINARY).arg("restore").args([&copy, &file]).arg("--state").arg(&state).output();
        done.unwrap()
    };
    let is_plain =
        || Command::new("grep").args(["-qa", "plain reading"]).arg(&queue).status().unwrap().success();
    for key in ["key_file = \"absent\"", "key_file = \"${EDGE_TEST_UNSET}/key\"", "key_file = \"key"] {
        let done = restore(key);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.code() == Some(1) && said.contains("Nothing was restored"), "{key}: {said}");
        assert!(!queue.exists(), "{key}");
    }
    fs::write(dir.path().join("key"), [7; 32]).unwrap();
    fs::set_permissions(dir.path().join("key"), fs::Permissions::from_mode(0o600)).unwrap();
    let done = restore("key_file = \"key\"");
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    assert!(!is_plain(), "in the clear");
    fs::remove_dir_all(&state).unwrap();
    assert_eq!(restore("").status.code(), Some(0), "it names no key");
    assert!(is_plain(), "what is looked for is found");
}

/// The disk of the other machine needs the room of its own configuration, and not that of the usual one.
#[test]
fn a_copy_is_restored_with_the_limits_of_the_file_and_with_wider_ones_where_it_needs_them() {
    let dir = tempfile::tempdir().unwrap();
    let (gateway, listen) = Gateway::started(dir.path(), free_port(), ROUTES);
    let mut sensor = Publisher::new(listen, "sensor", 100);
    (0..200).for_each(|n| sensor.publish("plant/n", &format!("{n:01000}")));
    sensor.settle(0, 60);
    let copy = dir.path().join("copy.edgx");
    assert_eq!(command("backup", &copy, &gateway.state).status.code(), Some(0));
    for (limits, is_small) in
        [("max_bytes = \"1MiB\"", true), ("max_bytes = \"1MiB\"\nmax_messages = 100", false)]
    {
        let other = tempfile::tempdir().unwrap();
        let text = format!(
            "[gateway]\nid = \"g\"\n[local]\nlisten = \"{}\"\n[hub]\nurl = \"mqtt://{}\"\n[queue]\n{limits}\n{ROUTES}",
            free_port(),
            free_port()
        );
        let (file, state) = (other.path().join("gateway.toml"), other.path().join("state"));
        fs::write(&file, text).unwrap();
        let done =
            Command::new(BINARY).arg("restore").args([&copy, &file]).arg("--state").arg(&state).output();
        let done = done.unwrap();
        assert_eq!(done.status.code(), Some(0), "{limits}: {done:?}");
        assert!(String::from_utf8(done.stdout).unwrap().starts_with("200 rows of queue "), "{limits}");
        let bytes = fs::metadata(state.join("queue.ring")).unwrap().len();
        assert_eq!(bytes < 20 << 20, is_small, "{limits}: {bytes}");
    }
}
