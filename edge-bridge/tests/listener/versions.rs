//! A client that comes back with another version of MQTT: its session goes on, adapted.

use crate::listener_support::*;
use edge_bridge::listener::Config;
use edge_bridge::wire::{Properties, PropertyId, Publish, Value, Version};

fn command() -> Publish {
    let list = [
        (PropertyId::UserProperty, Value::Pair("from", "dispatcher")),
        (PropertyId::ContentType, Value::Utf8("text/plain")),
        (PropertyId::ResponseTopic, Value::Utf8("answers")),
    ];
    Publish { properties: properties(&list), ..message("cmd", "close the valve") }
}

/// The command is unacknowledged when the connection breaks.
#[test]
fn what_is_in_flight_comes_again_in_the_form_of_the_new_version() {
    for (before, after) in [(Version::V5, Version::V311), (Version::V311, Version::V5)] {
        let mut site = Site::new(Config::default());
        let valve = site.client("valve", before);
        site.send(valve, &[subscribe(&["cmd"])]);
        site.publish(&command());
        assert_eq!(site.payloads(valve), ["close the valve"]);
        site.cut(valve);
        let (valve, connack) = site.connect(stays("valve", after));
        assert!(connack.session_present);
        let messages = site.messages(valve);
        assert_eq!(messages.iter().map(payload).collect::<Vec<_>>(), ["close the valve"], "{after:?}");
        assert!(messages[0].dup);
        site.send(valve, &[puback(messages[0].packet_id.unwrap().get())]);
        let settled: Vec<_> = site.settled.iter().map(|s| (s.delivered, s.dropped)).collect();
        assert_eq!((settled, site.listener.stats().dropped_too_large), (vec![(1, 0)], 0));
    }
}

/// And back again.
#[test]
fn a_detour_over_3_1_1_costs_later_messages_nothing() {
    let mut site = Site::new(Config::default());
    let valve = site.client("valve", Version::V5);
    site.send(valve, &[subscribe(&["cmd"])]);
    site.cut(valve);
    site.publish(&command());
    let valve = site.client("valve", Version::V311);
    assert_eq!(site.messages(valve)[0].properties, Properties::default());
    site.cut(valve);
    let valve = site.client("valve", Version::V5);
    let messages = site.messages(valve);
    assert_eq!((messages.len(), messages[0].dup), (1, true));
    site.send(valve, &[puback(messages[0].packet_id.unwrap().get())]);
    site.publish(&command());
    let next = site.messages(valve).remove(0);
    assert_eq!(next.properties.str(PropertyId::ContentType), Some("text/plain"));
}
