#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! A flood of refused commands behind a thin line to the hub: whoever may publish commands deletes no alarm that waits, and takes no answer's place
//! from a command that was carried out.

mod support;

use std::collections::BTreeSet;
use std::io::Write;
use std::net::SocketAddr;
use std::ops::Range;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use support::commands::{HUB, LocalClient, Plant};
use support::mosquitto::Subscriber;
use support::publisher::Publisher;
use support::relay::Relay;
use support::wait_until;

/// The lane of alarms has an eighth of `max_bytes`: 128 KiB.
const TABLES: &str = "[queue]\nmax_bytes = \"1MiB\"\non_full = \"drop-oldest\"\n[[command]]\nmatch = \"site7/cmd/#\"\nto = \"cmd/#\"\n[[route]]\nmatch = \"alarm/#\"\nto = \"up/\"\nlane = \"alarm\"\n";
/// Commands with Correlation Data that are too long for an identity: each is refused at once.
const REFUSED: usize = 20_000;
const ALARMS: usize = 40;
const BYTES_PER_S: u64 = 8_000;

/// Publishes `REFUSED` commands at the hub, whose answers are of about 1.3 KB each, and go to `response` if there is one.
fn flood(hub: SocketAddr, response: Option<&str>) -> Child {
    let port = hub.port().to_string();
    let correlation = "c".repeat(1_000);
    let response = response.map(|topic| ["-D", "publish", "response-topic", topic]);
    let mut publisher = Command::new("mosquitto_pub")
        .args(["-p", &port, "-V", "mqttv5", "-q", "1", "-t", "site7/cmd/a", "-l"])
        .args(["-D", "publish", "correlation-data", &correlation])
        .args(response.into_iter().flatten())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = publisher.stdin.take().unwrap();
    std::thread::spawn(move || {
        for n in 0..REFUSED {
            // It ends with the test.
            let _ = writeln!(lines, "{n}");
        }
    });
    publisher
}

#[test]
fn promise_7_a_flood_of_refused_commands_evicts_no_alarm() {
    let mut wan = None;
    let line = |hub| wan.insert(Relay::start(hub)).address;
    let plant = Plant::start_after(TABLES, |_| {}, line);
    let (wan, hub) = (wan.unwrap(), plant.hub.address);
    let local = LocalClient::start(plant.listen, "valves", "cmd/#");
    let reader = Subscriber::of_topics(hub, "up/alarm/#");
    wan.limit_up(BYTES_PER_S);

    let mut sensor = Publisher::new(plant.listen, "sensor", ALARMS);
    let mut alarms = |numbers: Range<usize>| -> Vec<String> {
        let names: Vec<_> = numbers.map(|n| format!("alarm/{n:03}")).collect();
        names.iter().for_each(|name| sensor.publish(name, &"x".repeat(1_000)));
        sensor.settle(0, 60);
        names.into_iter().map(|name| format!("up/{name}")).collect()
    };
    let mut acknowledged: BTreeSet<String> = alarms(0..ALARMS).into_iter().collect();
    let mut publisher = flood(hub, None);
    wait_until("the flood is under way", 60, || plant.ended("other") >= 1_000.0);
    acknowledged.extend(alarms(ALARMS..2 * ALARMS));
    plant.request("site7/cmd/b", "open", 300, "open");
    wait_until("the valve has it", 60, || local.payloads() == ["open"]);
    wait_until("each has ended", 300, || plant.ended("other") >= REFUSED as f64);
    assert!(publisher.wait().unwrap().success());

    // What is left goes faster.
    std::thread::sleep(Duration::from_secs(2));
    wan.limit_up(u64::MAX);
    wait_until("nothing waits", 120, || plant.gateway.metric("edge_queue_messages") == Some(0.0));
    let arrived: BTreeSet<String> = reader.arrived().into_iter().map(|message| message.topic).collect();
    let lost: Vec<_> = acknowledged.difference(&arrived).collect();
    assert!(lost.is_empty(), "{} of {} acknowledged alarms: {lost:?}", lost.len(), acknowledged.len());
    assert!(plant.answers.wait("open").is_delivered, "refusals took the place of its answer");
    let dropped = |reason: &str| {
        plant.gateway.metric(&format!("edge_answers_dropped_total{{reason=\"{reason}\"}}")).unwrap()
    };
    let (over_rate, dropped) = (dropped("rate"), dropped("refusals"));
    let told = plant.answers.all().iter().filter(|answer| answer.reason == "bad-id").count();
    // Commands for which there was no room on the way come again, and are refused again.
    let ended = told as f64 + dropped + over_rate;
    let text = format!("{told} told, {dropped} dropped, {over_rate} over the rate");
    assert!(ended >= REFUSED as f64 && dropped > 0.0 && over_rate > 0.0, "{text}");
}

/// Alarms that the hub refuses for a while are parked. Answers that it denies are not: they would evict them. Telemetry is taken all the time, so that
/// the hub does not count as one that refuses everything.
#[test]
fn promise_7_answers_that_the_hub_denies_evict_no_parked_alarm() {
    let plant = Plant::start(TABLES);
    let (acl, hub) = (plant.dir.path().join("acl"), plant.hub.address);
    std::fs::write(&acl, "topic read #\ntopic write site7/#\ntopic write up/plant/#\ntopic write up/$gap\n")
        .unwrap();
    plant.hub.reconfigure(&format!("{HUB}\nacl_file {}", acl.display()));
    let metric = |name: &str| plant.gateway.metric(name).unwrap_or(-1.0);
    let waiting = || metric("edge_parked_messages") + metric("edge_held_messages");
    let mut sensor = Publisher::new(plant.listen, "sensor", 10);
    for n in 0..ALARMS {
        sensor.publish("alarm/a", &format!("{n:03} {}", "x".repeat(1_000)));
        (0..3).for_each(|_| sensor.publish("plant/a", "1"));
        sensor.settle(0, 60);
    }
    wait_until("the hub has refused the alarms", 60, || waiting() >= ALARMS as f64);

    let (is_over, listen) = (Arc::new(AtomicBool::new(false)), plant.listen);
    let meter = std::thread::spawn({
        let is_over = is_over.clone();
        move || {
            let mut meter = Publisher::new(listen, "meter", 10);
            while !is_over.load(Ordering::SeqCst) {
                (0..5).for_each(|_| meter.publish("plant/b", "1"));
                meter.settle(0, 60);
            }
        }
    });
    let mut publisher = flood(hub, Some("denied/answers"));
    wait_until("each has ended", 300, || plant.ended("other") >= REFUSED as f64);
    assert!(publisher.wait().unwrap().success());
    is_over.store(true, Ordering::SeqCst);
    meter.join().unwrap();
    let refused = || metric("edge_answers_dropped_total{reason=\"refused\"}");
    wait_until("answers were refused", 60, || refused() > 0.0);
    wait_until("the alarms, and nothing else, wait for the hub to take them", 120, || {
        waiting() == ALARMS as f64
    });
    println!("{} wait, {} answers refused and dropped", waiting(), refused());
    assert_eq!(metric("edge_dropped_total{reason=\"overflow\"}"), 0.0);
    assert!(metric("edge_dropped_total{reason=\"discarded\"}") >= refused(), "the ledger has them");
}
