//! Inputs, outputs and events of a [`Listener`](super::Listener).

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};

use super::session_user::SessionUser;
use crate::puback_chain::{ConnectionId, Ticket};
use crate::row::Row;
use crate::session::{Closed, Violation};
use crate::wire::{ReasonCode, TopicError, Utf8, Version};

/// Input from a network connection. New kinds come only with a breaking release.
#[derive(Debug)]
pub enum Input<'a> {
    /// Received bytes, in order, while [`may_read`](super::Listener::may_read) is true. At most
    /// [`PACKETS_PER_TURN`](crate::session::PACKETS_PER_TURN) whole packets are taken from the front, and the rest is left; call again while
    /// the buffer gets shorter.
    Bytes(&'a mut BytesMut),
    /// The client showed a certificate with this name, which the caller verified. The name replaces the user name of its CONNECT. Report it
    /// before any bytes.
    Certified(Utf8),
    /// The connection was made by a proxy, which the caller trusts, for a client with this address. It replaces that of
    /// [`accept_from`](super::Listener::accept_from). Report it before any bytes.
    Forwarded(SocketAddr),
    /// Bytes came, and wait until the caller hands them over. The connection then does not count as one without progress. For callers that serve
    /// connections in turns.
    Waiting {
        /// Up time at which these bytes were read, in milliseconds, if the connection had no backlog then, see
        /// [`Inbound::up_to_date_ms`](crate::ingest::Inbound::up_to_date_ms).
        up_to_date_ms: Option<u64>,
    },
    /// Number of bytes of [`Output::Transmit`] that were written.
    Written(usize),
    /// The peer broke a rule of WebSocket or TLS below MQTT, which ends the connection. Report [`Closed`](Self::Closed) behind it, when the bytes that
    /// came before are handled: it then ends for this cause, unless these bytes have another.
    Broken(Violation),
    /// The peer, or the network, closed the connection.
    Closed,
    /// The peer closed the connection, or the network lost it, while it is not read. Its bytes may still be read later; until then its keep alive
    /// counts, and a new connection may displace it. Report it again if it still holds after bytes were handled.
    Gone {
        /// Received bytes that were not handled, or as much of their beginning as the caller has. If the connection ends before they are read, a
        /// DISCONNECT in them counts, so that a client that disconnected properly leaves no will.
        unread: &'a [u8],
    },
}

/// Action for the caller to perform. New kinds come only with a breaking release.
#[derive(Debug)]
pub enum Output {
    /// Write these bytes to the connection, in order, and report them with [`Input::Written`].
    Transmit {
        /// Connection to which the bytes are written.
        connection: ConnectionId,
        /// Bytes to write. A large payload is in memory once for all clients that get it, and counts against the memory limit while the caller
        /// holds it, so do not copy it.
        bytes: Bytes,
    },
    /// Write the remaining bytes, then close the network connection. The last output of this connection.
    Close {
        /// Connection that is to be closed.
        connection: ConnectionId,
        /// Drop the remaining bytes instead, because their memory is needed.
        discards: bool,
    },
    /// Push these rows to the queue, and call [`resolve`](super::Listener::resolve) when all of them are safe; if it is full, hand them back
    /// with [`hand_back`](super::Listener::hand_back).
    Store {
        /// Number of the message, to be given to `resolve` or `hand_back`.
        ticket: Ticket,
        /// Rows to store: at least one, unless the message is [withheld](crate::ingest::Answer::Withhold).
        rows: Vec<Row>,
    },
    /// Write a commit of the queue now, because a publisher waits for its PUBACK, or too many bytes wait in total.
    Commit,
    /// Outcome of a message given to [`publish`](super::Listener::publish): all its subscribers have acknowledged it, or never will.
    Settled(Settled),
    /// Event for the log.
    Event(Event),
}

/// Number of a message of the application, given by [`publish`](super::Listener::publish).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublishId(pub(super) u64);

/// Outcome of a message of the application. New fields come only with a breaking release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    /// Number of the message, as [`publish`](super::Listener::publish) returned it.
    pub publish: PublishId,
    /// Number of clients that acknowledged the message, or to which it was sent at QoS 0.
    pub delivered: u32,
    /// Number of those clients to which it was sent at QoS 0, so that its arrival is unknown.
    pub sent: u32,
    /// Number of clients that did not get the message, because it expired, exceeded their Maximum Packet Size, was evicted from a full queue, their
    /// session ended, or they refused it.
    pub dropped: u32,
    /// Number of copies that were written to a connection, at any QoS, so that a client may have got them. 0: certainly nobody has the message, and it
    /// may be published again.
    pub written: u32,
}

/// Event for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A client's connection was accepted.
    Connected {
        /// Connection of the client.
        connection: ConnectionId,
        /// Client identifier, also one that the listener assigned.
        client: Utf8,
        /// MQTT version of the client.
        version: Version,
        /// True if the client continues an earlier session.
        session_present: bool,
    },
    /// A connection from one of the trusted proxies (`net::ServerBuilder::trusted_proxies`) does not begin with a valid PROXY header. Only from
    /// `net::Server`.
    NoProxyHeader {
        /// Connection of the proxy.
        connection: ConnectionId,
        /// Cause in words; nothing in it comes from the peer.
        error: String,
    },
    /// The TLS handshake of a client failed, or the certificate that it showed cannot be used, such as one without a common name, or with several.
    /// Only from `net::Server`.
    NoTls {
        /// Connection of the client.
        connection: ConnectionId,
        /// Cause in words; escape it before showing it to people.
        error: String,
    },
    /// The WebSocket handshake of a client failed. Only from `net::Server`.
    NoWebSocket {
        /// Connection of the client.
        connection: ConnectionId,
        /// Cause in words; escape it before showing it to people.
        error: String,
    },
    /// A client's connection was refused.
    Refused {
        /// Connection of the client.
        connection: ConnectionId,
        /// Client identifier that the CONNECT gave.
        client: Utf8,
        /// User as whom it came.
        user: SessionUser,
        /// Reason sent to the client; a 3.1.1 client got the nearest return code.
        reason: ReasonCode,
    },
    /// A client's SUBSCRIBE was answered.
    Subscribed {
        /// Connection of the client.
        connection: ConnectionId,
        /// Identifier of the client.
        client: Utf8,
        /// Number of filters that were granted.
        granted: usize,
        /// Number of filters that were refused. [`Stats::filters_refused`](super::Stats::filters_refused) counts all.
        refused: usize,
        /// First of these filters, with the reason, of which a client of 3.1.1 is not told; `None` if all were granted. Escape it before showing it to
        /// people.
        first_refused: Option<(Utf8, ReasonCode)>,
    },
    /// The topic of a message or will was refused. Reported for the first one of a connection, and for the first one after the
    /// [rights changed](super::Listener::set_access); [`Stats::topics_refused`](super::Stats::topics_refused) counts all.
    TopicRefused {
        /// Connection of the client.
        connection: ConnectionId,
        /// Identifier of the client.
        client: Utf8,
        /// User to whom the client's session belongs.
        user: SessionUser,
        /// The topic; escape it before showing it to people.
        topic: Utf8,
        /// The rule that the topic, or a property of the message, breaks.
        error: TopicError,
    },
    /// A will is not published, because its client may not publish to its topic any more. Counted in [`Stats::topics_refused`](super::Stats::topics_refused).
    WillRefused {
        /// Identifier of the client.
        client: Utf8,
        /// User to whom the client's session belongs.
        user: SessionUser,
        /// Topic of the will; escape it before showing it to people.
        topic: Utf8,
        /// Set if the user no longer exists, see [`Standing::Gone`](super::Standing::Gone); otherwise it has lost the right to the topic.
        is_user_gone: bool,
    },
    /// A QoS 0 message was not stored because the queue was full. Reported once an hour for a connection.
    NoRoom {
        /// Connection of the client.
        connection: ConnectionId,
        /// Identifier of the client.
        client: Utf8,
    },
    /// A client connected under the identifier of another connection, which ends by that (\[MQTT-3.1.4-3\]), or of an absent client of another user,
    /// whose session ends. MQTT lets every client do so that may connect.
    TakenOver {
        /// Connection that ends; `None` if the client was absent.
        connection: Option<ConnectionId>,
        /// Client identifier.
        client: Utf8,
        /// User to whom the session belonged.
        user: SessionUser,
        /// Connection that takes over.
        by: ConnectionId,
        /// User of the connection that takes over. The session goes on if it is the same one.
        by_user: SessionUser,
        /// Address of the connection that takes over; `None` if it is not known.
        by_peer: Option<SocketAddr>,
    },
    /// A connection is over.
    Disconnected {
        /// Connection that ended.
        connection: ConnectionId,
        /// Client identifier; `None` if no CONNECT was accepted on the connection.
        client: Option<Utf8>,
        /// Cause of the end.
        why: Closed,
    },
    /// Sessions and retained messages that an earlier process saved were restored. This and the next three events come only from
    /// `net::Server`.
    ClientsRestored(Restored),
    /// The saved sessions and retained messages cannot be read, or have no whole record, and were set aside.
    ClientsNotRestored {
        /// Cause of the failure, in words.
        error: String,
    },
    /// Sessions and retained messages cannot be written. Reported when that begins.
    ClientsNotSaved {
        /// Cause of the failure, in words.
        error: String,
    },
    /// Sessions and retained messages exceed [`Config::max_saved_bytes`](super::Config::max_saved_bytes), so that some are not saved. Reported
    /// when that begins.
    ClientsLeftOut {
        /// Number of sessions, retained messages and waiting messages that were left out.
        count: usize,
    },
    /// An absent client's session ended, with its subscriptions and waiting messages. Not reported for a session that ends with its connection.
    SessionEnded {
        /// Identifier of the client.
        client: Utf8,
        /// Number of messages for the client that were dropped.
        dropped: usize,
        /// Cause of the end.
        why: SessionEnd,
    },
}

/// Cause for which a session ended that outlives its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionEnd {
    /// The client stayed away for its Session Expiry Interval.
    Expired,
    /// The client itself asked for a new session, by Clean Start.
    CleanStart,
    /// Another user connected under the client identifier.
    OtherUser,
    /// The session's user no longer exists, see [`Standing::Gone`](super::Standing::Gone).
    UserGone,
    /// It has more filters than [`Config::max_subscriptions`](super::Config::max_subscriptions) of this start allows.
    TooManyFilters,
    /// Its place or its memory was needed for other clients, see [`Stats::sessions_given_up`](super::Stats::sessions_given_up).
    GivenUp,
}

impl Event {
    /// Returns the connection that the event is about, of a takeover the one that ends if there is one; `None` for events about sessions, wills and saved clients.
    pub fn connection(&self) -> Option<ConnectionId> {
        match self {
            Self::Connected { connection, .. }
            | Self::NoProxyHeader { connection, .. }
            | Self::NoTls { connection, .. }
            | Self::NoWebSocket { connection, .. }
            | Self::Refused { connection, .. }
            | Self::Subscribed { connection, .. }
            | Self::TopicRefused { connection, .. }
            | Self::NoRoom { connection, .. }
            | Self::Disconnected { connection, .. } => Some(*connection),
            Self::TakenOver { connection, by, .. } => Some(connection.unwrap_or(*by)),
            Self::ClientsRestored(_)
            | Self::ClientsNotRestored { .. }
            | Self::ClientsNotSaved { .. }
            | Self::ClientsLeftOut { .. }
            | Self::WillRefused { .. }
            | Self::SessionEnded { .. } => None,
        }
    }
}

/// Losses by damage to what was saved of clients, see [`Restored::damage`]. All are zero if the damage took nothing that is needed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Damage {
    /// Number of lost sessions.
    pub sessions: usize,
    /// Number of lost retained messages.
    pub retained: usize,
    /// Number of lost messages that waited for clients, those of lost sessions among them.
    pub waiting: usize,
    /// Number of lost wills that waited for their time, those of lost sessions among them.
    pub wills: usize,
    /// Number of lost records whose kind is lost too.
    pub unknown: usize,
    /// Set if there may be more losses than these numbers say, because the counts at both ends are damaged.
    pub is_minimum: bool,
    /// Identifiers of clients that lost something, of many the first eight, as far as they can be read, some of them perhaps damaged themselves;
    /// escape them before showing them to people.
    pub clients: Vec<Utf8>,
}

/// Counts of restored clients, see [`Listener::restore`](super::Listener::restore).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Restored {
    /// Number of restored sessions.
    pub sessions: usize,
    /// Number of restored retained messages.
    pub retained: usize,
    /// Number of restored messages that wait for the clients of these sessions.
    pub waiting: usize,
    /// Number of messages of QoS 2 that were received and not released, so that they are known if they come again. Save the clients at once then, before
    /// the first connection: they hold for one start.
    pub unreleased: usize,
    /// Number of sessions, retained messages and waiting messages that expired before the restart.
    pub expired: usize,
    /// Number of sessions, messages and wills that were not restored: beyond the present limits (also sessions with too many filters), or on topics
    /// of the application.
    pub refused: usize,
    /// Losses by damage; `None` if what was saved is undamaged.
    pub damage: Option<Damage>,
}
