//! Subscriptions of all clients (§3.8, §4.7).
//!
//! Filters without wildcards, the most frequent kind, are found by one look-up; a message costs one hash, and one comparison with each wildcard
//! filter (some tens of nanoseconds).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::client::ClientKey;
use super::group_id::GroupId;
use super::shared_subscriptions::SharedSubscriptions;
use super::subscription_options::Options;
use super::sys_names::is_for_sys;
use crate::wire::{QoS, Subscription, Utf8, matches};

#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    exact: HashMap<Box<str>, BTreeMap<ClientKey, Options>>,
    wildcard: BTreeMap<Box<str>, BTreeMap<ClientKey, Options>>,
    /// Groups of shared subscriptions, whose members have their whole filters in `filters_of` too.
    pub(super) shared: SharedSubscriptions,
    filters_of: HashMap<ClientKey, BTreeSet<Box<str>>>,
}

/// Delivery of a message to one client, combined from all its matching filters (§3.3.4).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Match {
    /// Highest QoS of these filters; the message's own QoS is a second limit.
    pub(super) qos: QoS,
    pub(super) retain_as_published: bool,
    /// Subscription identifiers, of each matching subscription that has one.
    pub(super) identifiers: Vec<u32>,
}

/// Clients and groups that get a message.
#[derive(Debug)]
pub(super) struct Receivers {
    pub(super) subscribers: BTreeMap<ClientKey, Match>,
    pub(super) groups: Vec<GroupId>,
}

impl Receivers {
    pub(super) fn is_empty(&self) -> bool {
        self.subscribers.is_empty() && self.groups.is_empty()
    }
}

impl Subscriptions {
    /// Adds or replaces a subscription. Returns whether the filter is new for the client.
    pub(super) fn insert(
        &mut self,
        client: ClientKey,
        subscription: &Subscription,
        identifier: Option<u32>,
    ) -> bool {
        let filter: Box<str> = subscription.filter.as_str().into();
        let options = Options::of(subscription, identifier);
        if SharedSubscriptions::is_shared(&filter) {
            self.shared.insert(client, &filter, options);
        } else if is_wildcard(&filter) {
            self.wildcard.entry(filter.clone()).or_default().insert(client, options);
        } else {
            self.exact.entry(filter.clone()).or_default().insert(client, options);
        }
        self.filters_of.entry(client).or_default().insert(filter)
    }

    /// Removes a subscription. Returns whether there was one.
    pub(super) fn remove(&mut self, client: ClientKey, filter: &str) -> bool {
        let existed = self.filters_of.get_mut(&client).is_some_and(|filters| filters.remove(filter));
        if existed {
            self.take_out(client, filter);
        }
        existed
    }

    pub(super) fn remove_client(&mut self, client: ClientKey) {
        for filter in self.filters_of.remove(&client).unwrap_or_default() {
            self.take_out(client, &filter);
        }
    }

    /// Returns the subscriptions of a client, with their identifiers.
    pub(super) fn of(&self, client: ClientKey) -> impl Iterator<Item = (Subscription, Option<u32>)> {
        self.filters_of.get(&client).into_iter().flatten().filter_map(move |filter| {
            let options = self.options(client, filter)?;
            Some((options.subscription(Utf8::try_from(&**filter).ok()?), options.identifier))
        })
    }

    fn options(&self, client: ClientKey, filter: &str) -> Option<Options> {
        let clients = self.exact.get(filter).or_else(|| self.wildcard.get(filter));
        match clients {
            Some(clients) => clients.get(&client).copied(),
            None => self.shared.options(client, filter),
        }
    }

    pub(super) fn contains(&self, client: ClientKey, filter: &str) -> bool {
        self.filters_of.get(&client).is_some_and(|filters| filters.contains(filter))
    }

    pub(super) fn count(&self, client: ClientKey) -> usize {
        self.filters_of.get(&client).map_or(0, BTreeSet::len)
    }

    /// Returns the number of a client's shared subscriptions. Walks over its filters.
    pub(super) fn shared_count(&self, client: ClientKey) -> usize {
        let filters = self.filters_of.get(&client).into_iter().flatten();
        filters.filter(|filter| SharedSubscriptions::is_shared(filter)).count()
    }

    /// Bytes of a client's filters. Walks over them.
    pub(super) fn bytes(&self, client: ClientKey) -> usize {
        self.filters_of.get(&client).map_or(0, |filters| filters.iter().map(|filter| filter.len()).sum())
    }

    /// Number of filters with which a topic is compared: the different ones with wildcards, and those of the groups.
    pub(super) fn compared_filters(&self) -> usize {
        self.wildcard.len() + self.shared.len()
    }

    /// Returns the clients and groups that get a message of `publisher`, see [`matching`](Self::matching).
    pub(super) fn receivers(&self, topic: &str, publisher: Option<ClientKey>) -> Receivers {
        Receivers { subscribers: self.matching(topic, publisher), groups: self.shared.matching(topic) }
    }

    /// Returns whether a client has a filter for `$SYS` topics.
    pub(super) fn is_for_sys(&self, client: ClientKey) -> bool {
        self.filters_of.get(&client).is_some_and(|filters| filters.iter().any(|filter| is_for_sys(filter)))
    }

    /// Returns the clients that get a message of `publisher` for subscriptions of their own, each once, in their order. `None`: the
    /// application publishes it.
    pub(super) fn matching(&self, topic: &str, publisher: Option<ClientKey>) -> BTreeMap<ClientKey, Match> {
        let mut found = BTreeMap::new();
        let exact = self.exact.get(topic).into_iter();
        let wildcard = self.wildcard.iter().filter(|(filter, _)| matches(filter, topic));
        for clients in exact.chain(wildcard.map(|(_, clients)| clients)) {
            for (client, options) in clients {
                if options.no_local && publisher == Some(*client) {
                    continue;
                }
                let entry: &mut Match = found.entry(*client).or_default();
                entry.qos = entry.qos.max(options.qos);
                entry.retain_as_published |= options.retain_as_published;
                entry.identifiers.extend(options.identifier);
            }
        }
        found
    }

    fn take_out(&mut self, client: ClientKey, filter: &str) {
        if let Some(clients) = self.exact.get_mut(filter) {
            clients.remove(&client);
            if clients.is_empty() {
                self.exact.remove(filter);
            }
        } else if let Some(clients) = self.wildcard.get_mut(filter) {
            clients.remove(&client);
            if clients.is_empty() {
                self.wildcard.remove(filter);
            }
        } else {
            self.shared.remove(client, filter);
        }
    }
}

fn is_wildcard(filter: &str) -> bool {
    filter.bytes().any(|b| matches!(b, b'+' | b'#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ClientKey = ClientKey(1);
    const B: ClientKey = ClientKey(2);

    fn filter(text: &str, qos: QoS) -> Subscription {
        Subscription::new(Utf8::try_from(text).unwrap(), qos)
    }

    #[test]
    fn overlapping_filters_of_a_client_are_one_delivery_with_the_highest_qos() {
        let mut subscriptions = Subscriptions::default();
        assert!(subscriptions.insert(A, &filter("a/+", QoS::AtMostOnce), Some(7)));
        assert!(subscriptions.insert(A, &filter("a/b", QoS::AtLeastOnce), Some(8)));
        assert!(subscriptions.insert(B, &filter("#", QoS::AtMostOnce), None));
        let found = subscriptions.matching("a/b", None);
        assert_eq!(found.keys().copied().collect::<Vec<_>>(), [A, B]);
        assert_eq!(found[&A].qos, QoS::AtLeastOnce);
        assert_eq!(found[&A].identifiers, [8, 7]);
        assert_eq!(subscriptions.matching("$SYS/x", None).len(), 0);
    }

    #[test]
    fn replaced_removed_and_forgotten() {
        let mut subscriptions = Subscriptions::default();
        subscriptions.insert(A, &filter("a", QoS::AtMostOnce), None);
        assert!(!subscriptions.insert(A, &filter("a", QoS::AtLeastOnce), None));
        assert_eq!(subscriptions.matching("a", None)[&A].qos, QoS::AtLeastOnce);
        assert!(subscriptions.remove(A, "a") && !subscriptions.remove(A, "a"));
        subscriptions.insert(A, &filter("a/#", QoS::AtMostOnce), None);
        subscriptions.insert(B, &filter("a/#", QoS::AtMostOnce), None);
        subscriptions.remove_client(A);
        assert_eq!(subscriptions.matching("a", None).len(), 1);
        assert_eq!((subscriptions.count(A), subscriptions.count(B)), (0, 1));
        subscriptions.remove_client(B);
        assert!(subscriptions.exact.is_empty() && subscriptions.wildcard.is_empty());
    }

    #[test]
    fn no_local_is_of_the_filter_not_of_the_client() {
        let mut subscriptions = Subscriptions::default();
        let own = Subscription { no_local: true, ..filter("a", QoS::AtMostOnce) };
        subscriptions.insert(A, &own, None);
        assert_eq!(subscriptions.matching("a", Some(A)).len(), 0);
        assert_eq!(subscriptions.matching("a", Some(B)).len(), 1);
        subscriptions.insert(A, &filter("+", QoS::AtMostOnce), None);
        assert_eq!(subscriptions.matching("a", Some(A)).len(), 1);
    }
}
