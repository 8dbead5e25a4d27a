//! Messages from the hub, and those of them that cannot be read, with the reason.

use std::fmt;

use bytes::Bytes;
use edge_bridge::net::Acknowledgement;

use super::now_ms;
use super::rejects::Reject;

/// Reasons why a message cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Cause {
    Malformed,
    NoTable,
    TwoTables,
    BadTable,
    /// Some values of a message that is read.
    Values,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "malformed",
            Self::NoTable => "without their session table",
            Self::TwoTables => "with two session tables of one name",
            Self::BadTable => "session tables that are none",
            Self::Values => "with values that are none",
        })
    }
}

/// A batch from the hub, and the acknowledgement it waits for.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) topic: String,
    pub(super) content_type: Option<String>,
    pub(super) payload: Bytes,
    /// Identity of a raw message, which batches have inside, and whether it is marked as a possible duplicate.
    pub(super) identity: Option<String>,
    pub(super) pd: bool,
    pub(super) ack: Acknowledgement,
    /// Number among all messages with an acknowledgement; `None` at QoS 0.
    pub(super) number: Option<u64>,
    /// Set if the hub says that it sends the message again.
    pub(super) dup: bool,
}

/// Dead letter: a message, and why it cannot be read.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) message: Message,
    pub(super) cause: Cause,
    pub(super) why: String,
}

impl Letter {
    /// Returns whether these are copies of one message.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.message.topic == other.message.topic && self.message.payload == other.message.payload
    }

    /// Bytes of its content and texts.
    pub(super) fn bytes(&self) -> usize {
        let Message { topic, content_type, payload, identity, .. } = &self.message;
        let texts = [content_type, identity].into_iter().flatten().chain([topic, &self.why]);
        payload.len() + texts.map(String::len).sum::<usize>()
    }

    /// The message as the folder takes it.
    pub(super) fn reject(&self) -> Reject<'_> {
        Reject {
            time_ms: now_ms(),
            topic: &self.message.topic,
            content_type: self.message.content_type.as_deref(),
            reason: &self.why,
            payload: &self.message.payload,
        }
    }
}
