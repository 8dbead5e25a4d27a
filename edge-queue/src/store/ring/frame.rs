//! Frame: 1..n whole pages with a header, a body and a CRC over all of it. Segments consist of frames only; a segment's header is its first
//! frame, with the snapshot as body.
//!
//! A header has everything needed to place the frame without its neighbours: ring, lane, slot and life of the slot (generation), epoch and
//! commit, its number in the lane's continuous count of frames, and the rows written to the lane before it. A frame of an earlier life is
//! therefore never taken for one of this life, and the rows of a damaged frame are known from those before and after it.
#![deny(clippy::indexing_slicing)]

use super::bytes::{Reader, set};
use super::layout::{FIRST_ROOM, FORMAT, FORMAT_ENCRYPTED, HEAD, MARK, NEXT_ROOM, PAGE, pages_for, room_of};
use crate::planted_flaw::{Flaw, planted};
use crate::row::Seq;
use crate::store::plausibility::{EPOCH_END, NUMBER_MAX};

const MAGIC: &[u8; 4] = b"EDGF";
const MARK_MAGIC: &[u8; 4] = b"edg+";
const BODY_CRC_AT: usize = 124;
const HEAD_CRC_AT: usize = 128;

const _: () = assert!(HEAD_CRC_AT + 4 <= HEAD);

/// Values of the header field `kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Start of a segment; the body is a snapshot.
    Snapshot,
    /// Frame of rows and changes.
    Records,
}

/// Header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: Kind,
    /// True in an encrypted file, where the body of a frame of records is encrypted.
    pub(super) encrypted: bool,
    pub(super) lane: u8,
    /// True if this frame holds the close mark.
    pub(super) closed: bool,
    /// Set if this is the last frame of its lane's part of the commit, by which a whole commit is distinguished from a torn one.
    pub(super) ends: bool,
    pub(super) pages: u32,
    pub(super) slot: u32,
    pub(super) gateway: u64,
    /// Generation: number of the slot's present life, unique and ascending over the whole ring.
    pub(super) generation: u64,
    pub(super) epoch: u32,
    /// Index of this frame in its lane's part of the commit, from 0.
    pub(super) part: u32,
    pub(super) commit: u64,
    /// Number of the frame in its lane, counted without a hole. A frame covers `base..=counter`, because a grown frame replaces the smaller ones
    /// before it.
    pub(super) counter: u64,
    pub(super) base: u64,
    /// Number of the first row; without rows, one past the lane's highest.
    pub(super) first_seq: Seq,
    /// Number of the lane's highest row after this frame.
    pub(super) last_seq: Seq,
    pub(super) rows: u32,
    pub(super) body_len: u32,
    pub(super) weight: u64,
    /// Number of rows written to the lane before this frame; with their weight in `weight_before`.
    pub(super) rows_before: u64,
    pub(super) weight_before: u64,
    /// Number of the newest commit of this run (epoch) that was synced before this one was begun; 0 for none.
    pub(super) synced: u64,
}

impl Head {
    /// Returns the header of this frame with a body of `len` bytes.
    pub(super) fn with_body(mut self, len: usize) -> Head {
        self.pages = pages_for(len) as u32;
        self.body_len = len as u32;
        self
    }

    /// Returns the header's bytes without its checksums.
    #[cfg(feature = "encryption")]
    pub(super) fn fields(&self) -> [u8; BODY_CRC_AT] {
        let mut fields = [0; BODY_CRC_AT];
        self.write_fields(&mut fields);
        fields
    }

    /// Appends the frame's pages to `out`. `pages` and `body_len` are set from the body, which is encrypted already where it has to be.
    pub(super) fn seal(self, body: &[u8], out: &mut Vec<u8>) -> Head {
        let head = self.with_body(body.len());
        let start = out.len();
        out.resize(start + HEAD, 0);
        let (first, rest) = body.split_at(body.len().min(FIRST_ROOM));
        out.extend_from_slice(first);
        for (n, chunk) in rest.chunks(NEXT_ROOM).enumerate() {
            out.extend_from_slice(MARK_MAGIC);
            out.extend_from_slice(&(n as u32 + 1).to_le_bytes());
            out.extend_from_slice(chunk);
        }
        out.resize(start + head.pages as usize * PAGE, 0);
        if let Some(frame) = out.get_mut(start..) {
            head.write_fields(frame);
            let crc = body_crc(frame);
            set(frame, BODY_CRC_AT, &crc.to_le_bytes());
            let crc = crc32c::crc32c(frame.get(..HEAD_CRC_AT).unwrap_or_default());
            set(frame, HEAD_CRC_AT, &crc.to_le_bytes());
        }
        head
    }

    fn write_fields(&self, frame: &mut [u8]) {
        let kind = match self.kind {
            Kind::Snapshot => 1,
            Kind::Records => 2,
        };
        let flags = u8::from(self.closed) | u8::from(self.ends) << 1;
        set(frame, 0, MAGIC);
        let format = if self.encrypted { FORMAT_ENCRYPTED } else { FORMAT };
        set(frame, 4, &[format as u8, kind, self.lane, flags]);
        set(frame, 8, &self.pages.to_le_bytes());
        set(frame, 12, &self.slot.to_le_bytes());
        set(frame, 16, &self.gateway.to_le_bytes());
        set(frame, 24, &self.generation.to_le_bytes());
        set(frame, 32, &self.epoch.to_le_bytes());
        set(frame, 36, &self.part.to_le_bytes());
        set(frame, 40, &self.commit.to_le_bytes());
        set(frame, 48, &self.counter.to_le_bytes());
        set(frame, 56, &self.base.to_le_bytes());
        set(frame, 64, &self.first_seq.to_le_bytes());
        set(frame, 72, &self.last_seq.to_le_bytes());
        set(frame, 80, &self.rows.to_le_bytes());
        set(frame, 84, &self.body_len.to_le_bytes());
        set(frame, 88, &self.weight.to_le_bytes());
        set(frame, 96, &self.rows_before.to_le_bytes());
        set(frame, 104, &self.weight_before.to_le_bytes());
        set(frame, 112, &self.synced.to_le_bytes());
    }

    /// Reads the header at the start of a page. `None` for anything that is not a whole header.
    pub(super) fn decode(page: &[u8]) -> Option<Head> {
        let crc = Reader::new(page.get(HEAD_CRC_AT..HEAD)?).u32()?;
        if page.get(..4)? != MAGIC || crc != crc32c::crc32c(page.get(..HEAD_CRC_AT)?) {
            return None;
        }
        Head::read_fields(page).filter(Head::is_sane)
    }

    fn read_fields(page: &[u8]) -> Option<Head> {
        let mut r = Reader::new(page);
        r.take(4)?;
        let encrypted = match u16::from(r.u8()?) {
            FORMAT => false,
            FORMAT_ENCRYPTED => true,
            _ => return None,
        };
        let kind = match r.u8()? {
            1 => Kind::Snapshot,
            2 => Kind::Records,
            _ => return None,
        };
        let (lane, flags) = (r.u8()?, r.u8()?);
        Some(Head {
            kind,
            encrypted,
            lane,
            closed: flags & 1 != 0,
            ends: flags & 2 != 0,
            pages: r.u32()?,
            slot: r.u32()?,
            gateway: r.u64()?,
            generation: r.u64()?,
            epoch: r.u32()?,
            part: r.u32()?,
            commit: r.u64()?,
            counter: r.u64()?,
            base: r.u64()?,
            first_seq: r.u64()?,
            last_seq: r.u64()?,
            rows: r.u32()?,
            body_len: r.u32()?,
            weight: r.u64()?,
            rows_before: r.u64()?,
            weight_before: r.u64()?,
            synced: r.u64()?,
        })
    }

    /// Returns whether the numbers are plausible, because a valid CRC does not make them trustworthy.
    fn is_sane(&self) -> bool {
        let body = self.body_len as usize;
        self.pages as usize == pages_for(body)
            && body <= room_of(self.pages as usize)
            && self.base <= self.counter
            && self.counter <= NUMBER_MAX
            && self.commit <= NUMBER_MAX
            && self.generation <= NUMBER_MAX
            && self.epoch < EPOCH_END
            && self.last_seq <= NUMBER_MAX
            && self.last_seq.saturating_add(1).checked_sub(self.first_seq) >= Some(u64::from(self.rows))
            && self.rows_before <= NUMBER_MAX
            && self.weight_before <= NUMBER_MAX
            && self.weight <= NUMBER_MAX
    }

    /// Returns whether a page without a whole header has parts of one that run `epoch` wrote after `last`, in the same life of the slot. A torn
    /// write looks like that, and so does a header with any single damaged byte.
    pub(super) fn resembles(page: &[u8], last: &Head, epoch: u32) -> bool {
        let at = |from: usize, value: &[u8]| page.get(from..from + value.len()) == Some(value);
        let signs = [
            at(0, MAGIC),
            at(12, &last.slot.to_le_bytes()),
            at(16, &last.gateway.to_le_bytes()),
            at(24, &last.generation.to_le_bytes()),
        ];
        let commit = page.get(40..48).and_then(|bytes| Reader::new(bytes).u64());
        let newer = at(32, &epoch.to_le_bytes()) || commit.is_some_and(|commit| commit > last.commit);
        newer && signs.iter().filter(|same| **same).count() >= signs.len() - 1
    }

    /// Returns whether the frame's bytes (all of its pages, this header first) are whole.
    pub(super) fn is_whole(&self, frame: &[u8]) -> bool {
        let stored = frame.get(BODY_CRC_AT..HEAD_CRC_AT).and_then(|b| Reader::new(b).u32());
        let good = stored == Some(body_crc(frame)) || planted(Flaw::BodyUnchecked);
        frame.len() == self.pages as usize * PAGE && good
    }

    /// Number of rows written to the lane up to and with this frame.
    pub(super) fn rows_after(&self) -> u64 {
        self.rows_before + u64::from(self.rows)
    }

    /// Weight written to the lane up to and with this frame.
    pub(super) fn weight_after(&self) -> u64 {
        self.weight_before + self.weight
    }
}

/// Returns whether a page is the `n`-th of a frame, as its mark says.
pub(super) fn is_further_page(page: &[u8], n: u32) -> bool {
    page.get(..4) == Some(MARK_MAGIC) && page.get(4..MARK) == Some(&n.to_le_bytes())
}

/// Returns the CRC over the header's fields and everything behind the header.
fn body_crc(frame: &[u8]) -> u32 {
    let fields = crc32c::crc32c(frame.get(..BODY_CRC_AT).unwrap_or_default());
    crc32c::crc32c_append(fields, frame.get(HEAD..).unwrap_or_default())
}

/// Turns a frame's pages into its body, in place.
pub(super) fn into_body(head: &Head, frame: &mut Vec<u8>) {
    let mut to = 0;
    for n in 0..head.pages as usize {
        let skip = if n == 0 { HEAD } else { MARK };
        let (from, end) = (n * PAGE + skip, ((n + 1) * PAGE).min(frame.len()));
        if from >= end {
            break;
        }
        frame.copy_within(from..end, to);
        to += end - from;
    }
    frame.truncate(to.min(head.body_len as usize));
}

#[cfg(test)]
pub(super) mod tests;
