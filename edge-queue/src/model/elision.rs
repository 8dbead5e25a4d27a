//! Elision: a row that every consumer acknowledged before its commit is never written, and its producer gets the receipt `HandedOver`.

use super::Model;
use super::usage::Size;
use crate::receipt::Receipt;
use crate::row::Seq;

impl Model {
    /// Removes a row that no consumer wants any more from the lane's counters and from RAM, and decides its receipt.
    pub(super) fn remove(&mut self, lane: usize, seq: Seq, size: Size, up_ms: u64) {
        self.passes().for_each(|pass| pass.removed(lane, seq, size));
        let Some(l) = self.lanes.get_mut(lane) else { return };
        l.usage.sub(size);
        l.dirty = true;
        let Some((ticket, end)) = l.tail.take(seq) else { return };
        match end {
            None => {
                l.counts.handed_over = l.counts.handed_over.saturating_add(size.weight);
                self.out.put(ticket, Receipt::HandedOver);
            }
            // The loss must be durable before anybody is told.
            Some(receipt @ Receipt::Settled(_)) => self.settling.add(ticket, receipt, up_ms),
            Some(receipt) => self.out.put(ticket, receipt),
        }
    }
}
