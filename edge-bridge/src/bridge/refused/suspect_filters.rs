//! Topic filters at which the hub closes the connection instead of refusing them in a SUBACK, as AWS IoT Core does. Three closes in a row with a
//! SUBSCRIBE unanswered make its filters suspects. A suspect is subscribed to alone, after a delay that grows with each close, so that messages
//! flow meanwhile and the other filters are granted; a SUBACK clears it.

use std::collections::HashMap;

use crate::bridge::backoff::Backoff;
use crate::wire::{ReasonCode, Utf8};

use super::refused_topics::retry_backoff;

/// Number of closes in a row that make a filter suspect. One or two may be due to the network.
const SUSPECT_CLOSES: u32 = 3;
/// Milliseconds for which a new connection carries only messages, so that a close in this time is not blamed on a suspect filter.
const MESSAGES_FIRST_MS: u64 = 5_000;

#[derive(Debug, Clone)]
struct Suspect {
    reason: ReasonCode,
    due_ms: u64,
    backoff: Backoff,
}

/// Suspect filters and their delays, see the [module](self).
#[derive(Debug, Clone, Default)]
pub(in crate::bridge) struct SuspectFilters {
    closes_in_row: u32,
    held_until_ms: u64,
    suspects: HashMap<Utf8, Suspect>,
}

impl SuspectFilters {
    /// Handles a close by the hub while these filters had no SUBACK. Returns the filters that became suspects now.
    pub(in crate::bridge) fn on_hub_closed(
        &mut self,
        now_ms: u64,
        asked: Vec<Utf8>,
        reason: ReasonCode,
    ) -> Vec<Utf8> {
        self.closes_in_row = self.closes_in_row.saturating_add(1);
        let mut new = Vec::new();
        for filter in asked {
            if let Some(suspect) = self.suspects.get_mut(&filter) {
                suspect.reason = reason;
                self.put_off(now_ms, &filter);
            } else if self.closes_in_row >= SUSPECT_CLOSES {
                let mut backoff = filter_backoff(&filter);
                let due_ms = now_ms + backoff.next_ms();
                self.suspects.insert(filter.clone(), Suspect { reason, due_ms, backoff });
                new.push(filter);
            }
        }
        new
    }

    /// Holds suspects back on a new connection for [`MESSAGES_FIRST_MS`], so that messages go first.
    pub(in crate::bridge) fn on_connected(&mut self, now_ms: u64) {
        self.held_until_ms = now_ms + MESSAGES_FIRST_MS;
    }

    /// Clears the suspicion, because the hub granted or refused the filter, or the application unsubscribed from it.
    pub(in crate::bridge) fn clear(&mut self, filter: &Utf8) {
        self.closes_in_row = 0;
        self.remove(filter);
    }

    /// Removes a suspect of which the hub said nothing.
    pub(in crate::bridge) fn remove(&mut self, filter: &Utf8) {
        self.suspects.remove(filter);
    }

    /// Defers the next attempt to subscribe to a suspect.
    pub(in crate::bridge) fn put_off(&mut self, now_ms: u64, filter: &Utf8) {
        if let Some(suspect) = self.suspects.get_mut(filter) {
            suspect.due_ms = now_ms + suspect.backoff.next_ms();
        }
    }

    pub(in crate::bridge) fn contains(&self, filter: &Utf8) -> bool {
        self.suspects.contains_key(filter)
    }

    /// Returns the up time of the next attempt to subscribe to a suspect, and its filter; `None` without suspects.
    pub(in crate::bridge) fn next(&self) -> Option<(u64, &Utf8)> {
        let next = self.suspects.iter().min_by_key(|(_, suspect)| suspect.due_ms);
        next.map(|(filter, suspect)| (suspect.due_ms.max(self.held_until_ms), filter))
    }

    /// Suspects, with the hub's reason at the last close.
    pub(in crate::bridge) fn iter(&self) -> impl Iterator<Item = (&Utf8, ReasonCode)> {
        self.suspects.iter().map(|(filter, suspect)| (filter, suspect.reason))
    }
}

/// Creates the back-off of a filter, with a jitter of its own.
pub(in crate::bridge) fn filter_backoff(filter: &Utf8) -> Backoff {
    retry_backoff(filter.bytes().fold(0, |seed: u64, byte| seed.wrapping_mul(31) + u64::from(byte)))
}
