//! Bytes on their way to one client: handed to the caller, and not yet taken by the network.

use std::collections::VecDeque;

use crate::session::Memory;

/// Copies of bytes that a shell's buffers may hold while they grow; a shared payload has none.
const COPIES: usize = 2;
/// Memory of a shared payload's place in these buffers, in bytes.
const PIECE_OVERHEAD: usize = 256;

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Unwritten {
    /// Unwritten bytes in their order: length of each piece, and whether it is a shared payload.
    pieces: VecDeque<(usize, bool)>,
    bytes: usize,
    memory: Memory,
}

impl Unwritten {
    /// Notes bytes that were handed on.
    pub(super) fn add(&mut self, bytes: usize, is_shared: bool) {
        self.bytes += bytes;
        self.memory += cost(bytes, is_shared);
        self.memory.own += if is_shared { PIECE_OVERHEAD } else { 0 };
        match self.pieces.back_mut() {
            Some((last, false)) if !is_shared => *last += bytes,
            _ => self.pieces.push_back((bytes, is_shared)),
        }
    }

    /// Takes out the first bytes, which the network took.
    pub(super) fn take(&mut self, mut bytes: usize) {
        while let Some((first, is_shared)) = self.pieces.front_mut() {
            let (taken, is_shared) = (bytes.min(*first), *is_shared);
            *first -= taken;
            self.bytes -= taken;
            bytes -= taken;
            self.memory -= cost(taken, is_shared);
            if *first > 0 {
                return;
            }
            self.memory.own -= if is_shared { PIECE_OVERHEAD } else { 0 };
            self.pieces.pop_front();
        }
    }

    /// Number of bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the memory of the unwritten bytes.
    pub(super) fn memory(&self) -> Memory {
        self.memory
    }
}

fn cost(bytes: usize, is_shared: bool) -> Memory {
    if is_shared { Memory { own: 0, payloads: bytes } } else { Memory { own: COPIES * bytes, payloads: 0 } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_does_not_count_any_more_wherever_the_cut_is() {
        for step in [1, 7, 1_000, 10_000] {
            let mut unwritten = Unwritten::default();
            for (bytes, is_shared) in [(20, false), (10, false), (5_000, true), (3_000, true), (10, false)] {
                unwritten.add(bytes, is_shared);
            }
            assert_eq!(unwritten.bytes(), 8_040);
            assert_eq!(unwritten.memory(), Memory { own: 80 + 2 * PIECE_OVERHEAD, payloads: 8_000 });
            unwritten.take(30);
            assert_eq!(unwritten.memory(), Memory { own: 20 + 2 * PIECE_OVERHEAD, payloads: 8_000 });
            while unwritten.bytes() > 10 {
                unwritten.take(step.min(unwritten.bytes() - 10));
            }
            assert_eq!(unwritten.memory(), Memory { own: 20, payloads: 0 }, "in steps of {step}");
            // More than there is: a caller's error ends nothing.
            unwritten.take(11);
            assert_eq!((unwritten.bytes(), unwritten.memory()), (0, Memory::default()));
        }
    }
}
