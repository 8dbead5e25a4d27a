//! Messages as a socket gives them.

use ::bytes::Bytes;

pub(super) const MESSAGE_BYTES: usize = 200;

/// Slices of a receive buffer. Incompressible; making them is not what is measured.
pub(super) struct Incoming {
    buffer: Bytes,
    messages: usize,
    at: usize,
}

impl Incoming {
    pub(super) fn new() -> Incoming {
        Incoming::of(16_384)
    }

    /// With a buffer of so many messages, which come again and again.
    pub(super) fn of(messages: usize) -> Incoming {
        let mut bytes = vec![0u8; messages * MESSAGE_BYTES];
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        for bytes in bytes.as_chunks_mut::<8>().0 {
            // xorshift64
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *bytes = state.to_le_bytes();
        }
        Incoming { buffer: Bytes::from(bytes), messages, at: 0 }
    }

    pub(super) fn next(&mut self) -> Bytes {
        self.at = (self.at + 1) % self.messages;
        let from = self.at * MESSAGE_BYTES;
        self.buffer.slice(from..from + MESSAGE_BYTES)
    }
}
