//! Choice of the slot that a lane writes next. Any free slot is possible, because nothing on disk orders them: slots that were written once come
//! first (overwriting costs a file system no journal), the longest free first (it spreads wear, and the newest of the old snapshots stay whole
//! longest), slots of a failed write behind them and only after they were read, and those that could not be read at the open when there is no
//! other. A slot that is held counts as free, but is not taken before a newer snapshot is durable: a commit of rows leaves [`RESERVE`] others, so
//! it begins a segment in one of them before it needs the held ones.
#![deny(clippy::indexing_slicing)]

use std::collections::{BTreeSet, VecDeque};

use crate::planted_flaw::{Flaw, planted};

/// Number of free slots that a lane keeps for changes alone: without them a full lane could never record an acknowledgement. Two, because changes
/// fill a segment too: the next one begins with a snapshot that makes the one before it free.
pub(super) const RESERVE: usize = 2;

/// Returns [`RESERVE`], or another number with the planted bug.
pub(super) fn reserve() -> usize {
    if planted(Flaw::ReserveOfOne) { 1 } else { RESERVE }
}

/// The free slots of one lane.
#[derive(Debug, Default)]
pub(super) struct FreeSlots {
    written: VecDeque<u32>,
    blank: VecDeque<u32>,
    suspect: VecDeque<u32>,
    /// Slots that are free, but have changes that the newest durable snapshot does not have yet.
    held: VecDeque<Held>,
    /// Slots with pages that could not be read at the open: they may hold rows that come back.
    barred: BTreeSet<u32>,
    /// Free ones of these.
    last_resort: VecDeque<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    slot: u32,
    suspect: bool,
}

impl FreeSlots {
    pub(super) fn len(&self) -> usize {
        self.written.len() + self.blank.len() + self.suspect.len() + self.held.len() + self.last_resort.len()
    }

    /// Takes the slot to write next; `None` if none can be used. `readable` is called only for slots of a failed write.
    pub(super) fn take(&mut self, mut readable: impl FnMut(u32) -> bool) -> Option<u32> {
        if let Some(slot) = self.written.pop_front().or_else(|| self.blank.pop_front()) {
            return Some(slot);
        }
        for _ in 0..self.suspect.len() {
            let slot = self.suspect.pop_front()?;
            if readable(slot) {
                return Some(slot);
            }
            self.suspect.push_back(slot);
        }
        let slot = self.last_resort.pop_front()?;
        self.barred.remove(&slot);
        Some(slot)
    }

    /// Keeps a slot from being taken while another one is free, whatever is put back later. Without any a lane could not go on, and its next write
    /// may heal what is unread.
    pub(super) fn bar(&mut self, slot: u32) {
        self.barred.insert(slot);
    }

    pub(super) fn bars_any(&self) -> bool {
        !self.barred.is_empty()
    }

    pub(super) fn put_written(&mut self, slot: u32) {
        self.put(slot, |free| &mut free.written);
    }

    /// Holds a slot back, so that it is not written before [`FreeSlots::release`].
    pub(super) fn hold(&mut self, slot: u32) {
        self.held.push_back(Held { slot, suspect: false });
    }

    /// Holds a slot of a failed write back.
    pub(super) fn hold_suspect(&mut self, slot: u32) {
        self.held.push_back(Held { slot, suspect: true });
    }

    pub(super) fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// Frees the held slots, because a snapshot that has all their changes is durable.
    pub(super) fn release(&mut self) {
        for held in std::mem::take(&mut self.held) {
            if held.suspect { self.put_suspect(held.slot) } else { self.put_written(held.slot) }
        }
    }

    /// Takes the held slot that was written last, which is furthest from the begin of the commit for which it is held; `None` if none is held.
    pub(super) fn take_held(&mut self) -> Option<u32> {
        let slot = self.held.pop_back()?.slot;
        self.barred.remove(&slot);
        Some(slot)
    }

    pub(super) fn put_blank(&mut self, slot: u32) {
        self.put(slot, |free| &mut free.blank);
    }

    pub(super) fn put_suspect(&mut self, slot: u32) {
        self.put(slot, |free| &mut free.suspect);
    }

    /// Adds a slot to a queue of free ones, or to the last resort if it is barred.
    fn put(&mut self, slot: u32, queue: impl FnOnce(&mut Self) -> &mut VecDeque<u32>) {
        let queue = if self.barred.contains(&slot) { &mut self.last_resort } else { queue(self) };
        queue.push_back(slot);
    }

    /// Returns the slot to fill with zeros ahead of its use; `None` when the next slot to be used was written before.
    pub(super) fn next_blank(&self) -> Option<u32> {
        if self.written.is_empty() { self.blank.front().copied() } else { None }
    }

    /// Records that the slot of [`FreeSlots::next_blank`] was filled durably.
    pub(super) fn filled(&mut self, slot: u32) {
        if self.blank.front() == Some(&slot) {
            self.blank.pop_front();
            self.written.push_back(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_slots_come_first_and_unreadable_suspects_never() {
        let mut free = FreeSlots::default();
        free.put_suspect(7);
        free.put_suspect(8);
        free.put_blank(1);
        free.put_blank(2);
        free.put_written(5);
        assert_eq!(free.len(), 5);
        assert_eq!(free.next_blank(), None);
        assert_eq!(free.take(|_| false), Some(5));
        assert_eq!(free.next_blank(), Some(1));
        free.filled(1);
        assert_eq!(free.take(|_| false), Some(1));
        assert_eq!(free.take(|_| false), Some(2));
        assert_eq!(free.take(|slot| slot == 8), Some(8));
        assert_eq!(free.take(|_| false), None);
        assert_eq!(free.take(|_| true), Some(7));
    }

    #[test]
    fn a_slot_that_was_not_read_is_taken_when_there_is_no_other() {
        let mut free = FreeSlots::default();
        (4..=7).for_each(|slot| free.bar(slot));
        free.put_blank(4);
        free.put_blank(3);
        free.put_written(5);
        free.put_suspect(6);
        free.hold(7);
        assert_eq!((free.len(), free.next_blank(), free.bars_any()), (5, Some(3), true));
        assert_eq!((free.take(|_| true), free.take(|_| false)), (Some(3), Some(4)));
        free.release();
        assert_eq!([(); 4].map(|()| free.take(|_| false)), [Some(5), Some(6), Some(7), None]);
        assert!(!free.bars_any(), "what is written again is as good as any");
        free.put_written(5);
        assert_eq!(free.next_blank(), None);
        free.bar(8);
        free.hold(8);
        assert_eq!((free.take_held(), free.bars_any()), (Some(8), false));
    }

    #[test]
    fn a_held_slot_counts_as_free_and_is_taken_only_once_released() {
        let mut free = FreeSlots::default();
        free.hold(3);
        free.hold_suspect(4);
        assert_eq!((free.len(), free.take(|_| true), free.holds()), (2, None, true));
        free.release();
        assert!(!free.holds());
        assert_eq!(
            (free.take(|_| false), free.take(|_| false), free.take(|_| true)),
            (Some(3), None, Some(4))
        );
    }

    #[test]
    fn of_the_held_slots_the_one_written_last_is_given_up_first() {
        let mut free = FreeSlots::default();
        free.hold(3);
        free.hold_suspect(4);
        assert_eq!((free.take_held(), free.take_held(), free.take_held()), (Some(4), Some(3), None));
        assert_eq!(free.len(), 0);
    }
}
