//! Properties with characters that a hub may end the connection for (§1.5.4) are refused at the door as a topic with them is. Promise 12.

use crate::listener_support::*;
use edge_bridge::listener::{Config, Event};
use edge_bridge::wire::{Packet, PacketId, PropertyId, Publish, QoS, ReasonCode, TopicError, Value, Version};

/// A property of a message, with the text in it.
type Place = fn(&str) -> (PropertyId, Value<'_>);
const PLACES: [Place; 4] = [
    |text| (PropertyId::UserProperty, Value::Pair(text, "value")),
    |text| (PropertyId::UserProperty, Value::Pair("name", text)),
    |text| (PropertyId::ContentType, Value::Utf8(text)),
    |text| (PropertyId::ResponseTopic, Value::Utf8(text)),
];

/// Every character that the standard lets a server refuse, but for U+0000, which no string has: C0, DEL, C1, and the non-characters.
fn discouraged() -> Vec<char> {
    let ends = (0..=0x10).flat_map(|plane| [plane << 16 | 0xfffe, plane << 16 | 0xffff]);
    let all = (1..0x20).chain(0x7f..0xa0).chain(0xfdd0..0xfdf0).chain(ends);
    all.map(|code| char::from_u32(code).unwrap()).collect()
}

/// Neighbours of those, which every server takes.
const FINE: [&str; 7] =
    [" ~", "\u{a0}", "\u{feff}", "\u{fdcf}\u{fdf0}", "\u{fffd}", "\u{202e}", "\u{10000}\u{10fffd}"];

fn with(place: Place, text: &str) -> Publish {
    let packet_id = PacketId::new(1);
    Publish { packet_id, properties: properties(&[place(text)]), ..message("plain/a", "x") }
}

fn refusals(site: &Site) -> Vec<TopicError> {
    let error = |event: &Event| match event {
        Event::TopicRefused { error, .. } => Some(*error),
        _ => None,
    };
    site.events.iter().filter_map(error).collect()
}

#[test]
fn each_character_in_each_property_is_refused_by_0x90_and_the_client_stays() {
    let mut site = Site::new(Config::default());
    let (watcher, sensor) = (site.client("watcher", Version::V5), site.client("sensor", Version::V5));
    site.send(watcher, &[subscribe(&["#"])]);
    site.received(watcher);
    let all = discouraged();
    assert_eq!(all.len(), 31 + 33 + 32 + 34);
    for (n, c) in all.iter().enumerate() {
        for place in PLACES {
            site.send(sensor, &[Packet::Publish(with(place, &format!("a{c}b")))]);
            let told = site.pubacks(sensor);
            assert_eq!(told, [(1, ReasonCode::TOPIC_NAME_INVALID)], "U+{:04X}, {n}", u32::from(*c));
        }
    }
    assert!(!site.is_closed(sensor));
    let (seen, refused) = (site.listener.ingest_mut().seen.len(), site.listener.stats().topics_refused);
    assert_eq!((seen, refused), (0, 4 * all.len() as u64), "none is queued, each is counted");
    assert_eq!(site.payloads(watcher), [""; 0], "nobody sees it");
    let told = refusals(&site);
    assert_eq!(told.len(), 1, "said once");
    let words = told[0].to_string();
    assert!(words.contains("U+0001") && words.contains("UserProperty"), "{words}");
}

#[test]
fn other_characters_are_taken_everywhere() {
    let mut site = Site::new(Config::default());
    let sensor = site.client("sensor", Version::V5);
    for (n, text) in FINE.iter().enumerate() {
        for place in PLACES {
            site.send(sensor, &[Packet::Publish(with(place, text))]);
            assert_eq!(site.pubacks(sensor), [(1, ReasonCode::SUCCESS)], "{text:?}, {n}");
        }
    }
    assert_eq!(refusals(&site), []);
}

#[test]
fn qos_0_is_dropped_and_so_is_a_will() {
    let mut site = Site::new(Config::default());
    for place in PLACES {
        let mut connect = stays("sensor", Version::V5);
        connect.will = will("store/gone", &[place("a\nb")]);
        let (sensor, ack) = site.connect(connect);
        assert_eq!(ack.reason, ReasonCode::SUCCESS);
        let bad = Publish { qos: QoS::AtMostOnce, packet_id: None, ..with(place, "a\tb") };
        site.send(sensor, &[Packet::Publish(bad), qos0("store/good", "good")]);
        assert!(!site.is_closed(sensor));
        site.cut(sensor);
    }
    let seen: Vec<_> = site.listener.ingest_mut().seen.iter().map(|m| m.topic.to_string()).collect();
    assert_eq!(seen, ["store/good"; 4]);
    assert_eq!((site.listener.stats().topics_refused, refusals(&site).len()), (8, 4));
}

/// Negative control: it is the rule that refused them.
#[test]
fn who_wants_such_properties_gets_them() {
    let mut config = Config::default();
    config.accept_control_characters = true;
    let mut site = Site::new(config);
    let mut connect = stays("sensor", Version::V5);
    connect.will = will("store/gone", &[PLACES[0]("a\nb")]);
    let (sensor, _) = site.connect(connect);
    PLACES.iter().for_each(|place| site.send(sensor, &[Packet::Publish(with(*place, "a\nb"))]));
    site.cut(sensor);
    assert_eq!((site.listener.ingest_mut().seen.len(), refusals(&site)), (PLACES.len() + 1, vec![]));
}
