//! Rate limit of lines that senders of messages can cause: one for each pair of cause and topic, and a few a minute of all. Only hashes of pairs are kept,
//! because senders choose topics of any length, and as many as they like. Pure, but for the random seed of the hashes.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::time::Instant;

use super::letter::Cause;

/// Most lines of a [`WINDOW`].
const LINES_MAX: u32 = 20;
const WINDOW: Duration = Duration::from_secs(60);
/// Most pairs that are remembered; beyond, each has a line again.
const SAID_MAX: usize = 10_000;

#[derive(Debug)]
pub(super) struct LineLimit {
    said: HashSet<u64>,
    hashes: RandomState,
    since: Option<Instant>,
    lines: u32,
    left_out: u64,
}

impl LineLimit {
    pub(super) fn new() -> Self {
        Self { said: HashSet::new(), hashes: RandomState::new(), since: None, lines: 0, left_out: 0 }
    }

    /// Returns the number of lines that were left out since the last one if this one may be written, and counts it as written.
    pub(super) fn may_say(&mut self, now: Instant, cause: Cause, topic: &str) -> Option<u64> {
        let pair = self.hashes.hash_one((cause, topic));
        if self.said.contains(&pair) {
            return None;
        }
        if self.since.is_none_or(|since| now >= since + WINDOW) {
            (self.since, self.lines) = (Some(now), 0);
        }
        if self.lines >= LINES_MAX {
            self.left_out += 1;
            return None;
        }
        if self.said.len() >= SAID_MAX {
            self.said.clear();
        }
        self.said.insert(pair);
        self.lines += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "any instant will do")]
    fn a_flood_of_topics_has_a_few_lines_a_minute_and_the_rest_is_counted() {
        let (start, mut limit) = (Instant::now(), LineLimit::new());
        let mut said = |now, topics: std::ops::Range<u32>| {
            topics.filter_map(|n| limit.may_say(now, Cause::Malformed, &n.to_string())).collect::<Vec<_>>()
        };
        assert_eq!(said(start, 0..10), [0; 10]);
        assert_eq!(said(start, 0..10), [0; 0], "each once");
        assert_eq!(said(start, 0..100), [0; 10]);
        assert_eq!(said(start + WINDOW, 0..21), [80], "one that was left out has its line later");
    }
}
