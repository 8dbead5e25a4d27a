//! The hub: one session by the book (§4.3). QoS 2 is taken at PUBLISH (method B), and its identifier held until PUBREL.

use std::collections::BTreeMap;

use edge_bridge::wire::{
    Ack, ConnAck, Packet, PropertiesBuilder, PropertyId, Publish, QoS, ReasonCode, Value,
};

use crate::bug::Bug;
use crate::ledger::{Ledger, Msg, Rule};
use crate::wire_units::Way;

#[derive(Debug, Clone, Default)]
pub(crate) struct Hub {
    /// Identifiers of QoS 2 that the session holds; `None` without a session.
    pub(crate) held: Option<BTreeMap<u16, Msg>>,
    /// CONNECT came on this connection.
    pub(crate) is_connected: bool,
    /// Life of the gateway that made the connection.
    life: u64,
}

impl Hub {
    pub(crate) fn on_closed(&mut self) {
        self.is_connected = false;
    }

    pub(crate) fn lose_session(&mut self) {
        self.held = None;
    }

    pub(crate) fn on_packet(
        &mut self,
        packet: Packet,
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
            Packet::Publish(publish) => self.publish(&publish, bug, ledger, answers),
            Packet::PubRel(ack) => {
                let is_known =
                    self.held.as_mut().is_some_and(|held| held.remove(&ack.packet_id.get()).is_some());
                let reason =
                    if is_known { ReasonCode::SUCCESS } else { ReasonCode::PACKET_IDENTIFIER_NOT_FOUND };
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
        let is_at_qos_2 = publish.qos == QoS::ExactlyOnce;
        let known = held.get(&id.get()).copied().filter(|_| is_at_qos_2);
        if known.is_none() {
            ledger.on_hub_arrival(publish, self.life);
        }
        if is_at_qos_2 && known.is_none() {
            held.insert(id.get(), msg);
        }
        // Another message under an identifier that is held is taken for a repeat, and lost.
        let is_kept = known.is_none_or(|known| known == msg) && bug != Some(Bug::HubForgets);
        ledger.on_hub_answer(msg, ReasonCode::SUCCESS, is_kept);
        let ack = Ack::success(id);
        answers.push(if is_at_qos_2 { Packet::PubRec(ack) } else { Packet::PubAck(ack) });
    }
}
