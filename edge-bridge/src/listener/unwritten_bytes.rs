//! Unwritten bytes of one client: handed to the caller, and not yet accepted by the client's socket. They are only counted here; `connection.rs` decides
//! when a client that does not take them gets no more, and when it is not read.

use std::collections::VecDeque;

use crate::session::Memory;

/// Most copies of small bytes in the caller's growing buffers. A shared payload is not copied.
const COPIES: usize = 2;
/// Bytes of memory for one shared payload's entry in these buffers.
const PIECE_OVERHEAD: usize = 256;
/// Milliseconds within which bytes are merged to one piece, so that there are few pieces even of small packets.
const PIECE_MS: u64 = 250;

#[derive(Debug)]
struct Piece {
    bytes: usize,
    is_shared: bool,
    /// Up time at which the piece's first byte was handed over.
    at_ms: u64,
}

/// Unwritten bytes in pieces, see the [module](self).
#[derive(Debug, Default)]
pub(super) struct Unwritten {
    /// Unwritten bytes in their order.
    pieces: VecDeque<Piece>,
    bytes: usize,
    memory: Memory,
}

impl Unwritten {
    /// Adds bytes that were handed to the caller.
    pub(super) fn add(&mut self, now_ms: u64, bytes: usize, is_shared: bool) {
        self.bytes += bytes;
        self.memory += cost(bytes, is_shared);
        self.memory.own += if is_shared { PIECE_OVERHEAD } else { 0 };
        match self.pieces.back_mut() {
            Some(last) if !is_shared && !last.is_shared && now_ms < last.at_ms + PIECE_MS => {
                last.bytes += bytes;
            }
            _ => self.pieces.push_back(Piece { bytes, is_shared, at_ms: now_ms }),
        }
    }

    /// Removes the first bytes, because the socket accepted them.
    pub(super) fn take(&mut self, mut bytes: usize) {
        while let Some(first) = self.pieces.front_mut() {
            let (taken, is_shared) = (bytes.min(first.bytes), first.is_shared);
            first.bytes -= taken;
            self.bytes -= taken;
            bytes -= taken;
            self.memory -= cost(taken, is_shared);
            if first.bytes > 0 {
                return;
            }
            self.memory.own -= if is_shared { PIECE_OVERHEAD } else { 0 };
            self.pieces.pop_front();
        }
    }

    /// Number of unwritten bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Up time of the oldest piece; `None` if nothing is unwritten.
    pub(super) fn oldest_ms(&self) -> Option<u64> {
        self.pieces.front().map(|piece| piece.at_ms)
    }

    /// Returns the bytes of memory of the unwritten bytes.
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
                unwritten.add(0, bytes, is_shared);
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

    #[test]
    fn its_age_is_that_of_the_oldest_byte_however_slowly_it_is_taken() {
        let mut unwritten = Unwritten::default();
        for now_ms in 0..1_000 {
            unwritten.add(now_ms, 4, false);
        }
        assert_eq!((unwritten.pieces.len(), unwritten.oldest_ms()), (4, Some(0)), "few pieces");
        (0..999).for_each(|_| unwritten.take(1));
        assert_eq!(unwritten.oldest_ms(), Some(0));
        unwritten.take(1);
        assert_eq!(unwritten.oldest_ms(), Some(250));
        unwritten.take(3_000);
        assert_eq!(unwritten.oldest_ms(), None);
    }
}
