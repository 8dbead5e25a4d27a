//! Arrival time: a steady clock mapped to wall time, so that a step of the wall clock never makes it go back. Pure.
//!
//! A step ahead is followed at once, because a board without a real-time clock gets the time in this way. After a step back arrival time runs an
//! eighth slower until the wall clock has caught up, so that a step of 30 s takes 4 minutes. A restart takes the wall clock as it is.

use edge_bridge::ingest::Now;

/// Divisor of the slew rate: while arrival time waits for the wall clock, it leaves out one of this many milliseconds.
const SLEW: u64 = 8;
/// Smallest step back that is logged, in milliseconds.
const NEWS_MS: i64 = 1_000;

/// Clock by which readings are stamped and silence is measured.
#[derive(Clone, Debug, Default)]
pub(crate) struct ArrivalClock {
    /// Steady and wall clock when arrival time last equalled the wall clock. `None`: before the first call.
    agreed: Option<Now>,
    last_ms: i64,
    is_slewing: bool,
}

impl ArrivalClock {
    /// Returns `now` with arrival time in place of wall time.
    pub(crate) fn map(&mut self, now: Now) -> Now {
        let agreed = *self.agreed.get_or_insert(now);
        let elapsed = now.up_ms.saturating_sub(agreed.up_ms);
        let slow_ms = i64::try_from(elapsed - elapsed / SLEW).unwrap_or(i64::MAX);
        let earliest_ms = agreed.wall_ms.saturating_add(slow_ms);
        if now.wall_ms >= earliest_ms {
            (self.agreed, self.is_slewing) = (Some(now), false);
        } else if !self.is_slewing {
            self.is_slewing = true;
            let back_ms = earliest_ms.saturating_sub(now.wall_ms);
            if back_ms >= NEWS_MS {
                tracing::warn!(
                    back_ms,
                    "the wall clock was set back: arrival times run slower until it has caught up"
                );
            }
        }
        self.last_ms = self.last_ms.max(now.wall_ms.max(earliest_ms));
        Now { wall_ms: self.last_ms, ..now }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(clock: &mut ArrivalClock, steps: &[(u64, i64)]) -> Vec<i64> {
        steps.iter().map(|&(up_ms, wall_ms)| clock.map(Now { up_ms, wall_ms }).wall_ms).collect()
    }

    #[test]
    fn a_step_ahead_is_followed_and_one_back_is_slewed() {
        let mut clock = ArrivalClock::default();
        assert_eq!(arrivals(&mut clock, &[(0, 0), (1_000, 1_000), (2_000, 90_000)]), [0, 1_000, 90_000]);
        let back = [(2_001, 60_001), (10_000, 68_000), (242_000, 300_000), (250_000, 308_000)];
        assert_eq!(arrivals(&mut clock, &back), [90_001, 97_000, 300_000, 308_000], "4 minutes for 30 s");
    }

    #[test]
    fn a_board_without_a_clock_gets_the_time_when_the_network_does() {
        let now = 1_700_000_000_000;
        let steps = [(0, 0), (60_000, 60_000), (61_000, now), (62_000, now + 1_000)];
        assert_eq!(arrivals(&mut ArrivalClock::default(), &steps), [0, 60_000, now, now + 1_000]);
    }

    /// However often it is asked: a millisecond has no eighth.
    #[test]
    fn whatever_the_wall_clock_does_arrival_time_never_goes_back_and_keeps_seven_eighths_of_the_pace() {
        let mut random = 1_u64;
        let mut below = |n: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % n
        };
        for _ in 0..200 {
            let (mut clock, mut up_ms, mut wall_ms) = (ArrivalClock::default(), 0, 1_700_000_000_000_i64);
            let first = clock.map(Now { up_ms, wall_ms }).wall_ms;
            let mut last = first;
            for _ in 0..500 {
                let passed = below(20);
                up_ms += passed;
                wall_ms += passed.cast_signed();
                if below(50) == 0 {
                    wall_ms += [-86_400_000, -600_000, -30_000, -5, 40, 600_000][below(6) as usize];
                }
                let arrival = clock.map(Now { up_ms, wall_ms }).wall_ms;
                assert!(arrival >= last && arrival >= wall_ms);
                last = arrival;
            }
            assert!(last - first >= (up_ms - up_ms / 8).cast_signed() - 500, "{last} after {up_ms}");
        }
    }
}
