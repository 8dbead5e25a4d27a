//! Connections of clients: who may come in, under which name, and what is told of the end.

use bytes::BytesMut;
use edge_bridge::listener::{Access, Config, Event, Input, Listener, SessionUser};
use edge_bridge::session::Closed;
use edge_bridge::wire::{
    Connect, Packet, PropertyId, QoS, ReasonCode, Subscription, Value, Version, encode, encoded_len,
};

use crate::listener_support::*;
use crate::{BOTH, site};

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

/// Bytes that come one a second, or not at all, keep no connection.
#[test]
fn a_connect_that_drips_is_given_up_in_time() {
    for every_ms in [1_000, 60_000] {
        let mut site = site();
        let peer = site.open(Version::V311);
        let mut whole = BytesMut::new();
        encode(&Packet::Connect(Box::new(connect("c", Version::V311))), Version::V311, &mut whole).unwrap();
        let began_ms = site.now.up_ms;
        for byte in whole {
            site.send_bytes(peer, &[byte]);
            if site.is_closed(peer) {
                break;
            }
            site.pass(every_ms);
        }
        assert!(site.is_closed(peer) && site.now.up_ms - began_ms >= 10_000);
        assert_eq!(site.listener.stats().sessions, 0);
    }
}

/// Half a PUBLISH of a client without a keep alive, or with one of hours, ends with its connection.
#[test]
fn a_packet_that_is_begun_has_to_be_complete_in_time_whatever_the_keep_alive_is() {
    let mut half = BytesMut::new();
    encode(&publish(1, "a", &"x".repeat(1_000)), Version::V311, &mut half).unwrap();
    let rest = half.split_off(500);
    for keep_alive_s in [0, u16::MAX] {
        let mut site = site();
        let asks = || Connect { keep_alive_s, ..connect("c", Version::V311) };
        let (peer, _) = site.connect(asks());
        site.send_bytes(peer, &half);
        site.pass(449_999);
        assert!(!site.is_closed(peer));
        site.send_bytes(peer, &rest);
        site.pass(3_600_000);
        assert!(!site.is_closed(peer), "complete, and idle");
        site.send_bytes(peer, &half);
        site.pass(450_000);
        assert!(site.is_closed(peer), "half a packet, keep alive {keep_alive_s}");
        assert!(
            site.events
                .iter()
                .any(|event| matches!(event, Event::Disconnected { why: Closed::UnfinishedPacket, .. }))
        );

        // In one piece with its CONNECT.
        let peer = site.open(Version::V311);
        let mut both = BytesMut::new();
        encode(&Packet::Connect(Box::new(asks())), Version::V311, &mut both).unwrap();
        both.extend_from_slice(&half);
        site.send_bytes(peer, &both);
        assert_eq!(site.listener.stats().connections, 1);
        site.pass(450_000);
        assert!(site.is_closed(peer), "with the CONNECT, keep alive {keep_alive_s}");
    }
}

/// Each connection that this side ends is counted by its cause; one of which the network was lost by none of them.
#[test]
fn ends_are_counted_by_their_cause() {
    let counts = |site: &Site| {
        let stats = site.listener.stats();
        [stats.silent, stats.unfinished, stats.answers_unread, stats.without_connect]
    };
    let mut site = site();
    let brief = |name: &str| Connect { keep_alive_s: 10, ..connect(name, Version::V5) };
    let (silent, _) = site.connect(brief("silent"));
    site.pass(15_000);
    assert!(site.is_closed(silent) && counts(&site) == [1, 0, 0, 0], "{:?}", counts(&site));
    let (half, _) = site.connect(brief("half"));
    site.send_bytes(half, &[0x30]);
    site.pass(15_000);
    assert!(site.is_closed(half) && counts(&site) == [1, 1, 0, 0], "{:?}", counts(&site));
    site.open(Version::V5);
    site.pass(60_000);
    assert_eq!(counts(&site), [1, 1, 0, 1]);
    // Its PUBACKs are not written, so it is not read.
    let (deaf, _) = site.connect(brief("deaf"));
    site.stuck.insert(deaf.connection);
    let mut ids = (1..=u16::MAX).cycle();
    while site.listener.may_read(deaf.connection) {
        site.send(deaf, &[publish(ids.next().unwrap(), "a", "x")]);
    }
    site.pass(15_000);
    assert!(site.is_closed(deaf) && counts(&site) == [1, 1, 1, 1], "{:?}", counts(&site));
    // The peer is gone while the queue has no room for its message.
    let (gone, _) = site.connect(brief("gone"));
    site.set_room(false);
    site.send(gone, &[publish(1, "store/a", "x")]);
    site.listener.handle_input(site.now, gone.connection, Input::Gone { unread: &[] });
    site.outputs();
    site.pass(60_000);
    assert!(site.is_closed(gone) && counts(&site) == [1, 1, 1, 1], "{:?}", counts(&site));
}

/// Half a packet behind a message for which the queue had no room is not late by the time in which nothing was read.
#[test]
fn a_pause_of_reading_does_not_count_against_a_packet_that_is_begun() {
    let mut site = site();
    let (peer, _) = site.connect(Connect { keep_alive_s: 0, ..connect("c", Version::V311) });
    site.set_room(false);
    let mut bytes = BytesMut::new();
    encode(&publish(1, "store/a", "whole"), Version::V311, &mut bytes).unwrap();
    let whole = bytes.len();
    encode(&publish(2, "store/a", &"x".repeat(1_000)), Version::V311, &mut bytes).unwrap();
    let rest = bytes.split_off(whole + 500);
    site.send_bytes(peer, &bytes);
    assert!(!site.listener.may_read(peer.connection));
    site.pass(500_000);
    site.set_room(true);
    site.pass(440_000);
    assert!(!site.is_closed(peer), "as long as any other");
    site.send_bytes(peer, &rest);
    assert_eq!(site.stored.len(), 2);
    site.pass(3_600_000);
    assert!(!site.is_closed(peer));
}

/// An application that sets no longest keep alive keeps to that of each client.
#[test]
fn half_a_packet_stays_where_there_is_no_longest_keep_alive() {
    let mut config = Config::default();
    config.keep_alive_max_s = 0;
    let mut site = Site::new(config);
    let (peer, _) = site.connect(Connect { keep_alive_s: 0, ..connect("c", Version::V311) });
    site.send_bytes(peer, &[0x30, 100, 0, 1, b'a']);
    site.pass(86_400_000);
    assert!(!site.is_closed(peer));
}

/// A byte a second is no progress; 500 are.
#[test]
fn a_packet_that_drips_is_given_up_and_a_large_one_on_a_slow_link_is_not() {
    for (every_ms, bytes, is_taken) in [(1_000, 1, false), (1_000, 510, true)] {
        let mut site = site();
        let (peer, _) = site.connect(Connect { keep_alive_s: 0, ..connect("c", Version::V311) });
        let mut whole = BytesMut::new();
        encode(&publish(1, "store/a", &"x".repeat(240_000)), Version::V311, &mut whole).unwrap();
        for piece in whole.chunks(bytes) {
            if site.is_closed(peer) {
                break;
            }
            site.send_bytes(peer, piece);
            site.pass(every_ms);
        }
        assert_eq!((site.is_closed(peer), site.stored.len()), (!is_taken, usize::from(is_taken)));
        assert!(is_taken || site.now.up_ms < 460_000, "{}", site.now.up_ms);
    }
}

/// A CONNACK that is left out would keep the client waiting, its session taken over and its will kept all the same.
#[test]
fn a_client_whose_limit_is_below_the_connack_is_closed_and_changes_nothing() {
    let whole = {
        let ack = site().connect(connect("c", Version::V5)).1;
        u32::try_from(encoded_len(&Packet::ConnAck(ack), Version::V5).unwrap()).unwrap()
    };
    for limit in [2, 4, 5, whole - 1, whole] {
        let mut site = site();
        let (before, _) = site.connect(connect("c", Version::V5));
        let list = [(PropertyId::MaximumPacketSize, Value::U32(limit))];
        let asks =
            Connect { will: will("gone", &[]), properties: properties(&list), ..connect("c", Version::V5) };
        let peer = site.open(Version::V5);
        site.send(peer, &[Packet::Connect(Box::new(asks))]);
        let is_taken = limit == whole;
        let sizes: Vec<_> =
            site.received(peer).iter().map(|packet| encoded_len(packet, Version::V5).unwrap()).collect();
        let told = if is_taken { vec![whole as usize] } else { vec![5; usize::from(limit >= 5)] };
        assert_eq!(sizes, told, "limit {limit}");
        assert_eq!((site.is_closed(peer), site.is_closed(before)), (!is_taken, is_taken), "limit {limit}");
        let refused = site.events.iter().filter(|event| matches!(event, Event::Refused { .. })).count();
        assert_eq!(refused, usize::from(!is_taken), "limit {limit}");
        assert!(site.stored.is_empty(), "limit {limit}: no will");
    }
}

#[test]
fn a_keep_alive_beyond_ours_is_told() {
    let told = |least_s, asked_s| {
        let mut config = Config::default();
        config.keep_alive_min_s = least_s;
        let asks = Connect { keep_alive_s: asked_s, ..connect("c", Version::V5) };
        Site::new(config).connect(asks).1.properties.u16(PropertyId::ServerKeepAlive)
    };
    for (least_s, asked_s, expected_s) in [
        (0, 0, Some(300)),
        (0, 301, Some(300)),
        (0, 300, None),
        (0, 5, None),
        (20, 5, Some(20)),
        (20, 20, None),
        (20, 0, Some(300)),
    ] {
        assert_eq!(told(least_s, asked_s), expected_s, "{asked_s} s asked for, {least_s} s at least");
    }
}

/// A client of MQTT 5 is told the shortest keep alive, and then has one and a half times it; one of 3.1.1, which cannot be told, keeps its own.
#[test]
fn a_keep_alive_below_ours_is_in_force_for_those_alone_who_are_told() {
    for (version, ends_ms) in [(Version::V311, 7_500), (Version::V5, 30_000)] {
        let mut config = Config::default();
        config.keep_alive_min_s = 20;
        let mut site = Site::new(config);
        let (peer, ack) = site.connect(Connect { keep_alive_s: 5, ..connect("c", version) });
        assert_eq!(ack.reason, ReasonCode::SUCCESS, "{version:?}");
        site.pass(ends_ms - 1);
        assert!(!site.is_closed(peer), "{version:?}: after {} ms", ends_ms - 1);
        site.pass(1);
        assert!(site.is_closed(peer), "{version:?}: after {ends_ms} ms");
    }
}

#[test]
fn a_client_without_a_name_gets_a_random_one() {
    let mut site = site();
    let mut drawn = [u128::MAX - 5, 7, 8, 7].into_iter();
    site.listener = site.listener.with_random(move || drawn.next());
    for name in ["auto-fffffffffffffffffffffffffffffffa", "auto-00000000000000000000000000000007"] {
        let (_, ack) = site.connect(connect("", Version::V5));
        assert_eq!(ack.properties.utf8(PropertyId::AssignedClientIdentifier), Some(text(name)));
    }
    let (_, ack) = site.connect(connect("", Version::V311));
    assert_eq!(ack.reason, ReasonCode::SUCCESS);
    assert_eq!(site.listener.stats().sessions, 3);
    // A number that was drawn before, and none: nobody gets another's session.
    for _ in 0..2 {
        let (_, ack) = site.connect(connect("", Version::V5));
        assert_eq!(ack.reason, ReasonCode::SERVER_UNAVAILABLE);
        assert_eq!(site.listener.stats().sessions, 3);
    }
}

/// A name that a stranger could guess is worse than none.
#[test]
fn a_listener_without_random_numbers_assigns_no_name() {
    for version in BOTH {
        let mut site = site();
        site.listener = Listener::new(Config::default(), Script::default());
        let (_, ack) = site.connect(connect("", version));
        assert_eq!(ack.reason, ReasonCode::CLIENT_IDENTIFIER_NOT_VALID, "{version:?}");
        assert_eq!(site.listener.stats().sessions, 0);
    }
}

#[test]
fn who_may_not_connect_is_told_so() {
    let mut site = site();
    let only_ann = |connect: &Connect| match connect.username.as_deref() {
        Some("ann") if connect.password.as_deref() == Some(&b"secret"[..]) => Ok(()),
        _ => Err(ReasonCode::BAD_USER_NAME_OR_PASSWORD),
    };
    site.listener = site.listener.with_access(Access::of(only_ann));
    let (peer, ack) = site.connect(connect("c", Version::V5));
    assert_eq!(ack.reason, ReasonCode::BAD_USER_NAME_OR_PASSWORD);
    assert!(site.is_closed(peer));
    let refused = Event::Refused {
        connection: peer.connection,
        client: text("c"),
        user: SessionUser::default(),
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
fn events_name_the_client_and_the_reason() {
    let mut config = Config::default();
    config.max_subscriptions = 0;
    let mut site = Site::new(config);
    let peer = site.client("c", Version::V5);
    site.send(peer, &[subscribe_as(vec![Subscription::new(text("a"), QoS::AtMostOnce)], None)]);
    site.cut(peer);
    let client = text("c");
    let connection = peer.connection;
    let expected = [
        Event::Connected { connection, client: client.clone(), version: Version::V5, session_present: false },
        Event::Subscribed {
            connection,
            client: client.clone(),
            granted: 0,
            refused: 1,
            first_refused: Some((text("a"), ReasonCode::QUOTA_EXCEEDED)),
        },
        Event::Disconnected { connection, client: Some(client), why: Closed::Transport },
    ];
    assert_eq!(site.events, expected);
}

/// A message names where it came from; a will, where its connection did.
#[test]
fn messages_and_wills_carry_their_peers_address() {
    let mut site = site();
    let address = "192.0.2.7:4711".parse().unwrap();
    let connection = site.listener.accept_from(site.now, Some(address)).unwrap();
    let peer = Peer { connection, version: Version::V5 };
    let connect = Connect { will: will("store/gone", &[]), ..connect("c", Version::V5) };
    site.send(peer, &[Packet::Connect(Box::new(connect)), qos0("a", "x"), publish(1, "store/x", "x")]);
    site.cut(peer);
    let nobody = site.client("unknown", Version::V311);
    site.send(nobody, &[qos0("a", "x")]);
    let seen: Vec<_> = site.listener.ingest_mut().seen.iter().map(|m| (m.topic.as_str(), m.peer)).collect();
    let from = Some(address);
    assert_eq!(seen, [("a", from), ("store/x", from), ("store/gone", from), ("a", None)]);
}

/// Messages that a process reads after it stood still may be old until the connection is up to date: each says when it last was.
#[test]
fn messages_say_when_their_connection_was_up_to_date() {
    let mut site = site();
    let peer = site.client("c", Version::V5);
    let say = |site: &mut Site, at_ms: u64, waiting: Option<Option<u64>>| {
        site.now.up_ms = at_ms;
        if let Some(up_to_date_ms) = waiting {
            site.listener.handle_input(site.now, peer.connection, Input::Waiting { up_to_date_ms });
        }
        site.send(peer, &[qos0("store/a", "x")]);
        site.listener.ingest_mut().seen.last().unwrap().up_to_date_ms
    };
    assert_eq!(say(&mut site, 1_000, None), None, "its caller does not tell");
    assert_eq!(say(&mut site, 2_000, Some(None)), Some(2_000), "it is new");
    assert_eq!(say(&mut site, 3_000, Some(None)), Some(2_000));
    assert_eq!(say(&mut site, 4_000, Some(Some(3_990))), Some(3_990), "read before its turn");
    assert_eq!(say(&mut site, 5_000, Some(None)), Some(3_990));
}
