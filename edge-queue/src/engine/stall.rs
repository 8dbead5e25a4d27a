//! Calls of the store, watched: one that hangs is a failing store until it returns, although nobody can be told by it.

use super::{Engine, lock};
use crate::event::Event;
use crate::fault::FaultKind;

impl Engine {
    /// Makes a call of the store. The caller holds the store.
    pub(super) fn watched<T, E>(&self, call: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        self.watch.begin(self.clock.now().up_ms);
        let result = call();
        self.tell_stall();
        let stalled = self.watch.end(self.clock.now().up_ms).is_some();
        // A store that failed before says so when a commit succeeds, and one that fails now is about to.
        if stalled && result.is_ok() && self.model().fault.is_none() {
            lock(&self.events).put(Event::Recovered);
        }
        result
    }

    /// Tells that a call of the store hangs.
    pub(crate) fn stalled(&self) -> bool {
        self.watch.stalled_ms(self.clock.now().up_ms).is_some()
    }

    /// Returns the events since the last call, a stall that goes on included.
    pub(crate) fn take_events(&self) -> Vec<Event> {
        self.tell_stall();
        lock(&self.events).take()
    }

    fn tell_stall(&self) {
        let stalled = self.watch.stalled_ms(self.clock.now().up_ms);
        if let Some(ms) = stalled.filter(|_| self.watch.first_to_tell()) {
            lock(&self.events).put(Event::Degraded { kind: FaultKind::Stalled, reason: stall_reason(ms) });
        }
    }
}

pub(super) fn stall_reason(ms: u64) -> String {
    format!("a call of the store has not returned for {ms} ms")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_reason_says_for_how_long() {
        assert!(super::stall_reason(7_001).contains("7001 ms"));
    }
}
