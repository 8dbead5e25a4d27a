#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! A hub that closes the connection at control characters, non-characters and deep topics: a real Mosquitto. One client that sends them stops nobody.

mod support;

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use edge_bridge::wire::{
    Connect, Packet, PacketId, Properties, PropertiesBuilder, PropertyId, Publish, QoS, Utf8, Value, Version,
    encode,
};
use support::gateway::Gateway;
use support::mosquitto::{Mosquitto, Subscriber};
use support::publisher::Publisher;
use support::{packet, wait_until};

const ROUTES: &str = "[[route]]\nmatch = \"plant/#\"\nto = \"up/\"\n";
const RESPONSE: PropertyId = PropertyId::ResponseTopic;
/// Seconds that a message may take while nothing is wrong.
const PROMPT: u64 = 10;

/// A client of MQTT 5 that sends what it likes.
struct Client(TcpStream);

impl Client {
    fn connect(address: SocketAddr, name: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut client = Self(stream);
        let connect = Connect {
            is_bridge: false,
            version: Version::V5,
            clean_start: true,
            keep_alive_s: 0,
            client_id: text(name),
            will: None,
            username: None,
            password: None,
            properties: Properties::default(),
        };
        client.send(&Packet::Connect(Box::new(connect)));
        let (first, body) = packet::packet(&mut client.0).unwrap();
        assert_eq!((first, body[1]), (0x20, 0), "accepted");
        client
    }

    fn send(&mut self, packet: &Packet) {
        let mut bytes = bytes::BytesMut::new();
        encode(packet, Version::V5, &mut bytes).unwrap();
        self.0.write_all(&bytes).unwrap();
    }

    /// Publishes at QoS 1, and returns the reason code of the PUBACK.
    fn publish(&mut self, topic: &str, properties: Properties) -> u8 {
        let publish = Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: false,
            topic: text(topic),
            packet_id: PacketId::new(1),
            properties,
            payload: "x".into(),
        };
        self.send(&Packet::Publish(publish));
        let (first, body) = packet::packet(&mut self.0).unwrap();
        assert_eq!(first, 0x40, "a PUBACK: {body:?}");
        body.get(2).copied().unwrap_or(0)
    }
}

fn text(text: &str) -> Utf8 {
    Utf8::try_from(text).unwrap()
}

fn with(list: &[(PropertyId, Value<'_>)]) -> Properties {
    let mut properties = PropertiesBuilder::new();
    for (id, value) in list {
        properties.push(*id, *value).unwrap();
    }
    properties.finish()
}

fn note(value: &str) -> Properties {
    with(&[(PropertyId::UserProperty, Value::Pair("note", value))])
}

fn site(dir: &Path, rest: &str) -> (Mosquitto, Subscriber, Gateway, SocketAddr) {
    let hub = Mosquitto::start(dir, "");
    let subscriber = Subscriber::start(hub.address, "up/#");
    let (gateway, listen) = Gateway::started(dir, hub.address, rest);
    wait_until("connected", 20, || hub.connects("g") == 1);
    (hub, subscriber, gateway, listen)
}

#[track_caller]
fn goes_on(hub: &Mosquitto, subscriber: &Subscriber, listen: SocketAddr) {
    let mut sensor = Publisher::new(listen, "sensor", 10);
    sensor.publish("plant/good", "21.5");
    sensor.settle(0, PROMPT);
    wait_until("an ordinary message arrives", PROMPT, || {
        subscriber.arrived().iter().any(|message| message.topic == "up/plant/good")
    });
    assert_eq!(hub.connects("g"), 1, "the hub had no reason to close");
}

#[test]
fn ten_messages_that_the_hub_would_close_at_are_refused_and_delay_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let (hub, subscriber, gateway, listen) = site(dir.path(), ROUTES);
    let mut client = Client::connect(listen, "hostile");
    let all = [
        note("line 1\nline 2"),
        with(&[(PropertyId::UserProperty, Value::Pair("a\tb", "x"))]),
        note("\u{85}"),
        note("\u{ffff}"),
        note("\u{7f}"),
        note("\u{fdd0}"),
        note("\u{10fffe}"),
        with(&[(PropertyId::ContentType, Value::Utf8("text\nplain"))]),
        with(&[(RESPONSE, Value::Utf8("a\u{1}b"))]),
    ];
    for (n, properties) in all.into_iter().enumerate() {
        assert_eq!(client.publish(&format!("plant/{n}"), properties), 0x90, "message {n}");
    }
    // 200 levels, which the listener takes; behind the route's `to` they are 201.
    let deep = format!("plant/{}", ["a"; 199].join("/"));
    assert_eq!(client.publish(&deep, Properties::default()), 0x90);
    goes_on(&hub, &subscriber, listen);
    assert_eq!(client.publish("plant/good", note("a line")), 0, "the client stays");
    assert_eq!(gateway.metric("edge_parked_messages"), Some(0.0), "nothing of it was queued");
    let log = gateway.log();
    assert!(log.contains("U+000A in the property UserProperty"), "{log}");
}

/// Whoever commands chooses the topic of the answer.
#[test]
fn response_topics_that_the_hub_would_close_at_are_answered_at_the_rules_own() {
    let dir = tempfile::tempdir().unwrap();
    let rest = format!("{ROUTES}[[command]]\nmatch = \"cmd/#\"\nto = \"cmd/#\"\n");
    let (hub, subscriber, gateway, listen) = site(dir.path(), &rest);
    let answers = Subscriber::start(hub.address, "edge/answers/#");
    let mut operator = Client::connect(hub.address, "operator");
    for n in 0..10 {
        let deep = format!("e{n}/{}", ["a"; 220].join("/"));
        let properties =
            with(&[(PropertyId::MessageExpiryInterval, Value::U32(1)), (RESPONSE, Value::Utf8(&deep))]);
        operator.publish(&format!("cmd/{n}"), properties);
    }
    wait_until("all are answered", 30, || answers.arrived().len() == 10);
    goes_on(&hub, &subscriber, listen);
    assert!(!gateway.log().contains("not kept for it: dropped"), "{}", gateway.log());
}
