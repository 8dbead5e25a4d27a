//! Readings that a call of the pipeline dropped, by reason.

use edge_filter::{DropReason, Outcome, Stats};

/// Difference of the counters before and after a call. Counters alone tell what became of a reading that was held.
#[derive(Debug, Default)]
pub(super) struct Drops(Vec<(DropReason, u64)>);

impl Drops {
    /// Returns the readings that were dropped beside the one whose outcome is known.
    pub(super) fn between(before: &Stats, after: &Stats, outcome: Option<&Outcome<'_>>) -> Self {
        let own = |reason| u64::from(matches!(outcome, Some(Outcome::Drop(own)) if *own == reason));
        let dropped = DropReason::ALL.iter().map(|reason| {
            let readings = after.dropped_by(*reason).saturating_sub(before.dropped_by(*reason));
            (*reason, readings.saturating_sub(own(*reason)))
        });
        Self(dropped.filter(|(_, readings)| *readings > 0).collect())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (DropReason, u64)> {
        self.0.iter().copied()
    }

    /// Returns the number of those for which no sent value stands.
    pub(super) fn not_represented(&self) -> u64 {
        self.iter().filter(|(reason, _)| !stands_for_it(*reason)).map(|(_, readings)| readings).sum()
    }
}

/// Drops after which a sent value stands for the reading: these are what an error bound is about.
pub(super) fn stands_for_it(reason: DropReason) -> bool {
    matches!(
        reason,
        DropReason::InDeadband
            | DropReason::MinInterval
            | DropReason::Unchanged
            | DropReason::Compressed
            | DropReason::RateLimit
    )
}
