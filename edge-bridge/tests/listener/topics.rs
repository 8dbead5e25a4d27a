//! Topics that a hub may end the connection for (§1.5.4) are refused at the door: MQTT 5 by PUBACK, 3.1.1 by the end of the connection. Promise 12.

use crate::listener_support::*;
use edge_bridge::listener::{Config, Event};
use edge_bridge::wire::{Packet, PacketId, Publish, ReasonCode, Version};

const BAD: [&str; 5] =
    ["store/\u{1}", "store/\u{7f}", "store/a\u{85}", "store/\u{fdd0}", "store/\u{1fffe}/x"];

fn refusals(site: &Site) -> usize {
    site.events.iter().filter(|event| matches!(event, Event::TopicRefused { .. })).count()
}

#[test]
fn mqtt_5_is_told_0x90_in_turn_and_stays() {
    let mut site = Site::new(Config::default());
    let (watcher, sensor) = (site.client("watcher", Version::V5), site.client("sensor", Version::V5));
    site.send(watcher, &[subscribe(&["#"])]);
    site.received(watcher);
    site.send(sensor, &[publish(1, "store/good", "first")]);
    for (n, topic) in BAD.iter().enumerate() {
        site.send(sensor, &[publish(2 + u16::try_from(n).unwrap(), topic, "bad")]);
    }
    assert_eq!(site.pubacks(sensor), [], "not before the message ahead of them");
    site.resolve(0);
    let told = site.pubacks(sensor);
    assert_eq!(told[0], (1, ReasonCode::SUCCESS));
    assert_eq!(told.len(), 1 + BAD.len());
    assert!(told[1..].iter().all(|(_, reason)| *reason == ReasonCode::TOPIC_NAME_INVALID), "{told:?}");
    assert!(!site.is_closed(sensor));
    assert_eq!(site.payloads(watcher), ["first"], "nobody sees it");
    assert_eq!((site.listener.ingest_mut().seen.len(), site.stored.len()), (1, 0));
    assert_eq!((site.listener.stats().topics_refused, refusals(&site)), (5, 1), "counted each, said once");
    site.send(sensor, &[publish(9, "store/good", "second")]);
    site.resolve(0);
    assert_eq!(site.pubacks(sensor), [(9, ReasonCode::SUCCESS)]);
}

#[test]
fn mqtt_3_1_1_has_no_reasons_and_is_closed() {
    let mut site = Site::new(Config::default());
    let sensor = site.client("sensor", Version::V311);
    site.send(sensor, &[publish(1, BAD[0], "bad")]);
    assert!(site.is_closed(sensor));
    assert_eq!(site.pubacks(sensor), []);
    assert_eq!((site.listener.ingest_mut().seen.len(), refusals(&site)), (0, 1));
}

#[test]
fn qos_0_and_wills_are_dropped_and_counted() {
    let mut site = Site::new(Config::default());
    for version in [Version::V5, Version::V311] {
        let mut connect = stays("sensor", version);
        connect.will = will("store/gone\u{2}", &[]);
        let (sensor, ack) = site.connect(connect);
        assert_eq!(ack.reason, ReasonCode::SUCCESS);
        site.send(sensor, &[qos0(BAD[0], "bad"), qos0("store/good", "good")]);
        assert!(!site.is_closed(sensor));
        site.cut(sensor);
    }
    let seen: Vec<_> = site.listener.ingest_mut().seen.iter().map(|m| m.topic.to_string()).collect();
    assert_eq!(seen, ["store/good", "store/good"]);
    assert_eq!((site.listener.stats().topics_refused, refusals(&site)), (4, 2));
}

/// Negative control: the same messages go through when the operator says so, and it is the rule that refused them.
#[test]
fn who_wants_them_gets_them() {
    let mut config = Config::default();
    config.accept_control_characters = true;
    let mut site = Site::new(config);
    let mut connect = stays("sensor", Version::V311);
    connect.will = will("store/gone\u{2}", &[]);
    let (sensor, _) = site.connect(connect);
    for (n, topic) in BAD.iter().enumerate() {
        site.send(sensor, &[publish(1 + u16::try_from(n).unwrap(), topic, "taken")]);
    }
    site.send(sensor, &[qos0(BAD[0], "taken")]);
    site.cut(sensor);
    assert_eq!(site.listener.ingest_mut().seen.len(), BAD.len() + 2, "with the will");
    assert_eq!((site.listener.stats().topics_refused, refusals(&site)), (0, 0));
}

fn with_own_topics() -> Site {
    let mut config = Config::default();
    config.own_topics = vec!["out/#".to_owned(), "event/#".to_owned()];
    Site::new(config)
}

/// Actuators believe what comes from `out/`: nobody forges it, and no forgery is what one that connects later gets first.
#[test]
fn topics_of_the_application_are_refused_to_clients_and_nothing_is_retained_there() {
    let mut site = with_own_topics();
    let mut connect = stays("thief", Version::V5);
    connect.will = will("event/interlock/stop", &[]);
    let (thief, _) = site.connect(connect);
    let packet_id = PacketId::new(1);
    let forged = Publish { retain: true, packet_id, ..message("out/plant/contactor", "1") };
    site.send(
        thief,
        &[Packet::Publish(forged), publish(2, "event/alarm", "x"), publish(3, "store/out", "1")],
    );
    site.resolve(0);
    let told = site.pubacks(thief);
    let refused = ReasonCode::NOT_AUTHORIZED;
    assert_eq!(told, [(1, refused), (2, refused), (3, ReasonCode::SUCCESS)]);
    site.send(thief, &[qos0("out/plant/contactor", "1")]);
    site.cut(thief);
    let actuator = site.client("actuator", Version::V311);
    site.send(actuator, &[subscribe(&["out/#", "event/#"])]);
    assert_eq!(site.payloads(actuator), [""; 0], "no forgery waits for it");
    let seen: Vec<_> = site.listener.ingest_mut().seen.iter().map(|m| m.topic.to_string()).collect();
    assert_eq!((seen, site.listener.stats().retained), (vec!["store/out".to_owned()], 0));
    assert_eq!((site.listener.stats().topics_refused, refusals(&site)), (4, 1));

    let old = site.client("old", Version::V311);
    site.send(old, &[publish(1, "out/plant/contactor", "1")]);
    assert!(site.is_closed(old));
}

/// The application's own messages go there.
#[test]
fn the_application_publishes_to_its_own_topics() {
    let mut site = with_own_topics();
    let actuator = site.client("actuator", Version::V5);
    site.send(actuator, &[subscribe(&["out/#"])]);
    site.received(actuator);
    site.publish(&message("out/plant/contactor", "1"));
    assert_eq!(site.payloads(actuator), ["1"]);
}
