//! The budget of all that clients make the listener hold: whoever holds most gives way, the others are served.

use crate::listener_support::*;
use edge_bridge::listener::Config;
use edge_bridge::wire::{Connect, Packet, PacketId, PropertyId, Publish, QoS, Subscription, Value, Version};

const MAX: usize = 2 * 1024 * 1024;

/// With a client that reads, and holds nothing.
fn site() -> (Site, Peer) {
    let mut config = Config::default();
    config.max_memory = MAX;
    config.max_sessions = 10_000;
    let mut site = Site::new(config);
    let good = site.client("good", Version::V311);
    (site, good)
}

/// Memory that was given up is free a moment later.
#[track_caller]
fn within(site: &mut Site) {
    if site.listener.stats().held_bytes > MAX {
        site.pass(2);
    }
    let held = site.listener.stats().held_bytes + site.flushing;
    assert!(held <= MAX, "{held} bytes are held");
}

/// Others gave way, and this one is served as before.
#[track_caller]
fn is_served(site: &mut Site, good: Peer) {
    assert!(site.listener.stats().closed_for_memory > 0);
    assert!(!site.is_closed(good));
    site.received(good);
    site.send(good, &[Packet::PingReq, publish(9, "x", "1")]);
    assert_eq!(site.received(good).len(), 2);
}

/// Small messages, which each has a copy of, and large ones, of which each gets others.
#[test]
fn subscribers_that_do_not_read_give_way() {
    for (qos, size, rounds) in
        [(QoS::AtMostOnce, 1_500, 10), (QoS::AtMostOnce, 50_000, 1), (QoS::AtLeastOnce, 50_000, 1)]
    {
        let (mut site, good) = site();
        for n in 0..50 {
            let peer = site.client(&format!("s{n}"), Version::V311);
            let filters = [format!("to/{n}"), "to/all".to_owned()];
            let filters = filters.iter().map(|filter| Subscription::new(text(filter), qos)).collect();
            site.send(peer, &[subscribe_as(filters, None)]);
            site.stuck.insert(peer.connection);
        }
        for n in 0..50 * rounds {
            let topic = if size < 2_048 { "to/all".to_owned() } else { format!("to/{n}") };
            site.send(good, &[qos0(&topic, &"x".repeat(size))]);
            within(&mut site);
            site.pass(1);
        }
        is_served(&mut site, good);
    }
}

/// The messages in flight are kept until their PUBACK, also when the network took them.
#[test]
fn subscribers_that_read_and_never_acknowledge_give_way() {
    let (mut site, good) = site();
    for n in 0..20 {
        let peer = site.client(&format!("s{n}"), Version::V311);
        site.send(peer, &[subscribe(&[&format!("to/{n}")])]);
    }
    for n in 0..60 {
        site.send(good, &[publish(n + 1, &format!("to/{}", n % 20), &"x".repeat(50_000))]);
        within(&mut site);
    }
    is_served(&mut site, good);
}

/// One message is in memory once, however many wait for it: it costs nobody else a connection, a session or a message.
#[test]
fn a_message_for_many_counts_once() {
    let (mut site, good) = site();
    let mut absent = Vec::new();
    for n in 0..60 {
        let peer = site.client(&format!("s{n}"), Version::V311);
        site.send(peer, &[subscribe(&["big"])]);
        site.cut(peer);
        absent.push(n);
    }
    // 6 MB if each had its own copy.
    site.send(good, &[publish(1, "big", &"x".repeat(100_000))]);
    within(&mut site);
    let reader = site.client("reader", Version::V311);
    site.send(reader, &[subscribe(&["small"])]);
    site.received(reader);
    site.send(good, &[publish(2, "small", &"y".repeat(200_000))]);
    assert_eq!(site.received(reader).len(), 1);
    for n in absent {
        let peer = site.client(&format!("s{n}"), Version::V311);
        assert_eq!(site.received(peer).len(), 1, "{n}");
    }
    assert_eq!((site.listener.stats().closed_for_memory, site.listener.stats().dropped_full), (0, 0));
    assert!(!site.is_closed(good));
}

/// The same for those that are there, whether they read at once or not: at QoS 0 and 1, sent now or retained.
#[test]
fn a_message_for_many_that_are_there_is_not_copied_for_each() {
    for (qos, is_retained) in [(QoS::AtMostOnce, false), (QoS::AtLeastOnce, false), (QoS::AtLeastOnce, true)]
    {
        let (mut site, good) = site();
        let large = Publish {
            retain: is_retained,
            packet_id: PacketId::new(1),
            ..message("big", &"x".repeat(200_000))
        };
        if is_retained {
            site.send(good, &[Packet::Publish(large.clone())]);
        }
        let readers: Vec<_> = (0..200).map(|n| site.client(&format!("s{n}"), Version::V311)).collect();
        for reader in &readers {
            site.stuck.insert(reader.connection);
            site.send(*reader, &[subscribe_as(vec![Subscription::new(text("big"), qos)], None)]);
        }
        if !is_retained {
            site.send(good, &[Packet::Publish(large)]);
        }
        within(&mut site);
        for reader in readers {
            site.unstick(reader);
            let messages = site.messages(reader);
            assert_eq!(messages.iter().map(|m| m.payload.len()).collect::<Vec<_>>(), [200_000]);
        }
        let stats = site.listener.stats();
        assert_eq!((stats.closed_for_memory, stats.dropped_full), (0, 0), "{qos:?} {is_retained}");
    }
}

/// Memory that gives way is not free at once: that is no reason to close those who hold little.
#[test]
fn one_overflow_costs_one_connection() {
    let (mut site, good) = site();
    let filters: Vec<_> = (0..10).map(|n| format!("bystander/{n}")).collect();
    let filters: Vec<_> = filters.iter().map(String::as_str).collect();
    let bystander = site.client("bystander", Version::V311);
    site.send(bystander, &[subscribe(&filters)]);
    let away = site.client("away", Version::V311);
    site.send(away, &[subscribe(&["away"])]);
    site.cut(away);
    site.send(good, &[publish(1, "away", &"x".repeat(1_500))]);
    let readers: Vec<_> = (0..12).map(|n| site.client(&format!("s{n}"), Version::V311)).collect();
    for (n, reader) in readers.iter().enumerate() {
        let topic = format!("to/{n}");
        site.send(*reader, &[subscribe_as(vec![Subscription::new(text(&topic), QoS::AtMostOnce)], None)]);
        site.stuck.insert(reader.connection);
        site.send(good, &[qos0(&topic, &"x".repeat(200_000))]);
    }
    within(&mut site);
    let closed = readers.iter().filter(|reader| site.is_closed(**reader)).count();
    assert_eq!((closed, site.listener.stats().closed_for_memory), (2, 2), "12 of 200 000 bytes in 2 MiB");
    assert!(!site.is_closed(bystander));
    let away = site.client("away", Version::V311);
    assert_eq!(site.messages(away).len(), 1);
    is_served(&mut site, good);
}

/// The end of one of many readers of a large message frees next to nothing: who half-sends gives way before them.
#[test]
fn readers_of_one_large_message_give_way_last() {
    let (mut site, good) = site();
    let readers: Vec<_> = (0..50).map(|n| site.client(&format!("r{n}"), Version::V311)).collect();
    for reader in &readers {
        site.send(*reader, &[subscribe_as(vec![Subscription::new(text("big"), QoS::AtLeastOnce)], None)]);
        site.stuck.insert(reader.connection);
    }
    site.send(good, &[publish(1, "big", &"x".repeat(200_000))]);
    // Of 200 016 bytes after the fixed header.
    let head = [&[0x30, 0xd0, 0x9a, 0x0c, 0, 3][..], b"big"].concat();
    for n in 0..30 {
        let peer = site.client(&format!("s{n}"), Version::V311);
        site.send_bytes(peer, &head);
        (0..15).for_each(|_| site.send_bytes(peer, &[b'x'; 10_000]));
        site.pass(100);
        within(&mut site);
    }
    assert!(site.listener.stats().closed_for_memory > 0);
    assert!(readers.iter().all(|reader| !site.is_closed(*reader)));
}

#[test]
fn unfinished_messages_give_way() {
    let (mut site, good) = site();
    // Of 200 016 bytes after the fixed header.
    let head = [&[0x30, 0xd0, 0x9a, 0x0c, 0, 3][..], b"big"].concat();
    for n in 0..50 {
        let peer = site.client(&format!("s{n}"), Version::V311);
        site.send_bytes(peer, &head);
        for _ in 0..15 {
            site.send_bytes(peer, &[b'x'; 10_000]);
            within(&mut site);
        }
        // Who is without room waits until the others were without progress for a while.
        site.pass(100);
        within(&mut site);
    }
    is_served(&mut site, good);
}

#[test]
fn sessions_of_absent_clients_give_way() {
    let (mut site, good) = site();
    for n in 0..100 {
        let peer = site.client(&format!("{n}{}", "n".repeat(2_000)), Version::V311);
        let filters: Vec<_> = (0..20).map(|k| format!("{k}/{}", "f".repeat(2_000))).collect();
        let filters: Vec<_> = filters.iter().map(String::as_str).collect();
        site.send(peer, &[subscribe(&filters)]);
        site.send(peer, &[subscribe(&["big"])]);
        site.cut(peer);
        within(&mut site);
    }
    for n in 0..60 {
        site.send(good, &[publish(n + 1, "big", &"x".repeat(50_000))]);
        within(&mut site);
    }
    is_served(&mut site, good);
}

/// Sessions of `count` absent clients, for each of which a message of its own waits.
fn absent_with_messages(site: &mut Site, publisher: Peer, count: usize, size: usize) {
    for n in 0..count {
        let peer = site.client(&format!("absent{n}"), Version::V311);
        site.send(peer, &[subscribe(&[&format!("to/{n}")])]);
        site.cut(peer);
        site.pass(1_000);
        site.send(publisher, &[publish(1, &format!("to/{n}"), &"x".repeat(size))]);
        within(site);
    }
}

/// Many small ones together are one holder: otherwise whoever sends a larger message pays for them, at each attempt.
#[test]
fn absent_sessions_give_way_before_a_client_that_is_there() {
    for size in [400, 4_000] {
        let (mut site, good) = site();
        let waits = site.client("waits", Version::V311);
        absent_with_messages(&mut site, good, MAX / size + 100, size);
        site.set_room(false);
        site.send(waits, &[publish(1, "store/x", &"y".repeat(16_000))]);
        within(&mut site);
        assert!(!site.is_closed(waits) && !site.is_closed(good), "{size}");
        site.set_room(true);
        site.outputs();
        assert_eq!(site.stored.len(), 1, "{size}");
        let stats = site.listener.stats();
        assert!(stats.dropped_full > 0 && stats.closed_for_memory == stats.sessions_given_up, "{stats:?}");
        let [oldest, latest] =
            [0, MAX / size + 99].map(|n| site.client(&format!("absent{n}"), Version::V311));
        assert_eq!((site.messages(oldest).len(), site.messages(latest).len()), (0, 1), "longest away first");
    }
}

/// Absent clients that hold less pay nothing for one that holds much.
#[test]
fn a_client_that_holds_more_than_all_absent_ones_gives_way_before_them() {
    let (mut site, good) = site();
    absent_with_messages(&mut site, good, 10, 4_000);
    let topics: Vec<_> = (0..12).map(|n| format!("large/{n}")).collect();
    for topic in &topics {
        let reader = site.client(topic, Version::V311);
        site.send(reader, &[subscribe_as(vec![Subscription::new(text(topic), QoS::AtMostOnce)], None)]);
        site.stuck.insert(reader.connection);
        site.send(good, &[qos0(topic, &"x".repeat(200_000))]);
    }
    within(&mut site);
    assert!(site.listener.stats().closed_for_memory > 0);
    for n in 0..10 {
        let back = site.client(&format!("absent{n}"), Version::V311);
        assert_eq!(site.messages(back).len(), 1, "{n}");
    }
}

#[test]
fn wills_and_aliases_count() {
    let (mut site, good) = site();
    for n in 0..100 {
        let mut will = will("w", &[]).unwrap();
        will.payload = vec![b'x'; 30_000].into();
        let login = Some(text("user"));
        let connect = Connect { will: Some(will), username: login, ..connect(&format!("w{n}"), Version::V5) };
        let (peer, _) = site.connect(connect);
        for alias in 1..=16 {
            let alias = properties(&[(PropertyId::TopicAlias, Value::U16(alias))]);
            let topic = format!("{n}/{}", "t".repeat(4_000));
            site.send(
                peer,
                &[Packet::Publish(Publish {
                    properties: alias,
                    qos: QoS::AtMostOnce,
                    ..message(&topic, "")
                })],
            );
            within(&mut site);
        }
    }
    is_served(&mut site, good);
}

/// A full queue: messages that wait for room keep no receive buffer alive, and count.
#[test]
fn messages_that_wait_for_room_give_way() {
    let (mut site, good) = site();
    site.set_room(false);
    for n in 0..50 {
        let peer = site.client(&format!("s{n}"), Version::V311);
        site.send(peer, &[publish(1, "store/x", &"x".repeat(100_000))]);
        within(&mut site);
    }
    assert!(site.listener.stats().held < 25, "{}", site.listener.stats().held);
    site.set_room(true);
    while !site.stored.is_empty() {
        site.resolve(0);
    }
    is_served(&mut site, good);
}

/// Messages go several at a time, and yet no more than has to: whoever comes back finds what there was room for.
#[test]
fn no_more_messages_are_dropped_than_make_room() {
    let (mut site, good) = site();
    for n in 0..10 {
        let peer = site.client(&format!("s{n}"), Version::V311);
        site.send(peer, &[subscribe(&["to/all"])]);
        site.stuck.insert(peer.connection);
    }
    let mut least = usize::MAX;
    for n in 0..10_000 {
        site.send(good, &[publish(1, "to/all", "21.5")]);
        within(&mut site);
        if n > 5_000 {
            least = least.min(site.listener.stats().held_bytes);
        }
    }
    assert!(least > MAX - 32 * 1024, "{least} bytes of {MAX} are held");
    assert_eq!(site.listener.stats().closed_for_memory, 0);
}

/// Nobody is known before CONNECT.
#[test]
fn a_connect_without_a_login_is_small() {
    for version in [Version::V311, Version::V5] {
        for (name, size, is_taken) in
            [(None, 3_000, true), (None, 5_000, false), (Some("user"), 30_000, true)]
        {
            let mut site = Site::new(Config::default());
            let mut will = will("w", &[]).unwrap();
            will.payload = vec![b'x'; size].into();
            let connect = Connect { will: Some(will), username: name.map(text), ..connect("c", version) };
            let peer = site.open(version);
            site.send(peer, &[Packet::Connect(Box::new(connect))]);
            assert_eq!(site.is_closed(peer), !is_taken, "{name:?} {size}");
        }
    }
}

/// By its first bytes: what does not come cannot be held.
#[test]
fn a_large_connect_is_refused_when_its_flags_are_there() {
    let mut site = Site::new(Config::default());
    // 64 000 bytes, of a protocol of another name.
    for bytes in [&b"\x10\x80\xf4\x03\x00\x04MQTT\x04\x06"[..], b"\x10\x80\xf4\x03\xff\xff"] {
        let peer = site.open(Version::V311);
        let (first, last) = bytes.split_at(bytes.len() - 1);
        site.send_bytes(peer, first);
        assert!(!site.is_closed(peer));
        site.send_bytes(peer, last);
        if bytes.len() < 10 {
            site.send_bytes(peer, b"xxxx");
        }
        assert!(site.is_closed(peer));
    }
    let login = site.open(Version::V311);
    site.send_bytes(login, b"\x10\x80\xf4\x03\x00\x04MQTT\x04\x86");
    assert!(!site.is_closed(login), "it may prove who it is");
    assert_eq!(site.listener.stats().violations, 2);
}
