//! Rows come in: one at a time, or many under one lock with one reading of the clock.

use std::sync::Arc;

use crate::error::{Limit, PushError};
use crate::model::{Model, Refusal, Slot};
use crate::row::Row;

use super::{Engine, Wake};

/// Reads or commits one push may do before it gives up; each makes progress.
const PUSH_TRIES: u32 = 64;

impl Engine {
    pub(crate) fn push(&self, mut row: Row) -> Result<Arc<Slot>, PushError> {
        for _ in 0..PUSH_TRIES {
            match self.push_once(row) {
                Ok(slot) => return Ok(slot),
                Err(Refusal::Error(error)) => return Err(error),
                Err(Refusal::NeedCommit(back)) => {
                    row = *back;
                    // An error is noted in the model, where the next try meets the policy for it.
                    let _noted = self.commit();
                }
                Err(Refusal::NeedHead(back, lane)) => {
                    row = *back;
                    if self.stalled() || self.fill_head(lane).is_err() {
                        break;
                    }
                }
            }
        }
        Err(PushError::Full { row: Box::new(row), limit: Limit::Bytes })
    }

    /// One try, which never waits for the disk.
    #[inline]
    pub(crate) fn push_once(&self, row: Row) -> Result<Arc<Slot>, Refusal> {
        let now = self.clock.now();
        let slot = Arc::default();
        self.take_in(|model| match model.push(row, &now, &slot, 0) {
            Err(Refusal::NeedCommit(row)) if self.stalled() => model.push_stalled(*row, &now, &slot, 0),
            other => other,
        })?;
        Ok(slot)
    }

    /// Tries rows until one is refused or none is left; gives the slot of those taken, how many, and the refusal. Never waits
    /// for the disk.
    pub(crate) fn push_together(
        &self,
        rows: &mut std::vec::IntoIter<Row>,
    ) -> (Arc<Slot>, u32, Option<Refusal>) {
        let now = self.clock.now();
        let slot = Arc::default();
        let mut taken = 0;
        let refused = self.take_in(|model| {
            for row in rows {
                model.push(row, &now, &slot, taken)?;
                taken += 1;
            }
            Ok(())
        });
        (slot, taken, refused.err())
    }

    /// Runs a push and wakes whom it concerns.
    #[inline]
    fn take_in(&self, push: impl FnOnce(&mut Model) -> Result<(), Refusal>) -> Result<(), Refusal> {
        let (result, wake) = self.with_model(|model| {
            let idle = !model.rows_wait();
            let result = push(model);
            // A row behind others is due after them: the writer knows when, unless it makes the commit large enough.
            let writer = (idle || model.much_waits()) && self.writer_sleeps_beyond(model);
            (result, Wake { writer, consumers: self.someone_waits() })
        });
        self.wake(wake);
        result
    }
}
