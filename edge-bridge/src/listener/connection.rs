//! Connection of a client: its session, and the counts that its limits need.

use std::net::SocketAddr;

use bytes::BytesMut;

use super::client::ClientKey;
use super::memory::Unfinished;
use super::turn_size::TurnSize;
use super::unwritten::Unwritten;
use crate::session::{self, Input, Session};
use crate::wire::Utf8;

/// Unused bytes of a buffer that are not worth a copy.
const UNUSED_MAX: usize = 1024;

/// State of one network connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) session: Session,
    pub(super) peer: Option<SocketAddr>,
    /// Name in the client's certificate.
    pub(super) certified: Option<Utf8>,
    /// Known from CONNECT on.
    pub(super) client: Option<ClientKey>,
    /// Bytes given to the caller and not yet written.
    pub(super) unwritten: Unwritten,
    /// The session's `answered` when `unwritten` was below its limit last.
    pub(super) answered: u64,
    /// Memory of received bytes that are no whole packet yet, or were not handled.
    pub(super) unfinished: usize,
    /// Bytes of the packet that is not finished, after the last turn.
    received: usize,
    /// Time since when the packet that is not finished is here.
    pub(super) began_ms: u64,
    /// Time at which its peer had last taken all that was handed to the network, or acknowledged a message.
    pub(super) caught_up_ms: u64,
    /// Set when the connection is closed because it held too much for too long: what is not written is dropped.
    pub(super) gives_way: bool,
    /// Messages in [`HeldMessages`](super::held_messages::HeldMessages) that wait for room.
    pub(super) held: usize,
    /// Bytes of the held messages.
    pub(super) held_bytes: usize,
    pub(super) touched: bool,
    pub(super) turn_size: TurnSize,
    /// Time of the last bytes.
    pub(super) heard_ms: u64,
    /// Set when the peer closed the connection while it was not read.
    pub(super) gone: bool,
    /// The end that its unread DISCONNECT announces, if it is gone.
    pub(super) farewell: Option<session::Closed>,
    /// A deadline passed while we did not read: its packets may be there, unread.
    pub(super) excused: bool,
    pub(super) topic_refused: bool,
    /// Time at which it was said last that its messages find no room.
    pub(super) no_room_said_ms: Option<u64>,
}

impl Connection {
    pub(super) fn new(now_ms: u64, session: Session, peer: Option<SocketAddr>) -> Self {
        Self {
            session,
            peer,
            certified: None,
            client: None,
            unwritten: Unwritten::default(),
            answered: 0,
            unfinished: 0,
            received: 0,
            began_ms: now_ms,
            caught_up_ms: now_ms,
            gives_way: false,
            held: 0,
            held_bytes: 0,
            touched: false,
            turn_size: TurnSize::default(),
            heard_ms: now_ms,
            gone: false,
            farewell: None,
            excused: false,
            topic_refused: false,
            no_room_said_ms: None,
        }
    }

    pub(super) fn on_bytes(&mut self, now_ms: u64, buffer: &mut BytesMut) {
        self.heard_ms = now_ms;
        (self.gone, self.farewell) = (false, None);
        let before = buffer.len();
        self.session.set_packets_per_turn(self.turn_size.packets());
        self.session.handle_input(now_ms, Input::Bytes(buffer));
        if buffer.len() < before || self.unfinished == 0 {
            self.began_ms = now_ms;
        }
        self.unfinished = if buffer.is_empty() { 0 } else { buffer.capacity() };
    }

    /// Gives the buffer the size that its packet needs: while it waits for memory that of what is here; once more has come that of all of it, so that it
    /// does not grow by doubling.
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

    /// Time since when its peer has not taken what is here for it.
    pub(super) fn taken_ms(&self) -> u64 {
        self.unwritten.oldest_ms().unwrap_or(self.caught_up_ms)
    }

    /// Returns whether it neither waits for room nor makes for more and more answers that its peer does not take.
    pub(super) fn may_be_read(&self, max_unwritten: usize) -> bool {
        self.held == 0 && self.session.answered() - self.answered < max_unwritten as u64
    }

    pub(super) fn note_answers(&mut self, max_unwritten: usize) {
        if self.unwritten.bytes() < max_unwritten {
            self.answered = self.session.answered();
        }
    }
}
