//! Timeout extension: while bytes are in transit, in either direction, the timeouts of the [keep alive](super::keep_alive) end later. A PINGRESP cannot
//! come before the bytes ahead of its PINGREQ have arrived, nor a packet before the peer's large one, of which a part was received, is complete.

use super::bytes_in_transit::Wrote;
use super::path_estimates::Path;
use super::timer::Timer;
use super::{Closed, Phase, Session};
use crate::wire::ReasonCode;

/// Bytes of a PINGREQ. Its own transmission extends no timeout, that of the bytes before it does.
const PINGREQ_BYTES: u64 = 2;

/// Last of what was received: whole packets, and a part of the next one. While the bytes of a packet come at 500 B/s or faster, the peer cannot send
/// anything else.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Receiving {
    /// Up time of the last whole packet.
    whole_ms: u64,
    /// Up time since which a part of a packet is there.
    since_ms: u64,
    /// Bytes of that part; 0 if there is none.
    bytes: u64,
}

impl Session {
    pub(super) fn on_written(&mut self, now_ms: u64, bytes: u64, waited: bool) {
        self.transit.on_taken(now_ms, bytes, waited);
        if waited && let Some(oldest) = self.outbound.oldest() {
            self.path.on_left(now_ms.saturating_sub(oldest.at_ms()));
        }
    }

    /// Does what is due at [`next_deadline`](Self::next_deadline): sends a PINGREQ, ends the connection, or sets a later deadline. Earlier the call does
    /// nothing.
    pub fn handle_timeout(&mut self, now_ms: u64) {
        while let Some(timer) = self.timers.pop_due(now_ms) {
            match timer {
                Timer::Handshake => self.end(Closed::Handshake),
                Timer::KeepAlive => self.ping(now_ms),
                Timer::PingResponse => match self.ping_due_ms() {
                    Some(due_ms) if due_ms > now_ms => self.timers.set(Timer::PingResponse, due_ms),
                    _ => self.end(Closed::KeepAlive),
                },
                Timer::PeerSilence if self.receiving_until_ms() > now_ms => {
                    self.timers.set(Timer::PeerSilence, self.receiving_until_ms());
                }
                Timer::UnknownReleases => self.give_up_releases(now_ms),
                Timer::PeerSilence => {
                    self.tell(now_ms, ReasonCode::KEEP_ALIVE_TIMEOUT);
                    let is_begun = self.receiving.bytes > 0;
                    self.end(if is_begun { Closed::UnfinishedPacket } else { Closed::KeepAlive });
                }
            }
        }
    }

    /// Estimates of the path by this and earlier connections.
    pub(crate) fn path(&self) -> Path {
        self.path
    }

    /// Adopts the estimates of earlier connections.
    pub(crate) fn set_path(&mut self, path: Path) {
        self.path = path;
    }

    /// Milliseconds that the oldest unanswered message may still need to arrive, before which it cannot be answered; 0 if there is none.
    pub(crate) fn transit_ms(&self) -> u64 {
        self.outbound.oldest().map_or(0, |oldest| self.path.transit_ms(self.transit.until(oldest.end())))
    }

    /// Up time at which bytes last left a full send buffer; 0 if they never did.
    pub(crate) fn left_ms(&self) -> u64 {
        self.transit.left_ms()
    }

    /// Up time until which a packet counts as being received; 0 if none is.
    pub(crate) fn receiving_until_ms(&self) -> u64 {
        let Receiving { since_ms, bytes, .. } = self.receiving;
        if bytes == 0 { 0 } else { since_ms + 2 * bytes }
    }

    /// Records that `packets` whole packets were handled and `rest` bytes of the next one are there. It counts as being received if there are any.
    pub(super) fn note_rest(&mut self, now_ms: u64, packets: usize, rest: usize) {
        let receiving = &mut self.receiving;
        if packets > 0 {
            receiving.whole_ms = now_ms;
        }
        if packets > 0 || receiving.bytes == 0 {
            receiving.since_ms = now_ms;
        }
        receiving.bytes = rest as u64;
        self.bound_part();
    }

    /// Server: bounds the time of the packet of which a part is there, if there is one.
    pub(super) fn bound_part(&mut self) {
        if self.receiving.bytes > 0 && matches!(self.phase, Phase::Open) {
            self.keep_alive.on_part(self.receiving.since_ms, self.receiving_until_ms(), &mut self.timers);
        }
    }

    /// Server: begins the time of a packet of which a part is there anew, because nothing was read meanwhile.
    pub(crate) fn on_unread(&mut self, now_ms: u64) {
        if self.receiving.bytes > 0 {
            self.receiving.since_ms = now_ms;
            self.keep_alive.on_received(now_ms, &mut self.timers);
            self.bound_part();
        }
    }

    /// Ends the transit of the bytes up to an answered packet, and measures the path by it. Returns the round trip in milliseconds without the time
    /// that transmission may have taken; 0 if that may be all of it.
    pub(super) fn on_answered(&mut self, now_ms: u64, wrote: Wrote) -> u64 {
        let arrival = wrote.answered(now_ms, &mut self.transit);
        self.path.on_arrival(arrival);
        arrival.rtt_ms().unwrap_or(0)
    }

    /// Client: tells that received bytes are left unread on purpose, as while a queue has no room. A PINGRESP may be among them, so an unanswered
    /// PINGREQ counts as answered, and the next one goes out in its time.
    pub fn leave_unread(&mut self, now_ms: u64) {
        if self.keep_alive.pinged().is_some() {
            self.keep_alive.pong(now_ms, &mut self.timers);
        }
    }

    /// Up time at which an unanswered PINGREQ means that the peer is gone; `None` without one.
    pub(super) fn ping_due_ms(&self) -> Option<u64> {
        let pinged = self.keep_alive.pinged()?;
        // The answer comes behind packets that were on their way before the PINGREQ.
        let received_ms = self.receiving.whole_ms.max(self.receiving_until_ms());
        let alive_ms = pinged.at_ms().max(self.left_ms()).max(received_ms);
        let ahead = self.transit.until(pinged.end().saturating_sub(PINGREQ_BYTES));
        let transit_ms = self.path.transit_ms(ahead);
        Some(alive_ms + transit_ms + self.keep_alive.ping_timeout_ms())
    }
}
