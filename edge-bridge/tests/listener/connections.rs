//! Connections of clients: who may come in, under which name, and what is told of the end.

use edge_bridge::listener::{Access, Config, Event, Input};
use edge_bridge::session::Closed;
use edge_bridge::wire::{
    Connect, Packet, PropertyId, QoS, ReasonCode, Subscription, Value, Version, encoded_len,
};

use crate::listener_support::*;
use crate::site;

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
    let mut site = site();
    for (asked, told) in [(0, Some(300)), (301, Some(300)), (300, None)] {
        let (_, ack) = site.connect(Connect { keep_alive_s: asked, ..connect("c", Version::V5) });
        assert_eq!(ack.properties.u16(PropertyId::ServerKeepAlive), told);
    }
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
        user: None,
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
        Event::Subscribed { connection, client: client.clone(), granted: 0, refused: 1 },
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
