//! Hand-over in a group (§4.8.2): what a member does not get or acknowledge goes to another one, once.

use edge_bridge::listener::{Access, AllowAnonymous, Authorize, ClientRef, Config};
use edge_bridge::wire::{
    Ack, Connect, Packet, PacketId, PropertyId, Publish, QoS, ReasonCode, Subscription, Value, Version,
};

use crate::listener_support::*;
use crate::saved::{at_noon, expiring, restarted};
use crate::shared::{A, ack_all, all, subscribed};
use crate::{BOTH, site};

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
        let mut properties = first.properties.to_builder();
        properties.user("key", "value").unwrap();
        first.properties = properties.finish();
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
        assert_eq!(one.properties.user_properties().count(), 1, "whatever version the first one spoke");
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

/// Promise 10: a command that one member has, and may have carried out, is for no other one. What only waited for it goes on.
#[test]
fn a_message_to_any_that_was_sent_to_a_member_is_for_no_other() {
    let mut config = Config::default();
    config.max_in_flight = 1;
    let mut site = Site::new(config);
    let gone = subscribed(&mut site, connect("gone", Version::V5), &[A]);
    for payload in ["sent", "waits"] {
        site.listener.publish_to_any(site.now, &message("a", payload));
    }
    site.outputs();
    assert_eq!(site.payloads(gone), ["sent"]);
    let heir = subscribed(&mut site, stays("heir", Version::V5), &[A]);
    site.cut(gone);
    assert_eq!(ack_all(&mut site, heir), ["waits"]);
    let ends: Vec<_> = site.settled.iter().map(|settled| (settled.delivered, settled.dropped)).collect();
    assert_eq!(ends, [(0, 1), (1, 0)]);
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

/// A message that was sent may have arrived, so it waits for the client; one that was not goes on.
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
