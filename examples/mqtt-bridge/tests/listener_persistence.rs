//! The bridge as the local broker itself: what it knows of its clients outlives a kill, unless the file says `persistence false`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    unreachable_pub,
    reason = "a test: real processes, sockets and time"
)]

#[path = "../../../edge-bridge/tests/support/mosquitto.rs"]
#[allow(dead_code, reason = "not every test needs all of it")]
mod mosquitto;
#[path = "support/site.rs"]
#[allow(dead_code, reason = "not every test needs all of it")]
mod site;

use std::net::TcpListener;
use std::process::Stdio;

use mosquitto::Mosquitto;
use site::{Site, conf, host};

fn site(hub: &Mosquitto, more: &str) -> (Site, u16) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("mqtt://127.0.0.1:{}", hub.address().port());
    let conf = conf(host(&url), "mqttv50", "notifications false");
    let mut site = Site::alone(&format!("listener {port} 127.0.0.1\nallow_anonymous true\n{more}\n{conf}"));
    site.run();
    (site, port)
}

/// Subscribes as a client with a session, stays for a second, and goes away. Returns what came.
fn visit(port: u16, id: &str, filter: &str) -> Vec<String> {
    let mut command = mosquitto::command("mosquitto_sub");
    command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-V", "5", "-q", "1", "-c", "-x", "3600"]);
    command.args(["-i", id, "-t", filter, "-F", "%t %p", "-W", "2"]);
    let output = command.stdin(Stdio::null()).output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn say(port: u16, topic: &str, payload: &str, more: &[&str]) {
    let mut command = mosquitto::command("mosquitto_pub");
    command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-q", "1", "-t", topic, "-m", payload]);
    assert!(command.args(more).status().unwrap().success());
}

/// Waits until the file of clients has this text: packets of MQTT are text where topics and payloads are.
fn until_saved(site: &Site, text: &str) {
    let path = site.file("state").join("clients");
    site.until(text, || {
        let saved = std::fs::read(&path).unwrap_or_default();
        saved.windows(text.len()).any(|part| part == text.as_bytes())
    });
}

/// Of the hub's message for a client that is away the session has the only copy, once it has left the disk.
#[test]
fn sessions_what_waits_in_them_and_retained_messages_outlive_a_kill() {
    let hub = Mosquitto::start("");
    let (mut site, port) = site(&hub, "persistent_client_expiration 2d");
    assert!(visit(port, "panel", "#").is_empty());
    say(port, "local/one", "of-a-client", &[]);
    say(port, "set/point", "70", &["-r"]);
    say(hub.address().port(), "site7/cmd/a", "of-the-hub", &[]);
    for text in ["of-a-client", "set/point", "of-the-hub"] {
        until_saved(&site, text);
    }
    // The queue of what comes from the hub lets go of it after ten seconds.
    std::thread::sleep(std::time::Duration::from_secs(12));
    site.kill();
    site.run();
    let mut got = visit(port, "panel", "#");
    got.sort();
    // The retained one waited, and comes with the subscription.
    got.dedup();
    assert_eq!(got, ["cmd/a of-the-hub", "local/one of-a-client", "set/point 70"]);
    assert_eq!(visit(port, "other", "set/#"), ["set/point 70"]);
    assert!(site.stop().success());
}

/// While a large file of sessions may not be written again, to spare flash, a new message is in its session in memory alone: it stays in the
/// queue of what comes from the hub until that session is on disk.
#[test]
fn a_message_whose_session_is_not_on_disk_yet_outlives_a_kill() {
    let hub = Mosquitto::start("");
    let (mut site, port) = site(&hub, "");
    assert!(visit(port, "panel", "#").is_empty());
    // 300 kB: the next save is a minute away.
    let large = "x".repeat(30_000);
    (0..10).for_each(|_| say(port, "local/large", &large, &[]));
    say(port, "local/last", "the-last-one", &[]);
    until_saved(&site, "the-last-one");
    say(hub.address().port(), "site7/cmd/a", "of-the-hub", &[]);
    // Ten seconds are all that a client may keep it on its way, ten more until the queue has noted that on its disk.
    std::thread::sleep(std::time::Duration::from_secs(25));
    let saved = std::fs::read(site.file("state").join("clients")).unwrap();
    assert!(!saved.windows(10).any(|part| part == b"of-the-hub"), "the case is not the one that is meant");
    site.kill();
    site.run();
    let mut got = Vec::new();
    site.until("the message of the hub", || {
        got.extend(visit(port, "panel", "#"));
        got.iter().any(|line| line == "cmd/a of-the-hub")
    });
    assert!(got.iter().any(|line| line == "local/last the-last-one"));
    assert!(site.stop().success());
}

#[test]
fn persistence_false_keeps_nothing_and_removes_what_was_kept() {
    let hub = Mosquitto::start("");
    let (mut site, port) = site(&hub, "");
    say(port, "set/point", "70", &["-r"]);
    until_saved(&site, "set/point");
    site.kill();
    let conf = std::fs::read_to_string(site.file("bridge.conf")).unwrap();
    std::fs::write(site.file("bridge.conf"), format!("persistence false\n{conf}")).unwrap();
    site.run();
    assert!(!site.file("state").join("clients").exists());
    assert!(visit(port, "other", "set/#").is_empty());
    assert!(site.stop().success());
}

#[test]
fn damage_costs_a_record_and_is_told() {
    let hub = Mosquitto::start("");
    let (mut site, port) = site(&hub, "");
    say(port, "set/point", "seventy", &["-r"]);
    say(port, "set/low", "twenty", &["-r"]);
    until_saved(&site, "twenty");
    until_saved(&site, "seventy");
    site.kill();
    let path = site.file("state").join("clients");
    let mut saved = std::fs::read(&path).unwrap();
    let at = saved.windows(7).position(|part| part == b"seventy").unwrap();
    saved[at] ^= 1;
    std::fs::write(&path, &saved).unwrap();
    site.run();
    assert_eq!(visit(port, "other", "set/#"), ["set/low twenty"]);
    assert_eq!(std::fs::read(site.file("state").join("clients.bad")).unwrap(), saved);
    let log = std::fs::read_to_string(site.file("log")).unwrap();
    assert!(log.contains("the file of clients was damaged and is kept as clients.bad"), "{log}");
    assert!(site.stop().success());
}
