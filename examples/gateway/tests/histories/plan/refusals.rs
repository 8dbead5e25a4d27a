//! Refusals of the hub as a dimension of a history: topics that its access list denies for a while, payloads above a limit
//! that it does not announce.

use super::super::support::rng::Rng;
use super::Step;

/// Topics that the gateway writes to, one per route, then those of raw messages and of what is no reading.
const TOPICS: [&str; 5] = ["out/r0/#", "out/r1/#", "out/r2/#", "up/#", "dead-letter/#"];
const RAW: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Refusal {
    /// No right to write to one of the topics.
    Topic(usize),
    /// No right to write anywhere.
    All,
    /// The largest payload.
    Size(u64),
}

impl Refusal {
    fn of(rng: &mut Rng) -> Self {
        match rng.below(10) {
            0..=3 => Self::Topic(rng.below(TOPICS.len() as u64) as usize),
            4 => Self::Topic(RAW),
            5..=6 => Self::All,
            _ => Self::Size(*rng.pick(&[400, 1_000])),
        }
    }

    /// Lines of Mosquitto's access list.
    pub(crate) fn access(refusal: Option<Self>) -> String {
        let denied = |n: usize| matches!(refusal, Some(Self::All)) || refusal == Some(Self::Topic(n));
        let allowed = TOPICS.iter().enumerate().filter(|(n, _)| !denied(*n));
        let lines: String = allowed.map(|(_, topic)| format!("topic write {topic}\n")).collect();
        format!("topic read #\ntopic write probe\ntopic write probe/#\n{lines}")
    }

    /// Returns whether small raw messages are refused.
    pub(crate) fn is_of_raw(self) -> bool {
        matches!(self, Self::All | Self::Topic(RAW))
    }
}

/// Adds a refusal or two with their ends, messages beside them, and large ones.
pub(super) fn insert(rng: &mut Rng, steps: &mut Vec<Step>, is_bounded: bool) {
    let mut at = 0;
    for _ in 0..rng.between(1, 2) {
        let refusal = Refusal::of(rng);
        at += rng.below((steps.len() - at) as u64 + 1) as usize;
        steps.insert(at, Step::Refuse(refusal));
        if matches!(refusal, Refusal::Size(_)) {
            at += 1;
            steps.insert(at, Step::Large);
        }
        at = (at + rng.between(1, 6) as usize).min(steps.len());
        // A full queue may give up what would be waited for.
        if !is_bounded {
            steps.insert(at, Step::Beside(refusal));
            at += 1;
        }
        at = (at + rng.below(3) as usize).min(steps.len());
        steps.insert(at, Step::Allow);
        at += 1;
    }
}
