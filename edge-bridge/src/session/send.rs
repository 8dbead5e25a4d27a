//! Packets to the peer: encoded within the peer's limits, and counted by use.

use super::bytes_in_transit::Wrote;
use super::error::{PublishError, RequestError};
use super::events::{Event, Violation};
use super::timer::Timer;
use super::topic_alias::Spelling;
use super::{Closed, InFlight, Phase, Role, Session, Token};
use crate::send_pieces::SHARED_MIN;
use crate::wire::{
    self, Ack, ConnAck, Disconnect, EncodeError, Packet, PacketId, Properties, PropertyId, Publish, QoS,
    ReasonCode, Utf8, Value, Version,
};

/// Longest wait for the PUBCOMP of an identifier that the peer may hold from an earlier connection, in milliseconds.
const UNKNOWN_WITHIN_MS: u64 = 5_000;
/// Time after which this side looks again whether a PUBREL that it would give up has arrived, in milliseconds.
const ARRIVAL_WITHIN_MS: u64 = 1_000;
/// Bytes of a Topic Alias among the properties.
const ALIAS_BYTES: usize = 3;

impl Session {
    /// Publishes a message. Above QoS 0 the session chooses the packet identifier, and `token` comes back in [`Event::Acked`]; at QoS 0 nothing
    /// comes back. DUP is ignored. Properties that hold for one connection only (Topic Alias; from a client also Subscription Identifier) are
    /// left out, in 3.1.1 all of them.
    pub fn publish(&mut self, now_ms: u64, token: Token, publish: &Publish) -> Result<(), PublishError> {
        self.may_publish(publish)?;
        let message = self.adapted(publish);
        if message.qos == QoS::AtMostOnce {
            return self.write_publish(now_ms, &message, None, false);
        }
        if self.outbound.room() > 0 {
            self.release_unknown_ids(now_ms, message.qos);
        }
        if self.outbound.room_for(message.qos) == 0 {
            return Err(PublishError::WindowFull { window: self.outbound.window().limit() });
        }
        let id = self.id_for(message.qos).ok_or(PublishError::WindowFull { window: u16::MAX })?;
        self.write_publish(now_ms, &message, Some(id), false)?;
        let mut kept = message;
        // They were left out of the packet alone: the expiry counts all the same when the message is sent again, and another client may get it then.
        if let (Role::Server { .. }, Version::V311) = (&self.role, self.version) {
            kept.properties = publish.properties.without(&[PropertyId::TopicAlias]);
        }
        self.outbound.push_sent(id, token, kept, Wrote::last(now_ms, &self.transit));
        Ok(())
    }

    /// Returns a free packet identifier for a message; `None` if there is none.
    fn id_for(&mut self, qos: QoS) -> Option<PacketId> {
        if qos == QoS::ExactlyOnce {
            return self.outbound.allocate_id_of_qos_2();
        }
        let requests = &self.requests;
        self.outbound.allocate_id(|id| requests.is_id_used(id))
    }

    /// Returns an error if the connection is not open, or CONNACK forbids such a message.
    pub(super) fn may_publish(&self, publish: &Publish) -> Result<(), PublishError> {
        if !matches!(self.phase, Phase::Open) {
            return Err(PublishError::NotConnected);
        }
        if let Some(server) = self.server_limits() {
            if publish.qos > server.maximum_qos {
                return Err(PublishError::QosNotSupported { maximum: server.maximum_qos });
            }
            if publish.retain && !server.retain_available {
                return Err(PublishError::RetainNotSupported);
            }
        }
        Ok(())
    }

    /// Copies a message without properties that belong to another connection or that the version does not have.
    pub(super) fn adapted(&self, publish: &Publish) -> Publish {
        let properties = match (self.version, &self.role) {
            (Version::V311, _) => Properties::default(),
            (_, Role::Server { .. }) => publish.properties.without(&[PropertyId::TopicAlias]),
            (_, Role::Client { .. }) => {
                publish.properties.without(&[PropertyId::TopicAlias, PropertyId::SubscriptionIdentifier])
            }
        };
        Publish { dup: false, packet_id: None, properties, ..publish.clone() }
    }

    /// Writes a message that [`adapted`](Self::adapted) made.
    pub(super) fn write_publish(
        &mut self,
        now_ms: u64,
        message: &Publish,
        packet_id: Option<PacketId>,
        dup: bool,
    ) -> Result<(), PublishError> {
        let spelling = self.aliases_out.spell(&message.topic);
        match self.write_spelled(now_ms, message, packet_id, dup, spelling) {
            // An alias's definition takes three bytes that the peer may not have room for.
            Err(PublishError::TooLarge { .. }) if matches!(spelling, Spelling::Define(_)) => {
                self.write_spelled(now_ms, message, packet_id, dup, Spelling::Plain)
            }
            written => written,
        }
    }

    fn write_spelled(
        &mut self,
        now_ms: u64,
        message: &Publish,
        packet_id: Option<PacketId>,
        dup: bool,
        spelling: Spelling,
    ) -> Result<(), PublishError> {
        let mut packet = message.clone();
        packet.packet_id = packet_id;
        packet.dup = dup;
        if let Spelling::Define(alias) | Spelling::Use(alias) = spelling {
            let mut properties = packet.properties.to_builder_with_room(ALIAS_BYTES);
            properties.push(PropertyId::TopicAlias, Value::U16(alias))?;
            packet.properties = properties.finish();
        }
        if let Spelling::Use(_) = spelling {
            packet.topic = Utf8::default();
        }
        let payload = packet.payload.len();
        let size = self.encode(&Packet::Publish(packet)).map_err(|error| match error {
            SendError::TooLarge { size, limit } => PublishError::TooLarge { size, limit },
            SendError::Invalid(error) => PublishError::Invalid(error),
        })?;
        self.aliases_out.commit(&message.topic, spelling);
        self.flow.sent(size);
        self.traffic.publish(size, payload, dup);
        self.sent(now_ms);
        Ok(())
    }

    /// Writes the PUBRELs that are owed (\[MQTT-4.4.0-1\]), first, because each makes room at the peer. Then resends resumed messages, oldest first,
    /// as far as the peer's Receive Maximum allows.
    pub(super) fn resend(&mut self, now_ms: u64) {
        self.write_releases(now_ms);
        while let Some((message, dup)) = self.outbound.next_waiting() {
            // The version may be another one than that of the connection before.
            let (id, mut publish) = (message.packet_id, self.adapted(&message.publish));
            age(&mut publish, now_ms.saturating_sub(message.as_of_ms));
            if self.server_limits().is_some_and(|server| server.maximum_qos == QoS::AtLeastOnce) {
                publish.qos = publish.qos.min(QoS::AtLeastOnce);
            }
            let refused = match self.may_publish(&publish) {
                Ok(()) => self.write_publish(now_ms, &publish, Some(id), dup).err(),
                Err(PublishError::RetainNotSupported) => {
                    publish.retain = false;
                    self.write_publish(now_ms, &publish, Some(id), dup).err()
                }
                // It waits for a connection that takes it.
                Err(PublishError::QosNotSupported { .. }) => return,
                Err(error) => Some(error),
            };
            let Some(error) = refused else {
                self.outbound.waiting_sent(publish.qos, Wrote::last(now_ms, &self.transit));
                continue;
            };
            let (size, limit) = match error {
                PublishError::TooLarge { size, limit } => (size, limit),
                _ => (publish.payload.len(), self.peer_packet_max),
            };
            if let Some(token) = self.outbound.waiting_dropped() {
                self.events.push_back(Event::Unsendable { token, size, limit });
            }
        }
        // Of messages that were just left out.
        self.write_releases(now_ms);
    }

    /// Writes the PUBRELs that are owed. A peer that does not answer those of earlier connections within [`UNKNOWN_WITHIN_MS`] ignores them.
    fn write_releases(&mut self, now_ms: u64) {
        if self.outbound.releases().has_unwritten_of_earlier() {
            self.timers.set(Timer::UnknownReleases, now_ms + UNKNOWN_WITHIN_MS);
        }
        while let Some(id) = self.outbound.next_release() {
            self.write_small(now_ms, &Packet::PubRel(Ack::success(id)));
            self.outbound.release_written(id, Wrote::last(now_ms, &self.transit));
        }
    }

    /// Gives up the PUBRELs of earlier connections that the peer ignores. A client does so once they have arrived, for which it asks by a PINGREQ: the
    /// next connection would owe the others again, and release what was sent under their identifiers meanwhile and is then sent again.
    pub(super) fn give_up_releases(&mut self, now_ms: u64) {
        let is_client = matches!(self.role, Role::Client { .. });
        let arrived = if is_client { self.transit.arrived() } else { u64::MAX };
        let mut given_up = self.outbound.give_up_unanswered(arrived);
        // One event is enough for all that nobody knows of.
        given_up.sort_unstable();
        given_up.dedup();
        if !given_up.is_empty() {
            let completed = given_up.into_iter().map(|token| Event::Completed { token, by_peer: false });
            self.events.extend(completed);
            self.resend(now_ms);
        }
        if self.outbound.releases().awaits_arrival() {
            self.timers.set(Timer::UnknownReleases, now_ms + ARRIVAL_WITHIN_MS);
            self.ping(now_ms);
        }
    }

    /// Has identifiers released that the peer may hold from before a restart, if the next message is of QoS 2. Until their PUBCOMPs come there is
    /// no [room](Self::room_for) for it. Returns whether PUBRELs were written.
    pub(crate) fn release_unknown_ids(&mut self, now_ms: u64, qos: QoS) -> bool {
        let is_needed = qos == QoS::ExactlyOnce && self.is_open() && self.outbound.release_unknown();
        if is_needed {
            self.write_releases(now_ms);
        }
        is_needed
    }

    /// Messages that the peer has not acknowledged, in their original order.
    pub(crate) fn unacked(&self) -> impl Iterator<Item = &InFlight> {
        self.outbound.iter()
    }

    /// Returns whether a published message has no answer, or one of QoS 2 is not completed.
    pub(crate) fn has_unfinished(&self) -> bool {
        self.outbound.len() > 0 || self.outbound.has_releases()
    }

    /// Returns whether the peer owes a PUBCOMP for an identifier of an earlier connection, at whose PUBREL it may end the connection.
    pub(crate) fn owes_pubcomp(&self) -> bool {
        self.outbound.releases().has_unanswered_of_earlier()
    }

    /// Number of published messages that were written on this connection and have no answer.
    pub(crate) fn sent_here(&self) -> usize {
        self.outbound.sent()
    }

    /// Bytes written so far of packets other than PUBLISH, most of them answers to the peer's packets.
    pub(crate) fn answered(&self) -> u64 {
        self.answered
    }

    /// Writes a packet other than PUBLISH.
    pub(super) fn write(&mut self, now_ms: u64, packet: &Packet) -> Result<(), SendError> {
        let size = self.encode(packet)?;
        self.flow.sent(size);
        let size = size as u64;
        self.answered += size;
        match packet {
            Packet::PingReq | Packet::PingResp => self.traffic.ping += size,
            _ => self.traffic.mqtt += size,
        }
        self.sent(now_ms);
        Ok(())
    }

    /// Writes a packet that this side composed and that always fits. Encoding cannot fail; a failure would leave the packet out.
    pub(super) fn write_small(&mut self, now_ms: u64, packet: &Packet) {
        let written = self.write(now_ms, packet);
        debug_assert!(written.is_ok(), "{packet:?}: {written:?}");
    }

    /// Writes a packet with the caller's content while the connection is open. If the content is not valid, the connection ends, because the peer
    /// would get no answer.
    pub(super) fn write_open(&mut self, now_ms: u64, packet: &Packet) {
        if matches!(self.phase, Phase::Open) && self.write(now_ms, packet).is_err() {
            self.tell(now_ms, ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR);
            self.end(Closed::Local(ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR));
        }
    }

    pub(super) fn write_request(&mut self, now_ms: u64, packet: &Packet) -> Result<(), RequestError> {
        self.write(now_ms, packet).map_err(|error| match error {
            SendError::TooLarge { size, limit } => RequestError::TooLarge { size, limit },
            SendError::Invalid(error) => RequestError::Invalid(error),
        })
    }

    /// Writes a CONNACK with an error.
    pub(super) fn write_refusal(&mut self, now_ms: u64, reason: ReasonCode) {
        let reason = match self.version {
            Version::V5 => reason,
            Version::V311 => reason.nearest_v311_connack(),
        };
        let connack = ConnAck { session_present: false, reason, properties: Properties::default() };
        // A client that takes no packet so large sees the end of the connection alone.
        let _ = self.write(now_ms, &Packet::ConnAck(connack));
    }

    /// Writes a DISCONNECT, if the version and role allow one with this reason.
    pub(super) fn tell(&mut self, now_ms: u64, reason: ReasonCode) {
        let says = match (self.version, &self.role) {
            (Version::V5, _) => true,
            (Version::V311, Role::Client { .. }) => reason == ReasonCode::NORMAL_DISCONNECTION,
            (Version::V311, Role::Server { .. }) => false,
        };
        if says {
            let packet = Disconnect { reason, properties: Properties::default() };
            self.write_small(now_ms, &Packet::Disconnect(packet));
        }
    }

    /// Ends the connection because the peer broke the protocol. The DISCONNECT has the reason if the version allows.
    pub(super) fn violate(&mut self, now_ms: u64, violation: Violation) {
        match (&self.phase, &self.role) {
            (Phase::Open, _) => {
                // Not every reason of a decode error is one of DISCONNECT: that of a second CONNECT's version is not.
                let reason = match &violation {
                    Violation::Decode(error) | Violation::DecodeAnswer(error) => error.disconnect_reason(),
                    other => other.reason(),
                };
                self.tell(now_ms, reason);
            }
            (Phase::AwaitConnect, Role::Server { .. }) => self.refuse_malformed(now_ms, &violation),
            _ => {}
        }
        self.end(Closed::Violation(violation));
    }

    /// Answers a first packet that is not a valid CONNECT, but only if the peer can be expected to understand the answer.
    fn refuse_malformed(&mut self, now_ms: u64, violation: &Violation) {
        let reason = violation.reason();
        if reason == ReasonCode::UNSUPPORTED_PROTOCOL_VERSION
            || reason == ReasonCode::CLIENT_IDENTIFIER_NOT_VALID
        {
            // 3.1.1 §3.1.2.2 wants return code 1; clients of MQTT 3.1 know it too, those of later versions know the first two bytes.
            self.version = Version::V311;
            self.write_refusal(now_ms, reason);
        }
    }

    fn encode(&mut self, packet: &Packet) -> Result<usize, SendError> {
        // Many clients may get the message: its payload is in memory once.
        let shared = match (packet, &self.role) {
            (Packet::Publish(publish), Role::Server { .. }) if publish.payload.len() >= SHARED_MIN => {
                Some(publish)
            }
            _ => None,
        };
        let out = self.out.last();
        let before = out.len();
        let size = match shared {
            Some(publish) => wire::encode_publish_head(publish, self.version, out),
            None => wire::encode(packet, self.version, out).map(|()| out.len() - before),
        };
        let size = size.map_err(SendError::Invalid)?;
        if size as u64 > u64::from(self.peer_packet_max) {
            out.truncate(before);
            return Err(SendError::TooLarge { size, limit: self.peer_packet_max });
        }
        if let Some(publish) = shared {
            self.out.share(publish.payload.clone());
        }
        self.transit.on_encoded(size);
        Ok(size)
    }

    fn sent(&mut self, now_ms: u64) {
        if matches!(self.role, Role::Client { .. }) {
            self.keep_alive.on_sent(now_ms, &mut self.timers);
        }
    }
}

#[derive(Debug, Clone)]
pub(super) enum SendError {
    TooLarge { size: usize, limit: u32 },
    Invalid(EncodeError),
}

/// Reduces the Message Expiry Interval by the time that the message waited, to at least a second, because the protocol has no zero (§3.3.2.3.3)
/// and messages in flight must be sent again (\[MQTT-4.4.0-1\]).
fn age(publish: &mut Publish, waited_ms: u64) {
    let waited_s = u32::try_from(waited_ms / 1000).unwrap_or(u32::MAX);
    if let Some(said_s) = publish.properties.u32(PropertyId::MessageExpiryInterval)
        && waited_s > 0
    {
        publish.properties = publish.properties.with_expiry_s(said_s.saturating_sub(waited_s).max(1));
    }
}
