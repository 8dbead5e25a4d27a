//! Outcomes of commands, and the answers that report them to the hub. Pure.

use edge_bridge::Row;
use edge_bridge::wire::{
    PropertiesBuilder, PropertyId, Publish, Utf8, Value, validate_characters, validate_levels,
    validate_topic_name,
};
use serde::{Deserialize, Serialize};

use super::identity::Identity;

/// Most bytes of a topic, a Response Topic and Correlation Data, each, that are kept.
const RETURN_BYTES_MAX: usize = 1_024;

/// First bytes of each answer.
const BEGINNING: &[u8] = b"{\"command\":\"";

/// Reason of a refusal or failure. The texts are stored and sent, so none may ever get another meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Reason {
    /// A message with the retain flag, which may be old.
    Retained,
    /// The message has no Message Expiry Interval, and the rule requires one.
    NoExpiry,
    Expired,
    BadId,
    /// The local topic made by the rule's `to` is not a valid topic name.
    NotATopic,
    /// The payload is not among those that the rule allows.
    NotAllowed,
    /// Too many commands wait already.
    Busy,
    TooLarge,
    /// The command's identity could not be written to disk.
    NotKept,
    /// The gateway ended before the command had an outcome; a client may have obeyed it.
    Interrupted,
    /// No client subscribed to the local topic before the command expired.
    Nobody,
    /// No client acknowledged the command before it expired; a client may have obeyed it.
    NotAcknowledged,
    /// The message is marked as a repetition (DUP), has no identity, and equals a command that has ended.
    Copy,
}

impl Reason {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Retained => "retained",
            Self::NoExpiry => "no-expiry",
            Self::Expired => "expired",
            Self::BadId => "bad-id",
            Self::NotATopic => "not-a-topic",
            Self::NotAllowed => "not-allowed",
            Self::Busy => "busy",
            Self::TooLarge => "too-large",
            Self::NotKept => "not-kept",
            Self::Interrupted => "interrupted",
            Self::Nobody => "nobody",
            Self::NotAcknowledged => "not-acknowledged",
            Self::Copy => "copy",
        }
    }
}

/// Outcome of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Outcome {
    /// This many clients acknowledged the command.
    Delivered(u32),
    Refused(Reason),
    /// A loop or an alarm of the gateway obeyed the command.
    Obeyed,
    /// A loop or an alarm of the gateway refused the command, for a reason in words.
    NotObeyed(String),
}

/// Kind of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AnswerKind {
    /// Answer to a command that was carried out, or may have been.
    Result,
    /// Answer to a command that was not carried out. A sender makes many of them at once.
    Refusal,
}

impl Outcome {
    /// Returns the kind of the answer that reports it.
    pub(super) fn kind(&self) -> AnswerKind {
        match self {
            Self::Delivered(_) | Self::Obeyed => AnswerKind::Result,
            Self::Refused(Reason::Interrupted | Reason::NotAcknowledged) => AnswerKind::Result,
            Self::Refused(_) | Self::NotObeyed(_) => AnswerKind::Refusal,
        }
    }
}

/// Address for a command's answer, and the data by which the sender matches the answer to its command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ReturnAddress {
    /// Topic of the command at the hub.
    pub(super) command: String,
    pub(super) id: Option<String>,
    /// Topic to which the answer is published. Empty: there is none, because the command is an answer itself. Two gateways that command each other's topics
    /// of answers would else answer each other for ever.
    pub(super) topic: String,
    pub(super) correlation: Vec<u8>,
}

impl ReturnAddress {
    /// Reads the address from a command. `answers` is the topic to use if the command has no usable Response Topic.
    pub(super) fn of(publish: &Publish, identity: Option<&Identity>, answers: &str) -> Self {
        let (topic, correlation) = wishes(publish);
        let usable = |topic: &&str| {
            let checked = validate_topic_name(topic).and_then(|()| validate_characters(topic));
            let is_taken = checked.and_then(|()| validate_levels(topic)).is_ok();
            topic.len() <= RETURN_BYTES_MAX && is_taken && !topic.starts_with("$share/")
        };
        let topic = if is_answer(&publish.payload) { "" } else { topic.filter(usable).unwrap_or(answers) };
        Self {
            command: cut(&publish.topic).to_owned(),
            id: identity.and_then(|identity| identity.shown.clone()),
            topic: topic.to_owned(),
            correlation: correlation
                .filter(|data| data.len() <= RETURN_BYTES_MAX)
                .unwrap_or_default()
                .to_vec(),
        }
    }

    /// Returns whether topic, Response Topic and Correlation Data are short enough to be stored.
    pub(super) fn holds(publish: &Publish) -> bool {
        let (topic, correlation) = wishes(publish);
        publish.topic.len() <= RETURN_BYTES_MAX
            && topic.is_none_or(|topic| topic.len() <= RETURN_BYTES_MAX)
            && correlation.is_none_or(|data| data.len() <= RETURN_BYTES_MAX)
    }

    /// Returns the answer as a row for the hub. `wall_ms` is the time of the outcome, since the Unix epoch. `None`: there is no address, or it is not
    /// valid.
    pub(super) fn answer(&self, outcome: &Outcome, wall_ms: i64) -> Option<Row> {
        if self.topic.is_empty() {
            return None;
        }
        let (result, reason, why, clients) = match outcome {
            Outcome::Delivered(clients) => ("delivered", None, None, Some(*clients)),
            Outcome::Refused(reason) => ("refused", Some(reason.as_str()), None, None),
            Outcome::Obeyed => ("obeyed", None, None, None),
            Outcome::NotObeyed(why) => ("refused", Some("not-obeyed"), Some(why.as_str()), None),
        };
        let (command, id) = (self.command.as_str(), self.id.as_deref());
        let text = Answer { command, id, result, reason, why, clients, at: wall_ms };
        let payload = serde_json::to_vec(&text).ok()?;
        let mut row = Row::new(Utf8::try_from(self.topic.clone()).ok()?, payload.into());
        row.lane = Some(0);
        // Whoever commands chooses the topic: parked, answers that the hub denies would take the room of parked alarms.
        row.drop_refused = true;
        let mut properties = PropertiesBuilder::new();
        if !self.correlation.is_empty() {
            properties.push(PropertyId::CorrelationData, Value::Binary(&self.correlation)).ok()?;
        }
        row.properties = properties.finish();
        Some(row)
    }
}

/// Returns the beginning of a topic, cut to the length that may be stored.
fn cut(topic: &str) -> &str {
    let longest = topic.len().min(RETURN_BYTES_MAX);
    (0..=longest).rev().find_map(|end| topic.get(..end)).unwrap_or_default()
}

fn wishes(publish: &Publish) -> (Option<&str>, Option<bytes::Bytes>) {
    let properties = &publish.properties;
    (properties.str(PropertyId::ResponseTopic), properties.binary(PropertyId::CorrelationData))
}

/// Returns whether a payload is an answer, of whatever gateway. It is known by its form, because a hub of MQTT 3.1.1 takes the properties from it.
fn is_answer(payload: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Form {
        #[serde(rename = "command")]
        _command: String,
        result: String,
        #[serde(rename = "at")]
        _at: i64,
    }
    let is_result = |form: Form| ["delivered", "obeyed", "refused"].contains(&form.result.as_str());
    payload.starts_with(BEGINNING) && serde_json::from_slice(payload).is_ok_and(is_result)
}

/// Form of an answer; [`BEGINNING`] is that of its text.
#[derive(Serialize)]
struct Answer<'a> {
    command: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    result: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    clients: Option<u32>,
    at: i64,
}

#[cfg(test)]
mod tests {
    use super::super::testing::{command, with};
    use super::*;

    #[test]
    fn an_answer_goes_where_the_command_asks_if_that_is_a_topic() {
        let long = "t".repeat(RETURN_BYTES_MAX + 1);
        let deep = [200, 201].map(|levels| vec!["e"; levels].join("/"));
        for (wished, topic) in [
            (None, "answers"),
            (Some("mine/back"), "mine/back"),
            (Some(&*long), "answers"),
            (Some(&long[1..]), &long[1..]),
            (Some("$share/group/back"), "answers"),
            (Some("back\u{85}"), "answers"),
            (Some(&*deep[0]), &*deep[0]),
            (Some(&*deep[1]), "answers"),
        ] {
            let plain = command("c/a", "on");
            let publish = wished.map_or_else(
                || plain.clone(),
                |topic| with(&plain, PropertyId::ResponseTopic, Value::Utf8(topic)),
            );
            assert_eq!(ReturnAddress::of(&publish, None, "answers").topic, topic, "{wished:?}");
            assert_eq!(ReturnAddress::holds(&publish), wished != Some(&*long), "{wished:?}");
        }
    }

    /// Neither of two gateways that command each other's topics of answers answers the other's.
    #[test]
    fn an_answer_is_never_answered_whatever_becomes_of_it() {
        let outcomes = [
            Outcome::Delivered(1),
            Outcome::Obeyed,
            Outcome::Refused(Reason::NoExpiry),
            Outcome::NotObeyed("so \"it\" is".to_owned()),
        ];
        let asked = with(&command("c/\"a\"", "on"), PropertyId::ResponseTopic, Value::Utf8("mine/back"));
        for outcome in &outcomes {
            let row = ReturnAddress::of(&asked, None, "answers").answer(outcome, 7).unwrap();
            let payload = std::str::from_utf8(&row.payload).unwrap();
            let answer = with(&command("c/a", payload), PropertyId::ResponseTopic, Value::Utf8("mine/back"));
            for again in &outcomes {
                assert!(ReturnAddress::of(&answer, None, "answers").answer(again, 8).is_none(), "{payload}");
            }
        }
        for other in
            ["{\"command\":\"x\"}", "{\"command\":\"x\",\"result\":\"on\",\"at\":1}", "{\"command\":\"", ""]
        {
            let to = ReturnAddress::of(&command("c/a", other), None, "answers");
            assert!(to.answer(&Outcome::Obeyed, 8).is_some(), "{other}");
        }
    }
}
