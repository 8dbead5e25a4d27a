//! Filters to unsubscribe. The hub's session has a filter until its UNSUBSCRIBE has arrived, and a client does not send one again by itself (§4.4), so
//! what had no UNSUBACK is sent on the next connection, unless the hub closed each time.

use crate::wire::{PacketId, Utf8};

/// Closes by the hub in a row after which an unanswered UNSUBSCRIBE counts as their cause.
const CLOSES_MAX: u8 = 3;

#[derive(Debug, Clone, Default)]
pub(super) struct Unsubscribes {
    waiting: Vec<Utf8>,
    /// Those without an UNSUBACK.
    asked: Vec<(PacketId, Vec<Utf8>)>,
    closes_in_row: u8,
}

impl Unsubscribes {
    pub(super) fn add(&mut self, filter: Utf8) {
        self.waiting.push(filter);
    }

    /// Forgets a filter that is subscribed again.
    pub(super) fn forget(&mut self, filter: &Utf8) {
        self.waiting.retain(|other| other != filter);
        self.asked.iter_mut().for_each(|(_, filters)| filters.retain(|other| other != filter));
    }

    pub(super) fn take(&mut self) -> Vec<Utf8> {
        std::mem::take(&mut self.waiting)
    }

    /// Returns filters whose UNSUBSCRIBE could not be sent.
    pub(super) fn put_back(&mut self, filters: &[Utf8]) {
        self.waiting.extend_from_slice(filters);
    }

    pub(super) fn on_asked(&mut self, id: PacketId, filters: &[Utf8]) {
        self.asked.push((id, filters.to_vec()));
    }

    pub(super) fn on_unsuback(&mut self, id: PacketId) {
        self.closes_in_row = 0;
        self.asked.retain(|(asked, _)| *asked != id);
    }

    /// Handles a close by the hub. A filter at which it closes each time is left to its session.
    pub(super) fn on_hub_closed(&mut self) {
        if !self.asked.is_empty() {
            self.closes_in_row += 1;
        }
        if self.closes_in_row >= CLOSES_MAX {
            self.asked.clear();
            self.closes_in_row = 0;
        }
    }

    pub(super) fn on_connected(&mut self) {
        self.waiting.extend(self.asked.drain(..).flat_map(|(_, filters)| filters));
    }
}
