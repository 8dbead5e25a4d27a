//! A block: a header that proves itself and says how much came before it, and a body with a checksum of its own.
//!
//! The four bytes a header begins with never occur in a body: behind each of their first three there stands a byte that
//! a reader drops. So a stream inside a payload is never taken for a part of the one around it, whatever is damaged.
#![deny(clippy::indexing_slicing)]

use crate::store::bytes::Reader;

/// Version of the stream.
pub(super) const FORMAT: u16 = 1;
pub(super) const MAGIC: &[u8; 4] = b"EDGX";
/// Bytes followed by [`STUFFING`] in a body: all of the magic but its last byte.
const STUFFED: &[u8] = b"EDG";
const STUFFING: u8 = 1;
/// Bytes of a header.
pub(super) const HEAD: usize = 48;
const CRC_AT: usize = HEAD - 4;
/// Most bytes of a body: the largest row is 16 MiB, may need a third more, and lies alone behind 64 KiB of smaller ones.
pub(super) const BODY_MAX: usize = 22 * 1024 * 1024;

/// Kind of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Gateway, epoch and lanes; the first block.
    Begin = 1,
    /// Rows of one lane.
    Rows = 2,
    /// Losses of one lane.
    Gaps = 3,
    /// Last block of the stream.
    End = 4,
}

/// Header of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: Kind,
    pub(super) lane: u8,
    pub(super) gateway: u64,
    /// Number of blocks before this one.
    pub(super) number: u32,
    /// Number of rows or losses in the block.
    pub(super) items: u32,
    /// Number of rows in the blocks before, so that the rows of a lost block are known from its neighbours.
    pub(super) rows_before: u64,
    pub(super) body_len: u32,
    pub(super) body_crc: u32,
}

/// Finding at a place where a header could be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Head(Head),
    /// A whole header of a later version.
    Newer(u16),
    Nothing,
}

impl Head {
    /// Returns the header as it goes into the stream; length and checksum are set from the body.
    pub(super) fn seal(mut self, body: &[u8]) -> [u8; HEAD] {
        self.body_len = u32::try_from(body.len()).unwrap_or(u32::MAX);
        self.body_crc = crc32c::crc32c(body);
        let mut bytes = Vec::with_capacity(HEAD);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&[self.kind as u8, self.lane]);
        bytes.extend_from_slice(&self.gateway.to_le_bytes());
        bytes.extend_from_slice(&self.number.to_le_bytes());
        bytes.extend_from_slice(&self.items.to_le_bytes());
        bytes.extend_from_slice(&self.rows_before.to_le_bytes());
        bytes.extend_from_slice(&self.body_len.to_le_bytes());
        bytes.extend_from_slice(&self.body_crc.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        bytes.try_into().unwrap_or([0; HEAD])
    }

    pub(super) fn decode(bytes: &[u8]) -> Found {
        Head::whole(bytes).unwrap_or(Found::Nothing)
    }

    fn whole(bytes: &[u8]) -> Option<Found> {
        let (fields, crc) = bytes.get(..HEAD)?.split_at_checked(CRC_AT)?;
        let mut r = Reader::new(fields);
        if r.take(4)? != MAGIC || Reader::new(crc).u32()? != crc32c::crc32c(fields) {
            return None;
        }
        let version = r.u16()?;
        if version > FORMAT {
            return Some(Found::Newer(version));
        }
        let kind = match r.u8()? {
            1 => Kind::Begin,
            2 => Kind::Rows,
            3 => Kind::Gaps,
            4 => Kind::End,
            _ => return None,
        };
        let head = Head {
            kind,
            lane: r.u8()?,
            gateway: r.u64()?,
            number: r.u32()?,
            items: r.u32()?,
            rows_before: r.u64()?,
            body_len: r.u32()?,
            body_crc: r.u32()?,
        };
        (head.body_len as usize <= BODY_MAX).then_some(Found::Head(head))
    }
}

/// Returns the body as it goes into the stream, with a mark behind what looks like a block's begin.
pub(super) fn stuff(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + body.len() / 64);
    for byte in body {
        out.push(*byte);
        if out.ends_with(STUFFED) {
            out.push(STUFFING);
        }
    }
    out
}

/// Returns the body without the marks that [`stuff`] added.
pub(super) fn unstuff(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let mut drop_next = false;
    for byte in body {
        if !drop_next {
            out.push(*byte);
        }
        drop_next = !drop_next && out.ends_with(STUFFED);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_never_holds_the_magic_and_comes_back() {
        for body in [&b"EDGX"[..], b"EDGEDGXEDEDGXX", b"EDG", b"EDG\x01EDG\x01\x01", b"", b"E", b"DGXEDG"] {
            let out = stuff(body);
            assert!(!out.windows(4).any(|w| w == MAGIC), "{body:?}");
            assert_eq!(unstuff(&out), body);
        }
    }
}
