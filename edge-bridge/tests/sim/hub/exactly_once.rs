//! QoS 2 by the book (§4.3.3), and stricter than the product's own server: an identifier is held from PUBLISH to PUBREL, over any number of
//! connections of the session, and whatever comes under it is a repeat and dropped.
//!
//! The session behind sees these messages at QoS 0, so that it resolves their aliases and knows nothing of their identifiers.

use std::collections::{HashMap, VecDeque};

use bytes::{Buf, Bytes, BytesMut};
use edge_bridge::wire::{self, Ack, Limits, Packet, PacketId, Publish, QoS, ReasonCode, Version};

use super::{Hub, Pending};
use crate::bug::Bug;
use crate::ctx::Ctx;
use crate::ledger::Msg;
use crate::net::{End, LinkId};

/// First bits of a PUBREL's first byte, and those of a PUBLISH with its QoS.
const PUBREL: u8 = 0x60;
const PUBLISH_AT_QOS_2: u8 = 0x34;

/// State of the session, and habits.
#[derive(Debug, Default)]
pub(crate) struct ExactlyOnce {
    /// Messages between PUBLISH and PUBREL, each with the life of the client that sent it.
    held: HashMap<PacketId, (Publish, u64)>,
    /// Message that was last sent under each identifier, also if it was taken for a repeat.
    sent_under: HashMap<PacketId, Msg>,
    /// Its application gets a message with its PUBREL (method A of 3.1.1, §4.3.3), else with its PUBLISH.
    pub(crate) hands_on_at_pubrel: bool,
    /// PUBCOMPs that are still to be sent: when, and on which connection.
    completions: VecDeque<(u64, LinkId, Ack)>,
    /// Longest delay of a PUBCOMP, in milliseconds.
    pub(crate) completes_within_ms: u64,
    /// A PUBREL that it does not know is not answered.
    pub(crate) ignores_unknown: bool,
    /// One in so many PUBRELs is taken, and the connection closed instead of its PUBCOMP.
    pub(crate) closes_at_release_one_in: u64,
    /// One in so many messages is lost between its PUBREC and its PUBREL, whose PUBCOMP says so. For a hub that hands on at PUBREL.
    pub(crate) forgets_one_in: u64,
    /// Number of messages that were taken in, and of those that were dropped as repeats.
    pub(crate) taken: u64,
    pub(crate) repeats: u64,
}

impl ExactlyOnce {
    /// The session is another one.
    pub(super) fn forget(&mut self) {
        self.held.clear();
    }

    pub(crate) fn heal(&mut self) {
        (self.completes_within_ms, self.closes_at_release_one_in, self.forgets_one_in) = (2, 0, 0);
    }

    pub(super) fn hold(&mut self, id: PacketId, publish: Publish, life: u64) {
        self.taken += 1;
        self.held.insert(id, (publish, life));
    }

    fn held_under(&self, id: PacketId) -> Option<Msg> {
        self.held.get(&id).map(|(publish, _)| Msg::of(&publish.payload))
    }

    pub(super) fn holds(&self, id: PacketId, msg: Msg) -> bool {
        self.held_under(id) == Some(msg)
    }

    pub(super) fn owes(&self, link: LinkId) -> bool {
        self.completions.iter().any(|(_, owed, _)| *owed == link)
    }

    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.completions.front().map(|(due_ms, ..)| *due_ms)
    }

    fn take_due(&mut self, now_ms: u64) -> Option<(LinkId, Ack)> {
        let (due_ms, ..) = self.completions.front()?;
        if *due_ms > now_ms {
            return None;
        }
        self.completions.pop_front().map(|(_, link, ack)| (link, ack))
    }

    pub(super) fn closed(&mut self, link: LinkId) {
        self.completions.retain(|(_, owed, _)| *owed != link);
    }
}

/// Packets that come on a connection, one by one.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    buffer: BytesMut,
    /// Identifiers and DUP of the messages that the session sees at QoS 0, in order.
    pub(super) at_qos_2: VecDeque<(PacketId, bool)>,
}

#[derive(Debug)]
pub(super) enum Part {
    /// For the session.
    Bytes(Bytes),
    Release(PacketId),
}

impl Incoming {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Takes the next packet.
    pub(super) fn next(&mut self) -> Option<Part> {
        let (length, first) = (whole(&self.buffer)?, self.buffer[0]);
        let mut packet = self.buffer.split_to(length);
        let decoded = match first {
            _ if first & 0xf6 == PUBLISH_AT_QOS_2 || first & 0xf0 == PUBREL => {
                wire::decode(&mut packet, Version::V5, &Limits::default()).unwrap()
            }
            _ => return Some(Part::Bytes(packet.freeze())),
        };
        match decoded {
            Some(Packet::PubRel(ack)) => Some(Part::Release(ack.packet_id)),
            Some(Packet::Publish(mut publish)) => {
                self.at_qos_2.push_back((publish.packet_id.take().unwrap(), publish.dup));
                (publish.qos, publish.dup) = (QoS::AtMostOnce, false);
                let mut bytes = BytesMut::new();
                wire::encode(&Packet::Publish(publish), Version::V5, &mut bytes).unwrap();
                Some(Part::Bytes(bytes.freeze()))
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Length of the first packet, if all of it is there.
fn whole(buffer: &[u8]) -> Option<usize> {
    let mut length = 0;
    for at in 1..=4 {
        let byte = *buffer.get(at)?;
        length |= usize::from(byte & 0x7f) << (7 * (at - 1));
        if byte & 0x80 == 0 {
            let whole = at + 1 + length;
            return (buffer.remaining() >= whole).then_some(whole);
        }
    }
    panic!("the gateway writes no such length");
}

impl Hub {
    /// A message that the session saw at QoS 0.
    pub(super) fn on_publish_at_qos_2(&mut self, ctx: &mut Ctx, link: LinkId, mut publish: Publish) {
        let connection = self.connections.get_mut(&link).unwrap();
        let (id, dup) = connection.incoming.at_qos_2.pop_front().unwrap();
        (publish.qos, publish.packet_id, publish.dup) = (QoS::ExactlyOnce, Some(id), dup);
        let msg = Msg::of(&publish.payload);
        self.exactly_once.sent_under.insert(id, msg);
        let Some(held) = self.exactly_once.held_under(id) else {
            return self.on_publish(ctx, link, &publish, None);
        };
        self.exactly_once.repeats += 1;
        let (due_ms, reason) = (ctx.now_ms + self.ack_delay_ms, ReasonCode::SUCCESS);
        self.pending.push_back(Pending { due_ms, link, ack: None, id, msg, reason, is_dropped: held != msg });
    }

    /// The answer to a message of QoS 2.
    pub(super) fn send_pubrec(ctx: &mut Ctx, link: LinkId, id: PacketId, reason: ReasonCode) {
        // Some reasons are none of PUBREC's.
        let [high, low] = id.get().to_be_bytes();
        ctx.send(link, End::Far, Some(&Bytes::copy_from_slice(&[0x50, 3, high, low, reason.get()])));
    }

    pub(super) fn on_release(&mut self, ctx: &mut Ctx, link: LinkId, id: PacketId) {
        let mut held = self.exactly_once.held.remove(&id);
        let is_forgotten = held.is_some() && ctx.rng.one_in(self.exactly_once.forgets_one_in);
        if let Some((publish, _)) = held.take_if(|_| is_forgotten) {
            ctx.ledger.on_order_lost(Msg::of(&publish.payload));
        }
        let is_known = held.is_some();
        if let Some((publish, life)) = held.filter(|_| self.exactly_once.hands_on_at_pubrel) {
            ctx.ledger.on_hub_arrival(&publish, life, true);
            let is_kept = self.keeps(ctx.bug);
            ctx.ledger.on_hub_takes(Msg::of(&publish.payload), is_kept);
        }
        if let Some(msg) = self.exactly_once.sent_under.get(&id).filter(|_| !is_forgotten) {
            ctx.ledger.on_hub_completes(*msg);
        }
        // A late answer was earlier.
        self.pending.retain(|pending| (pending.link, pending.id) != (link, id) || pending.ack.is_some());
        if is_known && ctx.rng.one_in(self.exactly_once.closes_at_release_one_in) {
            let connection = self.connections.get_mut(&link).unwrap();
            connection.session.disconnect(ctx.now_ms, ReasonCode::SERVER_BUSY);
            self.drain(ctx, link);
            return;
        }
        if !is_known && self.exactly_once.ignores_unknown {
            return;
        }
        let reason = if is_known { ReasonCode::SUCCESS } else { ReasonCode::PACKET_IDENTIFIER_NOT_FOUND };
        let due_ms = ctx.now_ms + ctx.rng.between(0, self.exactly_once.completes_within_ms);
        let last_ms = self.exactly_once.completions.back().map_or(0, |(due_ms, ..)| *due_ms);
        self.exactly_once.completions.push_back((due_ms.max(last_ms), link, Ack::new(id, reason)));
    }

    pub(super) fn complete_due(&mut self, ctx: &mut Ctx) {
        while !self.withholds
            && let Some((link, mut ack)) = self.exactly_once.take_due(ctx.now_ms)
        {
            if ctx.bug == Some(Bug::ForgottenCounts) {
                ack.reason = ReasonCode::SUCCESS;
            }
            let mut bytes = BytesMut::new();
            wire::encode(&Packet::PubComp(ack), Version::V5, &mut bytes).unwrap();
            ctx.send(link, End::Far, Some(&bytes.freeze()));
        }
    }

    /// The session goes on; by a planted bug without its identifiers.
    pub(super) fn resume_identifiers(&mut self, ctx: &mut Ctx, resumed: bool) {
        if !resumed {
            ctx.ledger.once.lose_session();
        }
        // A client of another life releases them in any order.
        let life = ctx.ledger.once.life;
        for (publish, _) in self.exactly_once.held.values().filter(|(_, sent_in)| *sent_in != life) {
            ctx.ledger.on_order_lost(Msg::of(&publish.payload));
        }
        if !resumed || ctx.bug == Some(Bug::HubForgetsIdentifiers) {
            self.exactly_once.forget();
        }
    }
}
