//! Receipts `Settled`: a producer gets one for a dropped row once the loss is durable, and not before.

use super::{Outbox, Ticket};
use crate::receipt::Receipt;

/// Receipts of dropped rows, until the commit that records the losses.
#[derive(Default)]
pub(in crate::model) struct Settling {
    /// Receipts that the next commit gives.
    due: Vec<(Ticket, Receipt)>,
    in_commit: Vec<(Ticket, Receipt)>,
    /// Up time in milliseconds since which the oldest receipt waits; `None` when none waits.
    since_ms: Option<u64>,
}

impl Settling {
    pub(in crate::model) fn add(&mut self, ticket: Ticket, receipt: Receipt, up_ms: u64) {
        self.due.push((ticket, receipt));
        self.since_ms.get_or_insert(up_ms);
    }

    pub(in crate::model) fn since_ms(&self) -> Option<u64> {
        self.since_ms
    }

    /// Returns whether no receipt waits for the next commit.
    pub(in crate::model) fn is_empty(&self) -> bool {
        self.due.is_empty()
    }

    /// Number of receipts that wait for the next commit.
    #[cfg(test)]
    pub(in crate::model) fn len(&self) -> usize {
        self.due.len()
    }

    /// Records the begin of a commit, which records the losses so far.
    pub(in crate::model) fn begin(&mut self) {
        self.in_commit.append(&mut self.due);
        self.since_ms = None;
    }

    /// Gives the receipts of a commit that is durable.
    pub(in crate::model) fn written(&mut self, out: &mut Outbox) {
        self.in_commit.drain(..).for_each(|(ticket, receipt)| out.put(ticket, receipt));
    }

    /// Takes back the receipts of a failed commit, to wait for the next.
    pub(in crate::model) fn not_written(&mut self, up_ms: u64) {
        if !self.in_commit.is_empty() {
            self.since_ms = Some(up_ms);
        }
        self.due.append(&mut self.in_commit);
    }

    /// Fails all receipts that waited for a commit, because none will come.
    pub(in crate::model) fn refuse_all(&mut self, out: &mut Outbox) {
        self.due.drain(..).chain(self.in_commit.drain(..)).for_each(|(ticket, _)| out.refuse(ticket));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Slot;
    use crate::state::Reason;
    use std::sync::Arc;

    #[test]
    fn a_receipt_waits_for_the_commit_that_began_after_the_loss() {
        let (mut settling, mut out) = (Settling::default(), Outbox::default());
        let slot = Arc::new(Slot::default());
        let ticket = |at| Ticket { slot: slot.clone(), at, rows: 1, first: u64::from(at) };
        let lost = Receipt::Settled(Reason::Overflow);
        settling.add(ticket(0), lost, 5);
        settling.add(ticket(1), lost, 9);
        assert_eq!(settling.since_ms(), Some(5));
        settling.begin();
        settling.add(ticket(2), lost, 12);
        settling.not_written(20);
        assert!(settling.since_ms() == Some(20) && !settling.is_empty());
        settling.begin();
        assert!(settling.is_empty() && settling.since_ms().is_none());
        settling.add(ticket(3), lost, 30);
        settling.written(&mut out);
        settling.refuse_all(&mut out);
        out.deliver();
        let told: Vec<_> = (0..4).map(|at| slot.get(at).map(|answer| answer.ok())).collect();
        assert_eq!(told, [Some(Some(lost)), Some(Some(lost)), Some(Some(lost)), Some(None)]);
    }
}
