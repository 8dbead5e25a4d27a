//! Answers of the hub: in time, late, invented, or none.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use edge_bridge::session::AckHandle;
use edge_bridge::wire::{self, Ack, Packet, PacketId, PropertyId, Publish, ReasonCode, Value, Version};

use super::{Hub, Pending};
use crate::bug::Bug;
use crate::ctx::Ctx;
use crate::ledger::Msg;
use crate::net::{End, LinkId};

fn is_refusal(packet: &Packet) -> bool {
    matches!(packet, Packet::ConnAck(ack) if ack.reason.is_error())
}

impl Hub {
    /// A hub that takes no QoS 1 says so in its CONNACK.
    pub(super) fn with_maximum_qos(&self, bytes: Bytes) -> Bytes {
        let mut rest = BytesMut::from(&bytes[..]);
        if self.takes_qos_1 || bytes.first() != Some(&0x20) {
            return bytes;
        }
        let packet = wire::decode(&mut rest, Version::V5, &wire::Limits::default()).unwrap();
        let Some(Packet::ConnAck(mut ack)) = packet.filter(|p| !is_refusal(p)) else { return bytes };
        let mut properties = ack.properties.without(&[PropertyId::MaximumQoS]).to_builder();
        properties.push(PropertyId::MaximumQoS, Value::Byte(0)).unwrap();
        ack.properties = properties.finish();
        let mut out = BytesMut::new();
        wire::encode(&Packet::ConnAck(ack), Version::V5, &mut out).unwrap();
        out.extend_from_slice(&rest);
        out.freeze()
    }

    /// The session answers in order; the answers that are not to be given are taken out of what it writes.
    pub(super) fn without_passed_over(&self, link: LinkId, bytes: Bytes) -> Bytes {
        let is_passed =
            |id: PacketId| self.passed_over.iter().any(|passed| (passed.0, passed.1) == (link, id));
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

    pub(super) fn on_publish(&mut self, ctx: &mut Ctx, link: LinkId, publish: &Publish, ack: AckHandle) {
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
            if connection.session.ack(ctx.now_ms, ack, ReasonCode::PACKET_TOO_LARGE).is_ok() {
                ctx.ledger.on_hub_answer(msg, ReasonCode::PACKET_TOO_LARGE, false);
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
        } else {
            ctx.ledger.on_hub_arrival(publish);
        }
        let id = publish.packet_id.unwrap();
        if ctx.rng.one_in(self.passes_over_one_in) {
            self.passed_over.push((link, id, msg));
        }
        let due_ms = ctx.now_ms + self.ack_delay_ms;
        self.pending.push_back(Pending { due_ms, link, ack, id, msg, reason });
        self.answer_of_the_life_before(ctx, link);
    }

    pub(super) fn answer(&mut self, ctx: &mut Ctx, pending: &Pending) {
        let Some(connection) = self.connections.get_mut(&pending.link) else { return };
        if connection.session.ack(ctx.now_ms, pending.ack, pending.reason).is_err() {
            return;
        }
        self.taken += 1;
        let kept = ctx.bug != Some(Bug::HubForgets) || !self.taken.is_multiple_of(10);
        let is_passed = |passed: &(LinkId, PacketId, Msg)| (passed.0, passed.1) == (pending.link, pending.id);
        if self.passed_over.iter().any(is_passed) {
            self.drain(ctx, pending.link);
            return;
        }
        ctx.ledger.on_hub_answer(pending.msg, pending.reason, kept);
        self.drain(ctx, pending.link);
        if ctx.rng.one_in(self.hostile_one_in) {
            // An identifier that no message has or will have soon.
            let unused = PacketId::new(pending.id.get() ^ 0x8000).unwrap_or(PacketId::MIN);
            let again = if ctx.rng.one_in(2) { pending.id } else { unused };
            self.late.push_back((ctx.now_ms + 1, pending.link, again, None));
        }
    }

    /// An answer that nobody waits for, or that belongs to an earlier connection.
    pub(crate) fn answer_late(&mut self, ctx: &mut Ctx, link: LinkId, id: PacketId, msg: Option<Msg>) {
        if self.current != Some(link) {
            return;
        }
        self.invented = true;
        if let Some(msg) = msg {
            ctx.ledger.on_hub_answer(msg, ReasonCode::SUCCESS, true);
        }
        let mut bytes = BytesMut::new();
        wire::encode(&Packet::PubAck(Ack::new(id, ReasonCode::SUCCESS)), Version::V5, &mut bytes).unwrap();
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
