//! Stop-and-wait detection: finds producers that wait for each receipt before the next push, for which group commit only adds latency. Waits are
//! counted per waiter, because a hundred slow waiters in turn look like one quick waiter and would make the queue commit for each of them.

/// Milliseconds after the end of a waiter's last wait within which its next wait continues the streak.
const QUICK_MS: u64 = 50;
/// Number of earlier waits in the streak from which a wait commits at once.
const QUICK_MIN: u32 = 2;
/// Most waiters kept; at the limit the oldest is forgotten, and its next wait starts a new streak.
const WAITERS_MAX: usize = 256;

/// Waits that ended lately: the waiter, its number of waits in the streak before, and the up time of the end in milliseconds.
#[derive(Debug)]
pub(super) struct StopAndWait<W> {
    ended: Vec<(W, u32, u64)>,
}

impl<W> Default for StopAndWait<W> {
    fn default() -> StopAndWait<W> {
        StopAndWait { ended: Vec::new() }
    }
}

/// Number of earlier waits in a waiter's streak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WaitStreak(u32);

impl WaitStreak {
    /// Returns whether the waiter should commit instead of waiting for the timer.
    pub(super) fn commits(self) -> bool {
        self.0 >= QUICK_MIN
    }
}

impl<W: PartialEq> StopAndWait<W> {
    /// Records the begin of a wait, and returns the waiter's streak so far.
    pub(super) fn begin(&mut self, waiter: &W, up_ms: u64) -> WaitStreak {
        self.ended.retain(|(_, _, at)| up_ms.saturating_sub(*at) < QUICK_MS);
        let known = self.ended.iter().position(|(known, _, _)| known == waiter);
        let before = known.map(|at| self.ended.swap_remove(at));
        WaitStreak(before.map_or(0, |(_, quick, _)| quick.saturating_add(1)))
    }

    /// Records the end of a wait.
    pub(super) fn end(&mut self, waiter: W, row: WaitStreak, up_ms: u64) {
        if self.ended.len() >= WAITERS_MAX {
            let oldest = self.ended.iter().enumerate().min_by_key(|(_, (_, _, at))| *at).map(|(n, _)| n);
            oldest.map(|n| self.ended.swap_remove(n));
        }
        self.ended.push((waiter, row.0, up_ms));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_wait_in_a_row_commits_until_there_is_a_pause() {
        let mut waits = StopAndWait::default();
        let mut wait = |at| {
            let row = waits.begin(&"one", at);
            waits.end("one", row, at);
            row.commits()
        };
        assert_eq!(
            [0, 49, 98, 147, 197, 198, 199].map(&mut wait),
            [false, false, true, true, false, false, true]
        );
    }

    /// 100 sensors that wait for each receipt at 0.3/s, 30 waits a second.
    #[test]
    fn a_hundred_slow_waiters_are_not_a_quick_one() {
        let mut waits = StopAndWait::default();
        for round in 0..20u64 {
            for waiter in 0..100u64 {
                let at = round * 3_333 + waiter * 33;
                let row = waits.begin(&waiter, at);
                assert!(!row.commits(), "waiter {waiter} at {at}");
                waits.end(waiter, row, at);
            }
        }
        assert!(waits.ended.len() <= 3);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut waits = StopAndWait::default();
        (0..10_000).for_each(|waiter| waits.end(waiter, WaitStreak(1), 0));
        assert_eq!(waits.ended.len(), WAITERS_MAX);
    }
}
