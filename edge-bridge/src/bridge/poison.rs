//! Poison messages: the hub closes the connection whenever it gets one. A message that was unanswered at three such ends is a suspect; then
//! messages go alone, in the old order, and the one whose company the hub leaves again is parked. As others are acknowledged, two, four,
//! eight … go at a time (binary search with restarts). Where the hub blames something else (load, quota, another client) it takes more ends. Rows of
//! messages that the hub never answers, found by `unanswered`, are remembered in the register too.

mod blame;
mod register;
mod unanswered_trials;

pub(super) use blame::Blame;
pub(super) use register::RowKey;

use blame::BlameSearch;
use register::Register;

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Poison {
    pub(super) blame: BlameSearch,
    pub(super) register: Register,
}

impl Poison {
    /// Notes that a row of a message that was alone is being parked.
    pub(super) fn on_parked(&mut self, now_ms: u64, row: RowKey) {
        self.register.on_parked(now_ms, row);
        self.blame.on_row_parked(row);
    }

    /// Notes that the hub answered a message; returns whether rows that were taken for poison are to be tried soon.
    pub(super) fn on_answer(&mut self, now_ms: u64) -> bool {
        let Some(doubtful) = self.blame.on_answer() else { return false };
        self.register.make_due(now_ms, &doubtful);
        true
    }

    /// Tells that a parked row that is leased again has to wait; notes its attempt otherwise.
    pub(super) fn holds(&mut self, now_ms: u64, row: RowKey) -> bool {
        let Some(goes_alone) = self.register.begin_attempt(now_ms, row) else { return true };
        if goes_alone {
            self.blame.restart();
        }
        false
    }
}

#[cfg(test)]
mod tests;
