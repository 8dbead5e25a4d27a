//! Fields of packets mean to the peers what they mean to us.

use bytes::{Bytes, BytesMut};
use edge_bridge::wire::*;
use mqttbytes::v5 as theirs;

use crate::wire_support::*;

/// Field by field against structs that the peer names, so that two fields swapped on both of our sides would show.
#[test]
fn the_fields_mean_there_what_they_mean_here() {
    fields_of_a_connect();
    fields_of_a_subscribe();
    fields_of_a_publish();
}

fn their_connect() -> theirs::Connect {
    let mut will = theirs::LastWill::new("will/topic", "gone", mqttbytes::QoS::ExactlyOnce, true);
    will.properties = Some(theirs::WillProperties {
        delay_interval: Some(11),
        payload_format_indicator: Some(1),
        message_expiry_interval: Some(12),
        content_type: Some("will/type".into()),
        response_topic: Some("will/answer".into()),
        correlation_data: Some(Bytes::from_static(b"wc")),
        user_properties: vec![("wn".into(), "wv".into())],
    });
    let mut connect = theirs::Connect::new("client");
    connect.keep_alive = 77;
    connect.clean_session = false;
    connect.last_will = Some(will);
    connect.set_login("user", "pass");
    connect.properties = Some(theirs::ConnectProperties {
        session_expiry_interval: Some(1),
        receive_maximum: Some(2),
        max_packet_size: Some(3),
        topic_alias_max: Some(4),
        request_response_info: Some(1),
        request_problem_info: Some(0),
        user_properties: vec![("n".into(), "v".into())],
        authentication_method: Some("method".into()),
        authentication_data: Some(Bytes::from_static(b"data")),
    });
    connect
}

fn fields_of_a_connect() {
    let mut out = BytesMut::new();
    their_connect().write(&mut out).unwrap();
    let got = decode_connect(&mut out, &Limits::default()).unwrap().unwrap();
    assert_eq!((got.version, got.clean_start, got.keep_alive_s), (Version::V5, false, 77));
    assert_eq!(
        (&got.client_id[..], got.username.as_deref(), got.password.as_deref()),
        ("client", Some("user"), Some(&b"pass"[..]))
    );
    let p = &got.properties;
    assert_eq!(
        (p.u32(PropertyId::SessionExpiryInterval), p.u16(PropertyId::ReceiveMaximum)),
        (Some(1), Some(2))
    );
    assert_eq!(
        (p.u32(PropertyId::MaximumPacketSize), p.u16(PropertyId::TopicAliasMaximum)),
        (Some(3), Some(4))
    );
    assert_eq!(
        (p.flag(PropertyId::RequestResponseInformation), p.flag(PropertyId::RequestProblemInformation)),
        (Some(true), Some(false))
    );
    assert_eq!((p.str(PropertyId::AuthenticationMethod), p.user_property("n")), (Some("method"), Some("v")));
    assert_eq!(p.binary(PropertyId::AuthenticationData).as_deref(), Some(&b"data"[..]));
    let will = got.will.unwrap();
    assert_eq!(
        (&will.topic[..], &will.payload[..], will.qos, will.retain),
        ("will/topic", &b"gone"[..], QoS::ExactlyOnce, true)
    );
    let p = &will.properties;
    assert_eq!(
        (p.u32(PropertyId::WillDelayInterval), p.u32(PropertyId::MessageExpiryInterval)),
        (Some(11), Some(12))
    );
    assert_eq!(
        (p.str(PropertyId::ContentType), p.str(PropertyId::ResponseTopic)),
        (Some("will/type"), Some("will/answer"))
    );
    assert_eq!(
        (p.binary(PropertyId::CorrelationData).as_deref(), p.user_property("wn")),
        (Some(&b"wc"[..]), Some("wv"))
    );
    assert!(out.is_empty());
}

fn fields_of_a_subscribe() {
    let mut out = BytesMut::new();
    let mut filter = theirs::SubscribeFilter::new("a/+".into(), mqttbytes::QoS::AtLeastOnce);
    filter.set_nolocal(true).set_retain_forward_rule(theirs::RetainForwardRule::Never);
    let mut subscribe = theirs::Subscribe::new_many([filter]);
    subscribe.pkid = 0x0102;
    subscribe.properties = Some(theirs::SubscribeProperties { id: Some(300), user_properties: vec![] });
    subscribe.write(&mut out).unwrap();
    let Ok(Some(Packet::Subscribe(got))) = decode(&mut out, Version::V5, &Limits::default()) else {
        panic!()
    };
    assert_eq!(
        (got.packet_id.get(), got.properties.u32(PropertyId::SubscriptionIdentifier)),
        (0x0102, Some(300))
    );
    let wanted = Subscription {
        no_local: true,
        retain_handling: RetainHandling::DoNotSend,
        ..Subscription::new(utf8("a/+"), QoS::AtLeastOnce)
    };
    assert_eq!(got.filters, [wanted]);
    assert!(out.is_empty());
}

fn fields_of_a_publish() {
    let mut out = BytesMut::new();
    let mut publish = theirs::Publish::new("t/1", mqttbytes::QoS::AtLeastOnce, "payload");
    (publish.pkid, publish.retain, publish.dup) = (0x0304, true, false);
    publish.properties = Some(theirs::PublishProperties {
        payload_format_indicator: Some(0),
        message_expiry_interval: Some(5),
        topic_alias: Some(6),
        response_topic: Some("answer".into()),
        correlation_data: Some(Bytes::from_static(b"c")),
        user_properties: vec![("n".into(), "v".into())],
        subscription_identifiers: vec![7],
        content_type: Some("type".into()),
    });
    publish.write(&mut out).unwrap();
    let Ok(Some(Packet::Publish(got))) = decode(&mut out, Version::V5, &Limits::default()) else { panic!() };
    assert_eq!((&got.topic[..], got.qos, got.retain, got.dup), ("t/1", QoS::AtLeastOnce, true, false));
    assert_eq!((got.packet_id, &got.payload[..]), (PacketId::new(0x0304), &b"payload"[..]));
    let p = &got.properties;
    assert_eq!(
        (p.flag(PropertyId::PayloadFormatIndicator), p.u32(PropertyId::MessageExpiryInterval)),
        (Some(false), Some(5))
    );
    assert_eq!((p.u16(PropertyId::TopicAlias), p.str(PropertyId::ResponseTopic)), (Some(6), Some("answer")));
    assert_eq!(
        (p.u32(PropertyId::SubscriptionIdentifier), p.str(PropertyId::ContentType)),
        (Some(7), Some("type"))
    );
    assert!(out.is_empty());
}
