//! Register of poison rows: rows of messages at which the hub closes, and of messages that it never answers. Each has the time of its next
//! attempt.

use std::collections::HashMap;

use crate::bridge::spool::{Identity, LeaseId};

use super::unanswered_trials::{RETRY_MS, Trials, backoff_ms};

/// Milliseconds after which a row that is due is looked at again while it is another one's turn.
const TURN_MS: u64 = 60_000;
/// Most poison rows that are registered. A row that was dropped from the register has to be found again.
pub(super) const KNOWN_MAX: usize = 4_096;

/// Key of a row: its identity, or its lease if the spool gives no identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::bridge) enum RowKey {
    Identity(Identity),
    Lease(LeaseId),
}

/// Record of one poison row.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    /// Time of the next attempt, in milliseconds of `Now::up_ms`.
    due_ms: u64,
    /// Number of times that the row was parked at a close.
    times: u32,
    /// Serial number of the row's last parking. At the limit the row with the lowest is dropped.
    order: u64,
    /// Set if the hub never acknowledges the row but does not close at it either, so that the row may be sent among others.
    is_unanswered: bool,
    /// Set if the present pass over the parked rows has met the row, or the row was parked since that pass began.
    is_met: bool,
    /// Set if the row was due and parked again unsent, because its topic is refused.
    waits_for_topic: bool,
    /// Set if an operator asked for its next attempt.
    is_asked: bool,
}

/// Poison rows by their keys, see the [module](self).
#[derive(Debug, Clone, Default)]
pub(in crate::bridge) struct Register {
    known: HashMap<RowKey, Known>,
    /// Retries of rows that the hub never acknowledged.
    trials: Trials,
    /// Retries of rows at which it closes.
    costly_trials: Trials,
    /// Number of times that a row was registered; source of `order`.
    parked: u64,
    /// Set if no row was being parked when the present pass began.
    meets_all: bool,
}

impl Register {
    /// Registers a row of a message that caused a close.
    pub(super) fn on_parked(&mut self, now_ms: u64, row: RowKey) {
        let known = self.remember(row);
        known.due_ms = now_ms + backoff_ms(known.times);
        (known.times, known.is_unanswered) = (known.times.saturating_add(1), false);
    }

    /// Records that the hub closed at a message with these rows; one of them is known where it was a retry.
    pub(super) fn on_closed_at(&mut self, now_ms: u64, rows: &[RowKey]) {
        let is_closer = |row: &RowKey| self.known.get(row).is_some_and(|known| !known.is_unanswered);
        if rows.iter().any(is_closer) {
            self.costly_trials.on_failed(now_ms);
        }
    }

    /// Registers parked rows of messages that the hub never acknowledges.
    pub(in crate::bridge) fn on_unanswered(&mut self, now_ms: u64, rows: &[RowKey]) {
        if rows.iter().any(|row| self.is_unanswered(*row)) {
            self.trials.on_failed(now_ms);
        }
        for row in rows {
            let known = self.remember(*row);
            (known.is_unanswered, known.due_ms) = (true, now_ms + RETRY_MS.0);
        }
    }

    fn remember(&mut self, row: RowKey) -> &mut Known {
        if self.known.len() >= KNOWN_MAX
            && !self.known.contains_key(&row)
            && let Some(oldest) = self.known.iter().min_by_key(|(_, known)| known.order).map(|(row, _)| *row)
        {
            self.known.remove(&oldest);
        }
        self.parked += 1;
        let known = self.known.entry(row).or_default();
        (known.order, known.is_met) = (self.parked, true);
        known
    }

    /// Marks all rows as not met, at the begin of a pass over the parked rows. `meets_all`: no row is being parked, so that the pass meets all.
    pub(in crate::bridge) fn on_pass_begins(&mut self, meets_all: bool) {
        self.meets_all = meets_all;
        self.known.values_mut().for_each(|known| known.is_met = false);
    }

    /// Marks a row as met by the pass.
    pub(in crate::bridge) fn on_met(&mut self, row: RowKey) {
        if let Some(known) = self.known.get_mut(&row) {
            known.is_met = true;
        }
    }

    /// Handles the end of a pass that met every parked row: removes rows from the register that were due and not met, because they have expired
    /// or were evicted. Rows that are not due may be in flight.
    pub(in crate::bridge) fn on_pass_over(&mut self, now_ms: u64) {
        if self.meets_all {
            self.known.retain(|_, known| known.is_met || known.due_ms > now_ms);
        }
    }

    /// Makes those of these rows that are registered due now.
    pub(super) fn make_due(&mut self, now_ms: u64, rows: &[RowKey]) {
        for row in rows {
            if let Some(known) = self.known.get_mut(row) {
                known.due_ms = now_ms;
            }
        }
    }

    /// Records that a row was parked again unsent, because its topic is refused.
    pub(in crate::bridge) fn on_topic_refused(&mut self, row: RowKey) {
        if let Some(known) = self.known.get_mut(&row) {
            known.waits_for_topic = true;
        }
    }

    /// Makes the rows due that waited for their topics, one of which is accepted again. Returns whether there are any.
    pub(in crate::bridge) fn on_topic_healed(&mut self, now_ms: u64) -> bool {
        let mut any = false;
        for known in self.known.values_mut().filter(|known| known.waits_for_topic) {
            (known.due_ms, known.waits_for_topic, any) = (now_ms, false, true);
        }
        any
    }

    /// Begins the attempt of a parked row that is leased again. Returns `None` if the row has to wait, otherwise `true` if messages have to be
    /// sent one at a time because of it. Rows at which the hub closes wait until `others_until_ms`.
    pub(super) fn begin_attempt(&mut self, now_ms: u64, row: RowKey, others_until_ms: u64) -> Option<bool> {
        let (due_ms, order) = match self.known.get(&row) {
            Some(known) => (known.due_ms, known.order),
            None => return Some(false),
        };
        if due_ms > now_ms {
            return None;
        }
        let is_turn = self.first_due(now_ms) == Some(order);
        let Some(known) = self.known.get_mut(&row) else { return Some(false) };
        let is_asked = std::mem::take(&mut known.is_asked) && !known.is_unanswered;
        let trials = if known.is_unanswered { &mut self.trials } else { &mut self.costly_trials };
        let waits_until_ms = match known.is_unanswered {
            _ if is_asked => 0,
            false if others_until_ms > now_ms => others_until_ms,
            false if !is_turn => trials.again_ms().max(now_ms + TURN_MS),
            _ if !trials.begin(now_ms) => trials.again_ms(),
            _ => 0,
        };
        if waits_until_ms > now_ms {
            known.due_ms = waits_until_ms;
            return None;
        }
        // Unless it is parked again before, as when the bridge stops.
        known.due_ms = now_ms + RETRY_MS.1;
        Some(!known.is_unanswered)
    }

    /// Returns the order of the row whose turn it is among those at which the hub closes. Whoever was tried last is behind the others, or the oldest
    /// would take each turn. `None`: none is due.
    fn first_due(&self, now_ms: u64) -> Option<u64> {
        let is_due =
            |known: &&Known| !known.is_unanswered && known.due_ms <= now_ms && !known.waits_for_topic;
        self.known.values().filter(is_due).map(|known| known.order).min()
    }

    /// Returns whether a row is registered as poison.
    pub(in crate::bridge) fn is_known(&self, row: RowKey) -> bool {
        self.known.contains_key(&row)
    }

    /// Returns whether a row is registered as one that the hub never acknowledges.
    pub(in crate::bridge) fn is_unanswered(&self, row: RowKey) -> bool {
        self.known.get(&row).is_some_and(|known| known.is_unanswered)
    }

    /// Returns whether a row has to wait for its next attempt.
    pub(in crate::bridge) fn is_held(&self, now_ms: u64, row: RowKey) -> bool {
        self.known.get(&row).is_some_and(|known| known.due_ms > now_ms)
    }

    /// Handles an accepted row. Returns `true` if it was registered, in which case the other rows of its kind are due now.
    pub(in crate::bridge) fn on_taken(&mut self, now_ms: u64, row: RowKey) -> bool {
        let Some(taken) = self.known.remove(&row) else { return false };
        if taken.is_unanswered {
            self.trials.on_taken();
        } else {
            self.costly_trials.on_taken();
        }
        let alike = self.known.values_mut().filter(|known| known.is_unanswered == taken.is_unanswered);
        alike.for_each(|known| known.due_ms = now_ms);
        true
    }

    /// Removes a row from the register that leaves the spool by a decision of this side, not by an answer of the hub.
    pub(in crate::bridge) fn forget(&mut self, row: RowKey) {
        self.known.remove(&row);
    }

    /// Up time at which the first poison row is tried again, in milliseconds; `None` without poison rows.
    pub(in crate::bridge) fn due_ms(&self) -> Option<u64> {
        self.known.values().map(|known| known.due_ms).min()
    }

    /// Number of registered poison rows.
    pub(in crate::bridge) fn known(&self) -> u64 {
        self.known.len() as u64
    }

    /// Makes a poison row due, so that it is sent as soon as it is leased.
    pub(in crate::bridge) fn retry(&mut self, row: RowKey) {
        self.make_due(0, &[row]);
        if let Some(known) = self.known.get_mut(&row) {
            known.is_asked = true;
        }
    }
}
