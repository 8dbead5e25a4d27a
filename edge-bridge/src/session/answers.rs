//! Answers of the peer to published messages: PUBACK, PUBREC and PUBCOMP.

use super::bytes_in_transit::Wrote;
use super::events::Event;
use super::{Session, Token};
use crate::wire::{Ack, Packet, QoS, ReasonCode, Version};

impl Session {
    pub(super) fn on_puback(&mut self, now_ms: u64, ack: &Ack) {
        // An identifier that is not in flight here: some servers answer a message of an earlier connection. It says nothing about what
        // is in flight now.
        if let Some(answered) = self.outbound.acknowledge(ack.packet_id, QoS::AtLeastOnce) {
            self.on_acked(now_ms, answered, ack.reason, true);
        }
    }

    /// Handles the peer's answer to a message of QoS 2: the message is the peer's, or refused. The PUBREC of an unknown exchange, or a second one,
    /// is answered too, so that the peer can forget the message; not so one for a message that is still to be sent again.
    pub(super) fn on_pubrec(&mut self, now_ms: u64, ack: &Ack) {
        let answered = match ack.reason.is_error() {
            true => self.outbound.acknowledge(ack.packet_id, QoS::ExactlyOnce),
            false => self.outbound.received(ack.packet_id),
        };
        match answered {
            // `resend` writes the PUBREL.
            Some(answered) => self.on_acked(now_ms, answered, ack.reason, ack.reason.is_error()),
            None if ack.reason.is_error() || self.outbound.is_waiting(ack.packet_id) => {}
            None => {
                let is_known = self.version == Version::V311 || self.outbound.is_received(ack.packet_id);
                let reason =
                    if is_known { ReasonCode::SUCCESS } else { ReasonCode::PACKET_IDENTIFIER_NOT_FOUND };
                self.write_small(now_ms, &Packet::PubRel(Ack::new(ack.packet_id, reason)));
            }
        }
    }

    /// Ends the exchange of a published message of QoS 2. One of an unknown exchange is ignored, as a PUBACK is.
    ///
    /// An error (0x92) says nothing against an exchange of an earlier connection, on which its PUBREL was written too: the peer may have completed it there
    /// (§3.7.2.1). One whose PUBREC came on this connection it has lost, unless it answers late to a PUBREL that was given up.
    pub(super) fn on_pubcomp(&mut self, now_ms: u64, ack: &Ack) {
        let Some(completion) = self.outbound.complete(ack.packet_id) else { return };
        self.on_answered(now_ms, completion.released);
        self.events.push_back(match completion.token {
            Some(token) if completion.has_place && !completion.is_ambiguous && ack.reason.is_error() => {
                Event::Forgotten { token, reason: ack.reason }
            }
            token => Event::Completed { token, by_peer: true },
        });
        self.resend(now_ms);
    }

    fn on_acked(
        &mut self,
        now_ms: u64,
        (token, wrote): (Token, Wrote),
        reason: ReasonCode,
        is_complete: bool,
    ) {
        let took_ms = now_ms.saturating_sub(wrote.at_ms());
        self.on_answered(now_ms, wrote);
        self.events.push_back(Event::Acked { token, reason, took_ms, is_complete });
        self.resend(now_ms);
    }
}
