//! Poison messages: the hub closes the connection whenever it gets one. A message that was unanswered at three such ends is a suspect; then
//! messages go alone, in the old order, and the one whose company the hub leaves again is parked. As others are acknowledged, two, four,
//! eight … go at a time (binary search with restarts). Where the hub blames something else (load, quota, another client) it takes more ends. Rows of
//! messages that the hub never answers, found by `unanswered`, are remembered here too.

use std::collections::HashMap;

use super::spool::{Identity, LeaseId};
use super::trials::Trials;

/// Ends of connections with the same message unanswered that make it a suspect.
const SUSPECT_CLOSES: u32 = 3;
/// Ends with the same message unanswered that make it poison although the hub's reason speaks of something else.
const DOUBTED_CLOSES: u32 = 6;
/// Messages at a time that are no caution any more.
const CAREFUL_MAX: u16 = 512;
/// Messages in a row that are called poison without one that the hub took: beyond, the hub closes whatever it gets.
const PARKED_IN_ROW_MAX: u32 = 8;
/// So many in a row may as well have been the hub: they are tried again soon after its next success.
const DOUBTFUL_IN_ROW: u32 = 4;
/// A poison message is tried again after so long, eight times as long after each further time, and at last after ten minutes: an unlucky network
/// may have cut the connection, and no hub.
const RETRY_MS: (u64, u64) = (5_000, 600_000);
/// Poison rows remembered; a forgotten one has to be found again.
const KNOWN_MAX: usize = 4_096;
/// Ends in a row, without a success between, after which the next dial is not hurried.
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
    /// No row was on its way to the parked ones when the present pass over them began.
    meets_all: bool,
}

/// One poison row.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    /// Time of the next attempt, in milliseconds of `Now::up_ms`.
    due_ms: u64,
    /// Times that it was parked.
    times: u32,
    /// Position in the order in which rows were parked last.
    order: u64,
    /// The hub never answers it, and does not close at it: it may go among others.
    is_unanswered: bool,
    /// The present pass over the parked rows has met it, or it was parked since that began.
    is_met: bool,
}

/// Pause before the next attempt after so many.
pub(super) fn backoff_ms(times: u32) -> u64 {
    (RETRY_MS.0 << (3 * times.min(4))).min(RETRY_MS.1)
}

/// Verdict over the messages that were unanswered when the hub closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blame {
    /// Nothing certain.
    None,
    /// The only one on its way is poison.
    Alone,
}

impl Poison {
    /// Messages in flight at most.
    pub(super) fn limit(&self) -> Option<u16> {
        self.limit
    }

    /// Whether the next dial is to be quick.
    pub(super) fn is_hurried(&self) -> bool {
        (1..=HURRIED_MAX).contains(&self.closes_in_row)
    }

    /// The hub closed while `here` messages were unanswered; `worst` is the most closes one of them has seen, this one included. `is_certain`: the
    /// reason may be about a message, or the oldest is known as poison.
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

    /// A row of a message that was alone is being parked.
    pub(super) fn on_parked(&mut self, now_ms: u64, row: RowKey) {
        let known = self.remember(row);
        known.due_ms = now_ms + backoff_ms(known.times);
        (known.times, known.is_unanswered) = (known.times.saturating_add(1), false);
        self.doubtful.push(row);
    }

    /// Rows of messages that the hub never answers are being parked.
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

    /// The pass has met every parked row: one that was due and was not among them has expired, or made room. Those that are not due may be on
    /// their way to the hub.
    pub(super) fn on_pass_over(&mut self, now_ms: u64) {
        if self.meets_all {
            self.known.retain(|_, known| known.is_met || known.due_ms > now_ms);
        }
    }

    /// The message that was alone is parked.
    pub(super) fn on_message_parked(&mut self) {
        self.parked_in_row += 1;
    }

    /// The hub answered a message. Whether rows that were taken for poison are to be tried soon.
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

    /// What to do with a parked row that is leased again.
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

    /// Whether a row is known as poison.
    pub(super) fn is_known(&self, row: RowKey) -> bool {
        self.known.contains_key(&row)
    }

    /// Returns whether a row is known as one that the hub never answers.
    pub(super) fn is_unanswered(&self, row: RowKey) -> bool {
        self.known.get(&row).is_some_and(|known| known.is_unanswered)
    }

    /// Whether a row may not be sent yet.
    pub(super) fn is_held(&self, now_ms: u64, row: RowKey) -> bool {
        self.known.get(&row).is_some_and(|known| known.due_ms > now_ms)
    }

    /// The hub took a row. Returns whether it never answered it before: others of that kind are to be tried now.
    pub(super) fn on_taken(&mut self, now_ms: u64, row: RowKey) -> bool {
        if !self.known.remove(&row).is_some_and(|known| known.is_unanswered) {
            return false;
        }
        self.trials.on_taken();
        self.known.values_mut().filter(|known| known.is_unanswered).for_each(|known| known.due_ms = now_ms);
        true
    }

    /// A row is gone, and the hub has nothing to do with it.
    pub(super) fn forget(&mut self, row: RowKey) {
        self.known.remove(&row);
    }

    /// When the first is tried again.
    pub(super) fn due_ms(&self) -> Option<u64> {
        self.known.values().map(|known| known.due_ms).min()
    }

    /// Rows known as poison.
    pub(super) fn known(&self) -> u64 {
        self.known.len() as u64
    }

    /// It is tried again as soon as it is leased.
    pub(super) fn retry(&mut self, row: RowKey) {
        if let Some(known) = self.known.get_mut(&row) {
            known.due_ms = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::pack::RawPack;
    use super::super::spool::{MemorySpool, Spool};
    use super::super::uplink::Uplink;
    use super::*;
    use crate::row::Row;
    use crate::wire::{ReasonCode, Utf8};

    #[test]
    fn a_row_is_held_until_it_is_due() {
        let mut poison = Poison::default();
        let row = RowKey::Lease(LeaseId(7));
        assert!(!poison.is_held(0, row));
        poison.on_parked(100, row);
        assert!(poison.is_held(100, row) && poison.is_held(100 + RETRY_MS.0 - 1, row));
        assert!(!poison.is_held(100 + RETRY_MS.0, row));
    }

    #[test]
    fn a_suspect_goes_alone_before_it_is_called_poison() {
        let mut poison = Poison::default();
        assert_eq!([1, 2].map(|closes| poison.on_close(20, closes, true)), [Blame::None; 2]);
        assert_eq!(poison.limit(), None);
        assert_eq!(poison.on_close(20, 3, true), Blame::None);
        assert_eq!(poison.limit(), Some(1));
        assert_eq!(poison.on_close(1, 4, true), Blame::Alone);
        let limits: Vec<_> = (0..7)
            .map(|_| {
                poison.on_answer(0);
                poison.limit().unwrap()
            })
            .collect();
        assert_eq!(limits, [2, 2, 4, 4, 4, 4, 8]);
        assert_eq!(
            (poison.on_close(8, 1, true), poison.limit()),
            (Blame::None, Some(1)),
            "one of eight: alone again"
        );
    }

    #[test]
    fn a_reason_that_speaks_of_no_message_takes_more_ends() {
        let mut poison = Poison::default();
        for closes in 1..DOUBTED_CLOSES {
            assert_eq!(poison.on_close(1, closes, false), Blame::None, "{closes}");
        }
        assert_eq!(poison.limit(), Some(1));
        assert_eq!(poison.on_close(1, DOUBTED_CLOSES, false), Blame::Alone);
    }

    #[test]
    fn one_message_alone_by_chance_is_no_suspect() {
        let mut poison = Poison::default();
        assert_eq!(poison.on_close(1, 1, true), Blame::None);
        assert!(poison.is_hurried());
        for _ in 0..8 {
            poison.on_close(1, 1, true);
        }
        assert!(!poison.is_hurried(), "the hub closes whatever it gets");
        poison.on_answer(0);
        assert!(!poison.is_hurried());
    }

    #[test]
    fn a_hub_that_closes_on_everything_is_not_taken_for_poison_without_end() {
        let mut poison = Poison::default();
        for closes in 0..3 {
            poison.on_close(2, closes + 1, true);
        }
        let row = |n| RowKey::Lease(LeaseId(n));
        for n in 0..u64::from(PARKED_IN_ROW_MAX) {
            assert_eq!(poison.on_close(1, 4, true), Blame::Alone);
            poison.on_parked(0, row(n));
            poison.on_message_parked();
        }
        assert_eq!(poison.on_close(1, 4, true), Blame::None);
        assert!(poison.holds(1, row(0)), "not yet");
        assert!(poison.on_answer(1_000), "it was the hub");
        assert!(!poison.holds(1_000, row(0)), "tried again at once");
    }

    #[test]
    fn poison_is_tried_again_alone_and_ever_later() {
        let mut poison = Poison::default();
        let row = RowKey::Lease(LeaseId(1));
        for delay_ms in [5_000, 40_000, 320_000, 600_000, 600_000] {
            poison.on_parked(0, row);
            poison.on_message_parked();
            assert!(!poison.on_answer(1));
            assert!(poison.holds(delay_ms - 1, row));
            assert_eq!((poison.holds(delay_ms, row), poison.limit()), (false, Some(1)));
        }
        assert_eq!(poison.known(), 1);
        poison.forget(row);
        assert_eq!((poison.known(), poison.due_ms()), (0, None));
    }

    #[test]
    fn a_row_that_is_due_and_that_a_whole_pass_did_not_meet_is_forgotten() {
        let mut poison = Poison::default();
        let row = |n| RowKey::Lease(LeaseId(n));
        (0..4).for_each(|n| poison.on_parked(0, row(n)));
        poison.on_pass_begins(true);
        poison.on_met(row(0));
        assert!(!poison.holds(5_000, row(1)), "on its way: not due for a while");
        poison.on_parked(5_001, row(2));
        poison.on_pass_over(10_000_000);
        let known: Vec<_> = (0..4).filter(|n| poison.is_known(row(*n))).collect();
        assert_eq!(known, [0, 2], "all are due by then, and 1 was not met");
        poison.on_pass_begins(false);
        poison.on_pass_over(10_000_000);
        assert_eq!(poison.known(), 2, "they may have been on their way to the parked ones");
        poison.on_pass_begins(true);
        poison.on_pass_over(5_001);
        assert_eq!(poison.known(), 1, "what is not due may be on its way to the hub");
    }

    #[test]
    fn the_oldest_makes_room_for_a_new_one() {
        let mut poison = Poison::default();
        let row = |n: usize| RowKey::Lease(LeaseId(n as u64));
        (0..KNOWN_MAX).for_each(|n| poison.on_parked(0, row(n)));
        poison.on_parked(1, row(0));
        poison.on_parked(1, row(KNOWN_MAX));
        assert_eq!(poison.known(), KNOWN_MAX as u64);
        assert!(poison.is_known(row(0)) && poison.is_known(row(KNOWN_MAX)) && !poison.is_known(row(1)));
    }

    /// Poison rows that expired or made room are forgotten once a pass over all that is parked has not met it.
    #[test]
    fn a_pass_over_all_parked_rows_forgets_poison_that_is_gone() {
        let mut uplink = Uplink::new(RawPack::new(false), 100_000, 1);
        let mut spool = MemorySpool::new(10, 10_000);
        for n in [0, 1] {
            let topic = Utf8::from_static("t").unwrap();
            spool.push(0, Row::new(topic, Bytes::from_static(b"x"))).unwrap();
            let lease = spool.lease(0, 1, 1_000).remove(0);
            assert_eq!(lease.id, LeaseId(n + 1));
            spool.park(lease.id, ReasonCode::UNSPECIFIED_ERROR);
            uplink.poison.on_parked(0, RowKey::Lease(lease.id));
        }
        let gone = RowKey::Lease(LeaseId(99));
        uplink.poison.on_parked(0, gone);
        uplink.begin_pass_over_parked(0, &mut spool);
        let mut parks = 10;
        uplink.lease_parked(10_000, &mut spool, 1_000, &mut parks, |_, spool, row| {
            spool.park(row.id, ReasonCode::UNSPECIFIED_ERROR);
        });
        assert!(!uplink.sweep.is_active());
        assert!(!uplink.poison.is_known(gone));
        assert_eq!(uplink.poison.known(), 2);

        let mut empty = MemorySpool::new(10, 10_000);
        uplink.sweep.want(20_000);
        uplink.begin_sweep(20_000, &mut empty);
        assert_eq!(uplink.poison.known(), 0, "nothing is parked");
    }
}
