//! Shared subscriptions (§4.8.2): one member gets each message, and whoever does not read stops nobody.

use bytes::Bytes;
use edge_bridge::listener::Config;
use edge_bridge::session::Closed;
use edge_bridge::wire::{
    Connect, Packet, PacketId, PropertyId, Publish, QoS, ReasonCode, SubAck, Subscription, Unsubscribe,
    Version,
};

use crate::listener_support::*;
use crate::saved::retained;
use crate::{BOTH, site};

pub(crate) const A: &str = "$share/g/a";

/// Members of [`A`], named `m0`, `m1`, …, whose sessions stay.
pub(crate) fn members(site: &mut Site, count: usize, version: Version) -> Vec<Peer> {
    let names = (0..count).map(|n| format!("m{n}"));
    names.map(|name| subscribed(site, stays(&name, version), &[A])).collect()
}

pub(crate) fn subscribed(site: &mut Site, connect: Connect, filters: &[&str]) -> Peer {
    let (peer, _) = site.connect(connect);
    site.send(peer, &[subscribe(filters)]);
    assert!(reasons(&site.received(peer)).iter().all(|reason| !reason.is_error()));
    peer
}

fn reasons(packets: &[Packet]) -> Vec<ReasonCode> {
    match packets.first() {
        Some(Packet::SubAck(SubAck { reasons, .. })) => reasons.clone(),
        other => panic!("no SUBACK but {other:?}"),
    }
}

pub(crate) fn all(site: &mut Site, peers: &[Peer]) -> Vec<Vec<String>> {
    peers.iter().map(|peer| site.payloads(*peer)).collect()
}

pub(crate) fn ack_all(site: &mut Site, peer: Peer) -> Vec<String> {
    let messages = site.messages(peer);
    let acks: Vec<_> = messages.iter().filter_map(|m| Some(puback(m.packet_id?.get()))).collect();
    site.send(peer, &acks);
    messages.iter().map(payload).collect()
}

#[test]
fn members_get_messages_in_turns_each_once() {
    for version in BOTH {
        let mut site = site();
        let members = members(&mut site, 3, version);
        let publisher = site.client("pub", Version::V5);
        let packets: Vec<_> = (1..=6).map(|n| publish(n, "a", &n.to_string())).collect();
        site.send(publisher, &packets);
        assert_eq!(all(&mut site, &members), [["1", "4"], ["2", "5"], ["3", "6"]], "{version:?}");
    }
}

#[test]
fn each_group_gets_a_copy_and_so_does_a_subscription_of_ones_own() {
    let mut site = site();
    let both = subscribed(&mut site, stays("both", Version::V5), &[A, "a"]);
    let other = subscribed(&mut site, stays("other", Version::V311), &["$share/h/+"]);
    site.send(other, &[qos0("a", "x")]);
    assert_eq!(site.payloads(both), ["x", "x"], "§4.8.2: a second copy could go to the same client");
    assert_eq!(site.payloads(other), ["x"], "also what it published itself: no local is not for groups");
}

#[test]
fn a_group_gets_no_retained_messages_when_it_subscribes_and_the_flag_as_asked() {
    let mut site = site();
    let publisher = site.client("pub", Version::V5);
    site.send(
        publisher,
        &[retained("a", "old"), retained("b", "old b"), retained(A, "a topic like the filter")],
    );
    let (member, _) = site.connect(stays("m", Version::V5));
    let kept = Subscription { retain_as_published: true, ..Subscription::new(text(A), QoS::AtLeastOnce) };
    site.send(member, &[subscribe_as(vec![kept, Subscription::new(text("b"), QoS::AtLeastOnce)], Some(7))]);
    assert_eq!(site.payloads(member), ["old b"]);
    site.send(publisher, &[retained("a", "new")]);
    let seen = site.messages(member);
    assert!(seen[0].retain);
    assert_eq!(seen[0].properties.subscription_identifiers().collect::<Vec<_>>(), [7]);
}

#[test]
fn no_local_for_a_group_is_an_error_of_the_protocol() {
    let mut site = site();
    let peer = site.client("m", Version::V5);
    let mut bytes = vec![0x82, 16, 0, 1, 0, 0, 10];
    bytes.extend_from_slice(A.as_bytes());
    bytes.push(0b101);
    site.send_bytes(peer, &bytes);
    assert!(site.is_closed(peer));
    let ended = |event: &_| {
        matches!(event, edge_bridge::listener::Event::Disconnected { why: Closed::Violation(_), .. })
    };
    assert!(site.events.iter().any(ended), "{:?}", site.events);
}

#[test]
fn a_filter_without_a_group_is_refused_and_all_are_where_they_are_switched_off() {
    let mut three = site();
    let peer = three.client("m", Version::V311);
    three.send(peer, &[subscribe(&["$share/g", "$share//a", "$share/g/", A])]);
    let refused = ReasonCode::UNSPECIFIED_ERROR;
    assert_eq!(reasons(&three.received(peer)), [refused, refused, refused, ReasonCode::GRANTED_QOS_1]);
    for (is_available, reason) in
        [(true, ReasonCode::GRANTED_QOS_1), (false, ReasonCode::SHARED_SUBSCRIPTIONS_NOT_SUPPORTED)]
    {
        let mut config = Config::default();
        config.session.shared_subscription_available = is_available;
        let mut site = Site::new(config);
        let (peer, ack) = site.connect(stays("m", Version::V5));
        let said = ack.properties.flag(PropertyId::SharedSubscriptionAvailable);
        assert_eq!(said, (!is_available).then_some(false));
        site.send(peer, &[subscribe(&[A])]);
        assert_eq!(reasons(&site.received(peer)), [reason]);
    }
}

#[test]
fn each_member_has_the_qos_that_it_was_granted() {
    let mut site = site();
    let (one, zero) = (site.client("one", Version::V5), site.client("zero", Version::V5));
    let at = |qos| vec![Subscription::new(text(A), qos)];
    site.send(one, &[subscribe_as(at(QoS::ExactlyOnce), Some(1))]);
    site.send(zero, &[subscribe_as(at(QoS::AtMostOnce), Some(2))]);
    let publisher = site.client("pub", Version::V5);
    site.send(publisher, &[publish(1, "a", "1"), publish(2, "a", "2")]);
    for (peer, qos, identifier) in [(one, QoS::AtLeastOnce, 1), (zero, QoS::AtMostOnce, 2)] {
        let seen = site.messages(peer);
        assert_eq!((seen.len(), seen[0].qos), (1, qos));
        assert_eq!(seen[0].properties.subscription_identifiers().collect::<Vec<_>>(), [identifier]);
    }
}

#[test]
fn who_does_not_acknowledge_stops_nobody() {
    let mut config = Config::default();
    config.max_in_flight = 2;
    let mut site = Site::new(config);
    let members = members(&mut site, 2, Version::V5);
    let publisher = site.client("pub", Version::V5);
    let mut got = Vec::new();
    for n in 1..=20 {
        site.send(publisher, &[publish(n, "a", &n.to_string())]);
        got.extend(ack_all(&mut site, members[1]));
    }
    assert_eq!(site.payloads(members[0]), ["1", "3"]);
    assert_eq!(got.len(), 18, "{got:?}");
    assert_eq!(site.listener.stats().queued_bytes, 0);
}

#[test]
fn who_does_not_read_stops_nobody() {
    let mut site = site();
    let members = members(&mut site, 2, Version::V311);
    let publisher = site.client("pub", Version::V5);
    site.stuck.insert(members[0].connection);
    let large = Publish { payload: Bytes::from(vec![b'x'; 60_000]), ..message("a", "") };
    for _ in 0..40 {
        site.send(publisher, &[Packet::Publish(Publish { qos: QoS::AtMostOnce, ..large.clone() })]);
    }
    let got = all(&mut site, &members).map_len();
    assert_eq!(got.iter().sum::<usize>(), 40);
    assert!(got[0] <= 6, "{got:?}: 256 KiB are unwritten");
    assert_eq!(site.listener.stats().queued_bytes, 0, "nothing waits for it");
}

trait Lengths {
    fn map_len(self) -> Vec<usize>;
}

impl Lengths for Vec<Vec<String>> {
    fn map_len(self) -> Vec<usize> {
        self.iter().map(Vec::len).collect()
    }
}

#[test]
fn a_message_waits_for_who_has_least_to_do_and_for_the_absent_only_if_nobody_is_there() {
    let mut config = Config::default();
    config.max_in_flight = 1;
    let mut site = Site::new(config);
    let members = members(&mut site, 3, Version::V5);
    let publisher = site.client("pub", Version::V5);
    site.cut(members[2]);
    let packets: Vec<_> = (1..=6).map(|n| publish(n, "a", &n.to_string())).collect();
    site.send(publisher, &packets);
    assert_eq!(ack_all(&mut site, members[0]), ["1"]);
    assert_eq!(ack_all(&mut site, members[1]), ["2"]);
    assert_eq!(
        (ack_all(&mut site, members[0]), ack_all(&mut site, members[1])),
        (vec!["3".into()], vec!["4".into()])
    );
    assert_eq!(
        (ack_all(&mut site, members[0]), ack_all(&mut site, members[1])),
        (vec!["5".into()], vec!["6".into()])
    );
    site.cut(members[0]);
    site.cut(members[1]);
    site.send(
        publisher,
        &[publish(7, "a", "7"), publish(8, "a", "8"), publish(9, "a", "9"), qos0("a", "lost")],
    );
    let mut back = Vec::new();
    for name in ["m0", "m1", "m2"] {
        let peer = site.client(name, Version::V5);
        back.push(ack_all(&mut site, peer).len());
    }
    assert_eq!(back, [1, 1, 1]);
}

#[test]
fn a_full_queue_is_passed_over_while_another_member_has_room() {
    let mut config = Config::default();
    (config.max_in_flight, config.max_queued) = (1, 2);
    let mut site = Site::new(config);
    let members = members(&mut site, 2, Version::V5);
    let publisher = site.client("pub", Version::V5);
    site.cut(members[1]);
    for n in 1..=6 {
        site.send(publisher, &[publish(n, "a", &n.to_string())]);
    }
    assert_eq!(site.listener.stats().dropped_full, 1, "one more than there is room for");
    assert_eq!(site.payloads(members[0]), ["1"]);
    site.cut(members[0]);
    let back = site.client("m1", Version::V5);
    assert_eq!(ack_all(&mut site, back), ["4"]);
}

#[test]
fn unsubscribed_gets_no_more_and_the_last_one_ends_the_group() {
    let mut site = site();
    let members = members(&mut site, 2, Version::V5);
    let publisher = site.client("pub", Version::V5);
    let leaves = || {
        let (packet_id, properties) = (PacketId::MIN, Default::default());
        Packet::Unsubscribe(Unsubscribe { packet_id, properties, filters: vec![text(A)] })
    };
    site.send(members[0], &[leaves()]);
    assert!(
        matches!(&site.received(members[0])[..], [Packet::UnsubAck(ack)] if ack.reasons == [ReasonCode::SUCCESS])
    );
    site.send(publisher, &[publish(1, "a", "1"), publish(2, "a", "2")]);
    assert_eq!(all(&mut site, &members), [vec![], vec!["1".to_owned(), "2".into()]]);
    site.send(members[1], &[leaves()]);
    site.received(members[1]);
    site.send(publisher, &[publish(3, "a", "3")]);
    assert_eq!(site.payloads(members[1]), [""; 0]);
}

#[test]
fn groups_count_in_the_memory_of_all_clients() {
    let mut site = site();
    let member = site.client("m", Version::V5);
    let before = site.listener.stats().held_bytes;
    let filters: Vec<_> = (0..50).map(|n| format!("$share/g{n}/a")).collect();
    site.send(member, &[subscribe(&filters.iter().map(String::as_str).collect::<Vec<_>>())]);
    let held = site.listener.stats().held_bytes - before;
    assert!((50 * 512..50 * 700).contains(&held), "{held}");
}
