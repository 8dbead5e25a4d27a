//! Messages that wait for a client: bounds, limits of the client, expiry. Promise 12: every queue has a bound.

use edge_bridge::listener::Config;
use edge_bridge::wire::{Connect, Packet, PropertyId, Publish, Value, Version};

use crate::listener_support::*;
use crate::{BOTH, EXPIRY, pair, site};

#[test]
fn what_waits_for_an_absent_client_is_bounded_and_the_latest_stay() {
    for by_bytes in [false, true] {
        let mut config = Config::default();
        if by_bytes {
            // Topic 1 byte, payload 2.
            config.max_queued_bytes = 30;
        } else {
            config.max_queued = 10;
        }
        let mut site = Site::new(config);
        let (subscriber, publisher) = pair(&mut site, Version::V5);
        site.cut(subscriber);
        for n in 10..40 {
            site.send(publisher, &[publish(n, "a", &n.to_string())]);
        }
        assert_eq!(site.listener.stats().dropped_full, 20);
        assert_eq!(site.listener.stats().queued_bytes, 30);
        let (again, _) = site.connect(stays("sub", Version::V5));
        let latest: Vec<_> = (30..40).map(|n| n.to_string()).collect();
        assert_eq!(site.payloads(again), latest);
        assert_eq!(site.listener.stats().queued_bytes, 0);
    }
}

#[test]
fn all_absent_clients_together_are_bounded() {
    let mut config = Config::default();
    config.max_queued_bytes_total = 50;
    let mut site = Site::new(config);
    for n in 0..10 {
        let peer = site.client(&format!("c{n}"), Version::V311);
        site.send(peer, &[subscribe(&["a"])]);
        site.cut(peer);
    }
    let publisher = site.client("pub", Version::V5);
    for n in 1..50 {
        site.send(publisher, &[publish(n, "a", "123456789")]);
        assert!(site.listener.stats().queued_bytes <= 50);
    }
}

#[test]
fn the_clients_receive_maximum_holds_also_on_resume() {
    let mut site = site();
    let two = |name: &str| {
        let list = [(EXPIRY, Value::U32(60)), (PropertyId::ReceiveMaximum, Value::U16(2))];
        Connect { properties: properties(&list), ..stays(name, Version::V5) }
    };
    let (subscriber, _) = site.connect(two("sub"));
    site.send(subscriber, &[subscribe(&["a"])]);
    let publisher = site.client("pub", Version::V5);
    for n in 1..=5 {
        site.send(publisher, &[publish(n, "a", &n.to_string())]);
    }
    assert_eq!(site.payloads(subscriber), ["1", "2"]);
    site.cut(subscriber);
    let (again, _) = site.connect(two("sub"));
    let sent = site.messages(again);
    assert_eq!(sent.iter().map(payload).collect::<Vec<_>>(), ["1", "2"]);
    let ids: Vec<_> = sent.iter().map(|p| puback(p.packet_id.unwrap().get())).collect();
    site.send(again, &ids);
    assert_eq!(site.payloads(again), ["3", "4"]);
}

#[test]
fn the_clients_maximum_packet_size_holds() {
    let mut site = site();
    let small = Connect {
        properties: properties(&[(PropertyId::MaximumPacketSize, Value::U32(100))]),
        ..connect("sub", Version::V5)
    };
    let (subscriber, _) = site.connect(small);
    site.send(subscriber, &[subscribe(&["a"])]);
    let publisher = site.client("pub", Version::V5);
    site.send(publisher, &[publish(1, "a", &"x".repeat(200)), publish(2, "a", "fits")]);
    assert_eq!(site.payloads(subscriber), ["fits"]);
    assert_eq!(site.listener.stats().dropped_too_large, 1);
}

#[test]
fn a_message_expires_while_it_waits_and_the_rest_of_its_time_is_told() {
    let mut site = site();
    let (subscriber, publisher) = pair(&mut site, Version::V5);
    site.cut(subscriber);
    for (id, seconds) in [(1, 10), (2, 60)] {
        let expiry = properties(&[(PropertyId::MessageExpiryInterval, Value::U32(seconds))]);
        let Packet::Publish(packet) = publish(id, "a", &seconds.to_string()) else { panic!() };
        site.send(publisher, &[Packet::Publish(Publish { properties: expiry, ..packet })]);
    }
    site.pass(20_000);
    let (again, _) = site.connect(stays("sub", Version::V5));
    let messages = site.messages(again);
    assert_eq!(messages.iter().map(payload).collect::<Vec<_>>(), ["60"]);
    assert_eq!(messages[0].properties.u32(PropertyId::MessageExpiryInterval), Some(40));
    assert_eq!(site.listener.stats().dropped_expired, 1);
}

/// §3.3.2.3.3: the time in flight and the absence are time that the message waited in the server.
#[test]
fn what_is_in_flight_has_so_much_less_to_live_after_an_absence() {
    let mut site = site();
    let (mut subscriber, publisher) = pair(&mut site, Version::V5);
    let Packet::Publish(packet) = publish(1, "a", "x") else { panic!() };
    let properties = properties(&[(PropertyId::MessageExpiryInterval, Value::U32(60))]);
    site.send(publisher, &[Packet::Publish(Publish { properties, ..packet })]);
    let expiry = |site: &mut Site, peer: Peer| {
        let messages = site.messages(peer);
        assert_eq!(messages.len(), 1);
        messages[0].properties.u32(PropertyId::MessageExpiryInterval)
    };
    assert_eq!(expiry(&mut site, subscriber), Some(60));
    for (connected_ms, absent_ms, left_s) in [(5_000, 20_000, 35), (0, 10_000, 25)] {
        site.pass(connected_ms);
        site.cut(subscriber);
        site.pass(absent_ms);
        (subscriber, _) = site.connect(stays("sub", Version::V5));
        assert_eq!(expiry(&mut site, subscriber), Some(left_s));
    }
}

/// Promise 10: who comes back late, with an older version of MQTT too, must not have a command that was in flight.
#[test]
fn what_was_in_flight_is_not_sent_again_once_its_time_is_over() {
    for version in BOTH {
        let mut site = site();
        let (subscriber, _) = pair(&mut site, version);
        let mut command = message("a", "open");
        command.properties = properties(&[(PropertyId::MessageExpiryInterval, Value::U32(30))]);
        site.publish(&command);
        site.publish(&message("a", "without an expiry"));
        assert_eq!(site.messages(subscriber).len(), 2);
        site.cut(subscriber);
        site.pass(29_999);
        assert_eq!(site.settled.len(), 0);
        let (again, _) = site.connect(stays("sub", version));
        assert_eq!(site.payloads(again), ["open", "without an expiry"], "a millisecond before");
        site.cut(again);
        site.pass(1);
        let (late, _) = site.connect(stays("sub", version));
        assert_eq!(site.payloads(late), ["without an expiry"]);
        let ends: Vec<_> = site.settled.iter().map(|settled| (settled.delivered, settled.dropped)).collect();
        assert_eq!((ends, site.listener.stats().dropped_expired), (vec![(0, 1)], 1));
    }
}

#[test]
fn one_acknowledgement_settles_a_message_to_any() {
    let mut site = site();
    let (subscriber, _) = pair(&mut site, Version::V5);
    let away = site.client("away", Version::V5);
    site.send(away, &[subscribe(&["a"])]);
    site.listener.publish_to_any(site.now, &message("a", "open"));
    site.outputs();
    let id = site.messages(subscriber)[0].packet_id.unwrap().get();
    assert_eq!(site.settled, []);
    site.send(subscriber, &[puback(id)]);
    assert_eq!(site.settled.iter().map(|settled| settled.delivered).collect::<Vec<_>>(), [1]);
    let id = site.messages(away)[0].packet_id.unwrap().get();
    site.send(away, &[puback(id)]);
    assert_eq!(site.settled.len(), 1, "once");
}

#[test]
fn a_slow_client_costs_a_bounded_amount() {
    let mut config = Config::default();
    config.max_unwritten_bytes = 2_000;
    config.max_queued = 20;
    let mut site = Site::new(config);
    let (subscriber, publisher) = pair(&mut site, Version::V311);
    site.stuck.insert(subscriber.connection);
    for n in 0..200 {
        site.send(publisher, &[qos0("a", &format!("{n:0100}"))]);
    }
    assert!(site.listener.may_read(subscriber.connection), "its pings are heard");
    let stats = site.listener.stats();
    assert!(stats.dropped_full > 150 && stats.queued_bytes <= 20 * 101, "{stats:?}");
    site.unstick(subscriber);
    let last = site.payloads(subscriber).pop().unwrap();
    assert_eq!(last, format!("{:0100}", 199), "the latest got through");
}

#[test]
fn the_application_learns_what_became_of_its_message() {
    let mut site = site();
    let (subscriber, _) = pair(&mut site, Version::V5);
    let absent = site.client("absent", Version::V5);
    site.send(absent, &[subscribe(&["a"])]);
    site.cut(absent);
    site.publish(&message("a", "command"));
    let id = site.messages(subscriber)[0].packet_id.unwrap().get();
    site.send(subscriber, &[puback(id)]);
    assert_eq!(site.settled, [], "the absent client has not got it");
    site.pass(3_600_000);
    assert_eq!((site.settled[0].delivered, site.settled[0].dropped), (1, 1));
    site.publish(&message("nobody", "x"));
    assert_eq!((site.settled[1].delivered, site.settled[1].dropped), (0, 0));
}
