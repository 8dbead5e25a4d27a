//! Ledger of messages as an equation: accepted = delivered + waiting + parked + dropped by reason. It is made from the totals of the last commit,
//! which `/metrics` exports; messages missing in it are shown as a difference. Pure.

use std::collections::BTreeMap;

use edge_queue::Ledger;

use crate::run::status::metrics::{REASONS, Sample};

use super::LedgerStatus;

/// Totals of one queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct QueueTotals {
    pub(crate) accepted: u64,
    pub(crate) delivered: u64,
    /// Messages that were moved to the queue of parked messages.
    pub(crate) moved: u64,
    pub(crate) queued: u64,
    pub(crate) dropped: BTreeMap<&'static str, u64>,
}

impl QueueTotals {
    fn of(ledgers: &[Ledger]) -> Self {
        let sum = |of: fn(&Ledger) -> u64| ledgers.iter().map(of).sum();
        let by =
            |(name, reason)| (name, ledgers.iter().map(|ledger| ledger.dropped.for_reason(reason)).sum());
        Self {
            accepted: sum(|ledger| ledger.accepted),
            delivered: sum(|ledger| ledger.delivered),
            moved: sum(|ledger| ledger.moved),
            queued: sum(|ledger| ledger.queued),
            dropped: REASONS.into_iter().map(by).collect(),
        }
    }
}

/// Totals of the queue and of the parked messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) hub: QueueTotals,
    pub(crate) parked: QueueTotals,
}

impl Totals {
    /// Returns the totals. `None`: those of the parked messages are unknown.
    pub(crate) fn of(sample: &Sample) -> Option<Self> {
        let parked = sample.parked_ledgers.as_deref()?;
        Some(Self { hub: QueueTotals::of(&sample.ledgers), parked: QueueTotals::of(parked) })
    }
}

/// Returns the equation. `delivered_now`: the present counter of deliveries, which is ahead of the totals of the last commit.
pub(in crate::run::status) fn ledger(Totals { hub, parked }: &Totals, delivered_now: u64) -> LedgerStatus {
    let mut dropped: BTreeMap<String, u64> = BTreeMap::new();
    for (reason, count) in hub.dropped.iter().chain(&parked.dropped) {
        *dropped.entry((*reason).to_owned()).or_default() += count;
    }
    let delivered = hub.delivered + parked.delivered;
    let accounted = delivered + hub.queued + parked.queued + dropped.values().sum::<u64>();
    LedgerStatus {
        accepted: hub.accepted,
        delivered,
        waiting: hub.queued,
        parked: parked.queued,
        dropped,
        difference: signed(hub.accepted, accounted),
        // A parked message that is refused again moves within the parked ones, and is accepted there once more.
        between: signed(hub.moved.saturating_add(parked.moved), parked.accepted),
        newer: delivered_now.saturating_sub(delivered),
    }
}

fn signed(more: u64, less: u64) -> i64 {
    i64::try_from(i128::from(more) - i128::from(less)).unwrap_or(i64::MAX)
}

/// Returns a sentence that says whether the ledger balances, and how a difference is explained.
pub(in crate::run::status) fn balance(ledger: &LedgerStatus) -> String {
    let missing = ledger.difference.abs_diff(if ledger.adds_up() { 0 } else { ledger.between });
    match (ledger.adds_up(), ledger.difference) {
        (true, 0) if ledger.newer == 0 => "Adds up, as of the last commit.".to_owned(),
        (true, 0) => {
            let newer = edge_page::count(ledger.newer);
            format!(
                "Adds up, as of the last commit; {newer} acknowledged since, which the figures move to delivered with the next one."
            )
        }
        (true, _) => format!(
            "Adds up but for {missing} between the queue and the parked messages: on the way, or after a kill in both."
        ),
        (false, difference) if difference > ledger.between => {
            format!(
                "Does not add up: {missing} accepted and in no other figure. A defect: keep the state directory."
            )
        }
        (false, _) => {
            format!("Does not add up: {missing} more than were accepted. A defect: keep the state directory.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(accepted: u64, delivered: u64, moved: u64, queued: u64, overflow: u64) -> QueueTotals {
        QueueTotals { accepted, delivered, moved, queued, dropped: BTreeMap::from([("overflow", overflow)]) }
    }

    #[test]
    fn what_is_not_accounted_for_is_said() {
        for (hub, parked, difference, adds_up, said) in [
            (one(20, 12, 3, 4, 1), one(3, 1, 0, 1, 1), 0, true, "Adds up, as of the last commit."),
            // On its way to the parked ones.
            (one(20, 12, 3, 4, 1), one(2, 0, 0, 1, 1), 1, true, "Adds up but for 1 between"),
            (one(20, 12, 3, 4, 1), one(5, 1, 0, 3, 1), -2, true, "Adds up but for 2 between"),
            // Refused again, two of them moved to the end of the parked ones.
            (one(20, 12, 3, 4, 1), one(5, 1, 2, 1, 1), 0, true, "Adds up, as of the last commit."),
            // The same with one on its way, and with one that is nowhere.
            (one(20, 12, 3, 4, 1), one(4, 0, 2, 1, 1), 1, true, "Adds up but for 1 between"),
            (one(21, 12, 3, 4, 1), one(4, 0, 2, 1, 1), 2, false, "Does not add up: 1 accepted"),
            (one(20, 13, 3, 4, 1), one(4, 0, 2, 1, 1), 0, false, "Does not add up: 1 more"),
            (
                one(21, 12, 3, 4, 1),
                one(3, 1, 0, 1, 1),
                1,
                false,
                "Does not add up: 1 accepted and in no other",
            ),
            (
                one(19, 12, 3, 4, 1),
                one(3, 1, 0, 1, 1),
                -1,
                false,
                "Does not add up: 1 more than were accepted",
            ),
        ] {
            let ledger = ledger(&Totals { hub, parked }, 0);
            assert_eq!((ledger.difference, ledger.adds_up()), (difference, adds_up), "{ledger:?}");
            assert!(balance(&ledger).starts_with(said), "{}", balance(&ledger));
            assert_eq!((ledger.dropped.get("overflow"), ledger.waiting), (Some(&2), 4));
        }
        let ledger = ledger(&Totals { hub: one(20, 12, 3, 4, 1), parked: one(3, 1, 0, 1, 1) }, 15);
        assert_eq!(
            balance(&ledger),
            "Adds up, as of the last commit; 2 acknowledged since, which the figures move to delivered with the next one."
        );
    }
}
