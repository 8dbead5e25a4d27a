//! Passes over the parked rows: a retry sweep sends them again in their order, an operator's pass copies or drops them.

use crate::bridge::next_message::Turn;
use crate::bridge::packing::pack::Pack;
use crate::bridge::spool::{Leased, Spool};
use crate::bridge::uplink::{Uplink, give_back, is_about_message, row_key};
use crate::wire::{ReasonCode, Utf8};

use super::operator_pass_state::covers;

/// Milliseconds to the next sweep for a poison message that the last sweep should have met and did not.
const MISSED_POISON_MS: u64 = 600_000;

impl<P: Pack> Uplink<P> {
    pub(in crate::bridge) fn lease_swept<S: Spool>(&mut self, turn: &mut Turn<'_, S>, room: usize) -> bool {
        if self.operator_pass.is_some() {
            return false;
        }
        let is_ahead = self.pack.is_empty();
        let now = turn.now;
        self.lease_parked(now.up_ms, turn.spool, room, &mut turn.parks, |uplink, spool, row| {
            let (key, topic) = (row_key(row.id, spool), uplink.pack.topic(&row));
            if uplink.retry_filter.as_ref().is_some_and(|filter| covers(filter, &topic)) {
                uplink.poison.register.retry(key);
            }
            let refused = match uplink.poison.register.is_held(now.up_ms, key) {
                true => None,
                false => {
                    let gives_up = uplink.gives_up(now.up_ms, &topic);
                    gives_up.or_else(|| uplink.refusals.parks(&topic, true)).filter(|_| is_ahead)
                }
            };
            // A row of a refused topic takes no other one's turn.
            let reason = if refused.is_some() {
                uplink.poison.register.on_topic_refused(key);
                refused
            } else if uplink.poison.holds(now.up_ms, key) {
                uplink.refused_messages.on_parked(&topic, None, u64::from(row.row.weight));
                Some(ReasonCode::UNSPECIFIED_ERROR)
            } else {
                None
            };
            match reason {
                Some(reason) => uplink.park_row_again(&row, reason, spool),
                None => {
                    uplink.sweep.on_row(row.id, topic);
                    uplink.pack.add(now, row);
                }
            }
        })
    }

    /// Returns the hub's reason if the sweep sends no row of this topic, because the hub refuses everything and the topic's state is unknown;
    /// `None` if its rows may be sent. The topic then waits like a refused one, unless the reason concerns single messages.
    pub(in crate::bridge) fn gives_up(&mut self, now_ms: u64, topic: &Utf8) -> Option<ReasonCode> {
        let reason = self.sweep.gives_up().filter(|_| !self.refusals.knows(topic))?;
        if !is_about_message(reason) {
            let out = self.out_of(topic);
            self.refusals.add(now_ms, topic, reason, out);
        }
        Some(reason)
    }

    /// Leases the next parked rows and calls `handle` with each. Returns `false` if there are none.
    pub(in crate::bridge) fn lease_parked<S: Spool>(
        &mut self,
        now_ms: u64,
        spool: &mut S,
        room: usize,
        parks: &mut usize,
        mut handle: impl FnMut(&mut Self, &mut S, Leased),
    ) -> bool {
        if !self.sweep.is_active() {
            return false;
        }
        let rows = spool.lease_parked(now_ms, self.sweep.room(), room);
        let (any, mut weight) = (!rows.is_empty(), 0);
        *parks = parks.saturating_sub(rows.len());
        let mut rows = rows.into_iter();
        while let Some(row) = rows.next() {
            if self.sweep.ends_at(row_key(row.id, spool)) {
                std::iter::once(row).chain(rows).for_each(|row| spool.give_back(row.id));
                break;
            }
            self.poison.register.on_met(row_key(row.id, spool));
            self.size_limit.on_met(row.row.payload.len() as u64);
            weight += u64::from(row.row.weight);
            let topic = self.pack.topic(&row);
            self.refusals.on_swept(&topic);
            self.refused_messages.on_swept(&topic, u64::from(row.row.weight));
            handle(self, spool, row);
        }
        if self.sweep.on_leased(now_ms, weight, spool) {
            self.end_sweep(now_ms, spool);
        }
        any
    }

    fn end_sweep<S: Spool>(&mut self, now_ms: u64, spool: &mut S) {
        if self.sweep.could_not_read() {
            self.size_limit.on_pass_broken_off();
        } else {
            self.refusals.on_sweep_over();
            self.refused_messages.on_sweep_over();
            self.poison.register.on_pass_over(now_ms);
            self.on_size_pass_over(now_ms, spool);
        }
        self.park_deferred(spool);
        // An operator's pass sends nothing: it is no attempt, and the next one comes when it would have come without.
        if self.operator_pass.is_none() {
            self.plan_sweep(now_ms, spool);
        }
    }

    /// Plans the next sweep after one has ended.
    pub(in crate::bridge) fn plan_sweep<S: Spool>(&mut self, now_ms: u64, spool: &S) {
        if self.sweep.could_not_read() {
            self.sweep.want_again(now_ms);
        } else {
            self.retry_filter = None;
        }
        if spool.parked() > 0 {
            self.sweep.want_later(now_ms);
        }
        if let Some(due_ms) = self.poison.register.due_ms() {
            // One that was due and did not come by is gone: it expired, or made room.
            self.sweep.want(if due_ms > now_ms { due_ms } else { now_ms + MISSED_POISON_MS });
        }
    }

    /// Begins a sweep if one is due, or if a topic that the hub accepts again has parked rows.
    pub(in crate::bridge) fn begin_sweep<S: Spool>(&mut self, now_ms: u64, spool: &mut S) {
        if self.sweep.is_active() || self.operator_pass.is_some() || self.link.is_refused() {
            return;
        }
        self.park_deferred(spool);
        // Not all are known by their topics; those of an earlier life the store may learn of long after the connection is up.
        if !self.sweep.is_planned() && spool.parked() > 0 {
            self.sweep.want_later(now_ms);
        }
        if self.sweep.has_rows_inside() || !self.refusals.all_settled() {
            return;
        }
        if self.refusals.take_sweep_wanted() {
            self.sweep.want(now_ms);
        }
        if !self.sweep.is_due(now_ms) || self.sweep.has_to_wait(now_ms, spool) {
            return;
        }
        if spool.has_holes() {
            self.give_back_held_swept(spool);
            spool.close_holes();
        }
        self.begin_pass_over_parked(now_ms, spool);
        if !self.sweep.is_active() {
            self.refusals.on_sweep_over();
            self.poison.register.on_pass_over(now_ms);
            self.on_size_pass_over(now_ms, spool);
        }
    }

    /// Gives back messages in RAM whose rows were parked before, so that the sweep that begins meets them ahead of younger rows; the spool closes
    /// holes only while no parked row is leased. Does nothing while other parked rows are in flight or wait in RAM, because these stay leased
    /// anyway.
    pub(in crate::bridge) fn give_back_held_swept<S: Spool>(&mut self, spool: &mut S) {
        let retried = self.retries.waiting.iter().map(|(_, message)| message);
        let is_out = self.sent.values().chain(&self.again).chain(retried).any(|message| message.swept);
        if is_out || !self.refusals.may_give_back_swept() {
            return;
        }
        for message in self.refusals.take_held_swept() {
            self.refusals.on_parked(message.topic(), message.packed.rows.len() as u64);
            give_back(&message, spool);
        }
    }

    /// Begins a pass over the parked rows, for a retry sweep or for an operator.
    pub(in crate::bridge) fn begin_pass_over_parked<S: Spool>(&mut self, now_ms: u64, spool: &mut S) {
        self.note_left(spool);
        self.sweep.begin(spool);
        self.refusals.on_sweep_begins(spool.is_settled() || spool.parked() == 0);
        self.refused_messages.on_sweep_begins();
        self.poison.register.on_pass_begins(spool.is_settled());
        self.on_size_pass_begins(now_ms, spool);
    }
}
