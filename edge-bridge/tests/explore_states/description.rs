//! Description of a state, with which its fingerprint is compared: a hash of the `Debug` output of all that its future and the rules depend on. A field
//! that comes new to the cores is in it by itself. It takes dozens of times as long as the fingerprint.
//!
//! It is the output without what only counts or rotates: times, figures, estimates of the path, tokens, serial numbers, back-off, and what only refusals
//! of the hub change. Packet identifiers of QoS 1 are numbered in the order in which they occur, rows by their place in the queue.

use std::fmt::{self, Write};
use std::hash::{Hash, Hasher};

use edge_bridge::bridge::spool::LeaseId;
use edge_bridge::wire::{Packet, Publish};

use crate::fingerprint::{FIRST_OF_QOS_2, Mixer};
use crate::ledger::Msg;
use crate::queue::{Key, lease_id, lease_of};
use crate::world::World;

/// Fields that are left out, in the order of the alphabet, beside those whose name ends with `_ms`.
const LEFT_OUT: [&str; 52] = [
    "answered",
    "arrived",
    "attempts",
    "backoff",
    "bytes",
    "bytes_here",
    "config",
    "connect",
    "connections",
    "discarded",
    "duplicates",
    "duplicates_allowed",
    "end",
    "epoch",
    "first",
    "flow",
    "gave_up",
    "has_session",
    "idle_ping",
    "limits",
    "link_untold",
    "lost",
    "memory",
    "next",
    "next_serial",
    "next_token",
    "order",
    "path",
    "properties",
    "publisher",
    "quick_dials",
    "random",
    "receipts",
    "rtt_min",
    "seed",
    "serial",
    "serial_of",
    "server",
    "size_limit",
    "spool",
    "stats",
    "sweep",
    "taken",
    "takeover",
    "tickets",
    "token",
    "traffic",
    "transit",
    "uses",
    "version",
    "window",
    "youngest_answered",
];

/// Digits of a lease's number, and more characters than an identity has at least.
const LEASE_DIGITS: usize = 17;
const IDENTITY_MIN: usize = 19;

/// Things that are numbered by their first occurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Numbered {
    PacketId,
    Ticket,
    Other,
}

/// Place of a number among those that occurred, of which it may be a new one.
fn place<T: PartialEq>(known: &mut Vec<T>, number: T) -> usize {
    known.iter().position(|one| *one == number).unwrap_or_else(|| {
        known.push(number);
        known.len() - 1
    })
}

/// Reads a description along, and hashes what counts of it.
pub(crate) struct Description {
    hash: Mixer,
    rows: Vec<Key>,
    /// Identifiers of QoS 1 in the order in which they occurred.
    ids: Vec<u16>,
    /// The last word, of which the next one says what it is.
    word: String,
    has_word: bool,
    /// Depth within a value that is left out.
    left_out: Option<usize>,
    /// Receipts, likewise.
    tickets: Vec<u64>,
    /// The word before last is the name of a numbered thing.
    numbered: [Numbered; 2],
}

impl Description {
    pub(crate) fn of(world: &World) -> Self {
        let rows = world.gateway.core.spool().states().map(|(key, ..)| key).collect();
        let mut description = Self {
            hash: Mixer::default(),
            rows,
            ids: Vec::new(),
            word: String::new(),
            has_word: false,
            left_out: None,
            tickets: Vec::new(),
            numbered: [Numbered::Other; 2],
        };
        description.describe(world);
        description
    }

    pub(crate) fn finish(&self) -> u64 {
        self.hash.finish()
    }

    fn describe(&mut self, world: &World) {
        world.left.hash(&mut self.hash);
        world.publishers.hash(&mut self.hash);
        for (_, msg, flags) in world.gateway.core.spool().states() {
            (msg, flags).hash(&mut self.hash);
        }
        for way in [&world.to_hub, &world.to_gateway] {
            way.units.len().hash(&mut self.hash);
            way.units.iter().for_each(|unit| {
                unit.len().hash(&mut self.hash);
                // The rest of a unit are the identifiers that follow.
                unit.first().into_iter().for_each(|packet| self.packet(packet));
            });
        }
        world.hub.is_connected.hash(&mut self.hash);
        world.hub.sent_under.hash(&mut self.hash);
        world.hub.held.is_some().hash(&mut self.hash);
        for (id, (publish, life)) in world.hub.held.iter().flatten() {
            (id, Msg::of(&publish.payload), *life == world.ledger.once.life).hash(&mut self.hash);
        }
        for key in world.gateway.tickets.keys() {
            self.rows.iter().position(|row| row == key).hash(&mut self.hash);
        }
        write!(self, "{:?}", world.gateway).unwrap();
        write!(self, "{:?}{:?}", world.tap, world.ledger).unwrap();
        self.flush();
    }

    fn packet(&mut self, packet: &Packet) {
        let (kind, id) = match packet {
            Packet::Connect(_) => (0, 0),
            Packet::ConnAck(ack) => (1, u16::from(ack.session_present)),
            Packet::Publish(publish) => {
                self.publish(publish);
                (2, publish.packet_id.map_or(0, |id| self.id(id.get())))
            }
            Packet::PubAck(ack) => (3, self.id(ack.packet_id.get())),
            Packet::PubRec(ack) => (4, self.id(ack.packet_id.get())),
            Packet::PubRel(ack) => (5, self.id(ack.packet_id.get())),
            Packet::PubComp(ack) => (6, self.id(ack.packet_id.get())),
            Packet::PingReq => (7, 0),
            _ => (8, 0),
        };
        (kind, id).hash(&mut self.hash);
    }

    fn publish(&mut self, publish: &Publish) {
        let mut user = publish.properties.user_properties();
        let row = user.find(|(key, _)| *key == "edge-id").map(|(_, id)| self.row_of(id));
        (Msg::of(&publish.payload), publish.dup, publish.qos, row).hash(&mut self.hash);
    }

    /// Number of an identifier, which is its own at QoS 2.
    fn id(&mut self, id: u16) -> u16 {
        if id >= FIRST_OF_QOS_2 {
            return id;
        }
        u16::try_from(place(&mut self.ids, id)).unwrap()
    }

    /// Place in the queue of the row with this identity.
    fn row_of(&self, identity: &str) -> Option<usize> {
        self.place_of(lease_of(identity)?)
    }

    fn place_of(&self, lease: LeaseId) -> Option<usize> {
        self.rows.iter().position(|row| lease_id(*row) == lease)
    }

    fn flush(&mut self) {
        if !std::mem::take(&mut self.has_word) {
            return;
        }
        let word = std::mem::take(&mut self.word);
        let of = self.numbered[1];
        self.numbered = [
            match word.as_str() {
                "PacketId" => Numbered::PacketId,
                "Ticket" => Numbered::Ticket,
                _ => Numbered::Other,
            },
            self.numbered[0],
        ];
        match (word.parse::<u64>().ok(), of) {
            (Some(id), Numbered::PacketId) => {
                let id = self.id(u16::try_from(id).unwrap());
                id.hash(&mut self.hash);
            }
            (Some(ticket), Numbered::Ticket) => {
                let at = place(&mut self.tickets, ticket);
                at.hash(&mut self.hash);
            }
            (Some(id), Numbered::Other) if word.len() >= LEASE_DIGITS => {
                self.place_of(LeaseId(id)).hash(&mut self.hash);
            }
            _ if word.len() > IDENTITY_MIN && word.contains('-') => {
                self.row_of(&word).hash(&mut self.hash);
            }
            _ => self.hash.write(word.as_bytes()),
        }
        self.word = word;
    }
}

impl Write for Description {
    fn write_str(&mut self, word: &str) -> fmt::Result {
        if let Some(depth) = self.left_out {
            let is_end = depth == 0 && matches!(word.trim_start(), ", " | "}" | ")" | "]");
            if !is_end {
                self.left_out = Some(word.bytes().fold(depth, |depth, byte| match byte {
                    b'{' | b'(' | b'[' => depth + 1,
                    b'}' | b')' | b']' => depth.saturating_sub(1),
                    _ => depth,
                }));
                return Ok(());
            }
            self.left_out = None;
        }
        if word == ": " && self.has_word {
            let is_key = self.word.bytes().all(|byte| byte.is_ascii_digit());
            if self.word.ends_with("_ms") || LEFT_OUT.binary_search(&self.word.as_str()).is_ok() {
                (self.left_out, self.has_word) = (Some(0), false);
                return Ok(());
            }
            self.has_word &= !is_key;
        }
        self.flush();
        self.word.clear();
        self.word.push_str(word);
        self.has_word = true;
        Ok(())
    }
}
