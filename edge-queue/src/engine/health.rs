//! Health of a queue in degraded mode, and the event of a failed commit.

use crate::error::CommitError;
use crate::event::Event;
use crate::fault::FaultKind;
use crate::locks_and_atomics::lock;
use crate::model::Model;
use crate::stats::Health;
use crate::store::StoreError;
use crate::time::Now;

use super::store_watchdog::stall_reason;
use super::{Engine, Wake};

impl Engine {
    /// Records a failed commit, which starts or prolongs the back-off. Emits an event if the failure is of a new kind.
    pub(super) fn degrade(&self, error: StoreError) -> CommitError {
        let (kind, reason) = (FaultKind::of(&error), error.to_string());
        let now = self.clock.now();
        let (is_news, writer) = self.with_model(|model| {
            let is_news = model.degraded_mode.note(kind, reason.clone(), &now);
            // Which saw nothing to do while another thread had the rows in its commit.
            (is_news, self.writer_sleeps_beyond(model))
        });
        self.wake(Wake { writer, consumers: false });
        if is_news {
            self.tell_degraded(kind, reason);
        }
        CommitError::Store(error)
    }

    /// Emits the event of a fault. A panic has one of its own.
    pub(super) fn tell_degraded(&self, kind: FaultKind, reason: String) {
        if kind != FaultKind::Panicked {
            lock(&self.events).put(Event::Degraded { kind, reason });
        }
    }

    pub(super) fn health(&self, model: &Model, now: &Now) -> Health {
        if let Some(panicked) = self.health_after_panic(now) {
            return panicked;
        }
        if let Some(fault) = model.degraded_mode.current() {
            let since_ms = now.up_ms.saturating_sub(fault.since_ms);
            return Health::Degraded { kind: fault.kind, reason: fault.reason.clone(), since_ms };
        }
        if let Some(fault) = model.read_fault() {
            let since_ms = now.up_ms.saturating_sub(fault.since_ms);
            return Health::Degraded { kind: FaultKind::Io, reason: fault.reason.clone(), since_ms };
        }
        match self.watchdog.stalled_ms(now.up_ms) {
            None => Health::Healthy,
            Some(ms) => Health::Degraded { kind: FaultKind::Stalled, reason: stall_reason(ms), since_ms: ms },
        }
    }
}
