//! The side of the hub: what a shell does for the core of the link.

use bytes::{Bytes, BytesMut};
use edge_bridge::bridge::{Event, Input, Output};
use edge_bridge::wire::ReasonCode;

use super::{Gateway, core_now};
use crate::bug::Bug;
use crate::ctx::{Ctx, Due};
use crate::ledger::Rule;
use crate::net::{End, LinkId};
use crate::tap::WanTap;

impl Gateway {
    pub(crate) fn on_dialed(&mut self, ctx: &mut Ctx, wan: &mut WanTap, link: Option<LinkId>) {
        let input = match link {
            Some(_) => Input::Dialed,
            None => Input::DialFailed("refused".to_owned()),
        };
        self.wan = link;
        self.heard_ms = ctx.now_ms;
        self.buffer.clear();
        self.copy.clear();
        self.mutator.reset();
        self.input(ctx, input);
        self.run(ctx, wan);
    }

    pub(crate) fn on_wan_bytes(&mut self, ctx: &mut Ctx, wan: &mut WanTap, link: LinkId, bytes: &Bytes) {
        self.heard_ms = ctx.now_ms;
        for slice in ctx.slices(bytes) {
            if self.wan != Some(link) {
                return;
            }
            match ctx.bug.filter(|bug| bug.is_forged()) {
                Some(bug) => {
                    let bytes = self.mutator.forger.received(bug, &slice, wan.unanswered() > 0);
                    wan.received(&slice, &mut ctx.ledger);
                    self.buffer.extend_from_slice(&bytes);
                    self.run(ctx, wan);
                }
                None => {
                    self.buffer.extend_from_slice(&slice);
                    self.copy.extend_from_slice(&slice);
                }
            }
            while !self.buffer.is_empty() {
                let before = self.buffer.len();
                let mut buffer = std::mem::take(&mut self.buffer);
                self.input(ctx, Input::Bytes(&mut buffer));
                self.buffer = buffer;
                let taken = before - self.buffer.len();
                let told = taken.min(self.copy.len());
                wan.received(&self.copy.split_to(told), &mut ctx.ledger);
                self.run(ctx, wan);
                if taken == 0 {
                    break;
                }
            }
        }
    }

    pub(crate) fn on_wan_closed(&mut self, ctx: &mut Ctx, wan: &mut WanTap, link: LinkId) {
        if self.wan == Some(link) {
            self.input(ctx, Input::HungUp(None));
            self.run(ctx, wan);
        }
    }

    pub(super) fn on_core(&mut self, ctx: &mut Ctx, wan: &mut WanTap, output: Output) {
        match output {
            Output::Dial { .. } => {
                ctx.dials += 1;
                ctx.at(2 * ctx.net.wan.latency_ms, Due::Dialed(ctx.dials));
            }
            Output::Transmit(bytes) => {
                if self.wan.is_none() {
                    return;
                }
                let bytes = self.mutator.wan(ctx.bug, bytes, wan.room());
                wan.sent(&bytes, &mut ctx.ledger);
                self.unsent.extend_from_slice(&bytes);
                if !self.had_no_room {
                    self.write(ctx);
                }
            }
            Output::Probe { .. } => panic!("there is one address"),
            Output::Hangup => self.hang_up(ctx, wan),
            Output::Event(event) => self.on_event(ctx, wan, event),
        }
    }

    /// Gives the system what it takes.
    pub(super) fn write(&mut self, ctx: &mut Ctx) {
        let Some(link) = self.wan else { return };
        let called = ctx.net.room_ms(ctx.now_ms, link).is_some_and(|at_ms| at_ms <= ctx.now_ms);
        if self.unsent.is_empty() || (self.had_no_room && !called) {
            return;
        }
        let room = ctx.net.room(ctx.now_ms, link);
        let bytes = self.unsent.split_to(room.min(self.unsent.len())).freeze();
        ctx.send(link, End::Near, Some(&bytes));
        let waited = std::mem::replace(&mut self.had_no_room, !self.unsent.is_empty());
        if waited {
            self.left_ms = ctx.now_ms;
        }
        self.input(ctx, Input::Written { bytes: bytes.len() as u64, waited });
    }

    /// By a planted bug: when the hub has been silent for too long.
    pub(super) fn impatient_ms(&self, ctx: &Ctx, wan: &WanTap) -> Option<u64> {
        let since_ms = wan.waiting_since_ms.filter(|_| ctx.bug == Some(Bug::TransmissionIsSilence))?;
        self.wan.map(|_| since_ms.max(self.heard_ms) + self.patience_ms)
    }

    pub(super) fn note_given_up(&mut self, ctx: &Ctx) {
        self.gave_up = self.wan.map(|link| (link, ctx.net.is_moving(ctx.now_ms, link)));
    }

    pub(super) fn hang_up(&mut self, ctx: &mut Ctx, wan: &mut WanTap) {
        (self.unsent, self.had_no_room) = (BytesMut::new(), false);
        if let Some(link) = self.wan.take() {
            if self.core.has_given_up() {
                ctx.net.reset(ctx.now_ms, link);
            }
            ctx.ledger.duplicates_allowed += wan.ended(ctx.now_ms);
            ctx.send(link, End::Near, None);
        }
    }

    fn on_event(&mut self, ctx: &mut Ctx, wan: &WanTap, event: Event) {
        match event {
            Event::Message { ack, .. } => {
                self.commands += 1;
                // A connection that just ended: the hub sends it again.
                let _ = ack.map(|ack| self.core.ack(core_now(ctx), ack, ReasonCode::SUCCESS));
            }
            Event::Stalled => {
                self.stalls += 1;
                self.note_given_up(ctx);
            }
            Event::SessionLost { .. } => self.mutator.discarded.extend(&wan.lost),
            Event::Disconnected { reason, .. } if reason.contains("broke the protocol") && !ctx.hostile => {
                ctx.ledger.violate(Rule::Protocol, || format!("at the bridge: {reason}"));
            }
            _ => {}
        }
    }
}
