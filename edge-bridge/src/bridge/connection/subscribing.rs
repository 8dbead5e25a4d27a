//! SUBSCRIBE and UNSUBSCRIBE, in packets as large as the hub takes (Maximum Packet Size).

use super::super::Event;
use super::super::packing::pack::Pack;
use super::super::spool::Spool;
use super::{Connection, Now, Output, Parts};
use crate::session::RequestError;
use crate::wire::{PacketId, ReasonCode, Subscription, Utf8};

impl Connection {
    pub(super) fn subscribe<S: Spool, P: Pack>(&mut self, now: Now, parts: &mut Parts<'_, S, P>) {
        self.unsubscribe_unwanted(now, parts);
        let filters = parts.downlink.missing(now.up_ms);
        self.ask(now, &filters, parts);
    }

    pub(super) fn unsubscribe_unwanted<S: Spool, P: Pack>(&mut self, now: Now, parts: &mut Parts<'_, S, P>) {
        let unwanted = parts.downlink.unsubscribes.take();
        self.unsubscribe(now, &unwanted, parts);
    }

    fn unsubscribe<S: Spool, P: Pack>(&mut self, now: Now, filters: &[Utf8], parts: &mut Parts<'_, S, P>) {
        let unsubscribes = &mut parts.downlink.unsubscribes;
        // A SUBSCRIBE of a filter that fits into no packet would be larger still: the hub has never had it.
        let _ = in_packets(filters, &mut |filters| {
            let sent = self.session.unsubscribe(now.up_ms, filters.to_vec());
            unless_too_large(sent, |sent| match sent {
                Ok(id) => unsubscribes.on_asked(id, filters),
                Err(_) => unsubscribes.put_back(filters),
            })
        });
    }

    pub(super) fn ask<S: Spool, P: Pack>(
        &mut self,
        now: Now,
        filters: &[Subscription],
        parts: &mut Parts<'_, S, P>,
    ) {
        let replaced = parts.downlink.take_replaced(filters);
        self.unsubscribe(now, &replaced, parts);
        let too_large = in_packets(filters, &mut |filters| {
            let sent = self.session.subscribe(now.up_ms, filters.to_vec());
            unless_too_large(sent, |sent| match sent {
                Ok(id) => parts.downlink.on_asked(id, filters),
                Err(error) => {
                    tracing::debug!(%error, "subscribe");
                    parts.downlink.on_not_asked(now.up_ms, filters);
                }
            })
        });
        for Subscription { filter, .. } in &too_large {
            let refused = parts.downlink.refuse(now.up_ms, filter, ReasonCode::PACKET_TOO_LARGE);
            parts.out.extend(refused.map(|refused| Output::Event(Event::SubscriptionRefused(refused))));
        }
        if !too_large.is_empty() {
            parts.stats.refused_subscriptions = parts.downlink.refused();
        }
    }
}

/// Calls `send` with all filters or, where their packet is too large and it returns `false`, with halves of them. Returns those that fit into no packet.
fn in_packets<'a, T>(filters: &'a [T], send: &mut impl FnMut(&[T]) -> bool) -> Vec<&'a T> {
    match filters {
        [] => Vec::new(),
        _ if send(filters) => Vec::new(),
        [alone] => vec![alone],
        _ => {
            let (first, second) = filters.split_at(filters.len() / 2);
            let mut too_large = in_packets(first, send);
            too_large.extend(in_packets(second, send));
            too_large
        }
    }
}

/// Calls `then` with the outcome of a request, unless its packet is too large; returns whether it was called.
fn unless_too_large(
    sent: Result<PacketId, RequestError>,
    then: impl FnOnce(Result<PacketId, RequestError>),
) -> bool {
    let is_too_large = matches!(sent, Err(RequestError::TooLarge { .. }));
    if !is_too_large {
        then(sent);
    }
    !is_too_large
}
