#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! `edge-gateway run` with `format = "raw"` between foreign publishers and Mosquitto.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use support::gateway::Gateway;
use support::mosquitto::{Arrived, Mosquitto, Subscriber};
use support::publisher::Publisher;
use support::relay::Relay;
use support::wait_until;

const HUB: &str = "max_inflight_messages 0\nmax_queued_messages 0";

fn payloads(arrived: &[Arrived]) -> BTreeSet<String> {
    arrived.iter().map(|message| message.payload.clone()).collect()
}

/// Acknowledged and not arrived.
fn missing(acked: &[String], arrived: &[Arrived]) -> Vec<String> {
    let arrived = payloads(arrived);
    acked.iter().filter(|payload| !arrived.contains(*payload)).cloned().collect()
}

/// Arrivals beyond the first of a payload that neither repeat an identity nor are marked (promise 4).
fn unrecognised(arrived: &[Arrived]) -> Vec<Arrived> {
    let mut by_payload: BTreeMap<&str, Vec<&Arrived>> = BTreeMap::new();
    for message in arrived {
        by_payload.entry(&message.payload).or_default().push(message);
    }
    let mut out = Vec::new();
    for copies in by_payload.values() {
        for (n, copy) in copies.iter().enumerate().skip(1) {
            let known = copies[..n].iter().any(|other| other.user_properties == copy.user_properties);
            let marked = copies[..=n].iter().any(|other| other.user_properties.contains("edge-pd:1"));
            if !known && !marked {
                out.push((*copy).clone());
            }
        }
    }
    out
}

/// Promises 1, 4 and 6: cut, kill -9 in the outage, kill -9 while online; then a clean stop.
#[test]
fn nothing_acknowledged_is_missing_after_a_cut_and_two_kills() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), HUB);
    let subscriber = Subscriber::start(hub.address, "up/#");
    let wan = Relay::start(hub.address);
    let (mut gateway, listen) =
        Gateway::started(dir.path(), wan.address, "[[route]]\nmatch = \"#\"\nto = \"up/\"\n");
    let mut publisher = Publisher::new(listen, "foreign", 20);
    let send = |publisher: &mut Publisher, range: std::ops::Range<u32>| {
        range.for_each(|n| publisher.publish("plant/raw/a", &format!("message {n:05}")));
    };

    send(&mut publisher, 0..200);
    publisher.settle(0, 20);
    wait_until("everything arrives online", 20, || {
        missing(&publisher.acked, &subscriber.arrived()).is_empty()
    });

    wan.cut();
    send(&mut publisher, 200..500);
    gateway.kill_9();
    assert!(publisher.acked.len() >= 300, "PUBACKs came in the outage: {}", publisher.acked.len());
    gateway.start();
    send(&mut publisher, 500..700);
    publisher.settle(0, 30);
    assert!(gateway.metric("edge_queue_messages").unwrap() >= 500.0, "they are here, not at the hub");
    assert_eq!(gateway.metric("edge_link_state{state=\"flowing\"}"), Some(0.0));

    wan.mend();
    wait_until("everything arrives after the outage", 60, || {
        missing(&publisher.acked, &subscriber.arrived()).is_empty()
    });

    send(&mut publisher, 700..800);
    gateway.kill_9();
    gateway.start();
    send(&mut publisher, 800..900);
    publisher.settle(0, 30);
    wait_until("everything arrives after a kill online", 60, || {
        missing(&publisher.acked, &subscriber.arrived()).is_empty()
    });
    let arrived = subscriber.arrived();
    assert_eq!((publisher.acked.len(), payloads(&arrived).len()), (900, 900));
    assert_eq!(unrecognised(&arrived), []);
    assert!(arrived.iter().all(|message| message.topic == "up/plant/raw/a"));

    let (status, took) = gateway.terminate();
    assert!(status.success(), "{status}");
    assert!(took.as_secs() < 8, "{took:?}");
}

/// Negative control: a lost message and an unmarked copy are seen.
#[test]
fn the_judgement_sees_a_loss_and_a_copy() {
    let message = |payload: &str, user: &str| Arrived {
        topic: "t".into(),
        content_type: String::new(),
        user_properties: user.into(),
        payload: payload.into(),
        bytes: payload.as_bytes().to_vec(),
    };
    let acked = ["a".to_owned(), "b".to_owned()];
    assert_eq!(missing(&acked, &[message("a", "edge-id:1")]), ["b"]);
    let copies = [message("a", "edge-id:1"), message("a", "edge-id:2")];
    assert_eq!(unrecognised(&copies).len(), 1);
    assert!(unrecognised(&[message("a", "edge-id:1"), message("a", "edge-id:1")]).is_empty());
    assert!(unrecognised(&[message("a", "edge-id:1"), message("a", "edge-id:2 edge-pd:1")]).is_empty());
}
/// Promise 1 behind a local Mosquitto: it hears of a message only when its row is safe, and keeps the rest for us.
#[test]
fn behind_a_local_broker_nothing_acknowledged_is_missing_after_a_kill_in_an_outage() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), HUB);
    let local = Mosquitto::start(dir.path(), "max_queued_messages 0");
    let subscriber = Subscriber::start(hub.address, "up/#");
    let wan = Relay::start(hub.address);
    let config = format!(
        "[gateway]\nid = \"g\"\n[local]\nbroker = \"{}\"\ntopics = [\"plant/raw/#\", \"plant/#\"]\n\
         [hub]\nurl = \"mqtt://{}\"\n[[route]]\nmatch = \"#\"\nto = \"up/\"\n",
        local.address, wan.address
    );
    let mut gateway = Gateway::new(dir.path(), &config);
    gateway.start();
    // Subscribed is what it is when a message comes through.
    let mut publisher = Publisher::new(local.address, "foreign", 20);
    let mut probes = 0;
    wait_until("a message comes through", 20, || {
        publisher.publish("plant/raw/probe", &format!("probe {probes}"));
        probes += 1;
        publisher.settle(0, 10);
        !subscriber.arrived().is_empty()
    });

    wan.cut();
    let before = publisher.acked.len();
    (0..300).for_each(|n| publisher.publish("plant/raw/a", &format!("message {n:05}")));
    publisher.settle(0, 20);
    gateway.kill_9();
    (300..400).for_each(|n| publisher.publish("plant/raw/a", &format!("message {n:05}")));
    publisher.settle(0, 20);
    gateway.start();
    wan.mend();
    let acked = publisher.acked.split_off(before);
    wait_until("everything arrives", 60, || missing(&acked, &subscriber.arrived()).is_empty());
    let arrived = subscriber.arrived();
    assert_eq!(acked.len(), 400);
    assert_eq!(unrecognised(&arrived), [], "also not for the two filters that match");
    let (status, took) = gateway.terminate();
    assert!(status.success() && took.as_secs() < 8, "{status} after {took:?}");
}

/// Promise 1 with `on_full = "reject"`: a sensor that is not acknowledged keeps its message, and nothing is lost when there
/// is room again.
#[test]
fn a_full_queue_acknowledges_nothing_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), HUB);
    let subscriber = Subscriber::start(hub.address, "up/#");
    let wan = Relay::start(hub.address);
    wan.cut();
    let rest = "[queue]\nmax_messages = 50\non_full = \"reject\"\n[[route]]\nmatch = \"#\"\nto = \"up/\"\n";
    let (mut gateway, listen) = Gateway::started(dir.path(), wan.address, rest);
    let mut publisher = Publisher::new(listen, "foreign", 20);
    (0..60).for_each(|n| publisher.publish("a", &format!("message {n:05}")));
    publisher.settle(10, 20);
    wait_until("it says that it takes no more", 30, || {
        gateway.get("/readyz").is_some_and(|(code, _)| code == 503)
    });
    assert_eq!(gateway.get("/healthz").unwrap().0, 200, "full is not ill");
    assert_eq!((publisher.acked.len(), gateway.metric("edge_queue_messages")), (50, Some(50.0)));
    wan.mend();
    publisher.settle(0, 30);
    wait_until("everything arrives", 30, || missing(&publisher.acked, &subscriber.arrived()).is_empty());
    assert_eq!(publisher.acked.len(), 60);
    assert!(gateway.terminate().0.success());
}

/// A loss before anybody has looked is told all the same, and so is how a run ended (promise 3).
#[test]
fn a_loss_in_the_first_second_is_said_and_restarts_are_counted_by_cause() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), HUB);
    let wan = Relay::start(hub.address);
    wan.cut();
    let rest = "[queue]\nmax_messages = 50\n[[route]]\nmatch = \"#\"\nto = \"up/\"\n";
    let (mut gateway, listen) = Gateway::started(dir.path(), wan.address, rest);
    let mut publisher = Publisher::new(listen, "foreign", 100);
    (0..400).for_each(|n| publisher.publish("a", &format!("message {n:05}")));
    publisher.settle(0, 20);
    wait_until("the verdict", 20, || gateway.metric("edge_verdict{verdict=\"losing\"}") == Some(1.0));
    wait_until("the log", 20, || gateway.log().contains("verdict=losing"));
    let restarts = |gateway: &Gateway, cause: &str| {
        gateway.metric(&format!("edge_restarts_total{{cause=\"{cause}\"}}")).unwrap()
    };
    assert_eq!((restarts(&gateway, "clean"), restarts(&gateway, "unclean")), (0.0, 0.0));
    gateway.kill_9();
    gateway.start();
    assert_eq!(gateway.metric("edge_verdict{verdict=\"losing\"}"), Some(0.0), "an earlier run's are no news");
    gateway.kill_9();
    gateway.start();
    assert!(gateway.terminate().0.success());
    gateway.start();
    assert_eq!((restarts(&gateway, "clean"), restarts(&gateway, "unclean")), (1.0, 2.0));
}

/// Clients of the version before 3.1.1: refused by default, let in by a key; one with a session gets what came while it was away.
#[test]
fn clients_of_mqtt_3_1_are_let_in_where_a_key_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), HUB);
    let arrived = Subscriber::start(hub.address, "up/#");
    let route = "[[route]]\nmatch = \"#\"\nto = \"up/\"\n";
    let (mut gateway, listen) = Gateway::started(dir.path(), hub.address, route);
    let client = |program: &str, arguments: &[&str]| {
        let mut command = std::process::Command::new(program);
        command.args(["-h", "127.0.0.1", "-p", &listen.port().to_string(), "-V", "mqttv31", "-q", "1"]);
        command.args(arguments).output().unwrap()
    };
    let refused = client("mosquitto_pub", &["-t", "old", "-m", "one"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("unacceptable protocol version"), "{said}");
    gateway.terminate();

    let file = dir.path().join("gateway.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replacen("[local]\n", "[local]\naccept_mqtt_3_1 = true\n", 1)).unwrap();
    gateway.start();
    let absent = ["-t", "old", "-i", "absent", "-c", "-E"];
    assert!(client("mosquitto_sub", &absent).status.success());
    let taken = client("mosquitto_pub", &["-t", "old", "-m", "two"]);
    assert!(taken.status.success() && taken.stderr.is_empty(), "{taken:?}");
    let waited = client("mosquitto_sub", &["-t", "old", "-i", "absent", "-c", "-C", "1", "-W", "20"]);
    assert_eq!(String::from_utf8_lossy(&waited.stdout), "two\n");
    wait_until("it is at the hub", 30, || payloads(&arrived.arrived()).contains("two"));
    assert_eq!(payloads(&arrived.arrived()), BTreeSet::from(["two".to_owned()]));
}
