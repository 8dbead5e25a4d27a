//! Outbox: receipts that the model decided on and that are resolved once its lock is released.

use std::sync::Arc;

use smallvec::SmallVec;

use super::slot::{Answer, Ticket};
use crate::receipt::{Receipt, WaitError};

/// Receipts that are resolved once the lock is released.
#[derive(Default)]
pub(crate) struct Outbox(SmallVec<[(Ticket, Answer); 1]>);

impl Outbox {
    pub(crate) fn put(&mut self, ticket: Ticket, receipt: Receipt) {
        self.add(ticket, Ok(receipt));
    }

    pub(crate) fn refuse(&mut self, ticket: Ticket) {
        self.add(ticket, Err(WaitError::Closed));
    }

    fn add(&mut self, ticket: Ticket, answer: Answer) {
        if let Some((last, known)) = self.0.last_mut()
            && *known == answer
            && last.goes_on_with(&ticket)
        {
            last.rows = last.rows.saturating_add(ticket.rows);
            return;
        }
        self.0.push((ticket, answer));
    }

    pub(crate) fn deliver(self) {
        for (ticket, answer) in self.0 {
            // With one owner left nobody can ask any more.
            if Arc::strong_count(&ticket.slot) > 1 {
                ticket.slot.resolve(ticket.at, ticket.rows, answer);
            }
        }
    }
}
