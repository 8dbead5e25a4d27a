//! Pushes: one row at a time, or many under one lock with one reading of the clock. They wait for the disk only if the model needs a read or a
//! commit first.

use std::sync::Arc;

use crate::error::PushError;
use crate::model::{Model, Refusal, Ticket};
use crate::planted_flaw::{Flaw, planted};
use crate::row::Row;

use super::{Engine, Wake};

/// Most tries of one push before it gives up. Between two tries it reads or commits, which makes progress.
const PUSH_TRIES: u32 = 64;

impl Engine {
    #[inline]
    pub(crate) fn push(self: &Arc<Self>, row: Row) -> Result<Ticket, PushError> {
        self.try_push(row).map_err(|error| self.count_refused(error))
    }

    /// Pushes a row without counting a refusal, for callers that may try again.
    #[inline]
    pub(crate) fn try_push(self: &Arc<Self>, row: Row) -> Result<Ticket, PushError> {
        self.push_once(row).or_else(|refusal| self.push_slowly(refusal))
    }

    /// Counts the refused row if the error is for lack of room, and returns the error with the figure of the limit.
    #[cold]
    pub(crate) fn count_refused(&self, mut error: PushError) -> PushError {
        if let PushError::Full { row, limit, most } = &mut error {
            let mut model = self.model();
            model.count_refused(row);
            *most = model.figure_of(*limit, row);
        }
        error
    }

    #[cold]
    fn push_slowly(self: &Arc<Self>, mut refusal: Refusal) -> Result<Ticket, PushError> {
        for _ in 1..PUSH_TRIES {
            let row = match refusal {
                Refusal::Error(error) => return Err(error),
                Refusal::NeedCommit(row) => {
                    // An error is noted in the model, where the next try meets the policy for it.
                    let _noted = self.commit();
                    row
                }
                Refusal::NeedHead { row, lane, limit } => {
                    if self.stalled() || self.fill_head(lane).is_err() {
                        return Err(PushError::Full { row, limit, most: None });
                    }
                    row
                }
                Refusal::NeedCount { row, lane, limit } => {
                    if self.stalled() || self.count_for_push(lane).is_err() {
                        return Err(PushError::Full { row, limit, most: None });
                    }
                    row
                }
            };
            match self.push_once(*row) {
                Ok(ticket) => return Ok(ticket),
                Err(again) => refusal = again,
            }
        }
        Err(refusal.give_up())
    }

    /// Tries to push a row once, without waiting for the disk and without counting a refusal.
    #[inline]
    pub(crate) fn push_once(self: &Arc<Self>, row: Row) -> Result<Ticket, Refusal> {
        let now = self.clock.now();
        let mut rows = Some(row);
        let ticket = self.take_in(|model| match model.push_next(&mut rows, &now) {
            Some(Err(Refusal::NeedCommit(row))) if self.stalled() => model.push_stalled(*row, &now),
            // There was a row.
            taken => taken.unwrap_or_else(|| Ok(Ticket::default())),
        })?;
        ticket.slot.observed_by(self);
        Ok(ticket)
    }

    /// Pushes rows until one is refused or none is left. Returns the tickets to which the receipts of the taken rows will come,
    /// in order, and the refusal if there was one, which is not counted. Never waits for the disk.
    pub(crate) fn push_together(
        self: &Arc<Self>,
        rows: &mut std::vec::IntoIter<Row>,
    ) -> (Vec<Ticket>, Option<Refusal>) {
        let now = self.clock.now();
        let mut tickets = Vec::new();
        let refused = self.take_in(|model| {
            while let Some(taken) = model.push_next(rows, &now) {
                tickets.push(taken?);
            }
            Ok(())
        });
        tickets.iter().for_each(|ticket| ticket.slot.observed_by(self));
        (tickets, refused.err())
    }

    /// Performs a push, and wakes the writer thread and the consumers concerned.
    #[inline]
    fn take_in<T>(&self, push: impl FnOnce(&mut Model) -> Result<T, Refusal>) -> Result<T, Refusal> {
        let (result, wake) = self.with_model(|model| {
            let idle = !model.rows_wait();
            let result = push(model);
            // A row behind others is due after them: the writer knows when, unless it makes the commit large enough.
            let much = model.much_waits() && !planted(Flaw::WriterNotWoken);
            let writer = (idle || much) && self.writer_sleeps_beyond(model);
            (result, Wake { writer, consumers: self.rows.claim() })
        });
        self.wake(wake);
        result
    }
}
