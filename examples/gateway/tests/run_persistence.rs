#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! `edge-gateway run` between Mosquitto's clients: their sessions and retained messages outlive kill -9 and a stop.

mod support;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use support::commands::leave_session;
use support::gateway::Gateway;
use support::mosquitto::{publish, retain};
use support::{free_port, wait_until};

fn gateway(dir: &Path, more: &str) -> (Gateway, SocketAddr) {
    let listen = free_port();
    let config = format!(
        "[gateway]\nid = \"g\"\n[local]\nlisten = \"{listen}\"\n{more}\n[hub]\nurl = \"mqtt://{}\"\n[[route]]\nmatch = \"up/#\"\n",
        free_port()
    );
    let mut gateway = Gateway::new(dir, &config);
    gateway.start();
    (gateway, listen)
}

/// Visits again and again until so many messages came, and at least once. A machine that stands still may take up a visit of a second.
fn visits(at: SocketAddr, id: &str, filter: &str, messages: usize) -> Vec<String> {
    let mut came = Vec::new();
    wait_until(&format!("{id} gets {messages} messages"), 30, || {
        came.extend(visit(at, id, filter));
        came.len() >= messages
    });
    came
}

/// Subscribes as a client with a session, stays for a second, and goes away. Returns what came.
fn visit(at: SocketAddr, id: &str, filter: &str) -> Vec<String> {
    let mut command = Command::new("mosquitto_sub");
    command.args([
        "-p",
        &at.port().to_string(),
        "-V",
        "5",
        "-q",
        "1",
        "-c",
        "-x",
        "3600",
        "-i",
        id,
        "-t",
        filter,
    ]);
    command.args(["-F", "%t %p", "-W", "1"]);
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// Waits until the file of clients has this text: packets of MQTT are text where topics and payloads are.
fn wait_saved(gateway: &Gateway, text: &str) {
    let path = gateway.state.join("clients");
    wait_until(&format!("\"{text}\" is saved"), 20, || {
        let saved = fs::read(&path).unwrap_or_default();
        saved.windows(text.len()).any(|part| part == text.as_bytes())
    });
}

#[test]
fn sessions_and_retained_messages_outlive_a_kill_and_a_stop() {
    let dir = tempfile::tempdir().unwrap();
    let (mut gateway, listen) = gateway(dir.path(), "");
    leave_session(listen, "panel", "plant/#");
    retain(listen, "set/point", "70");
    retain(listen, "set/gone", "x");
    retain(listen, "set/gone", "");
    publish(listen, "plant/one", "1");
    wait_saved(&gateway, "plant/one");
    gateway.kill_9();
    gateway.start();
    publish(listen, "plant/two", "2");
    assert_eq!(visits(listen, "panel", "plant/#", 2), ["plant/one 1", "plant/two 2"], "after the kill");
    assert_eq!(visits(listen, "other", "set/#", 1), ["set/point 70"]);
    // The end of a stop saves what a moment before nobody knew.
    publish(listen, "plant/three", "3");
    retain(listen, "set/point", "71");
    assert_eq!(gateway.terminate().0.code(), Some(0));
    gateway.start();
    assert_eq!(visits(listen, "panel", "plant/#", 1), ["plant/three 3"], "after the stop");
    assert_eq!(visits(listen, "third", "set/#", 1), ["set/point 71"]);
    assert_eq!(gateway.terminate().0.code(), Some(0));
}

/// A subscriber with a session of MQTT 5 and a will, connected.
fn with_will(at: SocketAddr, id: &str, will: &str) -> Child {
    let port = at.port().to_string();
    let mut command = Command::new("mosquitto_sub");
    command
        .args(["-p", &port, "-V", "5", "-q", "1", "-c", "-x", "600", "-k", "8", "-i", id, "-t", "plant/#"]);
    command.args(["--will-topic", will, "--will-payload", "gone", "--will-qos", "1"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// The gateway is killed before its clients, whose connections therefore end without a will.
#[test]
fn a_will_outlives_a_kill_and_is_published_once_unless_its_client_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let (mut gateway, listen) = gateway(dir.path(), "");
    leave_session(listen, "reader", "w/#");
    let mut clients = [("gone", "w/a"), ("back", "w/b")].map(|(id, will)| with_will(listen, id, will));
    ["w/a", "w/b"].into_iter().for_each(|will| wait_saved(&gateway, will));
    gateway.kill_9();
    for client in &mut clients {
        client.kill().unwrap();
        client.wait().unwrap();
    }
    gateway.start();
    assert!(visit(listen, "back", "plant/#").is_empty(), "comes back in time, and says goodbye");
    assert_eq!(visits(listen, "reader", "w/#", 1), ["w/a gone"]);
    assert!(visit(listen, "reader", "w/#").is_empty(), "neither that one again nor the other one");
    assert_eq!(gateway.terminate().0.code(), Some(0));
    let saved = fs::read(gateway.state.join("clients")).unwrap();
    let is_saved = |text: &str| saved.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(is_saved("w/#") && !is_saved("w/a") && !is_saved("w/b"), "no start publishes one later");
}

/// Kills the gateway, and changes a byte of the file of clients, the one of this text's begin. Returns the file.
fn damage(gateway: &mut Gateway, text: &str) -> Vec<u8> {
    gateway.kill_9();
    let path = gateway.state.join("clients");
    let mut saved = fs::read(&path).unwrap();
    let at = saved.windows(text.len()).position(|part| part == text.as_bytes()).unwrap();
    saved[at] ^= 1;
    fs::write(&path, &saved).unwrap();
    saved
}

/// Starts the gateway and kills it when it has told of the damage, before it has saved, and starts it again. Returns the last line about damage.
fn start_kill_start(gateway: &mut Gateway) -> String {
    let said = "so many sessions and messages of the last run are lost, the others are back";
    let lines =
        |log: &str| log.lines().filter(|line| line.contains(said)).map(str::to_owned).collect::<Vec<_>>();
    let before = lines(&gateway.log()).len();
    gateway.start_unready();
    wait_until("it is told", 20, || lines(&gateway.log()).len() > before);
    gateway.kill_9();
    gateway.start();
    lines(&gateway.log()).pop().unwrap()
}

#[test]
fn damage_costs_a_record_and_is_told_and_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let (mut gateway, listen) = gateway(dir.path(), "");
    for client in ["panel", "logger"] {
        leave_session(listen, client, "plant/#");
    }
    for (topic, payload) in [("set/point", "seventy"), ("set/low", "twenty")] {
        retain(listen, topic, payload);
    }
    publish(listen, "plant/one", "first");
    publish(listen, "plant/two", "second");
    wait_saved(&gateway, "second");
    // A retained message.
    let damaged = damage(&mut gateway, "seventy");
    let line = start_kill_start(&mut gateway);
    assert!(line.contains("sessions=0 retained=1 waiting=0 wills=0 unknown=0"), "{line}");
    assert_eq!(fs::read(gateway.state.join("clients.bad")).unwrap(), damaged);
    wait_until("it is written anew", 20, || fs::read(gateway.state.join("clients")).unwrap() != damaged);
    assert_eq!(fs::read(gateway.state.join("clients.bad")).unwrap(), damaged);
    assert_eq!(visits(listen, "other", "set/#", 1), ["set/low twenty"]);
    // A message that waits: the first "first" is of the client that went away last.
    wait_saved(&gateway, "other");
    damage(&mut gateway, "first");
    let line = start_kill_start(&mut gateway);
    assert!(line.contains("sessions=0 retained=0 waiting=1 wills=0 unknown=0"), "{line}");
    assert!(line.contains("\"panel\"") != line.contains("\"logger\""), "{line}");
    let mut both = Vec::new();
    wait_until("each has what is left to it", 30, || {
        both.extend([visit(listen, "panel", "plant/#"), visit(listen, "logger", "plant/#")].concat());
        both.len() >= 3
    });
    both.sort();
    assert_eq!(both, ["plant/one first", "plant/two second", "plant/two second"]);
    assert_eq!(visits(listen, "other", "set/#", 1), ["set/low twenty"]);
    gateway.terminate();
}

#[test]
fn a_file_without_a_whole_record_is_set_aside_and_told_and_costs_no_start() {
    let dir = tempfile::tempdir().unwrap();
    let (mut gateway, listen) = gateway(dir.path(), "");
    for foreign in ["", "edge clients 1 0123\nfrom another time", "edge clients 3\nfrom the future"] {
        gateway.kill_9();
        fs::write(gateway.state.join("clients"), foreign).unwrap();
        gateway.start();
        assert!(
            gateway
                .log()
                .contains("of the last run cannot be read; their file is set aside as `clients.bad`"),
            "{foreign}"
        );
        assert_eq!(fs::read_to_string(gateway.state.join("clients.bad")).unwrap(), foreign);
    }
    retain(listen, "set/point", "72");
    wait_saved(&gateway, "72");
    gateway.kill_9();
    gateway.start();
    assert_eq!(visits(listen, "panel", "set/#", 1), ["set/point 72"]);
    gateway.terminate();
}

#[test]
fn without_persistence_nothing_is_written_and_nothing_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let (mut gateway, listen) = gateway(dir.path(), "persistence = false");
    retain(listen, "set/point", "70");
    leave_session(listen, "panel", "plant/#");
    publish(listen, "plant/one", "1");
    assert_eq!(gateway.terminate().0.code(), Some(0));
    assert!(!gateway.state.join("clients").exists());
    gateway.start();
    assert!(visit(listen, "panel", "plant/#").is_empty() && visit(listen, "other", "set/#").is_empty());
    gateway.terminate();
}

/// A payload that is in memory once for all readers is on disk once for each: the file is bounded all the same, and it is said.
#[test]
fn more_than_is_saved_is_told_and_the_file_stays_small() {
    let dir = tempfile::tempdir().unwrap();
    let (mut gateway, listen) = gateway(dir.path(), "");
    for n in 0..12 {
        leave_session(listen, &format!("panel{n}"), "plant/#");
    }
    let large = "x".repeat(200_000);
    retain(listen, "set/point", "70");
    publish(listen, "plant/one", &large[..100_000]);
    publish(listen, "plant/two", &large[..100_000]);
    wait_until("it is told", 20, || {
        gateway.log().contains("messages that wait for clients are more than are saved")
    });
    wait_saved(&gateway, "set/point");
    gateway.kill_9();
    let size = fs::metadata(gateway.state.join("clients")).unwrap().len();
    assert!((500_000..1_100_000).contains(&size), "{size}");
    gateway.start();
    assert_eq!(visits(listen, "other", "set/#", 1), ["set/point 70"]);
    assert!(gateway.resident_kib_max() < 61 * 1024, "{} KiB", gateway.resident_kib_max());
    gateway.terminate();
}

#[test]
fn limits_of_each_client_are_those_of_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let (mut gateway, listen) = gateway(
        dir.path(),
        "max_queued_messages = 2\nmax_retained_messages = 1\nmax_session_expiry = \"10s\"",
    );
    leave_session(listen, "panel", "plant/#");
    ["1", "2", "3"].into_iter().for_each(|payload| publish(listen, "plant/one", payload));
    assert_eq!(visits(listen, "panel", "plant/#", 2), ["plant/one 2", "plant/one 3"]);
    retain(listen, "set/one", "70");
    retain(listen, "set/two", "70");
    assert_eq!(visits(listen, "other", "set/#", 1), ["set/one 70"]);
    std::thread::sleep(std::time::Duration::from_secs(11));
    publish(listen, "plant/one", "4");
    assert!(
        visit(listen, "panel", "plant/#").is_empty(),
        "its session of an hour has ended after ten seconds"
    );
    gateway.terminate();
}
