//! `$SYS` topics: figures and states of links as Mosquitto's users know them, and that they cost nothing while nobody looks.

use edge_bridge::listener::{Access, AllowAnonymous, Authorize, ClientRef, Config};
use edge_bridge::wire::{
    Connect, Packet, PacketId, Publish, QoS, ReasonCode, RetainHandling, Subscription, Unsubscribe, Version,
    Will,
};

use crate::listener_support::*;
use crate::saved::restarted;
use crate::{BOTH, site};

const FIGURES: [&str; 10] = [
    "$SYS/broker/bytes/received",
    "$SYS/broker/bytes/sent",
    "$SYS/broker/clients/connected",
    "$SYS/broker/clients/total",
    "$SYS/broker/messages/received",
    "$SYS/broker/messages/sent",
    "$SYS/broker/publish/messages/dropped",
    "$SYS/broker/retained messages/count",
    "$SYS/broker/uptime",
    "$SYS/broker/version",
];

/// Topic, text and retain flag of what came.
fn told(site: &mut Site, peer: Peer) -> Vec<(String, String, bool)> {
    let mut all: Vec<_> =
        site.messages(peer).iter().map(|m| (m.topic.to_string(), payload(m), m.retain)).collect();
    all.sort();
    all
}

fn figure(told: &[(String, String, bool)], name: &str) -> String {
    let found = told.iter().find(|(topic, ..)| topic.strip_prefix("$SYS/broker/") == Some(name));
    found.unwrap_or_else(|| panic!("{name} in {told:?}")).1.clone()
}

#[test]
fn a_subscriber_gets_all_at_once_and_then_what_has_changed() {
    for version in BOTH {
        let mut site = site();
        let absent = site.client("absent", Version::V5);
        site.cut(absent);
        let watcher = site.client("watcher", version);
        site.pass(4_000);
        site.send(watcher, &[subscribe(&["$SYS/#"])]);
        let first = told(&mut site, watcher);
        assert_eq!(first.iter().map(|(topic, ..)| topic.as_str()).collect::<Vec<_>>(), FIGURES);
        assert!(first.iter().all(|(.., retain)| *retain));
        assert!(figure(&first, "version").starts_with("edge-bridge version "));
        assert_eq!(figure(&first, "uptime"), "5 seconds", "in Mosquitto's form");
        assert_eq!(
            (figure(&first, "clients/connected"), figure(&first, "clients/total")),
            ("1".into(), "2".into())
        );
        site.pass(10_000);
        let second = told(&mut site, watcher);
        assert_eq!(second.len(), 10, "the first round tells all: {second:?}");
        assert!(second.iter().all(|(.., retain)| !*retain));
        site.pass(10_000);
        let third = told(&mut site, watcher);
        let changed: Vec<_> = third.iter().map(|(topic, ..)| topic.as_str()).collect();
        assert_eq!(changed, ["$SYS/broker/bytes/sent", "$SYS/broker/messages/sent", "$SYS/broker/uptime"]);
        assert_eq!(figure(&third, "uptime"), "25 seconds");
    }
}

#[test]
fn figures_count_packets_and_bytes_of_all_connections_also_of_those_that_ended() {
    let mut site = site();
    let reads = |site: &mut Site, name: &str| {
        let (watcher, _) = site.connect(connect("watcher", Version::V5));
        site.send(watcher, &[subscribe(&["$SYS/#"])]);
        let text = figure(&told(site, watcher), name);
        site.cut(watcher);
        text.parse::<u64>().unwrap()
    };
    // CONNECT and SUBSCRIBE, then CONNACK, SUBACK and ten figures, the first of them not yet sent.
    assert_eq!(reads(&mut site, "messages/received"), 2);
    assert_eq!(reads(&mut site, "messages/sent"), 2 + 10 + 2);
    let before = (reads(&mut site, "bytes/received"), reads(&mut site, "bytes/sent"));
    let publisher = site.client("pub", Version::V5);
    let mut bytes = bytes::BytesMut::new();
    edge_bridge::wire::encode(&publish(1, "a", &"x".repeat(1_000)), Version::V5, &mut bytes).unwrap();
    site.send_bytes(publisher, &bytes);
    let retained = Publish { retain: true, qos: QoS::AtMostOnce, ..message("r", "1") };
    site.send(publisher, &[Packet::Publish(retained)]);
    site.cut(publisher);
    let after = (reads(&mut site, "bytes/received"), reads(&mut site, "bytes/sent"));
    assert!((1_000..1_300).contains(&(after.0 - before.0)), "{before:?} {after:?}");
    assert!(after.1 > before.1);
    assert_eq!(reads(&mut site, "retained messages/count"), 1, "without these topics themselves");
    assert_eq!(reads(&mut site, "publish/messages/dropped"), 0);
}

#[test]
fn nothing_is_due_while_nobody_who_is_there_has_a_filter() {
    let mut site = site();
    let (mut watcher, ack) = site.connect(Connect { keep_alive_s: 0, ..stays("watcher", Version::V311) });
    assert_eq!(ack.reason, ReasonCode::SUCCESS);
    site.send(watcher, &[subscribe(&["#", "+/broker/uptime"])]);
    // The deadline of its CONNECT.
    site.pass(60_000);
    assert_eq!(site.listener.next_deadline(), None, "wildcards do not match $SYS");
    site.send(watcher, &[subscribe(&["$SYS/broker/uptime"])]);
    site.received(watcher);
    for _ in 0..2 {
        let due_ms = site.listener.next_deadline().unwrap();
        assert!(due_ms <= site.now.up_ms + 10_000);
        site.pass(20_000);
        assert_eq!(told(&mut site, watcher).len(), 2);
        site.cut(watcher);
        site.pass(10_000);
        let due_ms = site.listener.next_deadline().unwrap();
        assert!(due_ms > site.now.up_ms + 1_000_000, "the end of the session alone");
        assert_eq!(site.listener.stats().queued_bytes, 0, "figures do not wait for the absent");
        watcher = site.client("watcher", Version::V311);
        assert_eq!(told(&mut site, watcher), []);
    }
}

#[test]
fn an_interval_of_zero_switches_the_figures_off_and_another_is_kept() {
    for (interval_s, rounds) in [(0, 0), (1, 60), (30, 2)] {
        let mut config = Config::default();
        config.sys_interval_s = interval_s;
        config.keep_alive_max_s = 0;
        let mut site = Site::new(config);
        let watcher = site.client("watcher", Version::V5);
        site.send(watcher, &[subscribe(&["$SYS/broker/uptime"])]);
        site.pass(60_000);
        let uptimes = told(&mut site, watcher).iter().filter(|(.., retain)| !*retain).count();
        assert_eq!(uptimes, rounds, "every {interval_s} s");
    }
}

#[test]
fn who_does_not_want_retained_messages_and_groups_get_none_at_once() {
    let mut site = site();
    let watcher = site.client("watcher", Version::V5);
    let plain = Subscription::new(text("$SYS/#"), QoS::AtMostOnce);
    let quiet = Subscription { retain_handling: RetainHandling::DoNotSend, ..plain };
    let shared = Subscription::new(text("$share/g/$SYS/#"), QoS::AtMostOnce);
    for wanted in [quiet, shared] {
        site.send(watcher, &[subscribe_as(vec![wanted.clone()], Some(3))]);
        assert_eq!(told(&mut site, watcher), []);
        site.pass(10_000);
        let seen = site.messages(watcher);
        assert_eq!(seen.len(), 10, "{}", wanted.filter);
        assert!(seen.iter().all(|m| m.properties.subscription_identifiers().eq([3])));
        let (packet_id, properties) = (PacketId::MIN, Default::default());
        let filters = vec![wanted.filter];
        site.send(watcher, &[Packet::Unsubscribe(Unsubscribe { packet_id, properties, filters })]);
        site.received(watcher);
        site.pass(20_000);
        assert_eq!(told(&mut site, watcher), []);
    }
}

#[test]
fn a_state_of_a_link_is_told_at_once_and_to_later_subscribers_and_waits_for_the_absent() {
    let mut site = site();
    let watcher = site.client("watcher", Version::V5);
    let filter = "$SYS/broker/connection/#";
    site.send(watcher, &[subscribe(&[filter])]);
    site.received(watcher);
    let state = |site: &mut Site, is_up| {
        site.listener.set_link_state(site.now, "hub", is_up).unwrap();
        site.outputs();
    };
    let topic = "$SYS/broker/connection/hub/state".to_owned();
    for is_up in [false, true, true] {
        state(&mut site, is_up);
    }
    assert_eq!(
        told(&mut site, watcher),
        [(topic.clone(), "0".into(), false), (topic.clone(), "1".into(), false)]
    );
    site.cut(watcher);
    state(&mut site, false);
    let back = site.client("watcher", Version::V5);
    let seen = site.messages(back);
    let waiting = seen.iter().find(|m| payload(m) == "0").expect("it waits");
    assert_eq!(waiting.qos, QoS::AtLeastOnce);
    let late = site.client("late", Version::V311);
    site.send(late, &[subscribe(&[filter])]);
    assert_eq!(told(&mut site, late), [(topic, "0".into(), true)]);
    assert!(site.listener.set_link_state(site.now, "a+", true).is_err());
    assert_eq!(site.listener.stats().retained, 0, "no retained message of the store");
    let (mut next, restored) = restarted(&site, Config::default(), 0);
    assert_eq!(restored.retained, 0);
    let late = next.client("other", Version::V311);
    next.send(late, &[subscribe(&[filter])]);
    assert_eq!(told(&mut next, late), [], "unknown until it is said again");
}

#[test]
fn clients_do_not_publish_there_but_other_bridges_their_state_which_is_no_reading() {
    let mut site = site();
    site.listener.set_link_state(site.now, "hub", true).unwrap();
    let watcher = site.client("watcher", Version::V5);
    site.send(watcher, &[subscribe(&["$SYS/broker/connection/+/state", "$SYS/broker/load"])]);
    site.received(watcher);
    let forger = site.client("forger", Version::V5);
    for (n, topic) in
        ["$SYS/broker/uptime", "$SYS/broker/load", "$SYS/broker/connection/hub/state"].iter().enumerate()
    {
        let n = u16::try_from(n).unwrap() + 1;
        site.send(forger, &[publish(n, topic, "forged")]);
        assert_eq!(site.pubacks(forger), [(n, ReasonCode::NOT_AUTHORIZED)], "{topic}");
        let packet_id = PacketId::new(9);
        let kept = Publish { retain: true, packet_id, ..message(topic, "forged") };
        site.send(forger, &[Packet::Publish(kept)]);
        site.received(forger);
    }
    assert_eq!(told(&mut site, watcher), []);
    let state = "$SYS/broker/connection/plant.bridge/state";
    let last = will(state, &[]).map(|will| Will { payload: "0".into(), retain: true, ..will });
    let (bridge, _) = site.connect(Connect { will: last, ..connect("plant.bridge", Version::V311) });
    let packet_id = PacketId::new(1);
    site.send(bridge, &[Packet::Publish(Publish { retain: true, packet_id, ..message(state, "1") })]);
    assert_eq!(site.pubacks(bridge), [(1, ReasonCode::SUCCESS)]);
    site.cut(bridge);
    let states: Vec<_> = told(&mut site, watcher).into_iter().map(|(topic, text, _)| (topic, text)).collect();
    assert_eq!(states, [(state.to_owned(), "0".to_owned()), (state.to_owned(), "1".to_owned())]);
    assert!(site.listener.ingest_mut().seen.is_empty(), "the hub's routes never take them");
    assert_eq!(site.listener.stats().retained, 1);
}

/// A client may retain something there before the application says the first state.
#[test]
fn what_a_client_left_in_the_place_of_a_link_goes_when_its_state_is_known() {
    let mut site = site();
    let forger = site.client("forger", Version::V5);
    let topic = "$SYS/broker/connection/hub/state";
    let packet_id = PacketId::new(1);
    site.send(forger, &[Packet::Publish(Publish { retain: true, packet_id, ..message(topic, "forged") })]);
    assert_eq!(site.listener.stats().retained, 1);
    site.listener.set_link_state(site.now, "hub", false).unwrap();
    assert_eq!(site.listener.stats().retained, 0);
    let late = site.client("late", Version::V5);
    site.send(late, &[subscribe(&[topic])]);
    assert_eq!(told(&mut site, late), [(topic.to_owned(), "0".into(), true)]);
}

/// A link that is configured no more.
#[test]
fn the_topic_of_a_link_that_is_cleared_is_open_to_clients() {
    let mut site = site();
    let topic = "$SYS/broker/connection/hub/state";
    site.listener.set_link_state(site.now, "hub", true).unwrap();
    let (other, watcher) = (site.client("other", Version::V5), site.client("watcher", Version::V5));
    site.send(other, &[publish(1, topic, "0")]);
    assert_eq!(site.pubacks(other), [(1, ReasonCode::NOT_AUTHORIZED)]);
    site.listener.clear_link_state("hub");
    site.listener.clear_link_state("of nobody");
    site.send(watcher, &[subscribe(&[topic])]);
    assert_eq!(told(&mut site, watcher), [], "no state");
    site.send(other, &[publish(2, topic, "0")]);
    assert_eq!(site.pubacks(other).last(), Some(&(2, ReasonCode::SUCCESS)));
    assert_eq!(told(&mut site, watcher), [(topic.to_owned(), "0".to_owned(), false)]);
}

/// May read everything but figures of clients.
struct NoClients;

impl Authorize for NoClients {
    fn may_publish(&mut self, _: ClientRef<'_>, _: &str) -> bool {
        true
    }

    fn may_receive(&mut self, _: ClientRef<'_>, topic: &str) -> bool {
        !topic.starts_with("$SYS/broker/clients/")
    }
}

#[test]
fn rights_count_for_each_topic() {
    let mut site = site();
    site.listener.set_access(site.now, Access::of(AllowAnonymous).with_rights(NoClients));
    let watcher = site.client("watcher", Version::V5);
    site.send(watcher, &[subscribe(&["$SYS/#"])]);
    assert_eq!(told(&mut site, watcher).len(), 8);
    site.pass(10_000);
    assert_eq!(told(&mut site, watcher).len(), 8);
}

/// States that the application told below `$SYS` are told anew: no client misses them.
#[test]
fn the_applications_own_states_are_not_restored_and_are_no_loss_of_a_client() {
    let config = || {
        let mut config = Config::default();
        (config.own_topics, config.saves_own_messages) = (vec!["$SYS/#".to_owned()], true);
        config
    };
    let mut site = Site::new(config());
    site.now.wall_ms = 1_800_000_000_000;
    let (panel, _) = site.connect(stays("panel", Version::V5));
    site.send(panel, &[subscribe(&["$SYS/broker/connection/+/state"])]);
    site.cut(panel);
    site.publish(&Publish { retain: true, ..message("$SYS/broker/connection/up/state", "1") });
    let (mut next, restored) = restarted(&site, config(), 0);
    assert_eq!((restored.retained, restored.waiting, restored.refused), (0, 0, 0));
    let (panel, _) = next.connect(stays("panel", Version::V5));
    assert!(next.payloads(panel).is_empty());
}

/// Earlier versions retained the state of the application's links as they retain messages. Restored, it would say that a link is up, for as long as
/// none of this name is set.
#[test]
fn a_state_that_an_earlier_version_retained_is_not_restored_but_a_clients_is() {
    let mut config = Config::default();
    config.saves_own_messages = true;
    let mut site = Site::new(config);
    site.now.wall_ms = 1_800_000_000_000;
    site.publish(&Publish { retain: true, ..message("$SYS/broker/connection/ours/state", "1") });
    let theirs = "$SYS/broker/connection/theirs/state";
    let bridge = site.client("theirs", Version::V5);
    let packet_id = PacketId::new(1);
    site.send(bridge, &[Packet::Publish(Publish { retain: true, packet_id, ..message(theirs, "1") })]);
    assert_eq!(site.listener.stats().retained, 2);
    let (mut next, restored) = restarted(&site, Config::default(), 0);
    assert_eq!((restored.retained, restored.refused), (1, 0));
    let late = next.client("late", Version::V5);
    next.send(late, &[subscribe(&["$SYS/broker/connection/+/state"])]);
    assert_eq!(told(&mut next, late), [(theirs.to_owned(), "1".into(), true)]);
}
