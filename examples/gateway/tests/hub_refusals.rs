#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! Hubs that refuse: what a sensor was acknowledged for never leaves the store for it, and delays nobody else. The gateway
//! as users run it, a scripted hub and real Mosquitto.

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use edge_codec::{Format, Limits, Value};
use support::gateway::Gateway;
use support::hub::{Answer, Hub};
use support::mosquitto::{Mosquitto, Subscriber};
use support::publisher::Publisher;
use support::relay::Relay;
use support::{free_port, seconds_until, wait_until};

const ROUTES: &str = "[queue]\nlanes = [\"alarm\", \"telemetry\"]\n\
    [[route]]\nmatch = \"plant/alarm/#\"\nto = \"up/\"\nlane = \"alarm\"\n\
    [[route]]\nmatch = \"plant/#\"\nto = \"up/\"\n";

fn is_degraded(gateway: &Gateway) -> bool {
    gateway.metric("edge_verdict{verdict=\"degraded\"}") == Some(1.0)
}

/// Nothing was given up, and the verdict is back.
#[track_caller]
fn ends_well(gateway: &Gateway) {
    // The last PUBACKs may be on their way.
    let is_done = || {
        gateway.metric("edge_verdict{verdict=\"delivering\"}") == Some(1.0)
            && gateway.metric("edge_queue_messages") == Some(0.0)
    };
    let until = Instant::now() + Duration::from_secs(30);
    while !is_done() {
        assert!(
            Instant::now() < until,
            "not delivering, or not empty: {}",
            gateway.get("/metrics").unwrap().1
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    let (_, page) = gateway.get("/metrics").unwrap();
    let dropped = |line: &&str| line.starts_with("edge_dropped_total") && !line.ends_with(" 0");
    assert_eq!(page.lines().find(dropped), None);
    assert_eq!(gateway.metric("edge_parked_messages"), Some(0.0), "{page}");
}

/// Lines of the log from WARN on.
fn loud(gateway: &Gateway) -> Vec<String> {
    let is_loud = |line: &&str| line.contains(" WARN ") || line.contains(" ERROR ");
    gateway.log().lines().filter(is_loud).map(str::to_owned).collect()
}

fn acl(dir: &Path, text: &str) {
    std::fs::write(dir.join("acl"), text).unwrap();
}

#[test]
fn an_access_list_that_denies_everything_and_is_mended_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    acl(dir.path(), "topic read #\ntopic write probe\n");
    let lines = format!("acl_file {}\nmax_queued_messages 100000", dir.path().join("acl").display());
    let hub = Mosquitto::start(dir.path(), &lines);
    let subscriber = Subscriber::start(hub.address, "up/#");
    let (gateway, listen) = Gateway::started(dir.path(), hub.address, ROUTES);
    let mut sensor = Publisher::new(listen, "sensor", 500);
    for n in 0..20_000 {
        sensor.publish(&format!("plant/{}", n % 10), &n.to_string());
    }
    sensor.settle(0, 60);
    wait_until("the verdict is degraded", 30, || is_degraded(&gateway));
    std::thread::sleep(Duration::from_secs(5));
    assert!(is_degraded(&gateway));
    let loud = loud(&gateway);
    assert!(loud.len() < 20, "{} lines: {loud:#?}", loud.len());
    assert!(loud.iter().any(|line| line.contains("0x87")), "the reason is named: {loud:#?}");
    acl(dir.path(), "topic readwrite #\n");
    let hup = Command::new("kill").args(["-HUP", &hub.pid().to_string()]).status().unwrap();
    assert!(hup.success());
    wait_until("all of it is at the hub", 60, || {
        let arrived = subscriber.arrived();
        arrived.len() >= 20_000
            && arrived.iter().map(|message| &message.payload).collect::<BTreeSet<_>>().len() == 20_000
    });
    ends_well(&gateway);
}

#[test]
fn a_topic_over_its_quota_delays_only_itself() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    hub.answer(|topic, _| Answer::Ack(if topic == "up/plant/3" { 0x97 } else { 0 }));
    let (mut gateway, listen) = Gateway::started(dir.path(), hub.address, ROUTES);
    let mut sensor = Publisher::new(listen, "sensor", 500);
    (0..5_000).for_each(|n| sensor.publish(&format!("plant/{}", n % 10), &n.to_string()));
    sensor.settle(0, 30);
    let others = || (0..10).filter(|n| *n != 3).map(|n| hub.count(&format!("up/plant/{n}"))).sum::<usize>();
    wait_until("the nine others are at the hub", 20, || others() == 4_500);
    assert_eq!(hub.count("up/plant/3"), 0);
    wait_until("the verdict is degraded", 20, || is_degraded(&gateway));
    gateway.kill_9();
    gateway.start();
    sensor.publish("plant/3", "5000");
    sensor.publish("plant/4", "5001");
    sensor.settle(0, 30);
    wait_until("others go on after the kill", 20, || others() == 4_501);
    wait_until("it is degraded after the kill", 30, || is_degraded(&gateway));
    hub.answer(|_, _| Answer::Ack(0));
    wait_until("the refused topic is at the hub", 60, || hub.count("up/plant/3") == 501);
    let own: Vec<u64> = hub
        .taken()
        .iter()
        .filter(|taken| taken.topic == "up/plant/3")
        .map(|taken| taken.payload.parse().unwrap())
        .collect();
    let mut first_time = BTreeSet::new();
    let firsts: Vec<u64> = own.into_iter().filter(|n| first_time.insert(*n)).collect();
    assert!(firsts.is_sorted(), "the topic's order is kept: {firsts:?}");
    ends_well(&gateway);
}

/// A payload on which the hub closes, or that it refuses alone; 500 rows behind it, alarms beside it.
fn poison(answer: Answer) {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    hub.answer(move |_, payload| if payload.starts_with(b"poison") { answer } else { Answer::Ack(0) });
    let (mut gateway, listen) = Gateway::started(dir.path(), hub.address, ROUTES);
    let mut sensor = Publisher::new(listen, "sensor", 500);
    for n in 0..500 {
        if [3, 4, 250].contains(&n) {
            sensor.publish("plant/p", &format!("poison {n}"));
        }
        sensor.publish(&format!("plant/{}", n % 3), &n.to_string());
    }
    sensor.settle(0, 30);
    gateway.kill_9();
    gateway.start();
    sensor.publish("plant/alarm/fire", "alarm");
    sensor.settle(0, 30);
    let good = || (0..3).map(|n| hub.count(&format!("up/plant/{n}"))).sum::<usize>();
    let alarm_s = seconds_until("the alarm is at the hub", 20, || hub.count("up/plant/alarm/fire") == 1);
    let rest_s = seconds_until("the rows behind are at the hub", 90, || good() == 500);
    println!(
        "{answer:x?}: the alarm after {alarm_s:.1} s, the rest after {rest_s:.1} s, {} connections",
        hub.connects().len()
    );
    wait_until("the verdict is degraded", 30, || is_degraded(&gateway));
    assert_eq!(hub.count("up/plant/p"), 0);
    let loud = loud(&gateway);
    assert!(loud.iter().any(|line| line.contains("up/plant/p")), "the topic is named: {loud:#?}");
    assert!(loud.len() < 60, "{} lines: {loud:#?}", loud.len());
    let (_, page) = gateway.get("/metrics").unwrap();
    assert!(
        !page.lines().any(|line| line.starts_with("edge_dropped_total") && !line.ends_with(" 0")),
        "{page}"
    );
}

#[test]
fn a_row_on_which_the_hub_closes_without_a_word_stops_nobody() {
    poison(Answer::Close);
}

#[test]
fn a_row_on_which_the_hub_disconnects_as_malformed_stops_nobody() {
    poison(Answer::Disconnect(0x81));
}

#[test]
fn a_row_on_which_the_hub_disconnects_as_too_large_stops_nobody() {
    poison(Answer::Disconnect(0x95));
}

#[test]
fn a_puback_with_a_reason_that_is_not_in_its_list_is_a_refusal() {
    poison(Answer::Ack(0x95));
}

#[test]
fn a_puback_with_an_unknown_reason_is_a_refusal() {
    poison(Answer::Ack(0xa0));
}

#[test]
fn a_row_larger_than_the_hub_takes_waits_until_it_takes_it() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    hub.limit_packets(Some(2_000));
    let (mut gateway, listen) = Gateway::started(dir.path(), hub.address, ROUTES);
    let mut sensor = Publisher::new(listen, "sensor", 100);
    for n in 0..100 {
        let payload = if n % 10 == 5 { format!("{n} {}", "x".repeat(5_000)) } else { n.to_string() };
        sensor.publish("plant/size", &payload);
        sensor.publish("plant/other", &n.to_string());
    }
    sensor.settle(0, 30);
    wait_until("the other topic is at the hub", 20, || hub.count("up/plant/other") == 100);
    wait_until("the verdict is degraded", 30, || is_degraded(&gateway));
    hub.limit_packets(None);
    gateway.kill_9();
    gateway.start();
    wait_until("all of it is at the hub", 60, || hub.count("up/plant/size") == 100);
    ends_well(&gateway);
}

/// Mosquitto answers 0x95 there, and closes the connection.
#[test]
fn rows_larger_than_a_real_hub_takes_delay_nobody() {
    const LIMITLESS: &str = "max_queued_messages 0\nmax_inflight_messages 0";
    /// Five seconds.
    const BEHIND_MAX: usize = 100;
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), &format!("{LIMITLESS}\nmessage_size_limit 2500"));
    let subscriber = Subscriber::start(hub.address, "up/#");
    let (mut gateway, listen) = Gateway::started(dir.path(), hub.address, ROUTES);
    let mut sensor = Publisher::new(listen, "sensor", 5);
    let goods = || subscriber.arrived().iter().filter(|message| message.topic != "up/plant/big").count();
    let start = Instant::now();
    let (mut n, mut good, mut latest, mut is_restarting) = (0, 0, 0, false);
    // Five too large ones and 20 others a second.
    while start.elapsed() < Duration::from_secs(20) {
        if n % 5 == 0 {
            sensor.publish("plant/big", &format!("{n} {}", "x".repeat(5_000)));
        } else {
            sensor.publish(&format!("plant/{}", n % 9), &n.to_string());
            good += 1;
        }
        n += 1;
        if n == 250 {
            gateway.kill_9();
            gateway.start();
            is_restarting = true;
        }
        let behind = good - goods().min(good);
        let early = (Duration::from_millis(40) * n).saturating_sub(start.elapsed());
        // A restart takes as long as it takes: it is over when the sensor is back in its time, and the hub has what waited for it.
        is_restarting &= early.is_zero() || behind >= BEHIND_MAX;
        if !is_restarting {
            latest = latest.max(behind);
        }
        std::thread::sleep(early);
    }
    assert!(!is_restarting, "the others are behind since the restart");
    sensor.settle(0, 30);
    wait_until("the others are at the hub", 20, || goods() >= good);
    let connects = hub.connects("g");
    println!("{connects} connections, at most {latest} of {good} others behind");
    assert!((4..20).contains(&connects), "{connects} connections");
    assert!(latest < BEHIND_MAX, "{latest} of {good} were behind");
    wait_until("the verdict is degraded", 20, || is_degraded(&gateway));
    hub.reconfigure(LIMITLESS);
    wait_until("all of it is at the hub", 60, || {
        let arrived =
            subscriber.arrived().into_iter().map(|message| message.payload).collect::<BTreeSet<_>>();
        arrived.len() == n as usize
    });
    let mut seen = BTreeSet::new();
    let large = subscriber.arrived().into_iter().filter(|message| message.topic == "up/plant/big");
    let large = large.map(|message| message.payload.split(' ').next().unwrap().parse::<u32>().unwrap());
    let firsts: Vec<u32> = large.filter(|n| seen.insert(*n)).collect();
    assert!(firsts.is_sorted(), "the topic's order is kept: {firsts:?}");
    ends_well(&gateway);
}

/// The readings of an outage make batches far above a limit that the hub does not announce, and keeps: they are cut until they fit.
#[test]
fn batches_are_cut_to_what_a_real_hub_takes() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "max_queued_messages 0\nmessage_size_limit 2500");
    let relay = Relay::start(hub.address);
    let subscriber = Subscriber::start(hub.address, "readings");
    let route = "[[route]]\nmatch = \"plant/#\"\nto = \"readings\"\nformat = \"json\"\n";
    let (gateway, listen) = Gateway::started(dir.path(), relay.address, route);
    relay.cut();
    let mut sensor = Publisher::new(listen, "sensor", 100);
    (0..2_000).for_each(|n| sensor.publish(&format!("plant/{}", n % 4), &format!("{{\"value\":{n}.5}}")));
    sensor.settle(0, 30);
    relay.mend();
    let arrived = || {
        let mut values = BTreeSet::new();
        for message in subscriber.arrived() {
            let batch = Format::Json.decode(message.payload.as_bytes(), &Limits::default()).unwrap();
            values.extend(batch.map(|reading| match reading.unwrap().value {
                Value::F64(value) => value as u32,
                other => panic!("{other:?}"),
            }));
        }
        values.len()
    };
    wait_until("all of them are at the hub", 90, || arrived() == 2_000);
    println!("{} connections", hub.connects("g"));
    assert!(hub.connects("g") < 25, "{} connections", hub.connects("g"));
    ends_well(&gateway);
}

#[test]
fn what_an_earlier_client_left_over_at_qos_2_is_worked_off() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    hub.leave_over("old/topic");
    let (gateway, listen) = Gateway::started(dir.path(), hub.address, ROUTES);
    let mut sensor = Publisher::new(listen, "sensor", 100);
    (0..200).for_each(|n| sensor.publish("plant/t", &n.to_string()));
    sensor.settle(0, 30);
    wait_until("all of it is at the hub", 20, || hub.count("up/plant/t") == 200);
    // Nobody here has subscribed to it: it gets half a minute for a subscription that may still come.
    wait_until("the message at QoS 2 is finished", 50, || hub.is_worked_off());
    assert!(hub.connects().len() <= 2, "{} connections", hub.connects().len());
    ends_well(&gateway);
}

#[test]
fn a_hub_that_accepts_and_closes_is_dialled_with_measure_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    hub.kick(true);
    let (gateway, listen) = Gateway::started(dir.path(), hub.address, ROUTES);
    let mut sensor = Publisher::new(listen, "sensor", 100);
    (0..500).for_each(|n| sensor.publish("plant/t", &n.to_string()));
    sensor.settle(0, 30);
    std::thread::sleep(Duration::from_secs(10));
    let dials = hub.connects().len();
    assert!((3..=30).contains(&dials), "{dials} connections in 10 s");
    hub.kick(false);
    wait_until("all of it is at the hub", 60, || hub.count("up/plant/t") == 500);
    ends_well(&gateway);
}

/// Once a minute, although every connection loses it again.
#[test]
fn a_hub_that_keeps_no_session_does_not_fill_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    let (mut gateway, _) = Gateway::started(dir.path(), hub.address, ROUTES);
    wait_until("connected", 20, || hub.connects().len() == 1);
    hub.forget_sessions();
    hub.kick(true);
    gateway.terminate();
    let start = Instant::now();
    gateway.start();
    wait_until("some connections", 60, || hub.connects().len() >= 6);
    let lines = gateway.log().matches("the hub had lost the session").count();
    let minutes = start.elapsed().as_secs() as usize / 60;
    assert!((1..=1 + minutes).contains(&lines), "{}", gateway.log());
}

#[test]
fn a_topic_cannot_write_a_line_of_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::start();
    hub.answer(|_, _| Answer::Ack(0x97));
    let listen = free_port();
    let config = format!(
        "[gateway]\nid = \"g\"\n[local]\nlisten = \"{listen}\"\naccept_control_characters = true\n\
         [hub]\nurl = \"mqtt://{}\"\n{ROUTES}",
        hub.address
    );
    let mut gateway = Gateway::new(dir.path(), &config);
    gateway.start();
    let mut sensor = Publisher::new(listen, "sensor", 10);
    sensor.publish("plant/a\n2026 ERROR forged\u{7}", "1");
    sensor.settle(0, 20);
    wait_until("the refusal is in the log", 20, || gateway.log().contains("topic refused"));
    let log = gateway.log();
    assert!(log.contains(r#" topic="up/plant/a\n2026 ERROR forged\u{7}" "#), "{log}");
    assert!(!log.lines().any(|line| line.starts_with("2026 ERROR forged")), "{log}");
}
