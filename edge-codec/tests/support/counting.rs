//! An allocator that counts: every allocation in full, also the new size of every reallocation; nothing is subtracted.
#![allow(dead_code, unreachable_pub, unsafe_code, reason = "test support; each file uses its part")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    /// Bytes, and how often.
    static ALLOCATED: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

fn count(bytes: usize) {
    // A thread that ends may allocate after its locals are gone.
    let _ = ALLOCATED.try_with(|a| a.set((a.get().0 + bytes, a.get().1 + 1)));
}

// SAFETY: every call goes to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        unsafe { System.dealloc(ptr, layout) }
    }
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
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
