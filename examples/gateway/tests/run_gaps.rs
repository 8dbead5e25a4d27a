#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! `edge-gateway run` with too little room for an outage: the hub is told what was acknowledged and lost, to the message.

mod support;

use std::collections::BTreeSet;

use support::gateway::Gateway;
use support::mosquitto::{Arrived, Mosquitto, Subscriber};
use support::publisher::Publisher;
use support::relay::Relay;
use support::wait_until;

const ROUTES: &str = "[queue]\nmax_messages = 200\n[[route]]\nmatch = \"plant/#\"\nto = \"up/\"\n\
                      [[route]]\nmatch = \"#\"\nto = \"out/r\"\nformat = \"json\"\n";

/// Lost messages by the reports, each record once; a kill may have it said twice.
fn told(arrived: &[Arrived]) -> u64 {
    let reports = arrived.iter().filter(|message| message.topic == "up/$gap");
    let mut records = BTreeSet::new();
    for report in reports {
        assert_eq!(report.content_type, "application/vnd.edge.gaps+json");
        let report: serde_json::Value = serde_json::from_str(&report.payload).unwrap();
        assert_eq!(report["id"], "g");
        for gap in report["gaps"].as_array().unwrap() {
            assert!(gap["reason"].as_str().unwrap().starts_with("overflow"), "{gap}");
            let number = |name: &str| gap[name].as_u64().unwrap();
            assert!(
                number("first_ms") > 1_700_000_000_000 && number("last_ms") >= number("first_ms"),
                "{gap}"
            );
            records.insert((number("first_seq"), number("last_seq"), number("count")));
        }
    }
    records.iter().map(|(.., count)| count).sum()
}

/// Lost messages by the reports, with those that were told again.
fn told_in_all(arrived: &[Arrived]) -> u64 {
    arrived.iter().map(|message| told(std::slice::from_ref(message))).sum()
}

fn payloads(arrived: &[Arrived]) -> BTreeSet<String> {
    let messages = arrived.iter().filter(|message| message.topic == "up/plant/a");
    messages.map(|message| message.payload.clone()).collect()
}

/// Promise 3.
#[test]
fn the_hub_is_told_how_much_an_outage_cost_over_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "max_queued_messages 0");
    let subscriber = Subscriber::start(hub.address, "up/#");
    let wan = Relay::start(hub.address);
    wan.cut();
    let (mut gateway, listen) = Gateway::started(dir.path(), wan.address, ROUTES);
    let mut publisher = Publisher::new(listen, "foreign", 50);
    for n in 0..700 {
        publisher.publish("plant/a", &format!("message {n:05}"));
        if n == 400 {
            gateway.kill_9();
            gateway.start();
        }
    }
    publisher.settle(0, 60);
    wait_until("the loss is counted", 20, || {
        gateway.metric("edge_dropped_total{reason=\"overflow\"}") > Some(300.0)
    });
    wan.mend();
    let sent = 700;
    wait_until("all is at the hub, or told to be lost", 60, || {
        let arrived = subscriber.arrived();
        payloads(&arrived).len() as u64 + told(&arrived) >= sent
    });
    // What came twice over the kill is lost twice at most, and nothing is told that is not lost.
    gateway.kill_9();
    gateway.start();
    std::thread::sleep(std::time::Duration::from_secs(3));
    let arrived = subscriber.arrived();
    let (there, lost) = (payloads(&arrived).len() as u64, told(&arrived));
    assert!(there >= 150 && there + lost >= sent, "{there} arrived, {lost} told");
    assert!(there + lost <= sent + 50, "{there} arrived, {lost} told: more than the window that came again");
    assert!(gateway.terminate().0.success());
}

/// Promise 3: each record is in one report, since who adds them up knows no two reports of one loss from two losses.
#[test]
fn what_the_hub_was_told_is_not_told_again_after_a_clean_stop() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "max_queued_messages 0");
    let subscriber = Subscriber::start(hub.address, "up/#");
    let wan = Relay::start(hub.address);
    wan.cut();
    let (mut gateway, listen) = Gateway::started(dir.path(), wan.address, ROUTES);
    let mut publisher = Publisher::new(listen, "foreign", 50);
    let (mut sent, mut told_before) = (0.., 0);
    // Fewer than the first time: a record that is told again is more than what is missing.
    for messages in [500, 250] {
        let mut last = String::new();
        for n in sent.by_ref().take(messages) {
            last = format!("message {n:05}");
            publisher.publish("plant/a", &last);
        }
        publisher.settle(0, 60);
        wan.mend();
        let account = || {
            let arrived = subscriber.arrived();
            let there = payloads(&arrived);
            (there.contains(&last), there.len() as u64, told_in_all(&arrived))
        };
        let missing = |there: u64| sent.start - there;
        wait_until("the loss is told", 60, || {
            let (is_last_there, there, told) = account();
            is_last_there && told >= missing(there)
        });
        let (_, there, told) = account();
        assert_eq!(told, missing(there), "{there} arrived");
        assert!(told > told_before, "nothing was lost");
        told_before = told;
        // The hub answers in order: with this message's PUBACK that of the report is there.
        publisher.publish("plant/a", &format!("message {:05}", sent.next().unwrap()));
        publisher.settle(0, 60);
        wait_until("the hub's PUBACKs are there", 60, || {
            gateway.metric("edge_delivered_total") == Some((there + 1) as f64)
        });
        assert!(gateway.terminate().0.success());
        wan.cut();
        gateway.start();
    }
}

/// Promise 3: who may not say it there delays nothing, and is not asked again and again.
#[test]
fn a_hub_that_refuses_the_report_costs_the_report_alone() {
    let dir = tempfile::tempdir().unwrap();
    let acl = dir.path().join("acl");
    std::fs::write(&acl, "topic deny up/$gap\ntopic readwrite #\n").unwrap();
    let hub = Mosquitto::start(dir.path(), &format!("max_queued_messages 0\nacl_file {}", acl.display()));
    let subscriber = Subscriber::start(hub.address, "up/#");
    let wan = Relay::start(hub.address);
    wan.cut();
    let (mut gateway, listen) = Gateway::started(dir.path(), wan.address, ROUTES);
    let mut publisher = Publisher::new(listen, "foreign", 50);
    (0..500).for_each(|n| publisher.publish("plant/a", &format!("message {n:05}")));
    publisher.settle(0, 60);
    wan.mend();
    wait_until("the refusal is told", 30, || gateway.log().contains("up/$gap"));
    (500..600).for_each(|n| publisher.publish("plant/a", &format!("message {n:05}")));
    publisher.settle(0, 60);
    wait_until("the queue is empty", 60, || gateway.metric("edge_queue_messages") == Some(0.0));
    let last: BTreeSet<String> = (500..600).map(|n| format!("message {n:05}")).collect();
    wait_until("new messages arrive", 30, || payloads(&subscriber.arrived()).is_superset(&last));
    assert_eq!(told(&subscriber.arrived()), 0);
    assert_eq!(gateway.metric("edge_refusals_total{reason=\"0x87\"}"), Some(1.0));
    assert_eq!(gateway.metric("edge_parked_messages"), Some(0.0));
    assert!(gateway.terminate().0.success());
}

/// A loss of a route that came in force by a reload is told where `check` says, without a restart.
#[test]
fn what_is_lost_after_a_reload_is_told_at_the_topic_of_the_new_routes() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "max_queued_messages 0");
    let subscriber = Subscriber::start(hub.address, "#");
    let wan = Relay::start(hub.address);
    wan.cut();
    let (mut gateway, listen) = Gateway::started(dir.path(), wan.address, ROUTES);
    let file = dir.path().join("gateway.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("\"up/\"", "\"moved/\"")).unwrap();
    gateway.signal("HUP");
    wait_until("the routes are in force", 20, || {
        gateway.log().contains("changed configuration are in force")
    });
    let mut publisher = Publisher::new(listen, "foreign", 50);
    (0..300).for_each(|n| publisher.publish("plant/a", &format!("message {n:05}")));
    publisher.settle(0, 60);
    wan.mend();
    let reports = || {
        let arrived = subscriber.arrived().into_iter();
        arrived
            .filter(|message| message.topic.ends_with("$gap"))
            .map(|message| message.topic)
            .collect::<Vec<_>>()
    };
    wait_until("the loss is told", 60, || !reports().is_empty());
    assert_eq!(reports()[0], "moved/$gap");
    assert!(gateway.terminate().0.success());
}
