//! State of an operator's pass over the parked rows: topic filter, action and deadlines.

use std::collections::VecDeque;

use crate::bridge::uplink_event::{ByHandCount, LeftOut, UplinkEvent};
use crate::wire::{Utf8, matches};

use super::parked_list::ParkedRow;

/// Milliseconds that found copies wait for the caller, and that a pass waits for the spool. Bounded because no parked row is sent meanwhile.
pub(in crate::bridge) const WITHIN_MS: u64 = 5_000;

/// Action of a pass on rows of matching topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bridge) enum Work {
    Copy,
    Drop,
    /// Leaves the rows parked. Used when the caller did not take copies in time: the pass still has to park the rows it leased again, in their
    /// order.
    Nothing,
}

/// Operator's pass over the parked rows.
#[derive(Debug, Clone)]
pub(in crate::bridge) struct Pass {
    pub(in crate::bridge) filter: Utf8,
    pub(in crate::bridge) work: Work,
    /// Set until the pass begins, because a retry sweep is under way or rows are being parked.
    pub(in crate::bridge) waits: bool,
    /// Up time in milliseconds until which the pass waits for the spool.
    pub(in crate::bridge) until_ms: u64,
    /// Set while the drops are being made durable.
    pub(in crate::bridge) commits: bool,
    pub(in crate::bridge) left_out: Option<LeftOut>,
    pub(in crate::bridge) count: ByHandCount,
    /// Weight of the refused messages that could not be parked and waited in their lanes when the pass began. The pass does not see them.
    pub(in crate::bridge) in_place: u64,
    pub(in crate::bridge) found: VecDeque<ParkedRow>,
    pub(in crate::bridge) found_ms: u64,
    pub(in crate::bridge) resume_ms: Option<u64>,
    /// Up time in milliseconds at which the next retry sweep was due; `None` if none was.
    pub(in crate::bridge) sweep_ms: Option<u64>,
}

impl Pass {
    /// Creates a pass that has not begun. `sweep_ms` is the up time at which the next retry sweep is due, `None` if none is.
    pub(in crate::bridge) fn new(now_ms: u64, filter: Utf8, work: Work, sweep_ms: Option<u64>) -> Self {
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
    pub(in crate::bridge) fn into_event(self) -> UplinkEvent {
        let Self { count, work, left_out, .. } = self;
        UplinkEvent::ByHand { count, dropped: work == Work::Drop, left_out }
    }
}

/// Returns whether `filter` matches `topic`. Here `#` also matches topics that begin with `$`, and empty ones.
pub(in crate::bridge) fn covers(filter: &str, topic: &str) -> bool {
    filter == "#" || matches(filter, topic)
}
