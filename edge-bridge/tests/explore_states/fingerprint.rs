//! Fingerprint of a state: a hash of 64 bits of all that its future and the rules depend on.
//!
//! Left out is what only counts or rotates: times, figures, estimates of the path, and what only refusals of the hub change. Packet identifiers of QoS 1,
//! tokens and tickets are numbered in the order in which they occur, rows by their place in the queue. Identifiers of QoS 2 stay: which of them the hub
//! holds decides what collides with it after a restart. What is left out here may hide a state, and never invents one; a test compares fingerprints with
//! the [descriptions](crate::description) of their states.
//!
//! Two states have one fingerprint by chance with a probability of 3 × 10⁻⁸ among 10⁶ states, and of 3 × 10⁻⁶ among 10⁷; then one of them is not gone on with.

use std::fmt::{self, Write};
use std::hash::{Hash, Hasher};

use edge_bridge::state_hash::StateHasher;
use edge_bridge::wire::{Packet, Publish};

use crate::ledger::Msg;
use crate::queue::{lease_id, lease_of};
use crate::world::World;

/// Identifiers below are those of QoS 1.
pub(crate) const FIRST_OF_QOS_2: u16 = 65_280;

/// Multiplies and folds eight bytes at a time: the words are short, and nobody chose them to collide.
#[derive(Debug)]
pub(crate) struct Mixer(u64);

impl Default for Mixer {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.write_u64(number.into());
    }

    fn write_u16(&mut self, number: u16) {
        self.write_u64(number.into());
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        let mixed = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn write_isize(&mut self, number: isize) {
        self.write_u64(number as u64);
    }

    fn finish(&self) -> u64 {
        let mixed = (self.0 ^ (self.0 >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ (mixed >> 29)
    }
}

/// Names, numbered in the order in which they occur.
#[derive(Debug, Default)]
struct Names(Vec<u64>);

impl Names {
    fn number(&mut self, name: u64) -> u64 {
        let known = self.0.iter().position(|one| *one == name);
        known.unwrap_or_else(|| {
            self.0.push(name);
            self.0.len() - 1
        }) as u64
    }
}

/// Goes through a state, and hashes what counts of it.
#[derive(Debug, Default)]
struct Fingerprint {
    mixer: Mixer,
    /// Leases of the rows in the queue, in their order.
    leases: Vec<u64>,
    ids: Names,
    tokens: Names,
    tickets: Names,
}

/// Returns the fingerprint of a state.
pub(crate) fn fingerprint(world: &World) -> u64 {
    let mut fingerprint = Fingerprint::default();
    fingerprint.hash(world);
    fingerprint.finish()
}

impl Fingerprint {
    fn hash(&mut self, world: &World) {
        (world.left, &world.publishers).hash(self);
        let gateway = &world.gateway;
        for (key, msg, flags) in gateway.core.spool().states() {
            self.leases.push(lease_id(key).0);
            (msg, flags).hash(self);
        }
        for way in [&world.to_hub, &world.to_gateway] {
            self.write_usize(way.units.len());
            way.units.iter().for_each(|unit| {
                self.write_usize(unit.len());
                // The rest of a unit are the identifiers that follow.
                unit.first().into_iter().for_each(|packet| self.packet(packet));
            });
        }
        (world.hub.is_connected, &world.hub.sent_under, world.hub.held.is_some()).hash(self);
        for (id, (publish, life)) in world.hub.held.iter().flatten() {
            (id, Msg::of(&publish.payload), life).hash(self);
        }
        gateway.core.hash_state(self);
        gateway.chain.hash_state(self);
        gateway.is_connected.hash(self);
        for (key, ticket) in &gateway.tickets {
            self.write_lease(lease_id(*key).0);
            ticket.hash_state(self);
        }
        if world.bug.is_some() {
            // Seldom, and few states.
            write!(self, "{:?}{:?}", gateway.mutator, gateway.held_back).unwrap();
        }
        world.tap.hash_state(self);
        world.ledger.hash_state(self);
    }

    fn packet(&mut self, packet: &Packet) {
        let (kind, id) = match packet {
            Packet::Connect(_) => (0, 0),
            Packet::ConnAck(ack) => (1, u16::from(ack.session_present)),
            Packet::Publish(publish) => {
                self.publish(publish);
                (2, publish.packet_id.map_or(0, |id| id.get()))
            }
            Packet::PubAck(ack) => (3, ack.packet_id.get()),
            Packet::PubRec(ack) => (4, ack.packet_id.get()),
            Packet::PubRel(ack) => (5, ack.packet_id.get()),
            Packet::PubComp(ack) => (6, ack.packet_id.get()),
            Packet::PingReq => (7, 0),
            _ => (8, 0),
        };
        self.write_u8(kind);
        match kind {
            2..=6 => self.write_packet_id(id),
            _ => self.write_u16(id),
        }
    }

    fn publish(&mut self, publish: &Publish) {
        let mut user = publish.properties.user_properties();
        let row = user.find(|(key, _)| *key == "edge-id").and_then(|(_, id)| lease_of(id));
        (Msg::of(&publish.payload), publish.dup, publish.qos).hash(self);
        self.write_lease(row.map_or(0, |lease| lease.0));
    }
}

impl Hasher for Fingerprint {
    fn write(&mut self, bytes: &[u8]) {
        self.mixer.write(bytes);
    }

    fn write_u8(&mut self, number: u8) {
        self.mixer.write_u8(number);
    }

    fn write_u16(&mut self, number: u16) {
        self.mixer.write_u16(number);
    }

    fn write_u32(&mut self, number: u32) {
        self.mixer.write_u32(number);
    }

    fn write_u64(&mut self, number: u64) {
        self.mixer.write_u64(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.mixer.write_usize(number);
    }

    fn write_isize(&mut self, number: isize) {
        self.mixer.write_isize(number);
    }

    fn finish(&self) -> u64 {
        self.mixer.finish()
    }
}

impl StateHasher for Fingerprint {
    fn write_packet_id(&mut self, id: u16) {
        let number = if id >= FIRST_OF_QOS_2 { id.into() } else { self.ids.number(id.into()) };
        self.write_u64(number);
    }

    fn write_token(&mut self, token: u64) {
        let number = self.tokens.number(token);
        self.write_u64(number);
    }

    fn write_ticket(&mut self, ticket: u64) {
        let number = self.tickets.number(ticket);
        self.write_u64(number);
    }

    fn write_lease(&mut self, lease: u64) {
        let place = self.leases.iter().position(|known| *known == lease);
        self.write_u64(place.map_or(u64::MAX, |place| place as u64));
    }
}

impl Write for Fingerprint {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.write(text.as_bytes());
        Ok(())
    }
}
