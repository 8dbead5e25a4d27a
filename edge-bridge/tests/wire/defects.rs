//! Differences between the peers and us, listed by name with the section that decides each; a packet proves that it is still there.

use bytes::Bytes;
use edge_bridge::wire::*;

use crate::peers::{PEERS, there_and_back, through_mqtt5_protocol};
use crate::random::Rng;
use crate::wire_support::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Defect {
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

pub(crate) fn mqtt5_protocol_defect(packet: &Packet) -> Option<Defect> {
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

pub(crate) fn mqttbytes_v5_defect(packet: &Packet) -> Option<Defect> {
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

pub(crate) fn mqttbytes_login_defect(packet: &Packet) -> Option<Defect> {
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

/// The list above must not outlive the defects, nor excuse more than it names.
#[test]
fn every_listed_defect_is_still_there() {
    let connect = |username: Option<&str>, password: &'static [u8]| {
        Packet::Connect(Box::new(Connect {
            is_bridge: false,
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

/// The other way around: bytes that a peer takes and we refuse, over mutated packets. Each kind of refusal must be one that we mean.
#[test]
fn what_the_peers_take_and_we_refuse_is_what_the_standard_forbids() {
    let mut laxer = std::collections::BTreeMap::<String, u32>::new();
    let mut random = Rng::new(seed());
    let all: Vec<Bytes> = samples(Version::V5).iter().map(|p| encoded(p, Version::V5)).collect();
    let cases = budget(1_000_000);
    for _ in 0..cases {
        let mut bytes = all[random.index(all.len())].to_vec();
        let at = random.index(bytes.len());
        bytes[at] = random.index(256) as u8;
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
