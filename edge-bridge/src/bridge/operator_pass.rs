//! State of an operator's pass over the parked rows: topic filter, action and deadlines.

use std::collections::VecDeque;

use super::parked_list::ParkedRow;
use super::uplink_event::{ByHandCount, LeftOut, UplinkEvent};
use crate::wire::{Utf8, matches};

/// Milliseconds that found copies wait for the caller, and that a pass waits for the spool. Bounded because no parked row is sent meanwhile.
pub(super) const WITHIN_MS: u64 = 5_000;

/// Action of a pass on rows of matching topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    Copy,
    Drop,
    /// Leaves the rows parked. Used when the caller did not take copies in time: the pass still has to park the rows it leased again, in their
    /// order.
    Nothing,
}

/// Operator's pass over the parked rows.
#[derive(Debug)]
pub(super) struct Pass {
    pub(super) filter: Utf8,
    pub(super) work: Work,
    /// Set until the pass begins, because a retry sweep is under way or rows are being parked.
    pub(super) waits: bool,
    /// Up time in milliseconds until which the pass waits for the spool.
    pub(super) until_ms: u64,
    /// Set while the drops are being made durable.
    pub(super) commits: bool,
    pub(super) left_out: Option<LeftOut>,
    pub(super) count: ByHandCount,
    /// Weight of the refused messages that could not be parked and waited in their lanes when the pass began. The pass does not see them.
    pub(super) in_place: u64,
    pub(super) found: VecDeque<ParkedRow>,
    pub(super) found_ms: u64,
    pub(super) resume_ms: Option<u64>,
    /// Up time in milliseconds at which the next retry sweep was due; `None` if none was.
    pub(super) sweep_ms: Option<u64>,
}

impl Pass {
    /// Creates a pass that has not begun. `sweep_ms` is the up time at which the next retry sweep is due, `None` if none is.
    pub(super) fn new(now_ms: u64, filter: Utf8, work: Work, sweep_ms: Option<u64>) -> Self {
        Self {
            filter,
            work,
            waits: true,
            until_ms: now_ms + WITHIN_MS,
            commits: false,
            left_out: None,
            count: ByHandCount::default(),
            in_place: 0,
            found: VecDeque::new(),
            found_ms: now_ms,
            resume_ms: None,
            sweep_ms,
        }
    }

    /// Makes the event of a pass that is over.
    pub(super) fn into_event(self) -> UplinkEvent {
        let Self { count, work, left_out, .. } = self;
        UplinkEvent::ByHand { count, dropped: work == Work::Drop, left_out }
    }
}

/// Returns whether `filter` matches `topic`. Here `#` also matches topics that begin with `$`, and empty ones.
pub(super) fn covers(filter: &str, topic: &str) -> bool {
    filter == "#" || matches(filter, topic)
}
