//! Reports of damage: each loss becomes one event. While no consumer is registered only the first 256 losses do.

use std::collections::BTreeSet;

use crate::event::Event;
use crate::row::Seq;

/// Most losses that are reported while no consumer is registered.
const TOLD_MAX: usize = 256;

/// Losses to be reported to the operator.
#[derive(Default)]
pub(super) struct LossReport {
    /// Events of losses that are not in the queue's list of events yet.
    events: Vec<Event>,
    /// Losses, by lane and first number, that were reported while no consumer was registered.
    told: BTreeSet<(usize, Seq)>,
}

impl LossReport {
    pub(super) fn put(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Returns whether to report a loss found while no consumer is registered: once, although every read finds it again.
    pub(super) fn is_news(&mut self, lane: usize, first: Seq) -> bool {
        self.told.len() < TOLD_MAX && self.told.insert((lane, first))
    }

    /// Takes the events since the last call.
    pub(super) fn take(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }
}
