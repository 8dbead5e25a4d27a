//! A model of the queue: two lanes, group commit with elision, leases, acknowledgements that are saved late; and what a power cut leaves.

#[path = "queue/spool.rs"]
mod spool;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use edge_bridge::Row;
use edge_bridge::bridge::spool::{Identity, LeaseId, Leased};
use edge_bridge::wire::ReasonCode;

use crate::bug::Bug;
use crate::ledger::Msg;
use crate::rng::Rng;

/// The oldest waiting receipt of a commit.
const ACK_WITHIN_MS: u64 = 1_000;
/// Acknowledgements of stored rows are saved after so long, or when there are so many.
const SAVE_MS: u64 = 10_000;
const CURSOR_LAG: usize = 1_000;

/// Lane and sequence number.
pub(crate) type Key = (u8, u64);

#[derive(Debug, Clone)]
struct Stored {
    row: Row,
    msg: Msg,
    epoch: u32,
    pushed_ms: u64,
    durable: bool,
    stand: Stand,
    /// Its place among the parked rows.
    parked: Option<u64>,
}

impl Stored {
    fn is_expired(&self, now_ms: u64) -> bool {
        self.row.ttl_ms.is_some_and(|ttl_ms| self.pushed_ms + ttl_ms <= now_ms)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    Free,
    Leased,
    Acked,
}

/// News for the rig.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Note {
    /// The row is durable, or the hub has it.
    Safe(Key),
    /// The uplink says that the hub has the row.
    Acked(Msg),
    /// The row's time to live ended.
    Expired(Msg),
    /// The uplink says that the row is over, delivered or not.
    Settled(Msg),
    /// The row was parked: why, and the bytes of its PUBLISH.
    Parked(Msg, ReasonCode, usize),
    /// The last copy left the disk.
    Gone(Msg),
}

#[derive(Clone, Default)]
pub(crate) struct ModelQueue {
    rows: BTreeMap<Key, Stored>,
    free: BTreeSet<Key>,
    /// Parked rows that are not leased: park number to row.
    parked_free: BTreeMap<u64, Key>,
    next_park: u64,
    /// Parked rows of a smaller number are parked on the disk too; the others are still in their old place there.
    parks_saved: u64,
    /// Rows that a power cut would take.
    ram: BTreeSet<Key>,
    next: [u64; 2],
    epoch: u32,
    /// Time of its end, and the rows that it writes.
    commit: Option<(u64, Vec<Key>)>,
    wanted: bool,
    unsaved: Vec<Key>,
    unsaved_since_ms: Option<u64>,
    durable: BTreeMap<Msg, u32>,
    notes: Vec<Note>,
    /// Rows that left since the last notes.
    just_gone: BTreeMap<Key, Msg>,
    leases: u64,
    pub(crate) leased: usize,
    /// Of those the parked ones.
    parked_leased: usize,
    /// Rows that waited after the last lease.
    waited: u64,
    pub(crate) commits: u64,
    pub(crate) max_rows: usize,
    pub(crate) bug: Option<Bug>,
    pub(crate) sync_ms: u64,
    /// Set by the gateway: an acknowledgement brings no clock.
    pub(crate) now_ms: u64,
}

/// Its rows show themselves in [`states`](ModelQueue::states).
impl fmt::Debug for ModelQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows", self.rows.len())
    }
}

impl ModelQueue {
    pub(crate) fn new(sync_ms: u64, bug: Option<Bug>) -> Self {
        Self { next: [1, 1], epoch: 1, max_rows: usize::MAX, sync_ms, bug, ..Self::default() }
    }

    pub(crate) fn push(&mut self, now_ms: u64, row: Row) -> Key {
        let lane = row.lane.unwrap_or(1);
        let next = &mut self.next[usize::from(lane)];
        let key = (lane, *next);
        *next += 1;
        let msg = Msg::of(&row.payload);
        let stored = Stored {
            row,
            msg,
            epoch: self.epoch,
            pushed_ms: now_ms,
            durable: false,
            stand: Stand::Free,
            parked: None,
        };
        self.rows.insert(key, stored);
        self.free.insert(key);
        self.ram.insert(key);
        key
    }

    pub(crate) fn has_room(&self) -> bool {
        self.rows.len() - self.unsaved.len() < self.max_rows
    }

    /// A commit is worth a write.
    pub(crate) fn want_commit(&mut self) {
        self.wanted |= !self.ram.is_empty();
    }

    pub(crate) fn next_deadline(&self) -> Option<u64> {
        let start_ms = match (&self.commit, self.oldest_in_ram_ms()) {
            (None, Some(since_ms)) if self.wanted => Some(since_ms),
            (None, Some(since_ms)) => Some(since_ms + ACK_WITHIN_MS),
            _ => None,
        };
        let done_ms = self.commit.as_ref().map(|(done_ms, _)| *done_ms);
        let save_ms = self.unsaved_since_ms.map(|since_ms| since_ms + SAVE_MS);
        [start_ms, done_ms, save_ms].into_iter().flatten().min()
    }

    pub(crate) fn handle_timeout(&mut self, now_ms: u64) {
        if self.commit.as_ref().is_some_and(|(done_ms, _)| *done_ms <= now_ms) {
            let (_, keys) = self.commit.take().unwrap();
            keys.into_iter().for_each(|key| self.became_durable(key));
            self.save();
            self.parks_saved = self.next_park;
        }
        if self.unsaved_since_ms.is_some_and(|since_ms| since_ms + SAVE_MS <= now_ms) {
            self.save();
        }
        let due =
            self.oldest_in_ram_ms().is_some_and(|since_ms| self.wanted || since_ms + ACK_WITHIN_MS <= now_ms);
        if due && self.commit.is_none() {
            self.wanted = false;
            let keys: Vec<_> = std::mem::take(&mut self.ram).into_iter().collect();
            if !keys.is_empty() {
                self.commits += 1;
                self.commit = Some((now_ms + self.sync_ms, keys));
            }
        }
    }

    pub(crate) fn take_notes(&mut self) -> Vec<Note> {
        self.just_gone.clear();
        std::mem::take(&mut self.notes)
    }

    pub(crate) fn is_durable(&self, msg: Msg) -> bool {
        self.durable.contains_key(&msg)
    }

    /// Rows that are neither done nor leased nor parked.
    pub(crate) fn waiting_rows(&self) -> usize {
        self.len() - self.leased - self.parked_free.len()
    }

    /// Rows that are not done.
    pub(crate) fn len(&self) -> usize {
        self.free.len() + self.parked_free.len() + self.leased
    }

    pub(crate) fn is_committing(&self) -> bool {
        self.commit.is_some()
    }

    /// Returns whether a commit can begin that writes something.
    #[allow(dead_code, reason = "for `tests/explore_states`")]
    pub(crate) fn can_commit(&self) -> bool {
        self.commit.is_none() && !self.ram.is_empty()
    }

    /// Rows in their order: key, message, and each thing that tells it from another row of the same message.
    #[allow(dead_code, reason = "for `tests/explore_states`")]
    pub(crate) fn states(&self) -> impl Iterator<Item = (Key, Msg, [bool; 6])> {
        self.rows.iter().map(|(key, stored)| {
            let is_written = self.commit.as_ref().is_some_and(|(_, keys)| keys.contains(key));
            let is_acked = stored.stand == Stand::Acked;
            let flags = [
                stored.durable,
                stored.stand == Stand::Leased,
                is_acked,
                self.ram.contains(key),
                is_written,
                stored.row.possible_duplicate,
            ];
            (*key, stored.msg, flags)
        })
    }

    pub(crate) fn unsaved(&self) -> usize {
        self.unsaved.len()
    }

    /// Power off, power on. A commit that was under way happened or did not.
    pub(crate) fn power_cut(&mut self, rng: &mut Rng) {
        let is_done = self.is_committing() && rng.one_in(2);
        self.lose_power(is_done);
    }

    /// Power off, power on. `is_done`: the commit that was under way happened.
    pub(crate) fn lose_power(&mut self, is_done: bool) {
        if let Some((_, keys)) = self.commit.take()
            && is_done
        {
            keys.into_iter().for_each(|key| self.became_durable(key));
        }
        self.ram.clear();
        self.notes.clear();
        (self.unsaved_since_ms, self.wanted) = (None, false);
        self.unsaved.clear();
        let bug = self.bug;
        self.rows.retain(|_, row| row.durable && (bug != Some(Bug::ParkedInRam) || row.parked.is_none()));
        if bug == Some(Bug::ParkedInRam) {
            let rows = &self.rows;
            self.durable.retain(|msg, _| rows.values().any(|row| row.msg == *msg));
        }
        let saved = self.parks_saved;
        self.rows.values_mut().for_each(|row| {
            row.stand = Stand::Free;
            row.parked = row.parked.filter(|number| *number < saved);
        });
        let (parked, free): (Vec<_>, Vec<_>) = self.rows.iter().partition(|(_, row)| row.parked.is_some());
        self.free = free.into_iter().map(|(key, _)| *key).collect();
        self.parked_free = parked.into_iter().filter_map(|(key, row)| Some((row.parked?, *key))).collect();
        (self.leased, self.parked_leased) = (0, 0);
        self.epoch += 1;
    }

    /// The first of each lane is its oldest.
    fn oldest_in_ram_ms(&self) -> Option<u64> {
        let lanes = [(0, 0), (1, 0)].into_iter().filter_map(|from| self.ram.range(from..).next());
        lanes.filter_map(|key| self.rows.get(key)).map(|row| row.pushed_ms).min()
    }

    fn became_durable(&mut self, key: Key) {
        let Some(row) = self.rows.get_mut(&key) else { return };
        if row.stand == Stand::Acked {
            // Elided: acknowledged before it was written.
            self.rows.remove(&key);
            return;
        }
        row.durable = true;
        *self.durable.entry(row.msg).or_default() += 1;
        self.notes.push(Note::Safe(key));
    }

    /// Acknowledgements of stored rows reach the disk.
    pub(crate) fn save(&mut self) {
        self.unsaved_since_ms = None;
        for key in std::mem::take(&mut self.unsaved) {
            self.forget(key);
        }
    }

    fn forget(&mut self, key: Key) {
        let Some(row) = self.rows.remove(&key) else { return };
        self.just_gone.insert(key, row.msg);
        if let Some(copies) = self.durable.get_mut(&row.msg) {
            *copies -= 1;
            if *copies == 0 {
                self.durable.remove(&row.msg);
                self.notes.push(Note::Gone(row.msg));
            }
        }
    }
}

impl ModelQueue {
    /// `None`: its time to live was over.
    fn lease_key(&mut self, now_ms: u64, key: Key) -> Option<Leased> {
        let stored = self.rows.get_mut(&key)?;
        stored.stand = Stand::Leased;
        self.leased += 1;
        self.parked_leased += usize::from(stored.parked.is_some());
        if stored.is_expired(now_ms) && self.bug != Some(Bug::AgeForgotten) {
            self.leave(lease_id(key), Note::Expired);
            return None;
        }
        self.leases += 1;
        let mut identity = Identity { gateway: 0xed6e, lane: key.0, epoch: stored.epoch, seq: key.1 };
        if self.bug == Some(Bug::FreshIdentity) {
            identity.gateway = self.leases;
        }
        let id = lease_id(key);
        let age_ms = match self.bug {
            Some(Bug::AgeForgotten) => 0,
            _ => now_ms.saturating_sub(stored.pushed_ms),
        };
        if self.bug == Some(Bug::RemovedAtLease) {
            self.notes.push(Note::Acked(stored.msg));
        }
        Some(Leased::new(id, stored.row.clone(), now_ms, age_ms, Some(identity)))
    }

    fn leased_row(&mut self, key: Key) -> Option<&mut Stored> {
        self.rows.get_mut(&key).filter(|row| row.stand == Stand::Leased)
    }

    /// The row leaves; `note` says by which door.
    fn leave(&mut self, id: LeaseId, note: fn(Msg) -> Note) {
        let key = key(id);
        let Some(row) = self.leased_row(key) else { return };
        row.stand = Stand::Acked;
        let (msg, durable, is_parked) = (row.msg, row.durable, row.parked.is_some());
        self.leased -= 1;
        self.parked_leased -= usize::from(is_parked);
        self.notes.push(note(msg));
        self.notes.push(Note::Safe(key));
        if durable {
            if self.bug == Some(Bug::AcksNotSaved) {
                return;
            }
            self.unsaved.push(key);
            self.unsaved_since_ms.get_or_insert(self.now_ms);
            if self.unsaved.len() >= CURSOR_LAG {
                self.save();
            }
        } else if self.ram.remove(&key) {
            self.just_gone.insert(key, msg);
            self.rows.remove(&key);
        }
    }
}

/// Lease of the row with this identity, as a message tells it.
#[allow(dead_code, reason = "for `tests/explore_states`")]
pub(crate) fn lease_of(identity: &str) -> Option<LeaseId> {
    let mut parts = identity.rsplit('-').map(|part| u64::from_str_radix(part, 16).ok());
    let (seq, _epoch, lane) = (parts.next()??, parts.next()??, parts.next()??);
    Some(lease_id((u8::try_from(lane).ok()?, seq)))
}

pub(crate) fn lease_id(key: Key) -> LeaseId {
    LeaseId(u64::from(key.0) << 56 | key.1)
}

fn key(id: LeaseId) -> Key {
    (u8::try_from(id.0 >> 56).unwrap(), id.0 & ((1 << 56) - 1))
}
