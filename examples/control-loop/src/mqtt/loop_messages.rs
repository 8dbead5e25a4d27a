//! Messages that the loops publish: samples of outputs, and events.

use super::names::EVENT;
use bytes::Bytes;
use edge_bridge::wire::{Properties, Publish, QoS, Utf8, validate_topic_name};
use edge_filter::alarm::AlarmTransition;
use serde_json::{Value, json};

/// Message to publish: to local subscribers first, then to the hub if `to_hub` is set.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Said {
    /// Topic of the message.
    pub topic: Utf8,
    /// Payload of the message.
    pub payload: Bytes,
    /// Set for a change of state, unset for a sample of an output.
    pub is_event: bool,
    /// Set for events, and for every tenth sample.
    pub to_hub: bool,
    /// Log line, for commands and disputes, with text from peers escaped.
    pub line: Option<String>,
}

impl Said {
    /// Returns the message as a QoS 0 PUBLISH, because a sample of an output is not worth a repetition.
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

/// Makes the event of an alarm's change on `event/alarm/NAME/LEVEL`, with the transition number that an acknowledgement quotes. `None`: the name
/// is not valid in a topic.
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

/// Makes a message. `None`: the name is not valid in a topic.
pub(super) fn said(topic: String, payload: String, is_event: bool, to_hub: bool) -> Option<Said> {
    validate_topic_name(&topic).ok()?;
    let topic = Utf8::new(Bytes::from(topic)).ok()?;
    Some(Said { topic, payload: Bytes::from(payload), is_event, to_hub, line: None })
}
