//! Rows that are dropped when the hub refuses their message, in place of being parked ([`Row::drop_refused`](crate::Row::drop_refused)). Somebody else
//! chose their topics, so a refusal of them opens no circuit breaker and takes no place: neither among the refused topics, nor in RAM, nor among
//! the parked rows. While the hub refuses the whole link they wait in their lanes as all others. Their topics are [told](super::dropped_topics).

use crate::bridge::message::Message;
use crate::bridge::notice_limit::Cause;
use crate::bridge::packing::pack::Pack;
use crate::bridge::spool::{LeaseId, Settled, Spool};
use crate::bridge::stats::Stats;
use crate::bridge::uplink::Uplink;
use crate::wire::{ReasonCode, Utf8};

use super::retry_sweep::Deferred;

impl<P: Pack> Uplink<P> {
    /// Drops a refused message, and tells it.
    pub(in crate::bridge) fn drop_refused(
        &mut self,
        now_ms: u64,
        message: &Message,
        reason: ReasonCode,
        spool: &mut impl Spool,
        stats: &mut Stats,
    ) {
        self.tell(now_ms, Cause::Dropped, reason, message, spool, stats);
        self.drop_rows(now_ms, &message.packed.rows, (message.topic(), reason), spool);
    }

    /// Drops those of the new rows of a refused topic that are not to be parked. Returns the others; `None` if there are none.
    pub(in crate::bridge) fn drop_new(
        &mut self,
        now_ms: u64,
        new: Deferred,
        spool: &mut impl Spool,
    ) -> Option<Deferred> {
        let (dropped, rows): (Vec<_>, Vec<_>) =
            new.rows.into_iter().partition(|row| spool.drops_refused(*row));
        self.drop_rows(now_ms, &dropped, (&new.topic, new.reason), spool);
        (!rows.is_empty()).then_some(Deferred { rows, ..new })
    }

    /// Notes that the hub accepted a message, if rows of it are of those that are dropped when it refuses them.
    pub(in crate::bridge) fn note_accepted(&mut self, now_ms: u64, message: &Message, spool: &impl Spool) {
        let is_of_these = || message.packed.rows.iter().any(|row| spool.drops_refused(*row));
        if !self.dropped.topics.is_empty() && is_of_these() {
            self.dropped.on_accepted(now_ms, message.topic());
        }
    }

    /// Drops rows of a refused message. One without rows is told by nobody: who made it makes it anew.
    pub(in crate::bridge) fn drop_rows(
        &mut self,
        now_ms: u64,
        rows: &[LeaseId],
        (topic, reason): (&Utf8, ReasonCode),
        spool: &mut impl Spool,
    ) {
        if rows.is_empty() {
            return;
        }
        self.dropped.on_refused(now_ms, topic, reason);
        self.dropped.count += rows.len() as u64;
        rows.iter().for_each(|row| spool.settle(*row, Settled::Discarded));
    }
}

/// Returns whether all rows of a refused message are dropped.
pub(in crate::bridge) fn drops_refused(message: &Message, spool: &impl Spool) -> bool {
    let rows = &message.packed.rows;
    !rows.is_empty() && rows.iter().all(|row| spool.drops_refused(*row))
}
