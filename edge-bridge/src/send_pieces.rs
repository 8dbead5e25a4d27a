//! Send buffer as a list of byte pieces: small packets are joined into one piece, while a large payload is a reference-counted piece that all its
//! receivers share without a copy.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};

/// Size in bytes from which a payload is shared instead of copied. Copying a smaller one costs less than a piece of its own.
pub(crate) const SHARED_MIN: usize = 2 * 1024;

/// Most bytes of memory that an empty buffer keeps allocated.
const KEPT: usize = 64 * 1024;

/// Frees the memory of an empty buffer if it is large, so that memory for a backlog is not kept. `BytesMut::capacity` does not tell the size of
/// the allocation, because it leaves out bytes that were split off.
pub(crate) fn free_if_large(buffer: &mut BytesMut) {
    if buffer.is_empty() && buffer.try_reclaim(KEPT + 1) {
        *buffer = BytesMut::new();
    }
}

/// Bytes to be sent, in their order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pieces {
    /// Finished pieces before `last`, each with a flag that is set if other buffers share it.
    done: VecDeque<(Bytes, bool)>,
    /// Last piece, to which more bytes can be joined.
    last: BytesMut,
    /// Number of bytes in all pieces of `done`.
    done_bytes: usize,
    /// Number of bytes in the shared pieces of `done`.
    shared: usize,
}

impl Pieces {
    /// Returns the last piece, to append to. Appended bytes are copied.
    pub(crate) fn last(&mut self) -> &mut BytesMut {
        &mut self.last
    }

    /// Appends bytes without a copy, as a shared piece.
    pub(crate) fn share(&mut self, bytes: Bytes) {
        self.finish_last();
        self.shared += bytes.len();
        self.push_done(bytes, true);
    }

    /// Appends a packet or a part of one. A small one is copied, a large one shared.
    #[cfg(feature = "net")]
    pub(crate) fn push(&mut self, bytes: Bytes) {
        if bytes.len() < SHARED_MIN {
            self.last.extend_from_slice(&bytes);
        } else {
            self.share(bytes);
        }
    }

    /// Appends all of `other`.
    #[cfg(feature = "net")]
    pub(crate) fn append(&mut self, mut other: Self) {
        if other.done.is_empty() {
            self.last.unsplit(other.last);
            return;
        }
        self.finish_last();
        self.done.append(&mut other.done);
        (self.done_bytes, self.shared) = (self.done_bytes + other.done_bytes, self.shared + other.shared);
        self.last = other.last;
    }

    /// Takes the first piece; `None` if there is none.
    pub(crate) fn pop(&mut self) -> Option<Bytes> {
        self.finish_last();
        let (bytes, is_shared) = self.done.pop_front()?;
        self.done_bytes -= bytes.len();
        self.shared -= if is_shared { bytes.len() } else { 0 };
        Some(bytes)
    }

    /// Returns whether the first piece is shared.
    pub(crate) fn starts_shared(&self) -> bool {
        self.done.front().is_some_and(|(_, is_shared)| *is_shared)
    }

    /// Number of bytes in the buffer.
    pub(crate) fn len(&self) -> usize {
        self.done_bytes + self.last.len()
    }

    /// Number of bytes in shared pieces.
    pub(crate) fn shared(&self) -> usize {
        self.shared
    }

    fn finish_last(&mut self) {
        if !self.last.is_empty() {
            let last = self.last.split().freeze();
            if last.len() > KEPT {
                // The rest of the buffer would keep all of it after the piece has left.
                self.last = BytesMut::new();
            }
            self.push_done(last, false);
        }
    }

    fn push_done(&mut self, bytes: Bytes, is_shared: bool) {
        self.done_bytes += bytes.len();
        self.done.push_back((bytes, is_shared));
    }
}

impl Buf for Pieces {
    fn remaining(&self) -> usize {
        self.len()
    }

    fn chunk(&self) -> &[u8] {
        self.done.front().map_or(&self.last, |(bytes, _)| bytes)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let pieces = self.done.iter().map(|(bytes, _)| &bytes[..]).chain([&self.last[..]]);
        let mut count = 0;
        for (slice, piece) in slices.iter_mut().zip(pieces.filter(|piece| !piece.is_empty())) {
            *slice = IoSlice::new(piece);
            count += 1;
        }
        count
    }

    fn advance(&mut self, mut count: usize) {
        while let Some((bytes, is_shared)) = self.done.front_mut() {
            let n = count.min(bytes.len());
            bytes.advance(n);
            self.done_bytes -= n;
            self.shared -= if *is_shared { n } else { 0 };
            count -= n;
            if !bytes.is_empty() {
                return;
            }
            self.done.pop_front();
        }
        self.last.advance(count);
        free_if_large(&mut self.last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(pieces: &mut Pieces, step: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while pieces.has_remaining() {
            let n = step.min(pieces.chunk().len());
            all.extend_from_slice(&pieces.chunk()[..n]);
            pieces.advance(n);
        }
        assert_eq!((pieces.len(), pieces.shared()), (0, 0));
        all
    }

    /// Small, large, small.
    fn three(payload: &Bytes) -> Pieces {
        let mut pieces = Pieces::default();
        pieces.last().extend_from_slice(b"head");
        pieces.share(payload.clone());
        pieces.last().extend_from_slice(b"tail");
        pieces
    }

    #[test]
    fn pieces_keep_their_order_and_a_payload_is_not_copied() {
        let payload = Bytes::from(vec![b'x'; SHARED_MIN]);
        let mut pieces = three(&payload);
        assert_eq!((pieces.len(), pieces.shared()), (SHARED_MIN + 8, SHARED_MIN));
        assert!(!pieces.starts_shared());
        assert_eq!(pieces.pop().unwrap(), "head");
        assert!(pieces.starts_shared());
        assert_eq!(pieces.pop().unwrap().as_ptr(), payload.as_ptr());
        assert_eq!((pieces.pop().unwrap(), pieces.pop()), (Bytes::from_static(b"tail"), None));
        assert_eq!((pieces.len(), pieces.shared()), (0, 0));
    }

    #[test]
    fn it_is_written_in_any_steps() {
        let payload = Bytes::from(vec![b'x'; SHARED_MIN]);
        let whole = [b"head", &payload[..], b"tail"].concat();
        for step in [1, 3, SHARED_MIN, SHARED_MIN + 8] {
            assert_eq!(written(&mut three(&payload), step), whole);
        }
        let mut pieces = three(&payload);
        pieces.advance(6);
        assert_eq!((pieces.len(), pieces.shared()), (SHARED_MIN + 2, SHARED_MIN - 2));
        assert_eq!(written(&mut pieces, 100), whole[6..]);
    }

    /// The most that waits for one peer, and sizes at which the capacity is and is not used up.
    #[test]
    fn a_large_buffer_is_not_kept_once_it_is_empty() {
        for size in [KEPT + 1, 200_000, 512 * 1024] {
            for step in [10_000, size] {
                let mut pieces = Pieces::default();
                for _ in 0..size / 100 + 1 {
                    pieces.last().extend_from_slice(&[b'x'; 100]);
                }
                let mut popped = Pieces::default();
                popped.last().extend_from_slice(&pieces.last);
                drop(popped.pop());
                written(&mut pieces, step);
                for pieces in [&mut pieces, &mut popped] {
                    assert!(!pieces.last().try_reclaim(KEPT + 1), "{size} in steps of {step}");
                }
            }
        }
        let mut small = Pieces::default();
        small.last().extend_from_slice(&[b'x'; 1_000]);
        small.advance(1_000);
        assert!(small.last().try_reclaim(1_000), "nothing is allocated anew");
    }

    #[test]
    fn one_write_takes_several_pieces() {
        let payload = Bytes::from(vec![b'x'; SHARED_MIN]);
        let pieces = three(&payload);
        let mut slices = [IoSlice::new(&[]); 4];
        let count = pieces.chunks_vectored(&mut slices);
        let lens: Vec<_> = slices[..count].iter().map(|slice| slice.len()).collect();
        assert_eq!(lens, [4, SHARED_MIN, 4]);
        assert_eq!(pieces.chunks_vectored(&mut slices[..2]), 2);
    }

    #[cfg(feature = "net")]
    #[test]
    fn buffers_are_joined_in_order() {
        let payload = Bytes::from(vec![b'x'; SHARED_MIN]);
        let mut pieces = Pieces::default();
        pieces.push(Bytes::from_static(b"a"));
        for _ in 0..2 {
            let mut more = Pieces::default();
            more.push(Bytes::from_static(b"b"));
            pieces.append(more);
            let mut more = Pieces::default();
            more.push(payload.clone());
            more.push(Bytes::from_static(b"c"));
            pieces.append(more);
        }
        assert_eq!(pieces.shared(), 2 * SHARED_MIN);
        let whole = [b"ab", &payload[..], b"cb", &payload[..], b"c"].concat();
        assert_eq!(written(&mut pieces, 1_000), whole);
    }
}
