//! Command rules for tests.

use std::time::Duration;

use edge_bridge::wire::{Properties, PropertyId, Publish, QoS, Utf8, Value};

use crate::config::{CommandRule, LocalTopic};

pub(super) fn command(topic: &str, payload: &str) -> Publish {
    Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: Utf8::try_from(topic.to_owned()).unwrap(),
        packet_id: None,
        properties: Properties::default(),
        payload: payload.to_owned().into(),
    }
}

pub(super) fn with(publish: &Publish, id: PropertyId, value: Value<'_>) -> Publish {
    let mut builder = publish.properties.to_builder();
    builder.push(id, value).unwrap();
    Publish { properties: builder.finish(), ..publish.clone() }
}

/// Takes what has an expiry, at most once, within a minute.
pub(super) fn rule(filter: &str, to: &str) -> CommandRule {
    CommandRule {
        filter: filter.to_owned(),
        to: LocalTopic::new(filter, to).unwrap(),
        expiry: Duration::from_secs(60),
        allow: None,
        allows_unbounded: false,
        at_most_once: true,
        answers: "answers".to_owned(),
    }
}
