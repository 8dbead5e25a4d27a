//! Downlink, messages from the hub to the application: subscriptions, mapping to local topics, and PUBACKs that wait until the application has
//! handled the message (at least once).

use std::collections::{HashMap, HashSet};

use crate::session::Session;
use crate::wire::{PacketId, Publish, QoS, ReasonCode, RetainHandling, Subscription, Utf8, Version};

use super::backoff::Backoff;
use super::refused::suspect_filters::{SuspectFilters, filter_backoff};
use super::topic_rules::{Mapped, Rules};

mod asked;
mod unsubscribes;
mod wanted;
use asked::Asked;
use unsubscribes::Unsubscribes;
use wanted::Wanted;

/// Subscriptions at the hub, which belong to its session: a resumed session still has them, a new one does not.
#[derive(Debug, Clone, Default)]
pub(super) struct Downlink {
    rules: Rules,
    /// Filters that the application and the `in` rules subscribe to.
    wanted: Wanted,
    /// Filters the hub granted in its present session, as far as this process knows.
    granted: HashSet<Utf8>,
    /// Those of them that were granted in MQTT 3.1.1, whose subscriptions have no options (§3.8.3.1).
    without_options: HashSet<Utf8>,
    /// Filters whose subscription is to be removed before the next SUBSCRIBE, because some hubs, such as Mosquitto 2.0, take the QoS alone from a
    /// SUBSCRIBE of an existing filter, although it replaces the options too (§3.8.4).
    replaced: HashSet<Utf8>,
    /// MQTT version of the present connection, or of the last one.
    version: Option<Version>,
    asked: Asked,
    refused: HashMap<Utf8, RefusedFilter>,
    suspects: SuspectFilters,
    pub(super) unsubscribes: Unsubscribes,
}

/// Back-off of a subscription that the hub refused.
#[derive(Debug, Clone)]
struct RefusedFilter {
    reason: ReasonCode,
    due_ms: u64,
    backoff: Backoff,
}

/// Subscription that the hub refused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// Filter that the hub refused.
    pub filter: Utf8,
    /// Reason that the hub gave; 0x95 also if the filter fits into no packet that it takes.
    pub reason: ReasonCode,
}

impl Downlink {
    pub(super) fn new(rules: Rules) -> Self {
        let wanted =
            rules.iter().filter_map(|rule| Some(subscription(rule.remote_filter()?.clone(), rule.qos())));
        let mut downlink = Self::default();
        downlink.wanted.extend(wanted);
        downlink.rules = rules;
        downlink
    }

    /// Adds a filter of the application. Its messages keep the hub's topic. A filter that was added before is subscribed again if its QoS rises
    /// or its options change.
    pub(super) fn want(&mut self, mut wanted: Subscription) {
        self.unsubscribes.forget(&wanted.filter);
        let Some(own) = self.wanted.get_mut(&wanted.filter) else { return self.wanted.add(wanted) };
        let options = |of: &Subscription| (of.no_local, of.retain_as_published);
        if own.qos < wanted.qos || options(own) != options(&wanted) {
            wanted.qos = wanted.qos.max(own.qos);
            *own = wanted.clone();
            self.forget_answer(&wanted.filter);
        }
    }

    /// Discards the hub's SUBACK for this filter, received or still to come, because a newer request replaces it.
    fn forget_answer(&mut self, filter: &Utf8) {
        self.granted.remove(filter);
        self.refused.remove(filter);
        self.suspects.clear(filter);
        self.asked.forget(filter);
    }

    /// Subscribes again to a filter of the application, so that the hub sends its retained messages. Does nothing for a filter of an `in`
    /// rule.
    pub(super) fn renew(&mut self, filter: &Utf8) {
        if self.is_of_rule(filter) {
            return;
        }
        if let Some(wanted) = self.wanted.get_mut(filter) {
            wanted.retain_handling = RetainHandling::Send;
            self.granted.remove(filter);
        }
    }

    fn is_of_rule(&self, filter: &Utf8) -> bool {
        self.rules.iter().any(|rule| rule.remote_filter() == Some(filter))
    }

    /// Unsubscribes a filter of the application. Does nothing for a filter that an `in` rule needs.
    pub(super) fn unwant(&mut self, filter: &Utf8) {
        if self.is_of_rule(filter) {
            return;
        }
        self.wanted.remove(filter);
        self.forget_answer(filter);
        self.unsubscribes.add(filter.clone());
    }

    /// Filters suspected to make the hub close the connection. A new connection does not subscribe to them at once.
    pub(super) fn suspects(&self) -> Vec<Refused> {
        self.suspects.iter().map(refused).filter(|refused| may_be_a_filter(refused.reason)).collect()
    }

    /// Returns whether there are subscriptions, so that messages may come.
    pub(super) fn listens(&self) -> bool {
        self.wanted.len() > 0
    }

    /// Notes that a connection is up; returns the filters that the hub has not granted in this session. A resumed session is not asked again, which
    /// would only bring every retained message once more, but in MQTT 5 for filters with options that were granted in 3.1.1: without No Local a bridge
    /// would get its own messages back for as long as the session lives.
    pub(super) fn on_connected(&mut self, now_ms: u64, resumed: bool, version: Version) -> Vec<Subscription> {
        self.replaced.clear();
        if !resumed {
            self.granted.clear();
            self.without_options.clear();
        }
        if version == Version::V5 {
            let has_options = |s: &&Subscription| s.no_local || s.retain_as_published;
            let with_options = self.wanted.iter().filter(has_options).map(|s| &s.filter);
            self.replaced =
                with_options.filter(|filter| self.without_options.contains(*filter)).cloned().collect();
            self.granted.retain(|filter| !self.replaced.contains(filter));
        }
        self.version = Some(version);
        self.asked = Asked::default();
        // Some were unsubscribed to be subscribed with other options.
        self.unsubscribes.on_connected(|filter| self.wanted.contains(filter));
        self.suspects.on_connected(now_ms);
        self.refused.values_mut().for_each(|filter| filter.due_ms = now_ms);
        self.missing(now_ms)
    }

    /// Number of filters that the hub granted in its present session, as far as this process knows.
    pub(super) fn granted(&self) -> usize {
        self.granted.len()
    }

    /// Up time, in milliseconds, of the next attempt to subscribe to a refused filter; `None` if there is none.
    pub(super) fn next_deadline(&self, session: &Session) -> Option<u64> {
        let waiting =
            self.refused.iter().filter(|(filter, _)| session.is_open() && !self.asked.contains(filter));
        let suspect = self.suspects.next().filter(|_| session.is_open() && self.asked.is_empty());
        waiting.map(|(_, filter)| filter.due_ms).chain(suspect.map(|(due_ms, _)| due_ms)).min()
    }

    /// Handles a close by the hub. Returns `None` if every SUBSCRIBE had its SUBACK. Otherwise a filter, and not a message, is taken for the
    /// cause, and the filters are returned that count as refused from now on.
    pub(super) fn on_hub_closed(&mut self, now_ms: u64, reason: ReasonCode) -> Option<Vec<Refused>> {
        self.unsubscribes.on_hub_closed();
        let asked = self.asked.take();
        if asked.is_empty() {
            return None;
        }
        let new = self.suspects.on_hub_closed(now_ms, asked, reason);
        // It has one delay, not two.
        for filter in &new {
            self.refused.remove(filter);
        }
        let new = new.into_iter().map(|filter| Refused { filter, reason });
        Some(new.filter(|refused| may_be_a_filter(refused.reason)).collect())
    }

    /// Returns those of these filters that are to be unsubscribed before they are subscribed.
    pub(super) fn take_replaced(&mut self, filters: &[Subscription]) -> Vec<Utf8> {
        filters.iter().filter_map(|s| self.replaced.take(&s.filter)).collect()
    }

    /// Filters to subscribe to now. A suspected filter is subscribed to only when no other filter is left.
    pub(super) fn missing(&self, now_ms: u64) -> Vec<Subscription> {
        if self.granted.len() == self.wanted.len() {
            return Vec::new();
        }
        let waits = |filter: &Utf8| self.refused.get(filter).is_some_and(|refused| refused.due_ms > now_ms);
        let is_open = |filter: &Utf8| !self.granted.contains(filter) && !self.asked.contains(filter);
        let open = self.wanted.iter().filter(|s| is_open(&s.filter));
        let open = open.filter(|s| !waits(&s.filter)).cloned();
        let (suspects, open): (Vec<_>, Vec<_>) = open.partition(|s| self.suspects.contains(&s.filter));
        if !open.is_empty() || !self.asked.is_empty() {
            return open;
        }
        let next = self.suspects.next().filter(|(due_ms, _)| *due_ms <= now_ms);
        suspects.into_iter().filter(|s| next.is_some_and(|(_, filter)| *filter == s.filter)).collect()
    }

    pub(super) fn on_asked(&mut self, id: PacketId, filters: &[Subscription]) {
        self.asked.add(id, filters.iter().map(|s| s.filter.clone()).collect());
    }

    /// Defers filters whose SUBSCRIBE could not be sent, so that they are not tried in a tight loop.
    pub(super) fn on_not_asked(&mut self, now_ms: u64, filters: &[Subscription]) {
        for Subscription { filter, .. } in filters {
            if let Some(refused) = self.refused.get_mut(filter) {
                refused.due_ms = now_ms + refused.backoff.next_ms();
            }
            self.suspects.put_off(now_ms, filter);
        }
    }

    /// Subscriptions that the hub refuses, or at which it closes the connection.
    pub(super) fn refused(&self) -> Vec<Refused> {
        let answered = self.refused.iter().map(|(filter, answer)| (filter, answer.reason));
        let suspects = self.suspects.iter().filter(|(_, reason)| may_be_a_filter(*reason));
        let mut all: Vec<_> = answered.chain(suspects).map(refused).collect();
        all.sort_by(|a, b| a.filter.cmp(&b.filter));
        all.dedup_by(|a, b| a.filter == b.filter);
        all
    }

    /// Handles a SUBACK and returns the filters whose refusal is new, or has another reason than before. A refused filter is asked for again
    /// after its back-off and on the next connection.
    pub(super) fn on_suback(&mut self, now_ms: u64, id: PacketId, reasons: &[ReasonCode]) -> Vec<Refused> {
        let mut refused = Vec::new();
        for (filter, reason) in self.asked.answer(id).into_iter().zip(reasons) {
            let Some(filter) = filter else { continue };
            self.suspects.clear(&filter);
            if !reason.is_error() {
                self.refused.remove(&filter);
                match self.version {
                    Some(Version::V311) => self.without_options.insert(filter.clone()),
                    _ => self.without_options.remove(&filter),
                };
                self.granted.insert(filter);
                continue;
            }
            refused.extend(self.refuse(now_ms, &filter, *reason));
        }
        refused
    }

    /// Notes that a filter is refused, by the hub or by its limits; returns it if that is new, or has another reason than before.
    pub(super) fn refuse(&mut self, now_ms: u64, filter: &Utf8, reason: ReasonCode) -> Option<Refused> {
        // It has one delay, not two.
        self.suspects.remove(filter);
        let known = self.refused.get(filter).map(|refused| refused.reason);
        let backoff = filter_backoff(filter);
        let entry = self.refused.entry(filter.clone());
        let entry = entry.or_insert_with(|| RefusedFilter { reason, due_ms: 0, backoff });
        (entry.reason, entry.due_ms) = (reason, now_ms + entry.backoff.next_ms());
        (known != Some(reason)).then(|| Refused { filter: filter.clone(), reason })
    }

    /// Gives a message its local topic, and the smaller of its QoS and the rule's. A message of the application's own subscription, which no rule
    /// maps, is unchanged.
    pub(super) fn local(&self, publish: Publish) -> Publish {
        match self.rules.map_in(&publish.topic) {
            Some(Mapped { topic, qos }) => Publish { topic, qos: publish.qos.min(qos), ..publish },
            None => publish,
        }
    }
}

/// Returns whether a DISCONNECT with this reason can be about a filter. With another, such as that of a hub that shuts down, a suspect waits as
/// ever, but is not told as refused.
fn may_be_a_filter(reason: ReasonCode) -> bool {
    matches!(
        reason,
        ReasonCode::NO_REASON
            | ReasonCode::UNSPECIFIED_ERROR
            | ReasonCode::MALFORMED_PACKET
            | ReasonCode::PROTOCOL_ERROR
            | ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR
            | ReasonCode::NOT_AUTHORIZED
            | ReasonCode::TOPIC_FILTER_INVALID
            | ReasonCode::PACKET_TOO_LARGE
            | ReasonCode::QUOTA_EXCEEDED
            | ReasonCode::QOS_NOT_SUPPORTED
            | ReasonCode::SHARED_SUBSCRIPTIONS_NOT_SUPPORTED
            | ReasonCode::SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED
            | ReasonCode::WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED
    )
}

fn refused((filter, reason): (&Utf8, ReasonCode)) -> Refused {
    Refused { filter: filter.clone(), reason }
}

/// Subscription to a filter with default options: retained messages only if the subscription is new.
pub(crate) fn subscription(filter: Utf8, qos: QoS) -> Subscription {
    Subscription { retain_handling: RetainHandling::SendIfNew, ..Subscription::new(filter, qos) }
}

#[cfg(test)]
mod tests;
