//! Bugs on purpose, at the places where only the code itself can have them: a rig that does not find them proves nothing.
//!
//! Without the feature `testing` [`planted`] is a constant, so a production build contains neither the question nor the bug.

/// A bug inside the queue or the ring. Bugs that a wrapper around a store can have are in [`testing::Bug`](crate::testing::Bug).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "testing"), allow(unreachable_pub, dead_code, reason = "for `testing`"))]
#[non_exhaustive]
pub enum Flaw {
    /// Ring: a growing frame is rewritten in its own page instead of in the other one.
    TailInPlace,
    /// Ring: a frame counts when its header is whole, whatever became of its body.
    BodyUnchecked,
    /// Ring: an open does not raise the epoch.
    EpochNotRaised,
    /// Ring: an open raises the epoch before it syncs what it found.
    EpochFirst,
    /// Ring: which frames count is judged by their counters alone.
    EpochIgnored,
    /// Ring: frames of an earlier life of their slot count, and which of two segments is newer is not asked either.
    GenerationIgnored,
    /// Ring: changes of a commit are applied although its rows did not all arrive.
    TornChangesApplied,
    /// Ring: nothing but a lane's own frames says where it ended.
    EndsUnknown,
    /// Ring: the bookkeeping knows rows that the lane does not have any more, and nobody compares.
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
    /// Ring: everything that is missing before a frame of a torn commit is forgiven.
    AllForgiven,
    /// Ring: a lane goes on behind its first commit although nothing whole of it arrived.
    UnbegunCounted,
    /// Ring: segments count in the order they were begun, whatever rows they have.
    DescendingCounted,
    /// Ring: changed limits copy the next numbers as the bookkeeping has them, whatever the log says.
    NextNotRaised,
    /// Queue: a commit of changes alone counts rows that wait, too.
    WaitingCounted,
    /// Queue: a consumer whose forgetting could not be written is known again.
    ForgettingForgotten,
    /// Queue: an acknowledgement wakes no consumer that waits.
    AckWakesNobody,
    /// Queue: a push that makes the commit large enough does not wake the writer.
    WriterNotWoken,
    /// Queue: a producer that waits for each receipt never commits itself.
    WaitsNotCounted,
    /// Queue: what was noted of rows for their receipts stays after these are out.
    EndsKept,
    /// Queue: the waker of an async consumer stays after it.
    WakerKept,
    /// Queue: drop-oldest takes leased rows too.
    LeasedEvicted,
    /// Queue: drop-oldest evicts before it asks whether the push can succeed.
    EvictedForNothing,
    /// Queue: after a restart a consumer's bytes are its share of the lane's.
    OwnBytesGuessed,
    /// Queue: totals that could not be counted anew after a consumer went are not counted later either.
    RecountForgotten,
    /// Queue: rows that only a failed registration wanted stay counted.
    RegistrationKeptCounted,
    /// Queue: of a lane that the configuration no longer has nothing is kept.
    LaneForgotten,
    /// Queue: ranges of done rows are one budget for all consumers, whoever made the holes.
    RangesShared,
    /// Queue: rows are given up between leases however many ranges that costs.
    RangesUnbounded,
}

/// Returns whether this thread runs with the bug.
#[cfg(feature = "testing")]
pub(crate) fn planted(flaw: Flaw) -> bool {
    PLANTED.get() == Some(flaw)
}

/// Returns whether a bug is planted: never outside of tests.
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
