//! Enforcement of the learned size limit: messages that exceed it are parked unsent, and one of them at a time is sent as a probe.

use std::collections::BTreeMap;

use crate::bridge::message::Message;
use crate::bridge::packing::pack::Pack;
use crate::bridge::spool::Spool;
use crate::bridge::stats::Stats;
use crate::bridge::uplink::{Uplink, row_key};
use crate::session::{Session, Token};
use crate::wire::ReasonCode;

use super::{Cause, Refused};

impl<P: Pack> Uplink<P> {
    /// Handles the hub's PUBACK for a message.
    pub(in crate::bridge) fn on_size_answered(
        &mut self,
        now_ms: u64,
        message: &Message,
        reason: ReasonCode,
        spool: &impl Spool,
    ) {
        let bytes = payload_bytes(message);
        if reason == ReasonCode::PACKET_TOO_LARGE {
            let rows: Vec<_> = message.packed.rows.iter().map(|row| row_key(*row, spool)).collect();
            let is_poison = rows.iter().any(|row| self.poison.register.is_known(*row));
            self.size_limit.on_refused(now_ms, Refused { bytes, at_ms: now_ms, rows, is_poison });
        } else if reason.is_error() {
            self.size_limit.last_refused = None;
        } else if self.size_limit.on_taken(now_ms, bytes) {
            self.sweep.want(now_ms);
        }
        self.want_size_probe(now_ms);
    }

    /// Handles the end of a connection, see [`SizeLimit::on_closed`](super::SizeLimit::on_closed). If a refused message was the cause, returns
    /// the tokens that the session has to forget: all messages over the limit, which are parked now, or none if only that message is at fault.
    /// `None` if the close had another cause.
    pub(in crate::bridge) fn on_size_closed(
        &mut self,
        now_ms: u64,
        by_hub: bool,
        spool: &mut impl Spool,
        stats: &mut Stats,
    ) -> Option<Vec<Token>> {
        match self.size_limit.on_closed(now_ms, by_hub) {
            Cause::Other => return None,
            Cause::Message(rows) => {
                self.note_poison(now_ms, &rows);
                return Some(Vec::new());
            }
            Cause::Size => {}
        }
        self.want_size_probe(now_ms);
        let (covered, kept): (BTreeMap<_, _>, _) = std::mem::take(&mut self.sent)
            .into_iter()
            .partition(|(_, message)| self.size_limit.covers(payload_bytes(message)));
        self.sent = kept;
        let tokens = covered.keys().copied().map(Token).collect();
        for message in covered.into_values() {
            self.refusals.on_gone(message.topic());
            self.set_aside(now_ms, &message, ReasonCode::PACKET_TOO_LARGE, spool, stats);
        }
        Some(tokens)
    }

    /// Handles the begin of a pass over the parked rows.
    pub(in crate::bridge) fn on_size_pass_begins(&mut self, now_ms: u64, spool: &impl Spool) {
        if self.operator_pass.is_none() {
            let is_due = self.may_probe_size(now_ms);
            self.size_limit.on_pass_begins(now_ms, spool.is_settled(), is_due);
        }
    }

    /// Handles the end of a pass over the parked rows.
    pub(in crate::bridge) fn on_size_pass_over(&mut self, now_ms: u64, spool: &impl Spool) {
        if self.operator_pass.is_none() && self.size_limit.on_pass_over() {
            self.sweep.want(now_ms);
        }
        if spool.parked() == 0 && self.may_probe_size(now_ms) {
            self.size_limit.forget(now_ms);
        }
        self.want_size_probe(now_ms);
    }

    /// Plans a sweep at the time of the next probe, because the probe is a parked row.
    fn want_size_probe(&mut self, now_ms: u64) {
        if let Some(due_ms) = self.size_limit.due_ms().filter(|due_ms| *due_ms > now_ms) {
            self.sweep.want(due_ms);
        }
    }

    /// Returns whether a message is to be parked unsent because of its size. Only parked messages are sent as probes, the oldest first.
    pub(in crate::bridge) fn is_too_large(
        &mut self,
        now_ms: u64,
        message: &Message,
        spool: &impl Spool,
    ) -> bool {
        let bytes = payload_bytes(message);
        if self.size_limit.limit.is_none() {
            return self.size_limit.parks(bytes, message.swept, None, false);
        }
        let row = message.packed.rows.first().map(|row| row_key(*row, spool));
        if row.is_some_and(|row| self.poison.register.is_known(row)) {
            // It goes alone, and says nothing of sizes.
            return false;
        }
        let is_due = self.size_limit.covers(bytes) && self.may_probe_size(now_ms);
        self.size_limit.probes.is_any |= self.size_limit.probes.failed.len() as u64 >= spool.parked();
        let parks = self.size_limit.parks(bytes, message.swept, row, is_due && message.swept);
        if parks && is_due && !message.swept {
            self.sweep.want(now_ms);
        }
        parks
    }

    /// Largest packet, in bytes, that the pack may make: the smaller of the hub's Maximum Packet Size and the learned limit's batch size.
    pub(in crate::bridge) fn packet_max(&self, session: &Session) -> usize {
        let max = u64::from(session.peer_packet_max()).min(self.size_limit.batch_max().unwrap_or(u64::MAX));
        usize::try_from(max).unwrap_or(usize::MAX)
    }

    /// Returns whether a probe is due and none is in flight.
    fn may_probe_size(&self, now_ms: u64) -> bool {
        let mut out = self.sent.values().chain(&self.again);
        self.size_limit.due_ms().is_some_and(|due_ms| due_ms <= now_ms)
            && !out.any(|message| self.size_limit.covers(payload_bytes(message)))
    }
}

fn payload_bytes(message: &Message) -> u64 {
    message.packed.publish.payload.len() as u64
}
