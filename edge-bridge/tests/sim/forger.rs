//! Bugs of the session, planted between it and the wire: what it writes is left out and answered in the hub's name, and answers are kept from it.

use std::collections::{HashMap, HashSet, VecDeque};

use bytes::{Bytes, BytesMut};
use edge_bridge::wire::{self, Ack, Limits, Packet, PacketId, PropertyId, Publish, QoS, ReasonCode, Version};

use crate::bug::Bug;
use crate::exchange_forger::ExchangeForger;
use crate::ledger::Msg;
use crate::limits::{HubLimits, plain_size};

/// Bytes of an alias's definition.
const DEFINITION: usize = 3;

#[derive(Debug, Clone, Default)]
pub(crate) struct Forger {
    back: BytesMut,
    limits: HubLimits,
    /// Messages that were sent with the retain flag.
    retained: HashSet<Msg>,
    /// Identifiers in the order in which they were sent, and the answers that were kept back.
    order: VecDeque<PacketId>,
    answered: HashMap<PacketId, Ack>,
    /// Answers in the hub's name.
    pub(crate) answers: Vec<Packet>,
    exchanges: ExchangeForger,
}

impl Bug {
    /// Returns whether it needs to see what the hub sends.
    pub(crate) fn is_forged(self) -> bool {
        let is_of_qos_2 = self.is_of_exchanges();
        is_of_qos_2 || matches!(self, Self::GivenUpOnResume | Self::DefinitionCounts | Self::AnswersInOrder)
    }
}

impl Forger {
    /// A connection begins.
    pub(crate) fn reset(&mut self) {
        self.back.clear();
        self.order.clear();
        self.answered.clear();
        self.answers.clear();
        self.limits = HubLimits::default();
        self.exchanges.reset();
    }

    /// Returns whether this packet leaves.
    pub(crate) fn lets_pass(&mut self, bug: Bug, packet: &Packet) -> bool {
        match packet {
            _ if bug.is_of_exchanges() => self.exchanges.lets_pass(bug, packet, &mut self.answers),
            Packet::Publish(publish) => self.lets_publish(bug, publish),
            _ => true,
        }
    }

    fn lets_publish(&mut self, bug: Bug, publish: &Publish) -> bool {
        let Some(id) = publish.packet_id else { return true };
        let msg = Msg::of(&publish.payload);
        let reason = match bug {
            Bug::GivenUpOnResume => {
                let was_retained = !self.limits.retains && self.retained.contains(&msg);
                if publish.retain {
                    self.retained.insert(msg);
                }
                (publish.dup && (was_retained || self.limits.maximum_qos == 0)).then_some(ReasonCode::SUCCESS)
            }
            Bug::DefinitionCounts => {
                let has_alias = publish.properties.u16(PropertyId::TopicAlias).is_some();
                let could_define = self.limits.aliases > 0 && !has_alias;
                let is_given_up = could_define && plain_size(publish) + DEFINITION > self.limits.packet_max;
                is_given_up.then_some(ReasonCode::PACKET_TOO_LARGE)
            }
            _ => {
                self.order.extend((publish.qos == QoS::AtLeastOnce).then_some(id));
                None
            }
        };
        self.answers.extend(reason.map(|reason| match publish.qos {
            QoS::ExactlyOnce => Packet::PubRec(Ack::new(id, reason)),
            _ => Packet::PubAck(Ack::new(id, reason)),
        }));
        reason.is_none()
    }

    /// Bytes of the hub, as the session sees them. `in_flight`: something is to be sent again.
    pub(crate) fn received(&mut self, bug: Bug, bytes: &[u8], in_flight: bool) -> Bytes {
        self.back.extend_from_slice(bytes);
        let mut out = BytesMut::new();
        while let Ok(Some(mut packet)) = wire::decode(&mut self.back, Version::V5, &Limits::default()) {
            match &mut packet {
                Packet::ConnAck(ack) => {
                    self.limits = HubLimits::of(ack);
                    if bug == Bug::GivenUpOnResume && in_flight && ack.session_present {
                        ack.properties = ack.properties.without(&[PropertyId::MaximumQoS]);
                    }
                }
                Packet::PubAck(ack) if bug == Bug::AnswersInOrder && self.order.contains(&ack.packet_id) => {
                    self.answered.insert(ack.packet_id, ack.clone());
                    self.answer_in_order();
                    continue;
                }
                _ => {}
            }
            if !self.exchanges.is_seen(bug, &packet) {
                continue;
            }
            wire::encode(&packet, Version::V5, &mut out).unwrap();
            if let Some(completion) = self.exchanges.completion(bug, &packet) {
                wire::encode(&completion, Version::V5, &mut out).unwrap();
            }
        }
        out.freeze()
    }

    fn answer_in_order(&mut self) {
        while let Some(id) = self.order.front().copied()
            && let Some(ack) = self.answered.remove(&id)
        {
            self.order.pop_front();
            self.answers.push(Packet::PubAck(ack));
        }
    }
}
