//! SUBSCRIBE and UNSUBSCRIBE, in packets as large as the hub takes (Maximum Packet Size).

use super::super::Event;
use super::super::packing::pack::Pack;
use super::super::spool::Spool;
use super::{Connection, Now, Output, Parts};
use crate::session::RequestError;
use crate::wire::{ReasonCode, Subscription, Utf8};

impl Connection {
    pub(super) fn subscribe<S: Spool, P: Pack>(&mut self, now: Now, parts: &mut Parts<'_, S, P>) {
        let unwanted = parts.downlink.take_unwanted();
        self.unsubscribe(now, &unwanted, parts);
        let filters = parts.downlink.missing(now.up_ms);
        self.ask(now, &filters, parts);
    }

    fn unsubscribe<S: Spool, P: Pack>(&mut self, now: Now, filters: &[Utf8], parts: &mut Parts<'_, S, P>) {
        if filters.is_empty() {
            return;
        }
        match self.session.unsubscribe(now.up_ms, filters.to_vec()) {
            Ok(id) => parts.downlink.on_unsubscribed(id, filters),
            Err(RequestError::TooLarge { .. }) if filters.len() > 1 => {
                let (first, second) = filters.split_at(filters.len() / 2);
                self.unsubscribe(now, first, parts);
                self.unsubscribe(now, second, parts);
            }
            // A SUBSCRIBE of this filter would be larger still: the hub has never had it.
            Err(RequestError::TooLarge { .. }) => {}
            Err(_) => parts.downlink.put_unwanted(filters),
        }
    }

    pub(super) fn ask<S: Spool, P: Pack>(
        &mut self,
        now: Now,
        filters: &[Subscription],
        parts: &mut Parts<'_, S, P>,
    ) {
        if filters.is_empty() {
            return;
        }
        let replaced = parts.downlink.take_replaced(filters);
        self.unsubscribe(now, &replaced, parts);
        match self.session.subscribe(now.up_ms, filters.to_vec()) {
            Ok(id) => parts.downlink.on_asked(id, filters),
            Err(RequestError::TooLarge { .. }) if filters.len() > 1 => {
                let (first, second) = filters.split_at(filters.len() / 2);
                self.ask(now, first, parts);
                self.ask(now, second, parts);
            }
            Err(RequestError::TooLarge { .. }) => {
                for Subscription { filter, .. } in filters {
                    let refused = parts.downlink.refuse(now.up_ms, filter, ReasonCode::PACKET_TOO_LARGE);
                    let events = refused.map(|refused| Output::Event(Event::SubscriptionRefused(refused)));
                    parts.out.extend(events);
                }
                parts.stats.refused_subscriptions = parts.downlink.refused();
            }
            Err(error) => {
                tracing::debug!(%error, "subscribe");
                parts.downlink.on_not_asked(now.up_ms, filters);
            }
        }
    }
}
