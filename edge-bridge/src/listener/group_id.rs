//! Number of a group of a [shared subscription](super::shared_subscriptions).

/// Number of a group, never 0. Numbers are used again only after 16 million other groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct GroupId(pub(super) u32);
