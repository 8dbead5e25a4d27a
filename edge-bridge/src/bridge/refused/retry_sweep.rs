//! Retry sweep over the parked rows, from the oldest. Rows of topics that the hub accepts are sent; the others stay parked, in their place or
//! behind the other parked rows, depending on the spool. A sweep ends when it has met every row that was parked at its begin. A spool in which
//! rows keep their places decides this itself: while it cannot read rows, new rows of their topics wait behind them, and another sweep begins
//! soon. If rows go behind the others, a sweep is never ended early, because rows that it parked again would then stand behind younger ones.

use std::collections::HashMap;

use crate::bridge::backoff::Backoff;
use crate::bridge::spool::{LeaseId, Spool};
use crate::wire::{ReasonCode, Utf8};

use super::poison::RowKey;
use super::refused_topics::retry_backoff;

/// Most parked rows leased at a time; new rows are leased in between.
const ROWS: usize = 64;
/// Milliseconds without a leased row after which a sweep ends, because the remaining rows have expired or cannot be read.
const DRY_MS: u64 = 5_000;
/// Longest delay of a due sweep, in milliseconds, because rows are being parked.
const WAIT_MS: u64 = 5_000;
/// Value of `left` for a spool that tells by itself when the sweep has met every row.
const BOUNDLESS: u64 = u64::MAX / 2;
/// Number of refusals in a row after which a sweep sends only rows of topics known to be accepted.
const REFUSALS_MAX: u32 = 8;
/// Most new rows, and most bytes of them, that are deferred until a sweep ends. Beyond the limit new rows stay in their lanes.
const DEFERRED_MAX: (usize, u64) = (4_096, 1 << 20);

/// State of the sweep, and the time of the next one.
#[derive(Debug, Clone)]
pub(in crate::bridge) struct Sweep {
    /// Messages, by weight, that the sweep has still to meet; `None` if no sweep is under way.
    left: Option<u64>,
    dry_since_ms: Option<u64>,
    /// Value of [`Spool::passed`] at the last lease.
    passed: u64,
    /// Set if rows keep their places in this spool, which then knows the end of a sweep.
    in_place: bool,
    /// Set if the last sweep ended before it had met all its rows.
    pub(in crate::bridge) is_dry: bool,
    /// First row that was parked since the sweep began. The sweep ends when it meets that row. `None` if no row was parked.
    mark: Option<RowKey>,
    due_ms: Option<u64>,
    /// Up time by which a due sweep begins although rows are being parked; `None` if none waits.
    waits_until_ms: Option<u64>,
    backoff: Backoff,
    refused_in_row: u32,
    last_refusal: Option<ReasonCode>,
    /// Rows, by lease, with their topics, that the sweep leased and that are in an open batch.
    rows: HashMap<LeaseId, Utf8>,
    /// New rows that are parked behind the rows that the sweep parks again.
    deferred: Vec<Deferred>,
    deferred_bytes: u64,
    /// Set if parked rows are leased next, unset if new rows are.
    pub(in crate::bridge) turn: bool,
}

/// New rows of one topic that wait to be parked.
#[derive(Debug, Clone)]
pub(in crate::bridge) struct Deferred {
    pub(in crate::bridge) topic: Utf8,
    pub(in crate::bridge) rows: Vec<LeaseId>,
    pub(in crate::bridge) bytes: u64,
    pub(in crate::bridge) reason: ReasonCode,
}

impl Sweep {
    pub(in crate::bridge) fn new(seed: u64) -> Self {
        Self {
            left: None,
            dry_since_ms: None,
            passed: 0,
            in_place: false,
            is_dry: false,
            mark: None,
            due_ms: None,
            waits_until_ms: None,
            backoff: retry_backoff(seed ^ 0x5e),
            refused_in_row: 0,
            last_refusal: None,
            rows: HashMap::new(),
            deferred: Vec::new(),
            deferred_bytes: 0,
            turn: false,
        }
    }

    pub(in crate::bridge) fn is_active(&self) -> bool {
        self.left.is_some()
    }

    /// Plans a sweep for up time `at_ms`, unless an earlier one is planned.
    pub(in crate::bridge) fn want(&mut self, at_ms: u64) {
        self.due_ms = Some(self.due_ms.map_or(at_ms, |due_ms| due_ms.min(at_ms)));
    }

    /// Plans a sweep after a back-off, unless one is planned. Used for parked rows whose topics are not in back-off.
    pub(in crate::bridge) fn want_later(&mut self, now_ms: u64) {
        if self.left.is_none() && self.due_ms.is_none() {
            self.due_ms = Some(now_ms + self.backoff.next_ms());
        }
    }

    /// Returns whether a sweep is under way or planned.
    pub(in crate::bridge) fn is_planned(&self) -> bool {
        self.left.is_some() || self.due_ms.is_some()
    }

    /// Returns whether a sweep is due and none is under way.
    pub(in crate::bridge) fn is_due(&self, now_ms: u64) -> bool {
        self.left.is_none() && self.due_ms.is_some_and(|due_ms| due_ms <= now_ms)
    }

    /// Returns whether a due sweep has to wait for rows that are being parked, so that it meets all of them.
    pub(in crate::bridge) fn has_to_wait(&mut self, now_ms: u64, spool: &impl Spool) -> bool {
        !spool.is_settled() && now_ms < *self.waits_until_ms.get_or_insert(now_ms + WAIT_MS)
    }

    /// Returns whether a sweep is about to begin or under way. New rows are then kept back and parked after it, behind the older rows of their
    /// topics that the sweep parks again.
    pub(in crate::bridge) fn defers(&self) -> bool {
        self.left.is_some() || self.waits_until_ms.is_some() || self.has_rows_inside()
    }

    /// Ends the wait of a due sweep.
    pub(in crate::bridge) fn end_wait(&mut self) {
        self.waits_until_ms = None;
    }

    /// Begins a sweep over the parked rows.
    pub(in crate::bridge) fn begin(&mut self, spool: &mut impl Spool) {
        self.end_wait();
        spool.scan_parked();
        (self.in_place, self.is_dry) = (spool.is_scanned().is_some(), false);
        let rows = if self.in_place { spool.parked().min(1) * BOUNDLESS } else { spool.parked() };
        (self.due_ms, self.dry_since_ms, self.mark, self.refused_in_row) = (None, None, None, 0);
        self.left = Some(rows).filter(|rows| *rows > 0);
    }

    /// Number of rows to lease now.
    pub(in crate::bridge) fn room(&self) -> usize {
        usize::try_from(self.left.unwrap_or(0)).unwrap_or(ROWS).min(ROWS)
    }

    /// Subtracts leased rows, `messages` by weight, from those that the sweep has still to meet. Returns whether the sweep is over.
    pub(in crate::bridge) fn on_leased(&mut self, now_ms: u64, messages: u64, spool: &impl Spool) -> bool {
        let Some(left) = &mut self.left else { return false };
        let scanned = spool.is_scanned();
        if std::mem::replace(&mut self.passed, spool.passed()) != self.passed {
            self.dry_since_ms = None;
        }
        *left = left.saturating_sub(messages);
        let scanned = scanned == Some(true);
        let is_dry = if messages == 0 && !scanned {
            now_ms >= *self.dry_since_ms.get_or_insert(now_ms) + DRY_MS
        } else {
            self.dry_since_ms = None;
            false
        };
        let over = *left == 0 || is_dry || scanned;
        if over {
            self.left = None;
            self.is_dry = is_dry;
        }
        over
    }

    /// Returns whether the last sweep ended although the spool has more rows, which it cannot read now.
    pub(in crate::bridge) fn could_not_read(&self) -> bool {
        self.is_dry && self.in_place
    }

    /// Plans another sweep soon after one that could not read every row.
    pub(in crate::bridge) fn want_again(&mut self, now_ms: u64) {
        self.want(now_ms + DRY_MS);
    }

    /// Records that a row was parked.
    pub(in crate::bridge) fn on_parked(&mut self, row: RowKey) {
        if self.left.is_some() && !self.in_place {
            self.mark.get_or_insert(row);
        }
    }

    /// Returns whether `row` is the first that was parked since the sweep began. If so the sweep is over, even if `left` is above 0 because other
    /// callers leased parked rows.
    pub(in crate::bridge) fn ends_at(&mut self, row: RowKey) -> bool {
        let ends = self.mark == Some(row);
        if ends {
            self.left = Some(0);
        }
        ends
    }

    /// Adds new rows to be parked later.
    pub(in crate::bridge) fn defer(&mut self, deferred: Deferred) {
        self.deferred_bytes += deferred.bytes;
        self.deferred.push(deferred);
    }

    /// Returns whether the limit of deferred rows is reached.
    pub(in crate::bridge) fn is_full(&self) -> bool {
        self.deferred.len() >= DEFERRED_MAX.0 || self.deferred_bytes >= DEFERRED_MAX.1
    }

    /// Takes out the deferred rows of topics for which `may_go` holds, in their order.
    pub(in crate::bridge) fn take_deferred(&mut self, may_go: impl Fn(&Utf8) -> bool) -> Vec<Deferred> {
        let all = std::mem::take(&mut self.deferred);
        let (out, kept): (Vec<_>, _) = all.into_iter().partition(|deferred| may_go(&deferred.topic));
        self.deferred = kept;
        self.deferred_bytes -= out.iter().map(|deferred| deferred.bytes).sum::<u64>();
        out
    }

    /// Records that a leased row is in the pack.
    pub(in crate::bridge) fn on_row(&mut self, id: LeaseId, topic: Utf8) {
        self.rows.insert(id, topic);
    }

    /// Takes the rows that were in the pack and are given back, with their topics.
    pub(in crate::bridge) fn take_rows_inside(&mut self) -> Vec<(LeaseId, Utf8)> {
        self.rows.drain().collect()
    }

    /// Returns whether rows of the sweep are in open batches. Rows parked now could be younger than these.
    pub(in crate::bridge) fn has_rows_inside(&self) -> bool {
        !self.rows.is_empty()
    }

    /// Forgets rows that left the pack, in a message or otherwise. Returns whether the sweep had leased any of them.
    pub(in crate::bridge) fn take(&mut self, rows: &[LeaseId]) -> bool {
        let mut any = false;
        if !self.rows.is_empty() {
            rows.iter().for_each(|row| any |= self.rows.remove(row).is_some());
        }
        any
    }

    /// Ends the run of refusals and resets the back-off, because the hub accepted a message.
    pub(in crate::bridge) fn on_success(&mut self) {
        self.refused_in_row = 0;
        self.backoff.reset();
    }

    /// Adds a refused message of the sweep to the run of refusals.
    pub(in crate::bridge) fn on_refusal(&mut self, reason: ReasonCode) {
        self.refused_in_row += 1;
        self.last_refusal = Some(reason);
    }

    /// Returns the hub's reason if it refuses everything, so that the sweep sends no more rows of topics of unknown state; otherwise `None`.
    pub(in crate::bridge) fn gives_up(&self) -> Option<ReasonCode> {
        self.last_refusal.filter(|_| self.refused_in_row >= REFUSALS_MAX)
    }

    /// Up time, in milliseconds, at which a sweep begins or ends without an event; `None` if no such time is known.
    pub(in crate::bridge) fn next_deadline(&self) -> Option<u64> {
        match self.left {
            None => self.waits_until_ms.or(self.due_ms),
            Some(_) => self.dry_since_ms.map(|since_ms| since_ms + DRY_MS),
        }
    }

    /// Adds rows that went back to the spool, `messages` by weight, to those that the sweep has still to meet. A sweep that has parked no row again ends,
    /// and another one is due. Any other sweep goes on to its end, because the order of the rows would be broken otherwise.
    pub(in crate::bridge) fn on_given_back(&mut self, now_ms: u64, messages: u64) {
        self.rows.clear();
        let Some(left) = &mut self.left else { return };
        *left += messages;
        if self.mark.is_none() {
            self.left = None;
            self.want(now_ms);
        }
    }

    /// Ends the sweep, because the link stops and every leased row goes back to the spool.
    pub(in crate::bridge) fn stop(&mut self, now_ms: u64) {
        self.mark = None;
        self.on_given_back(now_ms, 0);
    }
}

#[cfg(test)]
mod tests;
