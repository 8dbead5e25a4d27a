//! The hub: it takes what the link sends, and answers by the script.

use bytes::{Bytes, BytesMut};
use edge_bridge::wire::{
    self, Ack, ConnAck, Disconnect, Limits, Packet, PacketId, Properties, PropertiesBuilder, PropertyId,
    Publish, QoS, ReasonCode, SubAck, Version,
};

use super::{Answer, FromHub, Rig, payload_number, text};

impl Rig {
    pub(super) fn on_bytes(&mut self, bytes: &Bytes) {
        let mut bytes = BytesMut::from(bytes.as_ref());
        if bytes[0] == 0x10 {
            wire::decode_connect(&mut bytes, &Limits::default()).unwrap().unwrap();
            self.on_connect();
        }
        while let Some(packet) = wire::decode(&mut bytes, Version::V5, &Limits::default()).unwrap() {
            if !self.closing && self.connected {
                self.on_packet(packet);
            }
        }
    }

    fn on_connect(&mut self) {
        let mut properties = PropertiesBuilder::new();
        for (id, value) in &self.properties {
            properties.push(*id, *value).unwrap();
        }
        let session_present = (self.has_session && self.keeps_session) || !self.qos2_leftovers.is_empty();
        self.has_session = true;
        let reason = ReasonCode::SUCCESS;
        self.say(Packet::ConnAck(ConnAck { session_present, reason, properties: properties.finish() }));
        for id in std::mem::take(&mut self.qos2_leftovers) {
            self.say(Packet::Publish(Publish {
                dup: true,
                qos: QoS::ExactlyOnce,
                retain: false,
                topic: text("cmd/old"),
                packet_id: PacketId::new(id),
                properties: Properties::default(),
                payload: Bytes::from_static(b"x"),
            }));
        }
    }

    fn on_packet(&mut self, packet: Packet) {
        match packet {
            Packet::Publish(publish) => self.on_publish(publish),
            Packet::Subscribe(subscribe) => {
                self.subscribes += 1;
                let reason = self.refuses_filters.unwrap_or(ReasonCode::GRANTED_QOS_1);
                let reasons = vec![reason; subscribe.filters.len()];
                let packet_id = subscribe.packet_id;
                self.say(Packet::SubAck(SubAck { packet_id, properties: Properties::default(), reasons }));
            }
            Packet::PubRec(ack) => self.say(Packet::PubRel(Ack::success(ack.packet_id))),
            Packet::PubComp(ack) => self.qos2_done.push(ack.packet_id.get()),
            Packet::PubRel(ack) => {
                let reason = match self.forgotten.remove(&ack.packet_id) {
                    true => ReasonCode::PACKET_IDENTIFIER_NOT_FOUND,
                    false => ReasonCode::SUCCESS,
                };
                self.say(Packet::PubComp(Ack::new(ack.packet_id, reason)));
            }
            Packet::PingReq => self.say(Packet::PingResp),
            _ => {}
        }
    }

    fn on_publish(&mut self, mut publish: Publish) {
        if let Some(alias) = publish.properties.u16(PropertyId::TopicAlias) {
            if publish.topic.is_empty() {
                publish.topic = self.aliases[&alias].clone();
            }
            self.aliases.insert(alias, publish.topic.clone());
        }
        self.published += 1;
        let id = publish.packet_id.unwrap();
        match (self.script)(self.now_ms, &publish) {
            Answer::Ack(reason) => {
                if reason < 0x80 {
                    self.take(&publish);
                }
                let ack = Ack::new(id, ReasonCode::new(reason));
                let is_qos_2 = publish.qos == QoS::ExactlyOnce;
                self.say(if is_qos_2 { Packet::PubRec(ack) } else { Packet::PubAck(ack) });
            }
            Answer::Forgotten => {
                self.forgotten.insert(id);
                self.say(Packet::PubRec(Ack::success(id)));
            }
            Answer::Late(by_ms) => {
                self.take(&publish);
                let at_ms = self.now_ms + self.latency_ms + by_ms;
                let at = self.from_hub.partition_point(|(other_ms, _)| *other_ms <= at_ms);
                self.from_hub.insert(at, (at_ms, FromHub::Packet(Packet::PubAck(Ack::success(id)))));
            }
            Answer::Disconnect(reason) => {
                self.say(Packet::Disconnect(Disconnect::new(ReasonCode::new(reason))));
                self.closing = true;
            }
            Answer::AckAndClose(reason) => {
                self.say(Packet::PubAck(Ack::new(id, ReasonCode::new(reason))));
                self.from_hub.push_back((self.now_ms + self.latency_ms, FromHub::Close));
                self.closing = true;
            }
            Answer::Close => {
                self.from_hub.push_back((self.now_ms + self.latency_ms, FromHub::Close));
                self.closing = true;
            }
            Answer::Silent => {}
            Answer::MalformedPublish => self.say_bytes(vec![0x36, 5, 0, 1, b't', 0, 1]),
            Answer::MalformedAck => {
                let [high, low] = id.get().to_be_bytes();
                self.say_bytes(vec![0x41, 2, high, low]);
            }
            Answer::UnlistedAck => {
                let [high, low] = id.get().to_be_bytes();
                self.say_bytes(vec![0x40, 3, high, low, 0x42]);
            }
        }
    }

    fn take(&mut self, publish: &Publish) {
        for payload in publish.payload.split(|byte| *byte == b',') {
            let n = payload_number(payload);
            if self.seen.insert(n) {
                self.retained += usize::from(publish.retain);
                self.delivered.push((publish.topic.to_string(), n));
            }
        }
    }

    fn say_bytes(&mut self, bytes: Vec<u8>) {
        self.from_hub.push_back((self.now_ms + self.latency_ms, FromHub::Bytes(bytes)));
        self.closing = true;
    }

    fn say(&mut self, packet: Packet) {
        if self.is_mute {
            return;
        }
        let at_ms = self.now_ms + self.latency_ms;
        let at = self.from_hub.partition_point(|(other_ms, _)| *other_ms <= at_ms);
        self.from_hub.insert(at, (at_ms, FromHub::Packet(packet)));
    }
}
