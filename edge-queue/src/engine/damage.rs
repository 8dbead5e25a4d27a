//! Reads of the store, and accounting of the damage that they find.

use crate::event::Event;
use crate::fault::FaultKind;
use crate::locks_and_atomics::lock;
use crate::model::HEAD_READ;
use crate::row::{Lane, Seq};
use crate::store::{Lost, ReadLimit, StoreError, StoredChunk};

use super::{Engine, Open, Wake};

impl Engine {
    /// Reads rows of a lane. Afterwards losses found by the read are in the ledgers, and an error is in the queue's health.
    pub(super) fn read(
        &self,
        open: &mut Open,
        lane: usize,
        from: Seq,
        limit: ReadLimit,
    ) -> Result<StoredChunk, StoreError> {
        let now = self.clock.now();
        let gives_up = self.model().read_gives_up(lane, from, &now);
        let read = self
            .read_only(open, lane, from, limit, gives_up)
            .and_then(|chunk| self.settle(open, lane, chunk));
        match &read {
            Ok(chunk) => {
                if self.with_model(|model| model.read_worked(lane, from, limit, chunk.next)) {
                    lock(&self.events).put(Event::Recovered);
                }
            }
            Err(error) => {
                // After the read, which may have taken longer than the pause before the next one.
                let (now, reason) = (self.clock.now(), format!("lane {lane}: {error}"));
                if self.with_model(|model| model.read_failed(lane, from, limit, reason.clone(), &now)) {
                    self.tell_degraded(FaultKind::of(error), reason);
                }
                // The writer wakes consumers when the lane may be read again, and may sleep beyond that.
                self.wake(Wake { writer: true, consumers: false });
            }
        }
        read
    }

    /// Accounts for the rows that a read found lost.
    fn settle(&self, open: &mut Open, lane: usize, chunk: StoredChunk) -> Result<StoredChunk, StoreError> {
        if !chunk.lost.is_empty() {
            let up_ms = self.clock.now().up_ms;
            if !self.with_model(|model| model.lose(lane, &chunk, up_ms)) {
                self.reckon(open, lane, &chunk.lost)?;
            }
            self.report_losses();
        }
        Ok(chunk)
    }

    /// Reads rows of a lane without accounting. If it `gives_up`, it skips the parts that the medium does not return.
    pub(super) fn read_only(
        &self,
        open: &mut Open,
        lane: usize,
        from: Seq,
        limit: ReadLimit,
        gives_up: bool,
    ) -> Result<StoredChunk, StoreError> {
        self.watched(|| match gives_up {
            true => open.store.read_past_errors(Lane(lane as u8), from, limit),
            false => open.store.read(Lane(lane as u8), from, limit),
        })
    }

    /// Reads a lane once and sets every ledger to the rows that can still be read. `passed` are losses that the caller is about to skip.
    pub(super) fn reckon(&self, open: &mut Open, lane: usize, passed: &[Lost]) -> Result<(), StoreError> {
        let Some((mut from, below)) = self.with_model(|model| model.reckon_start(lane)) else {
            return Ok(());
        };
        let gives_up = self.model().read_gives_up_somewhere(lane, &self.clock.now());
        while from < below {
            let chunk = match self.read_only(open, lane, from, HEAD_READ, gives_up) {
                Ok(chunk) => chunk,
                Err(error) => {
                    self.with_model(|model| model.reckon_stop());
                    return Err(error);
                }
            };
            match self.with_model(|model| model.reckon_read(from, below, chunk)) {
                Some(next) => from = next,
                None => break,
            }
        }
        let up_ms = self.clock.now().up_ms;
        self.with_model(|model| model.reckon_finish(passed, below, up_ms));
        Ok(())
    }

    /// Emits one event for each loss found since the last call.
    pub(super) fn report_losses(&self) {
        let losses = self.with_model(|model| model.take_losses());
        if losses.is_empty() {
            return;
        }
        let mut events = lock(&self.events);
        losses.into_iter().for_each(|event: Event| events.put(event));
    }
}
