//! Planted bugs for tests, at places that only the code itself can break: a test rig that does not find them proves nothing.
//!
//! Without the feature `testing` [`planted`] is a constant, so a production build has neither the check nor the bug.

/// A bug inside the queue or the ring. Bugs that a wrapper around a store can have are in [`testing::Bug`](crate::testing::Bug).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "testing"), allow(unreachable_pub, dead_code, reason = "for `testing`"))]
#[non_exhaustive]
pub enum Flaw {
    /// Ring: a growing frame is rewritten in its own page instead of in the other one.
    TailInPlace,
    /// Ring: a frame counts as complete when its header is, without a check of its body.
    BodyUnchecked,
    /// Ring: an open does not raise the epoch.
    EpochNotRaised,
    /// Ring: an open raises the epoch before it syncs the frames that it found.
    EpochFirst,
    /// Ring: which frames count is judged by their counters alone.
    EpochIgnored,
    /// Ring: frames from an earlier use of their slot count, and the generation that tells which of two segments is newer is ignored.
    GenerationIgnored,
    /// Ring: changes of a commit are applied although its rows did not all arrive.
    TornChangesApplied,
    /// Ring: only a lane's own frames tell where the lane ended.
    EndsUnknown,
    /// Ring: the bookkeeping has rows that the lane no longer has, and the two are not compared.
    EndsIgnored,
    /// Ring: a page that cannot be read counts as damaged at once.
    ReadErrorIsDamage,
    /// Queue: damage is counted for the first consumer alone; the others' rows count as done.
    LossOfOneConsumer,
    /// Queue: a damaged frame counts with all its rows, acknowledged ones too.
    LossOfWholeFrame,
    /// Ring: a segment becomes free only when every row before its end is done.
    FloorOnly,
    /// Ring: a segment counts as done when its first and its last row are.
    HeldOverlooked,
    /// Ring: an open leaves frames whose sync may have failed where they are.
    UnprovenLeft,
    /// Ring: the slot of a failed write is used again without being read first.
    SuspectReused,
    /// Ring: one free slot is kept for changes instead of two.
    ReserveOfOne,
    /// Ring: every frame missing before a frame of a torn commit is ignored.
    AllForgiven,
    /// Ring: a lane goes on after its first commit although no whole frame of it arrived.
    UnbegunCounted,
    /// Ring: segments are ordered by their begin, whatever rows they have.
    DescendingCounted,
    /// Ring: changed limits copy the next sequence numbers from the bookkeeping, whatever the log has.
    NextNotRaised,
    /// Queue: a commit of changes alone also counts rows that wait for their own commit.
    WaitingCounted,
    /// Queue: a consumer whose removal could not be written comes back.
    ForgettingForgotten,
    /// Queue: an acknowledgement wakes no consumer that waits.
    AckWakesNobody,
    /// Queue: a push that makes the commit large enough does not wake the writer.
    WriterNotWoken,
    /// Queue: a producer that waits for each receipt never commits itself.
    WaitsNotCounted,
    /// Queue: notes about rows for their receipts stay after the receipts were given.
    EndsKept,
    /// Queue: the waker of an async consumer stays after it.
    WakerKept,
    /// Queue: drop-oldest takes leased rows too.
    LeasedEvicted,
    /// Queue: drop-oldest evicts before it checks whether the push can succeed.
    EvictedForNothing,
    /// Queue: after a restart a consumer's bytes are its share of the lane's.
    OwnBytesGuessed,
    /// Queue: totals that could not be counted after a consumer's removal are not counted later either.
    RecountForgotten,
    /// Queue: rows that only a failed registration wanted stay counted.
    RegistrationKeptCounted,
    /// Queue: of a lane that the configuration no longer has nothing is kept.
    LaneForgotten,
    /// Queue: ranges of done rows are one budget for all consumers, whoever made the holes.
    RangesShared,
    /// Queue: rows between leases are evicted however many ranges that costs.
    RangesUnbounded,
    /// Queue: an acknowledgement by identity takes every row of the number, whatever its epoch.
    AckedWithoutEpoch,
    /// Queue: an acknowledgement by identity leaves the row leased.
    AckedLeaseKept,
    /// Queue: an acknowledgement by identity is written with a later commit.
    AckedIdsUnwritten,
}

/// Returns whether this thread runs with the bug.
#[cfg(feature = "testing")]
pub(crate) fn planted(flaw: Flaw) -> bool {
    PLANTED.get() == Some(flaw)
}

/// Returns whether a bug is planted: always false without the feature `testing`.
#[cfg(not(feature = "testing"))]
pub(crate) const fn planted(_flaw: Flaw) -> bool {
    false
}

#[cfg(feature = "testing")]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Flaw>> = const { std::cell::Cell::new(None) };
}

#[cfg(feature = "testing")]
impl Flaw {
    /// Runs `f` with the bug in this thread. A queue on a [`ManualClock`](crate::ManualClock) has no other thread.
    pub fn during<T>(self, f: impl FnOnce() -> T) -> T {
        let before = PLANTED.replace(Some(self));
        let result = f();
        PLANTED.set(before);
        result
    }
}
