//! Packets under way on the connection, one way.

use std::collections::VecDeque;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use edge_bridge::wire::{self, Limits, Packet, PacketId, Version};

use crate::bounds::MESSAGES_MAX;

/// First identifier of QoS 2 that no message of an exploration has: each life begins with 65 280.
const FIRST_UNUSED: u16 = 65_280 + MESSAGES_MAX as u16;

/// Unit that arrives in one step: a packet. The PUBRELs of identifiers that no message ever had, and their PUBCOMPs, come with the one before them, since
/// they change nothing at the hub: a restart releases all 256. Copies of a state share it.
pub(crate) type Unit = Rc<Vec<Packet>>;

#[derive(Debug, Clone, Default)]
pub(crate) struct Way {
    pub(crate) units: VecDeque<Unit>,
    /// Bytes of a packet that is not whole yet.
    rest: BytesMut,
}

impl Way {
    pub(crate) fn clear(&mut self) {
        self.units.clear();
        self.rest.clear();
    }

    pub(crate) fn write(&mut self, bytes: &Bytes) {
        self.rest.extend_from_slice(bytes);
        if self.rest.first() == Some(&0x10) {
            let connect = wire::decode_connect(&mut self.rest, &Limits::default()).unwrap();
            self.units.extend(connect.map(|connect| Rc::new(vec![Packet::Connect(Box::new(connect))])));
        }
        while let Some(packet) = wire::decode(&mut self.rest, Version::V5, &Limits::default()).unwrap() {
            self.push(packet);
        }
    }

    pub(crate) fn push(&mut self, packet: Packet) {
        let is_unused = |id: PacketId| id.get() >= FIRST_UNUSED;
        match (&packet, self.units.back_mut()) {
            (Packet::PubRel(ack), Some(unit))
                if is_unused(ack.packet_id) && matches!(unit.last(), Some(Packet::PubRel(_))) =>
            {
                Rc::make_mut(unit).push(packet);
            }
            (Packet::PubComp(ack), Some(unit))
                if is_unused(ack.packet_id) && matches!(unit.last(), Some(Packet::PubComp(_))) =>
            {
                Rc::make_mut(unit).push(packet);
            }
            _ => self.units.push_back(Rc::new(vec![packet])),
        }
    }
}
