//! From the hub to here: what to subscribe to, under which local name, and the PUBACK only when the application is done (at least once).

use std::collections::HashSet;

use super::rules::{Mapped, Rules};
use crate::wire::{PacketId, Publish, QoS, ReasonCode, RetainHandling, Subscription, Utf8};

/// The subscriptions at the hub. They belong to the session: a resumed one has them, a lost one does not.
#[derive(Debug, Default)]
pub(super) struct Downlink {
    rules: Rules,
    /// Wanted filters, in the order of the requests.
    wanted: Vec<Subscription>,
    /// Filters the hub granted in its present session, as far as this process knows.
    granted: HashSet<Utf8>,
    asked: Vec<(PacketId, Vec<Utf8>)>,
}

/// A filter that the hub refused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// Which.
    pub filter: Utf8,
    /// Why.
    pub reason: ReasonCode,
}

impl Downlink {
    pub(super) fn new(rules: Rules) -> Self {
        let wanted =
            rules.iter().filter_map(|rule| Some(subscription(rule.remote_filter()?.clone(), rule.qos())));
        Self { wanted: wanted.collect(), rules, ..Self::default() }
    }

    /// Adds a filter of the application's, under whose topics messages keep their name.
    pub(super) fn want(&mut self, filter: Utf8, qos: QoS) {
        if !self.wanted.iter().any(|s| s.filter == filter) {
            self.wanted.push(subscription(filter, qos));
        }
    }

    /// A connection is up. Filters that the hub has not granted in this session; a resumed one is not asked again, which would only
    /// bring every retained message once more.
    pub(super) fn on_connected(&mut self, resumed: bool) -> Vec<Subscription> {
        if !resumed {
            self.granted.clear();
        }
        self.asked.clear();
        self.missing()
    }

    /// Filters to ask for now.
    pub(super) fn missing(&self) -> Vec<Subscription> {
        let asked = |filter: &Utf8| self.asked.iter().any(|(_, filters)| filters.contains(filter));
        let open = self.wanted.iter().filter(|s| !self.granted.contains(&s.filter) && !asked(&s.filter));
        open.cloned().collect()
    }

    pub(super) fn on_asked(&mut self, id: PacketId, filters: &[Subscription]) {
        self.asked.push((id, filters.iter().map(|s| s.filter.clone()).collect()));
    }

    /// SUBACK: what was refused. A refused filter is asked for again on the next connection.
    pub(super) fn on_suback(&mut self, id: PacketId, reasons: &[ReasonCode]) -> Vec<Refused> {
        let Some(at) = self.asked.iter().position(|(asked, _)| *asked == id) else { return Vec::new() };
        let (_, filters) = self.asked.swap_remove(at);
        let mut refused = Vec::new();
        for (filter, reason) in filters.into_iter().zip(reasons) {
            if reason.is_error() {
                refused.push(Refused { filter, reason: *reason });
            } else {
                self.granted.insert(filter);
            }
        }
        refused
    }

    /// The message under its local name, and the QoS to publish it with. What no rule maps, an application's own filter asked for.
    pub(super) fn local(&self, publish: Publish) -> Publish {
        match self.rules.map_in(&publish.topic) {
            Some(Mapped { topic, qos }) => Publish { topic, qos: publish.qos.min(qos), ..publish },
            None => publish,
        }
    }
}

fn subscription(filter: Utf8, qos: QoS) -> Subscription {
    // QoS 2 is not implemented: a rule that asks for it gets QoS 1, and `check` says so.
    let qos = qos.min(QoS::AtLeastOnce);
    Subscription { retain_handling: RetainHandling::SendIfNew, ..Subscription::new(filter, qos) }
}

#[cfg(test)]
mod tests {
    use super::super::rules::Rule;
    use super::*;

    fn downlink() -> Downlink {
        Downlink::new(Rules::new(vec![Rule::parse("# in 1 cmd/ hub/site7/cmd/").unwrap()]))
    }

    #[test]
    fn a_resumed_session_is_not_asked_again() {
        let mut downlink = downlink();
        let filters = downlink.on_connected(false);
        assert_eq!(filters.len(), 1);
        downlink.on_asked(PacketId::MIN, &filters);
        assert!(downlink.missing().is_empty());
        assert!(downlink.on_suback(PacketId::MIN, &[ReasonCode::GRANTED_QOS_1]).is_empty());
        assert!(downlink.on_connected(true).is_empty());
        assert_eq!(downlink.on_connected(false).len(), 1);
    }

    #[test]
    fn a_refused_filter_is_said_and_asked_for_again() {
        let mut downlink = downlink();
        let filters = downlink.on_connected(false);
        downlink.on_asked(PacketId::MIN, &filters);
        let refused = downlink.on_suback(PacketId::MIN, &[ReasonCode::NOT_AUTHORIZED]);
        assert_eq!(refused[0].filter, "hub/site7/cmd/#");
        assert_eq!(downlink.on_connected(true).len(), 1);
    }
}
