//! Reports of damage: each loss is one event. While nobody is registered whom it costs anything, so are the first 256.

use std::collections::BTreeSet;

use crate::event::Event;
use crate::row::Seq;

/// Losses told of while there is no consumer, at most; no event tells of more until somebody is registered.
const TOLD_MAX: usize = 256;

/// Losses that an operator hears of.
#[derive(Default)]
pub(super) struct LossReport {
    /// Losses that no event tells of yet.
    events: Vec<Event>,
    /// Losses, by lane and first number, that were told while nobody was registered.
    told: BTreeSet<(usize, Seq)>,
}

impl LossReport {
    pub(super) fn put(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Claims the report of a loss that costs nobody anything yet: every read of it finds it again.
    pub(super) fn is_news(&mut self, lane: usize, first: Seq) -> bool {
        self.told.len() < TOLD_MAX && self.told.insert((lane, first))
    }

    /// Takes the events since the last call.
    pub(super) fn take(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }
}
