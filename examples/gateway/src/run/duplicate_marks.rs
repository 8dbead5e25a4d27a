//! Marks of possible duplicates: after an unclean stop a client repeats what it had no PUBACK for, and not every client
//! says so with DUP (promise 4).

use std::collections::HashMap;

use edge_bridge::ingest::Now;
use edge_bridge::wire::Utf8;

/// A client's window, where it is not known: the most that any of them keeps unacknowledged by default.
const WINDOW: u32 = 100;
/// A client that has not come back by then has nothing that it would repeat.
const WITHIN_MS: u64 = 60_000;
/// More clients than this are not told apart: all of them are marked until the time is over.
const CLIENTS_MAX: usize = 2_000;

/// Since the start of this process. Pure.
#[derive(Debug, Default)]
pub(crate) struct DuplicateMarks {
    /// `None` after a clean stop, and when the time is over.
    until_ms: Option<u64>,
    seen: HashMap<Utf8, u32>,
}

impl DuplicateMarks {
    /// `clean`: the last run ended as it should and everything found room, or there was none.
    pub(crate) fn new(now: Now, clean: bool) -> Self {
        Self { until_ms: (!clean).then_some(now.up_ms + WITHIN_MS), seen: HashMap::new() }
    }

    /// Asked once per message.
    pub(crate) fn may_repeat(&mut self, now: Now, client: &Utf8) -> bool {
        let Some(until_ms) = self.until_ms else { return false };
        if now.up_ms >= until_ms {
            *self = Self::default();
            return false;
        }
        match self.seen.get_mut(client) {
            Some(seen) => {
                *seen = seen.saturating_add(1);
                *seen <= WINDOW
            }
            None => {
                if self.seen.len() < CLIENTS_MAX {
                    // The identifier is a slice of a receive buffer.
                    let own = Utf8::try_from(client.as_str()).unwrap_or_default();
                    self.seen.insert(own, 1);
                }
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(up_ms: u64) -> Now {
        Now { up_ms, wall_ms: 0 }
    }

    fn marked(restarted: &mut DuplicateMarks, now: Now, client: &'static str, messages: u32) -> u32 {
        let client = Utf8::from_static(client);
        (0..messages).map(|_| u32::from(restarted.may_repeat(now, &client))).sum()
    }

    #[test]
    fn after_a_clean_stop_nothing_is_marked() {
        assert_eq!(marked(&mut DuplicateMarks::new(at(0), true), at(1), "a", 10), 0);
    }

    #[test]
    fn after_a_kill_each_clients_window_is_marked_for_a_minute() {
        let mut restarted = DuplicateMarks::new(at(5), false);
        assert_eq!(marked(&mut restarted, at(6), "a", 250), WINDOW);
        assert_eq!(marked(&mut restarted, at(60_004), "b", 3), 3);
        assert_eq!(marked(&mut restarted, at(60_005), "c", 3), 0);
        assert!(restarted.seen.is_empty(), "and forgotten");
    }
}
