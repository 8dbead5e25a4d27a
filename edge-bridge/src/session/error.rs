//! Errors of calls that sent nothing.

use crate::wire::{EncodeError, QoS};

/// Reason why a message was not published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The handshake is not done, or the connection is over.
    #[error("not connected")]
    NotConnected,
    /// The peer's Receive Maximum, or our own limit, is reached. [`Session::room`](super::Session::room) tells when there is room for QoS 1. For QoS 2
    /// there is none either while 256 such messages are uncompleted (20 at a server of 3.1.1), and for a round trip before the first one in a session
    /// that only the peer has kept; [`Event::Completed`](super::Event::Completed) tells when to try again.
    #[error("the window is full: {window} messages are unacknowledged")]
    WindowFull {
        /// Limit of unacknowledged messages that is reached.
        window: u16,
    },
    /// The message's QoS is above the server's Maximum QoS (§3.2.2.3.4).
    #[error("the server takes at most {maximum:?}")]
    QosNotSupported {
        /// Highest QoS that the server accepts.
        maximum: QoS,
    },
    /// The message is retained, and the server's Retain Available forbids that (§3.2.2.3.5).
    #[error("the server takes no retained messages")]
    RetainNotSupported,
    /// The packet is larger than the peer's Maximum Packet Size.
    #[error("a packet of {size} bytes, the peer takes {limit}")]
    TooLarge {
        /// Bytes of the whole packet.
        size: usize,
        /// Largest packet that the peer accepts, in bytes.
        limit: u32,
    },
    /// The message cannot be encoded as MQTT.
    #[error("not a valid message: {0}")]
    Invalid(#[from] EncodeError),
}

/// Reason why a request was not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The handshake is not done, or the connection is over.
    #[error("not connected")]
    NotConnected,
    /// There are 64 requests without an answer.
    #[error("too many requests without an answer")]
    TooMany,
    /// The packet is larger than the peer's Maximum Packet Size.
    #[error("a packet of {size} bytes, the peer takes {limit}")]
    TooLarge {
        /// Bytes of the whole packet.
        size: usize,
        /// Largest packet that the peer accepts, in bytes.
        limit: u32,
    },
    /// The request cannot be encoded as MQTT.
    #[error("not a valid request: {0}")]
    Invalid(#[from] EncodeError),
}

/// Error of an acknowledgement whose handle belongs to a connection that is over, or was used before. Nothing was sent; the peer will send the
/// message again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the message came by an earlier connection, or was acknowledged before")]
pub struct StaleAck;
