//! The codec against two published ones, mqtt5-protocol 0.16 and mqttbytes 0.6: our bytes are decoded there, encoded again there, and decoded
//! here, so that each packet crosses the border in both directions. One codec that reads the standard wrongly would agree with itself.
//!
//! Where they differ from us the difference is listed by name with the section that decides it, and a packet proves that it is still there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

mod wire_support;

use std::cell::Cell;

use bytes::{Buf, Bytes, BytesMut};
use edge_bridge::wire::*;
use mqtt5_protocol::packet::{FixedHeader, MqttPacket, Packet as Theirs};
use proptest::prelude::*;
use wire_support::*;

type Foreign = fn(&Bytes) -> Result<Bytes, String>;

/// Decodes with mqtt5-protocol and encodes again.
fn through_mqtt5_protocol(bytes: &Bytes, level: u8) -> Result<Bytes, String> {
    let mut buf = bytes.clone();
    let text = |e: mqtt5_protocol::MqttError| e.to_string();
    let header = FixedHeader::decode(&mut buf).map_err(text)?;
    if buf.remaining() != header.remaining_length as usize {
        return Err("its remaining length differs".into());
    }
    let packet =
        Theirs::decode_from_body_with_version(header.packet_type, &header, &mut buf, level).map_err(text)?;
    if buf.has_remaining() {
        return Err(format!("it left {} bytes", buf.remaining()));
    }
    let mut out = BytesMut::new();
    match &packet {
        Theirs::Connect(p) => p.encode(&mut out),
        Theirs::ConnAck(p) => p.encode(&mut out),
        Theirs::Publish(p) => p.encode(&mut out),
        Theirs::PubAck(p) => p.encode(&mut out),
        Theirs::PubRec(p) => p.encode(&mut out),
        Theirs::PubRel(p) => p.encode(&mut out),
        Theirs::PubComp(p) => p.encode(&mut out),
        Theirs::Subscribe(p) => p.encode(&mut out),
        Theirs::SubAck(p) => p.encode(&mut out),
        Theirs::Unsubscribe(p) => p.encode(&mut out),
        Theirs::UnsubAck(p) => p.encode(&mut out),
        Theirs::PingReq => mqtt5_protocol::packet::pingreq::PingReqPacket::default().encode(&mut out),
        Theirs::PingResp => mqtt5_protocol::packet::pingresp::PingRespPacket::default().encode(&mut out),
        Theirs::Disconnect(p) => p.encode(&mut out),
        Theirs::Auth(p) => p.encode(&mut out),
    }
    .map_err(text)?;
    Ok(out.freeze())
}

/// Decodes with mqttbytes' MQTT 5 module and encodes again.
fn through_mqttbytes_v5(bytes: &Bytes) -> Result<Bytes, String> {
    use mqttbytes::v5::{Packet as P, *};
    let mut buf = BytesMut::from(bytes.as_ref());
    let packet = read(&mut buf, usize::MAX).map_err(|e| format!("{e:?}"))?;
    let mut out = BytesMut::new();
    match &packet {
        P::Connect(p) => p.write(&mut out),
        P::ConnAck(p) => p.write(&mut out),
        P::Publish(p) => p.write(&mut out),
        P::PubAck(p) => p.write(&mut out),
        P::PubRec(p) => p.write(&mut out),
        P::PubRel(p) => p.write(&mut out),
        P::PubComp(p) => p.write(&mut out),
        P::Subscribe(p) => p.write(&mut out),
        P::SubAck(p) => p.write(&mut out),
        P::Unsubscribe(p) => p.write(&mut out),
        P::UnsubAck(p) => p.write(&mut out),
        P::PingReq => PingReq.write(&mut out),
        P::PingResp => PingResp.write(&mut out),
        P::Disconnect(p) => p.write(&mut out),
    }
    .map_err(|e| format!("{e:?}"))?;
    Ok(out.freeze())
}

/// Decodes with mqttbytes' MQTT 3.1.1 module and encodes again.
fn through_mqttbytes_v4(bytes: &Bytes) -> Result<Bytes, String> {
    use mqttbytes::v4::{Packet as P, *};
    let mut buf = BytesMut::from(bytes.as_ref());
    let packet = read(&mut buf, usize::MAX).map_err(|e| format!("{e:?}"))?;
    let mut out = BytesMut::new();
    match &packet {
        P::Connect(p) => p.write(&mut out),
        P::ConnAck(p) => p.write(&mut out),
        P::Publish(p) => p.write(&mut out),
        P::PubAck(p) => p.write(&mut out),
        P::PubRec(p) => p.write(&mut out),
        P::PubRel(p) => p.write(&mut out),
        P::PubComp(p) => p.write(&mut out),
        P::Subscribe(p) => p.write(&mut out),
        P::SubAck(p) => p.write(&mut out),
        P::Unsubscribe(p) => p.write(&mut out),
        P::UnsubAck(p) => p.write(&mut out),
        P::PingReq => PingReq.write(&mut out),
        P::PingResp => PingResp.write(&mut out),
        P::Disconnect => Disconnect.write(&mut out),
    }
    .map_err(|e| format!("{e:?}"))?;
    Ok(out.freeze())
}

/// The properties in the order of their numbers: theirs lose the order between kinds, which means nothing (§2.2.2.2); that of the user
/// properties is kept.
fn sorted(properties: &Properties) -> Properties {
    let mut all: Vec<_> = properties.iter().collect();
    all.sort_by_key(|p| p.id as u8);
    let mut builder = PropertiesBuilder::new();
    for property in all {
        builder.push(property.id, property.value).unwrap();
    }
    builder.finish()
}

fn normal(mut packet: Packet) -> Packet {
    let properties = match &mut packet {
        Packet::Connect(p) => {
            if let Some(will) = &mut p.will {
                will.properties = sorted(&will.properties);
            }
            &mut p.properties
        }
        Packet::ConnAck(p) => &mut p.properties,
        Packet::Publish(p) => &mut p.properties,
        Packet::PubAck(p) | Packet::PubRec(p) | Packet::PubRel(p) | Packet::PubComp(p) => &mut p.properties,
        Packet::Subscribe(p) => &mut p.properties,
        Packet::SubAck(p) => &mut p.properties,
        Packet::Unsubscribe(p) => &mut p.properties,
        Packet::UnsubAck(p) => &mut p.properties,
        Packet::Disconnect(p) => &mut p.properties,
        Packet::Auth(p) => &mut p.properties,
        Packet::PingReq | Packet::PingResp => return packet,
    };
    *properties = sorted(properties);
    packet
}

fn there_and_back(packet: &Packet, version: Version, foreign: Foreign) -> Result<(), String> {
    let bytes = encoded(packet, version);
    let back = std::panic::catch_unwind(|| foreign(&bytes)).map_err(|_| "panic".to_owned())??;
    match decoded(&back, version) {
        Ok(Some(got)) if normal(got.clone()) == normal(packet.clone()) => Ok(()),
        Ok(Some(got)) => Err(format!("became {got:?}")),
        Ok(None) => Err(format!("came back cut: {back:02x?}")),
        Err(e) => Err(format!("came back broken: {e}")),
    }
}

struct Peer {
    name: &'static str,
    version: Version,
    through: Foreign,
    /// Names the defect of the peer that a packet meets, if it meets one.
    defect: fn(&Packet) -> Option<Defect>,
}

const PEERS: [Peer; 4] = [
    Peer {
        name: "mqtt5-protocol 5.0",
        version: Version::V5,
        through: |b| through_mqtt5_protocol(b, 5),
        defect: mqtt5_protocol_defect,
    },
    Peer {
        name: "mqtt5-protocol 3.1.1",
        version: Version::V311,
        through: |b| through_mqtt5_protocol(b, 4),
        defect: |_| None,
    },
    Peer {
        name: "mqttbytes 5.0",
        version: Version::V5,
        through: through_mqttbytes_v5,
        defect: mqttbytes_v5_defect,
    },
    Peer {
        name: "mqttbytes 3.1.1",
        version: Version::V311,
        through: through_mqttbytes_v4,
        defect: mqttbytes_login_defect,
    },
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Defect {
    /// §3.1.2.9: "This version of the protocol allows the sending of a Password with no User Name". mqtt5-protocol refuses it.
    PasswordWithoutUserNameRefused,
    /// §2.4 lists 0x8c for DISCONNECT, §3.14.2.1 does not: the standard disagrees with itself. Both refuse it, we take it.
    DisconnectBadAuthenticationMethod,
    /// §3.15: mqttbytes has no AUTH.
    NoAuth,
    /// §3.1.3.6, 3.1.1 §3.1.3.5: a password is binary data. mqttbytes wants UTF-8.
    PasswordNotUtf8,
    /// §3.1.2.8, §3.1.2.9: an empty user name or password is there if its flag is set. mqttbytes drops it.
    EmptyLoginDropped,
    /// §3.14.2.1, §3.14.2.2.1: the reason and the property length of a DISCONNECT may be left out. mqttbytes refuses both short forms.
    ShortDisconnectRefused,
    /// §3.3.2.3.8: mqttbytes counts each subscription identifier one byte too long; with two of them a short property behind them is taken for
    /// payload.
    SubscriptionIdentifierMiscounted,
}

fn mqtt5_protocol_defect(packet: &Packet) -> Option<Defect> {
    match packet {
        Packet::Connect(p) if p.password.is_some() && p.username.is_none() => {
            Some(Defect::PasswordWithoutUserNameRefused)
        }
        Packet::Disconnect(p) if p.reason == ReasonCode::BAD_AUTHENTICATION_METHOD => {
            Some(Defect::DisconnectBadAuthenticationMethod)
        }
        _ => None,
    }
}

fn mqttbytes_v5_defect(packet: &Packet) -> Option<Defect> {
    match packet {
        Packet::Auth(_) => Some(Defect::NoAuth),
        Packet::Disconnect(p) if p.properties.is_empty() => Some(Defect::ShortDisconnectRefused),
        Packet::Disconnect(p) if p.reason == ReasonCode::BAD_AUTHENTICATION_METHOD => {
            Some(Defect::DisconnectBadAuthenticationMethod)
        }
        Packet::Publish(p) if p.properties.subscription_identifiers().count() > 1 => {
            Some(Defect::SubscriptionIdentifierMiscounted)
        }
        _ => mqttbytes_login_defect(packet),
    }
}

fn mqttbytes_login_defect(packet: &Packet) -> Option<Defect> {
    let Packet::Connect(p) = packet else { return None };
    if p.password.as_ref().is_some_and(|p| std::str::from_utf8(p).is_err()) {
        Some(Defect::PasswordNotUtf8)
    } else if p.password.as_ref().is_some_and(Bytes::is_empty)
        || p.username.as_ref().is_some_and(|u| u.is_empty())
    {
        Some(Defect::EmptyLoginDropped)
    } else {
        None
    }
}

#[test]
fn every_packet_crosses_to_the_peer_and_back() {
    for peer in &PEERS {
        let beside = Cell::new(0);
        run(&format!("wire differential {}", peer.name), 20_000, &packet(peer.version), |packet| {
            // mqttbytes prints a line for each of these.
            if matches!(&packet, Packet::Unsubscribe(p) if p.packet_id.get() % 16 != 0)
                && peer.name == "mqttbytes 5.0"
            {
                return Ok(());
            }
            match ((peer.defect)(&packet), there_and_back(&packet, peer.version, peer.through)) {
                (None, Err(what)) => prop_assert!(false, "{packet:?} {what}"),
                (None, Ok(())) => {}
                (Some(_), _) => beside.set(beside.get() + 1),
            }
            Ok(())
        });
        println!("  of which {} meet a known defect of {}", beside.get(), peer.name);
    }
}

/// The list above must not outlive the defects, nor excuse more than it names.
#[test]
fn every_listed_defect_is_still_there() {
    let connect = |username: Option<&str>, password: &'static [u8]| {
        Packet::Connect(Box::new(Connect {
            version: Version::V5,
            clean_start: true,
            keep_alive_s: 9,
            client_id: utf8("c"),
            will: None,
            username: username.map(utf8),
            password: Some(Bytes::from_static(password)),
            properties: Properties::default(),
        }))
    };
    let mut two_ids = PropertiesBuilder::new();
    two_ids.push(PropertyId::SubscriptionIdentifier, Value::Varint(1)).unwrap();
    two_ids.push(PropertyId::SubscriptionIdentifier, Value::Varint(2)).unwrap();
    two_ids.push(PropertyId::PayloadFormatIndicator, Value::Byte(1)).unwrap();
    let publish = Packet::Publish(Publish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic: utf8("t"),
        packet_id: None,
        properties: two_ids.finish(),
        payload: Bytes::from_static(b"x"),
    });
    let mut reason = PropertiesBuilder::new();
    reason.user("a", "b").unwrap();
    let bad_method = Packet::Disconnect(Disconnect {
        reason: ReasonCode::BAD_AUTHENTICATION_METHOD,
        properties: reason.finish(),
    });
    let auth = Packet::Auth(Auth { reason: ReasonCode::SUCCESS, properties: Properties::default() });
    let busy = Packet::Disconnect(Disconnect::new(ReasonCode::SERVER_BUSY));
    let [mqtt5, _, mqttbytes, _] = &PEERS;
    for (peer, packet, defect) in [
        (mqtt5, connect(None, b"p"), Defect::PasswordWithoutUserNameRefused),
        (mqtt5, bad_method.clone(), Defect::DisconnectBadAuthenticationMethod),
        (mqttbytes, bad_method, Defect::DisconnectBadAuthenticationMethod),
        (mqttbytes, auth, Defect::NoAuth),
        (mqttbytes, connect(Some("u"), b"\xff"), Defect::PasswordNotUtf8),
        (mqttbytes, connect(Some("u"), b""), Defect::EmptyLoginDropped),
        (mqttbytes, busy, Defect::ShortDisconnectRefused),
        (mqttbytes, publish, Defect::SubscriptionIdentifierMiscounted),
    ] {
        assert_eq!((peer.defect)(&packet), Some(defect));
        let outcome = there_and_back(&packet, peer.version, peer.through);
        assert!(outcome.is_err(), "{} no longer has {defect:?}", peer.name);
    }
}

/// The other way around: bytes that a peer takes and we refuse, over mutated packets. Each kind of refusal must be one that we mean.
#[test]
fn what_the_peers_take_and_we_refuse_is_what_the_standard_forbids() {
    let mut laxer = std::collections::BTreeMap::<String, u32>::new();
    let mut state = seed() | 1;
    let mut below = |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % n
    };
    let all: Vec<Bytes> = samples(Version::V5).iter().map(|p| encoded(p, Version::V5)).collect();
    let cases = budget(1_000_000);
    for _ in 0..cases {
        let mut bytes = all[below(all.len())].to_vec();
        let at = below(bytes.len());
        bytes[at] = below(256) as u8;
        let bytes = Bytes::from(bytes);
        let Err(error) = decoded(&bytes, Version::V5) else { continue };
        let taken = std::panic::catch_unwind(|| through_mqtt5_protocol(&bytes, 5)).is_ok_and(|r| r.is_ok());
        if taken {
            let kind = format!("{:?}", error.kind);
            *laxer.entry(kind.chars().take_while(|c| c.is_alphanumeric()).collect()).or_default() += 1;
        }
    }
    println!("executed wire laxer peer: {cases} cases");
    println!("  taken there, refused here: {laxer:?}");
    for kind in laxer.keys() {
        assert!(MEANT.iter().any(|(known, _)| known == kind), "{kind} is refused here only: {laxer:?}");
    }
}

/// Refusals of ours that mqtt5-protocol does not share, with the section that decides.
const MEANT: &[(&str, &str)] = &[
    ("NoAuthenticationMethod", "§3.1.2.11.10, §3.15.2.2.2"),
    ("NoLocalOnShared", "[MQTT-3.8.3-4]"),
    ("NoTopic", "§3.3.2.3.4"),
    ("PacketIdZero", "[MQTT-2.2.1-3]"),
    ("PropertyNotAllowed", "§2.2.2.2"),
    ("PropertyValue", "the value's own section, such as §3.1.2.11.3"),
    ("Reason", "the packet's own table, such as §3.14.2.1"),
    ("SessionPresentWithRefusal", "[MQTT-3.2.2-6]"),
    ("TopicFilter", "§4.7.1, §4.8.2"),
    ("TopicName", "[MQTT-3.3.2-2]"),
    ("VarintNotMinimal", "[MQTT-1.5.5-1]"),
];

/// Field by field against structs that the peer names, so that two fields swapped on both of our sides would show.
#[test]
fn the_fields_mean_there_what_they_mean_here() {
    use mqttbytes::v5 as theirs;
    let mut out = BytesMut::new();
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
    connect.write(&mut out).unwrap();
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
