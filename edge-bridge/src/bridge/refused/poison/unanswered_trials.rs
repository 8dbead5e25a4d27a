//! Rate limit of retries of parked messages that the hub never acknowledged, with exponential back-off. Each retry may cost a connection, and
//! takes room in the window until then. One retry runs at a time until the hub accepts one, then one more for each accepted.

/// Most retries under way at a time.
const TRIALS_MAX: u32 = 16;
/// Milliseconds after which further retries may begin although the last ones have no result.
const TRIAL_MS: u64 = 60_000;
/// First and longest delay before a poison message is sent again, in milliseconds. The delay grows eightfold each time. It starts short because
/// the network, and not the hub, may have cut the connection.
pub(super) const RETRY_MS: (u64, u64) = (5_000, 600_000);

/// Returns the milliseconds before the next attempt after `times` earlier ones.
pub(super) fn backoff_ms(times: u32) -> u64 {
    (RETRY_MS.0 << (3 * times.min(4))).min(RETRY_MS.1)
}

/// Retries under way, and the time of the next ones.
#[derive(Debug, Clone, Default)]
pub(super) struct Trials {
    /// Time before which no further trial begins, in milliseconds of `Now::up_ms`.
    again_ms: u64,
    /// Retries begun since `again_ms` was last set.
    begun: u32,
    /// Retries in a row that the hub accepted.
    taken: u32,
    /// Retries in a row that failed.
    failed: u32,
}

impl Trials {
    /// Begins a retry and returns `true` if another one may begin now.
    pub(super) fn begin(&mut self, now_ms: u64) -> bool {
        if now_ms >= self.again_ms {
            (self.again_ms, self.begun) = (now_ms + TRIAL_MS, 0);
        }
        let may_begin = self.begun < (1 + self.taken).min(TRIALS_MAX);
        self.begun += u32::from(may_begin);
        may_begin
    }

    /// Up time from which more trials may begin, in milliseconds of `Now::up_ms`.
    pub(super) fn again_ms(&self) -> u64 {
        self.again_ms
    }

    /// Records that the hub accepted a retried message.
    pub(super) fn on_taken(&mut self) {
        (self.again_ms, self.failed) = (0, 0);
        self.taken = self.taken.saturating_add(1);
    }

    /// Records that the hub again acknowledged later messages and not the retried one.
    pub(super) fn on_failed(&mut self, now_ms: u64) {
        (self.again_ms, self.begun, self.taken) = (now_ms + backoff_ms(self.failed), TRIALS_MAX, 0);
        self.failed = self.failed.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(trials: &mut Trials, now_ms: u64) -> usize {
        (0..100).filter(|_| trials.begin(now_ms)).count()
    }

    #[test]
    fn one_at_a_time_until_one_is_taken() {
        let mut trials = Trials::default();
        assert_eq!(
            (begun(&mut trials, 0), begun(&mut trials, 59_999), begun(&mut trials, 60_000)),
            (1, 0, 1)
        );
        let mut now_ms = 100_000;
        for pause_ms in [5_000, 40_000, 320_000, 600_000, 600_000] {
            trials.on_failed(now_ms);
            assert_eq!(trials.again_ms(), now_ms + pause_ms);
            now_ms += pause_ms;
            assert_eq!((begun(&mut trials, now_ms - 1), begun(&mut trials, now_ms)), (0, 1));
        }
        for taken in 2..40 {
            trials.on_taken();
            assert_eq!(begun(&mut trials, now_ms), taken.min(16));
        }
        trials.on_failed(now_ms);
        assert_eq!((trials.again_ms(), begun(&mut trials, now_ms + 5_000)), (now_ms + 5_000, 1));
    }
}
