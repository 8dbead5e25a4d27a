//! The three values in which an interlock thinks.

/// Vote of a condition about a trip.
///
/// The logic is Kleene's: what does not depend on an unknown part is known. Only at the root `Unknown` means trip, so that
/// a `Not` over a failed input cannot turn a trip into health.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "the three values of the logic")]
pub enum Vote {
    /// The condition demands a trip.
    Trip,
    /// The condition does not hold.
    Healthy,
    /// An input that it depends on is bad, stale, not finite, or missing.
    Unknown,
}

impl Vote {
    pub(super) fn not(self) -> Vote {
        match self {
            Vote::Trip => Vote::Healthy,
            Vote::Healthy => Vote::Trip,
            Vote::Unknown => Vote::Unknown,
        }
    }
}

/// Number of votes of each value.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Count {
    pub(super) trip: usize,
    pub(super) healthy: usize,
    pub(super) unknown: usize,
}

impl FromIterator<Vote> for Count {
    fn from_iter<I: IntoIterator<Item = Vote>>(votes: I) -> Self {
        votes.into_iter().fold(Count::default(), |mut count, vote| {
            match vote {
                Vote::Trip => count.trip += 1,
                Vote::Healthy => count.healthy += 1,
                Vote::Unknown => count.unknown += 1,
            }
            count
        })
    }
}
