//! Operator's requests for messages that the hub refused: list, retry, copy, drop. The rows are found in one pass over the parked rows, which is
//! a sweep that sends nothing. The pass begins when no row is being parked, and its drops are durable at its end. A pass needs no connection and
//! counts as no attempt, so retry times and back-offs do not change. A retry sweep that the pass interrupts, or that comes due meanwhile, starts
//! when the pass ends.

use crate::bridge::message::Message;
use crate::bridge::packing::pack::Pack;
use crate::bridge::refused::refused_topics::Refusals;
use crate::bridge::spool::{Leased, Settled, Spool};
use crate::bridge::uplink::{Uplink, row_key, weight_of};
use crate::bridge::uplink_event::LeftOut;
use crate::bridge::{Core, Output};
use crate::ingest::Now;
use crate::wire::{ReasonCode, Utf8};

use super::operator_pass_state::{Pass, WITHIN_MS, Work, covers};
use super::parked_list::{ParkedList, ParkedRow, balance};

/// Most parked rows that one call of [`continue_operator_pass`](Uplink::continue_operator_pass) reads.
const ROWS_PER_TURN: usize = 1_024;
/// Most bytes of rows that a pass leases at a time, or of copies that wait for the caller.
const BYTES: usize = 256 * 1024;

impl<P: Pack> Uplink<P> {
    fn begin_pass<S: Spool>(&mut self, now_ms: u64, filter: Utf8, work: Work, spool: &mut S) -> bool {
        if self.operator_pass.is_some() {
            return false;
        }
        self.sweep.end_wait();
        let sweep_ms = if self.sweep.is_active() { Some(now_ms) } else { self.sweep.next_deadline() };
        let mut pass = Pass::new(now_ms, filter, work, sweep_ms);
        if work == Work::Drop {
            let mut held = self.refusals.take_matching(&pass.filter);
            held.extend(self.retries.take_matching(&pass.filter));
            for message in held {
                pass.count.add(weight_of(&message, spool));
                message.packed.rows.iter().for_each(|row| spool.settle(*row, Settled::Discarded));
            }
        } else {
            let held = self.refusals.held_matching(&pass.filter).chain(self.retries.matching(&pass.filter));
            pass.found = held.map(|(message, reason)| copy_of(message, reason, spool)).collect();
            pass.found.iter().for_each(|copy| pass.count.add(copy.readings));
        }
        self.operator_pass = Some(pass);
        if !self.sweep.is_active() {
            self.begin_hand_sweep(now_ms, spool);
        }
        true
    }

    /// Begins the sweep of an operator's pass as soon as the spool can show every parked row. Returns `false` until then.
    fn begin_hand_sweep<S: Spool>(&mut self, now_ms: u64, spool: &mut S) -> bool {
        self.park_deferred(spool);
        let would_overtake = self.would_overtake(spool);
        let Some(pass) = &mut self.operator_pass else { return false };
        let is_settled = spool.is_settled();
        if (!is_settled || would_overtake) && now_ms < pass.until_ms {
            pass.resume_ms = Some(pass.until_ms);
            return false;
        }
        if !is_settled {
            pass.left_out = Some(LeftOut::NotRead);
        }
        (pass.waits, pass.in_place) = (false, spool.in_place());
        self.begin_pass_over_parked(now_ms, spool);
        true
    }

    /// Returns whether the pass could move rows to the end of the spool before older rows, which may still be parked behind them; that would break
    /// their order.
    fn would_overtake(&self, spool: &impl Spool) -> bool {
        spool.is_scanned().is_none() && (self.sweep.has_rows_inside() || !self.refusals.all_settled())
    }

    /// Ends a pass when its drops are durable. Returns `false` until then.
    fn end_hand_sweep<S: Spool>(&mut self, now_ms: u64, spool: &mut S) -> bool {
        let is_dry = self.sweep.is_dry && spool.is_scanned().is_some();
        let Some(pass) = &mut self.operator_pass else { return true };
        if is_dry {
            pass.left_out = Some(LeftOut::NotRead);
        }
        if pass.in_place > 0 {
            pass.left_out.get_or_insert(LeftOut::InPlace { readings: pass.in_place });
        }
        if pass.work == Work::Drop && pass.count.messages > 0 {
            if !std::mem::replace(&mut pass.commits, true) {
                pass.until_ms = now_ms + WITHIN_MS;
                spool.commit();
            }
            if !spool.is_committed() && now_ms < pass.until_ms {
                pass.resume_ms = Some(pass.until_ms);
                return false;
            }
            if !spool.is_committed() {
                pass.left_out = Some(LeftOut::NotDurable);
            }
        }
        self.end_pass(now_ms);
        true
    }

    /// Continues the operator's pass that is under way, if there is one.
    pub(in crate::bridge) fn continue_operator_pass<S: Spool>(&mut self, now_ms: u64, spool: &mut S) {
        let mut rows = ROWS_PER_TURN;
        loop {
            let is_held_up =
                self.operator_pass.as_ref().is_some_and(|pass| pass.waits) && self.would_overtake(spool);
            let Some(pass) = &mut self.operator_pass else { return };
            pass.resume_ms = None;
            if !pass.found.is_empty() {
                if now_ms < pass.found_ms + WITHIN_MS && !self.sweep.is_full() {
                    return;
                }
                pass.found.clear();
                (pass.work, pass.left_out) = (Work::Nothing, Some(LeftOut::NotTaken));
            }
            if !self.sweep.is_active() {
                let goes_on = match pass.waits {
                    true => self.begin_hand_sweep(now_ms, spool),
                    false => self.end_hand_sweep(now_ms, spool),
                };
                if !goes_on {
                    return;
                }
                continue;
            }
            // The rest of the sweep that went on before.
            if is_held_up && now_ms < pass.until_ms {
                pass.resume_ms = Some(pass.until_ms);
                return;
            }
            if rows == 0 {
                pass.resume_ms = Some(now_ms + 1);
                return;
            }
            if !self.lease_parked(now_ms, spool, BYTES, &mut rows, |uplink, spool, row| {
                uplink.handle_for_operator(now_ms, spool, &row);
            }) && self.sweep.is_active()
            {
                return;
            }
        }
    }

    fn handle_for_operator<S: Spool>(&mut self, now_ms: u64, spool: &mut S, row: &Leased) {
        let topic = self.pack.topic(row);
        let reason = self.refusals.reason(&topic);
        let mut work = Work::Nothing;
        if let Some(pass) = &mut self.operator_pass
            && !pass.waits
            && covers(&pass.filter, &topic)
        {
            work = pass.work;
            match work {
                Work::Drop => pass.count.add(u64::from(row.row.weight)),
                Work::Copy => {
                    pass.count.add(u64::from(row.row.weight));
                    pass.found_ms = now_ms;
                    pass.found.push_back(ParkedRow {
                        topic: topic.clone(),
                        payload: row.row.payload.clone(),
                        readings: u64::from(row.row.weight),
                        identity: row.identity,
                        age_ms: Some(row.age_ms),
                        reason,
                    });
                }
                Work::Nothing => {}
            }
        }
        if work == Work::Drop {
            self.poison.register.forget(row_key(row.id, spool));
            spool.settle(row.id, Settled::Discarded);
        } else {
            if reason.is_none() {
                self.refused_messages.stays(&topic, u64::from(row.row.weight));
            }
            self.park_row(row, reason.unwrap_or(ReasonCode::UNSPECIFIED_ERROR), spool);
        }
    }

    fn end_pass(&mut self, now_ms: u64) {
        let Some(pass) = self.operator_pass.take() else { return };
        if pass.work == Work::Drop {
            self.refusals.forget_empty();
        }
        if let Some(at_ms) = pass.sweep_ms {
            self.sweep.want(at_ms.max(now_ms));
        }
        self.events.push_back(pass.into_event());
    }

    /// Up time, in milliseconds, at which the pass has work to do without an event.
    pub(in crate::bridge) fn hand_timeout(&self) -> Option<u64> {
        let pass = self.operator_pass.as_ref()?;
        if !pass.found.is_empty() {
            return Some(pass.found_ms + WITHIN_MS);
        }
        pass.resume_ms.or_else(|| self.sweep.next_deadline())
    }

    fn retry_parked(&mut self, now_ms: u64, filter: &Utf8) {
        self.refusals.retry_now(now_ms, filter);
        self.retries.retry_now(filter);
        self.link.retry_now(now_ms);
        self.size_limit.retry_now(now_ms);
        self.retry_filter = Some(filter.clone());
        match &mut self.operator_pass {
            Some(pass) => pass.sweep_ms = Some(now_ms),
            None => self.sweep.want(now_ms),
        }
    }
}

impl Refusals {
    fn reason(&self, topic: &Utf8) -> Option<ReasonCode> {
        self.topics.get(topic).map(|topic| topic.reason)
    }

    fn take_matching(&mut self, filter: &str) -> Vec<Message> {
        let mut out = Vec::new();
        for (_, topic) in self.topics.iter_mut().filter(|(name, _)| covers(filter, name)) {
            out.extend(topic.held.drain(..).map(|held| held.message));
        }
        self.held_bytes -= out.iter().map(|message| message.bytes).sum::<u64>();
        out
    }

    fn held_matching<'a>(
        &'a self,
        filter: &'a str,
    ) -> impl Iterator<Item = (&'a Message, Option<ReasonCode>)> + 'a {
        let topics = self.topics.iter().filter(move |(name, _)| covers(filter, name));
        topics.flat_map(|(_, topic)| topic.held.iter().map(|held| (&held.message, Some(topic.reason))))
    }

    /// Forgets topics without messages, so that none of them counts as refused until the hub refuses it again.
    fn forget_empty(&mut self) {
        self.topics.retain(|_, topic| !topic.held.is_empty() || topic.parked > 0 || topic.out > 0);
    }

    fn retry_now(&mut self, now_ms: u64, filter: &str) {
        for (_, topic) in self.topics.iter_mut().filter(|(name, _)| covers(filter, name)) {
            topic.backoff.reset();
            topic.due_ms = now_ms;
        }
    }
}

fn copy_of(message: &Message, reason: Option<ReasonCode>, spool: &impl Spool) -> ParkedRow {
    ParkedRow {
        topic: message.topic().clone(),
        payload: message.packed.publish.payload.clone(),
        readings: weight_of(message, spool),
        identity: message.packed.rows.first().and_then(|row| spool.identity(*row)),
        age_ms: None,
        reason,
    }
}

impl<S: Spool, P: Pack> Core<S, P> {
    /// Retries now every refused message under the topics that `filter` matches (`#` matches all): held ones, parked ones and poison messages. Also
    /// makes the next probe of a size limit due, and of the link if the hub refuses the whole link.
    pub fn retry_parked(&mut self, now: Now, filter: &Utf8) {
        self.uplink.retry_parked(now.up_ms, filter);
        self.turn(now);
    }

    /// Lists the topics whose messages the hub refuses now.
    pub fn parked(&self, now: Now) -> ParkedList {
        let mut topics = self.uplink.refused_list(now.up_ms, &self.spool);
        let sweep_ms = self.uplink.sweep.next_deadline().map(|at_ms| at_ms.saturating_sub(now.up_ms));
        topics.extend(self.uplink.refused_messages.list(sweep_ms));
        let (parked, in_place) = (self.spool.parked(), self.spool.in_place());
        let in_place_reason = self.spool.in_place_reason().filter(|_| in_place > 0);
        let unlisted = balance(&mut topics, parked);
        ParkedList { topics, parked, unlisted, in_place, in_place_reason }
    }

    /// Begins to drop refused messages, held in RAM or parked in the spool, of topics that `filter` matches (`#` matches all). Each is settled as
    /// [`Settled::Discarded`]. Messages in flight stay. Once the drops are durable,
    /// [`UplinkEvent::ByHand`](crate::bridge::uplink_event::UplinkEvent::ByHand) reports the end. Returns `false` if another pass is under way.
    #[must_use]
    pub fn drop_parked(&mut self, now: Now, filter: Utf8) -> bool {
        self.pass(now, filter, Work::Drop)
    }

    /// Begins to copy the messages that [`drop_parked`](Self::drop_parked) would drop, and removes none. Call [`take_copies`](Self::take_copies)
    /// within 5 s of each find, or the pass stops copying. Parked rows are not sent meanwhile. Returns `false` if another pass is under way. A
    /// spool that reads parked rows in place writes nothing for it.
    #[must_use]
    pub fn copy_parked(&mut self, now: Now, filter: Utf8) -> bool {
        self.pass(now, filter, Work::Copy)
    }

    /// Returns the copies found since the last call: at most about 1 MiB of messages held in RAM, then about 256 KiB of parked rows a call.
    pub fn take_copies(&mut self, now: Now) -> Vec<ParkedRow> {
        let found = self.uplink.operator_pass.as_mut().map(|pass| std::mem::take(&mut pass.found));
        let out: Vec<_> = found.into_iter().flatten().collect();
        if !out.is_empty() {
            self.turn(now);
        }
        out
    }

    fn pass(&mut self, now: Now, filter: Utf8, work: Work) -> bool {
        let began = self.uplink.begin_pass(now.up_ms, filter, work, &mut self.spool);
        self.turn(now);
        began
    }

    /// Continues an operator's pass, with or without a connection, and emits its events.
    pub(in crate::bridge) fn continue_operator_pass(&mut self, now: Now) {
        self.uplink.note_left(&mut self.spool);
        self.uplink.continue_operator_pass(now.up_ms, &mut self.spool);
        while let Some(event) = self.uplink.poll_event() {
            self.out.push_back(Output::Event(crate::bridge::Event::Uplink(event)));
        }
    }
}

#[cfg(test)]
mod tests;
