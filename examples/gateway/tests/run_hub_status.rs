#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! `[status] to_hub`: the hub is told the state of the gateway, and says itself when the gateway is away.

mod support;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use support::gateway::Gateway;
use support::hub::{Answer, Hub};
use support::mosquitto::{Arrived, Mosquitto, Subscriber};
use support::packet::{packet, suback};
use support::publisher::Publisher;
use support::relay::Relay;
use support::wait_until;

const REST: &str = "[status]\nto_hub = true\n[[route]]\nmatch = \"plant/#\"\nto = \"up/\"\n";

/// Last message of a topic.
fn last(arrived: &[Arrived], topic: &str) -> Option<String> {
    arrived.iter().rfind(|message| message.topic == topic).map(|message| message.payload.clone())
}

fn is_alive(subscriber: &Subscriber) -> Option<String> {
    last(&subscriber.arrived(), "edge/alive/g")
}

fn status(subscriber: &Subscriber) -> Option<serde_json::Value> {
    let payload = last(&subscriber.arrived(), "edge/status/g")?;
    assert!(payload.len() <= 350, "{} bytes", payload.len());
    Some(serde_json::from_str(&payload).unwrap())
}

fn readings(arrived: &[Arrived]) -> BTreeSet<String> {
    let messages = arrived.iter().filter(|message| message.topic == "up/plant/a");
    messages.map(|message| message.payload.clone()).collect()
}

/// Promise 5: over an outage, a kill and a clean stop, in both versions; whoever comes late finds it all the same.
#[test]
fn the_hub_knows_how_the_gateway_is_and_that_it_is_away() {
    for protocol in ["5", "3.1.1"] {
        let dir = tempfile::tempdir().unwrap();
        let hub = Mosquitto::start(dir.path(), "max_queued_messages 0");
        let subscriber = Subscriber::start(hub.address, "#");
        let wan = Relay::start(hub.address);
        let rest = format!("protocol = \"{protocol}\"\n{REST}");
        let (mut gateway, listen) = Gateway::started(dir.path(), wan.address, &rest);
        wait_until("it is there", 30, || is_alive(&subscriber).as_deref() == Some("1"));
        wait_until("it is well", 30, || status(&subscriber).is_some_and(|s| s["verdict"] == "delivering"));
        wan.cut();
        wait_until("the hub says that it is away", 30, || is_alive(&subscriber).as_deref() == Some("0"));
        let before = status(&subscriber).unwrap();
        let mut publisher = Publisher::new(listen, "foreign", 50);
        (0..300).for_each(|n| publisher.publish("plant/a", &format!("message {n:05}")));
        publisher.settle(0, 60);
        wan.mend();
        wait_until("it is back", 60, || is_alive(&subscriber).as_deref() == Some("1"));
        wait_until("all readings", 60, || readings(&subscriber.arrived()).len() == 300);
        wait_until("a status of now", 60, || {
            let status = status(&subscriber).unwrap();
            status["time_ms"].as_i64() > before["time_ms"].as_i64() && status["verdict"] == "delivering"
        });
        gateway.kill_9();
        wait_until("it was killed", 30, || is_alive(&subscriber).as_deref() == Some("0"));
        gateway.start();
        wait_until("it was started", 30, || is_alive(&subscriber).as_deref() == Some("1"));
        assert!(gateway.terminate().0.success());
        wait_until("it was stopped", 30, || is_alive(&subscriber).as_deref() == Some("0"));
        let late = Subscriber::start(hub.address, "edge/#");
        wait_until("what is retained", 30, || is_alive(&late).is_some() && status(&late).is_some());
        let status = status(&late).unwrap();
        assert_eq!(
            (status["v"].as_u64(), status["lost"].as_u64()),
            (Some(1), Some(0)),
            "{protocol}: {status}"
        );
        assert_eq!(is_alive(&late).as_deref(), Some("0"));
    }
}

/// All gateways at the hub, by its command line: what it says, and its exit code.
fn fleet(hub: std::net::SocketAddr, more: &[&str]) -> (String, Option<i32>) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_edge-gateway"));
    let output = command.args(["fleet", "--broker", &format!("mqtt://{hub}")]).args(more).output().unwrap();
    (
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap(),
        output.status.code(),
    )
}

/// `edge-gateway fleet --watch`, whose output is no terminal.
struct Watch {
    child: std::process::Child,
    lines: mpsc::Receiver<String>,
}

impl Watch {
    fn start(hub: std::net::SocketAddr) -> Self {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_edge-gateway"));
        command.args(["fleet", "--watch", "--broker", &format!("mqtt://{hub}")]).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Self { child, lines }
    }

    /// Waits for a line that begins so.
    fn expect(&mut self, begin: &str) {
        loop {
            let line = self.lines.recv_timeout(Duration::from_secs(60));
            if line.unwrap_or_else(|_| panic!("no line begins with {begin:?}")).starts_with(begin) {
                return;
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_fleet_is_seen_at_its_hub() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "max_queued_messages 0");
    let (text, code) = fleet(hub.address, &[]);
    assert!(text.starts_with("0 gateways") && code == Some(1), "{text}");
    let (mut gateway, _) = Gateway::started(dir.path(), hub.address, REST);
    wait_until("it is well", 30, || fleet(hub.address, &[]).1 == Some(0));
    let (text, _) = fleet(hub.address, &["--json"]);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (json["gateways"][0]["id"].as_str(), json["gateways"][0]["standing"].as_str()),
        (Some("g"), Some("delivering"))
    );
    let (page, code) = fleet(hub.address, &["--html"]);
    assert!(page.contains("<h1>1 gateway: <em>1 delivering</em></h1>") && code == Some(0), "{page}");
    let mut watch = Watch::start(hub.address);
    watch.expect("1 gateway: 1 delivering");
    // Somebody who may write there, and a hub that says more than that.
    support::mosquitto::retain(hub.address, "edge/status/x", &"y".repeat(100_000));
    support::mosquitto::retain(hub.address, "edge/alive/h", "0");
    gateway.kill_9();
    wait_until("it is away", 30, || fleet(hub.address, &[]).0.contains("2 away"));
    let (text, code) = fleet(hub.address, &[]);
    assert!(text.contains("last words: delivering") && code == Some(1), "{text}");
    watch.expect("2 gateways: 2 away");
    let address = hub.address;
    drop(hub);
    watch.expect("No connection to the hub: ");
    let (text, code) = fleet(address, &[]);
    assert!(text.contains("no connection within") && code == Some(69), "{text}");
    let (text, code) = fleet(address, &["--user", "u", "--password-file", "/nowhere"]);
    assert!(text.contains("/nowhere") && code == Some(2), "{text}");
}

/// Retained messages come again with each connection, at once: before the next look.
#[test]
fn a_fleet_that_is_watched_is_whole_after_an_outage() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "max_queued_messages 0");
    for gateway in ["a", "b", "c"] {
        support::mosquitto::retain(hub.address, &format!("edge/alive/{gateway}"), "0");
    }
    let wan = Relay::start(hub.address);
    let mut watch = Watch::start(wan.address);
    watch.expect("3 gateways: 3 away");
    for gateway in ["d", "e"] {
        wan.cut();
        watch.expect("No connection to the hub: ");
        support::mosquitto::retain(hub.address, &format!("edge/alive/{gateway}"), "0");
        wan.mend();
        watch.expect(if gateway == "d" { "4 gateways: 4 away" } else { "5 gateways: 5 away" });
    }
    wan.cut();
    watch.expect("No connection to the hub: ");
    support::mosquitto::retain(hub.address, "edge/alive/a", "");
    wan.mend();
    watch.expect("4 gateways: 4 away");
}

/// With the limits that Mosquitto has by itself, under which it holds back no more than 1000 messages for a client.
#[test]
fn a_large_fleet_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "");
    let status = r#"{"v":1,"time_ms":TIME,"verdict":"delivering","since_s":1,"why":null,"waiting":0,"room_s":null,"lost":0,"clock_synced":true,"version":"1","config":"one"}"#;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let status = status.replace("TIME", &now.to_string());
    for (topic, payload) in [("alive", "1"), ("status", status.as_str())] {
        let topics = (0..700).map(|gateway| format!("edge/{topic}/g{gateway:03}"));
        support::mosquitto::retain_at_all(hub.address, topics, payload);
    }
    let (text, code) = fleet(hub.address, &[]);
    assert!(text.starts_with("700 gateways: 700 delivering") && code == Some(0), "{text}");
}

/// Whatever keeps coming, what has come by then may be a part.
#[test]
fn a_fleet_that_has_not_come_in_time_is_not_shown_as_whole() {
    let hub = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = hub.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = hub.accept().unwrap();
        packet(&mut stream).unwrap();
        stream.write_all(b"\x20\x03\0\0\0").unwrap();
        let (first, body) = packet(&mut stream).unwrap();
        assert_eq!(first, 0x82);
        stream.write_all(&suback(&body, true, 0).unwrap()).unwrap();
        // Twice within the second of silence after which all has come.
        for gateway in 0..=u8::MAX {
            let topic = format!("edge/alive/g{gateway:03}");
            let size = topic.len() as u8;
            let publish = [&[0x31, size + 4, 0, size], topic.as_bytes(), b"\x001"].concat();
            if stream.write_all(&publish).is_err() {
                break;
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    });
    let (text, code) = fleet(address, &[]);
    assert!(code == Some(69) && text.contains("not all has come within 15 s"), "{text}");
    assert!(!text.contains("gateways:"), "{text}");
}

/// Who may not say it there has it told once, and nothing else is another.
#[test]
fn a_hub_that_denies_the_status_costs_the_status_alone() {
    let dir = tempfile::tempdir().unwrap();
    let acl = dir.path().join("acl");
    std::fs::write(&acl, "topic deny edge/#\ntopic readwrite #\n").unwrap();
    let hub = Mosquitto::start(dir.path(), &format!("max_queued_messages 0\nacl_file {}", acl.display()));
    let subscriber = Subscriber::start(hub.address, "up/#");
    let (mut gateway, listen) = Gateway::started(dir.path(), hub.address, REST);
    wait_until("the refusal is told", 30, || gateway.log().contains("edge/alive/g"));
    let mut publisher = Publisher::new(listen, "foreign", 50);
    (0..300).for_each(|n| publisher.publish("plant/a", &format!("message {n:05}")));
    publisher.settle(0, 60);
    wait_until("all readings", 60, || readings(&subscriber.arrived()).len() == 300);
    assert_eq!(gateway.metric("edge_parked_messages"), Some(0.0));
    wait_until("nothing is wrong with the gateway", 30, || {
        gateway.metric("edge_verdict{verdict=\"delivering\"}") == Some(1.0)
    });
    assert!(gateway.terminate().0.success());
}

/// Whoever grants the right has the gateway there with its next connection, and not hours later.
#[test]
fn a_hub_that_grants_the_status_later_is_told_on_the_next_connection() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    let refused = Arc::<AtomicUsize>::default();
    let count = refused.clone();
    hub.answer(move |topic, _| {
        let is_denied = topic.starts_with("edge/");
        count.fetch_add(usize::from(is_denied), Ordering::Relaxed);
        Answer::Ack(if is_denied { 0x87 } else { 0 })
    });
    let wan = Relay::start(hub.address);
    let (mut gateway, _) = Gateway::started(dir.path(), wan.address, REST);
    wait_until("both are refused", 30, || refused.load(Ordering::Relaxed) >= 2);
    // On one connection alone the fourth attempt would come after seven minutes. Nothing else is sent, and more than eight refusals in a row say
    // nothing of the link.
    for connection in 2..=6 {
        wan.cut();
        wait_until("the connection is gone", 30, || {
            gateway.metric("edge_link_state{state=\"backing-off\"}") == Some(1.0)
        });
        wan.mend();
        wait_until("both are tried", 60, || refused.load(Ordering::Relaxed) >= 2 * connection);
    }
    hub.answer(|_, _| Answer::Ack(0));
    wan.cut();
    wait_until("the last one is gone", 30, || {
        gateway.metric("edge_link_state{state=\"backing-off\"}") == Some(1.0)
    });
    wan.mend();
    wait_until("both are told", 60, || hub.count("edge/alive/g") > 0 && hub.count("edge/status/g") > 0);
    assert!(gateway.terminate().0.success());
}

/// A hub without retained messages refuses a connection with a retained will (0x9A): readings pass all the same, without one.
#[test]
fn a_hub_without_retained_messages_has_all_readings() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "max_queued_messages 0\nretain_available false");
    let subscriber = Subscriber::start(hub.address, "#");
    let (mut gateway, listen) = Gateway::started(dir.path(), hub.address, REST);
    let mut publisher = Publisher::new(listen, "foreign", 50);
    (0..300).for_each(|n| publisher.publish("plant/a", &format!("message {n:05}")));
    publisher.settle(0, 60);
    wait_until("all readings", 60, || readings(&subscriber.arrived()).len() == 300);
    wait_until("a status", 30, || status(&subscriber).is_some());
    assert_eq!(is_alive(&subscriber), None, "nobody would say that it is away");
    assert!(gateway.log().contains("perhaps for its will"));
    assert!(gateway.terminate().0.success());
}

/// A hub of 3.1.1 manners can only close at a topic that it denies: readings pass all the same.
#[test]
fn a_hub_that_closes_at_the_status_has_all_readings() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    hub.answer(|topic, _| if topic.starts_with("edge/") { Answer::Close } else { Answer::Ack(0) });
    let (mut gateway, listen) = Gateway::started(dir.path(), hub.address, REST);
    let mut publisher = Publisher::new(listen, "foreign", 50);
    (0..300).for_each(|n| publisher.publish("plant/a", &format!("message {n:05}")));
    publisher.settle(0, 60);
    wait_until("all readings", 120, || hub.payloads().len() >= 300);
    let connects = hub.connects().len();
    assert!(connects < 20, "{connects} connections");
    assert!(gateway.terminate().0.success());
}

/// As a port of TLS does with whoever does not speak it. What is wrong is known long before the time for a connection is over.
#[test]
fn a_fleet_at_a_port_that_does_not_speak_mqtt_says_so_at_once() {
    let hub = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = hub.local_addr().unwrap();
    std::thread::spawn(move || hub.incoming().for_each(drop));
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_edge-gateway"));
    command.args(["fleet", "--broker", &format!("mqtt://{address}")]).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    let _ = child.kill();
    let _ = child.wait();
    assert!(
        first.contains("no connection yet: ") && first.contains(&format!("mqtts://{address} with --ca")),
        "{first}"
    );
}

/// A hub that took the connection, and gives no answer or goes away, has told nothing about gateways.
#[test]
fn a_fleet_at_a_hub_that_does_not_answer_is_not_an_empty_one() {
    // One that breaks each connection at the subscription counts as refusing it.
    for (breaks, said) in [(false, "has not answered the subscription"), (true, "the subscription")] {
        let hub = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = hub.local_addr().unwrap();
        std::thread::spawn(move || {
            let mut open = Vec::new();
            for mut stream in hub.incoming().flatten() {
                // A CONNACK of version 5 without properties, to whatever comes first.
                let mut bytes = [0; 1024];
                let _ = stream.read(&mut bytes);
                let _ = stream.write_all(b"\x20\x03\0\0\0");
                if !breaks {
                    open.push(stream);
                }
            }
        });
        let (text, code) = fleet(address, &[]);
        assert!(code == Some(69) && text.contains(said), "{breaks}: {text}");
        assert!(!text.contains("0 gateways"), "{breaks}: {text}");
    }
}
