//! Subscriptions that are wanted, in the order of the requests, and found by their filter.

use std::collections::{BTreeMap, HashMap};

use crate::wire::{Subscription, Utf8};

#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    in_order: BTreeMap<u64, Subscription>,
    places: HashMap<Utf8, u64>,
    next: u64,
}

impl Wanted {
    /// Adds a subscription whose filter is not there yet.
    pub(super) fn add(&mut self, wanted: Subscription) {
        self.places.insert(wanted.filter.clone(), self.next);
        self.in_order.insert(self.next, wanted);
        self.next += 1;
    }

    pub(super) fn get_mut(&mut self, filter: &Utf8) -> Option<&mut Subscription> {
        self.in_order.get_mut(self.places.get(filter)?)
    }

    pub(super) fn remove(&mut self, filter: &Utf8) {
        if let Some(place) = self.places.remove(filter) {
            self.in_order.remove(&place);
        }
    }

    pub(super) fn contains(&self, filter: &Utf8) -> bool {
        self.places.contains_key(filter)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Subscription> {
        self.in_order.values()
    }

    pub(super) fn len(&self) -> usize {
        self.in_order.len()
    }
}

impl Extend<Subscription> for Wanted {
    fn extend<T: IntoIterator<Item = Subscription>>(&mut self, all: T) {
        for wanted in all {
            match self.get_mut(&wanted.filter) {
                // Of two rules with one filter neither gets less than it asks for.
                Some(own) => own.qos = own.qos.max(wanted.qos),
                None => self.add(wanted),
            }
        }
    }
}
