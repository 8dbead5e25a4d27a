//! Bugs of QoS 2, planted between the session and the wire.

use std::collections::HashSet;

use edge_bridge::wire::{Ack, Packet, PacketId, QoS};

use crate::bug::Bug;

#[derive(Debug, Clone, Default)]
pub(crate) struct ExchangeForger {
    /// Identifiers with a PUBREC on this connection, and in this life.
    received_here: HashSet<PacketId>,
    received: HashSet<PacketId>,
}

impl Bug {
    pub(crate) fn is_of_exchanges(self) -> bool {
        matches!(
            self,
            Self::ReleaseNotResent | Self::NotReleasedAtStart | Self::DoneAtPublish | Self::DoneAtPubrec
        )
    }
}

impl ExchangeForger {
    /// A connection begins.
    pub(crate) fn reset(&mut self) {
        self.received_here.clear();
    }

    /// Returns whether a packet leaves. `answers`: in the hub's name.
    pub(crate) fn lets_pass(&mut self, bug: Bug, packet: &Packet, answers: &mut Vec<Packet>) -> bool {
        match packet {
            Packet::Publish(publish) if publish.qos == QoS::ExactlyOnce && bug == Bug::DoneAtPublish => {
                answers.extend(publish.packet_id.map(|id| Packet::PubRec(Ack::success(id))));
                true
            }
            Packet::PubRel(release) => {
                let id = release.packet_id;
                let is_left_out = match bug {
                    Bug::ReleaseNotResent => !self.received_here.contains(&id),
                    Bug::NotReleasedAtStart => !self.received.contains(&id),
                    _ => false,
                };
                let is_answered = is_left_out || bug == Bug::DoneAtPublish;
                answers.extend(is_answered.then(|| Packet::PubComp(Ack::success(id))));
                !is_left_out
            }
            _ => true,
        }
    }

    /// Returns whether the session sees a packet of the hub.
    pub(crate) fn is_seen(&mut self, bug: Bug, packet: &Packet) -> bool {
        match packet {
            Packet::PubRec(ack) => {
                self.received_here.insert(ack.packet_id);
                self.received.insert(ack.packet_id);
                bug != Bug::DoneAtPublish
            }
            Packet::PubComp(_) => !matches!(bug, Bug::DoneAtPublish | Bug::DoneAtPubrec),
            _ => true,
        }
    }

    /// Returns the PUBCOMP that the session sees behind a packet of the hub.
    pub(crate) fn completion(&self, bug: Bug, packet: &Packet) -> Option<Packet> {
        match packet {
            Packet::PubRec(ack) if bug == Bug::DoneAtPubrec => {
                Some(Packet::PubComp(Ack::success(ack.packet_id)))
            }
            _ => None,
        }
    }
}
