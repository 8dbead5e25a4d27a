//! Session State (§4.1) that outlives a connection: the unacknowledged messages, in the order in which they were first published (§4.4, §4.6).

use std::ops::{AddAssign, SubAssign};

use super::packet_id::PacketIds;
use super::qos2_releases::OwedReleases;
use super::token::Token;
use super::unreleased_qos2::{SavedExchange, UnreleasedMessages};
use crate::wire::{PacketId, PropertyId, Publish};

/// A published message that the peer has not acknowledged, at QoS 2 by its PUBREC.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct InFlight {
    /// Packet identifier of the message, which it keeps when it is resent (\[MQTT-4.4.0-1\]).
    pub packet_id: PacketId,
    /// Token that was given to [`publish`](super::Session::publish).
    pub token: Token,
    /// The message. Between connections a client may set its Message Expiry Interval to the remaining time at the begin of the next connection;
    /// the session subtracts the time that the message waits after that. A server must not change it, because its session subtracts all the time
    /// since it was published.
    pub publish: Publish,
    /// True if it was written at least once, so that the peer may have it and DUP is set.
    pub sent: bool,
    /// Time for which the Message Expiry Interval was computed last, in the caller's milliseconds.
    pub(super) as_of_ms: u64,
}

/// Bytes of memory of a message in flight beside its topic, properties and payload.
const OVERHEAD: usize = 256;

/// Memory of messages, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Bytes beside the payloads.
    pub(crate) own: usize,
    /// Bytes of payloads, which may be shared with other holders.
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
    /// Time at which the message expires, in the caller's milliseconds; `None` if it does not.
    pub(crate) fn expires_ms(&self) -> Option<u64> {
        let said_s = self.publish.properties.u32(PropertyId::MessageExpiryInterval)?;
        Some(self.as_of_ms + u64::from(said_s) * 1000)
    }

    /// Returns whether the peer may hold the message's identifier until PUBREL.
    pub(crate) fn may_be_held(&self) -> bool {
        self.sent && PacketIds::is_of_qos_2(self.packet_id)
    }

    pub(super) fn memory(&self) -> Memory {
        let Publish { topic, properties, payload, .. } = &self.publish;
        Memory { own: OVERHEAD + topic.len() + properties.as_bytes().len(), payloads: payload.len() }
    }
}

/// State of a session between two connections. For QoS 1 it holds only sent messages, because received ones without an acknowledgement come
/// again by themselves. For QoS 2 it also holds the identifiers of messages whose exchange is not complete, in both directions.
#[derive(Debug, Clone, Default)]
pub struct Resume {
    pub(super) in_flight: Vec<InFlight>,
    pub(super) ids: PacketIds,
    /// Identifiers of QoS 2 that the peer may hold, in the order of its PUBRECs.
    pub(super) releases: OwedReleases,
    pub(super) received: UnreleasedMessages,
    /// Set if a CONNECT got no CONNACK: the server may have lost the session and made a new one, and will say that there is one (§3.2.2.1.1).
    pub(super) is_doubtful: bool,
}

impl Resume {
    /// Creates the state of a session that exists and has nothing in flight.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates the state of a session that the peer has, and of which this side has lost all exchanges.
    pub(crate) fn forgotten() -> Self {
        let mut resume = Self::default();
        resume.ids.set_unknown(true);
        resume
    }

    /// Returns the exchanges of received messages to be saved. `all_are_safe`: what was taken in and not answered is safe too.
    pub(crate) fn exchanges_to_save(&self, all_are_safe: bool) -> Vec<SavedExchange> {
        self.received.to_save(all_are_safe)
    }

    /// Adds an exchange that was saved. Its message is answered when it comes again.
    pub(crate) fn add_saved_exchange(&mut self, exchange: SavedExchange) {
        self.received.add_saved(exchange);
    }

    /// Creates the state of a new session, whose packet identifiers start at `first`.
    pub(super) fn beginning_at(first: PacketId) -> Self {
        Self { ids: PacketIds::starting_at(first), ..Self::default() }
    }

    /// Unacknowledged messages in their original order.
    pub fn in_flight(&self) -> &[InFlight] {
        &self.in_flight
    }

    /// Tokens of the messages that the peer has accepted at QoS 2 and not completed.
    pub(crate) fn uncompleted(&self) -> impl Iterator<Item = Token> {
        self.releases.tokens()
    }

    /// Returns whether a CONNECT got no CONNACK since the last accepted one. The server may have lost the session and made a new one for it, and says at
    /// the next CONNECT that there is a session.
    pub fn is_doubtful(&self) -> bool {
        self.is_doubtful
    }

    /// Begins the exchanges again of messages that were accepted and not completed, with their PUBLISH and in the order of the tokens, because the session
    /// [is doubtful](Self::is_doubtful). `publish` gives each message again. A peer that still holds one takes it for a repeat; one that has completed
    /// it, and whose PUBCOMP was lost, gets it twice.
    pub fn begin_again(&mut self, mut publish: impl FnMut(Token) -> Option<Publish>) {
        let taken = self.releases.take_taken().into_iter();
        let again = taken.filter_map(|(packet_id, token)| {
            Some(InFlight { packet_id, token, publish: publish(token)?, sent: true, as_of_ms: 0 })
        });
        self.in_flight = again.chain(std::mem::take(&mut self.in_flight)).collect();
        // Peers that answer out of order let younger ones go ahead.
        self.in_flight.sort_by_key(|message| message.token);
    }

    /// Returns whether a message in either direction is unfinished.
    pub(crate) fn has_unfinished(&self) -> bool {
        !self.in_flight.is_empty() || !self.releases.is_empty() || !self.received.is_empty()
    }

    /// Memory of the messages, and of the identifiers of received ones. Walks over all of them.
    pub(crate) fn memory(&self) -> Memory {
        let mut memory = self.in_flight_memory();
        memory.own += self.received.bytes() + self.releases.bytes();
        memory
    }

    /// Memory of the messages in flight. Walks over all of them.
    pub(super) fn in_flight_memory(&self) -> Memory {
        let mut memory = Memory::default();
        self.in_flight.iter().for_each(|message| memory += message.memory());
        memory
    }

    /// Messages of [`in_flight`](Self::in_flight), to be changed before they are resent.
    pub fn in_flight_mut(&mut self) -> &mut [InFlight] {
        &mut self.in_flight
    }

    /// Removes a message from the session, so that it is not resent. For a message at which the peer ends the connection. The identifier of one that
    /// was sent at QoS 2 is released.
    pub fn forget(&mut self, token: Token) {
        for gone in self.in_flight.extract_if(.., |message| message.token == token) {
            if gone.may_be_held() {
                self.releases.add(gone.packet_id);
            }
        }
    }

    /// Removes expired messages (§3.3.2.3.3), because a receiver that returns late must not get them, and returns their tokens. For a server,
    /// whose messages keep the expiry that they had when published.
    pub(crate) fn take_expired(&mut self, now_ms: u64) -> Vec<Token> {
        // Of QoS 2 the exchange goes on, once it has begun (§4.3.3).
        let is_over = |message: &InFlight| {
            !message.may_be_held() && message.expires_ms().is_some_and(|at_ms| at_ms <= now_ms)
        };
        self.in_flight.extract_if(.., |message| is_over(message)).map(|message| message.token).collect()
    }

    /// Returns the messages in flight and drops the rest of the state.
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
