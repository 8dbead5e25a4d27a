//! Parking of rows that the hub refused: moves them behind all other rows of the spool, in the order of their topic, so that a refusal causes no
//! head-of-line blocking.

use crate::bridge::message::Message;
use crate::bridge::notice_limit::Cause;
use crate::bridge::packing::pack::Pack;
use crate::bridge::refused::dropped::drops_refused;
use crate::bridge::refused::poison::RowKey;
use crate::bridge::refused::retry_sweep::Deferred;
use crate::bridge::spool::{Leased, ParkedCount, Spool};
use crate::bridge::stats::Stats;
use crate::bridge::uplink::{Uplink, row_key, weight_of};
use crate::wire::ReasonCode;

impl<P: Pack> Uplink<P> {
    /// Parks new rows of a refused topic. They are deferred while older rows of that topic may still be parked.
    pub(in crate::bridge) fn park_new<S: Spool>(&mut self, now_ms: u64, new: Deferred, spool: &mut S) {
        let Some(new) = self.drop_new(now_ms, new, spool) else { return };
        let topic = &new.topic;
        if self.sweep.defers() || self.refusals.has_deferred(topic) || !self.refusals.is_settled(topic) {
            self.refusals.on_deferred(topic, new.rows.len() as u64);
            self.sweep.defer(new);
        } else {
            self.put_new(new, spool);
        }
    }

    /// Parks deferred rows as soon as no older row of their topic can be parked after them: no sweep is under way, and no message in flight can
    /// still be refused and parked.
    pub(in crate::bridge) fn park_deferred<S: Spool>(&mut self, spool: &mut S) {
        if self.sweep.defers() {
            return;
        }
        for new in self.sweep.take_deferred(|topic| self.refusals.is_settled(topic)) {
            self.refusals.on_not_deferred(&new.topic, new.rows.len() as u64);
            self.put_new(new, spool);
        }
    }

    fn put_new<S: Spool>(&mut self, new: Deferred, spool: &mut S) {
        self.refusals.on_parked(&new.topic, new.rows.len() as u64);
        let count = ParkedCount::new(new.topic, false);
        new.rows.into_iter().for_each(|row| spool.park_for(row, &count, new.reason));
    }

    /// Parks a message again that was refused in a retry sweep. Rows of its topic that the sweep meets later are parked behind it.
    pub(in crate::bridge) fn park_again<S: Spool>(
        &mut self,
        now_ms: u64,
        message: &Message,
        reason: ReasonCode,
        spool: &mut S,
    ) {
        self.park(now_ms, message, reason, spool);
        self.refusals.on_passed(message.topic());
    }

    /// Parks a row of a sweep again. Poison rows are counted apart from their topic, because they stay parked when the hub accepts the topic.
    pub(in crate::bridge) fn park_row_again<S: Spool>(
        &mut self,
        row: &Leased,
        reason: ReasonCode,
        spool: &mut S,
    ) {
        if !self.poison.register.is_known(row_key(row.id, spool)) {
            self.refusals.on_passed(&self.pack.topic(row));
        }
        self.park_row(row, reason, spool);
    }

    pub(in crate::bridge) fn park_row<S: Spool>(&mut self, row: &Leased, reason: ReasonCode, spool: &mut S) {
        let key = row_key(row.id, spool);
        self.sweep.on_parked(key);
        spool.park(row.id, reason);
        if !self.poison.register.is_known(key) {
            self.refusals.on_parked(&self.pack.topic(row), 1);
        }
    }

    /// Parks the rows of a message.
    pub(in crate::bridge) fn park(
        &mut self,
        now_ms: u64,
        message: &Message,
        reason: ReasonCode,
        spool: &mut impl Spool,
    ) {
        if drops_refused(message, spool) {
            return self.drop_rows(now_ms, &message.packed.rows, (message.topic(), reason), spool);
        }
        self.put_last(message, false, reason, spool);
        self.refusals.on_parked(message.topic(), message.packed.rows.len() as u64);
    }

    /// Parks a single message while other messages of its topic are sent.
    pub(in crate::bridge) fn set_aside(
        &mut self,
        now_ms: u64,
        message: &Message,
        reason: ReasonCode,
        spool: &mut impl Spool,
        stats: &mut Stats,
    ) {
        if !is_kept(message, spool) {
            return self.drop_refused(now_ms, message, reason, spool, stats);
        }
        self.refused_messages.on_parked(message.topic(), Some(reason), weight_of(message, spool));
        self.tell(now_ms, Cause::Message, reason, message, spool, stats);
        self.put_last(message, true, reason, spool);
        self.sweep.want_later(now_ms);
    }

    /// Parks a message at which the hub closed connections, or which got no answer.
    pub(in crate::bridge) fn park_poison(
        &mut self,
        now_ms: u64,
        cause: Cause,
        reason: ReasonCode,
        message: &Message,
        spool: &mut impl Spool,
        stats: &mut Stats,
    ) {
        self.refusals.on_gone(message.topic());
        if !is_kept(message, spool) {
            return self.drop_refused(now_ms, message, reason, spool, stats);
        }
        stats.poison += 1;
        self.refused_messages.on_parked(message.topic(), Some(reason), weight_of(message, spool));
        self.tell(now_ms, cause, reason, message, spool, stats);
        self.put_last(message, true, reason, spool);
    }

    /// Moves the rows of a message to the end of the spool. `of_message`: they are counted among the [refused messages](crate::bridge::refused::refused_messages),
    /// not under their topic.
    fn put_last(&mut self, message: &Message, of_message: bool, reason: ReasonCode, spool: &mut impl Spool) {
        let count = ParkedCount::new(message.topic().clone(), of_message);
        for row in &message.packed.rows {
            self.sweep.on_parked(row_key(*row, spool));
            spool.park_for(*row, &count, reason);
        }
    }

    /// Remembers parked rows as poison, and plans the sweep that tries them again.
    pub(in crate::bridge) fn note_poison(&mut self, now_ms: u64, rows: &[RowKey]) {
        self.poison.on_parked(now_ms, rows);
        self.want_poison_sweep();
    }

    pub(in crate::bridge) fn want_poison_sweep(&mut self) {
        if let Some(due_ms) = self.poison.register.due_ms() {
            self.sweep.want(due_ms);
        }
    }
}

/// Returns whether a message is kept when it is refused for itself. Of one without rows nobody was acknowledged for anything: who made it decides when
/// it is made again.
fn is_kept(message: &Message, spool: &impl Spool) -> bool {
    !message.packed.rows.is_empty() && !drops_refused(message, spool)
}
