//! The drill's story as data: which fault lies over which instant, and when each message is due. No clock, no socket.
//!
//! ```text
//!  0 %        20 %                       55 %     65 %           85 %        100 %
//!  | normal    | cut      kill·restart     | back   | half-open    | back       | drain … done
//!  |  30 msg/s            40 % | 300 msg/s                                      | sensors silent
//! ```
//! The link comes back for a moment between the two faults: a half-open link is a fault of an established connection
//! (it stays open and swallows everything), so there has to be one.

use super::rng::Rng;

/// Length of the story without `--seconds`: with the drain everything ends in less than a minute.
pub(crate) const SECONDS_DEFAULT: u64 = 40;
/// Shortest story, in seconds: in a shorter one the half-open phase would end before a stalled link is noticed (3 s, a ping, and 1 s).
pub(crate) const SECONDS_MIN: u64 = 30;
/// Longest story, one hour, because the records of a drill are kept in memory.
pub(crate) const SECONDS_MAX: u64 = 3600;
/// Longest backlog after the last message, in milliseconds; beyond it the drill stops and says so.
pub(crate) const DRAIN_MS_MAX: u64 = 12_000;
/// The same for a gateway that is somebody else's, whose patience with a hub is its own: a CONNECT that the half-open link swallowed may keep it waiting for
/// 15 s, and what is only late is not lost.
pub(crate) const DRAIN_OF_OTHERS_MS_MAX: u64 = 30_000;

const RATE_LOW_PER_S: u64 = 30;
const RATE_HIGH_PER_S: u64 = 300;

/// Faults of the wide-area link, made by the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Link on which everything passes, late.
    Normal,
    /// Connections are reset, new ones refused.
    Cut,
    /// Connections stay open and new ones are accepted, but nothing passes in either direction.
    HalfOpen,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PhaseName {
    Normal,
    Cut,
    Back,
    HalfOpen,
    CatchUp,
    Drain,
}

impl PhaseName {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Cut => "link cut",
            Self::Back => "link back",
            Self::HalfOpen => "half-open",
            Self::CatchUp => "link back",
            Self::Drain => "drain",
        }
    }

    pub(crate) fn fault(self) -> Fault {
        match self {
            Self::Cut => Fault::Cut,
            Self::HalfOpen => Fault::HalfOpen,
            Self::Normal | Self::Back | Self::CatchUp | Self::Drain => Fault::Normal,
        }
    }
}

/// Phase of the story. `from_ms` belongs to it, `to_ms` to the next; both count from the start of the story.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Phase {
    pub(crate) name: PhaseName,
    pub(crate) from_ms: u64,
    pub(crate) to_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Enter(PhaseName),
    /// SIGKILL to the gateway.
    Kill,
    /// Start it again on the same state directory.
    Restart,
}

#[derive(Debug, Clone)]
pub(crate) struct Story {
    pub(crate) seed: u64,
    /// Sensors publish in `0..publish_ms`.
    pub(crate) publish_ms: u64,
    pub(crate) kill_ms: u64,
    pub(crate) restart_ms: u64,
    rate_change_ms: u64,
    phases: [Phase; 6],
}

impl Story {
    /// The story of `seed`, `seconds` long without the drain; `seconds` is brought into 30..=3600.
    pub(crate) fn new(seed: u64, seconds: u64) -> Self {
        Self::of_length(seed, seconds.clamp(SECONDS_MIN, SECONDS_MAX) * 1000)
    }

    /// Tests play stories that are too short for what a gateway has to show.
    pub(crate) fn of_length(seed: u64, publish_ms: u64) -> Self {
        let at = |percent: u64| publish_ms * percent / 100;
        let phase = |name, from_ms, to_ms| Phase { name, from_ms, to_ms };
        // Not in the first moments of the cut (nothing would be waiting) and not in the last (the restart is a part of the outage).
        let kill_ms = Rng::new(seed).between(at(25), at(48));
        Self {
            seed,
            publish_ms,
            kill_ms,
            restart_ms: kill_ms + 500,
            rate_change_ms: at(40),
            phases: [
                phase(PhaseName::Normal, 0, at(20)),
                phase(PhaseName::Cut, at(20), at(55)),
                phase(PhaseName::Back, at(55), at(65)),
                phase(PhaseName::HalfOpen, at(65), at(85)),
                phase(PhaseName::CatchUp, at(85), publish_ms),
                phase(PhaseName::Drain, publish_ms, publish_ms + DRAIN_MS_MAX),
            ],
        }
    }

    /// The phase of an instant; after the end it is still `Drain`.
    pub(crate) fn phase_at(&self, at_ms: u64) -> PhaseName {
        self.phases.iter().find(|p| at_ms < p.to_ms).map_or(PhaseName::Drain, |p| p.name)
    }

    /// Everything that is done, in order of time.
    pub(crate) fn actions(&self) -> Vec<(u64, Action)> {
        let mut actions: Vec<_> = self.phases.iter().map(|p| (p.from_ms, Action::Enter(p.name))).collect();
        actions.extend([(self.kill_ms, Action::Kill), (self.restart_ms, Action::Restart)]);
        actions.sort_by_key(|(at_ms, _)| *at_ms);
        actions
    }

    /// Returns when message `n` (counted over all sensors from 0) is due; `None` once the sensors are silent.
    pub(crate) fn due_ms(&self, n: u64) -> Option<u64> {
        let slow = self.rate_change_ms * RATE_LOW_PER_S / 1000;
        let due_ms = match n.checked_sub(slow) {
            None => n * 1000 / RATE_LOW_PER_S,
            Some(fast) => self.rate_change_ms + fast.saturating_mul(1000) / RATE_HIGH_PER_S,
        };
        (due_ms < self.publish_ms).then_some(due_ms)
    }

    pub(crate) fn outages(&self) -> impl Iterator<Item = &Phase> {
        self.phases.iter().filter(|p| p.name.fault() != Fault::Normal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_follow_each_other_without_a_gap_at_any_length() {
        for seconds in [1, 30, 37, 40, 60, 3600, u64::MAX] {
            let story = Story::new(1, seconds);
            assert_eq!(story.phases[0].from_ms, 0);
            assert!(story.phases.windows(2).all(|w| w[0].to_ms == w[1].from_ms && w[0].from_ms < w[0].to_ms));
        }
    }

    #[test]
    fn the_kill_and_the_restart_lie_inside_the_cut_for_every_seed_and_differ_between_seeds() {
        for seconds in [SECONDS_MIN, SECONDS_DEFAULT, 600] {
            let kills: Vec<u64> = (0..200).map(|seed| Story::new(seed, seconds).kill_ms).collect();
            for seed in 0..200 {
                let story = Story::new(seed, seconds);
                assert_eq!(story.phase_at(story.kill_ms), PhaseName::Cut);
                assert_eq!(story.phase_at(story.restart_ms), PhaseName::Cut);
            }
            assert!(kills.iter().any(|k| *k != kills[0]));
        }
    }

    #[test]
    fn the_default_ends_in_less_than_55_seconds_with_the_longest_drain() {
        let story = Story::new(0, SECONDS_DEFAULT);
        assert!(story.publish_ms + DRAIN_MS_MAX < 55_000);
    }

    #[test]
    fn rates_are_30_then_300_messages_a_second() {
        let story = Story::new(0, 40);
        let due: Vec<u64> = (0..).map_while(|n| story.due_ms(n)).collect();
        assert!(due.windows(2).all(|w| w[0] <= w[1]));
        assert_eq!(due.iter().filter(|ms| **ms < 10_000).count(), 300);
        assert_eq!(due.iter().filter(|ms| (20_000..30_000).contains(*ms)).count(), 3000);
        assert_eq!(due.len(), 16 * 30 + 24 * 300);
    }

    #[test]
    fn actions_are_in_order_and_hold_one_kill() {
        let actions = Story::new(3, 40).actions();
        assert!(actions.windows(2).all(|w| w[0].0 <= w[1].0));
        assert_eq!(actions.iter().filter(|(_, a)| *a == Action::Kill).count(), 1);
        assert_eq!(actions.len(), 8);
    }

    #[test]
    fn after_the_end_it_is_still_the_drain() {
        let story = Story::new(0, 40);
        assert_eq!(story.phase_at(0), PhaseName::Normal);
        assert_eq!(story.phase_at(u64::MAX), PhaseName::Drain);
        let outage_ms: u64 = story.outages().map(|p| p.to_ms - p.from_ms).sum();
        assert_eq!(outage_ms, 14_000 + 8_000);
    }
}
