//! Versions of a topic's session table, retained at the hub side by side: a batch that waits for an absent reader names the
//! version of its time. Pure.

use std::sync::Arc;

use edge_codec::compact::Table;

use super::shown::{Message, TableDigest};

/// Most versions beside the newest, and most bytes of them, since a reader that subscribes gets all of them.
const OLD_MAX: usize = 15;
const OLD_BYTES_MAX: usize = 256 * 1024;

/// Versions in order of age. The last is the newest.
#[derive(Debug, Default)]
pub(super) struct Versions {
    list: Vec<Version>,
    /// Identifiers of versions that are no longer kept here and are still retained at the hub.
    retired: Vec<u64>,
}

#[derive(Debug)]
struct Version {
    table: Arc<Table>,
    digest: TableDigest,
    presence: Presence,
    /// Set when the version was published after the hub last had something else in its place. Only then an echo of it tells that the hub keeps
    /// it.
    is_announced: bool,
    /// Time from which no batch refers to this version, because the hub has shown a newer one. `None`: batches may refer to it.
    replaced_ms: Option<u64>,
}

/// Knowledge about whether the hub has a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    /// The hub has sent the version since it was asked last.
    Shown,
    /// The hub has not answered yet.
    Unknown,
    Missing,
}

/// Meaning of a message that the hub sent on the topic of a version.
#[derive(Clone, Debug)]
pub(super) enum Seen {
    /// The hub has this version.
    Shown(Arc<Table>),
    /// The hub has something else in the version's place, or nothing. `was_there`: until now the version was not known to be missing.
    Lost { table: Arc<Table>, was_there: bool },
    /// A version that was not made here, or a copy of one that the hub was not asked to keep. It is ignored, because whoever may publish there
    /// can make any number of them.
    Foreign,
}

impl Versions {
    /// Takes over the versions of an earlier run. The newest has to be announced; the hub is asked whether it has the others.
    pub(super) fn of(mut tables: Vec<Table>) -> Self {
        tables.sort_by_key(Table::version);
        let mut versions = Self::default();
        for table in tables {
            versions.list.iter_mut().for_each(|version| version.presence = Presence::Unknown);
            versions.push(Arc::new(table));
        }
        versions
    }

    pub(super) fn newest(&self) -> Option<&Arc<Table>> {
        self.list.last().map(|version| &version.table)
    }

    /// Adds a version as the newest. The oldest ones are retired when the old ones are too many or too large.
    pub(super) fn push(&mut self, table: Arc<Table>) {
        let digest = TableDigest::of(table.bytes());
        self.list.push(Version {
            table,
            digest,
            presence: Presence::Missing,
            is_announced: false,
            replaced_ms: None,
        });
        while self.old().count() > OLD_MAX || self.old_bytes() > OLD_BYTES_MAX {
            self.retire_oldest();
        }
    }

    /// Retires versions that were replaced at least `max_age_ms` ago.
    pub(super) fn expire(&mut self, now_ms: u64, max_age_ms: u64) {
        let is_over = |version: &Version| {
            version.replaced_ms.is_some_and(|at_ms| at_ms.saturating_add(max_age_ms) <= now_ms)
        };
        while self.list.first().is_some_and(is_over) {
            self.retire_oldest();
        }
    }

    /// Takes in a message that the hub has sent on the topic of a version.
    pub(super) fn see(&mut self, now_ms: u64, message: Message) -> Seen {
        let Some(version) = self.list.iter_mut().find(|version| version.table.id() == message.id) else {
            return Seen::Foreign;
        };
        let table = version.table.clone();
        if version.digest != message.digest {
            let was_there = version.presence != Presence::Missing;
            (version.presence, version.is_announced) = (Presence::Missing, false);
            return Seen::Lost { table, was_there };
        }
        if !message.is_retained && !version.is_announced {
            return Seen::Foreign;
        }
        version.presence = Presence::Shown;
        if let Some((newest, old)) = self.list.split_last_mut()
            && newest.presence == Presence::Shown
        {
            for version in old {
                version.replaced_ms.get_or_insert(now_ms);
            }
        }
        Seen::Shown(table)
    }

    /// Notes that the hub is asked again: from now on only versions count as shown that it sends anew.
    pub(super) fn doubt(&mut self) {
        let shown = self.list.iter_mut().filter(|version| version.presence == Presence::Shown);
        shown.for_each(|version| version.presence = Presence::Unknown);
    }

    /// Counts versions that the hub has not sent as missing. To be called when it has had time to answer, or has lost everything.
    pub(super) fn conclude(&mut self) {
        let unknown = self.list.iter_mut().filter(|version| version.presence == Presence::Unknown);
        unknown.for_each(|version| version.presence = Presence::Missing);
    }

    /// Returns whether the hub lacks a version that it is to have.
    pub(super) fn is_missing(&self, table: &Table) -> bool {
        self.missing().any(|missing| missing.id() == table.id())
    }

    /// Returns whether the version is kept here and the hub is not known to lack it.
    pub(super) fn is_kept(&self, table: &Table) -> bool {
        let is_it = |version: &Version| version.table.id() == table.id();
        self.list.iter().any(|version| is_it(version) && version.presence != Presence::Missing)
    }

    /// Versions that the hub does not have, the newest first.
    pub(super) fn missing(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.list
            .iter()
            .rev()
            .filter(|version| version.presence == Presence::Missing)
            .map(|version| &version.table)
    }

    /// Notes that the version is published now.
    pub(super) fn announced(&mut self, table: &Table) {
        let version = self.list.iter_mut().find(|version| version.table.id() == table.id());
        version.into_iter().for_each(|version| version.is_announced = true);
    }

    /// Takes the identifier of a version that the hub is to retain no longer. `None`: there is none.
    pub(super) fn take_retired(&mut self) -> Option<u64> {
        self.retired.pop()
    }

    pub(super) fn has_retired(&self) -> bool {
        !self.retired.is_empty()
    }

    fn old(&self) -> impl Iterator<Item = &Version> {
        self.list.iter().rev().skip(1)
    }

    fn old_bytes(&self) -> usize {
        self.old().map(|version| version.table.bytes().len()).sum()
    }

    fn retire_oldest(&mut self) {
        self.retired.push(self.list.remove(0).table.id());
    }
}
