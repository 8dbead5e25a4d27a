//! Memory of a list outside of its owner, for the accounting of encoders.

use std::mem::size_of;

/// Overhead of an allocator for a small piece.
const PIECE_BYTES: usize = 16;

/// Returns the bytes that a list takes outside of its owner.
pub(crate) fn list_bytes<T>(list: &Vec<T>) -> usize {
    if list.capacity() == 0 { 0 } else { list.capacity() * size_of::<T>() + PIECE_BYTES }
}
