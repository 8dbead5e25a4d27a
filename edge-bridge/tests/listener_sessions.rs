//! Sessions, takeover, wills and what waits for absent clients. Promises 10 (nothing is kept for ever) and 12 (every queue has a bound).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

mod listener_support;

use edge_bridge::listener::Config;
use listener_support::*;

use edge_bridge::listener::Event;
use edge_bridge::session::Closed;
use edge_bridge::wire::{
    Connect, Disconnect, Packet, PropertyId, Publish, QoS, ReasonCode, Subscription, Value, Version,
};

const EXPIRY: PropertyId = PropertyId::SessionExpiryInterval;
const BOTH: [Version; 2] = [Version::V311, Version::V5];

fn site() -> Site {
    Site::new(Config::default())
}

/// A subscriber of `a`, and a publisher.
fn pair(site: &mut Site, version: Version) -> (Peer, Peer) {
    let (subscriber, publisher) = (site.client("sub", version), site.client("pub", version));
    site.send(subscriber, &[subscribe(&["a"])]);
    site.received(subscriber);
    (subscriber, publisher)
}

#[test]
fn unacknowledged_messages_come_again_with_dup_and_the_same_identifier() {
    for version in BOTH {
        let mut site = site();
        let (subscriber, publisher) = pair(&mut site, version);
        site.send(publisher, &[publish(1, "a", "1"), publish(2, "a", "2")]);
        let first = site.messages(subscriber);
        site.send(subscriber, &[puback(first[0].packet_id.unwrap().get())]);
        site.cut(subscriber);
        site.send(publisher, &[publish(3, "a", "3"), qos0("a", "not kept")]);
        let (again, ack) = site.connect(stays("sub", version));
        assert!(ack.session_present);
        let second = site.messages(again);
        let seen: Vec<_> = second.iter().map(|p| (payload(p), p.dup)).collect();
        assert_eq!(seen, [("2".to_owned(), true), ("3".to_owned(), false)]);
        assert_eq!(second[0].packet_id, first[1].packet_id);
    }
}

#[test]
fn a_clean_start_ends_the_session() {
    for version in BOTH {
        let mut site = site();
        let (subscriber, publisher) = pair(&mut site, version);
        site.cut(subscriber);
        site.send(publisher, &[publish(1, "a", "1")]);
        let (again, ack) = site.connect(Connect { clean_start: true, ..stays("sub", version) });
        assert!(!ack.session_present);
        site.send(publisher, &[publish(2, "a", "2")]);
        assert_eq!(site.messages(again), [], "no messages, no subscriptions");
        assert_eq!(site.listener.stats().queued_bytes, 0);
    }
}

#[test]
fn a_session_lasts_as_long_as_it_was_asked_to() {
    for (after_ms, present) in [(3_599_000, true), (3_601_000, false)] {
        let mut site = site();
        let (subscriber, _) = pair(&mut site, Version::V5);
        site.cut(subscriber);
        site.pass(after_ms);
        assert_eq!(site.connect(stays("sub", Version::V5)).1.session_present, present);
    }
}

#[test]
fn an_expiry_of_zero_ends_with_the_connection_and_disconnect_can_change_it() {
    let mut site = site();
    let (peer, _) = site.connect(Connect { clean_start: false, ..connect("short", Version::V5) });
    site.cut(peer);
    assert_eq!(site.listener.stats().sessions, 0);
    let peer = site.client("long", Version::V5);
    let now_short = Disconnect {
        reason: ReasonCode::NORMAL_DISCONNECTION,
        properties: properties(&[(EXPIRY, Value::U32(0))]),
    };
    site.send(peer, &[Packet::Disconnect(now_short)]);
    assert_eq!(site.listener.stats().sessions, 0);
}

#[test]
fn an_expiry_beyond_ours_is_capped_and_told_and_3_1_1_gets_ours() {
    let mut config = Config::default();
    config.session_expiry_max_s = 100;
    let mut site = Site::new(config);
    let (v5, ack) = site.connect(stays("v5", Version::V5));
    assert_eq!(ack.properties.u32(EXPIRY), Some(100));
    let v311 = site.client("v311", Version::V311);
    site.cut(v5);
    site.cut(v311);
    site.pass(99_000);
    assert_eq!(site.listener.stats().sessions, 2);
    site.pass(1_000);
    assert_eq!(site.listener.stats().sessions, 0);
    let ended = site.events.iter().filter(|e| matches!(e, Event::SessionEnded { .. })).count();
    assert_eq!(ended, 2);
}

#[test]
fn a_second_connection_of_a_client_takes_over() {
    for version in BOTH {
        let mut site = site();
        let (first, publisher) = pair(&mut site, version);
        site.send(publisher, &[publish(1, "a", "1")]);
        assert_eq!(site.payloads(first), ["1"]);
        let (second, ack) = site.connect(stays("sub", version));
        assert!(ack.session_present && site.is_closed(first));
        let expected = (version == Version::V5).then_some(ReasonCode::SESSION_TAKEN_OVER);
        assert_eq!(told(&site.received(first)), expected);
        let again = site.messages(second);
        assert!(again.len() == 1 && again[0].dup);
        site.cut(first);
        site.send(publisher, &[publish(2, "a", "2")]);
        assert_eq!(site.payloads(second), ["2"], "the old connection's end changes nothing");
    }
}

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
    // The last one is sent all the same: it was in flight.
    for (connected_ms, absent_ms, left_s) in [(5_000, 20_000, 35), (0, 10_000, 25), (3_000, 90_000, 1)] {
        site.pass(connected_ms);
        site.cut(subscriber);
        site.pass(absent_ms);
        (subscriber, _) = site.connect(stays("sub", Version::V5));
        assert_eq!(expiry(&mut site, subscriber), Some(left_s));
    }
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
fn at_the_limit_of_sessions_an_idle_absent_client_makes_room() {
    let mut config = Config::default();
    config.max_sessions = 2;
    let mut site = Site::new(config);
    let (subscriber, publisher) = pair(&mut site, Version::V5);
    let (_, ack) = site.connect(stays("third", Version::V5));
    assert_eq!(ack.reason, ReasonCode::QUOTA_EXCEEDED);
    site.cut(subscriber);
    site.send(publisher, &[publish(1, "a", "waits")]);
    site.cut(publisher);
    let (_, ack) = site.connect(stays("third", Version::V5));
    assert_eq!(ack.reason, ReasonCode::SUCCESS);
    assert_eq!(site.listener.stats().dropped_full, 0, "something waits for the other one");
}

#[test]
fn connections_are_bounded_and_must_say_connect_in_time() {
    let mut config = Config::default();
    config.max_connections = 1;
    let mut site = Site::new(config);
    let silent = site.open(Version::V5);
    assert!(site.listener.accept(site.now).is_none());
    site.pass(10_000);
    assert!(site.is_closed(silent));
    site.client("c", Version::V5);
}

#[test]
fn a_silent_client_is_closed_and_its_will_published() {
    for version in BOTH {
        let mut site = site();
        let (watcher, _) = pair(&mut site, version);
        let (client, _) = site.connect(Connect { will: will("a", &[]), ..connect("c", version) });
        site.pass(60_000);
        site.send(client, &[Packet::PingReq]);
        site.pass(89_000);
        assert!(!site.is_closed(client));
        site.pass(1_001);
        assert!(site.is_closed(client));
        assert_eq!(site.payloads(watcher), ["gone"]);
        assert_eq!(site.listener.ingest_mut().seen.len(), 1, "the hub learns of it too");
        let mqtt5 = version == Version::V5;
        assert_eq!(told(&site.received(client)), mqtt5.then_some(ReasonCode::KEEP_ALIVE_TIMEOUT));
    }
}

#[test]
fn a_keep_alive_beyond_ours_is_told() {
    let mut site = site();
    for (asked, told) in [(0, Some(300)), (301, Some(300)), (300, None)] {
        let (_, ack) = site.connect(Connect { keep_alive_s: asked, ..connect("c", Version::V5) });
        assert_eq!(ack.properties.u16(PropertyId::ServerKeepAlive), told);
    }
}

#[test]
fn a_normal_disconnect_discards_the_will_and_0x04_keeps_it() {
    for (reason, wills) in [(ReasonCode::NORMAL_DISCONNECTION, 0), (ReasonCode::DISCONNECT_WITH_WILL, 1)] {
        let mut site = site();
        let (watcher, _) = pair(&mut site, Version::V5);
        let (client, _) = site.connect(Connect { will: will("a", &[]), ..connect("c", Version::V5) });
        site.send(client, &[disconnect(reason)]);
        assert_eq!(site.messages(watcher).len(), wills);
    }
}

#[test]
fn a_will_with_delay_waits_and_a_client_that_comes_back_takes_it_along() {
    let delay = [(PropertyId::WillDelayInterval, Value::U32(30))];
    let with_will = || Connect { will: will("a", &delay), ..stays("c", Version::V5) };
    let mut site = site();
    let (watcher, _) = pair(&mut site, Version::V5);
    let (client, _) = site.connect(with_will());
    site.cut(client);
    site.pass(29_000);
    let (client, _) = site.connect(with_will());
    site.pass(60_000);
    assert_eq!(site.payloads(watcher), [""; 0]);
    site.cut(client);
    site.pass(29_999);
    assert_eq!(site.payloads(watcher), [""; 0]);
    site.pass(1);
    assert_eq!(site.payloads(watcher), ["gone"]);
}

#[test]
fn a_will_does_not_outlive_its_session() {
    let delay = [(PropertyId::WillDelayInterval, Value::U32(3600))];
    let mut site = site();
    let (watcher, _) = pair(&mut site, Version::V5);
    let short = properties(&[(EXPIRY, Value::U32(5))]);
    let connect_short =
        || Connect { will: will("a", &delay), properties: short.clone(), ..stays("c", Version::V5) };
    let (client, _) = site.connect(connect_short());
    site.cut(client);
    site.pass(5_000);
    assert_eq!(site.payloads(watcher), ["gone"], "due with the session's end");
    let (client, _) = site.connect(connect_short());
    site.cut(client);
    let (_, _) = site.connect(Connect { clean_start: true, ..connect_short() });
    assert_eq!(site.payloads(watcher), ["gone"], "a clean start ends the session");
}

#[test]
fn a_shutdown_tells_mqtt_5_and_publishes_no_will() {
    let mut site = site();
    let (watcher, _) = pair(&mut site, Version::V5);
    let (client, _) = site.connect(Connect { will: will("a", &[]), ..connect("c", Version::V311) });
    site.listener.shut_down(site.now);
    site.outputs();
    assert!(site.is_closed(watcher) && site.is_closed(client));
    let packets = site.received(watcher);
    assert_eq!(told(&packets), Some(ReasonCode::SERVER_SHUTTING_DOWN));
    assert!(!packets.iter().any(|p| matches!(p, Packet::Publish(_))));
    assert_eq!(site.received(client), []);
}

#[test]
fn a_client_without_a_name_gets_one() {
    let mut site = site();
    let (_, ack) = site.connect(connect("", Version::V5));
    let name = ack.properties.utf8(PropertyId::AssignedClientIdentifier).unwrap();
    assert!(!name.is_empty());
    let (_, ack) = site.connect(connect("", Version::V5));
    assert_ne!(ack.properties.utf8(PropertyId::AssignedClientIdentifier), Some(name));
    let (_, ack) = site.connect(connect("", Version::V311));
    assert_eq!(ack.reason, ReasonCode::SUCCESS);
    assert_eq!(site.listener.stats().sessions, 3);
}

#[test]
fn a_will_at_qos_2_is_refused_where_the_client_can_know_and_sent_at_qos_1_where_not() {
    let mut site = site();
    let (watcher, _) = pair(&mut site, Version::V5);
    let high = |version| {
        let mut will = will("a", &[]);
        will.as_mut().unwrap().qos = QoS::ExactlyOnce;
        Connect { will, ..connect("c", version) }
    };
    let (_, ack) = site.connect(high(Version::V5));
    assert_eq!(ack.reason, ReasonCode::QOS_NOT_SUPPORTED);
    let (client, _) = site.connect(high(Version::V311));
    site.cut(client);
    assert_eq!(site.messages(watcher)[0].qos, QoS::AtLeastOnce);
}

#[test]
fn who_may_not_connect_is_told_so() {
    let mut site = site();
    let only_ann = |connect: &Connect| match connect.username.as_deref() {
        Some("ann") if connect.password.as_deref() == Some(&b"secret"[..]) => Ok(()),
        _ => Err(ReasonCode::BAD_USER_NAME_OR_PASSWORD),
    };
    site.listener = site.listener.with_authenticate(Box::new(only_ann));
    let (peer, ack) = site.connect(connect("c", Version::V5));
    assert_eq!(ack.reason, ReasonCode::BAD_USER_NAME_OR_PASSWORD);
    assert!(site.is_closed(peer));
    let refused = Event::Refused {
        connection: peer.connection,
        client: text("c"),
        reason: ReasonCode::BAD_USER_NAME_OR_PASSWORD,
    };
    assert!(site.events.contains(&refused));
    let known = || Connect {
        username: Some(text("ann")),
        password: Some("secret".into()),
        ..connect("c", Version::V311)
    };
    assert_eq!(site.connect(known()).1.reason, ReasonCode::SUCCESS);
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

#[test]
fn events_name_the_client_and_the_reason() {
    let mut site = site();
    let peer = site.client("c", Version::V5);
    site.send(peer, &[subscribe_as(vec![Subscription::new(text("$share/g/a"), QoS::AtMostOnce)], None)]);
    site.cut(peer);
    let client = text("c");
    let connection = peer.connection;
    let expected = [
        Event::Connected { connection, client: client.clone(), version: Version::V5, session_present: false },
        Event::Subscribed { connection, client: client.clone(), granted: 0, refused: 1 },
        Event::Disconnected { connection, client: Some(client), why: Closed::Transport },
    ];
    assert_eq!(site.events, expected);
}
