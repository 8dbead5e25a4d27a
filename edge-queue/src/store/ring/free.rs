//! Which slot a lane writes next. Any free one will do, since nothing on disk orders them: slots that were written
//! once come first (overwriting costs a file system no journal), the longest free first (it spreads wear, and the
//! newest of the old snapshots stay whole longest), slots of a failed write last and only after they were read. A slot that is
//! held counts as free, but is not taken before a newer snapshot is durable.
#![deny(clippy::indexing_slicing)]

use std::collections::VecDeque;

/// Free slots a lane keeps for changes alone: without it a full lane could never note what was acknowledged.
pub(super) const RESERVE: usize = 1;

/// The free slots of one lane.
#[derive(Debug, Default)]
pub(super) struct FreeSlots {
    written: VecDeque<u32>,
    blank: VecDeque<u32>,
    suspect: VecDeque<u32>,
    /// Given up, but with changes that the newest durable snapshot does not have yet.
    held: VecDeque<u32>,
}

impl FreeSlots {
    pub(super) fn len(&self) -> usize {
        self.written.len() + self.blank.len() + self.suspect.len() + self.held.len()
    }

    /// The slot to write next. `readable` is asked about suspects only.
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
        None
    }

    pub(super) fn put_written(&mut self, slot: u32) {
        self.written.push_back(slot);
    }

    /// Not to be written before [`FreeSlots::release`].
    pub(super) fn hold(&mut self, slot: u32) {
        self.held.push_back(slot);
    }

    /// A snapshot that has everything is durable. `false`: no slot waited for it.
    pub(super) fn release(&mut self) -> bool {
        let any = !self.held.is_empty();
        self.written.append(&mut self.held);
        any
    }

    pub(super) fn put_blank(&mut self, slot: u32) {
        self.blank.push_back(slot);
    }

    pub(super) fn put_suspect(&mut self, slot: u32) {
        self.suspect.push_back(slot);
    }

    /// The slot that should be filled with zeros ahead of its use, if the next one to be used is blank.
    pub(super) fn next_blank(&self) -> Option<u32> {
        if self.written.is_empty() { self.blank.front().copied() } else { None }
    }

    /// The slot of [`FreeSlots::next_blank`] was filled durably.
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
    fn a_held_slot_counts_as_free_and_is_taken_only_once_released() {
        let mut free = FreeSlots::default();
        free.hold(3);
        assert_eq!((free.len(), free.take(|_| true)), (1, None));
        assert!(free.release() && !free.release());
        assert_eq!(free.take(|_| true), Some(3));
    }
}
