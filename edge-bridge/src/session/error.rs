//! Refusals of a call. Nothing was sent then.

use crate::wire::{EncodeError, QoS};

/// A message was not published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The handshake is not done, or the connection is over.
    #[error("not connected")]
    NotConnected,
    /// The peer's Receive Maximum, or our own limit, is reached: [`Session::room`](super::Session::room) says when to go on.
    #[error("the window is full: {window} messages are unacknowledged")]
    WindowFull {
        /// Receive Maximum of the peer.
        window: u16,
    },
    /// QoS 2 is not implemented here; it is refused, never sent as something less.
    #[error("QoS 2 is not supported by this client")]
    QoS2,
    /// The server's Maximum QoS (§3.2.2.3.4).
    #[error("the server takes at most {maximum:?}")]
    QosNotSupported {
        /// The highest QoS that it takes.
        maximum: QoS,
    },
    /// The server's Retain Available (§3.2.2.3.5).
    #[error("the server takes no retained messages")]
    RetainNotSupported,
    /// The peer's Maximum Packet Size.
    #[error("a packet of {size} bytes, the peer takes {limit}")]
    TooLarge {
        /// Bytes of the whole packet.
        size: usize,
        /// Largest packet that the peer takes.
        limit: u32,
    },
    /// The message is not one of MQTT.
    #[error("not a valid message: {0}")]
    Invalid(#[from] EncodeError),
}

/// A request was not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The handshake is not done, or the connection is over.
    #[error("not connected")]
    NotConnected,
    /// More than 64 requests without an answer.
    #[error("too many requests without an answer")]
    TooMany,
    /// QoS 2 is not implemented here.
    #[error("a subscription at QoS 2 is not supported by this client")]
    QoS2,
    /// The peer's Maximum Packet Size.
    #[error("a packet of {size} bytes, the peer takes {limit}")]
    TooLarge {
        /// Bytes of the whole packet.
        size: usize,
        /// Largest value that is allowed.
        limit: u32,
    },
    /// The request is not one of MQTT.
    #[error("not a valid request: {0}")]
    Invalid(#[from] EncodeError),
}

/// The handle belongs to a connection that is over, or was used before: nothing is sent. The peer will send the message again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the message came by an earlier connection, or was acknowledged before")]
pub struct StaleAck;
