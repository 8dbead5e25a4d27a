//! Inputs and outputs of a [`Session`](super::Session).

use bytes::{Bytes, BytesMut};

use super::{InFlight, ServerLimits, Token};
use crate::wire::{
    Connect, DecodeError, Disconnect, PacketType, PropertyId, Publish, ReasonCode, SubAck, Subscribe,
    UnsubAck, Unsubscribe, Utf8,
};

/// Event of the network connection. Exhaustive.
#[derive(Debug)]
pub enum Input<'a> {
    /// Bytes that were received, in order. The session takes whole packets from the front and leaves the rest; it stops after
    /// [`PACKETS_PER_TURN`](super::PACKETS_PER_TURN) packets so that one connection cannot starve others: drain
    /// [`poll_output`](super::Session::poll_output) and call again while the buffer gets shorter.
    Bytes(&'a mut BytesMut),
    /// The system took bytes of [`Output::Transmit`]. Optional: a caller that never says so is taken to write everything at once.
    Written {
        /// Number of bytes that the system took.
        bytes: u64,
        /// Set if the system had no room before, which proves that earlier bytes have left.
        waited: bool,
    },
    /// The network connection ended.
    Closed,
}

/// Action that the caller performs. Exhaustive.
#[derive(Debug)]
pub enum Output {
    /// Write these bytes to the network, in order. They may end within a packet: a server's large payloads are not copied, and come apart.
    Transmit(Bytes),
    /// Event for the caller.
    Event(Event),
}

/// The right to acknowledge one received message, on the connection it came by: after a reconnect the same packet identifier may
/// mean another message, so a handle of an older connection is refused ([`StaleAck`](super::StaleAck)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AckHandle {
    pub(super) epoch: u64,
    pub(super) serial: u64,
}

impl AckHandle {
    /// Returns whether both are of messages of one connection.
    #[cfg(any(test, feature = "net"))]
    pub(crate) fn is_of_connection_of(&self, other: &Self) -> bool {
        self.epoch == other.epoch
    }
}

#[cfg(test)]
impl AckHandle {
    pub(crate) fn for_test(epoch: u64, serial: u64) -> Self {
        Self { epoch, serial }
    }
}

/// Something the application must know.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// Server: a client asks to connect. Answer with [`accept`](super::Session::accept) or [`refuse`](super::Session::refuse);
    /// nothing else is read until then.
    Connect(Box<Connect>),
    /// Client: the server accepted.
    Connected(Box<Connected>),
    /// A message came. Its topic is resolved (an alias never shows).
    Publish {
        /// Message from the peer.
        publish: Publish,
        /// Handle to be given to [`ack`](super::Session::ack) when the message is safe; not of QoS 0.
        ack: Option<AckHandle>,
    },
    /// A QoS 2 message came again that was [taken in](super::Session::take_in) on an earlier connection of the session: it is not to be handed on.
    Repeated {
        /// Handle to be given to [`ack`](super::Session::ack) when the message that came first is safe.
        ack: AckHandle,
    },
    /// Client of a 3.1.1 server: a message came that is larger than the limit of the client's reader. It is acknowledged, unread, since it would come
    /// again on every connection: it is lost.
    TooLarge {
        /// Topic of the message.
        topic: Utf8,
        /// Bytes of the packet.
        size: usize,
        /// Largest packet that is read.
        limit: u32,
    },
    /// The peer answered a published message: below 0x80 it took it (0x10, no matching subscribers, included), otherwise it did not,
    /// and will not be asked again by the session.
    Acked {
        /// Token that was given to [`publish`](super::Session::publish).
        token: Token,
        /// Reason code of the peer's answer.
        reason: ReasonCode,
        /// Time since the message was written, on this connection, in milliseconds.
        took_ms: u64,
    },
    /// A message of the resumed session is larger than the peer's *new* Maximum Packet Size. It is no longer in flight.
    Unsendable {
        /// Token that was given to [`publish`](super::Session::publish).
        token: Token,
        /// Bytes of the packet.
        size: usize,
        /// Largest packet that the peer takes.
        limit: u32,
    },
    /// Server: the client subscribes; answer with [`suback`](super::Session::suback).
    Subscribe {
        /// The request; filters that asked for QoS 2 ask for QoS 1 here.
        subscribe: Subscribe,
        /// Number of filters that did: the protocol's own way of saying that QoS 2 is not granted is the SUBACK.
        qos2_downgraded: usize,
    },
    /// Server: the client unsubscribes; answer with [`unsuback`](super::Session::unsuback).
    Unsubscribe(Unsubscribe),
    /// Client: the answer to [`subscribe`](super::Session::subscribe).
    SubAck(SubAck),
    /// Client: the answer to [`unsubscribe`](super::Session::unsubscribe).
    UnsubAck(UnsubAck),
    /// Client: a PINGREQ was answered.
    PingAnswered {
        /// Round trip in milliseconds, without the time that what was written before may have taken.
        rtt_ms: u64,
    },
    /// The connection is over. Last event; write what [`Output::Transmit`] came before it, then close the network connection.
    Closed(Closed),
}

/// A client's connection was accepted.
#[derive(Debug)]
#[non_exhaustive]
pub struct Connected {
    /// Fate of the earlier session.
    pub session: SessionOutcome,
    /// Limits that the server announced.
    pub server: ServerLimits,
}

/// Session Present (§3.2.2.1.1) against what the client has. Exhaustive.
#[derive(Debug)]
pub enum SessionOutcome {
    /// Neither side had a session.
    New,
    /// Both have it: unacknowledged messages are being resent, in order, within the new Receive Maximum.
    Resumed,
    /// The server has lost it. Subscriptions are gone; these messages were sent, or were about to be, and are no longer in flight:
    /// publish them again, or give them up knowingly.
    Lost(Vec<InFlight>),
    /// The server has one, the client does not: a restart without its state, or a second client with the same identifier. The
    /// standard says to close (\[MQTT-3.2.2-4\]); a client whose messages are in a durable queue of its own can go on. The caller decides.
    Unknown,
}

/// Cause of a connection's end.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Closed {
    /// The network connection ended without a word.
    Transport,
    /// The peer sent DISCONNECT: [`ReasonCode::DISCONNECT_WITH_WILL`] and errors keep the will, 0x00 discards it.
    Peer {
        /// Reason code of the DISCONNECT.
        reason: ReasonCode,
        /// A new Session Expiry Interval in seconds, if it named one (§3.14.2.2.2).
        session_expiry_s: Option<u32>,
    },
    /// Client: the server refused with CONNACK.
    Refused(ReasonCode),
    /// The peer broke the protocol, or a limit. It was told so if it speaks MQTT 5.
    Violation(Violation),
    /// No packet for one and a half keep alives, or no answer to a PINGREQ.
    KeepAlive,
    /// No CONNECT or CONNACK in time.
    Handshake,
    /// [`disconnect`](super::Session::disconnect) or [`refuse`](super::Session::refuse) was called.
    Local(ReasonCode),
}

impl From<&Disconnect> for Closed {
    fn from(disconnect: &Disconnect) -> Self {
        let session_expiry_s = disconnect.properties.u32(PropertyId::SessionExpiryInterval);
        Self::Peer { reason: disconnect.reason, session_expiry_s }
    }
}

/// Violation by a peer that the connection cannot go on after.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// The bytes are not a packet, or break a limit of ours.
    Decode(DecodeError),
    /// The bytes of a PUBACK, PUBREC or PUBCOMP are wrong: the message that it answers may be the cause.
    DecodeAnswer(DecodeError),
    /// A packet that may not come here and now.
    Unexpected(PacketType),
    /// More unacknowledged messages than our Receive Maximum.
    ReceiveMaximumExceeded,
    /// A Topic Alias that is zero, too large, or was never set.
    TopicAliasInvalid,
    /// A new message with the packet identifier of one that is not yet acknowledged.
    PacketIdInUse,
    /// CONNECT asks for an extended authentication, which this side does not know.
    AuthenticationNotSupported,
    /// The number of answers in a SUBACK or UNSUBACK is not that of the question.
    AnswerCount,
}

impl Violation {
    /// The reason code for the DISCONNECT.
    pub fn reason(&self) -> ReasonCode {
        match self {
            Self::Decode(error) | Self::DecodeAnswer(error) => error.reason_code(),
            Self::Unexpected(_) | Self::PacketIdInUse | Self::AnswerCount => ReasonCode::PROTOCOL_ERROR,
            Self::ReceiveMaximumExceeded => ReasonCode::RECEIVE_MAXIMUM_EXCEEDED,
            Self::TopicAliasInvalid => ReasonCode::TOPIC_ALIAS_INVALID,
            Self::AuthenticationNotSupported => ReasonCode::BAD_AUTHENTICATION_METHOD,
        }
    }
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Decode(error) | Self::DecodeAnswer(error) => error.fmt(f),
            Self::Unexpected(packet) => write!(f, "{packet:?} is not allowed here"),
            Self::ReceiveMaximumExceeded => {
                f.write_str("more unacknowledged messages than the Receive Maximum")
            }
            Self::TopicAliasInvalid => f.write_str("invalid Topic Alias"),
            Self::PacketIdInUse => f.write_str("the packet identifier is still in use"),
            Self::AuthenticationNotSupported => f.write_str("extended authentication is not supported"),
            Self::AnswerCount => f.write_str("the acknowledgement answers another number of filters"),
        }
    }
}

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Transport => f.write_str("the network connection ended"),
            Self::Peer { reason, .. } => write!(f, "the peer disconnected: {reason}"),
            Self::Refused(reason) => write!(f, "the server refused the connection: {reason}"),
            Self::Violation(violation) => write!(f, "the peer broke the protocol: {violation}"),
            Self::KeepAlive => f.write_str("the peer was silent for too long"),
            Self::Handshake => f.write_str("the handshake took too long"),
            Self::Local(reason) => write!(f, "closed here: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_of_one_connection_are_told_from_those_of_another() {
        let handle = AckHandle::for_test(1, 1);
        assert!(handle.is_of_connection_of(&AckHandle::for_test(1, 2)));
        assert!(!handle.is_of_connection_of(&AckHandle::for_test(2, 1)));
    }

    #[test]
    fn a_violation_says_what_is_wrong() {
        assert_eq!(Violation::TopicAliasInvalid.to_string(), "invalid Topic Alias");
        let closed = Closed::Violation(Violation::PacketIdInUse).to_string();
        assert_eq!(closed, "the peer broke the protocol: the packet identifier is still in use");
    }
}
