//! Shared subscriptions (§4.8.2): one member gets each message, whoever does not read stops nobody, and who goes leaves what it did not
//! acknowledge to the others.

use bytes::Bytes;
use edge_bridge::listener::{Access, AllowAnonymous, Authorize, ClientRef, Config};
use edge_bridge::session::Closed;
use edge_bridge::wire::{
    Ack, Connect, Packet, PacketId, PropertyId, Publish, QoS, ReasonCode, SubAck, Subscription, Unsubscribe,
    Value, Version,
};

use crate::listener_support::*;
use crate::saved::{at_noon, expiring, restarted, retained};
use crate::{BOTH, site};

const A: &str = "$share/g/a";

/// Members of [`A`], named `m0`, `m1`, …, whose sessions stay.
fn members(site: &mut Site, count: usize, version: Version) -> Vec<Peer> {
    let names = (0..count).map(|n| format!("m{n}"));
    names.map(|name| subscribed(site, stays(&name, version), &[A])).collect()
}

fn subscribed(site: &mut Site, connect: Connect, filters: &[&str]) -> Peer {
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

fn all(site: &mut Site, peers: &[Peer]) -> Vec<Vec<String>> {
    peers.iter().map(|peer| site.payloads(*peer)).collect()
}

fn ack_all(site: &mut Site, peer: Peer) -> Vec<String> {
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
fn a_session_that_ends_leaves_what_it_did_not_acknowledge_to_the_others() {
    for version in BOTH {
        let mut config = Config::default();
        config.max_in_flight = 2;
        let mut site = Site::new(config);
        let gone = subscribed(&mut site, connect("gone", version), &["own"]);
        let own_identifier = (version == Version::V5).then_some(7);
        let id = || vec![Subscription::new(text(A), QoS::AtLeastOnce)];
        site.send(gone, &[subscribe_as(id(), own_identifier)]);
        site.received(gone);
        let publisher = site.client("pub", Version::V5);
        let mut first = expiring("a", "1", 100);
        first.packet_id = PacketId::new(1);
        site.send(publisher, &[Packet::Publish(first), publish(2, "a", "2"), publish(3, "own", "own")]);
        site.send(publisher, &(4..30).map(|n| publish(n, "a", &n.to_string())).collect::<Vec<_>>());
        let (heir, _) = site.connect(stays("heir", Version::V5));
        site.send(heir, &[subscribe_as(id(), Some(9))]);
        site.received(heir);
        let seen = site.messages(gone);
        site.send(gone, &[puback(seen[1].packet_id.unwrap().get())]);
        site.pass(5_000);
        site.cut(gone);
        let mut inherited = site.messages(heir);
        assert_eq!(inherited.iter().map(payload).collect::<Vec<_>>(), ["1", "4"], "{version:?}");
        let one = &inherited[0];
        assert!(!one.dup, "the first attempt to this client");
        assert_eq!(one.properties.subscription_identifiers().collect::<Vec<_>>(), [9]);
        assert_eq!(one.properties.u32(PropertyId::MessageExpiryInterval), Some(95));
        let mut got = Vec::new();
        while !inherited.is_empty() {
            got.extend(inherited.iter().map(payload));
            let acks: Vec<_> = inherited.iter().map(|m| puback(m.packet_id.unwrap().get())).collect();
            site.send(heir, &acks);
            inherited = site.messages(heir);
        }
        let expected: Vec<_> = [1].into_iter().chain(4..30).map(|n| n.to_string()).collect();
        assert_eq!(got, expected, "in order, and not its own subscription's");
    }
}

#[test]
fn what_a_member_refuses_goes_to_nobody_else() {
    let mut site = site();
    let refuses = subscribed(&mut site, connect("refuses", Version::V5), &[A]);
    let publisher = site.client("pub", Version::V5);
    site.send(publisher, &[publish(1, "a", "1")]);
    let heir = subscribed(&mut site, stays("heir", Version::V5), &[A]);
    let id = site.messages(refuses)[0].packet_id.unwrap();
    site.send(refuses, &[Packet::PubAck(Ack::new(id, ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR))]);
    site.cut(refuses);
    assert_eq!(site.payloads(heir), [""; 0], "[MQTT-4.8.2-6]");
}

/// What was sent may have arrived, so it waits for the client; what was not goes on.
#[test]
fn what_waits_for_an_absent_member_goes_to_those_that_are_there() {
    let mut config = Config::default();
    config.max_in_flight = 1;
    let mut site = Site::new(config);
    let goes = subscribed(&mut site, stays("goes", Version::V5), &[A, "own"]);
    let publisher = site.client("pub", Version::V5);
    site.send(
        publisher,
        &[
            publish(1, "a", "1"),
            publish(2, "own", "own"),
            publish(3, "a", "3"),
            publish(4, "a", "4"),
            qos0("a", "5"),
        ],
    );
    let stays_here = subscribed(&mut site, stays("stays", Version::V5), &[A]);
    site.cut(goes);
    assert_eq!(ack_all(&mut site, stays_here), ["3"]);
    assert_eq!(ack_all(&mut site, stays_here), ["4", "5"]);
    let back = site.client("goes", Version::V5);
    let seen = site.messages(back);
    assert_eq!((payload(&seen[0]), seen[0].dup), ("1".into(), true));
    site.send(back, &[puback(seen[0].packet_id.unwrap().get())]);
    assert_eq!(site.payloads(back), ["own"]);
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

/// May receive what begins with its user name, or everything without one.
struct Own;

impl Authorize for Own {
    fn may_publish(&mut self, _: ClientRef<'_>, _: &str) -> bool {
        true
    }

    fn may_receive(&mut self, client: ClientRef<'_>, topic: &str) -> bool {
        client.user.is_none_or(|user| topic.starts_with(user))
    }
}

/// Promise 12: the rights count for the topic of the message, whatever the group is called.
#[test]
fn a_member_without_the_right_is_passed_over_and_leaves_what_it_may_not_have() {
    let mut site = site();
    site.listener.set_access(site.now, Access::of(AllowAnonymous).with_rights(Own));
    let user = |name: &str| Connect { username: Some(text(name)), ..stays(name, Version::V5) };
    let b = subscribed(&mut site, user("b"), &["$share/a/#"]);
    let publisher = site.client("pub", Version::V5);
    site.send(publisher, &[publish(1, "a", "nobody's")]);
    let a = subscribed(&mut site, user("a"), &["$share/a/#"]);
    site.send(publisher, &[publish(2, "a", "2"), publish(3, "a", "3"), publish(4, "b", "4")]);
    assert_eq!(all(&mut site, &[a, b]), [vec!["2".to_owned(), "3".into()], vec!["4".into()]]);
    site.listener.set_access(site.now, Access::of(AllowAnonymous));
    site.cut(a);
    site.cut(b);
    site.send(publisher, &(5..9).map(|n| publish(n, "a", &n.to_string())).collect::<Vec<_>>());
    site.listener.set_access(site.now, Access::of(AllowAnonymous).with_rights(Own));
    let (a, b) = (site.connect(user("a")).0, site.connect(user("b")).0);
    let mut got = ack_all(&mut site, a);
    got.sort();
    assert_eq!(got, ["2", "3", "5", "6", "7", "8"], "also those that waited for the other");
    assert_eq!(site.payloads(b), ["4"]);
    assert_eq!(site.listener.stats().dropped_denied, 0);
}

/// Promise 10: a command to a group is settled by the member that gets it in the end, once.
#[test]
fn a_command_is_settled_by_whoever_has_it_in_the_end() {
    let mut site = site();
    let goes = subscribed(&mut site, connect("goes", Version::V5), &[A]);
    site.publish(&message("a", "1"));
    let heir = subscribed(&mut site, connect("heir", Version::V5), &[A]);
    site.publish(&message("a", "2"));
    site.cut(goes);
    assert!(site.settled.is_empty(), "handed over, not dropped");
    assert_eq!(ack_all(&mut site, heir), ["2", "1"]);
    let settled: Vec<_> = site.settled.iter().map(|of| (of.delivered, of.dropped)).collect();
    assert_eq!(settled, [(1, 0), (1, 0)]);
    site.publish(&message("a", "3"));
    site.cut(heir);
    assert_eq!((site.settled[2].delivered, site.settled[2].dropped), (0, 1), "nobody is left");
}

#[test]
fn a_message_that_expired_is_not_handed_over() {
    let mut site = site();
    let goes = subscribed(&mut site, connect("goes", Version::V5), &[A]);
    let heir = subscribed(&mut site, connect("heir", Version::V5), &[A]);
    let publisher = site.client("pub", Version::V5);
    let packet_id = PacketId::new(1);
    site.send(publisher, &[Packet::Publish(Publish { packet_id, ..expiring("a", "1", 10) })]);
    site.pass(10_000);
    site.cut(goes);
    assert_eq!(site.payloads(heir), [""; 0]);
}

/// Promise 1.
#[test]
fn a_group_and_what_waits_for_its_members_outlive_a_restart() {
    let mut site = at_noon();
    let expiry = |seconds| properties(&[(PropertyId::SessionExpiryInterval, Value::U32(seconds))]);
    let short = Connect { properties: expiry(100), ..stays("short", Version::V5) };
    let (short, _) = site.connect(short);
    site.send(short, &[subscribe(&[A, "own"])]);
    let publisher = site.client("pub", Version::V5);
    site.send(publisher, &[publish(1, "a", "sent"), publish(2, "own", "own")]);
    site.cut(short);
    site.send(publisher, &[publish(3, "a", "waits")]);
    let long = subscribed(&mut site, stays("long", Version::V311), &[A]);
    site.cut(long);
    let (mut next, restored) = restarted(&site, Config::default(), 1_000);
    assert_eq!((restored.sessions, restored.waiting, restored.damage), (3, 3, None));
    let long = next.client("long", Version::V311);
    let publisher = next.client("pub", Version::V5);
    next.send(publisher, &[publish(1, "a", "new")]);
    assert_eq!(ack_all(&mut next, long), ["new"]);
    next.pass(99_000);
    assert_eq!(ack_all(&mut next, long), ["sent", "waits"], "the other's session has ended");
    // It ends while there is no listener.
    let (mut next, restored) = restarted(&site, Config::default(), 200_000);
    assert_eq!(restored.expired, 1);
    let long = next.client("long", Version::V311);
    assert_eq!(ack_all(&mut next, long), ["sent", "waits"]);
}
