//! Inputs and outputs of a [`Session`](super::Session).

use bytes::{Bytes, BytesMut};

use super::ack_handle::AckHandle;
use super::{InFlight, ServerLimits, Token};
use crate::wire::{
    Connect, DecodeError, Disconnect, PacketType, PropertyId, Publish, ReasonCode, SubAck, Subscribe,
    UnsubAck, Unsubscribe, Utf8,
};

/// Input from the network connection. New kinds come only with a breaking release.
#[derive(Debug)]
pub enum Input<'a> {
    /// Bytes that were received, in order. The session takes whole packets from the front and leaves the rest; it stops after
    /// [`PACKETS_PER_TURN`](super::PACKETS_PER_TURN) packets so that one connection cannot starve others: drain
    /// [`poll_output`](super::Session::poll_output) and call again while the buffer gets shorter.
    Bytes(&'a mut BytesMut),
    /// The socket accepted bytes of [`Output::Transmit`]. Optional: without this input all bytes count as accepted at once.
    Written {
        /// Number of bytes that the socket accepted.
        bytes: u64,
        /// Set if the socket's send buffer was full before, which proves that earlier bytes have left.
        waited: bool,
    },
    /// The network connection ended.
    Closed,
}

/// Action for the caller to perform. New kinds come only with a breaking release.
#[derive(Debug, Clone)]
pub enum Output {
    /// Write these bytes to the network, in order. They may end within a packet, because a server's large payloads are separate, uncopied
    /// pieces.
    Transmit(Bytes),
    /// Event for the caller.
    Event(Event),
}

/// Event of the session for the application.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// Server: a client asks to connect. Answer with [`accept`](super::Session::accept) or [`refuse`](super::Session::refuse); nothing else is
    /// read until then.
    Connect(Box<Connect>),
    /// Client: the server accepted the connection.
    Connected(Box<Connected>),
    /// A message came. A topic alias is already replaced by its topic.
    Publish {
        /// Message from the peer.
        publish: Publish,
        /// Handle for [`ack`](super::Session::ack), to be called when the message is safe; `None` at QoS 0.
        ack: Option<AckHandle>,
    },
    /// A QoS 2 message came again that the caller had [taken in](super::Session::take_in) on an earlier connection of the session, so that it
    /// must not be delivered again.
    Repeated {
        /// Message from the peer, for a caller that has no other copy any more.
        publish: Publish,
        /// Handle for [`ack`](super::Session::ack), to be called when the first copy of the message is safe.
        ack: AckHandle,
        /// Handle of the copy on the last connection on which it came.
        earlier: AckHandle,
    },
    /// Client of a 3.1.1 server: a message came that is larger than the client's limit. It is acknowledged unread and lost, because it would
    /// otherwise come again on every connection.
    TooLarge {
        /// Topic of the message.
        topic: Utf8,
        /// Size of the packet in bytes.
        size: usize,
        /// Largest packet that is read, in bytes.
        limit: u32,
    },
    /// The peer answered a published message, by PUBACK or at QoS 2 by PUBREC. A reason below 0x80 (also 0x10, no matching subscribers) means that
    /// the peer accepted it; otherwise the peer refused it. In both cases the session does not send it again.
    Acked {
        /// Token that was given to [`publish`](super::Session::publish).
        token: Token,
        /// Reason code of the peer's answer.
        reason: ReasonCode,
        /// Time since the message was written, on this connection, in milliseconds.
        took_ms: u64,
        /// Unset if the message was accepted at QoS 2 and [`Completed`](Self::Completed) is still to come. Until then the peer may hold the message
        /// back (§4.3.3), so that it is lost with the peer's session: keep it.
        is_complete: bool,
    },
    /// An identifier of QoS 2 is free, so that there may be room: the peer completed a message (PUBCOMP), of which [`Acked`](Self::Acked) came before,
    /// or it was waited for long enough.
    Completed {
        /// Token that was given to [`publish`](super::Session::publish); `None` if nobody knew whether the peer held a message under the identifier.
        token: Option<Token>,
        /// Set if the peer sent a PUBCOMP. Otherwise nobody knows whether the message was handed on: publish it again if it must not be lost.
        by_peer: bool,
    },
    /// An identifier of QoS 2 is free, and the peer has lost the message: it accepted it (PUBREC, [`Acked`](Self::Acked)) and did not know the identifier at
    /// PUBREL, on the same connection. Publish it again if it must not be lost.
    Forgotten {
        /// Token that was given to [`publish`](super::Session::publish).
        token: Token,
        /// Reason code of the PUBCOMP, [`PACKET_IDENTIFIER_NOT_FOUND`](ReasonCode::PACKET_IDENTIFIER_NOT_FOUND).
        reason: ReasonCode,
    },
    /// A message of the resumed session is larger than the peer's *new* Maximum Packet Size. It is no longer in flight.
    Unsendable {
        /// Token that was given to [`publish`](super::Session::publish).
        token: Token,
        /// Size of the packet in bytes.
        size: usize,
        /// Largest packet that the peer accepts, in bytes.
        limit: u32,
    },
    /// Server: the client subscribes; answer with [`suback`](super::Session::suback).
    Subscribe(Subscribe),
    /// Server: the client unsubscribes; answer with [`unsuback`](super::Session::unsuback).
    Unsubscribe(Unsubscribe),
    /// Client: the answer to [`subscribe`](super::Session::subscribe).
    SubAck(SubAck),
    /// Client: the answer to [`unsubscribe`](super::Session::unsubscribe).
    UnsubAck(UnsubAck),
    /// Client: a PINGREQ was answered.
    PingAnswered {
        /// Round trip in milliseconds, without the time for bytes written before the PINGREQ.
        rtt_ms: u64,
    },
    /// The connection is over. This is the last event: write every earlier [`Output::Transmit`], then close the network connection.
    Closed(Closed),
}

/// Result of a client's accepted handshake.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Connected {
    /// Outcome for the session that the client had before.
    pub session: SessionOutcome,
    /// Set if a CONNECT since the connection before got no CONNACK. A server that lost the session and made a new one for it says that there is a
    /// session, in which subscriptions may be missing, and messages that were not completed ([`Resume::begin_again`](super::Resume::begin_again)).
    pub is_doubtful: bool,
    /// Limits that the server announced.
    pub server: ServerLimits,
}

/// Outcome for the session, from Session Present (§3.2.2.1.1) and the client's own state. New kinds come only with a breaking release.
#[derive(Debug, Clone)]
pub enum SessionOutcome {
    /// Neither side had a session.
    New,
    /// Both sides have a session. Unacknowledged messages are being resent, in order, within the new Receive Maximum.
    Resumed,
    /// The server has lost the session, and with it the subscriptions. The contained messages were in flight, or about to be sent, and are no
    /// longer. Publish them again, or drop them deliberately; before them those that were accepted and not
    /// [completed](Event::Completed), which the session does not keep.
    Lost(Vec<InFlight>),
    /// The server is another one than that of the connection before, and has a session under this name, perhaps of another time. The contained messages
    /// are no longer in flight, as after [`Lost`](Self::Lost), and identifiers are as after [`Unknown`](Self::Unknown). If both servers share the
    /// session, what is published again may come twice; it would otherwise be lost where they do not.
    Moved(Vec<InFlight>),
    /// The server has a session, the client has none, as after a restart without its state or with a second client of the same identifier. The
    /// standard says to close (\[MQTT-3.2.2-4\]); a client with a durable queue of its own can go on. The caller decides.
    Unknown,
}

/// Reason why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Closed {
    /// The network connection ended without a DISCONNECT.
    Transport,
    /// The peer sent DISCONNECT. [`ReasonCode::DISCONNECT_WITH_WILL`] and errors keep the will, 0x00 discards it.
    Peer {
        /// Reason code of the DISCONNECT.
        reason: ReasonCode,
        /// New Session Expiry Interval in seconds; `None` if the DISCONNECT has none (§3.14.2.2.2).
        session_expiry_s: Option<u32>,
    },
    /// Client: the server refused the connection by CONNACK; contains its reason.
    Refused(ReasonCode),
    /// The peer broke the protocol, or a limit. An MQTT 5 peer got a DISCONNECT with the reason.
    Violation(Violation),
    /// The client sent nothing for one and a half keep alives, or the server did not answer a PINGREQ.
    KeepAlive,
    /// Server: the client began a packet, and did not complete it in time.
    UnfinishedPacket,
    /// Server: the client did not read its answers, and so was not read, for one and a half keep alives. Only a
    /// [`Listener`](crate::listener::Listener) tells it, since a session alone does not know why it is not given bytes.
    AnswersUnread,
    /// No CONNECT or CONNACK in time, behind the handshakes of TLS and WebSocket.
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

/// Violation of the protocol by the peer, after which the connection has to end.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// The bytes are not a packet, or exceed a limit of this side.
    Decode(DecodeError),
    /// The bytes of a PUBACK, PUBREC or PUBCOMP are invalid. The message that it answers may be the cause.
    DecodeAnswer(DecodeError),
    /// A packet that is not allowed in this state of the connection.
    Unexpected(PacketType),
    /// More unacknowledged messages than this side's Receive Maximum.
    ReceiveMaximumExceeded,
    /// A Topic Alias that is zero, too large, or was never set.
    TopicAliasInvalid,
    /// A new message with the packet identifier of one that is not yet acknowledged.
    PacketIdInUse,
    /// CONNECT asks for an extended authentication, which this side does not support.
    AuthenticationNotSupported,
    /// A SUBACK or UNSUBACK has another number of answers than the request has filters.
    AnswerCount,
    /// A client's PUBLISH has a Subscription Identifier, which a server alone may add (§3.3.2.3.8).
    SubscriptionIdentifier,
    /// A client's DISCONNECT has a Session Expiry Interval, and its CONNECT had none (§3.14.2.2.2). Its will is published.
    LateSessionExpiry,
    /// A frame below MQTT breaks a rule of WebSocket; contains the rule in words. From below MQTT, by [`Input::Broken`](crate::listener::Input::Broken).
    WebSocket(String),
    /// TLS failed behind its handshake, as by a record that the session's key did not make; contains the error in words. Likewise.
    Tls(String),
}

impl Violation {
    /// The reason code for the DISCONNECT.
    pub fn reason(&self) -> ReasonCode {
        match self {
            Self::Decode(error) | Self::DecodeAnswer(error) => error.reason_code(),
            Self::Unexpected(_)
            | Self::PacketIdInUse
            | Self::AnswerCount
            | Self::SubscriptionIdentifier
            | Self::LateSessionExpiry
            | Self::WebSocket(_)
            | Self::Tls(_) => ReasonCode::PROTOCOL_ERROR,
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
            Self::SubscriptionIdentifier => f.write_str("a Subscription Identifier in a client's PUBLISH"),
            Self::LateSessionExpiry => {
                f.write_str("a Session Expiry Interval in DISCONNECT after a CONNECT without one")
            }
            Self::WebSocket(rule) => write!(f, "WebSocket: {rule}"),
            Self::Tls(error) => write!(f, "TLS: {error}"),
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
            Self::UnfinishedPacket => f.write_str("the peer began a packet, and did not complete it in time"),
            Self::AnswersUnread => {
                f.write_str("the peer did not read its answers, and was not read, for too long")
            }
            Self::Handshake => f.write_str("no CONNECT or CONNACK came in time"),
            Self::Local(reason) => write!(f, "closed here: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_says_which_packet_is_missing() {
        assert_eq!(Closed::Handshake.to_string(), "no CONNECT or CONNACK came in time");
    }

    #[test]
    fn a_violation_says_what_is_wrong() {
        assert_eq!(Violation::TopicAliasInvalid.to_string(), "invalid Topic Alias");
        let closed = Closed::Violation(Violation::PacketIdInUse).to_string();
        assert_eq!(closed, "the peer broke the protocol: the packet identifier is still in use");
    }
}
