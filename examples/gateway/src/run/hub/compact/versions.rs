//! Versions of a topic's session table, retained at the hub side by side: a batch that waits for an absent reader refers to the version that was
//! current when it was encoded. Pure.

use bytes::Bytes;
use edge_codec::Limits;
use edge_codec::compact::Table;

use super::echoed_tables::{Message, TableDigest};
use super::sensor_numbers::Names;

/// Most versions besides the newest; with the most bytes of them, because a new subscriber gets all of them.
const OLD_MAX: usize = 15;
const OLD_BYTES_MAX: usize = 256 * 1024;
/// Milliseconds after which a version is cleared again. Doubles with each attempt, up to an hour, because a hub may refuse it for ever.
const CLEAR_AGAIN_MS: u64 = 60_000;
const DOUBLINGS_MAX: u32 = 6;
/// Most versions that wait for the hub to clear them.
const RETIRED_MAX: usize = 32;

/// Versions in order of age. The last is the newest.
#[derive(Debug, Default)]
pub(super) struct Versions {
    list: Vec<Version>,
    /// Versions that are dropped here, until the hub has acknowledged that it clears them.
    retired: Vec<Retired>,
}

/// Version whose retained message is to be cleared.
#[derive(Debug)]
struct Retired {
    id: u64,
    /// Up time from which it is cleared, again if the hub has not acknowledged it.
    next_ms: u64,
    /// Number of attempts.
    attempts: u32,
}

/// Version as it was announced. It is decoded only while batches refer to it, because what it learned takes some hundred times as much then.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Announced {
    pub(super) id: u64,
    pub(super) version: u32,
    /// Number of the sensors in the table.
    pub(super) sensors: usize,
    /// Number of the table's bytes.
    len: usize,
    digest: TableDigest,
    /// The table's bytes. `None`: they made room in memory. The hub retains the version all the same, but does not get it again, and no batch
    /// refers to it from now on.
    pub(super) bytes: Option<Bytes>,
}

impl Announced {
    pub(super) fn of(table: &Table) -> Self {
        let (id, version, sensors) = (table.id(), table.version(), table.sensors().len());
        let (bytes, digest) = (table.bytes().clone(), TableDigest::of(table.bytes()));
        Self { id, version, sensors, len: bytes.len(), digest, bytes: Some(bytes) }
    }

    /// Reads a table that an earlier process of this gateway made. `None`: it is damaged, or no such table.
    pub(crate) fn saved(bytes: &[u8]) -> Option<Self> {
        let table = Table::decode(bytes, &Limits::default()).ok()?;
        Names::of(&table).is_some().then(|| Self::of(&table))
    }

    /// Makes room in memory, as [`bytes`](Self::bytes) says.
    pub(crate) fn without_bytes(self) -> Self {
        Self { bytes: None, ..self }
    }

    /// Returns the number of the table's bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[cfg(test)]
    pub(crate) fn has_bytes(&self) -> bool {
        self.bytes.is_some()
    }

    pub(super) fn decode(&self) -> Option<Table> {
        Table::decode(self.bytes.as_ref()?, &Limits::default()).ok()
    }
}

#[derive(Debug)]
struct Version {
    table: Announced,
    presence: Presence,
    /// Up time from which no batch refers to this version, because the hub has echoed a newer one. `None`: batches may refer to it.
    replaced_ms: Option<u64>,
}

/// Knowledge whether the hub retains a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    /// The hub has sent the version as a retained message since the last SUBSCRIBE.
    Shown,
    /// The hub has not sent it yet.
    Unknown,
    Missing,
}

/// Meaning of a message that the hub sent on the topic of a version.
#[derive(Clone, Debug)]
pub(super) enum Seen {
    /// The hub retains this version.
    Shown(Announced),
    /// The hub has another message on the version's topic, or none. `was_there`: until now the version was not known to be missing.
    Lost { table: Announced, was_there: bool },
    /// A version that was not made here, or a copy of one that does not come as a retained message: a hub that retains nothing sends it too, and
    /// any client with write access there can make any number of them. It is ignored.
    Foreign,
}

impl Versions {
    /// Restores the versions of an earlier process. The newest has to be published; for the others the hub's retained messages decide.
    pub(super) fn of(mut tables: Vec<Announced>) -> Self {
        tables.sort_by_key(|table| table.version);
        let mut versions = Self::default();
        for table in tables {
            versions.list.iter_mut().for_each(|version| version.presence = Presence::Unknown);
            versions.push(table);
        }
        versions
    }

    pub(super) fn newest(&self) -> Option<&Announced> {
        self.list.last().map(|version| &version.table)
    }

    /// Adds a version as the newest. The oldest ones are retired if the limits are exceeded.
    pub(super) fn push(&mut self, table: Announced) {
        self.list.push(Version { table, presence: Presence::Missing, replaced_ms: None });
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

    /// Handles a message of the hub on the topic of a version.
    pub(super) fn see(&mut self, now_ms: u64, message: Message) -> Seen {
        let Some(version) = self.list.iter_mut().find(|version| version.table.id == message.id) else {
            return Seen::Foreign;
        };
        let table = version.table.clone();
        if version.table.digest != message.digest {
            let was_there = version.presence != Presence::Missing;
            version.presence = Presence::Missing;
            return Seen::Lost { table, was_there };
        }
        if !message.is_retained {
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

    /// Handles a new SUBSCRIBE: from now on only versions that the hub sends anew count as retained.
    pub(super) fn doubt(&mut self) {
        let shown = self.list.iter_mut().filter(|version| version.presence == Presence::Shown);
        shown.for_each(|version| version.presence = Presence::Unknown);
    }

    /// Counts versions that the hub has not sent as missing. Call it when the time for that is over, or when the hub has lost everything.
    pub(super) fn conclude(&mut self) {
        let unknown = self.list.iter_mut().filter(|version| version.presence == Presence::Unknown);
        unknown.for_each(|version| version.presence = Presence::Missing);
    }

    /// Returns whether the hub lacks a version that it should retain.
    pub(super) fn is_missing(&self, id: u64) -> bool {
        self.missing().any(|missing| missing.id == id)
    }

    /// Returns whether the version is kept here and the hub is not known to lack it.
    pub(super) fn is_kept(&self, id: u64) -> bool {
        self.list.iter().any(|version| version.table.id == id && version.presence != Presence::Missing)
    }

    /// Iterates over versions that the hub lacks, and that can be published again, the newest first.
    pub(super) fn missing(&self) -> impl Iterator<Item = &Announced> {
        let missing = self.list.iter().rev().filter(|version| version.presence == Presence::Missing);
        missing.map(|version| &version.table).filter(|table| table.bytes.is_some())
    }

    /// Returns the id of a version whose retained message is to be cleared now. `None`: there is none.
    pub(super) fn clear_due(&mut self, now_ms: u64) -> Option<u64> {
        let retired = self.retired.iter_mut().find(|retired| retired.next_ms <= now_ms)?;
        retired.next_ms = now_ms.saturating_add(CLEAR_AGAIN_MS << retired.attempts.min(DOUBLINGS_MAX));
        retired.attempts = retired.attempts.saturating_add(1);
        Some(retired.id)
    }

    /// Returns the up time from which a version is to be cleared. `None`: there is none.
    pub(super) fn next_clear_ms(&self) -> Option<u64> {
        self.retired.iter().map(|retired| retired.next_ms).min()
    }

    /// Gives up the oldest of too many versions that the hub does not clear, for which it may lack the right. Returns its id.
    pub(super) fn give_up_clear(&mut self) -> Option<u64> {
        (self.retired.len() > RETIRED_MAX).then(|| self.retired.remove(0).id)
    }

    /// Notes that the hub has cleared a version. Returns `false` if nobody wanted that.
    pub(super) fn cleared(&mut self, id: u64) -> bool {
        let before = self.retired.len();
        self.retired.retain(|retired| retired.id != id);
        self.retired.len() < before
    }

    fn old(&self) -> impl Iterator<Item = &Version> {
        self.list.iter().rev().skip(1)
    }

    /// Returns the bytes of memory that the tables take here.
    pub(super) fn memory_bytes(&self) -> usize {
        let held = self.list.iter().filter_map(|version| version.table.bytes.as_ref());
        held.map(Bytes::len).sum()
    }

    pub(super) fn find(&self, id: u64) -> Option<&Announced> {
        self.list.iter().map(|version| &version.table).find(|table| table.id == id)
    }

    /// Drops the bytes of the oldest version that has them here; those of the newest only with `newest`. Returns `false` if there is none.
    pub(super) fn drop_oldest_bytes(&mut self, newest: bool) -> bool {
        let count = self.list.len() - usize::from(!newest && !self.list.is_empty());
        let oldest = self.list.iter_mut().take(count).find(|version| version.table.bytes.is_some());
        oldest.map(|version| version.table.bytes = None).is_some()
    }

    fn old_bytes(&self) -> usize {
        self.old().map(|version| version.table.len).sum()
    }

    fn retire_oldest(&mut self) {
        let id = self.list.remove(0).table.id;
        self.retired.push(Retired { id, next_ms: 0, attempts: 0 });
    }
}
