//! Shared subscriptions (§4.8.2), `$share/GROUP/FILTER`: groups of clients, of which one gets each message that the filter matches. One `GROUP` with
//! two filters is two groups.
//!
//! A message costs one comparison with the filter of each group, as with wildcard filters.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use super::client::ClientKey;
use super::group_id::GroupId;
use super::subscription_options::Options;
use crate::wire::{SharedFilter, matches};

/// Prefix of filters of shared subscriptions.
const PREFIX: &str = "$share/";
/// Number of groups that can be told apart, 24 bits, for which there is room in the token of a message in flight.
const NUMBERS: u32 = 1 << 24;

#[derive(Debug)]
struct Group {
    /// The whole filter, with the prefix and the group's name.
    name: Arc<str>,
    members: BTreeMap<ClientKey, Options>,
    /// Member that was chosen last.
    last: Option<ClientKey>,
}

impl Group {
    /// Filter against which topics are matched. The name was parsed when the group was added.
    fn filter(&self) -> &str {
        self.name.get(PREFIX.len()..).and_then(|rest| rest.split_once('/')).map_or("", |(_, filter)| filter)
    }
}

/// All groups, by number and by whole filter, see the [module](self).
#[derive(Debug, Default)]
pub(super) struct SharedSubscriptions {
    groups: BTreeMap<GroupId, Group>,
    ids: HashMap<Arc<str>, GroupId>,
    latest: u32,
}

impl SharedSubscriptions {
    /// Returns whether a filter is one of a shared subscription.
    pub(super) fn is_shared(filter: &str) -> bool {
        matches!(SharedFilter::parse(filter), Ok(Some(_)))
    }

    /// Adds a member to the group of a filter, or replaces its options.
    pub(super) fn insert(&mut self, client: ClientKey, filter: &str, options: Options) {
        let id = self.id(filter).unwrap_or_else(|| self.add(filter));
        if let Some(group) = self.groups.get_mut(&id) {
            group.members.insert(client, options);
        }
    }

    fn add(&mut self, filter: &str) -> GroupId {
        loop {
            self.latest = self.latest % (NUMBERS - 1) + 1;
            let id = GroupId(self.latest);
            if !self.groups.contains_key(&id) {
                let name: Arc<str> = filter.into();
                self.ids.insert(Arc::clone(&name), id);
                self.groups.insert(id, Group { name, members: BTreeMap::new(), last: None });
                return id;
            }
        }
    }

    /// Removes a member, and the group with its last one.
    pub(super) fn remove(&mut self, client: ClientKey, filter: &str) {
        let Some(id) = self.id(filter) else { return };
        let Some(group) = self.groups.get_mut(&id) else { return };
        group.members.remove(&client);
        if group.members.is_empty() {
            self.groups.remove(&id);
            self.ids.remove(filter);
        }
    }

    /// Returns the options of a member's subscription.
    pub(super) fn options(&self, client: ClientKey, filter: &str) -> Option<Options> {
        self.groups.get(&self.id(filter)?)?.members.get(&client).copied()
    }

    /// Number of groups.
    pub(super) fn len(&self) -> usize {
        self.groups.len()
    }

    /// Returns the group of a whole filter.
    pub(super) fn id(&self, filter: &str) -> Option<GroupId> {
        self.ids.get(filter).copied()
    }

    /// Returns the whole filter of a group; `None` if it has no members any more.
    pub(super) fn name(&self, id: GroupId) -> Option<&str> {
        self.groups.get(&id).map(|group| &*group.name)
    }

    /// Returns whether a message of a topic is for the group. False for a group without members, whose number may be another's now.
    pub(super) fn is_for(&self, id: GroupId, topic: &str) -> bool {
        self.groups.get(&id).is_some_and(|group| matches(group.filter(), topic))
    }

    /// Returns the groups that get a message.
    pub(super) fn matching(&self, topic: &str) -> Vec<GroupId> {
        let found = self.groups.iter().filter(|(_, group)| matches(group.filter(), topic));
        found.map(|(id, _)| *id).collect()
    }

    /// Returns the members of a group with their options, beginning behind the one that was [chosen](Self::choose) last.
    pub(super) fn in_turn(&self, id: GroupId) -> impl Iterator<Item = (ClientKey, Options)> {
        let group = self.groups.get(&id);
        let parts = group.map(|group| {
            let behind = group.last.map_or(Bound::Unbounded, Bound::Excluded);
            // Without a last one the second part is empty.
            let before = group.last.map_or(Bound::Excluded(ClientKey(0)), Bound::Included);
            let first = group.members.range((behind, Bound::Unbounded));
            first.chain(group.members.range((Bound::Unbounded, before)))
        });
        parts.into_iter().flatten().map(|(client, options)| (*client, *options))
    }

    /// Records that a member gets a message, so that another is next.
    pub(super) fn choose(&mut self, id: GroupId, client: ClientKey) {
        if let Some(group) = self.groups.get_mut(&id) {
            group.last = Some(client);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::QoS;

    const AT_LEAST_ONCE: Options =
        Options { qos: QoS::AtLeastOnce, no_local: false, retain_as_published: false, identifier: None };

    fn turn(shared: &SharedSubscriptions, filter: &str) -> Vec<u64> {
        shared.in_turn(shared.id(filter).unwrap()).map(|(client, _)| client.0).collect()
    }

    #[test]
    fn the_turn_begins_behind_who_was_chosen_last_also_if_it_is_gone() {
        let mut shared = SharedSubscriptions::default();
        let filter = "$share/g/a";
        (1..=3).for_each(|client| shared.insert(ClientKey(client), filter, AT_LEAST_ONCE));
        let id = shared.id(filter).unwrap();
        assert_eq!(turn(&shared, filter), [1, 2, 3]);
        shared.choose(id, ClientKey(1));
        assert_eq!(turn(&shared, filter), [2, 3, 1]);
        shared.choose(id, ClientKey(2));
        shared.remove(ClientKey(2), filter);
        assert_eq!(turn(&shared, filter), [3, 1]);
        shared.choose(id, ClientKey(3));
        assert_eq!(turn(&shared, filter), [1, 3]);
        assert_eq!(shared.in_turn(GroupId(77)).count(), 0);
    }

    #[test]
    fn a_group_is_its_name_and_its_filter_and_ends_with_its_last_member() {
        let mut shared = SharedSubscriptions::default();
        for filter in ["$share/g/a/#", "$share/h/a/#", "$share/g/a/b"] {
            shared.insert(ClientKey(1), filter, AT_LEAST_ONCE);
        }
        assert_eq!(shared.matching("a/b").len(), 3);
        assert_eq!(shared.matching("a/c").len(), 2);
        let id = shared.id("$share/g/a/b").unwrap();
        assert!(shared.is_for(id, "a/b") && !shared.is_for(id, "a/c"));
        shared.remove(ClientKey(1), "$share/g/a/b");
        assert!(!shared.is_for(id, "a/b"));
        assert_eq!((shared.name(id), shared.id("$share/g/a/b")), (None, None));
        shared.remove(ClientKey(1), "$share/g/a/#");
        shared.remove(ClientKey(1), "$share/h/a/#");
        assert!(shared.groups.is_empty() && shared.ids.is_empty());
    }

    #[test]
    fn a_wildcard_at_the_front_does_not_take_the_brokers_topics() {
        let mut shared = SharedSubscriptions::default();
        shared.insert(ClientKey(1), "$share/g/#", AT_LEAST_ONCE);
        assert_eq!((shared.matching("$SYS/x").len(), shared.matching("a").len()), (0, 1));
    }

    #[test]
    fn a_number_in_use_is_not_given_again() {
        let mut shared = SharedSubscriptions::default();
        shared.insert(ClientKey(1), "$share/g/a", AT_LEAST_ONCE);
        shared.latest = NUMBERS - 2;
        shared.insert(ClientKey(1), "$share/g/b", AT_LEAST_ONCE);
        shared.insert(ClientKey(1), "$share/g/c", AT_LEAST_ONCE);
        let id = |filter| shared.id(filter).unwrap().0;
        assert_eq!([id("$share/g/a"), id("$share/g/b"), id("$share/g/c")], [1, NUMBERS - 1, 2]);
    }
}
