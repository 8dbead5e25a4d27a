//! Poison messages: the hub closes the connection whenever it gets one. A message that had no PUBACK at three closes is a suspect. Then messages
//! are sent one at a time, in the old order, and one that is alone in flight at a further close is parked. As others are acknowledged, two, four,
//! eight … are in flight at a time (binary search with restarts). If the hub names another cause (load, quota, another client) more closes are
//! needed. The register also holds rows of messages that the hub never answers, found by `unanswered`.

mod blame;
mod closed_topics;
mod quick_dials;
mod register;
mod unanswered_trials;

pub(in crate::bridge) use blame::{Blame, Suspicion};
pub(in crate::bridge) use register::RowKey;

use blame::BlameSearch;
use closed_topics::ClosedTopics;
use quick_dials::QuickDials;
use register::Register;

/// Search for poison messages and register of their rows, see the [module](self).
#[derive(Debug, Clone, Default)]
pub(in crate::bridge) struct Poison {
    pub(in crate::bridge) blame: BlameSearch,
    pub(in crate::bridge) register: Register,
    pub(in crate::bridge) closed_topics: ClosedTopics,
    quick_dials: QuickDials,
}

impl Poison {
    /// Adds the rows of a message that caused a close to the register.
    pub(in crate::bridge) fn on_parked(&mut self, now_ms: u64, rows: &[RowKey]) {
        self.register.on_closed_at(now_ms, rows);
        for row in rows {
            // At another close the hub may have been at fault, but not at both.
            if !self.register.is_known(*row) {
                self.blame.on_row_parked(*row);
            }
            self.register.on_parked(now_ms, *row);
        }
    }

    /// Handles a close by the hub, see [`BlameSearch::on_close`].
    pub(in crate::bridge) fn on_close(
        &mut self,
        now_ms: u64,
        here: usize,
        worst: u32,
        suspicion: Suspicion,
    ) -> Blame {
        if worst > 1 || self.blame.limit().is_some() {
            self.quick_dials.take(now_ms);
        }
        self.blame.on_close(now_ms, here, worst, suspicion)
    }

    /// Returns whether the search has cost so many connections that the next dials are to be ever further apart.
    pub(in crate::bridge) fn is_too_quick(&self, now_ms: u64) -> bool {
        self.quick_dials.are_used_up(now_ms)
    }

    /// Handles a PUBACK. Returns whether rows taken for poison are to be tried again soon, because the hub itself may have been at fault.
    pub(in crate::bridge) fn on_answer(&mut self, now_ms: u64) -> bool {
        let Some(doubtful) = self.blame.on_answer() else { return false };
        self.register.make_due(now_ms, &doubtful);
        true
    }

    /// Returns whether a parked row that is leased again has to wait for its next attempt. If not, its attempt begins.
    pub(in crate::bridge) fn holds(&mut self, now_ms: u64, row: RowKey) -> bool {
        let unproven_until_ms = self.blame.unproven_until_ms();
        let Some(goes_alone) = self.register.begin_attempt(now_ms, row, unproven_until_ms) else {
            return true;
        };
        if goes_alone {
            self.blame.restart();
        }
        false
    }
}

#[cfg(test)]
mod tests;
