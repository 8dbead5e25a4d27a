//! Server role: answers to CONNECT and to requests for subscriptions.

use super::ack_handle::AckHandle;
use super::handshake::ClientLimits;
use super::timer::Timer;
use super::topic_alias::{InboundAliases, OutboundAliases};
use super::unacked_messages::UnackedMessages;
use super::{Accept, Closed, Phase, Role, Session, receive_maximum};
use crate::puback_chain::Group;
use crate::wire::{
    Disconnect, Packet, PacketId, Properties, PropertyId, ReasonCode, SubAck, UnsubAck, Version, encoded_len,
};

impl Session {
    /// Server: returns whether the CONNACK of [`accept`](Self::accept) fits into the client's Maximum Packet Size. `false` too when no client
    /// waits for a decision.
    pub fn can_accept(&self, accept: &Accept) -> bool {
        let (Phase::AwaitDecision(connect), Role::Server { config, .. }) = (&self.phase, &self.role) else {
            return false;
        };
        let connack = Packet::ConnAck(accept.to_connack(connect, config));
        let limit = u64::from(ClientLimits::of(&connect.properties).maximum_packet_size);
        encoded_len(&connack, self.version).is_ok_and(|size| size as u64 <= limit)
    }

    /// Server: accepts the client of [`Event::Connect`](super::Event::Connect). Messages of `accept.resume` are resent at once, within its
    /// Receive Maximum. Refuses a client into whose Maximum Packet Size the CONNACK does not fit, see [`can_accept`](Self::can_accept). Does
    /// nothing when no client waits for a decision.
    pub fn accept(&mut self, now_ms: u64, accept: Accept) {
        if !self.can_accept(&accept) {
            self.refuse(now_ms, ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR);
            return;
        }
        let Phase::AwaitDecision(connect) = &self.phase else { return };
        let Role::Server { config, asked_for_session } = &mut self.role else { return };
        let peer = ClientLimits::of(&connect.properties);
        let mut connack = accept.to_connack(connect, config);
        // In MQTT 3.1 the bit is reserved.
        connack.session_present &= !self.limits.accept_mqtt_3_1;
        let connack = Packet::ConnAck(connack);
        let expiry_s = connect.properties.u32(PropertyId::SessionExpiryInterval);
        *asked_for_session = expiry_s.is_some_and(|expiry_s| expiry_s > 0);
        self.limits = self.limits.with_max_packet_size(config.limits.max_packet_size);
        self.aliases_in = InboundAliases::new(config.topic_alias_maximum);
        self.aliases_out = OutboundAliases::new(config.topic_aliases_out.min(peer.topic_alias_maximum));
        self.arrivals.set_receive_maximum(receive_maximum(self.version, config.receive_maximum));
        let mut resume = accept.resume.filter(|_| !connect.clean_start).unwrap_or_default();
        self.arrivals.resume(std::mem::take(&mut resume.received));
        self.outbound = UnackedMessages::new(resume, peer.window(self.version, accept.max_in_flight));
        let keep_alive_s = match (self.version, accept.keep_alive_s) {
            (Version::V5, Some(own_s)) => own_s,
            _ => connect.keep_alive_s,
        };
        self.keep_alive.start_server(now_ms, keep_alive_s, accept.packet_within_ms, &mut self.timers);
        self.peer_packet_max = peer.maximum_packet_size;
        self.timers.stop(Timer::Handshake);
        self.phase = Phase::Open;
        self.bound_part();
        self.write_small(now_ms, &connack);
        self.resend(now_ms);
    }

    /// Server: returns whether a client asks at its end for a session for which it did not ask at CONNECT. That is no valid DISCONNECT
    /// (§3.14.2.2.2).
    pub(super) fn asks_late_for_a_session(&self, disconnect: &Disconnect) -> bool {
        let expiry_s = disconnect.properties.u32(PropertyId::SessionExpiryInterval);
        matches!(self.role, Role::Server { asked_for_session: false, .. }) && expiry_s.unwrap_or(0) > 0
    }

    /// Server: refuses the client of [`Event::Connect`](super::Event::Connect), in 3.1.1 with the nearest return code. One whose
    /// Maximum Packet Size is too small for a CONNACK is not told (\[MQTT-3.1.2-24\]). Does nothing when no client waits for a decision.
    pub fn refuse(&mut self, now_ms: u64, reason: ReasonCode) {
        let Phase::AwaitDecision(connect) = &self.phase else { return };
        self.peer_packet_max = ClientLimits::of(&connect.properties).maximum_packet_size;
        self.write_refusal(now_ms, reason);
        self.end(Closed::Local(reason));
    }

    /// Server: records that the caller is responsible for a received message, as [`take_in`](Self::take_in) does, with the group of its receipts.
    pub(crate) fn take_in_with(&mut self, handle: AckHandle, group: Option<Group>) {
        self.arrivals.take_in(handle, group);
    }

    /// Server: returns the group with which a message that is not answered yet was taken in, on whatever connection.
    pub(crate) fn group_of(&self, handle: AckHandle) -> Option<Group> {
        self.arrivals.group_of(handle)
    }

    /// Server: answers a SUBSCRIBE.
    pub fn suback(&mut self, now_ms: u64, packet_id: PacketId, mut reasons: Vec<ReasonCode>) {
        for reason in &mut reasons {
            if self.version == Version::V311 && reason.is_error() {
                *reason = ReasonCode::UNSPECIFIED_ERROR;
            }
        }
        let packet = SubAck { packet_id, properties: Properties::default(), reasons };
        self.write_open(now_ms, &Packet::SubAck(packet));
    }

    /// Server: answers an UNSUBSCRIBE.
    pub fn unsuback(&mut self, now_ms: u64, packet_id: PacketId, mut reasons: Vec<ReasonCode>) {
        if self.version == Version::V311 {
            reasons.clear();
        }
        let packet = UnsubAck { packet_id, properties: Properties::default(), reasons };
        self.write_open(now_ms, &Packet::UnsubAck(packet));
    }
}
