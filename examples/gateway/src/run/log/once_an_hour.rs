//! Rate limit of log lines by name, such as a sensor's or a client's: each name has one line an hour. Peers choose the names, so only a few new
//! names get their line at once; all others share one line a minute. What has no line is counted. Only the hash of each name is kept, and two names
//! of one hash share a line. Pure, except for the random seed of the hashes.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use super::token_bucket::{LineBudget, MINUTE_MS};

/// Shortest time between two lines of a name, in milliseconds.
pub(in crate::run) const AGAIN_MS: u64 = 3_600_000;
/// Most new names that get their line at once.
const LINES_AT_ONCE: u64 = 20;
/// Number of kept names at which those are removed whose hour is over. At most 80 names have a line in one hour.
const NAMES_MAX: usize = 160;

/// Up time of each name's last line, as in `Now::up_ms`.
#[derive(Debug)]
pub(in crate::run) struct OnceAnHour {
    said: HashMap<u64, u64>,
    hashes: RandomState,
    budget: LineBudget,
    /// Events of any name since the last line, which had none.
    not_logged: u64,
}

impl Default for OnceAnHour {
    fn default() -> Self {
        let (said, hashes) = Default::default();
        Self { said, hashes, budget: LineBudget::new(LINES_AT_ONCE, MINUTE_MS), not_logged: 0 }
    }
}

impl OnceAnHour {
    /// Returns whether the line about `name` may be written now, and counts it as written.
    pub(in crate::run) fn may_say(&mut self, up_ms: u64, name: &str) -> bool {
        self.line(up_ms, name).is_some()
    }

    /// Counts an event of `name`. Returns the number of events without a line since the last line, of whatever name, if this one has a line.
    pub(in crate::run) fn line(&mut self, up_ms: u64, name: &str) -> Option<u64> {
        let is_said = |said_ms: &u64| up_ms.saturating_sub(*said_ms) < AGAIN_MS;
        let name = self.hashes.hash_one(name);
        if self.said.get(&name).is_some_and(is_said) || !self.budget.take(up_ms) {
            self.not_logged = self.not_logged.saturating_add(1);
            return None;
        }
        if self.said.len() >= NAMES_MAX {
            self.said.retain(|_, said_ms| is_said(said_ms));
        }
        self.said.insert(name, up_ms);
        Some(std::mem::take(&mut self.not_logged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_names_has_a_few_lines_at_once_and_then_one_a_minute() {
        let mut lines = OnceAnHour::default();
        let mut said = |ms: u64, names: std::ops::Range<u32>| {
            names.filter(|n| lines.may_say(ms, &n.to_string())).collect::<Vec<_>>()
        };
        assert_eq!(said(0, 0..50), (0..20).collect::<Vec<_>>());
        assert_eq!(said(MINUTE_MS - 1, 0..50), [0_u32; 0]);
        assert_eq!(said(MINUTE_MS, 0..50), [20], "one that was held back has its line later");
        assert_eq!(said(4 * MINUTE_MS, 0..50), [21, 22, 23]);
        assert_eq!(said(AGAIN_MS, 0..50), (0..20).collect::<Vec<_>>(), "an hour later");
    }

    #[test]
    fn each_line_has_the_number_of_events_without_one() {
        let mut lines = OnceAnHour::default();
        let said: Vec<_> = (0..23).map(|n| lines.line(0, &n.to_string())).collect();
        assert_eq!(said, [vec![Some(0); 20], vec![None; 3]].concat());
        assert_eq!(lines.line(0, "0"), None, "it had its line");
        assert_eq!(lines.line(MINUTE_MS, "20"), Some(4));
        assert_eq!(lines.line(2 * MINUTE_MS, "21"), Some(0));
    }

    #[test]
    fn names_are_kept_for_an_hour_and_bounded() {
        let mut lines = OnceAnHour::default();
        let mut said = 0;
        for n in 0..1_000 {
            said += u32::from(lines.may_say(n * MINUTE_MS, &n.to_string()));
            assert!(lines.said.len() <= NAMES_MAX);
            assert!(n < 59 || !lines.may_say(n * MINUTE_MS, &(n - 59).to_string()), "{n}");
        }
        assert_eq!(said, 1_000);
    }
}
