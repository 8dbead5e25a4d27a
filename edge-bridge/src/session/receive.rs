//! Received packets: checks which packet is allowed in which state, and handles each.

use bytes::BytesMut;

use super::events::{Connected, Event, SessionOutcome, Violation};
use super::oversized::{Oversized, PassedOver};
use super::received_messages::Arrival;
use super::requests::Kind;
use super::topic_alias::OutboundAliases;
use super::unreleased_qos2::{Digest, UnreleasedMessages};
use super::{Closed, Phase, Role, ServerLimits, Session};
use crate::wire::{
    self, Ack, ConnAck, Connect, DecodeError, Disconnect, Limits, Packet, PropertyId, Publish, QoS,
    ReasonCode, SubAck, UnsubAck, Version,
};

/// Most messages of QoS 2 that are not completed at a server of 3.1.1, which cannot announce a Receive Maximum: the usual limit. Mosquitto 2.0 answers
/// by PUBREC and drops what is beyond its `max_inflight_messages` and its queue.
const V311_QOS_2_MAX: u16 = 20;
/// Most messages that are accepted before CONNACK; each is a slice of the receive buffer.
const EARLY_MAX: usize = 64;

impl Session {
    pub(super) fn receive(&mut self, now_ms: u64, buffer: &mut BytesMut) {
        let packets = self.receive_packets(now_ms, buffer);
        let passed_over = self.oversized.as_ref().map_or(0, Oversized::received);
        self.note_rest(now_ms, packets, passed_over + buffer.len());
    }

    /// Handles whole packets and returns their number.
    fn receive_packets(&mut self, now_ms: u64, buffer: &mut BytesMut) -> usize {
        for packets in 0..self.packets_per_turn {
            if matches!(self.phase, Phase::AwaitDecision(_)) {
                return packets;
            }
            if matches!(self.phase, Phase::Closed) {
                buffer.clear();
                return packets;
            }
            match self.pass_over(now_ms, buffer) {
                PassedOver::Nothing => {}
                PassedOver::Part => return packets,
                PassedOver::Whole => continue,
            }
            let (before, first) = (buffer.len(), buffer.first().copied().unwrap_or_default());
            let decoded = match self.phase {
                Phase::AwaitConnect => self.decode_connect(buffer),
                _ => wire::decode(buffer, self.version, &self.limits),
            };
            match decoded {
                Ok(None) => return packets,
                Ok(Some(packet)) => {
                    self.count(&packet, before - buffer.len());
                    self.dispatch(now_ms, packet);
                }
                Err(error) if is_answer(first) && matches!(self.phase, Phase::Open) => {
                    self.violate(now_ms, Violation::DecodeAnswer(error));
                }
                Err(error) => self.violate(now_ms, Violation::Decode(error)),
            }
        }
        self.packets_per_turn
    }

    /// Takes a CONNECT off the buffer. The liberties of MQTT 3.1 end with one of a later version.
    fn decode_connect(&mut self, buffer: &mut BytesMut) -> Result<Option<Packet>, DecodeError> {
        let is_mqtt_3_1 = wire::is_mqtt_3_1(buffer);
        let connect = wire::decode_connect(buffer, &self.connect_limits(buffer))?;
        if connect.is_some() {
            self.limits.accept_mqtt_3_1 &= is_mqtt_3_1;
        }
        Ok(connect.map(|connect| Packet::Connect(Box::new(connect))))
    }

    /// Limits for a CONNECT, smaller if its beginning shows that it has no login.
    fn connect_limits(&self, buffer: &[u8]) -> Limits {
        match &self.role {
            Role::Server { config, .. } if wire::announces_login(buffer) == Some(false) => {
                let size_max = config.connect_size_without_login.min(self.limits.max_packet_size);
                self.limits.with_max_packet_size(size_max)
            }
            _ => self.limits,
        }
    }

    fn count(&mut self, packet: &Packet, size: usize) {
        self.flow.received(size);
        match packet {
            Packet::Publish(publish) => self.traffic.publish(size, publish.payload.len(), publish.dup),
            Packet::PingReq | Packet::PingResp => self.traffic.ping += size as u64,
            _ => self.traffic.mqtt += size as u64,
        }
    }

    fn dispatch(&mut self, now_ms: u64, packet: Packet) {
        let server = matches!(self.role, Role::Server { .. });
        if server {
            self.keep_alive.on_received(now_ms, &mut self.timers);
        }
        let kind = packet.packet_type();
        let open = matches!(self.phase, Phase::Open);
        match packet {
            Packet::Connect(connect) if matches!(self.phase, Phase::AwaitConnect) => {
                self.on_connect(now_ms, connect);
            }
            Packet::ConnAck(ack) if matches!(self.phase, Phase::AwaitConnAck) => {
                self.on_connack(now_ms, &ack);
            }
            Packet::Publish(publish) if open => self.on_publish(now_ms, publish),
            Packet::Publish(publish) if self.takes_early() => self.early.push(publish),
            Packet::PubAck(ack) if open => self.on_puback(now_ms, &ack),
            Packet::PubRec(ack) if open => self.on_pubrec(now_ms, &ack),
            Packet::PubRel(ack) if open => self.on_pubrel(now_ms, &ack),
            Packet::PubComp(ack) if open => self.on_pubcomp(now_ms, &ack),
            Packet::Subscribe(subscribe) if open && server => {
                self.events.push_back(Event::Subscribe(subscribe));
            }
            Packet::Unsubscribe(unsubscribe) if open && server => {
                self.events.push_back(Event::Unsubscribe(unsubscribe));
            }
            Packet::SubAck(ack) if open && !server => self.on_suback(now_ms, ack),
            Packet::UnsubAck(ack) if open && !server => self.on_unsuback(now_ms, ack),
            Packet::PingReq if open && server => self.write_small(now_ms, &Packet::PingResp),
            Packet::PingResp if open && !server => {
                if let Some(wrote) = self.keep_alive.pong(now_ms, &mut self.timers) {
                    let rtt_ms = self.on_answered(now_ms, wrote);
                    self.events.push_back(Event::PingAnswered { rtt_ms });
                }
            }
            Packet::Disconnect(disconnect) if open => self.on_disconnect(now_ms, &disconnect),
            _ => self.violate(now_ms, Violation::Unexpected(kind)),
        }
    }

    fn on_connect(&mut self, now_ms: u64, connect: Box<Connect>) {
        self.version = connect.version;
        if connect.properties.contains(PropertyId::AuthenticationMethod) {
            self.write_refusal(now_ms, ReasonCode::BAD_AUTHENTICATION_METHOD);
            self.end(Closed::Violation(Violation::AuthenticationNotSupported));
            return;
        }
        self.events.push_back(Event::Connect(connect.clone()));
        self.phase = Phase::AwaitDecision(connect);
    }

    fn on_connack(&mut self, now_ms: u64, ack: &ConnAck) {
        self.doubt.on_connack();
        if ack.reason.is_error() {
            self.end(Closed::Refused(ack.reason));
            return;
        }
        let Role::Client { config, has_session, server } = &mut self.role else { return };
        let allowed = ServerLimits::of(ack, config);
        // \[MQTT-3.2.2-2\]: a clean start has no session.
        if ack.session_present && config.is_clean() {
            self.violate(now_ms, Violation::Unexpected(wire::PacketType::ConnAck));
            return;
        }
        let had_session = *has_session;
        *server = Some(allowed.clone());
        let window = allowed.receive_maximum.min(config.max_in_flight);
        let aliases = allowed.topic_alias_maximum.min(config.topic_aliases_out);
        self.aliases_out = OutboundAliases::new(aliases);
        self.peer_packet_max = allowed.maximum_packet_size;
        self.timers.stop(super::Timer::Handshake);
        self.on_answered(now_ms, self.connect);
        self.phase = Phase::Open;
        self.keep_alive.start_client(now_ms, allowed.keep_alive_s, &mut self.timers);
        let is_doubtful = self.doubt.on_accepted();
        let session = match (had_session, ack.session_present) {
            (false, false) => SessionOutcome::New,
            (false, true) => SessionOutcome::Unknown,
            (true, true) if self.doubt.is_elsewhere() => {
                SessionOutcome::Moved(self.outbound.take_in_flight())
            }
            (true, true) => SessionOutcome::Resumed,
            (true, false) => SessionOutcome::Lost(self.outbound.take_in_flight()),
        };
        if !matches!(session, SessionOutcome::Resumed | SessionOutcome::Moved(_)) {
            self.arrivals.resume(UnreleasedMessages::default());
        }
        match session {
            SessionOutcome::Unknown | SessionOutcome::Moved(_) => self.outbound.forget_ids(),
            SessionOutcome::Lost(_) => self.outbound.know_ids(),
            _ => {}
        }
        self.outbound.set_window(window);
        if self.version == Version::V311 {
            self.outbound.set_qos_2_max(V311_QOS_2_MAX);
        }
        self.outbound.set_cap(self.cap);
        self.events.push_back(Event::Connected(Box::new(Connected {
            session,
            is_doubtful,
            server: allowed,
        })));
        self.resend(now_ms);
        for publish in std::mem::take(&mut self.early) {
            self.on_publish(now_ms, publish);
        }
    }

    /// Returns whether a PUBLISH before CONNACK is accepted. The standard forbids it, but some servers send queued messages early, and every
    /// connection to them would end otherwise.
    fn takes_early(&self) -> bool {
        matches!(self.phase, Phase::AwaitConnAck) && self.early.len() < EARLY_MAX
    }

    fn on_publish(&mut self, now_ms: u64, mut publish: Publish) {
        let is_from_client = matches!(self.role, Role::Server { .. });
        if is_from_client && publish.properties.u32(PropertyId::SubscriptionIdentifier).is_some() {
            return self.violate(now_ms, Violation::SubscriptionIdentifier);
        }
        if let Some(alias) = publish.properties.u16(PropertyId::TopicAlias) {
            match self.aliases_in.resolve(alias, &publish.topic) {
                Ok(topic) => publish.topic = topic,
                Err(violation) => {
                    self.violate(now_ms, violation);
                    return;
                }
            }
            publish.properties = publish.properties.without(&[PropertyId::TopicAlias]);
        }
        let is_qos_2 = publish.qos == QoS::ExactlyOnce;
        let digest = is_qos_2.then(|| Digest::of(&publish.topic, &publish.payload));
        let ack = match publish.packet_id {
            None => None,
            Some(id) => match self.arrivals.arrive(id, publish.dup, digest) {
                Ok(Arrival::New(handle)) => Some(handle),
                Ok(Arrival::PossibleCopy(handle)) => {
                    publish.dup = true;
                    Some(handle)
                }
                Ok(Arrival::TakenIn { handle: ack, earlier }) => {
                    self.events.push_back(Event::Repeated { publish, ack, earlier });
                    return;
                }
                Ok(Arrival::Repeated) => return,
                Ok(Arrival::Received) => {
                    self.write_small(now_ms, &Packet::PubRec(Ack::success(id)));
                    return;
                }
                Err(violation) => {
                    self.violate(now_ms, violation);
                    return;
                }
            },
        };
        self.events.push_back(Event::Publish { publish, ack });
    }

    /// Ends an exchange of QoS 2. An unknown exchange is answered too, so that the peer can forget it.
    fn on_pubrel(&mut self, now_ms: u64, ack: &Ack) {
        let reason = match self.version {
            _ if self.arrivals.release(ack.packet_id) => ReasonCode::SUCCESS,
            Version::V5 => ReasonCode::PACKET_IDENTIFIER_NOT_FOUND,
            Version::V311 => ReasonCode::SUCCESS,
        };
        self.write_small(now_ms, &Packet::PubComp(Ack::new(ack.packet_id, reason)));
    }

    fn on_suback(&mut self, now_ms: u64, ack: SubAck) {
        match self.requests.answer(ack.packet_id, Kind::Subscribe) {
            Some(filters) if filters == ack.reasons.len() => self.events.push_back(Event::SubAck(ack)),
            Some(_) => self.violate(now_ms, Violation::AnswerCount),
            None => self.violate(now_ms, Violation::Unexpected(wire::PacketType::SubAck)),
        }
    }

    fn on_unsuback(&mut self, now_ms: u64, ack: UnsubAck) {
        match self.requests.answer(ack.packet_id, Kind::Unsubscribe) {
            Some(filters) if self.version == Version::V311 || filters == ack.reasons.len() => {
                self.events.push_back(Event::UnsubAck(ack));
            }
            Some(_) => self.violate(now_ms, Violation::AnswerCount),
            None => self.violate(now_ms, Violation::Unexpected(wire::PacketType::UnsubAck)),
        }
    }

    fn on_disconnect(&mut self, now_ms: u64, disconnect: &Disconnect) {
        if self.asks_late_for_a_session(disconnect) {
            return self.violate(now_ms, Violation::LateSessionExpiry);
        }
        self.end(Closed::from(disconnect));
    }
}

/// Returns whether a packet with this first byte answers a message: PUBACK, PUBREC or PUBCOMP.
fn is_answer(first: u8) -> bool {
    matches!(first >> 4, 4 | 5 | 7)
}

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};

    use super::super::session_state::Memory;
    use super::super::{ClientConfig, Input, ServerConfig, Token};
    use super::*;
    use crate::wire::{PacketId, Properties, PropertiesBuilder, Utf8, Value};

    const CONNACK: &[u8] = &[0x20, 3, 0, 0, 0];
    const PINGRESP: &[u8] = &[0xd0, 0];

    fn client() -> Session {
        let mut session = Session::client(0, 1, ClientConfig::new(Utf8::from_static("site7")), None);
        let connect = session.out.len() as u64;
        assert_eq!((session.traffic().mqtt, session.answered()), (connect, connect));
        receive(&mut session, 0, CONNACK);
        assert!(session.is_open());
        session
    }

    fn receive(session: &mut Session, now_ms: u64, bytes: &[u8]) {
        session.handle_input(now_ms, Input::Bytes(&mut BytesMut::from(bytes)));
    }

    #[test]
    fn each_packet_counts_with_its_own_bytes() {
        let mut session = client();
        let before = session.traffic();
        receive(&mut session, 0, &[PINGRESP, PINGRESP, PINGRESP].concat());
        assert_eq!(session.traffic().ping - before.ping, 6);
        assert_eq!(session.traffic().total() - before.total(), 6);
        let answered = session.answered();
        session.ping(0);
        assert_eq!(session.answered(), answered + 2);
    }

    /// Memory that a client makes this side use: messages to it, the topics of its aliases, and its own until they are
    /// answered.
    #[test]
    fn memory_is_that_of_both_directions() {
        let mut config = ClientConfig::new(Utf8::from_static("site7"));
        config.topic_alias_maximum = 5;
        let mut session = Session::client(0, 1, config, None);
        receive(&mut session, 0, CONNACK);
        assert_eq!(session.memory(), Memory::default());
        let mut publish = Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: false,
            topic: Utf8::from_static("a/b"),
            packet_id: None,
            properties: Properties::default(),
            payload: Bytes::from_static(b"12345"),
        };
        session.publish(0, Token(1), &publish).unwrap();
        let sent = session.memory();
        assert!(sent.own > 3 && sent.payloads == 5);
        let mut properties = PropertiesBuilder::new();
        properties.push(PropertyId::TopicAlias, Value::U16(2)).unwrap();
        publish.properties = properties.finish();
        let mut waits = Vec::new();
        for id in [9, 10] {
            publish.packet_id = PacketId::new(id);
            let mut bytes = BytesMut::new();
            wire::encode(&Packet::Publish(publish.clone()), Version::V5, &mut bytes).unwrap();
            receive(&mut session, 0, &bytes);
            waits.push(session.arrivals.bytes());
            assert_eq!(session.memory(), Memory { own: sent.own + 3 + waits[waits.len() - 1], payloads: 5 });
        }
        assert!(waits[0] > 2 && waits[1] == 2 * waits[0]);
        receive(&mut session, 0, &[0x40, 2, 0, 1]);
        assert_eq!(session.memory(), Memory { own: 3 + waits[1], payloads: 0 });
    }

    /// The patience with a packet that comes slowly begins with its own first byte.
    #[test]
    fn a_packet_is_being_received_since_its_first_byte() {
        let mut session = client();
        let puback = [0x40, 2, 0, 9];
        let mut buffer = BytesMut::from(&puback[..3]);
        session.handle_input(1_000, Input::Bytes(&mut buffer));
        assert_eq!(session.receiving_until_ms(), 1_006);
        buffer.extend_from_slice(&puback[3..]);
        buffer.extend_from_slice(&puback[..2]);
        session.handle_input(2_000, Input::Bytes(&mut buffer));
        assert_eq!(session.receiving_until_ms(), 2_004);
        buffer.extend_from_slice(&puback[2..3]);
        session.handle_input(2_500, Input::Bytes(&mut buffer));
        assert_eq!(session.receiving_until_ms(), 2_006);
    }

    /// Nobody knows yet who it is: a CONNECT takes 4 KiB at most, with a user name 64 KiB.
    #[test]
    fn the_size_of_a_connect_is_bounded_by_its_login() {
        let is_taken = |bytes: usize, has_login: bool| {
            let mut config = ClientConfig::new(Utf8::try_from("x".repeat(bytes)).unwrap());
            config.username = has_login.then(|| Utf8::from_static("u"));
            let mut client = Session::client(0, 1, config, None);
            let mut server = Session::server(0, 1, ServerConfig::default());
            receive(&mut server, 0, client.out.last());
            !server.is_closed()
        };
        let found = [4_000, 5_000, 65_530].map(|bytes| [false, true].map(|login| is_taken(bytes, login)));
        assert_eq!(found, [[true, true], [false, true], [false, false]]);
    }
}
