//! Messages that the folder of rejects did not take when they came: in memory until it does, bounded in bytes. Pure.

/// Memory of a message beside its content and texts, about, in bytes.
const ENTRY_BYTES: usize = 512;

/// Held messages, in the order of their arrival.
#[derive(Debug)]
pub(super) struct Held<L> {
    list: Vec<Entry<L>>,
    bytes: usize,
    max_bytes: usize,
}

#[derive(Debug)]
struct Entry<L> {
    letter: L,
    bytes: usize,
    /// Set if it came, or came again, by the present connection.
    is_current: bool,
}

impl<L> Held<L> {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { list: Vec::new(), bytes: 0, max_bytes }
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// Returns whether no further messages should be read: each may have to be held.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= self.max_bytes
    }

    /// Adds a message with `content_bytes`. It stays, however large it is. Returns whether it is the one that fills the memory.
    pub(super) fn add(&mut self, letter: L, content_bytes: usize) -> bool {
        let was_full = self.is_full();
        let bytes = content_bytes + ENTRY_BYTES;
        self.bytes += bytes;
        self.list.push(Entry { letter, bytes, is_current: true });
        self.is_full() && !was_full
    }

    /// Replaces a message that the hub sends again, so that it is set aside once, and acknowledged where it came last. Returns the message if
    /// none that is held is the same.
    pub(super) fn renew(&mut self, letter: L, is_same: impl Fn(&L, &L) -> bool) -> Option<L> {
        let is_copy = |entry: &&mut Entry<L>| !entry.is_current && is_same(&entry.letter, &letter);
        let Some(entry) = self.list.iter_mut().find(is_copy) else { return Some(letter) };
        entry.letter = letter;
        entry.is_current = true;
        None
    }

    /// Notes a new connection, by which the hub may send every message again.
    pub(super) fn expect_again(&mut self) {
        self.list.iter_mut().for_each(|entry| entry.is_current = false);
    }

    /// Messages of the present connection.
    pub(super) fn current(&self) -> impl Iterator<Item = &L> {
        self.list.iter().filter(|entry| entry.is_current).map(|entry| &entry.letter)
    }

    /// Takes the messages for which `is_out` says so.
    pub(super) fn take(&mut self, mut is_out: impl FnMut(&L) -> bool) -> Vec<L> {
        let out: Vec<Entry<L>> = self.list.extract_if(.., |entry| is_out(&entry.letter)).collect();
        self.bytes = out.iter().fold(self.bytes, |bytes, entry| bytes.saturating_sub(entry.bytes));
        out.into_iter().map(|entry| entry.letter).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_full_by_bytes_until_enough_has_left() {
        let mut held = Held::new(2 * (100 + ENTRY_BYTES));
        assert_eq!(["a", "b", "c"].map(|letter| held.add(letter, 100)), [false, true, false], "said once");
        assert!(held.is_full());
        assert_eq!(held.take(|letter| *letter != "b"), ["a", "c"]);
        assert!(!held.is_full());
        assert_eq!((held.take(|_| true), held.len(), held.bytes), (vec!["b"], 0, 0));
    }

    #[test]
    fn what_comes_again_takes_its_own_place_once_for_each_connection() {
        let mut held = Held::new(10_000);
        assert_eq!(["a", "b"].map(|letter| held.add(letter, 10)), [false; 2]);
        let renew = |held: &mut Held<&'static str>, letter| {
            held.renew(letter, |one, other| one.eq_ignore_ascii_case(other))
        };
        assert_eq!(renew(&mut held, "A"), Some("A"), "a second one on this connection");
        held.expect_again();
        assert_eq!(held.current().count(), 0);
        assert_eq!([renew(&mut held, "A"), renew(&mut held, "A")], [None, Some("A")]);
        assert_eq!(held.current().copied().collect::<Vec<_>>(), ["A"]);
        assert_eq!(held.take(|_| true), ["A", "b"]);
    }
}
