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

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use mosquitto::{Mosquitto, free_port};
use site::{LONG, Site, conf, host, within};

fn site(hub: &Mosquitto, more: &str) -> (Site, u16) {
    let port = free_port();
    let url = format!("mqtt://127.0.0.1:{}", hub.address().port());
    let conf = conf(host(&url), "mqttv50", "notifications false");
    let mut site = Site::alone(&format!("listener {port} 127.0.0.1\nallow_anonymous true\n{more}\n{conf}"));
    site.run();
    (site, port)
}

fn client(port: u16, id: &str, filter: &str, more: &[&str]) -> Vec<String> {
    let mut command = mosquitto::command("mosquitto_sub");
    command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-V", "5", "-q", "1", "-c", "-x", "3600"]);
    command.args(["-i", id, "-t", filter, "-F", "%t %p"]).args(more);
    let output = command.stdin(Stdio::null()).output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// Subscribes as a client with a session, and goes away.
fn subscribe(port: u16, id: &str, filter: &str) {
    client(port, id, filter, &["-E"]);
}

/// Comes as a client with a session and stays for two seconds, again and again until as many different messages have come. Returns these, sorted.
fn visits(site: &Site, port: u16, id: &str, filter: &str, count: usize) -> Vec<String> {
    let mut came = BTreeSet::new();
    site.until("what waits for a client", || {
        came.extend(client(port, id, filter, &["-W", "2"]));
        came.len() >= count
    });
    came.into_iter().collect()
}

fn say(port: u16, topic: &str, payload: &str, more: &[&str]) {
    let mut command = mosquitto::command("mosquitto_pub");
    command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-q", "1", "-t", topic, "-m", payload]);
    assert!(command.args(more).status().unwrap().success());
}

/// Waits until the file of clients has this text: packets of MQTT are text where topics and payloads are.
fn until_saved(site: &Site, text: &str) {
    let path = site.file("state").join("clients");
    let is_saved = || {
        let saved = std::fs::read(&path).unwrap_or_default();
        saved.windows(text.len()).any(|part| part == text.as_bytes())
    };
    // Behind a large file it takes more than a minute.
    assert!(within(3 * LONG, is_saved), "not saved: {text}");
}

fn log(site: &Site) -> String {
    std::fs::read_to_string(site.file("log")).unwrap_or_default()
}

/// Of the hub's message for a client that is away the session has the only copy, once it has left the disk.
#[test]
fn sessions_what_waits_in_them_and_retained_messages_outlive_a_kill() {
    let hub = Mosquitto::start("");
    let (mut site, port) = site(&hub, "persistent_client_expiration 2d");
    subscribe(port, "panel", "#");
    say(port, "local/one", "of-a-client", &[]);
    say(port, "set/point", "70", &["-r"]);
    say(hub.address().port(), "site7/cmd/a", "of-the-hub", &[]);
    for text in ["of-a-client", "set/point", "of-the-hub"] {
        until_saved(&site, text);
    }
    // The queue of what comes from the hub lets go of it after ten seconds.
    std::thread::sleep(Duration::from_secs(12));
    site.kill();
    site.run();
    let got = visits(&site, port, "panel", "#", 3);
    // The retained one waited, and comes with the subscription.
    assert_eq!(got, ["cmd/a of-the-hub", "local/one of-a-client", "set/point 70"]);
    assert_eq!(visits(&site, port, "other", "set/#", 1), ["set/point 70"]);
    assert!(site.stop().success());
}

/// While a large file of sessions may not be written again, to spare flash, a new message is in its session in memory alone: it stays in the
/// queue of what comes from the hub until that session is on disk.
#[test]
fn a_message_whose_session_is_not_on_disk_yet_outlives_a_kill() {
    let hub = Mosquitto::start("");
    let (mut site, port) = site(&hub, "");
    subscribe(port, "panel", "#");
    // 300 kB: the next save is a minute away.
    let large = "x".repeat(30_000);
    (0..10).for_each(|_| say(port, "local/large", &large, &[]));
    say(port, "local/last", "the-last-one", &[]);
    until_saved(&site, "the-last-one");
    say(hub.address().port(), "site7/cmd/a", "of-the-hub", &[]);
    // Ten seconds are all that a client may keep it on its way, ten more until the queue has noted that on its disk.
    std::thread::sleep(Duration::from_secs(25));
    let saved = std::fs::read(site.file("state").join("clients")).unwrap();
    assert!(!saved.windows(10).any(|part| part == b"of-the-hub"), "the case is not the one that is meant");
    site.kill();
    site.run();
    let got = visits(&site, port, "panel", "#", 3);
    assert_eq!(
        got,
        ["cmd/a of-the-hub".to_owned(), format!("local/large {large}"), "local/last the-last-one".to_owned()]
    );
    assert!(site.stop().success());
}

/// While a large file of sessions may not be written again, a failing supply of power has it written all the same; a kill alone costs what came since.
#[test]
fn what_came_before_a_failing_supply_outlives_a_kill_within_the_pause_of_saves() {
    for is_told in [true, false] {
        let hub = Mosquitto::start("");
        let (mut site, port) = site(&hub, "");
        let large = "x".repeat(30_000);
        (0..10).for_each(|n| say(port, &format!("local/large{n}"), &large, &["-r"]));
        say(port, "local/last", "the-last-one", &["-r"]);
        until_saved(&site, "the-last-one");
        say(port, "local/now", "just-now", &["-r"]);
        if is_told {
            site.signal("-PWR");
            site.until("it says so", || log(&site).contains("SIGPWR: what was in memory is on disk"));
        }
        site.kill();
        site.run();
        assert_eq!(visits(&site, port, "other", "local/last", 1), ["local/last the-last-one"]);
        let now = client(port, "third", "local/now", &["-W", "2"]);
        assert_eq!(now, if is_told { vec!["local/now just-now".to_owned()] } else { Vec::new() });
        assert!(site.stop().success());
    }
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
    // Retained ones come in the order of their topics.
    say(port, "set/the-last", "x", &["-r"]);
    assert_eq!(client(port, "other", "set/#", &["-C", "1", "-W", "20"]), ["set/the-last x"]);
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
    assert_eq!(visits(&site, port, "other", "set/#", 1), ["set/low twenty"]);
    assert_eq!(std::fs::read(site.file("state").join("clients.bad")).unwrap(), saved);
    let log = std::fs::read_to_string(site.file("log")).unwrap();
    assert!(log.contains("the file of clients was damaged and is kept as clients.bad"), "{log}");
    assert!(site.stop().success());
}

/// SIGHUP: a connection that is in the file no more leaves its state's topic to bridges of other programs.
#[test]
fn the_state_topic_of_a_removed_connection_is_open() {
    let port = free_port();
    let listener = format!("listener {port} 127.0.0.1\nallow_anonymous true\n");
    let connection = |name: &str| {
        format!("connection {name}\naddress 127.0.0.1:1\ntopic {name}/# out 1\nremote_clientid {name}\n")
    };
    let mut site = Site::alone(&format!("{listener}{}{}", connection("stays"), connection("goes")));
    site.run();
    let topic = |name: &str| format!("$SYS/broker/connection/{name}/state");
    let is_taken = |topic: &str| {
        let mut command = mosquitto::command("mosquitto_pub");
        command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-V", "5", "-q", "1", "-t", topic]);
        let output = command.args(["-m", "1"]).output().unwrap();
        output.status.success() && output.stderr.is_empty()
    };
    site.until("the states", || ["stays", "goes"].iter().all(|name| !is_taken(&topic(name))));
    std::fs::write(site.file("bridge.conf"), format!("{listener}{}", connection("stays"))).unwrap();
    site.signal("-HUP");
    site.until("the change", || is_taken(&topic("goes")));
    assert!(!is_taken(&topic("stays")));
    assert!(site.stop().success());
}
