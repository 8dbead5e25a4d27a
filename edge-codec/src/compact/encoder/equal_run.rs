//! List of properties that rarely change, such as a column's kind and quality (run-length encoding).

#![deny(clippy::indexing_slicing)]

use crate::compact::list_bytes::list_bytes;

/// List that takes no memory, and whose push stores nothing, as long as all entries are equal. The owner knows its length.
#[derive(Clone, Debug)]
pub(crate) struct EqualRun<T> {
    one: T,
    /// All entries; empty if they all equal `one`.
    list: Vec<T>,
}

impl<T: Copy + PartialEq> EqualRun<T> {
    pub(crate) fn new(one: T) -> Self {
        Self { one, list: Vec::new() }
    }

    /// Appends an entry behind the `len` present ones.
    #[inline]
    pub(crate) fn push(&mut self, len: usize, entry: T) {
        if !self.list.is_empty() {
            self.list.push(entry);
        } else if entry != self.one {
            self.differ(len, entry);
        }
    }

    /// Returns whether all entries equal this one. An empty list compares with its last entry that was.
    #[inline]
    pub(crate) fn are(&self, entry: T) -> bool {
        self.list.is_empty() && entry == self.one
    }

    #[cold]
    fn differ(&mut self, len: usize, entry: T) {
        if len == 0 {
            self.one = entry;
        } else {
            self.list.resize(len, self.one);
            self.list.push(entry);
        }
    }

    /// The entry at `at`, which is below the length.
    pub(crate) fn get(&self, at: usize) -> T {
        self.list.get(at).copied().unwrap_or(self.one)
    }

    /// Returns the value of the first `n` entries. `None`: they are not all equal.
    pub(crate) fn one(&self, n: usize) -> Option<T> {
        let one = self.get(0);
        self.list.iter().take(n).all(|entry| *entry == one).then_some(one)
    }

    /// Returns the first `n` entries as runs, each with its length.
    pub(crate) fn runs(&self, n: usize) -> impl Iterator<Item = (T, usize)> {
        let same = (self.list.is_empty() && n > 0).then_some((self.one, n));
        let runs = self.list.get(..n).unwrap_or_default().chunk_by(|a, b| a == b);
        same.into_iter().chain(runs.filter_map(|run| Some((*run.first()?, run.len()))))
    }

    /// Returns the bytes outside of the list itself.
    pub(crate) fn heap_bytes(&self) -> usize {
        list_bytes(&self.list)
    }

    /// Removes the first `n` entries.
    pub(crate) fn drain(&mut self, n: usize) {
        self.list.drain(..n.min(self.list.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_list() {
        for entries in [&[][..], &[7], &[7, 7, 7], &[0, 0, 7, 7, 0], &[7, 0, 0]] {
            for drained in 0..=entries.len() {
                let mut same = EqualRun::new(0);
                let mut list = Vec::new();
                let push = |same: &mut EqualRun<i32>, list: &mut Vec<i32>| {
                    for entry in entries {
                        same.push(list.len(), *entry);
                        list.push(*entry);
                    }
                };
                push(&mut same, &mut list);
                same.drain(drained);
                list.drain(..drained);
                push(&mut same, &mut list);
                assert!((0..list.len()).all(|at| same.get(at) == list[at]), "{entries:?} {drained}");
                for n in 0..=list.len() {
                    let runs = same.runs(n).flat_map(|(entry, n)| std::iter::repeat_n(entry, n));
                    assert!(runs.eq(list[..n].iter().copied()));
                    let alike = list[..n].windows(2).all(|w| w[0] == w[1]);
                    assert_eq!(same.one(n).is_some(), alike || n == 0);
                }
            }
        }
    }
}
