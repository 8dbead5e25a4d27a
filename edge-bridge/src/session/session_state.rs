//! Session State (§4.1) that outlives a connection: the unacknowledged messages, in the order in which they were first published (§4.4, §4.6).

use std::ops::{AddAssign, SubAssign};

use super::packet_id::PacketIds;
use super::received::Received;
use crate::wire::{PacketId, PropertyId, Publish};

/// The caller's own number for a message it publishes; comes back in [`Event::Acked`](super::Event::Acked). The session gives it no meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// A published QoS 1 message that the peer has not acknowledged.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct InFlight {
    /// Packet identifier of the message: a resent message keeps it (\[MQTT-4.4.0-1\]).
    pub packet_id: PacketId,
    /// Token that was given to [`publish`](super::Session::publish).
    pub token: Token,
    /// The message. A client may change it between connections where the standard lets it: the Message Expiry Interval, which says what is
    /// left when the next connection begins; the session takes off what it waits there. A server leaves it: its session takes off all the
    /// time since it was published.
    pub publish: Publish,
    /// True if it was written at least once: then the peer may have it, and DUP is set.
    pub sent: bool,
    /// Time at which the Message Expiry Interval was right, in the caller's milliseconds.
    pub(super) as_of_ms: u64,
}

/// Memory of a message in flight beside what it carries, in bytes.
const OVERHEAD: usize = 256;

/// Memory of messages, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Bytes beside the payloads.
    pub(crate) own: usize,
    /// Bytes in payloads, which others may hold too.
    pub(crate) payloads: usize,
}

impl AddAssign for Memory {
    fn add_assign(&mut self, more: Self) {
        self.own += more.own;
        self.payloads += more.payloads;
    }
}

impl SubAssign for Memory {
    fn sub_assign(&mut self, less: Self) {
        self.own -= less.own;
        self.payloads -= less.payloads;
    }
}

impl InFlight {
    /// Time at which the Message Expiry Interval was right, in the caller's milliseconds.
    pub(crate) fn as_of_ms(&self) -> u64 {
        self.as_of_ms
    }

    pub(super) fn memory(&self) -> Memory {
        let Publish { topic, properties, payload, .. } = &self.publish;
        Memory { own: OVERHEAD + topic.len() + properties.as_bytes().len(), payloads: payload.len() }
    }
}

/// The state of a session between two connections. For QoS 1 it is only what one sent: received messages that were not acknowledged
/// come again by themselves. For QoS 2 it is also the identifiers of what was received.
#[derive(Debug, Clone, Default)]
pub struct Resume {
    pub(super) in_flight: Vec<InFlight>,
    pub(super) ids: PacketIds,
    pub(super) received: Received,
}

impl Resume {
    /// A session that exists and has nothing in flight.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the state of no session yet, whose identifiers begin at `first`.
    pub(super) fn beginning_at(first: PacketId) -> Self {
        Self { ids: PacketIds::starting_at(first), ..Self::default() }
    }

    /// Unacknowledged messages in their original order.
    pub fn in_flight(&self) -> &[InFlight] {
        &self.in_flight
    }

    /// Returns whether a message is unfinished, in either direction.
    pub(crate) fn has_unfinished(&self) -> bool {
        !self.in_flight.is_empty() || !self.received.is_empty()
    }

    /// Memory that the messages take, and the identifiers of received ones. Cost: a walk.
    pub(crate) fn memory(&self) -> Memory {
        let mut memory = self.in_flight_memory();
        memory.own += self.received.bytes();
        memory
    }

    /// Memory that the messages in flight take. Cost: a walk.
    pub(super) fn in_flight_memory(&self) -> Memory {
        let mut memory = Memory::default();
        self.in_flight.iter().for_each(|message| memory += message.memory());
        memory
    }

    /// Returns the messages of [`in_flight`](Self::in_flight) to be adapted before they are resent.
    pub fn in_flight_mut(&mut self) -> &mut [InFlight] {
        &mut self.in_flight
    }

    /// Takes a message out of the session: it will not be resent. For a message that makes the peer end the connection.
    pub fn forget(&mut self, token: Token) {
        self.in_flight.retain(|message| message.token != token);
    }

    /// Takes out the messages whose expiry is over (§3.3.2.3.3): a receiver that comes back late must not have them. For a server, whose messages say
    /// what was left when they were published.
    pub(crate) fn take_expired(&mut self, now_ms: u64) -> Vec<Token> {
        let is_over = |message: &InFlight| {
            let said_s = message.publish.properties.u32(PropertyId::MessageExpiryInterval);
            said_s.is_some_and(|said_s| message.as_of_ms + u64::from(said_s) * 1000 <= now_ms)
        };
        self.in_flight.extract_if(.., |message| is_over(message)).map(|message| message.token).collect()
    }

    /// Gives up the session's state, so that the caller keeps the messages.
    pub fn into_in_flight(self) -> Vec<InFlight> {
        self.in_flight
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::wire::{PropertiesBuilder, QoS, Utf8};

    #[test]
    fn memory_of_a_message_is_that_of_its_parts() {
        let mut properties = PropertiesBuilder::new();
        properties.user("key", "value").unwrap();
        let properties = properties.finish();
        let bytes = properties.as_bytes().len();
        let publish = Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: false,
            topic: Utf8::from_static("a/b"),
            packet_id: None,
            properties,
            payload: Bytes::from_static(b"12345"),
        };
        let message =
            InFlight { packet_id: PacketId::MIN, token: Token(1), publish, sent: true, as_of_ms: 0 };
        assert!(bytes > 8);
        assert_eq!(message.memory(), Memory { own: OVERHEAD + 3 + bytes, payloads: 5 });
    }
}
