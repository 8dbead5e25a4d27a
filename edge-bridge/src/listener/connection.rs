//! Connection of a client: its protocol session, and the byte counts that the limits need.

use std::net::SocketAddr;

use bytes::BytesMut;

use super::client::ClientKey;
use super::memory::Unfinished;
use super::turn_size::TurnSize;
use super::unwritten_bytes::Unwritten;
use crate::session::{self, Input, Session};
use crate::wire::{QoS, Utf8};

/// Unused bytes that a receive buffer may keep while its packet is incomplete. With more, the packet is copied into a buffer of the exact size.
const UNUSED_MAX: usize = 1024;

/// State of one network connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) session: Session,
    pub(super) peer: Option<SocketAddr>,
    /// Name in the client's verified certificate; `None` without one.
    pub(super) certified: Option<Utf8>,
    pub(super) accepted_ms: u64,
    /// Session of the client; `None` before its CONNECT was accepted.
    pub(super) client: Option<ClientKey>,
    /// Bytes handed to the caller and not yet written to the socket.
    pub(super) unwritten: Unwritten,
    /// Value of [`Session::answered`] when `unwritten` was last below its limit.
    pub(super) answered: u64,
    /// Bytes of memory for received bytes that are no whole packet yet, or were not handled.
    pub(super) unfinished: usize,
    /// Received bytes of the incomplete packet after the last call.
    received: usize,
    /// Up time at which the incomplete packet began.
    pub(super) began_ms: u64,
    /// Up time at which the socket last had accepted all bytes, or the peer acknowledged a message.
    pub(super) caught_up_ms: u64,
    /// Set when the connection is closed because it took too much memory for too long, so that unwritten bytes are dropped.
    pub(super) gives_way: bool,
    /// Set when the connection is closed to make room or to free memory, which is counted there, whatever else its end turns out to be.
    pub(super) is_end_counted: bool,
    /// Number of messages in [`HeldMessages`](super::waiting_for_room::HeldMessages) that wait for room in the queue.
    pub(super) held: usize,
    /// Bytes of the held messages.
    pub(super) held_bytes: usize,
    pub(super) touched: bool,
    pub(super) turn_size: TurnSize,
    /// Up time at which bytes last came from the peer.
    pub(super) heard_ms: u64,
    /// Up time at which the connection last had no backlog of unread bytes; `None` if the caller does not report it.
    pub(super) up_to_date_ms: Option<u64>,
    /// Set when the peer closed the connection while it was not being read.
    pub(super) gone: bool,
    /// End that an unread DISCONNECT of a gone peer announces; otherwise `None`.
    pub(super) farewell: Option<session::Closed>,
    /// Rule of the transport below MQTT that the peer broke; otherwise `None`.
    pub(super) broken: Option<session::Violation>,
    /// Set when a keep alive passed while the connection was not being read. That ends no connection, because packets of the peer may have arrived unread.
    pub(super) excused: bool,
    /// Set while the caller does not read it, for a reason that is not its client's.
    pub(super) paused: bool,
    /// Up time before which the keep alive is not checked, because what came while the connection was not being read is read first.
    pub(super) grace_ms: u64,
    pub(super) topic_refused: bool,
    /// Up time of the last event that reported that the queue has no room for the connection's messages; `None` if there was none.
    pub(super) no_room_said_ms: Option<u64>,
}

impl Connection {
    pub(super) fn new(now_ms: u64, session: Session, peer: Option<SocketAddr>) -> Self {
        Self {
            session,
            peer,
            certified: None,
            accepted_ms: now_ms,
            client: None,
            unwritten: Unwritten::default(),
            answered: 0,
            unfinished: 0,
            received: 0,
            began_ms: now_ms,
            caught_up_ms: now_ms,
            gives_way: false,
            is_end_counted: false,
            held: 0,
            held_bytes: 0,
            touched: false,
            turn_size: TurnSize::default(),
            heard_ms: now_ms,
            up_to_date_ms: None,
            gone: false,
            farewell: None,
            broken: None,
            excused: false,
            paused: false,
            grace_ms: 0,
            topic_refused: false,
            no_room_said_ms: None,
        }
    }

    /// Gives the session the received bytes, of which it handles at most `packets` packets now.
    pub(super) fn on_bytes(&mut self, now_ms: u64, buffer: &mut BytesMut, packets: usize) {
        self.heard_ms = now_ms;
        (self.gone, self.farewell) = (false, None);
        let before = buffer.len();
        self.session.set_packets_per_turn(packets);
        self.session.handle_input(now_ms, Input::Bytes(buffer));
        if buffer.len() < before || self.unfinished == 0 {
            self.began_ms = now_ms;
        }
        self.unfinished = if buffer.is_empty() { 0 } else { buffer.capacity() };
    }

    /// Sizes the receive buffer for its packet: to the received bytes while the packet waits for memory, afterwards to the whole packet once more
    /// bytes come, so that the buffer does not grow by doubling.
    pub(super) fn fit(&mut self, buffer: &mut BytesMut, packet: Option<Unfinished>, waits: bool) {
        let received = packet.map_or(0, |packet| packet.received);
        let goes_on = std::mem::replace(&mut self.received, received) < received;
        let Some(packet) = packet else { return };
        let capacity = if waits { packet.received } else { packet.capacity_needed() };
        let fits = if waits {
            buffer.capacity() < capacity + UNUSED_MAX
        } else {
            buffer.capacity() >= capacity || !goes_on
        };
        if !fits {
            let mut fitting = BytesMut::with_capacity(capacity);
            fitting.extend_from_slice(buffer);
            *buffer = fitting;
        }
        self.unfinished = buffer.capacity();
    }

    pub(super) fn on_written(&mut self, now_ms: u64, bytes: usize) {
        self.unwritten.take(bytes);
        if self.unwritten.bytes() == 0 {
            self.caught_up_ms = now_ms;
        }
    }

    /// Up time since which the peer has not accepted its oldest unwritten bytes; without any, that at which it had accepted all.
    pub(super) fn taken_ms(&self) -> u64 {
        self.unwritten.oldest_ms().unwrap_or(self.caught_up_ms)
    }

    /// Returns the session's next deadline, put off while the keep alive is not checked; `None` if there is none.
    pub(super) fn next_deadline(&self) -> Option<u64> {
        let not_before_ms = if self.gone { 0 } else { self.grace_ms };
        self.session.next_deadline().map(|at_ms| at_ms.max(not_before_ms))
    }

    /// Returns whether the connection may be read: none of its messages waits for room, and its packets have not caused too many answers that the
    /// peer does not accept.
    pub(super) fn may_be_read(&self, max_unwritten: usize) -> bool {
        self.held == 0 && self.takes_answers(max_unwritten)
    }

    /// Returns whether the client reads its answers, as far as `max_unwritten` bytes of them do not wait.
    pub(super) fn takes_answers(&self, max_unwritten: usize) -> bool {
        self.session.answered() - self.answered < max_unwritten as u64
    }

    /// Returns whether a message can be sent now.
    pub(super) fn can_take(&self, qos: QoS, max_unwritten: usize) -> bool {
        let unsent = self.session.unsent();
        self.session.is_open()
            && self.unwritten.bytes() + unsent.own + unsent.payloads < max_unwritten
            && (qos == QoS::AtMostOnce || self.session.room_for(qos) > 0)
    }

    pub(super) fn note_answers(&mut self, max_unwritten: usize) {
        if self.unwritten.bytes() < max_unwritten {
            self.answered = self.session.answered();
        }
    }
}
