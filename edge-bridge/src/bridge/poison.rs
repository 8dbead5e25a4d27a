//! Poison messages: the hub closes the connection whenever it gets one. A message that was unanswered at three such ends is a suspect; then
//! messages go alone, in the old order, and the one whose company the hub leaves again is parked. As others are acknowledged, two, four,
//! eight … go at a time (binary search with restarts). Where the hub blames something else (load, quota, another client) it takes more ends. Rows of
//! messages that the hub never answers, found by `unanswered`, are remembered here too.

use std::collections::HashMap;

use super::spool::{Identity, LeaseId};
use super::trials::{RETRY_MS, Trials, backoff_ms};

/// Ends of connections with the same message unanswered that make it a suspect.
const SUSPECT_CLOSES: u32 = 3;
/// Ends with the same message unanswered that make it poison although the hub's reason speaks of something else.
const DOUBTED_CLOSES: u32 = 6;
/// Messages at a time that are no caution any more.
const CAREFUL_MAX: u16 = 512;
/// Messages parked as poison in a row, without an answer of the hub between; after so many the hub is taken to close whatever it gets.
const PARKED_IN_ROW_MAX: u32 = 8;
/// So many in a row may as well have been the hub: they are tried again soon after its next success.
const DOUBTFUL_IN_ROW: u32 = 4;
/// Poison rows remembered; a forgotten one has to be found again.
const KNOWN_MAX: usize = 4_096;
/// Closes in a row, without an answer between, up to which the next dial is hurried.
const HURRIED_MAX: u32 = 8;

/// A row by its identity, or by its lease where the spool gives none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum RowKey {
    Identity(Identity),
    Lease(LeaseId),
}

/// Suspects and how carefully to send.
#[derive(Debug, Default)]
pub(super) struct Poison {
    /// Messages in flight at most.
    limit: Option<u16>,
    acked: u16,
    closes_in_row: u32,
    parked_in_row: u32,
    doubtful: Vec<RowKey>,
    known: HashMap<RowKey, Known>,
    trials: Trials,
    /// Rows parked so far.
    parked: u64,
    /// Set if no row was on its way to the parked ones when the present pass over them began.
    meets_all: bool,
}

/// Record of one poison row.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    /// Time of the next attempt, in milliseconds of `Now::up_ms`.
    due_ms: u64,
    /// Times that the row was parked.
    times: u32,
    /// Position in the order in which rows were parked last.
    order: u64,
    /// The hub never answers it, and does not close at it: it may go among others.
    is_unanswered: bool,
    /// The present pass over the parked rows has met it, or it was parked since that began.
    is_met: bool,
}

/// Verdict over the messages that were unanswered when the hub closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blame {
    /// Nothing is certain yet.
    None,
    /// The only message on its way is poison.
    Alone,
}

impl Poison {
    /// Messages in flight at most.
    pub(super) fn limit(&self) -> Option<u16> {
        self.limit
    }

    /// Tells that the next dial is to be quick.
    pub(super) fn is_hurried(&self) -> bool {
        (1..=HURRIED_MAX).contains(&self.closes_in_row)
    }

    /// Notes that the hub closed while `here` messages were unanswered; `worst` is the most closes one of them has seen, this one included.
    /// `is_certain`: the reason may be about a message, or the oldest is known as poison.
    pub(super) fn on_close(&mut self, here: usize, worst: u32, is_certain: bool) -> Blame {
        self.closes_in_row = self.closes_in_row.saturating_add(1);
        self.acked = 0;
        let alone = here == 1 && self.limit == Some(1);
        let has_evidence = is_certain || worst >= DOUBTED_CLOSES;
        if alone && has_evidence && self.parked_in_row < PARKED_IN_ROW_MAX {
            return Blame::Alone;
        }
        if self.limit.is_some() || worst >= SUSPECT_CLOSES {
            self.limit = Some(1);
        }
        Blame::None
    }

    /// Notes that a row of a message that was alone is being parked.
    pub(super) fn on_parked(&mut self, now_ms: u64, row: RowKey) {
        let known = self.remember(row);
        known.due_ms = now_ms + backoff_ms(known.times);
        (known.times, known.is_unanswered) = (known.times.saturating_add(1), false);
        self.doubtful.push(row);
    }

    /// Notes that rows of messages that the hub never answers are being parked.
    pub(super) fn on_unanswered(&mut self, now_ms: u64, rows: &[RowKey]) {
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

    /// A pass over the parked rows begins. `meets_all`: no row is on its way there.
    pub(super) fn on_pass_begins(&mut self, meets_all: bool) {
        self.meets_all = meets_all;
        self.known.values_mut().for_each(|known| known.is_met = false);
    }

    /// The pass meets a row.
    pub(super) fn on_met(&mut self, row: RowKey) {
        if let Some(known) = self.known.get_mut(&row) {
            known.is_met = true;
        }
    }

    /// Notes that the pass has met every parked row: one that was due and was not among them has expired, or made room. Those that are not due may be
    /// on their way to the hub.
    pub(super) fn on_pass_over(&mut self, now_ms: u64) {
        if self.meets_all {
            self.known.retain(|_, known| known.is_met || known.due_ms > now_ms);
        }
    }

    /// The message that was alone is parked.
    pub(super) fn on_message_parked(&mut self) {
        self.parked_in_row += 1;
    }

    /// Notes that the hub answered a message; returns whether rows that were taken for poison are to be tried soon.
    pub(super) fn on_answer(&mut self, now_ms: u64) -> bool {
        self.closes_in_row = 0;
        if let Some(limit) = self.limit {
            self.acked += 1;
            if self.acked >= limit {
                self.acked = 0;
                self.limit = Some(limit * 2).filter(|limit| *limit <= CAREFUL_MAX);
            }
        }
        let doubt = std::mem::take(&mut self.parked_in_row) >= DOUBTFUL_IN_ROW;
        for row in std::mem::take(&mut self.doubtful).into_iter().filter(|_| doubt) {
            if let Some(known) = self.known.get_mut(&row) {
                known.due_ms = now_ms;
            }
        }
        doubt
    }

    /// Tells that a parked row that is leased again has to wait; notes its attempt otherwise.
    pub(super) fn holds(&mut self, now_ms: u64, row: RowKey) -> bool {
        let Some(known) = self.known.get_mut(&row) else { return false };
        if known.due_ms > now_ms {
            return true;
        }
        if known.is_unanswered && !self.trials.begin(now_ms) {
            known.due_ms = self.trials.again_ms();
            return true;
        }
        // Unless it is parked again before, as when the bridge stops.
        known.due_ms = now_ms + RETRY_MS.1;
        if !known.is_unanswered {
            (self.limit, self.acked) = (Some(1), 0);
        }
        false
    }

    /// Tells that a row is known as poison.
    pub(super) fn is_known(&self, row: RowKey) -> bool {
        self.known.contains_key(&row)
    }

    /// Returns whether a row is known as one that the hub never answers.
    pub(super) fn is_unanswered(&self, row: RowKey) -> bool {
        self.known.get(&row).is_some_and(|known| known.is_unanswered)
    }

    /// Tells that a row may not be sent yet.
    pub(super) fn is_held(&self, now_ms: u64, row: RowKey) -> bool {
        self.known.get(&row).is_some_and(|known| known.due_ms > now_ms)
    }

    /// Notes that the hub took a row. Returns whether it never answered it before: others of that kind are to be tried now.
    pub(super) fn on_taken(&mut self, now_ms: u64, row: RowKey) -> bool {
        if !self.known.remove(&row).is_some_and(|known| known.is_unanswered) {
            return false;
        }
        self.trials.on_taken();
        self.known.values_mut().filter(|known| known.is_unanswered).for_each(|known| known.due_ms = now_ms);
        true
    }

    /// Forgets a row that is gone for a reason of our own, not the hub's.
    pub(super) fn forget(&mut self, row: RowKey) {
        self.known.remove(&row);
    }

    /// Time at which the first poison row is tried again.
    pub(super) fn due_ms(&self) -> Option<u64> {
        self.known.values().map(|known| known.due_ms).min()
    }

    /// Rows known as poison.
    pub(super) fn known(&self) -> u64 {
        self.known.len() as u64
    }

    /// Makes a poison message due, so that it is tried again as soon as it is leased.
    pub(super) fn retry(&mut self, row: RowKey) {
        if let Some(known) = self.known.get_mut(&row) {
            known.due_ms = 0;
        }
    }
}

#[cfg(test)]
mod tests;
