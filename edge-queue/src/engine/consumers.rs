//! Registration and removal of consumers, durable when the call returns, with a count of the backlog where it needs one.

use crate::config::ConsumerConfig;
use crate::error::ConsumerError;
use crate::model::HEAD_READ;
use crate::store::StoreError;

use super::{Engine, Open};

impl Engine {
    /// Finds a consumer whose registration is durable, without waiting for the store; `None` if there is none. Sets the consumer's own `limits` if
    /// given.
    pub(crate) fn resume(
        &self,
        name: &str,
        limits: Option<ConsumerConfig>,
    ) -> Result<Option<u64>, ConsumerError> {
        self.with_model(|model| {
            if model.closed {
                return Err(ConsumerError::Closed);
            }
            let known = model.find_durable(name);
            if let (Some(id), Some(limits)) = (known, limits) {
                model.limit(id, limits);
            }
            Ok(known)
        })
    }

    /// Registers a consumer or finds it, and returns its id. Durable when the call returns. Sets the consumer's own `limits` if
    /// given.
    pub(crate) fn register(&self, name: &str, limits: Option<ConsumerConfig>) -> Result<u64, ConsumerError> {
        if let Some(id) = self.resume(name, limits)? {
            return Ok(id);
        }
        let mut store = self.lock_store();
        let open = store.as_mut().ok_or(ConsumerError::Closed)?;
        if self.model().find_consumer(name).is_none() {
            // The first consumer is told what is there: that must be a count and no guess.
            let counted = self.count_anew(open);
            counted.or_else(|e| {
                if self.model().has_consumers() { Ok(()) } else { Err(ConsumerError::Store(e)) }
            })?;
        }
        let (id, known) = self.with_model(|model| {
            let known = model.find_consumer(name);
            let id = known.map_or_else(|| model.register(name), Ok)?;
            if let Some(limits) = limits {
                model.limit(id, limits);
            }
            Ok::<_, ConsumerError>((id, known.is_some()))
        })?;
        if known {
            return Ok(id);
        }
        // Rows pushed before the registration are in this commit: what comes after it is the consumer's.
        match self.commit_with(open) {
            Ok(()) => {
                self.with_model(|model| model.registered(id));
                Ok(id)
            }
            Err(error) => {
                let up_ms = self.clock.now().up_ms;
                self.with_model(|model| model.unregister(id, up_ms));
                Err(error.into())
            }
        }
    }

    /// Removes a consumer, durably when the answer is `Ok`, and counts again the rows that the others still want; `Ok(false)` if there is none of
    /// that name. A read error during the count does not undo the removal; the count is finished later.
    pub(crate) fn forget(&self, name: &str) -> Result<bool, ConsumerError> {
        let mut store = self.lock_store();
        let open = store.as_mut().ok_or(ConsumerError::Closed)?;
        // An earlier call may have removed it without getting that written.
        let unwritten = self.model().is_forgotten(name);
        self.commit_with(open)?;
        let known = self.with_model(|model| model.forget(name));
        if known {
            self.wake_all();
        }
        let _remembered = self.count_anew(open);
        if known {
            self.commit_with(open)?;
        }
        Ok(known || unwritten)
    }

    /// Counts every lane again whose totals are not exact. A count that fails with a read error is tried again later.
    pub(super) fn count_anew(&self, open: &mut Open) -> Result<(), StoreError> {
        let lanes = self.model().lanes.len();
        (0..lanes).try_for_each(|lane| self.count_lane(open, lane))
    }

    /// Counts lanes again whose totals are not exact, unless the last try failed a moment ago.
    pub(super) fn count_when_due(&self, open: &mut Open) {
        let due = self.model().recounts_due(&self.clock.now());
        // The model remembers what could not be counted.
        let _later = due.into_iter().try_for_each(|lane| self.count_lane(open, lane));
    }

    /// Counts a lane again for a push that meets a limit while the lane's totals are not exact.
    pub(super) fn count_for_push(&self, lane: usize) -> Result<(), StoreError> {
        let mut store = self.lock_store();
        store.as_mut().map_or(Ok(()), |open| self.count_lane(open, lane))
    }

    fn count_lane(&self, open: &mut Open, lane: usize) -> Result<(), StoreError> {
        if !self.model().lanes.get(lane).is_some_and(|l| l.recount_due) {
            return Ok(());
        }
        let counted = self.count(open, lane);
        if counted.is_err() {
            let now = self.clock.now();
            self.with_model(|model| model.recount_failed(&now));
        }
        counted
    }

    fn count(&self, open: &mut Open, lane: usize) -> Result<(), StoreError> {
        let Some((mut from, below)) = self.with_model(|model| model.recount_start(lane)) else {
            return Ok(());
        };
        while from < below {
            let chunk = self.read(open, lane, from, HEAD_READ)?;
            match self.with_model(|model| model.recount_read(from, below, chunk)) {
                Some(next) => from = next,
                None => break,
            }
        }
        let up_ms = self.clock.now().up_ms;
        self.with_model(|model| model.recount_finish(below, up_ms));
        Ok(())
    }
}
