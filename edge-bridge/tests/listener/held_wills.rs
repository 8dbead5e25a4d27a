//! Wills while the queue has no room: at QoS 1 they wait, as messages do; what waits is bounded.

use crate::listener_support::*;
use bytes::Bytes;
use edge_bridge::listener::Config;
use edge_bridge::wire::{Connect, PropertyId, QoS, Value, Version, Will};

/// Connects a client with a will to store/…, and cuts it.
fn dies(site: &mut Site, name: &str, qos: QoS, payload: Vec<u8>) {
    let will = will("store/alarm/gone", &[]).map(|will| Will { qos, payload: Bytes::from(payload), ..will });
    leaves(site, name, will);
}

fn leaves(site: &mut Site, name: &str, will: Option<Will>) {
    let (sensor, _) = site.connect(Connect { will, ..connect(name, Version::V5) });
    site.cut(sensor);
}

fn stored(site: &Site) -> Vec<String> {
    let rows = site.stored.iter().flat_map(|(_, rows)| rows);
    rows.map(|row| String::from_utf8_lossy(&row.payload).into_owned()).collect()
}

#[test]
fn a_will_at_qos_1_waits_for_room_in_its_order() {
    let mut site = Site::new(Config::default());
    let sensor = site.client("sensor", Version::V5);
    site.set_room(false);
    site.send(sensor, &[publish(1, "store/x", "before")]);
    dies(&mut site, "a", QoS::AtLeastOnce, b"gone".to_vec());
    dies(&mut site, "b", QoS::AtMostOnce, b"at QoS 0".to_vec());
    let stats = site.listener.stats();
    assert_eq!((stats.held, stats.qos0_without_room, stats.wills_without_room), (2, 1, 0));
    site.set_room(true);
    assert_eq!(stored(&site), ["before", "gone"]);
    assert_eq!(site.listener.stats().held, 0);
}

/// Its sender is gone, and it may have been written long ago: a command, for one, is not to be obeyed.
#[test]
fn a_will_is_marked_as_one_whether_it_waited_or_not() {
    let mut site = Site::new(Config::default());
    let sensor = site.client("sensor", Version::V5);
    for (packet_id, has_room) in [(1, true), (2, false)] {
        site.set_room(has_room);
        site.send(sensor, &[publish(packet_id, "store/x", "x")]);
        dies(&mut site, "a", QoS::AtLeastOnce, b"gone".to_vec());
    }
    site.set_room(true);
    let marks = site.listener.ingest_mut().seen.iter().map(|message| (message.topic.as_str(), message.will));
    let both = [("store/x", false), ("store/alarm/gone", true)];
    assert_eq!(marks.collect::<Vec<_>>(), [both, both].concat());
}

/// The listener believed that there was room.
#[test]
fn a_will_that_the_queue_hands_back_is_stored_later() {
    let mut site = Site::new(Config::default());
    site.full = true;
    dies(&mut site, "a", QoS::AtLeastOnce, b"first".to_vec());
    dies(&mut site, "b", QoS::AtLeastOnce, b"second".to_vec());
    assert_eq!(stored(&site).len(), 0);
    site.set_room(true);
    assert_eq!(stored(&site), ["first", "second"]);
}

#[test]
fn wills_that_wait_are_bounded_in_bytes() {
    let mut site = Site::new(Config::default());
    site.set_room(false);
    let before = site.listener.stats().held_bytes;
    for n in 0..400 {
        dies(&mut site, &n.to_string(), QoS::AtLeastOnce, vec![b'x'; 4_000]);
    }
    let stats = site.listener.stats();
    assert!((250..=262).contains(&stats.held), "1 MiB of 4 kB: {}", stats.held);
    assert_eq!(stats.held as u64 + stats.wills_without_room, 400);
    let grown = stats.held_bytes - before;
    assert!(grown >= stats.held * 4_000, "they count among what clients take: {grown}");
    site.set_room(true);
    assert_eq!(site.stored.len(), stats.held);
    // The room is for others again.
    site.set_room(false);
    dies(&mut site, "late", QoS::AtLeastOnce, vec![b'x'; 4_000]);
    assert_eq!(site.listener.stats().held, 1);
}

/// A will costs what it carries, wherever it carries it.
#[test]
fn wills_that_wait_are_bounded_with_their_properties_and_client_names() {
    let mut site = Site::new(Config::default());
    site.set_room(false);
    let value = "v".repeat(4_000);
    for n in 0..400 {
        let will = will("store/gone", &[(PropertyId::UserProperty, Value::Pair("n", &value))]);
        leaves(&mut site, &n.to_string(), will.map(|will| Will { payload: Bytes::new(), ..will }));
    }
    let held = site.listener.stats().held;
    assert!((250..=262).contains(&held), "1 MiB of 4 kB: {held}");

    let mut site = Site::new(Config::default());
    site.set_room(false);
    for n in 0..400 {
        leaves(&mut site, &format!("{n}{value}"), will("store/gone", &[]));
    }
    let held = site.listener.stats().held;
    assert!((250..=262).contains(&held), "1 MiB of 4 kB: {held}");
}

/// Nobody sends a will again. Where its lane has no room the queue's intake keeps its row.
#[test]
fn a_will_that_waits_for_room_at_a_stop_is_stored() {
    let mut site = Site::new(Config::default());
    let sensor = site.client("sensor", Version::V5);
    site.set_full_lanes(0b10);
    site.send(sensor, &[publish(1, "store/x/lane1", "its client sends it again")]);
    leaves(&mut site, "a", will("store/gone/lane1", &[(PropertyId::MessageExpiryInterval, Value::U32(60))]));
    site.pass(10_000);
    assert_eq!((stored(&site).len(), site.listener.stats().held), (0, 2));
    site.listener.shut_down(site.now);
    site.outputs();
    assert_eq!(stored(&site), ["gone"]);
    assert_eq!(site.stored[0].1[0].ttl_ms, Some(50_000), "it has waited");
    assert_eq!(site.listener.stats().held, 0);
}
