//! An allocator that counts: every allocation in full, also the new size of every reallocation, from which nothing is subtracted; and apart from
//! that the bytes that are alive.
#![allow(dead_code, unreachable_pub, unsafe_code, reason = "test support; each file uses its part")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    /// Bytes, and how often.
    static ALLOCATED: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
    /// Bytes that were allocated and not given back.
    static ALIVE: Cell<usize> = const { Cell::new(0) };
}

fn count(bytes: usize) {
    // A thread that ends may allocate after its locals are gone.
    let _ = ALLOCATED.try_with(|a| a.set((a.get().0 + bytes, a.get().1 + 1)));
    let _ = ALIVE.try_with(|a| a.set(a.get().wrapping_add(bytes)));
}

/// A thread may give back what another one allocated: only differences mean anything.
fn give_back(bytes: usize) {
    let _ = ALIVE.try_with(|a| a.set(a.get().wrapping_sub(bytes)));
}

// SAFETY: every call goes to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        give_back(layout.size());
        unsafe { System.dealloc(ptr, layout) }
    }
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        give_back(layout.size());
        count(new_size);
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Bytes that this thread allocates in `run`.
pub fn allocated(run: impl FnOnce()) -> usize {
    let before = ALLOCATED.get().0;
    run();
    ALLOCATED.get().0 - before
}

/// Returns how often this thread allocates in `run`.
pub fn allocations(run: impl FnOnce()) -> usize {
    let before = ALLOCATED.get().1;
    run();
    ALLOCATED.get().1 - before
}

/// Returns what `make` returns, and the bytes of this thread that are alive after it and were not before.
pub fn kept<T>(make: impl FnOnce() -> T) -> (T, usize) {
    let before = ALIVE.get();
    let made = make();
    (made, ALIVE.get().wrapping_sub(before))
}
