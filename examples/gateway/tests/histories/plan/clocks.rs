//! Steps of the gateway's wall clock as a dimension of a history.

use super::super::support::rng::Rng;
use super::Step;

const MINUTE: i64 = 60_000;
const DAY: i64 = 86_400_000;
/// A board without a clock of its own starts in 1970.
pub(crate) const NO_CLOCK: i64 = i64::MIN / 4;

/// A wall clock beside the machine's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Clock {
    /// At the start, in ms.
    pub(crate) offset_ms: i64,
    /// It counts as synchronised, so that what is ahead of it is judged.
    pub(crate) is_synced: bool,
}

/// A clock, with its steps among the others.
pub(super) fn insert(rng: &mut Rng, steps: &mut Vec<Step>) -> Clock {
    let is_synced = rng.percent(40);
    let offset_ms = offset(rng);
    for _ in 0..rng.between(1, 4) {
        let at = rng.below(steps.len() as u64 + 1) as usize;
        let to = offset(rng);
        steps.insert(at, Step::Clock(to));
    }
    Clock { offset_ms, is_synced }
}

fn offset(rng: &mut Rng) -> i64 {
    *rng.pick(&[0, 0, 30_000, -30_000, 10 * MINUTE, -10 * MINUTE, DAY, -DAY, NO_CLOCK])
}
