//! The side of the sensors: what a shell does for the listener.

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};
use edge_bridge::Row;
use edge_bridge::bridge::Input;
use edge_bridge::ingest::{Answer, Inbound, Ingest, Now};
use edge_bridge::listener;
use edge_bridge::puback_chain::Ticket;
use edge_bridge::session::Closed;
use edge_bridge::wire::{PropertyId, QoS, Version};

use super::{Gateway, Lan, now};
use crate::bug::{Bug, Mutator};
use crate::ctx::Ctx;
use crate::ledger::{Msg, Rule};
use crate::net::{End, LinkId};
use crate::tap::{LanTap, WanTap};

/// Bytes that a shell reads from a socket at a time.
pub(crate) const READ_BYTES: usize = 8 * 1024;

/// The application's part: every reading once, alarms in their lane.
#[derive(Debug)]
pub(crate) struct Readings {
    pub(super) newest: HashMap<u16, u32>,
    pub(super) deduplicates: bool,
    pub(super) marks_until_ms: u64,
    /// By sensor.
    pub(super) qos_2_one_in: Vec<u32>,
}

impl Ingest for Readings {
    fn ingest(&mut self, now: Now, message: &Inbound) -> Answer {
        let msg = Msg::of(&message.payload);
        let newest = self.newest.entry(msg.sensor).or_default();
        if self.deduplicates && msg.seq <= *newest {
            return Answer::Absorb;
        }
        *newest = msg.seq;
        let mut row = Row::new(message.topic.clone(), Bytes::copy_from_slice(&message.payload));
        row.retain = message.retain;
        let one_in = self.qos_2_one_in.get(usize::from(msg.sensor)).copied().unwrap_or(0);
        if one_in > 0 && msg.seq.is_multiple_of(one_in) {
            row.qos = QoS::ExactlyOnce;
        }
        row.properties =
            message.properties.without(&[PropertyId::TopicAlias, PropertyId::MessageExpiryInterval]);
        row.ttl_ms = message.properties.u32(PropertyId::MessageExpiryInterval).map(|s| u64::from(s) * 1_000);
        row.possible_duplicate = message.dup || now.up_ms < self.marks_until_ms;
        row.lane = Some(u8::from(!message.topic.contains("alarm")));
        Answer::Store(vec![row])
    }
}

impl Gateway {
    pub(crate) fn on_lan_dialed(&mut self, ctx: &mut Ctx, wan: &mut WanTap, link: LinkId, version: Version) {
        let Some(connection) = self.listener.accept(now(ctx)) else { return };
        self.links.insert(connection, link);
        let tap = LanTap::new(version);
        let [socket, buffer, copy] = [BytesMut::new(), BytesMut::new(), BytesMut::new()];
        self.lans.insert(link, Lan { connection, version, socket, buffer, copy, held: None, tap });
        self.run(ctx, wan);
    }

    pub(crate) fn on_lan_bytes(&mut self, ctx: &mut Ctx, wan: &mut WanTap, link: LinkId, bytes: &Bytes) {
        for slice in ctx.slices(bytes) {
            let Some(lan) = self.lans.get_mut(&link) else { return };
            lan.socket.extend_from_slice(&slice);
            self.read(ctx, link);
            self.run(ctx, wan);
        }
    }

    pub(crate) fn on_lan_closed(&mut self, ctx: &mut Ctx, wan: &mut WanTap, link: LinkId) {
        if let Some(lan) = self.lans.get(&link) {
            self.listener.handle_input(now(ctx), lan.connection, listener::Input::Closed);
            self.run(ctx, wan);
        }
    }

    /// Connections that were not read may be read now.
    pub(super) fn read_on(&mut self, ctx: &mut Ctx) -> bool {
        let waits = |lan: &Lan| !lan.buffer.is_empty() || !lan.socket.is_empty();
        let mut waiting: Vec<_> = self.lans.iter().filter(|(_, l)| waits(l)).map(|(id, _)| *id).collect();
        waiting.sort_unstable();
        let mut moved = false;
        for link in waiting {
            moved |= self.read(ctx, link);
        }
        moved
    }

    /// Returns whether something was read.
    fn read(&mut self, ctx: &mut Ctx, link: LinkId) -> bool {
        let mut any = false;
        while let Some(lan) = self.lans.get_mut(&link)
            && (!lan.buffer.is_empty() || !lan.socket.is_empty())
            && (self.listener.may_read(lan.connection) || ctx.bug == Some(Bug::AlwaysReads))
        {
            let part = READ_BYTES.min(lan.socket.len());
            let part = lan.socket.split_to(part);
            lan.buffer.extend_from_slice(&part);
            lan.copy.extend_from_slice(&part);
            let before = lan.buffer.len();
            self.listener.handle_input(now(ctx), lan.connection, listener::Input::Bytes(&mut lan.buffer));
            let taken = before - lan.buffer.len();
            lan.tap.read(&lan.copy.split_to(taken));
            if taken == 0 && part.is_empty() {
                break;
            }
            any = true;
        }
        any
    }

    pub(super) fn on_listener(&mut self, ctx: &mut Ctx, output: listener::Output) {
        match output {
            listener::Output::Transmit { connection, bytes } => {
                let link = self.links[&connection];
                let lan = self.lans.get_mut(&link).unwrap();
                let bytes = Mutator::lan(ctx.bug, lan.version, bytes, &mut lan.held);
                for msg in lan.tap.wrote(&bytes, &mut ctx.ledger) {
                    ctx.ledger.on_receipt(msg, self.core.spool().is_durable(msg));
                }
                ctx.send(link, End::Far, Some(&bytes));
                self.listener.handle_input(now(ctx), connection, listener::Input::Written(bytes.len()));
            }
            listener::Output::Close { connection, .. } => {
                let link = self.links.remove(&connection).unwrap();
                self.lans.remove(&link);
                ctx.send(link, End::Far, None);
                if ctx.bug == Some(Bug::ReceiptAtClose) {
                    let gone: Vec<_> = self.tickets.values().filter(|t| t.1 == link).map(|t| t.0).collect();
                    gone.into_iter().for_each(|ticket| self.listener.resolve(now(ctx), ticket));
                }
            }
            listener::Output::Store { ticket, rows } => self.store(ctx, ticket, rows),
            listener::Output::Commit => self.core.spool_mut().want_commit(),
            listener::Output::Event(listener::Event::Disconnected {
                why: Closed::Violation(why), ..
            }) => {
                ctx.ledger.violate(Rule::Protocol, || format!("at the listener: {why}"));
            }
            _ => {}
        }
    }

    fn store(&mut self, ctx: &mut Ctx, ticket: Ticket, rows: Vec<Row>) {
        if !self.queue().has_room() {
            self.listener.hand_back(ticket, rows);
            return;
        }
        for row in rows {
            let msg = Msg::of(&row.payload);
            ctx.ledger.lives.begin(ctx.now_ms, msg, row.ttl_ms);
            let sensor = msg.sensor;
            let link = ctx.net.links(|kind| kind == crate::sensor::kind(sensor)).last().copied();
            let key = self.core.spool_mut().push(ctx.now_ms, row);
            self.tickets.insert(key, (ticket, link.unwrap_or(0)));
        }
        if ctx.bug == Some(Bug::ReceiptAtPush) {
            self.listener.resolve(now(ctx), ticket);
        }
        self.input(ctx, Input::Rows);
    }
}
