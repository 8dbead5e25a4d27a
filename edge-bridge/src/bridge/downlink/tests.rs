use super::super::topic_rules::Rule;
use super::*;

fn downlink() -> Downlink {
    Downlink::new(Rules::new(vec![Rule::parse("# in 1 cmd/ hub/site7/cmd/").unwrap()]))
}

#[test]
fn a_resumed_session_is_not_asked_again() {
    let mut downlink = downlink();
    let filters = downlink.on_connected(0, false, Version::V5);
    assert_eq!(filters.len(), 1);
    downlink.on_asked(PacketId::MIN, &filters);
    assert!(downlink.missing(0).is_empty());
    assert!(downlink.on_suback(0, PacketId::MIN, &[ReasonCode::GRANTED_QOS_1]).is_empty());
    assert!(downlink.on_connected(0, true, Version::V5).is_empty());
    assert_eq!(downlink.on_connected(0, false, Version::V5).len(), 1);
}

/// A bridge between two brokers must not get its own messages back, whoever asked for the filter first.
#[test]
fn other_options_of_a_filter_are_asked_for() {
    let mut downlink = Downlink::default();
    let filter = Utf8::from_static("x/#");
    let wanted = subscription(filter.clone(), QoS::AtLeastOnce);
    downlink.want(wanted.clone());
    downlink.on_asked(PacketId::MIN, &downlink.missing(0));
    assert!(downlink.on_suback(0, PacketId::MIN, &[ReasonCode::GRANTED_QOS_1]).is_empty());
    let other =
        Subscription { no_local: true, retain_as_published: true, qos: QoS::AtMostOnce, ..wanted.clone() };
    for again in [other.clone(), other.clone()] {
        downlink.want(again);
        assert_eq!(downlink.missing(0), [Subscription { qos: QoS::AtLeastOnce, ..other.clone() }]);
    }
    downlink.on_asked(PacketId::MIN, &downlink.missing(0));
    downlink.on_suback(0, PacketId::MIN, &[ReasonCode::GRANTED_QOS_1]);
    downlink.want(other);
    assert!(downlink.missing(0).is_empty(), "granted as it is wanted");
}

#[test]
fn a_filter_that_was_given_up_and_wanted_again_is_asked_for_again() {
    let mut downlink = downlink();
    let filter = Utf8::try_from("x/#").unwrap();
    downlink.on_connected(0, false, Version::V5);
    downlink.want(subscription(filter.clone(), QoS::AtLeastOnce));
    let filters = downlink.missing(0);
    downlink.on_asked(PacketId::MIN, &filters);
    downlink.unwant(&filter);
    assert_eq!(downlink.unsubscribes.take(), std::slice::from_ref(&filter));
    downlink.want(subscription(filter.clone(), QoS::AtLeastOnce));
    let asked_again = downlink.missing(0);
    assert_eq!(asked_again.iter().map(|s| &s.filter).collect::<Vec<_>>(), [&filter]);
    // The SUBACK of the first request is older than the UNSUBSCRIBE, and says nothing.
    let reasons = vec![ReasonCode::GRANTED_QOS_1; filters.len()];
    assert!(downlink.on_suback(0, PacketId::MIN, &reasons).is_empty());
    assert_eq!(downlink.missing(0).len(), 1);
    // Given up and wanted again before anything could be sent: no UNSUBSCRIBE behind the SUBSCRIBE.
    downlink.unwant(&filter);
    downlink.want(subscription(filter, QoS::AtLeastOnce));
    assert!(downlink.unsubscribes.take().is_empty());
    // A rule's filter stays.
    downlink.unwant(&Utf8::try_from("hub/site7/cmd/#").unwrap());
    assert!(downlink.unsubscribes.take().is_empty());
}

/// A SUBSCRIBE to what is subscribed to already misses nothing, and brings what the hub retains if it says so.
#[test]
fn a_filter_that_is_renewed_is_asked_for_with_what_is_retained() {
    let mut downlink = downlink();
    let (own, rules) = (Utf8::try_from("x/#").unwrap(), Utf8::try_from("hub/site7/cmd/#").unwrap());
    downlink.want(subscription(own.clone(), QoS::AtLeastOnce));
    let filters = downlink.on_connected(0, false, Version::V5);
    assert!(filters.iter().all(|s| s.retain_handling == RetainHandling::SendIfNew));
    downlink.on_asked(PacketId::MIN, &filters);
    downlink.on_suback(0, PacketId::MIN, &[ReasonCode::GRANTED_QOS_1; 2]);
    downlink.renew(&own);
    downlink.renew(&rules);
    let asked: Vec<_> = downlink.missing(0).into_iter().map(|s| (s.filter, s.retain_handling)).collect();
    assert_eq!(asked, [(own, RetainHandling::Send)]);
    assert!(downlink.unsubscribes.take().is_empty());
}

#[test]
fn an_application_gets_a_rules_filter_at_its_own_qos() {
    for rule_is_granted in [true, false] {
        let mut downlink = Downlink::new(Rules::new(vec![Rule::parse("cmd/# in 0").unwrap()]));
        let filters = downlink.on_connected(0, false, Version::V5);
        assert_eq!(filters[0].qos, QoS::AtMostOnce);
        downlink.on_asked(PacketId::MIN, &filters);
        if rule_is_granted {
            downlink.on_suback(0, PacketId::MIN, &[ReasonCode::GRANTED_QOS_0]);
        }
        downlink.want(subscription(filters[0].filter.clone(), QoS::AtLeastOnce));
        // An answer to the first request is none to the second.
        downlink.on_suback(0, PacketId::MIN, &[ReasonCode::GRANTED_QOS_0]);
        let raised = downlink.missing(0);
        assert_eq!(raised.iter().map(|s| s.qos).collect::<Vec<_>>(), [QoS::AtLeastOnce]);
        let id = PacketId::new(2).unwrap();
        downlink.on_asked(id, &raised);
        downlink.on_suback(0, id, &[ReasonCode::GRANTED_QOS_1]);
        downlink.want(subscription(filters[0].filter.clone(), QoS::AtMostOnce));
        assert!(downlink.missing(0).is_empty(), "never lowered");
    }
}

#[test]
fn each_filter_is_wanted_and_given_up_by_itself() {
    let mut downlink = Downlink::default();
    let [a, b] = ["a", "b"].map(Utf8::from_static);
    assert!(!downlink.listens());
    downlink.want(subscription(a.clone(), QoS::AtLeastOnce));
    downlink.want(subscription(b.clone(), QoS::AtLeastOnce));
    let filters = downlink.missing(0);
    downlink.on_asked(PacketId::MIN, &filters);
    downlink.on_suback(0, PacketId::MIN, &[ReasonCode::GRANTED_QOS_1; 2]);
    downlink.want(subscription(a.clone(), QoS::AtMostOnce));
    assert!(downlink.missing(0).is_empty(), "what is granted is more");
    downlink.unwant(&a);
    assert!(downlink.listens() && downlink.missing(0).is_empty(), "b stays as it is");
    let unwanted = downlink.unsubscribes.take();
    assert_eq!(unwanted, std::slice::from_ref(&a));
    downlink.unsubscribes.put_back(&unwanted);
    assert_eq!(downlink.unsubscribes.take(), [a]);
    downlink.unwant(&b);
    assert!(!downlink.listens());
}

#[test]
fn a_rule_names_the_topic_and_bounds_the_qos() {
    let rules = vec![Rule::parse("# in 0 cmd/ hub/cmd/").unwrap()];
    let downlink = Downlink::new(Rules::new(rules));
    let publish = |topic: &'static str| Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: Utf8::from_static(topic),
        packet_id: None,
        properties: crate::wire::Properties::default(),
        payload: bytes::Bytes::new(),
    };
    let local = downlink.local(publish("hub/cmd/open"));
    assert_eq!((local.topic.as_str(), local.qos), ("cmd/open", QoS::AtMostOnce));
    let own = downlink.local(publish("other"));
    assert_eq!((own.topic.as_str(), own.qos), ("other", QoS::AtLeastOnce));
}

#[test]
fn a_refused_filter_is_said_and_asked_for_again() {
    let mut downlink = downlink();
    let filters = downlink.on_connected(0, false, Version::V5);
    downlink.on_asked(PacketId::MIN, &filters);
    let refused = downlink.on_suback(0, PacketId::MIN, &[ReasonCode::NOT_AUTHORIZED]);
    assert_eq!(refused[0].filter, "hub/site7/cmd/#");
    assert_eq!(downlink.on_connected(0, true, Version::V5).len(), 1);
}

#[test]
fn a_refused_filter_has_a_time_on_an_open_session() {
    let mut downlink = downlink();
    let filters = downlink.on_connected(0, false, Version::V5);
    downlink.on_asked(PacketId::MIN, &filters);
    downlink.on_suback(5_000, PacketId::MIN, &[ReasonCode::NOT_AUTHORIZED]);
    let rig = super::super::test_uplink::Rig::new(1, 1);
    let due_ms = downlink.next_deadline(&rig.session).unwrap();
    assert!((5_500..=6_000).contains(&due_ms), "{due_ms}");
    downlink.on_asked(PacketId::MIN, &filters);
    assert_eq!(downlink.next_deadline(&rig.session), None, "it was asked for");
}

/// A hub that took 3.1.1 alone was replaced by one of MQTT 5 that has the session.
#[test]
fn options_of_a_subscription_of_3_1_1_are_made_good_in_mqtt_5() {
    let (both, plain) = (Utf8::from_static("both/#"), Utf8::from_static("in/#"));
    let no_local = Subscription { no_local: true, ..subscription(both.clone(), QoS::AtLeastOnce) };
    let mut downlink = Downlink::default();
    downlink.want(no_local.clone());
    downlink.want(subscription(plain, QoS::AtLeastOnce));
    let grant = |downlink: &mut Downlink, resumed, version, asks: usize| {
        let filters = downlink.on_connected(0, resumed, version);
        let replaced = downlink.take_replaced(&filters);
        assert_eq!(filters.len(), asks, "{resumed} {version:?}");
        if !filters.is_empty() {
            downlink.on_asked(PacketId::MIN, &filters);
            downlink.on_suback(0, PacketId::MIN, &vec![ReasonCode::GRANTED_QOS_1; filters.len()]);
        }
        replaced
    };
    assert!(grant(&mut downlink, false, Version::V311, 2).is_empty());
    assert!(grant(&mut downlink, true, Version::V311, 0).is_empty());
    assert_eq!(grant(&mut downlink, true, Version::V5, 1), std::slice::from_ref(&both));
    assert!(grant(&mut downlink, true, Version::V5, 0).is_empty(), "once");
    // A new session has none that could be in the way.
    assert!(grant(&mut downlink, false, Version::V311, 2).is_empty());
    assert!(grant(&mut downlink, false, Version::V5, 2).is_empty());
}

/// A hub that shuts down closes with a SUBSCRIBE unanswered, too, and says nothing of its filters.
#[test]
fn only_a_close_that_can_be_about_a_filter_tells_it_as_refused() {
    for (reason, is_told) in [
        (ReasonCode::NOT_AUTHORIZED, true),
        (ReasonCode::TOPIC_FILTER_INVALID, true),
        (ReasonCode::UNSPECIFIED_ERROR, true),
        (ReasonCode::NO_REASON, true),
        (ReasonCode::SERVER_SHUTTING_DOWN, false),
        (ReasonCode::SERVER_BUSY, false),
        (ReasonCode::SESSION_TAKEN_OVER, false),
    ] {
        let (mut downlink, mut told) = (downlink(), 0);
        for _ in 0..4 {
            let filters = downlink.on_connected(0, false, Version::V5);
            downlink.on_asked(PacketId::MIN, &filters);
            told += downlink.on_hub_closed(0, reason).map_or(0, |refused| refused.len());
        }
        let count = usize::from(is_told);
        assert_eq!(
            (told, downlink.refused().len(), downlink.suspects().len()),
            (count, count, count),
            "{reason}"
        );
        assert!(downlink.suspects.next().is_some(), "it waits: messages go first");
    }
}
