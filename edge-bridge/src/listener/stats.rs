//! Counters and gauges of a [`Listener`](super::Listener).

use super::events::SessionEnd;
use crate::session::Closed;
use crate::wire::ReasonCode;

/// Counters since the start, and gauges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Connections at this moment.
    pub connections: usize,
    /// Sessions now, with those of absent clients.
    pub sessions: usize,
    /// Retained messages now.
    pub retained: usize,
    /// Bytes of messages that wait for clients now, without those that were in flight before a restart.
    pub queued_bytes: usize,
    /// Bytes of memory that clients take now, of at most [`Config::max_memory`](super::Config::max_memory).
    pub held_bytes: usize,
    /// Bytes of received messages without PUBACK now.
    pub unacked_bytes: usize,
    /// Messages of QoS 1, wills included, that wait for room in the queue now.
    pub held: usize,
    /// Messages received from clients, wills included.
    pub received: u64,
    /// Messages sent to clients for the first time; resent ones are not counted.
    pub sent: u64,
    /// Messages dropped from the queue of a client, because it or all queues together were full, or because the client's [session was given
    /// up](Self::sessions_given_up).
    pub dropped_full: u64,
    /// QoS 0 messages that waited for a client when its connection ended.
    pub dropped_gone: u64,
    /// Messages that waited in a session, or were sent and not acknowledged, when it [ended](SessionEnd), unless it was given up or its own client
    /// asked for that, by Clean Start or by a session that ends with its connection.
    pub dropped_ended: u64,
    /// Messages that expired before they were sent to a client.
    pub dropped_expired: u64,
    /// Messages that waited for a client when it lost the right to receive them.
    pub dropped_denied: u64,
    /// Messages that exceeded their client's Maximum Packet Size.
    pub dropped_too_large: u64,
    /// Received QoS 0 messages, wills included, that were not stored because the queue was full.
    pub qos0_without_room: u64,
    /// Wills at QoS 1 that were not stored because the queue was full and 1 MiB of wills waited for room already.
    pub wills_without_room: u64,
    /// Messages that were not retained because of the limits.
    pub retain_refused: u64,
    /// Connections that broke the protocol, or a rule of WebSocket or TLS below it.
    pub violations: u64,
    /// Connections that ended because their client sent nothing for one and a half keep alives.
    pub silent: u64,
    /// Connections that ended because their client began a packet, and did not complete it in time.
    pub unfinished: u64,
    /// Connections that ended because their client did not read its answers, and so was not read, for one and a half keep alives.
    pub answers_unread: u64,
    /// Connections that ended because no CONNECT came in time, behind the handshakes of TLS and WebSocket.
    pub without_connect: u64,
    /// Connections that ended because their client, or another one under its identifier, connected again.
    pub taken_over: u64,
    /// Connections that ended because the [access rules](super::Listener::set_access), or the certificates that count, had changed.
    pub asked_back: u64,
    /// Connections of MQTT 3.1.1, whose PUBACK cannot refuse, that ended at a message with a refused topic.
    pub closed_at_topic: u64,
    /// Connections that ended because an answer exceeded their client's Maximum Packet Size.
    pub unanswerable: u64,
    /// Connections that ended by a DISCONNECT of their client with an error.
    pub peer_errors: u64,
    /// Connections of clients that ended without a DISCONNECT: the network lost them, or the client closed them. Without those that were
    /// [displaced](Self::displaced).
    pub lost: u64,
    /// Connections that were not being read, or had not said who they are, and were closed to make room for new ones.
    pub displaced: u64,
    /// Connections that were closed, and sessions of absent clients that ended, because all clients together took too much memory.
    pub closed_for_memory: u64,
    /// Sessions of absent clients that ended early to free a session or memory. For a session, those without waiting messages end first; otherwise
    /// those absent longest.
    pub sessions_given_up: u64,
    /// Connections that were closed at once because of the limit, and failed attempts to accept one, ten a second while the system has no file
    /// descriptor left. Counted only by `net::Server`.
    pub not_accepted: u64,
    /// Connections that ended because the handshake of TLS or WebSocket failed, or the header of a trusted proxy was wrong, also
    /// by this side's own certificate or signer. Counted only by `net::Server`.
    pub failed_handshakes: u64,
    /// Clients whose connection was refused.
    pub refused: u64,
    /// Filters refused in a SUBACK: beyond [`Config::max_subscriptions`](super::Config::max_subscriptions), or of a kind that is not served. A filter to
    /// whose topics its client has no right is granted.
    pub filters_refused: u64,
    /// Messages and wills refused for their topic, or a property: control characters, Unicode non-characters, a topic reserved for the application,
    /// or a missing right, also that of a user who no longer exists to the will that it left.
    pub topics_refused: u64,
}

impl Stats {
    /// Counts the messages that were dropped with a session that outlives its connection.
    pub(super) fn count_session_end(&mut self, why: SessionEnd, dropped: usize) {
        let counter = match why {
            SessionEnd::GivenUp => &mut self.dropped_full,
            SessionEnd::CleanStart => return,
            SessionEnd::Expired
            | SessionEnd::OtherUser
            | SessionEnd::UserGone
            | SessionEnd::TooManyFilters => &mut self.dropped_ended,
        };
        *counter += dropped as u64;
    }

    /// Counts the end of a connection by its cause. `is_client`: a CONNECT was accepted on it.
    pub(super) fn count_end(&mut self, why: &Closed, is_client: bool) {
        let counter = match why {
            Closed::Violation(_) => &mut self.violations,
            Closed::KeepAlive => &mut self.silent,
            Closed::UnfinishedPacket => &mut self.unfinished,
            Closed::AnswersUnread => &mut self.answers_unread,
            Closed::Handshake => &mut self.without_connect,
            Closed::Transport if is_client => &mut self.lost,
            Closed::Peer { reason, .. } if reason.is_error() => &mut self.peer_errors,
            Closed::Local(reason) => match *reason {
                ReasonCode::SESSION_TAKEN_OVER => &mut self.taken_over,
                ReasonCode::ADMINISTRATIVE_ACTION => &mut self.asked_back,
                // A client that was refused at its CONNECT is counted as such.
                ReasonCode::NOT_AUTHORIZED | ReasonCode::TOPIC_NAME_INVALID if is_client => {
                    &mut self.closed_at_topic
                }
                ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR if is_client => &mut self.unanswerable,
                _ => return,
            },
            _ => return,
        };
        *counter += 1;
    }
}
