//! Poison messages: the hub closes the connection whenever it gets one. A message that was unanswered at three such ends is a suspect; then
//! messages go alone, in the old order, and the one whose company the hub leaves again is parked. As others are acknowledged, two, four,
//! eight … go at a time (binary search with restarts).

use std::collections::HashMap;

use super::spool::{Identity, LeaseId};

/// Ends of connections with the same message unanswered that make it a suspect.
const SUSPECT_CLOSES: u32 = 3;
/// Messages at a time that are no caution any more.
const CAREFUL_MAX: u16 = 512;
/// Messages in a row that are called poison without one that the hub took: beyond, the hub closes whatever it gets.
const PARKED_IN_ROW_MAX: u32 = 8;
/// So many in a row may as well have been the hub: they are tried again soon after its next success.
const DOUBTFUL_IN_ROW: u32 = 4;
/// A poison message is tried again after so long, eight times as long after each further time, and at last after ten minutes: an unlucky network
/// may have cut the connection, and no hub.
const RETRY_MS: (u64, u64) = (5_000, 600_000);
/// Poison messages remembered; a forgotten one has to be found again.
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
    /// When each is tried again, and how often it was parked.
    known: HashMap<RowKey, (u64, u32)>,
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

    /// The hub closed while `here` messages were unanswered; `worst` is the most closes one of them has seen, this one included.
    pub(super) fn on_close(&mut self, here: usize, worst: u32) -> Blame {
        self.closes_in_row = self.closes_in_row.saturating_add(1);
        self.acked = 0;
        let alone = here == 1 && self.limit == Some(1);
        if alone && self.parked_in_row < PARKED_IN_ROW_MAX {
            return Blame::Alone;
        }
        if self.limit.is_some() || worst >= SUSPECT_CLOSES {
            self.limit = Some(1);
        }
        Blame::None
    }

    /// A row of a message that was alone is being parked.
    pub(super) fn on_parked(&mut self, now_ms: u64, row: RowKey) {
        if self.known.len() < KNOWN_MAX || self.known.contains_key(&row) {
            let (due_ms, times) = self.known.entry(row).or_insert((0, 0));
            *due_ms = now_ms + (RETRY_MS.0 << (3 * *times).min(12)).min(RETRY_MS.1);
            *times += 1;
        }
        self.doubtful.push(row);
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
            if let Some((due_ms, _)) = self.known.get_mut(&row) {
                *due_ms = now_ms;
            }
        }
        doubt
    }

    /// What to do with a parked row that is leased again.
    pub(super) fn holds(&mut self, now_ms: u64, row: RowKey) -> bool {
        let Some((due_ms, _)) = self.known.get_mut(&row) else { return false };
        if *due_ms > now_ms {
            return true;
        }
        // Unless it is parked again before, as when the bridge stops.
        *due_ms = now_ms + RETRY_MS.1;
        self.limit = Some(1);
        self.acked = 0;
        false
    }

    /// Whether a row is known as poison.
    pub(super) fn is_known(&self, row: RowKey) -> bool {
        self.known.contains_key(&row)
    }

    /// Whether a row may not be sent yet.
    pub(super) fn is_held(&self, now_ms: u64, row: RowKey) -> bool {
        self.known.get(&row).is_some_and(|(due_ms, _)| *due_ms > now_ms)
    }

    /// The hub took a row.
    pub(super) fn on_taken(&mut self, row: RowKey) {
        self.known.remove(&row);
    }

    /// When the first is tried again.
    pub(super) fn due_ms(&self) -> Option<u64> {
        self.known.values().map(|(due_ms, _)| *due_ms).min()
    }

    /// Rows known as poison.
    pub(super) fn known(&self) -> u64 {
        self.known.len() as u64
    }

    /// It is tried again as soon as it is leased.
    pub(super) fn retry(&mut self, row: RowKey) {
        if let Some((due_ms, _)) = self.known.get_mut(&row) {
            *due_ms = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suspect_goes_alone_before_it_is_called_poison() {
        let mut poison = Poison::default();
        assert_eq!([1, 2].map(|closes| poison.on_close(20, closes)), [Blame::None; 2]);
        assert_eq!(poison.limit(), None);
        assert_eq!(poison.on_close(20, 3), Blame::None);
        assert_eq!(poison.limit(), Some(1));
        assert_eq!(poison.on_close(1, 4), Blame::Alone);
        let limits: Vec<_> = (0..7)
            .map(|_| {
                poison.on_answer(0);
                poison.limit().unwrap()
            })
            .collect();
        assert_eq!(limits, [2, 2, 4, 4, 4, 4, 8]);
        assert_eq!(
            (poison.on_close(8, 1), poison.limit()),
            (Blame::None, Some(1)),
            "one of eight: alone again"
        );
    }

    #[test]
    fn one_message_alone_by_chance_is_no_suspect() {
        let mut poison = Poison::default();
        assert_eq!(poison.on_close(1, 1), Blame::None);
        assert!(poison.is_hurried());
        for _ in 0..8 {
            poison.on_close(1, 1);
        }
        assert!(!poison.is_hurried(), "the hub closes whatever it gets");
        poison.on_answer(0);
        assert!(!poison.is_hurried());
    }

    #[test]
    fn a_hub_that_closes_on_everything_is_not_taken_for_poison_without_end() {
        let mut poison = Poison::default();
        for closes in 0..3 {
            poison.on_close(2, closes + 1);
        }
        let row = |n| RowKey::Lease(LeaseId(n));
        for n in 0..u64::from(PARKED_IN_ROW_MAX) {
            assert_eq!(poison.on_close(1, 4), Blame::Alone);
            poison.on_parked(0, row(n));
            poison.on_message_parked();
        }
        assert_eq!(poison.on_close(1, 4), Blame::None);
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
        poison.on_taken(row);
        assert_eq!((poison.known(), poison.due_ms()), (0, None));
    }
}
