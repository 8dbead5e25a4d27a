//! Pass over the parked rows that a person asked for: its filter, its work, and its deadlines.

use std::collections::VecDeque;

use super::parked_list::ParkedRow;
use super::uplink_event::{ByHandCount, LeftOut, UplinkEvent};
use crate::wire::{Utf8, matches};

/// Milliseconds that found copies wait to be taken, and that a pass waits for the spool. Bounded because no parked row is sent meanwhile.
pub(super) const WITHIN_MS: u64 = 5_000;

/// Action of a pass on rows of matching topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    Copy,
    Drop,
    /// Leaves the rows as they are. Used when copies were not taken in time, because rows still have to be parked again in their order.
    Nothing,
}

/// Pass over the parked rows that a person asked for.
#[derive(Debug)]
pub(super) struct Pass {
    pub(super) filter: Utf8,
    pub(super) work: Work,
    /// Set until the pass begins, while a sweep is under way or rows are on their way to the parked ones.
    pub(super) waits: bool,
    /// Up time in milliseconds until which the pass waits for the spool.
    pub(super) until_ms: u64,
    /// Set while the drops are being made durable.
    pub(super) commits: bool,
    pub(super) left_out: Option<LeftOut>,
    pub(super) count: ByHandCount,
    /// Messages, by weight, that waited in their place when the pass began, and which it does not see.
    pub(super) in_place: u64,
    pub(super) found: VecDeque<ParkedRow>,
    pub(super) found_ms: u64,
    pub(super) resume_ms: Option<u64>,
    /// Up time in milliseconds at which the next sweep was due; `None` if none was.
    pub(super) sweep_ms: Option<u64>,
}

impl Pass {
    /// Creates a pass that has not begun. `sweep_ms`: up time at which the next sweep is due, `None` if none is.
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
