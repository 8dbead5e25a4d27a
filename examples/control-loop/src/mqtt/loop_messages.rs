//! Messages of the loops as they are published, and the events among them.

use super::names::EVENT;
use bytes::Bytes;
use edge_bridge::wire::{Properties, Publish, QoS, Utf8, validate_topic_name};
use edge_filter::alarm::AlarmTransition;
use serde_json::{Value, json};

/// A message to be: first for local subscribers, then for the hub if it is meant for it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Said {
    /// Its topic.
    pub topic: Utf8,
    /// Its payload.
    pub payload: Bytes,
    /// A change of state, not a sample of an output.
    pub is_event: bool,
    /// Events, and every tenth sample.
    pub to_hub: bool,
    /// A line for the log: commands and disputes, what peers chose in it escaped.
    pub line: Option<String>,
}

impl Said {
    /// As a QoS 0 message: an output of a moment ago is worth no repetition.
    #[must_use]
    pub fn publish(&self) -> Publish {
        Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            topic: self.topic.clone(),
            packet_id: None,
            properties: Properties::default(),
            payload: self.payload.clone(),
        }
    }
}

/// A change of an alarm on `event/alarm/NAME/LEVEL`, with the transition that an acknowledgement quotes. `None`: a name that no topic can have.
#[must_use]
pub fn alarm_event(name: &str, transition: &AlarmTransition) -> Option<Said> {
    let t = transition;
    let payload = json!({
        "state": t.to.as_str(), "from": t.from.as_str(), "value": t.value, "ts": t.time,
        "transition": t.transition, "priority": t.priority,
    });
    said_event(&format!("alarm/{name}/{}", t.level.as_str()), &payload)
}

pub(super) fn said_event(topic: &str, payload: &Value) -> Option<Said> {
    said(format!("{EVENT}{topic}"), payload.to_string(), true, true)
}

/// `None`: a name that no topic can have.
pub(super) fn said(topic: String, payload: String, is_event: bool, to_hub: bool) -> Option<Said> {
    validate_topic_name(&topic).ok()?;
    let topic = Utf8::new(Bytes::from(topic)).ok()?;
    Some(Said { topic, payload: Bytes::from(payload), is_event, to_hub, line: None })
}
