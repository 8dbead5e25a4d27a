#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    missing_docs,
    reason = "test code"
)]
//! Refused messages under a person's hand: `edge-gateway parked` against the gateway as users run it, and a scripted hub.

mod support;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use support::gateway::{BINARY, Gateway};
use support::hub::{Answer, Hub};
use support::publisher::Publisher;
use support::wait_until;

const ROUTES: &str = "[[route]]\nmatch = \"plant/#\"\nto = \"up/\"\n";

fn parked(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(BINARY).arg("parked").args(arguments).arg("--state").arg(dir).output().unwrap()
}

/// Returns its output; it must have gone well.
#[track_caller]
fn done(dir: &Path, arguments: &[&str]) -> String {
    let output = parked(dir, arguments);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Drops; how many it says. One that is on its way to the hub, or just being parked, is dropped by none.
#[track_caller]
fn dropped(dir: &Path, arguments: &[&str]) -> u32 {
    let Output { status, stdout, stderr } = parked(dir, &[&["drop"], arguments].concat());
    let said = String::from_utf8([stdout, stderr].concat()).unwrap();
    assert!(status.success() || said.ends_with(": ask again\n"), "{said}");
    let (count, _) = said.trim_start_matches("edge-gateway: ").split_once(" message").expect("a count");
    count.parse().unwrap()
}

/// Drops until it is so many messages, and no more.
#[track_caller]
fn drops(dir: &Path, arguments: &[&str], messages: u32) {
    let mut count = 0;
    wait_until("all of it is dropped", 30, || {
        count += dropped(dir, arguments);
        count == messages
    });
}

/// Asks until nothing is just being parked.
#[track_caller]
fn retry(dir: &Path, topic: &str) {
    wait_until("a retry of all", 60, || parked(dir, &["retry", "--topic", topic]).status.success());
}

/// Exports again; `false`: it says that it is not whole, since some are just being parked.
fn is_exported(dir: &Path, file: &Path, topic: &str) -> bool {
    let _ = std::fs::remove_file(file);
    parked(dir, &["export", file.to_str().unwrap(), "--topic", topic]).status.success()
}

/// Refuses topics that end in `bad` or `worse`, with 200 messages each; others go on.
fn refusing(dir: &Path) -> (Gateway, Hub) {
    let hub = Hub::start();
    hub.answer(|topic, _| match topic.rsplit('/').next() {
        Some("bad" | "worse") => Answer::Ack(0x97),
        _ => Answer::Ack(0),
    });
    let (gateway, listen) = Gateway::started(dir, hub.address, ROUTES);
    let mut sensor = Publisher::new(listen, "sensor", 50);
    for n in 0..200 {
        for name in ["bad", "worse", "good"] {
            sensor.publish(&format!("plant/{name}"), &payload(name, n));
        }
    }
    sensor.settle(0, 20);
    wait_until("what is refused is parked", 30, || {
        hub.count("up/plant/good") == 200
            && gateway.metric("edge_queue_messages").is_some()
            && done(&gateway.dir.join("state"), &["list"]).ends_with("\n384 parked\n")
    });
    (gateway, hub)
}

fn payload(name: &str, n: u32) -> String {
    format!("{name} {n} \"\n\u{1f525}") // JSON must escape it.
}

fn exported(file: &Path, topic: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(file).unwrap();
    let rows: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let own = rows.iter().filter(|row| row["topic"] == topic);
    own.map(|row| {
        assert!(row["edge_id"].as_str().is_some_and(|id| id.matches('-').count() == 3), "{row}");
        row["text"].as_str().unwrap().to_owned()
    })
    .collect()
}

fn all(name: &str) -> BTreeSet<String> {
    (0..200).map(|n| payload(name, n)).collect()
}

/// List, export, retry and drop, each for what it names only.
#[test]
fn refused_messages_are_shown_copied_sent_and_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let (gateway, hub) = refusing(dir.path());
    let state = dir.path().join("state");

    // Each of these not while some are on their way to the hub.
    wait_until("the topic is listed", 20, || {
        let list = done(&state, &["list"]);
        assert!(!list.contains("good"), "{list}");
        let row = list.lines().find(|row| row.starts_with("up/plant/bad ")).unwrap_or_default();
        row.contains("0x97") && row.contains(" 8 ") && row.contains(" 192 ")
    });
    let file = dir.path().join("bad.jsonl");
    wait_until("an export has the topic alone", 20, || {
        let is_whole = is_exported(&state, &file, "up/plant/bad");
        assert!(!std::fs::read_to_string(&file).is_ok_and(|text| text.lines().count() > 200), "others too");
        is_whole && exported(&file, "up/plant/bad") == all("bad")
    });
    wait_until("an export has both", 20, || {
        is_exported(&state, &file, "#")
            && exported(&file, "up/plant/bad") == all("bad")
            && exported(&file, "up/plant/worse") == all("worse")
    });

    drops(&state, &["--topic", "up/+/worse"], 200);
    wait_until("the drop is counted", 20, || {
        gateway.metric("edge_dropped_total{reason=\"discarded\"}") == Some(200.0)
    });
    wait_until("as many are left", 20, || done(&state, &["list"]).ends_with("\n192 parked\n"));

    let mut next_s = 0;
    wait_until("the next attempt is seconds away", 60, || {
        let list = done(&state, &["list"]);
        let row = list.lines().find(|row| row.starts_with("up/plant/bad ")).unwrap_or_default();
        next_s = row.split_whitespace().nth(3).and_then(|seconds| seconds.parse().ok()).unwrap_or(0);
        next_s >= 8
    });
    hub.answer(|_, _| Answer::Ack(0));
    retry(&state, "up/plant/bad");
    wait_until("the rest arrives before that", next_s - 1, || hub.count("up/plant/bad") == 200);
    assert_eq!(hub.count("up/plant/worse"), 0);
    for line in [
        r#"refused messages dropped by hand filter="up/+/worse" count="#,
        r#"refused messages are tried again, asked for by hand filter="up/plant/bad""#,
    ] {
        assert!(gateway.log().contains(line), "{line} is missing in\n{}", gateway.log());
    }
    wait_until("nothing is parked", 20, || done(&state, &["list"]) == "0 parked\n");
}

/// The socket is the owner's alone, and goes with the gateway; one that a kill left is replaced, anything else is left alone.
#[test]
fn the_socket_is_private_and_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let hub = Hub::start();
    let (mut gateway, _) = Gateway::started(dir.path(), hub.address, ROUTES);
    let socket = state.join("control.sock");
    let mode = || {
        std::fs::symlink_metadata(&socket)
            .map(|m| (m.file_type().is_socket(), m.permissions().mode() & 0o777))
    };
    wait_until("the socket is there", 20, || mode().is_ok_and(|found| found == (true, 0o600)));
    gateway.kill_9();
    let nobody = parked(&state, &["list"]);
    assert_eq!(nobody.status.code(), Some(69), "{nobody:?}");
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("control.sock"), "{nobody:?}");
    gateway.start();
    wait_until("it is there again", 20, || parked(&state, &["list"]).stdout == *b"0 parked\n");
    assert_eq!(mode().unwrap(), (true, 0o600));
    gateway.terminate();
    assert!(mode().is_err(), "it goes with the gateway");

    let elsewhere = dir.path().join("elsewhere");
    std::fs::write(&elsewhere, "mine").unwrap();
    std::os::unix::fs::symlink(&elsewhere, &socket).unwrap();
    gateway.start();
    assert_eq!(std::fs::read_to_string(&elsewhere).unwrap(), "mine");
    wait_until("the log says so", 30, || gateway.log().contains("no control socket"));
    assert_eq!(parked(&state, &["list"]).status.code(), Some(69));
}

#[test]
fn a_path_that_no_socket_can_have_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let deep = dir.path().join("d".repeat(90));
    std::fs::create_dir(&deep).unwrap();
    let hub = Hub::start();
    let (gateway, _) = Gateway::started(&deep, hub.address, ROUTES);
    wait_until("the log says so", 30, || gateway.log().contains("choose a shorter --state"));
    let output = parked(&deep.join("state"), &["list"]);
    assert_eq!(output.status.code(), Some(69));
    assert!(String::from_utf8_lossy(&output.stderr).contains("choose a shorter --state"), "{output:?}");
}

/// accepted = delivered + dropped + queued + parked, by one page of metrics. Totals are those of the last commit: wait until they know what waits.
fn adds_up(gateway: &Gateway) -> bool {
    let Some((200, page)) = gateway.get("/metrics") else { return false };
    let sum = |names: &[&str]| -> f64 {
        let is_one = |line: &&str| {
            names.iter().any(|name| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{'])))
        };
        page.lines().filter(is_one).map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    };
    let left = ["edge_delivered_total", "edge_dropped_total", "edge_queue_messages", "edge_parked_messages"];
    sum(&["edge_accepted_total"]) == sum(&left)
}

/// Parked messages are in one ledger only, after every kill; a hub that takes them again gets each, and no more are counted than came.
#[test]
fn the_ledger_over_both_queues_adds_up_after_kills() {
    let dir = tempfile::tempdir().unwrap();
    let (mut gateway, hub) = refusing(dir.path());
    wait_until("it adds up", 20, || adds_up(&gateway) && gateway.metric("edge_moved_total") == Some(384.0));
    for round in 0..3 {
        gateway.kill_9();
        gateway.start();
        wait_until("the parked messages are known", 30, || {
            gateway.metric("edge_parked_messages") >= Some(384.0)
        });
        std::thread::sleep(Duration::from_millis(500 * round));
        wait_until("it adds up after a kill", 20, || {
            adds_up(&gateway) && gateway.metric("edge_moved_total") >= Some(384.0)
        });
    }
    hub.answer(|_, _| Answer::Ack(0));
    retry(&dir.path().join("state"), "#");
    wait_until("all of it is at the hub", 60, || {
        ["up/plant/bad", "up/plant/worse"].iter().all(|topic| hub.count(topic) == 200)
    });
    wait_until("nothing is left", 30, || {
        gateway.metric("edge_parked_messages") == Some(0.0)
            && gateway.metric("edge_queue_messages") == Some(0.0)
    });
    wait_until("it adds up", 30, || adds_up(&gateway));
    let (accepted, delivered) =
        (gateway.metric("edge_accepted_total"), gateway.metric("edge_delivered_total"));
    assert_eq!(accepted, delivered);
}

/// A message that a person was told is dropped does not come back.
#[test]
fn a_drop_is_durable_when_it_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let (mut gateway, _hub) = refusing(dir.path());
    let state = dir.path().join("state");
    drops(&state, &["--all"], 400);
    gateway.kill_9();
    gateway.start();
    wait_until("all of them are known as dropped", 30, || {
        gateway.metric("edge_dropped_total{reason=\"discarded\"}") == Some(400.0)
    });
    wait_until("nothing came back", 20, || done(&state, &["list"]) == "0 parked\n");
    wait_until("it adds up", 20, || adds_up(&gateway));
}

/// Asked for at once after a start, all that is parked is copied.
#[test]
fn an_export_right_after_a_start_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (mut gateway, _hub) = refusing(dir.path());
    let (state, file) = (dir.path().join("state"), dir.path().join("all.jsonl"));
    wait_until("all is parked for good", 30, || gateway.metric("edge_moved_total") == Some(384.0));
    gateway.kill_9();
    gateway.start();
    wait_until("an export says that it is whole", 30, || is_exported(&state, &file, "up/plant/bad"));
    let lines = exported(&file, "up/plant/bad");
    assert!(lines.len() >= 192, "{} lines", lines.len());
}

/// Killed while it parks: every message is delivered, and at most one batch of them is counted twice.
#[test]
fn a_kill_in_the_midst_of_parking_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    hub.answer(|topic, _| Answer::Ack(if topic == "up/plant/bad" { 0x97 } else { 0 }));
    let (mut gateway, listen) = Gateway::started(dir.path(), hub.address, ROUTES);
    let mut sensor = Publisher::new(listen, "sensor", 100);
    for n in 0..3_000 {
        sensor.publish("plant/bad", &format!("{n}"));
        if n % 1_000 == 600 {
            gateway.kill_9();
            gateway.start();
        }
    }
    sensor.settle(0, 60);
    hub.answer(|_, _| Answer::Ack(0));
    retry(&dir.path().join("state"), "#");
    wait_until("all of it is at the hub", 60, || hub.count("up/plant/bad") >= 3_000);
    wait_until("nothing is left", 20, || {
        gateway.metric("edge_parked_messages") == Some(0.0)
            && gateway.metric("edge_queue_messages") == Some(0.0)
    });
    let total = |series: &str| gateway.metric(series).unwrap();
    wait_until("the totals know it", 30, || total("edge_delivered_total") >= total("edge_accepted_total"));
    let (accepted, delivered) = (total("edge_accepted_total"), total("edge_delivered_total"));
    assert!(delivered <= accepted + 3.0 * 256.0, "{delivered} of {accepted}");
    println!("delivered {delivered} of {accepted} accepted");
}

/// A full parked queue that may drop nothing: what is refused waits in the queue, everything else goes on, and nothing is lost.
#[test]
fn a_full_parked_queue_stops_only_what_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    hub.answer(|topic, _| Answer::Ack(if topic == "up/plant/bad" { 0x97 } else { 0 }));
    let routes = format!("[queue]\nmax_messages = 200\non_full = \"reject\"\n{ROUTES}");
    let (gateway, listen) = Gateway::started(dir.path(), hub.address, &routes);
    let mut sensor = Publisher::new(listen, "sensor", 20);
    (0..300).for_each(|n| sensor.publish("plant/bad", &n.to_string()));
    (0..300).for_each(|n| sensor.publish("plant/good", &n.to_string()));
    sensor.settle(0, 30);
    wait_until("the other topic is at the hub", 20, || hub.count("up/plant/good") == 300);
    wait_until("the metrics say so", 20, || gateway.metric("edge_refused_in_place_messages") >= Some(80.0));
    std::thread::sleep(Duration::from_secs(3));
    let lines = gateway.log().lines().filter(|line| line.contains("cannot be parked")).count();
    assert_eq!(lines, 1, "{}", gateway.log());
    hub.answer(|_, _| Answer::Ack(0));
    retry(&dir.path().join("state"), "#");
    wait_until("all of it is at the hub", 90, || hub.count("up/plant/bad") == 300);
    let is_empty = |of: &str| gateway.metric(of) == Some(0.0);
    wait_until("nothing is left", 30, || is_empty("edge_queue_messages") && is_empty("edge_parked_messages"));
    // What the hub has taken is counted once that is durable.
    wait_until("all is delivered", 30, || gateway.metric("edge_delivered_total") == Some(600.0));
    wait_until("it adds up", 30, || adds_up(&gateway));
}

/// Dead letters go by the topic that the hub sees.
#[test]
fn dead_letters_are_copied_and_dropped_by_their_topic() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    hub.answer(|topic, _| Answer::Ack(if topic.starts_with("dead-letter/") { 0x97 } else { 0 }));
    let routes = "[[route]]\nmatch = \"plant/#\"\nto = \"up/readings\"\nformat = \"json\"\n";
    let (gateway, listen) = Gateway::started(dir.path(), hub.address, routes);
    let state = dir.path().join("state");
    let mut sensor = Publisher::new(listen, "sensor", 50);
    (0..100).for_each(|n| sensor.publish("plant/x", &format!("garbage {n}")));
    sensor.settle(0, 20);
    wait_until("they are parked", 20, || gateway.metric("edge_parked_messages") >= Some(90.0));
    let list = done(&state, &["list"]);
    let topic = list.lines().find_map(|line| line.strip_prefix("dead-letter/")).expect("they are listed");
    let topic = format!("dead-letter/{}", topic.split(' ').next().unwrap());
    let file = dir.path().join("dead.jsonl");
    wait_until("an export has all", 20, || {
        is_exported(&state, &file, "dead-letter/#") && exported(&file, &topic).len() == 100
    });
    drops(&state, &["--topic", "dead-letter/#"], 100);
}

#[test]
fn a_drop_says_of_what() {
    let dir = tempfile::tempdir().unwrap();
    for wrong in [&["drop"][..], &["drop", "--topic", "a/#/b"], &["drop", "--all", "--topic", "a"], &["burn"]]
    {
        assert_eq!(parked(dir.path(), wrong).status.code(), Some(2), "{wrong:?}");
    }
    assert_eq!(parked(dir.path(), &["drop", "--all"]).status.code(), Some(69));
    let without = parked(dir.path(), &["drop"]);
    assert!(String::from_utf8_lossy(&without.stderr).contains("--all"), "{without:?}");
}

/// Clients that say nothing, too much, or nonsense are let go in seconds, and no gateway ends for them.
#[test]
fn rude_clients_cost_only_themselves() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let hub = Hub::start();
    let (_gateway, _) = Gateway::started(dir.path(), hub.address, ROUTES);
    let connect = || UnixStream::connect(state.join("control.sock")).unwrap();
    let say = |text: &[u8]| {
        let (mut stream, mut answer) = (connect(), String::new());
        let _ = stream.write_all(text);
        let _ = stream.read_to_string(&mut answer);
        answer
    };
    assert!(say(b"burn #\n").starts_with("error "));
    assert!(say(b"drop\n").starts_with("error "));
    assert!(say(&[b'x'; 5_000]).is_empty() || say(&[b'x'; 4_096]).starts_with("error "));
    assert_eq!(say(b"\xff\n"), "");
    // Each new one takes the place of a silent one.
    let _silent: Vec<UnixStream> = (0..150).map(|_| connect()).collect();
    assert!(parked(&state, &["list"]).status.success());
}
