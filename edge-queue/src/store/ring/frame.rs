//! Frame: 1..n whole pages with a header, a body and a CRC over all of it. Segments consist of frames only; a segment's header is its first
//! frame, with the snapshot as body.
//!
//! A header has everything needed to place the frame without its neighbours: ring, lane, slot and life of the slot (generation), epoch and
//! commit, its number in the lane's continuous count of frames, and the rows written to the lane before it. A frame of an earlier life is
//! therefore never taken for one of this life, and the rows of a damaged frame are known from those before and after it.
#![deny(clippy::indexing_slicing)]

use super::bytes::{Reader, set};
use super::layout::{FIRST_ROOM, FORMAT, HEAD, MARK, NEXT_ROOM, PAGE, pages_for, room_of};
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
    /// Appends the frame's pages to `out`. `pages` and `body_len` are set from the body.
    pub(super) fn seal(mut self, body: &[u8], out: &mut Vec<u8>) -> Head {
        let pages = pages_for(body.len());
        self.pages = pages as u32;
        self.body_len = body.len() as u32;
        let start = out.len();
        out.resize(start + HEAD, 0);
        let (first, rest) = body.split_at(body.len().min(FIRST_ROOM));
        out.extend_from_slice(first);
        for (n, chunk) in rest.chunks(NEXT_ROOM).enumerate() {
            out.extend_from_slice(MARK_MAGIC);
            out.extend_from_slice(&(n as u32 + 1).to_le_bytes());
            out.extend_from_slice(chunk);
        }
        out.resize(start + pages * PAGE, 0);
        if let Some(frame) = out.get_mut(start..) {
            self.write_fields(frame);
            let crc = body_crc(frame);
            set(frame, BODY_CRC_AT, &crc.to_le_bytes());
            let crc = crc32c::crc32c(frame.get(..HEAD_CRC_AT).unwrap_or_default());
            set(frame, HEAD_CRC_AT, &crc.to_le_bytes());
        }
        self
    }

    fn write_fields(&self, frame: &mut [u8]) {
        let kind = match self.kind {
            Kind::Snapshot => 1,
            Kind::Records => 2,
        };
        let flags = u8::from(self.closed) | u8::from(self.ends) << 1;
        set(frame, 0, MAGIC);
        set(frame, 4, &[FORMAT as u8, kind, self.lane, flags]);
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
        Head::fields(page).filter(Head::is_sane)
    }

    fn fields(page: &[u8]) -> Option<Head> {
        let mut r = Reader::new(page);
        r.take(4)?;
        if r.u8()? != FORMAT as u8 {
            return None;
        }
        let kind = match r.u8()? {
            1 => Kind::Snapshot,
            2 => Kind::Records,
            _ => return None,
        };
        let (lane, flags) = (r.u8()?, r.u8()?);
        Some(Head {
            kind,
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
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn sample() -> Head {
        Head {
            kind: Kind::Records,
            lane: 1,
            closed: false,
            ends: true,
            pages: 1,
            slot: 3,
            gateway: 0x1234_5678_9abc_def0,
            generation: 17,
            epoch: 4,
            part: 0,
            commit: 99,
            counter: 55,
            base: 54,
            first_seq: 1000,
            last_seq: 1009,
            rows: 10,
            body_len: 0,
            weight: 12,
            rows_before: 900,
            weight_before: 950,
            synced: 97,
        }
    }

    /// Makes both checksums of a changed frame good again.
    pub(in super::super) fn fix(frame: &mut [u8]) {
        let crc = body_crc(frame);
        set(frame, BODY_CRC_AT, &crc.to_le_bytes());
        let crc = crc32c::crc32c(&frame[..HEAD_CRC_AT]);
        set(frame, HEAD_CRC_AT, &crc.to_le_bytes());
    }

    #[test]
    fn a_frame_of_any_size_comes_back() {
        for len in [0, 1, FIRST_ROOM, FIRST_ROOM + 1, FIRST_ROOM + NEXT_ROOM, 70_000] {
            let body: Vec<u8> = (0..len).map(|n| (n * 7) as u8).collect();
            let mut out = vec![0xee; PAGE];
            let head = sample().seal(&body, &mut out);
            let mut frame = out.split_off(PAGE);
            let read = Head::decode(&frame[..PAGE]).unwrap();
            assert_eq!(read, head);
            assert!(read.is_whole(&frame));
            into_body(&read, &mut frame);
            assert!(frame == body, "{len}");
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let mut frame = Vec::new();
        let head = sample().seal(&[7; 6000], &mut frame);
        for at in 0..frame.len() {
            let mut bad = frame.clone();
            bad[at] ^= 1 << (at % 8);
            let whole = Head::decode(&bad).is_some_and(|h| h == head && h.is_whole(&bad));
            // The four reserved bytes behind the header's CRC are covered by the body's.
            assert!(!whole || (HEAD_CRC_AT + 4..HEAD).contains(&at), "byte {at}");
        }
    }

    #[test]
    fn a_header_with_one_wrong_byte_still_resembles_its_life_and_another_life_does_not() {
        let mut frame = Vec::new();
        let head = sample().seal(&[7; 100], &mut frame);
        let last = Head { commit: head.commit - 1, ..head };
        let resembles = |page: &[u8]| Head::resembles(page, &last, head.epoch);
        for at in 0..HEAD {
            let mut bad = frame.clone();
            bad[at] = !bad[at];
            assert!(resembles(&bad), "byte {at}");
        }
        let other = Head { slot: head.slot + 1, generation: head.generation + 1, ..last };
        assert!(!Head::resembles(&frame, &other, head.epoch));
        assert!(!Head::resembles(&frame, &head, head.epoch + 1), "older than the last");
        assert!(!resembles(&[0; PAGE]));
    }

    #[test]
    fn a_payload_never_stands_where_a_header_could() {
        let mut fake = Vec::new();
        sample().seal(b"planted", &mut fake);
        let body: Vec<u8> = fake.iter().copied().cycle().take(60_000).collect();
        let mut frame = Vec::new();
        sample().seal(&body, &mut frame);
        for page in frame.chunks(PAGE).skip(1) {
            assert_eq!(Head::decode(page), None);
            assert_eq!(&page[..4], MARK_MAGIC);
        }
    }

    #[test]
    fn a_number_out_of_range_makes_a_whole_header_unbelieved() {
        type Change = fn(&mut Head);
        let wrong: [(&str, Change); 12] = [
            ("pages", |h| h.pages = 2),
            ("body", |h| h.body_len = 5000),
            ("base", |h| h.base = h.counter + 1),
            ("counter", |h| h.counter = NUMBER_MAX + 1),
            ("commit", |h| h.commit = NUMBER_MAX + 1),
            ("generation", |h| h.generation = NUMBER_MAX + 1),
            ("epoch", |h| h.epoch = u32::MAX / 2),
            ("last row", |h| (h.first_seq, h.last_seq) = (NUMBER_MAX - 20, NUMBER_MAX + 1)),
            ("rows", |h| h.rows = 11),
            ("rows before", |h| h.rows_before = NUMBER_MAX + 1),
            ("weight before", |h| h.weight_before = NUMBER_MAX + 1),
            ("weight", |h| h.weight = NUMBER_MAX + 1),
        ];
        let decoded = |change: Change| {
            let mut frame = Vec::new();
            let mut head = sample().seal(&[7; 100], &mut frame);
            change(&mut head);
            head.write_fields(&mut frame);
            fix(&mut frame);
            Head::decode(&frame)
        };
        assert!(decoded(|h| h.epoch = u32::MAX / 2 - 1).is_some());
        for (name, change) in wrong {
            assert_eq!(decoded(change), None, "{name}");
        }
    }

    #[test]
    fn a_further_page_is_told_by_its_mark_and_its_number() {
        let mut frame = Vec::new();
        sample().seal(&[7; 9000], &mut frame);
        for (n, page) in frame.chunks(PAGE).enumerate() {
            for asked in 1..3 {
                assert_eq!(is_further_page(page, asked), n == asked as usize, "page {n} as {asked}");
            }
        }
        let unmarked = [&[0; 4], &frame[PAGE + 4..2 * PAGE]].concat();
        assert!(!is_further_page(&unmarked, 1));
    }
}
