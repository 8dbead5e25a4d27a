//! Bugs on purpose, at the places where only the code itself can have them: a rig that does not find them proves nothing.
//!
//! Without the feature `testing` [`planted`] is a constant, so a production build contains neither the question nor the bug.

/// A bug inside the queue or the ring. Those that a wrapper can have are [`testing::Bug`](crate::testing::Bug)'s.
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
    /// Ring: which frames count is judged by their counters alone.
    EpochIgnored,
    /// Ring: frames of an earlier life of their slot count, and which of two segments is newer is not asked either.
    GenerationIgnored,
    /// Ring: changes of a commit are applied although its rows did not all arrive.
    TornChangesApplied,
    /// Queue: drop-oldest takes leased rows too.
    LeasedEvicted,
}

/// Whether this thread runs with the bug.
#[cfg(feature = "testing")]
pub(crate) fn planted(flaw: Flaw) -> bool {
    PLANTED.get() == Some(flaw)
}

/// Never.
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
    /// Runs `f` with the bug in this thread. A queue on a [`ManualClock`](crate::ManualClock) has no other.
    pub fn during<T>(self, f: impl FnOnce() -> T) -> T {
        let before = PLANTED.replace(Some(self));
        let result = f();
        PLANTED.set(before);
        result
    }
}
