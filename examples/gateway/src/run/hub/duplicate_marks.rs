//! Marks of possible duplicates after an unclean stop: a client then repeats messages without a PUBACK, and not every client sets DUP (promise
//! 4).

use std::collections::HashMap;

use edge_bridge::ingest::Now;
use edge_bridge::wire::Utf8;

/// Messages of a client that are marked: the largest number that a known client leaves unacknowledged by default.
const WINDOW: u32 = 100;
/// Milliseconds after the start in which messages are marked. A client that comes back later has dropped the messages that it would repeat.
const WITHIN_MS: u64 = 60_000;
/// Most clients that are counted one by one. Beyond the limit all messages are marked until the time is over.
const CLIENTS_MAX: usize = 2_000;

/// Decides which messages after the start of this process may be repetitions. Pure.
#[derive(Debug, Default)]
pub(crate) struct DuplicateMarks {
    /// Up time at which marking ends, in milliseconds. `None`: no message is marked, because the last process stopped cleanly or the time is
    /// over.
    until_ms: Option<u64>,
    seen: HashMap<Utf8, u32>,
}

impl DuplicateMarks {
    /// Creates the marks. `clean`: the last process stopped cleanly and the queue had room for all its rows, or there was no earlier process.
    pub(crate) fn new(now: Now, clean: bool) -> Self {
        Self { until_ms: (!clean).then_some(now.up_ms + WITHIN_MS), seen: HashMap::new() }
    }

    /// Returns whether the message may be a repetition, and counts it. Call it once per message.
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

    #[test]
    fn clients_beyond_those_that_are_counted_are_marked_too() {
        let mut restarted = DuplicateMarks::new(at(0), false);
        for n in 0..=CLIENTS_MAX {
            let client = Utf8::try_from(format!("client {n}")).unwrap();
            assert!(restarted.may_repeat(at(1), &client), "{n}");
        }
        assert_eq!(restarted.seen.len(), CLIENTS_MAX);
        assert_eq!(marked(&mut restarted, at(2), "one more", 2 * WINDOW), 2 * WINDOW, "all of theirs");
    }
}
