//! Wakers of waiting tasks, with panics contained. Wakers are foreign code: a panic in one is caught, and the thread that delivers receipts goes
//! on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

use smallvec::SmallVec;

/// Wakers by key, at most one for each key. A single one, the usual number, needs no allocation.
#[derive(Debug)]
pub(crate) struct Wakers<K>(SmallVec<[(K, Waker); 1]>);

impl<K> Default for Wakers<K> {
    fn default() -> Wakers<K> {
        Wakers(SmallVec::new())
    }
}

impl<K: PartialEq> Wakers<K> {
    /// Keeps the waker for `key` in place of an earlier one.
    pub(crate) fn set(&mut self, key: K, waker: &Waker) {
        match self.0.iter_mut().find(|(of, _)| *of == key) {
            Some((_, known)) => known.clone_from(waker),
            None => self.0.push((key, waker.clone())),
        }
    }

    /// Takes out the wakers for whose key `chosen` is true.
    pub(crate) fn take(&mut self, chosen: impl Fn(&K) -> bool) -> Wakers<K> {
        let (taken, rest) = std::mem::take(&mut self.0).into_iter().partition(|(key, _)| chosen(key));
        self.0 = rest;
        Wakers(taken)
    }

    /// Wakes all, even if one of the wakers panics. In a program built with `panic = "abort"` a panic ends the program, as any
    /// does.
    pub(crate) fn wake(self) {
        for (_, waker) in self.0 {
            // The panic hook has printed it; nothing of ours is behind the waker, so nothing can be left half done.
            let _contained = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        }
    }
}
