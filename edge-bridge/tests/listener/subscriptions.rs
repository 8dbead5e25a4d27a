//! Delivery to subscribers: which messages, and how they look there (§3.3, §3.8, §4.7).

use crate::listener_support::*;
use crate::saved::{at_noon, restarted};
use crate::site;
use edge_bridge::listener::{Config, Event};

use edge_bridge::wire::{
    Packet, PacketId, Properties, Publish, QoS, ReasonCode, RetainHandling, SubAck, Subscription,
    Unsubscribe, Version,
};

fn filter(filter: &str) -> Subscription {
    Subscription::new(text(filter), QoS::AtLeastOnce)
}

fn reasons(packets: &[Packet]) -> Vec<ReasonCode> {
    match packets.first() {
        Some(Packet::SubAck(SubAck { reasons, .. })) => reasons.clone(),
        other => panic!("no SUBACK but {other:?}"),
    }
}

#[test]
fn the_lower_qos_wins() {
    let mut site = site();
    let (peer, publisher) = (site.client("sub", Version::V5), site.client("pub", Version::V5));
    site.send(
        peer,
        &[subscribe_as(vec![filter("one"), Subscription { qos: QoS::AtMostOnce, ..filter("zero") }], None)],
    );
    site.send(publisher, &[publish(1, "one", "a"), publish(2, "zero", "b"), qos0("one", "c")]);
    let got: Vec<_> = site.messages(peer).iter().map(|p| (payload(p), p.qos as u8)).collect();
    assert_eq!(got, [("a".to_owned(), 1), ("b".to_owned(), 0), ("c".to_owned(), 0)]);
}

#[test]
fn qos_2_is_granted() {
    let mut site = site();
    let peer = site.client("sub", Version::V5);
    let two = Subscription { qos: QoS::ExactlyOnce, ..filter("a") };
    site.send(peer, &[subscribe_as(vec![two], None)]);
    let reasons = reasons(&site.received(peer));
    assert_eq!(reasons, [ReasonCode::GRANTED_QOS_2]);
}

#[test]
fn retain_handling_and_the_flag() {
    let mut site = site();
    let (peer, publisher) = (site.client("sub", Version::V5), site.client("pub", Version::V5));
    site.send(publisher, &[retained("a", "old")]);
    let handling =
        |retain_handling| subscribe_as(vec![Subscription { retain_handling, ..filter("a") }], None);
    let mut got = |handling_: RetainHandling| {
        site.send(peer, &[handling(handling_)]);
        site.messages(peer).iter().map(|p| (payload(p), p.retain)).collect::<Vec<_>>()
    };
    let old = vec![("old".to_owned(), true)];
    assert_eq!(got(RetainHandling::DoNotSend), []);
    assert_eq!(got(RetainHandling::SendIfNew), [], "the subscription exists");
    assert_eq!(got(RetainHandling::Send), old);
    assert_eq!(got(RetainHandling::Send), old);
}

#[test]
fn retain_as_published_and_subscription_identifiers() {
    let mut site = site();
    let (peer, publisher) = (site.client("sub", Version::V5), site.client("pub", Version::V5));
    let kept = Subscription { retain_as_published: true, ..filter("kept/#") };
    site.send(peer, &[subscribe_as(vec![kept], Some(7)), subscribe_as(vec![filter("+/x")], Some(9))]);
    site.send(publisher, &[retained("kept/x", "1"), retained("plain/x", "2"), qos0("kept/y", "3")]);
    let got: Vec<_> = site
        .messages(peer)
        .iter()
        .map(|p| (payload(p), p.retain, p.properties.subscription_identifiers().collect::<Vec<_>>()))
        .collect();
    let expected = [("1", true, vec![9, 7]), ("2", false, vec![9]), ("3", false, vec![7])];
    assert_eq!(got, expected.map(|(payload, retain, ids)| (payload.to_owned(), retain, ids)));
}

#[test]
fn no_local_spares_the_publisher() {
    let mut site = site();
    let (peer, other) = (site.client("sub", Version::V5), site.client("other", Version::V5));
    site.send(peer, &[subscribe_as(vec![Subscription { no_local: true, ..filter("a") }], None)]);
    site.send(peer, &[qos0("a", "mine")]);
    site.send(other, &[qos0("a", "theirs")]);
    assert_eq!(site.payloads(peer), ["theirs"]);
}

/// \[MQTT-3.8.3-3\] is for retained messages too: a bridge with `topic # both` would take its own, of yesterday, for news.
#[test]
fn no_local_spares_the_publisher_its_retained_messages() {
    let mut site = at_noon();
    let local = |filter: Subscription| Subscription { no_local: true, ..filter };
    let all = [subscribe_as(vec![local(filter("+"))], None)];
    let publishers = ["a", "b"].map(|name| (name, site.client(name, Version::V5)));
    for (name, peer) in publishers {
        let at_qos_1 = Publish { retain: true, packet_id: PacketId::new(1), ..message(name, name) };
        site.send(peer, &[Packet::Publish(at_qos_1), retained("both", name)]);
    }
    site.publish(&Publish { retain: true, ..message("of the program", "own") });
    let expected = [("a", vec!["b", "b", "own"]), ("b", vec!["a", "own"]), ("c", vec!["a", "b", "b", "own"])];
    for (name, expected) in &expected {
        let (peer, _) = site.connect(connect(name, Version::V5));
        site.send(peer, &all);
        assert_eq!(site.payloads(peer), *expected, "{name}, with another session");
    }
    // By another filter it comes, with that one's QoS.
    let (peer, _) = site.connect(connect("a", Version::V5));
    let lower = Subscription { qos: QoS::AtMostOnce, ..filter("#") };
    site.send(peer, &[subscribe_as(vec![local(filter("a")), lower], None)]);
    let of_a = site.messages(peer).into_iter().find(|message| payload(message) == "a");
    assert_eq!(of_a.map(|message| message.qos), Some(QoS::AtMostOnce));
    let (mut next, _) = restarted(&site, Config::default(), 1_000);
    for (name, expected) in &expected {
        let (peer, _) = next.connect(connect(name, Version::V5));
        next.send(peer, &all);
        assert_eq!(next.payloads(peer), *expected, "{name}, after a restart");
    }
}

#[test]
fn an_empty_retained_message_removes_and_is_still_delivered() {
    let mut site = site();
    let (peer, publisher) = (site.client("sub", Version::V311), site.client("pub", Version::V5));
    site.send(peer, &[subscribe(&["a"])]);
    site.send(publisher, &[retained("a", "on"), retained("a", "")]);
    assert_eq!(site.payloads(peer), ["on", ""]);
    let late = site.client("late", Version::V311);
    site.send(late, &[subscribe(&["#"])]);
    assert_eq!(site.payloads(late), [""; 0]);
    assert_eq!(site.listener.stats().retained, 0);
}

#[test]
fn retained_messages_are_bounded_and_delivered_all_the_same() {
    let mut config = Config::default();
    config.max_retained = 2;
    let mut site = Site::new(config);
    let (peer, publisher) = (site.client("sub", Version::V5), site.client("pub", Version::V5));
    site.send(peer, &[subscribe(&["#"])]);
    site.send(publisher, &[retained("a", "1"), retained("b", "2"), retained("c", "3")]);
    assert_eq!(site.payloads(peer), ["1", "2", "3"]);
    let stats = site.listener.stats();
    assert_eq!((stats.retained, stats.retain_refused), (2, 1));
}

#[test]
fn filters_of_a_client_are_bounded() {
    let mut config = Config::default();
    config.max_subscriptions = 2;
    let mut site = Site::new(config);
    for (version, refusal) in
        [(Version::V5, ReasonCode::QUOTA_EXCEEDED), (Version::V311, ReasonCode::UNSPECIFIED_ERROR)]
    {
        let peer = site.client(&format!("{version:?}"), version);
        site.send(peer, &[subscribe(&["a", "b", "c", "a"])]);
        let granted = ReasonCode::GRANTED_QOS_1;
        assert_eq!(reasons(&site.received(peer)), [granted, granted, refusal, granted]);
        site.send(peer, &[subscribe(&["b", "d", "e"])]);
    }
    let told = site.events.iter().filter_map(|event| match event {
        Event::Subscribed { refused, first_refused: Some((filter, reason)), .. } => {
            Some((*refused, filter.as_str(), *reason))
        }
        _ => None,
    });
    let each = [(1, "c", ReasonCode::QUOTA_EXCEEDED), (2, "d", ReasonCode::QUOTA_EXCEEDED)];
    assert_eq!(told.collect::<Vec<_>>(), [each, each].concat());
    assert_eq!(site.listener.stats().filters_refused, 6);
}

#[test]
fn unsubscribed_is_silent() {
    let mut site = site();
    let (peer, publisher) = (site.client("sub", Version::V5), site.client("pub", Version::V5));
    site.send(peer, &[subscribe(&["a"])]);
    let unsubscribe = Unsubscribe {
        packet_id: PacketId::MIN,
        properties: Properties::default(),
        filters: vec![text("a"), text("never")],
    };
    site.send(peer, &[Packet::Unsubscribe(unsubscribe)]);
    site.send(publisher, &[qos0("a", "x")]);
    let packets = site.received(peer);
    let Some(Packet::UnsubAck(ack)) = packets.last() else { panic!("{packets:?}") };
    assert_eq!(ack.reasons, [ReasonCode::SUCCESS, ReasonCode::NO_SUBSCRIPTION_EXISTED]);
}

#[test]
fn wildcards_do_not_match_dollar_topics() {
    let mut site = site();
    let (peer, publisher) = (site.client("sub", Version::V5), site.client("pub", Version::V5));
    site.send(peer, &[subscribe(&["#", "+/x"])]);
    site.send(publisher, &[qos0("$SYS/x", "hidden"), qos0("a/x", "once")]);
    assert_eq!(site.payloads(peer), ["once"]);
}

#[test]
fn a_message_between_versions_keeps_what_the_receiver_knows() {
    let mut site = site();
    let (v5, v311) = (site.client("five", Version::V5), site.client("three", Version::V311));
    site.send(v5, &[subscribe(&["a"])]);
    site.send(v311, &[subscribe(&["a"])]);
    let publisher = site.client("pub", Version::V5);
    let mut properties = edge_bridge::wire::PropertiesBuilder::new();
    properties.user("unit", "bar").unwrap();
    let packet = Publish { qos: QoS::AtMostOnce, properties: properties.finish(), ..message("a", "x") };
    site.send(publisher, &[Packet::Publish(packet)]);
    assert_eq!(site.messages(v5)[0].properties.user_property("unit"), Some("bar"));
    assert!(site.messages(v311)[0].properties.is_empty());
}

/// Else each copy of the filter would be compared with all retained messages, and bring them: a thousand in a packet keep other clients waiting.
#[test]
fn a_filter_that_is_named_more_than_once_brings_what_is_retained_once() {
    let mut site = site();
    let (peer, publisher) = (site.client("sub", Version::V5), site.client("pub", Version::V5));
    site.send(publisher, &[retained("a/1", "old"), retained("b", "other")]);
    let first = Subscription { qos: QoS::AtMostOnce, ..filter("a/+") };
    site.send(peer, &[subscribe_as(vec![first, filter("b"), filter("a/+"), filter("a/+")], None)]);
    let mut got = site.received(peer);
    let SubAck { reasons, .. } = match got.remove(0) {
        Packet::SubAck(ack) => ack,
        other => panic!("no SUBACK but {other:?}"),
    };
    let (zero, one) = (ReasonCode::GRANTED_QOS_0, ReasonCode::GRANTED_QOS_1);
    assert_eq!(reasons, [zero, one, one, one]);
    let brought = |packet: &Packet| match packet {
        Packet::Publish(publish) => (publish.topic.to_string(), publish.retain),
        other => panic!("no PUBLISH but {other:?}"),
    };
    assert_eq!(
        got.iter().map(brought).collect::<Vec<_>>(),
        [("a/1".to_owned(), true), ("b".to_owned(), true)]
    );
}
