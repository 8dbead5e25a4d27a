//! The hub: one session by the book (§4.3). Its application gets a message of QoS 2 with its PUBLISH, or with its PUBREL alone (method B and A of
//! 3.1.1, §4.3.3). In the second case what lies between is lost with the session.

use std::collections::BTreeMap;

use edge_bridge::wire::{
    Ack, ConnAck, Packet, PropertiesBuilder, PropertyId, Publish, QoS, ReasonCode, Value,
};

use crate::bug::Bug;
use crate::ledger::{Ledger, Msg, Rule};
use crate::wire_units::Way;

#[derive(Debug, Clone, Default)]
pub(crate) struct Hub {
    /// Messages of QoS 2 that the session holds, each with the life of the gateway that sent it; `None` without a session.
    pub(crate) held: Option<BTreeMap<u16, (Publish, u64)>>,
    /// Message that was last sent under each identifier, also if it was taken for a repeat.
    pub(crate) sent_under: BTreeMap<u16, Msg>,
    /// Its application gets a message of QoS 2 with its PUBREL.
    pub(crate) hands_on_at_pubrel: bool,
    /// CONNECT came on this connection.
    pub(crate) is_connected: bool,
    /// Life of the gateway that made the connection.
    life: u64,
}

impl Hub {
    pub(crate) fn new(hands_on_at_pubrel: bool) -> Self {
        Self { hands_on_at_pubrel, ..Self::default() }
    }

    pub(crate) fn on_closed(&mut self) {
        self.is_connected = false;
    }

    pub(crate) fn lose_session(&mut self) {
        self.held = None;
    }

    pub(crate) fn on_packet(
        &mut self,
        packet: &Packet,
        receive_maximum: u16,
        bug: Option<Bug>,
        ledger: &mut Ledger,
        answers: &mut Way,
    ) {
        match packet {
            Packet::Connect(connect) => {
                ledger.require(!self.is_connected, Rule::Protocol, || "a second CONNECT".to_owned());
                self.connect(connect.clean_start, receive_maximum, bug, ledger, answers);
            }
            Packet::Publish(publish) => self.publish(publish, bug, ledger, answers),
            Packet::PubRel(ack) => {
                let id = ack.packet_id.get();
                let held = self.held.as_mut().and_then(|held| held.remove(&id));
                let reason = match held {
                    Some(_) => ReasonCode::SUCCESS,
                    None => ReasonCode::PACKET_IDENTIFIER_NOT_FOUND,
                };
                if let Some((publish, life)) = held.filter(|_| self.hands_on_at_pubrel) {
                    ledger.on_hub_arrival(&publish, life, true);
                    ledger.on_hub_takes(Msg::of(&publish.payload), bug != Some(Bug::HubForgets));
                }
                if let Some(msg) = self.sent_under.get(&id) {
                    ledger.on_hub_completes(*msg);
                }
                answers.push(Packet::PubComp(Ack::new(ack.packet_id, reason)));
            }
            Packet::PingReq => answers.push(Packet::PingResp),
            other => ledger.violate(Rule::Protocol, || format!("{other:?}")),
        }
    }

    fn connect(
        &mut self,
        clean_start: bool,
        receive_maximum: u16,
        bug: Option<Bug>,
        ledger: &mut Ledger,
        answers: &mut Way,
    ) {
        (self.is_connected, self.life) = (true, ledger.once.life);
        let session_present = self.held.is_some() && !clean_start;
        if !session_present {
            ledger.once.lose_session();
        }
        if !session_present || bug == Some(Bug::HubForgetsIdentifiers) {
            self.held = Some(BTreeMap::new());
            self.sent_under.clear();
        }
        let mut properties = PropertiesBuilder::new();
        properties.push(PropertyId::ReceiveMaximum, Value::U16(receive_maximum)).unwrap();
        let (reason, properties) = (ReasonCode::SUCCESS, properties.finish());
        answers.push(Packet::ConnAck(ConnAck { session_present, reason, properties }));
    }

    fn publish(&mut self, publish: &Publish, bug: Option<Bug>, ledger: &mut Ledger, answers: &mut Way) {
        let (Some(held), Some(id)) = (&mut self.held, publish.packet_id) else {
            return ledger.violate(Rule::Protocol, || format!("{publish:?} without a CONNECT"));
        };
        let msg = Msg::of(&publish.payload);
        let ack = Ack::success(id);
        if publish.qos == QoS::ExactlyOnce {
            self.sent_under.insert(id.get(), msg);
            // Another message under an identifier that is held is taken for a repeat, and lost.
            let is_repeat = held.contains_key(&id.get());
            if !is_repeat {
                held.insert(id.get(), (publish.clone(), self.life));
            }
            if !is_repeat && !self.hands_on_at_pubrel {
                ledger.on_hub_arrival(publish, self.life, false);
                ledger.on_hub_takes(msg, bug != Some(Bug::HubForgets));
            }
            return answers.push(Packet::PubRec(ack));
        }
        ledger.on_hub_arrival(publish, self.life, false);
        ledger.on_hub_answer(msg, ReasonCode::SUCCESS, bug != Some(Bug::HubForgets));
        answers.push(Packet::PubAck(ack));
    }
}
