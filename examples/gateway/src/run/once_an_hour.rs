//! Rate limit of log lines by name: one an hour for each, of a sensor or a client. Bounded, since peers choose the names: it keeps their
//! hashes. Two names of one hash share a line. Pure, but for the hashes' seed.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// Time for which a name's line is not repeated.
pub(super) const AGAIN_MS: u64 = 3_600_000;
/// Further names within the hour have no line of their own.
pub(super) const NAMES_MAX: usize = 10_000;

/// Time of each name's last line, on the axis of `Now::up_ms`.
#[derive(Debug, Default)]
pub(super) struct OnceAnHour {
    said: HashMap<u64, u64>,
    hashes: RandomState,
    /// The first of them, once there is no room: before its hour is over a look would find nothing to forget.
    full_until_ms: u64,
}

impl OnceAnHour {
    /// Returns whether there is a line for `name` now, and notes it.
    pub(super) fn may_say(&mut self, up_ms: u64, name: &str) -> bool {
        let is_said = |said_ms: &u64| up_ms.saturating_sub(*said_ms) < AGAIN_MS;
        let name = self.hashes.hash_one(name);
        if self.said.get(&name).is_some_and(is_said) {
            return false;
        }
        if self.said.len() >= NAMES_MAX && up_ms >= self.full_until_ms {
            self.said.retain(|_, said_ms| is_said(said_ms));
            let first_ms = self.said.values().min();
            self.full_until_ms = first_ms.map_or(0, |first_ms| first_ms.saturating_add(AGAIN_MS));
        }
        if self.said.len() >= NAMES_MAX {
            return false;
        }
        self.said.insert(name, up_ms);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_names_is_bounded() {
        let mut lines = OnceAnHour::default();
        let said = (0..NAMES_MAX + 5).filter(|n| lines.may_say(0, &n.to_string())).count();
        assert_eq!((said, lines.said.len()), (NAMES_MAX, NAMES_MAX));
        assert!(lines.may_say(AGAIN_MS, "later"));
        assert_eq!(lines.said.len(), 1);
    }
}
