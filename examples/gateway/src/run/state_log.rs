//! The log's line about the state (verdict and link). A few changes are said at once; a state that flaps has a line a minute, with the number of
//! changes since the last. Pure.

use edge_bridge::bridge::LinkState;

use super::line_budget::LineBudget;
use super::status::Verdict;

/// Lines that may be written at once.
const BURST: u64 = 5;

/// State that a line names.
type State = (Verdict, LinkState);

#[derive(Debug)]
pub(super) struct StateLog {
    /// At the last look.
    last: Option<State>,
    /// Changes since the last line.
    changes: u64,
    budget: LineBudget,
}

impl Default for StateLog {
    fn default() -> Self {
        Self { last: None, changes: 0, budget: LineBudget::new(BURST) }
    }
}

impl StateLog {
    /// Takes a look's state. Returns the changes since the last line, 1 or more, if a line is due.
    pub(super) fn note(&mut self, up_ms: u64, state: State) -> Option<u64> {
        if self.last.replace(state) != Some(state) {
            self.changes += 1;
        }
        (self.changes > 0 && self.budget.take(up_ms)).then(|| std::mem::take(&mut self.changes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UP: State = (Verdict::Delivering, LinkState::Flowing);
    const DOWN: State = (Verdict::Storing, LinkState::BackingOff);

    #[test]
    fn a_change_is_said_at_once_and_only_once() {
        let mut log = StateLog::default();
        assert_eq!(log.note(1_000, UP), Some(1));
        assert_eq!(log.note(2_000, UP), None);
        for hour in 1..100 {
            let now_ms = hour * 3_600_000;
            assert_eq!([log.note(now_ms, DOWN), log.note(now_ms + 1_000, UP)], [Some(1), Some(1)]);
        }
    }

    #[test]
    fn a_state_that_flaps_is_said_once_a_minute_with_the_changes_left_out() {
        let mut log = StateLog::default();
        let looks = (0..600).map(|second| log.note(second * 1_000, if second % 2 == 0 { UP } else { DOWN }));
        let lines: Vec<u64> = looks.flatten().collect();
        assert_eq!(lines[..5], [1; 5]);
        assert_eq!(lines.len(), 5 + 9, "{lines:?}");
        assert_eq!(lines[6..], [60; 8]);
        // The state of now is known within a minute after it stopped.
        let last: Vec<u64> = (600..1_200).filter_map(|second| log.note(second * 1_000, UP)).collect();
        assert_eq!(last.len(), 1);
    }
}
