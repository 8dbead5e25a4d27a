//! Release in order of arrival: entries are decided in any order, and leave from the front. PUBACKs are kept in order (\[MQTT-4.6.0-2\]) by
//! it, both in a session and in the PUBACK chain.

use std::collections::VecDeque;

/// Number of entries for which an idle connection keeps memory after [`shrink`](InOrder::shrink).
pub(crate) const IDLE: usize = 16;

/// Queue of entries in order of arrival. Each entry has a serial number that is never used twice.
#[derive(Debug, Clone)]
pub(crate) struct InOrder<T> {
    entries: VecDeque<T>,
    /// Serial number of the entry at the front of the queue.
    first: u64,
}

impl<T> Default for InOrder<T> {
    fn default() -> Self {
        Self { entries: VecDeque::new(), first: 0 }
    }
}

impl<T> InOrder<T> {
    /// Adds an entry behind all others. Returns its serial number.
    pub(crate) fn push(&mut self, entry: T) -> u64 {
        let serial = self.next();
        self.entries.push_back(entry);
        serial
    }

    /// Returns the serial number of the front entry, or of the next entry to be added if the queue is empty.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// Returns the serial number that the next added entry gets.
    pub(crate) fn next(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// Returns the entry with this serial number; `None` if it was taken out already, or was never added.
    pub(crate) fn get(&self, serial: u64) -> Option<&T> {
        let at = usize::try_from(serial.checked_sub(self.first)?).ok()?;
        self.entries.get(at)
    }

    /// Returns the entry with this serial number, to be changed; `None` as for [`get`](Self::get).
    pub(crate) fn get_mut(&mut self, serial: u64) -> Option<&mut T> {
        let at = usize::try_from(serial.checked_sub(self.first)?).ok()?;
        self.entries.get_mut(at)
    }

    /// Returns the entries with their serial numbers, in order of arrival.
    pub(crate) fn numbered(&self) -> impl Iterator<Item = (u64, &T)> {
        (self.first..).zip(&self.entries)
    }

    /// Takes the front entry if it is decided, otherwise returns `None`.
    pub(crate) fn pop_if(&mut self, is_decided: impl FnOnce(&T) -> bool) -> Option<T> {
        if !is_decided(self.entries.front()?) {
            return None;
        }
        self.first += 1;
        self.entries.pop_front()
    }

    /// Frees unused capacity once there are no entries, because it would be kept as long as the connection.
    pub(crate) fn shrink(&mut self) {
        if self.entries.is_empty() {
            self.entries.shrink_to(IDLE);
        }
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.entries.iter_mut()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_leave_from_the_front_and_keep_their_numbers() {
        let mut entries = InOrder::default();
        assert_eq!([entries.push('a'), entries.push('b')], [0, 1]);
        assert_eq!(entries.pop_if(|entry| *entry == 'b'), None, "it is not the first");
        assert_eq!(entries.pop_if(|entry| *entry == 'a'), Some('a'));
        assert_eq!((entries.first(), entries.next(), entries.len()), (1, 2, 1));
        assert_eq!([0, 1, 2].map(|serial| entries.get_mut(serial).copied()), [None, Some('b'), None]);
        assert_eq!((entries.pop_if(|_| true), entries.pop_if(|_| true)), (Some('b'), None));
        entries.shrink();
        assert_eq!(entries.push('c'), 2);
    }
}
