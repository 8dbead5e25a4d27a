//! Packets to test with: strategies for every packet in both versions, and fixed samples.
//!
//! The property table here is written down a second time, from §2.2.2.2, so that the tests do not believe the table that they test.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

pub mod any_bytes;

use bytes::{Bytes, BytesMut};
use edge_bridge::wire::*;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

/// Number, type, packets ("w" is the will), of every property.
pub const PROPERTIES: &[(u32, char, &[char])] = &[
    (1, 'f', &['P', 'w']),
    (2, '4', &['P', 'w']),
    (3, 's', &['P', 'w']),
    (8, 't', &['P', 'w']),
    (9, 'b', &['P', 'w']),
    (11, 'v', &['P', 'S']),
    (17, '4', &['C', 'c', 'D']),
    (18, 's', &['c']),
    (19, '2', &['c']),
    (21, 's', &['C', 'c', 'A']),
    (22, 'b', &['C', 'c', 'A']),
    (23, 'f', &['C']),
    (24, '4', &['w']),
    (25, 'f', &['C']),
    (26, 's', &['c']),
    (28, 's', &['c', 'D']),
    (31, 's', &['c', '4', '5', '6', '7', 's', 'u', 'D', 'A']),
    (33, '2', &['C', 'c']),
    (34, '2', &['C', 'c']),
    (35, '2', &['P']),
    (36, 'f', &['c']),
    (37, 'f', &['c']),
    (38, 'p', &['C', 'c', 'P', 'w', '4', '5', '6', '7', 'S', 's', 'U', 'u', 'D', 'A']),
    (39, '4', &['C', 'c']),
    (40, 'f', &['c']),
    (41, 'f', &['c']),
    (42, 'f', &['c']),
];

/// The place letter of each packet in [`PROPERTIES`].
pub const PLACES: &[(PacketType, char)] = &[
    (PacketType::Connect, 'C'),
    (PacketType::ConnAck, 'c'),
    (PacketType::Publish, 'P'),
    (PacketType::PubAck, '4'),
    (PacketType::PubRec, '5'),
    (PacketType::PubRel, '6'),
    (PacketType::PubComp, '7'),
    (PacketType::Subscribe, 'S'),
    (PacketType::SubAck, 's'),
    (PacketType::Unsubscribe, 'U'),
    (PacketType::UnsubAck, 'u'),
    (PacketType::Disconnect, 'D'),
    (PacketType::Auth, 'A'),
];

pub const BOTH: [Version; 2] = [Version::V311, Version::V5];

/// A percentage of a full budget, at least one case.
pub fn budget(full: u32) -> u32 {
    let percent: u32 = std::env::var("EDGE_TEST_BUDGET").ok().and_then(|v| v.parse().ok()).unwrap_or(10);
    (full * percent.clamp(1, 100) / 100).max(1)
}

/// The seed of every loop.
pub fn seed() -> u64 {
    std::env::var("EDGE_SEED").ok().and_then(|v| v.parse().ok()).unwrap_or(0x0005_eed0_f311)
}

/// Runs a property over `full` cases of the full budget and says how many were run.
pub fn run<S: Strategy>(
    name: &str,
    full: u32,
    strategy: &S,
    test: impl Fn(S::Value) -> Result<(), TestCaseError>,
) {
    let cases = budget(full);
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&seed().to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, rng).run(strategy, test).unwrap_or_else(|e| panic!("{name}: {e}"));
    println!("executed {name}: {cases} cases");
}

pub fn encoded(packet: &Packet, version: Version) -> Bytes {
    let mut out = BytesMut::new();
    encode(packet, version, &mut out).unwrap_or_else(|e| panic!("{e}: {packet:?}"));
    assert_eq!(out.len(), encoded_len(packet, version).unwrap());
    out.freeze()
}

pub fn decoded(bytes: &[u8], version: Version) -> Result<Option<Packet>, DecodeError> {
    decode(&mut BytesMut::from(bytes), version, &Limits::FORMAT)
}

pub fn utf8(text: &str) -> Utf8 {
    Utf8::try_from(text).unwrap()
}

fn text() -> impl Strategy<Value = String> {
    let chars = prop::sample::select(vec![
        'a', 'Z', '0', ' ', '/', '$', 'ä', '€', '😀', '\u{feff}', '\u{1}', '\u{ffff}',
    ]);
    prop::collection::vec(chars, 0..12).prop_map(String::from_iter)
}

fn topic() -> impl Strategy<Value = String> {
    text().prop_map(|t| format!("t{t}"))
}

fn filter(version: Version) -> BoxedStrategy<String> {
    let shared = if version == Version::V5 { "$share/g/a/+" } else { "a/+/b" };
    prop_oneof![topic(), Just("#".to_owned()), Just("+/a/#".to_owned()), Just(shared.to_owned())].boxed()
}

fn binary() -> impl Strategy<Value = Bytes> {
    prop_oneof![4 => 0..20usize, 1 => 100..300usize]
        .prop_flat_map(|n| prop::collection::vec(any::<u8>(), n))
        .prop_map(Bytes::from)
}

/// One property as pushed.
#[derive(Debug, Clone)]
pub enum Raw {
    Flag(bool),
    U16(u16),
    U32(u32),
    Varint(u32),
    Text(String),
    Binary(Bytes),
    Pair(String, String),
}

impl Raw {
    pub fn value(&self) -> Value<'_> {
        match self {
            Self::Flag(v) => Value::Byte(u8::from(*v)),
            Self::U16(v) => Value::U16(*v),
            Self::U32(v) => Value::U32(*v),
            Self::Varint(v) => Value::Varint(*v),
            Self::Text(v) => Value::Utf8(v),
            Self::Binary(v) => Value::Binary(v),
            Self::Pair(n, v) => Value::Pair(n, v),
        }
    }
}

pub fn raw(kind: char) -> BoxedStrategy<Raw> {
    match kind {
        'f' => any::<bool>().prop_map(Raw::Flag).boxed(),
        '2' => (1..=u16::MAX).prop_map(Raw::U16).boxed(),
        '4' => (1..=u32::MAX).prop_map(Raw::U32).boxed(),
        'v' => (1..=REMAINING_LENGTH_MAX).prop_map(Raw::Varint).boxed(),
        's' => text().prop_map(Raw::Text).boxed(),
        't' => topic().prop_map(Raw::Text).boxed(),
        'b' => binary().prop_map(Raw::Binary).boxed(),
        _ => (text(), text()).prop_map(|(n, v)| Raw::Pair(n, v)).boxed(),
    }
}

/// Any properties that may stand at `place`; with the authentication method whenever the data is there, and always in AUTH.
pub fn properties(place: char, version: Version) -> BoxedStrategy<Properties> {
    if version == Version::V311 {
        return Just(Properties::default()).boxed();
    }
    let here: Vec<_> = PROPERTIES.iter().filter(|(_, _, places)| places.contains(&place)).collect();
    let each = here.iter().map(|(id, kind, _)| {
        let id = *id;
        let most = if id == 38 || (id == 11 && place == 'P') { 3 } else { 1 };
        prop::collection::vec(raw(*kind), 0..=most).prop_map(move |values| (id, values)).boxed()
    });
    (each.collect::<Vec<_>>(), any::<prop::sample::Index>())
        .prop_map(move |(mut chosen, turn)| {
            let data = chosen.iter().any(|(id, v)| *id == 22 && !v.is_empty());
            if let Some((_, method)) = chosen.iter_mut().find(|(id, _)| *id == 21)
                && (data || place == 'A')
            {
                *method = vec![Raw::Text("SCRAM".into())];
            }
            let turn = turn.index(chosen.len());
            chosen.rotate_left(turn);
            let mut builder = PropertiesBuilder::new();
            for (id, values) in &chosen {
                for value in values {
                    builder.push(PropertyId::new(*id).unwrap(), value.value()).unwrap();
                }
            }
            builder.finish()
        })
        .boxed()
}

fn qos() -> impl Strategy<Value = QoS> {
    prop::sample::select(vec![QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
}

fn packet_id() -> impl Strategy<Value = PacketId> {
    (1..=u16::MAX).prop_map(|id| PacketId::new(id).unwrap())
}

fn reason(packet: PacketType) -> impl Strategy<Value = ReasonCode> {
    let valid: Vec<_> = (0..=255).map(ReasonCode::new).filter(|r| r.is_valid_for(packet)).collect();
    prop::sample::select(valid)
}

fn will(version: Version) -> impl Strategy<Value = Will> {
    (qos(), any::<bool>(), topic(), binary(), properties('w', version)).prop_map(
        |(qos, retain, topic, payload, properties)| Will {
            qos,
            retain,
            topic: utf8(&topic),
            payload,
            properties,
        },
    )
}

fn connect(version: Version) -> impl Strategy<Value = Packet> {
    let login = (prop::option::of(text()), prop::option::of(binary()));
    (any::<bool>(), any::<u16>(), text(), prop::option::of(will(version)), login, properties('C', version))
        .prop_map(move |(clean_start, keep_alive_s, client_id, will, (username, password), properties)| {
            let v5 = version == Version::V5;
            let client_id = if client_id.is_empty() && !v5 { "id".to_owned() } else { client_id };
            let password = password.filter(|_| v5 || username.is_some());
            let (client_id, username) = (utf8(&client_id), username.map(|u| utf8(&u)));
            Packet::Connect(Box::new(Connect {
                is_bridge: false,
                version,
                clean_start,
                keep_alive_s,
                client_id,
                will,
                username,
                password,
                properties,
            }))
        })
}

fn connack(version: Version) -> BoxedStrategy<Packet> {
    let reasons = match version {
        Version::V5 => reason(PacketType::ConnAck).boxed(),
        Version::V311 => (0..6u8).prop_map(|c| ReasonCode::from_v311_connack(c).unwrap()).boxed(),
    };
    (any::<bool>(), reasons, properties('c', version))
        .prop_map(|(present, reason, properties)| {
            let session_present = present && reason == ReasonCode::SUCCESS;
            Packet::ConnAck(ConnAck { session_present, reason, properties })
        })
        .boxed()
}

pub fn publish(version: Version) -> impl Strategy<Value = Publish> {
    (any::<(bool, bool)>(), qos(), topic(), packet_id(), properties('P', version), binary(), any::<bool>())
        .prop_map(|((dup, retain), qos, topic, id, properties, payload, empty)| {
            let acked = qos != QoS::AtMostOnce;
            let by_alias = empty && properties.contains(PropertyId::TopicAlias);
            let topic = if by_alias { Utf8::default() } else { utf8(&topic) };
            let packet_id = acked.then_some(id);
            Publish { dup: dup && acked, qos, retain, topic, packet_id, properties, payload }
        })
}

fn ack(packet: PacketType, version: Version) -> BoxedStrategy<Ack> {
    let place = PLACES.iter().find(|(p, _)| *p == packet).unwrap().1;
    let reasons = match version {
        Version::V5 => reason(packet).boxed(),
        Version::V311 => Just(ReasonCode::SUCCESS).boxed(),
    };
    // Half without properties, so that the short forms are met.
    let properties = prop_oneof![Just(Properties::default()), properties(place, version)];
    (packet_id(), reasons, properties)
        .prop_map(|(packet_id, reason, properties)| Ack { packet_id, reason, properties })
        .boxed()
}

fn subscription(version: Version) -> impl Strategy<Value = Subscription> {
    let handling = prop::sample::select(vec![
        RetainHandling::Send,
        RetainHandling::SendIfNew,
        RetainHandling::DoNotSend,
    ]);
    (filter(version), qos(), any::<(bool, bool)>(), handling).prop_map(
        move |(filter, qos, (no_local, retain_as_published), retain_handling)| {
            let plain = Subscription::new(utf8(&filter), qos);
            if version == Version::V311 {
                return plain;
            }
            let no_local = no_local && !filter.starts_with("$share/");
            Subscription { no_local, retain_as_published, retain_handling, ..plain }
        },
    )
}

fn subscribe(version: Version) -> impl Strategy<Value = Packet> {
    (packet_id(), properties('S', version), prop::collection::vec(subscription(version), 1..5)).prop_map(
        |(packet_id, properties, filters)| Packet::Subscribe(Subscribe { packet_id, properties, filters }),
    )
}

fn suback(version: Version) -> impl Strategy<Value = Packet> {
    let reasons = match version {
        Version::V5 => reason(PacketType::SubAck).boxed(),
        Version::V311 => prop::sample::select(vec![0, 1, 2, 0x80]).prop_map(ReasonCode::new).boxed(),
    };
    (packet_id(), properties('s', version), prop::collection::vec(reasons, 1..5)).prop_map(
        |(packet_id, properties, reasons)| Packet::SubAck(SubAck { packet_id, properties, reasons }),
    )
}

fn unsubscribe(version: Version) -> impl Strategy<Value = Packet> {
    let filters = prop::collection::vec(filter(version).prop_map(|f| utf8(&f)), 1..5);
    (packet_id(), properties('U', version), filters).prop_map(|(packet_id, properties, filters)| {
        Packet::Unsubscribe(Unsubscribe { packet_id, properties, filters })
    })
}

fn unsuback(version: Version) -> impl Strategy<Value = Packet> {
    let some = if version == Version::V5 { 1..5 } else { 0..1 };
    (packet_id(), properties('u', version), prop::collection::vec(reason(PacketType::UnsubAck), some))
        .prop_map(|(packet_id, properties, reasons)| {
            Packet::UnsubAck(UnsubAck { packet_id, properties, reasons })
        })
}

fn disconnect(version: Version) -> BoxedStrategy<Packet> {
    if version == Version::V311 {
        return Just(Packet::Disconnect(Disconnect::new(ReasonCode::NORMAL_DISCONNECTION))).boxed();
    }
    let properties = prop_oneof![Just(Properties::default()), properties('D', version)];
    (reason(PacketType::Disconnect), properties)
        .prop_map(|(reason, properties)| Packet::Disconnect(Disconnect { reason, properties }))
        .boxed()
}

fn auth() -> impl Strategy<Value = Packet> {
    (reason(PacketType::Auth), properties('A', Version::V5))
        .prop_map(|(reason, properties)| Packet::Auth(Auth { reason, properties }))
}

/// Every packet of a version, each kind as often as the others.
pub fn packet(version: Version) -> BoxedStrategy<Packet> {
    let mut all = vec![
        connect(version).boxed(),
        connack(version),
        publish(version).prop_map(Packet::Publish).boxed(),
        ack(PacketType::PubAck, version).prop_map(Packet::PubAck).boxed(),
        ack(PacketType::PubRec, version).prop_map(Packet::PubRec).boxed(),
        ack(PacketType::PubRel, version).prop_map(Packet::PubRel).boxed(),
        ack(PacketType::PubComp, version).prop_map(Packet::PubComp).boxed(),
        subscribe(version).boxed(),
        suback(version).boxed(),
        unsubscribe(version).boxed(),
        unsuback(version).boxed(),
        Just(Packet::PingReq).boxed(),
        Just(Packet::PingResp).boxed(),
        disconnect(version),
    ];
    if version == Version::V5 {
        all.push(auth().boxed());
        all.push(
            Just(Packet::Auth(Auth { reason: ReasonCode::SUCCESS, properties: Properties::default() }))
                .boxed(),
        );
    }
    proptest::strategy::Union::new(all).boxed()
}

/// A few of every kind, always the same.
pub fn samples(version: Version) -> Vec<Packet> {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[5; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let strategy = packet(version);
    let mut found: Vec<Packet> = Vec::new();
    for _ in 0..2000 {
        let packet = strategy.new_tree(&mut runner).unwrap().current();
        let same = found.iter().filter(|p| p.packet_type() == packet.packet_type()).count();
        if same < 4 && encoded(&packet, version).len() < 250 {
            found.push(packet);
        }
    }
    let kinds = if version == Version::V5 { 1..=15 } else { 1..=14 };
    assert!(kinds.clone().all(|k| found.iter().any(|p| p.packet_type() as u8 == k)), "a kind is missing");
    found
}
