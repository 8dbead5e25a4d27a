//! Limit of the age of exported counters. The counters are those of the last commit, so that a kill does not take them back; but thanks to
//! elision there may be nothing to commit while the hub keeps up. So a reader of the counters causes a commit, at most one in a period, which is
//! one small write. Without a reader nothing is written. Pure.

use std::time::Duration;

use edge_queue::Ledger;

/// Decides when to commit the counters for a reader.
#[derive(Debug)]
pub(crate) struct Refresh {
    within_ms: u64,
    is_asked: bool,
    last_ms: Option<u64>,
}

impl Refresh {
    /// Creates the limit. `within` is the shortest time between two commits.
    pub(crate) fn new(within: Duration) -> Self {
        let within_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        Self { within_ms, is_asked: false, last_ms: None }
    }

    /// Records that the counters were read, so that a commit should bring them up to date.
    pub(crate) fn asked(&mut self) {
        self.is_asked = true;
    }

    /// Returns whether to commit now, which begins a new period. It is due if the counters were read, the committed ones are behind (`lag`), and
    /// the period is over.
    pub(crate) fn is_due(&mut self, up_ms: u64, lag: bool) -> bool {
        let is_time = self.last_ms.is_none_or(|last| up_ms.saturating_sub(last) >= self.within_ms);
        let is_due = self.is_asked && lag && is_time;
        if is_due {
            self.is_asked = false;
            self.last_ms = Some(up_ms);
        }
        is_due
    }
}

/// Returns whether rows were delivered, moved or dropped since the last commit. Rows that wait for their own commit do not count, because that
/// comes within `ack_within`.
pub(crate) fn lag(committed: &[Ledger], live: &[Ledger]) -> bool {
    let ends = |ledgers: &[Ledger]| {
        let one = |ledger: &Ledger| ledger.delivered + ledger.moved + ledger.dropped.total();
        ledgers.iter().map(one).sum::<u64>()
    };
    ends(committed) != ends(live)
}

#[cfg(test)]
mod tests {
    use edge_queue::{Config as QueueConfig, Queue, Reason, StoreKind};

    use super::*;

    /// Rows that ended are news for readers of the totals; what came in has a commit of its own.
    #[test]
    fn promise_8_rows_that_ended_are_to_be_committed_and_those_that_came_are_not() {
        let of_two_lanes = QueueConfig::default().lanes(2).store(StoreKind::Memory);
        let queue = Queue::open("unused", of_two_lanes).unwrap();
        drop(queue.consumer("hub").unwrap());
        let committed = queue.ledger();
        assert!(committed.len() == 2 && !lag(&committed, &committed), "{committed:?}");
        let changed = |change: fn(&mut Ledger)| {
            let mut live = committed.clone();
            live.last_mut().into_iter().for_each(change);
            lag(&committed, &live)
        };
        assert!(changed(|ledger| ledger.delivered += 1));
        assert!(changed(|ledger| ledger.moved += 1));
        assert!(changed(|ledger| ledger.dropped.add(Reason::Expired, 1)));
        assert!(!changed(|ledger| (ledger.accepted, ledger.queued, ledger.leased) = (3, 3, 1)));
    }

    #[test]
    fn one_commit_in_a_period_and_none_that_nobody_reads() {
        let mut refresh = Refresh::new(Duration::from_secs(60));
        assert!(!refresh.is_due(0, true), "nobody asked");
        refresh.asked();
        assert!(!refresh.is_due(1_000, false), "nothing to write");
        assert!(refresh.is_due(2_000, true));
        assert!(!refresh.is_due(70_000, true), "nobody asked since");
        refresh.asked();
        assert!(refresh.is_due(70_000, true));
        refresh.asked();
        let due = (70_000..=190_000u64).step_by(1_000).filter(|at| {
            refresh.asked();
            refresh.is_due(*at, true)
        });
        assert_eq!(due.collect::<Vec<_>>(), [130_000, 190_000]);
    }
}
