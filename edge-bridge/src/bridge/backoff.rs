//! Delay before the next attempt: exponential back-off with jitter, seeded, without a clock.

/// Delays between dials, or between retries of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackoffConfig {
    /// First delay in milliseconds. Default 250.
    pub base_ms: u64,
    /// Longest delay in milliseconds after a hub that answered but refused the connection, or accepted and then closed it; also after a proxy
    /// that refuses. Default 15 000.
    pub max_ms: u64,
    /// Longest delay in milliseconds while no address answers. It bounds the time that passes between the end of an outage and the next attempt.
    /// Default 3 000; an attempt costs one SYN.
    pub silent_max_ms: u64,
}

impl Default for BackoffConfig {
    fn default() -> Self {
        Self { base_ms: 250, max_ms: 15_000, silent_max_ms: 3_000 }
    }
}

/// Exponential back-off with jitter. The delay grows with every attempt until [`reset`](Self::reset). A connection that the hub accepts and drops
/// before it acknowledges anything does not reset it, so that such a hub is not dialled in a tight loop.
#[derive(Debug, Clone)]
pub struct Backoff {
    config: BackoffConfig,
    attempts: u32,
    random: u64,
}

impl Backoff {
    /// Creates a back-off. `seed` should differ between gateways, because thousands of them lose the same hub at once.
    pub fn new(config: BackoffConfig, seed: u64) -> Self {
        Self { config, attempts: 0, random: seed }
    }

    /// Returns the next delay in milliseconds after an attempt that the hub answered: half of it is fixed, half is random ("equal jitter").
    pub fn next_ms(&mut self) -> u64 {
        self.next_within(self.config.max_ms)
    }

    /// Returns the next delay in milliseconds, as [`next_ms`](Self::next_ms), after an attempt without an answer.
    pub fn next_silent_ms(&mut self) -> u64 {
        self.next_within(self.config.silent_max_ms.min(self.config.max_ms))
    }

    fn next_within(&mut self, max_ms: u64) -> u64 {
        let delay_ms = self.delay_ms(self.attempts, max_ms);
        self.attempts = self.attempts.saturating_add(1);
        delay_ms
    }

    /// Returns the first delay in milliseconds without growing the next one. Used for another address in the same round.
    pub(in crate::bridge) fn first_ms(&mut self) -> u64 {
        self.delay_ms(0, self.config.max_ms)
    }

    fn delay_ms(&mut self, attempts: u32, max_ms: u64) -> u64 {
        let grown = self.config.base_ms.saturating_mul(1 << attempts.min(20));
        let delay_ms = grown.clamp(1, max_ms.max(1));
        let half = delay_ms / 2;
        delay_ms - half + splitmix64(&mut self.random) % (half + 1)
    }

    /// Starts again with the first delay, because there was progress, such as a PUBACK or a connection that lasted.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }

    /// Number of attempts since the last [`reset`](Self::reset).
    pub fn attempts(&self) -> u32 {
        self.attempts
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): enough for jitter.
fn splitmix64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_the_limit_and_starts_anew() {
        let mut backoff = Backoff::new(BackoffConfig { base_ms: 100, max_ms: 1000, silent_max_ms: 500 }, 1);
        for expected in [100, 200, 400, 800, 1000, 1000] {
            let got = backoff.next_ms();
            assert!((expected / 2..=expected).contains(&got), "{got} for {expected}");
        }
        assert_eq!(backoff.attempts(), 6);
        assert!((250..=500).contains(&backoff.next_silent_ms()), "a silent path is tried again sooner");
        backoff.reset();
        assert_eq!(backoff.attempts(), 0);
        assert!((50..=100).contains(&backoff.next_ms()));
    }

    #[test]
    fn a_silent_path_is_never_waited_for_longer_than_a_refusing_hub() {
        let config = BackoffConfig { base_ms: 100, max_ms: 1000, silent_max_ms: 60_000 };
        let mut backoff = Backoff::new(config, 1);
        assert!((0..12).all(|_| backoff.next_silent_ms() <= 1000));
    }

    /// Gateways that lose the same hub at once come back over half of the delay.
    #[test]
    fn chance_is_spread_over_half_of_the_delay() {
        let config = BackoffConfig { base_ms: 1000, max_ms: 1000, silent_max_ms: 1000 };
        let mut buckets = [0; 5];
        for seed in 0..500 {
            let delay_ms = Backoff::new(config, seed).next_ms();
            buckets[usize::try_from((delay_ms - 500) / 101).unwrap()] += 1;
        }
        assert!(buckets.iter().all(|count| (60..=140).contains(count)), "{buckets:?}");
    }

    /// Against the values of SplitMix64's reference program.
    #[test]
    fn splitmix64_is_splitmix64() {
        let mut state = 0;
        let expected = [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4, 0x06c4_5d18_8009_454f];
        assert_eq!([(); 3].map(|()| splitmix64(&mut state)), expected);
    }

    #[test]
    fn never_overflows_and_never_is_zero() {
        let mut backoff =
            Backoff::new(BackoffConfig { base_ms: u64::MAX, max_ms: u64::MAX, silent_max_ms: 0 }, 1);
        (0..100).for_each(|_| assert!(backoff.next_ms() > 0));
        let mut backoff = Backoff::new(BackoffConfig { base_ms: 0, max_ms: 0, silent_max_ms: 0 }, 1);
        assert_eq!(backoff.next_ms(), 1);
    }
}
