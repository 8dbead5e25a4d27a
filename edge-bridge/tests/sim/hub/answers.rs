//! Answers of the hub: in time, late, invented, or none.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use edge_bridge::session::AckHandle;
use edge_bridge::wire::{self, Ack, Packet, PacketId, PropertyId, Publish, QoS, ReasonCode, Value, Version};

use super::{Hub, Pending};
use crate::bug::Bug;
use crate::ctx::Ctx;
use crate::ledger::Msg;
use crate::net::{End, LinkId};

/// A message that was taken in on an earlier connection of this session, and not answered there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unanswered {
    pub(crate) id: PacketId,
    pub(crate) msg: Msg,
    pub(crate) is_at_qos_2: bool,
}

/// An answer that nobody waits for, or that belongs to an earlier connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Late {
    pub(super) due_ms: u64,
    pub(super) link: LinkId,
    pub(super) id: PacketId,
    pub(super) msg: Option<Msg>,
    pub(super) is_at_qos_2: bool,
}

fn is_refusal(packet: &Packet) -> bool {
    matches!(packet, Packet::ConnAck(ack) if ack.reason.is_error())
}

impl Pending {
    pub(super) fn unanswered(&self) -> Unanswered {
        Unanswered { id: self.id, msg: self.msg, is_at_qos_2: self.ack.is_none() }
    }
}

impl Late {
    /// The answer to a message of QoS 1 that the client does not remember.
    pub(crate) fn of_the_life_before(link: LinkId, id: PacketId, msg: Msg) -> Self {
        Self { due_ms: 0, link, id, msg: Some(msg), is_at_qos_2: false }
    }
}

impl Hub {
    /// A hub that takes no QoS 2, or no QoS 1, says so in its CONNACK.
    pub(super) fn with_maximum_qos(&self, bytes: Bytes) -> Bytes {
        let mut rest = BytesMut::from(&bytes[..]);
        if self.maximum_qos == 2 || bytes.first() != Some(&0x20) {
            return bytes;
        }
        let packet = wire::decode(&mut rest, Version::V5, &wire::Limits::default()).unwrap();
        let Some(Packet::ConnAck(mut ack)) = packet.filter(|p| !is_refusal(p)) else { return bytes };
        let mut properties = ack.properties.without(&[PropertyId::MaximumQoS]).to_builder();
        properties.push(PropertyId::MaximumQoS, Value::Byte(self.maximum_qos)).unwrap();
        ack.properties = properties.finish();
        let mut out = BytesMut::new();
        wire::encode(&Packet::ConnAck(ack), Version::V5, &mut out).unwrap();
        out.extend_from_slice(&rest);
        out.freeze()
    }

    /// The session answers in order; the answers that are not to be given are taken out of what it writes.
    pub(super) fn without_passed_over(&self, link: LinkId, bytes: Bytes) -> Bytes {
        let is_passed =
            |id: PacketId| self.passed_over.iter().any(|(on, passed)| (*on, passed.id) == (link, id));
        if self.passed_over.is_empty() {
            return bytes;
        }
        let (mut rest, mut kept) = (BytesMut::from(&bytes[..]), BytesMut::new());
        while let Some(packet) = wire::decode(&mut rest, Version::V5, &wire::Limits::default()).unwrap() {
            if !matches!(&packet, Packet::PubAck(ack) if is_passed(ack.packet_id)) {
                wire::encode(&packet, Version::V5, &mut kept).unwrap();
            }
        }
        kept.freeze()
    }

    /// A message that it has not taken in before. `ack` is `None` at QoS 2.
    pub(super) fn on_publish(
        &mut self,
        ctx: &mut Ctx,
        link: LinkId,
        publish: &Publish,
        ack: Option<AckHandle>,
    ) {
        let msg = Msg::of(&publish.payload);
        self.last.insert(msg.sensor, publish.clone());
        if self.poison.is_some_and(|(sensor, every)| msg.sensor == sensor && msg.seq.is_multiple_of(every)) {
            ctx.ledger.on_hub_refusal(msg);
            let connection = self.connections.get_mut(&link).unwrap();
            connection.session.disconnect(ctx.now_ms, ReasonCode::MALFORMED_PACKET);
            return;
        }
        if self.too_large.is_some_and(|bytes| publish.payload.len() >= bytes) {
            ctx.ledger.on_hub_refusal(msg);
            ctx.ledger.on_size_refusal();
            let connection = self.connections.get_mut(&link).unwrap();
            match ack {
                Some(ack) => {
                    let _ = connection.session.ack(ctx.now_ms, ack, ReasonCode::PACKET_TOO_LARGE);
                }
                None => {
                    let id = publish.packet_id.unwrap();
                    Self::send_pubrec(ctx, link, id, ReasonCode::PACKET_TOO_LARGE);
                }
            }
            connection.session.disconnect(ctx.now_ms, ReasonCode::PACKET_TOO_LARGE);
            return;
        }
        let (one_in, reason) = self.errors;
        let reason = match self.refused_sensor {
            Some((sensor, reason)) if sensor == msg.sensor => reason,
            _ if ctx.rng.one_in(one_in) => reason,
            _ => ReasonCode::SUCCESS,
        };
        if reason == ReasonCode::PACKET_TOO_LARGE {
            ctx.ledger.on_size_refusal();
        }
        if reason.is_error() {
            ctx.ledger.on_hub_refusal(msg);
        }
        let (id, life) = (publish.packet_id.unwrap(), self.connections[&link].life);
        let at_pubrel = publish.qos == QoS::ExactlyOnce && self.exactly_once.hands_on_at_pubrel;
        if self.exactly_once.hands_on_at_pubrel && publish.qos == QoS::AtLeastOnce && publish.dup {
            // It may have been of QoS 2 before, and behind its elders.
            ctx.ledger.on_order_lost(msg);
        }
        if !reason.is_error() && !at_pubrel {
            ctx.ledger.on_hub_arrival(publish, life, false);
        }
        if publish.qos == QoS::ExactlyOnce && !reason.is_error() {
            self.exactly_once.hold(id, publish.clone(), life);
        }
        let due_ms = ctx.now_ms + self.ack_delay_ms;
        let pending = Pending { due_ms, link, ack, id, msg, reason, is_dropped: false };
        if ctx.rng.one_in(self.passes_over_one_in) {
            self.passed_over.push((link, pending.unanswered()));
            if at_pubrel {
                ctx.ledger.on_order_lost(msg);
            }
        }
        self.pending.push_back(pending);
        self.answer_of_the_life_before(ctx, link);
    }

    pub(super) fn answer(&mut self, ctx: &mut Ctx, pending: &Pending) {
        let Some(connection) = self.connections.get_mut(&pending.link) else { return };
        let acked = pending.ack.map(|ack| connection.session.ack(ctx.now_ms, ack, pending.reason));
        if acked.is_some_and(|acked| acked.is_err()) {
            return;
        }
        let kept = self.keeps(ctx.bug) && !pending.is_dropped;
        let is_passed = |passed: &(LinkId, Unanswered)| (passed.0, passed.1.id) == (pending.link, pending.id);
        if self.passed_over.iter().any(is_passed) {
            self.drain(ctx, pending.link);
            return;
        }
        if pending.ack.is_some() {
            ctx.ledger.on_hub_answer(pending.msg, pending.reason, kept);
        } else {
            let takes = kept && !pending.reason.is_error() && !self.exactly_once.hands_on_at_pubrel;
            ctx.ledger.on_hub_takes(pending.msg, takes);
            Self::send_pubrec(ctx, pending.link, pending.id, pending.reason);
        }
        self.drain(ctx, pending.link);
        if ctx.rng.one_in(self.hostile_one_in) {
            // An identifier that no message has or will have soon.
            let unused = PacketId::new(pending.id.get() ^ 0x8000).unwrap_or(PacketId::MIN);
            let id = if ctx.rng.one_in(2) { pending.id } else { unused };
            let (due_ms, link, is_at_qos_2) = (ctx.now_ms + 1, pending.link, pending.ack.is_none());
            self.late.push_back(Late { due_ms, link, id, msg: None, is_at_qos_2 });
        }
    }

    /// Returns whether it keeps the next message that it takes; by a planted bug not each.
    pub(super) fn keeps(&mut self, bug: Option<Bug>) -> bool {
        self.taken += 1;
        bug != Some(Bug::HubForgets) || !self.taken.is_multiple_of(10)
    }

    pub(crate) fn answer_late(&mut self, ctx: &mut Ctx, late: &Late) {
        let Late { link, id, msg, is_at_qos_2, .. } = *late;
        let is_over = msg.is_some_and(|msg| !self.exactly_once.holds(id, msg)) || self.maximum_qos < 2;
        if self.current != Some(link) || (is_at_qos_2 && is_over) {
            return;
        }
        self.invented = true;
        match msg {
            Some(msg) if is_at_qos_2 => {
                ctx.ledger.on_hub_takes(msg, !self.exactly_once.hands_on_at_pubrel);
            }
            Some(msg) => ctx.ledger.on_hub_answer(msg, ReasonCode::SUCCESS, true),
            None => {}
        }
        let ack = Ack::success(id);
        let packet = if is_at_qos_2 { Packet::PubRec(ack) } else { Packet::PubAck(ack) };
        let mut bytes = BytesMut::new();
        wire::encode(&packet, Version::V5, &mut bytes).unwrap();
        ctx.send(link, End::Far, Some(&bytes.freeze()));
    }

    pub(super) fn take_pending(&mut self, link: LinkId) -> Vec<Pending> {
        let all = std::mem::take(&mut self.pending);
        let (gone, rest): (VecDeque<_>, VecDeque<_>) =
            all.into_iter().partition(|pending| pending.link == link);
        self.pending = rest;
        gone.into()
    }
}
