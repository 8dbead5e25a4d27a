//! Inputs, outputs and events of a [`Listener`](super::Listener).

use bytes::{Bytes, BytesMut};

use crate::puback_chain::{ConnectionId, Ticket};
use crate::row::Row;
use crate::session::Closed;
use crate::wire::{ReasonCode, TopicError, Utf8, Version};

/// Event of a network connection. Exhaustive.
#[derive(Debug)]
pub enum Input<'a> {
    /// Received bytes, in order, while [`may_read`](super::Listener::may_read) says so. Whole packets are taken from the front, at most
    /// [`PACKETS_PER_TURN`](crate::session::PACKETS_PER_TURN), and the rest is left: call again while the buffer gets shorter.
    Bytes(&'a mut BytesMut),
    /// The client showed a certificate that the caller verified, with this name: the user name of its CONNECT, whatever that says. Before all bytes.
    Certified(Utf8),
    /// Bytes came, and wait for the caller to hand them over: until then it is not their sender who makes no progress. For callers that let
    /// connections take turns.
    Waiting,
    /// Number of bytes of [`Output::Transmit`] that were written.
    Written(usize),
    /// The peer, or the network, closed the connection.
    Closed,
    /// The peer closed the connection, or the network lost it, while it is not read. Its bytes may still be read once it may be; until then
    /// its keep alive counts, and a new connection may displace it. To be said again if that still holds after bytes were handled.
    Gone {
        /// Bytes that came by it and were not handled, or as much of their beginning as the caller has. If the connection ends before it is
        /// read, a DISCONNECT in them counts: a client that left in order leaves no will.
        unread: &'a [u8],
    },
}

/// Act for the caller. Exhaustive.
#[derive(Debug)]
pub enum Output {
    /// Write these bytes to the connection, in order, and report them with [`Input::Written`].
    Transmit {
        /// Connection that the bytes came by.
        connection: ConnectionId,
        /// The bytes to send. A large payload is in memory once for all clients that get it, and counts for as long as a caller holds it: it should
        /// not be copied.
        bytes: Bytes,
    },
    /// Write what is left, then close the network connection. The last output of this connection.
    Close {
        /// Connection that the bytes go to.
        connection: ConnectionId,
        /// Drop what is left instead of writing it: its memory is needed.
        discards: bool,
    },
    /// Push these rows to the queue, and call [`resolve`](super::Listener::resolve) when all of them are safe; if it is full, hand them back
    /// with [`hand_back`](super::Listener::hand_back).
    Store {
        /// The number of the message.
        ticket: Ticket,
        /// Rows to store: at least one, unless the message is [withheld](crate::ingest::Answer::Withhold).
        rows: Vec<Row>,
    },
    /// A publisher stands still, or too much waits in total: a commit of the queue is worth a write.
    Commit,
    /// A message given to [`publish`](super::Listener::publish) is done with.
    Settled(Settled),
    /// Event for the log.
    Event(Event),
}

/// The number of a message of the application's, given by [`publish`](super::Listener::publish).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublishId(pub(super) u64);

/// End of a message of the application's. Exhaustive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    /// Message to be stored.
    pub publish: PublishId,
    /// Clients that acknowledged it, or to which it was sent at QoS 0.
    pub delivered: u32,
    /// Those of them to which it was sent at QoS 0: whether they have it nobody knows.
    pub sent: u32,
    /// Clients that did not get it: it expired, was too large for them, was pushed out of a full queue, their session ended, or they refused it.
    pub dropped: u32,
}

/// Something an operator may want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A client was taken in.
    Connected {
        /// Connection of the client.
        connection: ConnectionId,
        /// Client identifier, also one that was given here.
        client: Utf8,
        /// MQTT version of the client.
        version: Version,
        /// True if the client's session goes on.
        session_present: bool,
    },
    /// The TLS handshake of a client failed, or its certificate does not say whose it is. Told by [`net::Server`](crate::net::Server) alone.
    NoTls {
        /// Connection of the client.
        connection: ConnectionId,
        /// Reason in words; shown to people, it needs to be escaped.
        error: String,
    },
    /// The WebSocket handshake of a client failed. Told by [`net::Server`](crate::net::Server) alone.
    NoWebSocket {
        /// Connection of the client.
        connection: ConnectionId,
        /// Reason in words; shown to people, it needs to be escaped.
        error: String,
    },
    /// A client was not taken in.
    Refused {
        /// Connection of the client.
        connection: ConnectionId,
        /// Client identifier that the CONNECT gave.
        client: Utf8,
        /// Name in its certificate, or the user name that the CONNECT gave.
        user: Option<Utf8>,
        /// The reason that it was told; a 3.1.1 client got the nearest return code.
        reason: ReasonCode,
    },
    /// A client's SUBSCRIBE was answered.
    Subscribed {
        /// Connection of the client.
        connection: ConnectionId,
        /// Identifier of the client.
        client: Utf8,
        /// Filters that were granted.
        granted: usize,
        /// Filters that were not.
        refused: usize,
    },
    /// A message's or will's topic was refused: the first one of this connection.
    TopicRefused {
        /// Connection of the client.
        connection: ConnectionId,
        /// Identifier of the client.
        client: Utf8,
        /// The topic; shown to people, it needs to be escaped.
        topic: Utf8,
        /// The rule that the topic breaks.
        error: TopicError,
    },
    /// A message at QoS 0 was not ingested because the queue was full: the first one of this connection within an hour.
    NoRoom {
        /// Connection of the client.
        connection: ConnectionId,
        /// Identifier of the client.
        client: Utf8,
    },
    /// A connection is over.
    Disconnected {
        /// Connection that ended.
        connection: ConnectionId,
        /// Client of the connection; `None` before one was taken in.
        client: Option<Utf8>,
        /// Cause of the end.
        why: Closed,
    },
    /// Sessions and retained messages of an earlier run are here. Told by [`net::Server`](crate::net::Server) alone, as the next three.
    ClientsRestored(Restored),
    /// Sessions and retained messages of an earlier run are damaged, or cannot be read: they were set aside.
    ClientsNotRestored {
        /// Reason in words.
        error: String,
    },
    /// Sessions and retained messages cannot be written. Told when it begins.
    ClientsNotSaved {
        /// Reason in words.
        error: String,
    },
    /// Sessions and retained messages are more than are saved ([`Config::max_saved_bytes`](super::Config::max_saved_bytes)). Told when it begins.
    ClientsLeftOut {
        /// Number of sessions, retained messages and messages that wait.
        count: usize,
    },
    /// An absent client's session ended: subscriptions and what waited for it are gone.
    SessionEnded {
        /// Identifier of the client.
        client: Utf8,
        /// Number of messages that waited for the client.
        dropped: usize,
    },
}

impl Event {
    /// Returns the connection that the event is about; `None` for sessions whose client is not there.
    pub fn connection(&self) -> Option<ConnectionId> {
        match self {
            Self::Connected { connection, .. }
            | Self::NoTls { connection, .. }
            | Self::NoWebSocket { connection, .. }
            | Self::Refused { connection, .. }
            | Self::Subscribed { connection, .. }
            | Self::TopicRefused { connection, .. }
            | Self::NoRoom { connection, .. }
            | Self::Disconnected { connection, .. } => Some(*connection),
            Self::ClientsRestored(_)
            | Self::ClientsNotRestored { .. }
            | Self::ClientsNotSaved { .. }
            | Self::ClientsLeftOut { .. }
            | Self::SessionEnded { .. } => None,
        }
    }
}

/// Clients that came back, see [`Listener::restore`](super::Listener::restore).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Restored {
    /// Sessions that go on.
    pub sessions: usize,
    /// Retained messages.
    pub retained: usize,
    /// Messages that wait for the clients of these sessions.
    pub waiting: usize,
    /// Sessions, retained messages and messages whose time is over.
    pub expired: usize,
    /// Sessions and retained messages for which the limits have no room; messages and wills on topics of the application.
    pub refused: usize,
}

/// Counters since the start, and gauges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Connections at this moment.
    pub connections: usize,
    /// Sessions now, absent clients' included.
    pub sessions: usize,
    /// Retained messages at this moment.
    pub retained: usize,
    /// Bytes that wait for clients now.
    pub queued_bytes: usize,
    /// Bytes that clients hold now, of all that [`Config::max_memory`](super::Config::max_memory) limits.
    pub held_bytes: usize,
    /// Bytes of received messages without PUBACK now.
    pub unacked_bytes: usize,
    /// Messages of QoS 1, wills included, that wait for room in the queue now.
    pub held: usize,
    /// Messages received, wills included.
    pub received: u64,
    /// Messages sent to clients, repeats not counted.
    pub sent: u64,
    /// Messages dropped because too much waited for their client, or for all clients and for theirs most, or because its
    /// [session was given up](Self::sessions_given_up).
    pub dropped_full: u64,
    /// Messages at QoS 0 that were on their way to a client when its connection ended.
    pub dropped_gone: u64,
    /// Messages that expired before a client took them.
    pub dropped_expired: u64,
    /// Messages that waited for a client when it lost the right to have them.
    pub dropped_denied: u64,
    /// Messages larger than a client takes.
    pub dropped_too_large: u64,
    /// Received QoS 0 messages, wills included, that were not ingested because the queue was full.
    pub qos0_without_room: u64,
    /// Wills at QoS 1 that were not ingested because the queue was full and 1 MiB of wills waited for room already.
    pub wills_without_room: u64,
    /// Messages that were not retained because of the limits.
    pub retain_refused: u64,
    /// Connections that broke the protocol.
    pub violations: u64,
    /// Connections that were not read and were closed to make place for new ones.
    pub displaced: u64,
    /// Connections that were closed, and sessions of absent clients that ended, because all together held too much.
    pub closed_for_memory: u64,
    /// Sessions of absent clients that ended early because their place, or their memory, was needed: first those for which nothing waits, where a
    /// place was, then those that have been away longest.
    pub sessions_given_up: u64,
    /// Connections that were closed at once at the limit of connections, and attempts to accept one that failed, ten a second while the system has no
    /// file descriptor left. Counted by [`net::Server`](crate::net::Server) alone.
    pub not_accepted: u64,
    /// Clients that were not taken in.
    pub refused: u64,
    /// Messages and wills refused for their topic: control characters, Unicode non-characters, a topic of the application's own, one that the client has no right to.
    pub topics_refused: u64,
}
