//! Filters to unsubscribe. The hub's session has a filter until its UNSUBSCRIBE has arrived, and a client does not send one again by itself (§4.4), so
//! what had no UNSUBACK is sent on the next connection, unless the hub closed each time.

use std::collections::BTreeSet;

use crate::wire::{PacketId, ReasonCode, Utf8};

/// Closes by the hub in a row after which an unanswered UNSUBSCRIBE counts as their cause.
const CLOSES_MAX: u8 = 3;

#[derive(Debug, Clone, Default)]
pub(in crate::bridge) struct Unsubscribes {
    waiting: BTreeSet<Utf8>,
    /// Those without an UNSUBACK.
    asked: Vec<(PacketId, Vec<Utf8>)>,
    /// Those that the hub refused, or at which it closed: its session may have them for as long as the link lives.
    given_up: BTreeSet<Utf8>,
    closes_in_row: u8,
}

impl Unsubscribes {
    pub(super) fn add(&mut self, filter: Utf8) {
        self.given_up.remove(&filter);
        self.waiting.insert(filter);
    }

    /// Forgets a filter that is subscribed again. What was asked and has no answer is left out by [`on_connected`](Self::on_connected).
    pub(super) fn forget(&mut self, filter: &Utf8) {
        self.given_up.remove(filter);
        self.waiting.remove(filter);
    }

    /// Returns whether the UNSUBSCRIBE of a filter is still to be sent, or has no UNSUBACK that says that it is gone.
    pub(in crate::bridge) fn contains(&self, filter: &Utf8) -> bool {
        let is_open = self.waiting.contains(filter) || self.given_up.contains(filter);
        is_open || self.asked.iter().any(|(_, filters)| filters.contains(filter))
    }

    /// Takes the filters for an UNSUBSCRIBE out of the list.
    pub(in crate::bridge) fn take(&mut self) -> Vec<Utf8> {
        std::mem::take(&mut self.waiting).into_iter().collect()
    }

    /// Returns filters to the list, because their UNSUBSCRIBE could not be sent.
    pub(in crate::bridge) fn put_back(&mut self, filters: &[Utf8]) {
        self.waiting.extend(filters.iter().cloned());
    }

    pub(in crate::bridge) fn on_asked(&mut self, id: PacketId, filters: &[Utf8]) {
        self.asked.push((id, filters.to_vec()));
    }

    /// Handles an UNSUBACK. `reasons` are those of the filters in their order, none in 3.1.1.
    pub(in crate::bridge) fn on_unsuback(&mut self, id: PacketId, reasons: &[ReasonCode]) {
        self.closes_in_row = 0;
        for (_, filters) in self.asked.extract_if(.., |(asked, _)| *asked == id) {
            let refused = filters.into_iter().zip(reasons).filter(|(_, reason)| reason.is_error());
            self.given_up.extend(refused.map(|(filter, _)| filter));
        }
    }

    /// Handles a close by the hub. A filter at which it closes each time is left to its session.
    pub(super) fn on_hub_closed(&mut self) {
        if !self.asked.is_empty() {
            self.closes_in_row += 1;
        }
        if self.closes_in_row >= CLOSES_MAX {
            self.given_up.extend(self.asked.drain(..).flat_map(|(_, filters)| filters));
            self.closes_in_row = 0;
        }
    }

    /// Notes that a connection is up: what had no UNSUBACK is sent again, unless it is subscribed again by now.
    pub(super) fn on_connected(&mut self, is_wanted: impl Fn(&Utf8) -> bool) {
        self.waiting.extend(self.asked.drain(..).flat_map(|(_, filters)| filters));
        self.waiting.retain(|filter| !is_wanted(filter));
    }
}
