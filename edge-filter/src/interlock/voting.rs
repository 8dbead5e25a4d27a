//! Voting of channels (2oo3 and similar), in three values.

/// Vote of a condition about a trip.
///
/// The logic is Kleene's: what does not depend on an unknown part is known. Only at the root `Unknown` means trip, so that
/// a `Not` over a failed input cannot turn a trip into health.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "the three values of the logic")]
pub enum Vote {
    /// The condition demands a trip.
    Trip,
    /// The condition does not demand a trip.
    Healthy,
    /// The vote depends on an input that is bad, stale, not finite or missing, or on a contact that is neither 0 nor 1.
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

/// Number of channels with each vote.
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

/// Vote of a channel of `AtLeast` while its input is bad, stale or missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "config", serde(rename_all = "snake_case"))]
#[allow(clippy::exhaustive_enums, reason = "the two of the specification")]
pub enum Degraded {
    /// A bad input counts as a vote to trip: 2oo3 with one bad channel is 1oo2 of the others. The safe choice.
    #[default]
    TripVote,
    /// A bad input counts as if it were not there: 2oo3 with one bad channel is 2oo2 of the others, as long as `k`
    /// channels are left. Fewer trips without cause; a fault of one of the two others is not tolerated any more.
    Ignore,
}

/// Returns the vote of `k` out of all channels.
pub(super) fn at_least(k: usize, degraded: Degraded, count: Count) -> Vote {
    let Count { trip, healthy, unknown } = count;
    if trip >= k {
        return Vote::Trip;
    }
    let certain = match degraded {
        Degraded::TripVote => trip + unknown < k,
        Degraded::Ignore => trip + healthy >= k,
    };
    if certain { Vote::Healthy } else { Vote::Unknown }
}
