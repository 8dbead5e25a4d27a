//! Calls of wakers, which are foreign code: a panic inside one is that waker's alone, and whoever delivers receipts goes on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

/// Wakes, whatever the waker does. In a program built with `panic = "abort"` a panic ends the program, as any does.
pub(crate) fn wake(waker: Waker) {
    // The panic hook has printed it; nothing of ours is behind the waker, so nothing can be left half done.
    let _contained = catch_unwind(AssertUnwindSafe(|| waker.wake()));
}
