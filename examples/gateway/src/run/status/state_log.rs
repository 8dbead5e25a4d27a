//! Log lines about the state (verdict and link). A change is logged at once while the budget has lines left, and in any case once it lasts. So a
//! state that alternates, such as a flapping link or a burst every minute, does not fill a log that is written to flash. Pure.

use edge_bridge::bridge::LinkState;

use crate::run::log::token_bucket::LineBudget;

use super::verdict::Verdict;

/// Most lines that may be written without a pause.
const BURST: u64 = 5;
/// Milliseconds after which the budget has one more line, up to [`BURST`].
const EVERY_MS: u64 = 4 * 3_600_000;
/// Milliseconds after which a lasting state has its line in any case.
const LASTS_MS: u64 = 600_000;

/// State that a log line names.
type State = (Verdict, LinkState);

#[derive(Debug)]
pub(in crate::run) struct StateLog {
    /// State at the last check, and the up time since which it is the same.
    last: Option<(State, u64)>,
    /// State in the last line.
    said: Option<State>,
    /// Changes of the state since the last line.
    changes: u64,
    budget: LineBudget,
    /// Budget of lines about states that need the operator, apart from that of usual states.
    urgent: LineBudget,
}

impl Default for StateLog {
    fn default() -> Self {
        let budget = || LineBudget::new(BURST, EVERY_MS);
        Self { last: None, said: None, changes: 0, budget: budget(), urgent: budget() }
    }
}

impl StateLog {
    /// Records the state at a check. Returns the number of changes since the last line if a line is due now, otherwise `None`.
    pub(in crate::run) fn note(&mut self, up_ms: u64, state: State) -> Option<u64> {
        let since_ms = self.last.filter(|(last, _)| *last == state).map(|(_, since_ms)| since_ms);
        if since_ms.is_none() {
            self.changes += 1;
        }
        let since_ms = since_ms.unwrap_or(up_ms);
        self.last = Some((state, since_ms));
        if self.said == Some(state) {
            return None;
        }
        let budget = match state.0 {
            Verdict::Degraded | Verdict::Losing => &mut self.urgent,
            Verdict::Delivering | Verdict::Storing | Verdict::CatchingUp => &mut self.budget,
        };
        if up_ms < since_ms + LASTS_MS && !budget.take(up_ms) {
            return None;
        }
        self.said = Some(state);
        Some(std::mem::take(&mut self.changes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UP: State = (Verdict::Delivering, LinkState::Flowing);
    const BURSTS: State = (Verdict::CatchingUp, LinkState::Draining);
    const DOWN: State = (Verdict::Storing, LinkState::BackingOff);
    const LOSING: State = (Verdict::Losing, LinkState::BackingOff);
    const DAY_S: u64 = 86_400;
    const HOUR_S: u64 = 3_600;

    /// Seconds and changes of the lines.
    fn lines(seconds: u64, state: impl Fn(u64) -> State) -> Vec<(u64, u64)> {
        let mut log = StateLog::default();
        (0..seconds).filter_map(|second| Some((second, log.note(second * 1_000, state(second))?))).collect()
    }

    #[test]
    fn a_change_is_said_at_once_and_only_once() {
        let outage = |second| if (50_000..80_000).contains(&second) { DOWN } else { UP };
        assert_eq!(lines(DAY_S, outage), [(0, 1), (50_000, 1), (80_000, 1)]);
    }

    /// Of a day, what every day has beside: four certificates that end soon have a line each.
    #[test]
    fn a_day_with_bursts_has_twenty_lines_at_most_however_often_they_come() {
        for (every_s, lasts_s) in [(60, 2), (60, 30), (300, 20), (1_800, 10), (1_800, 500), (HOUR_S, 400)] {
            let lines = lines(DAY_S, |second| if second % every_s < lasts_s { BURSTS } else { UP });
            assert!(lines.len() <= 20, "{every_s} s, {lasts_s} s: {lines:?}");
        }
    }

    #[test]
    fn an_outage_in_which_the_link_flaps_has_a_line_an_hour_at_most() {
        let stalled = (Verdict::Storing, LinkState::Stalled);
        let flaps = |every_s: u64| move |second: u64| [DOWN, stalled, UP][(second / every_s % 3) as usize];
        for every_s in [1, 7, 60, 200] {
            let lines = lines(DAY_S, flaps(every_s));
            let later =
                (1..24).map(|hour| lines.iter().filter(|(second, _)| second / HOUR_S == hour).count());
            assert!(later.into_iter().all(|count| count <= 1), "{every_s} s: {lines:?}");
        }
    }

    #[test]
    fn the_last_line_is_true_within_ten_minutes_of_rest() {
        let lines = lines(3 * HOUR_S, |second| if second < HOUR_S && second % 2 == 0 { UP } else { DOWN });
        assert_eq!(lines[..5].iter().map(|(second, _)| *second).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        assert_eq!(lines[5..], [(HOUR_S - 1 + 600, 3_595)]);
    }

    /// Not after four hours, although the usual lines are used up.
    #[test]
    fn what_needs_somebody_is_said_at_once() {
        let state = |second: u64| match second {
            5_000..5_030 => LOSING,
            second if second % 2 == 0 => UP,
            _ => DOWN,
        };
        let lines = lines(6_000, state);
        assert!(lines.iter().any(|(second, _)| *second == 5_000), "{lines:?}");
    }
}
