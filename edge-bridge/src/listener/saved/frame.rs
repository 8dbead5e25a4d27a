//! Frames: each saved record lies between two zeros, in a form without zeros ([`cobs`]), with a checksum. So damage costs the records that it touches:
//! the next zero is the end of it. There is no length that could be damaged, and nothing that a client sent looks like a frame.
#![deny(clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use bytes::{Buf, BytesMut};

use super::cobs;

/// Kind of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// [`Summary`] of a save: its first record, and again its last.
    Summary = 1,
    /// Retained message, a PUBLISH.
    Retained = 2,
    /// Session: the number of records that belong to it and follow (4 bytes), a CONNECT, and a SUBSCRIBE for each filter.
    Session = 3,
    /// Will of the session whose record precedes it, as a CONNECT with the client identifier.
    Will = 4,
    /// Message that waits for the session whose record precedes it, a PUBLISH.
    Waiting = 5,
    /// Message that waits for the session whose record precedes it as a member of a group: the length of the group's filter (2 bytes), the filter, a
    /// PUBLISH.
    SharedWaiting = 6,
}

/// Bytes of a record before its body: a number of the save (4), the record's number in that save (4), and its kind.
const HEAD: usize = 9;
/// Bytes of a record behind its body: the checksum of all before, CRC-32C.
const TAIL: usize = 4;
/// Most damaged chunks of a file that are kept for a look.
const DAMAGED_MAX: usize = 64;

/// Returns the most bytes of a frame whose record has a body of `body` bytes.
pub(super) const fn size(body: usize) -> usize {
    cobs::size(HEAD + body + TAIL) + 2
}

/// Time and number of all records of a save, by which those that are missing are counted. It stands at both ends, so that damage to one costs
/// nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Summary {
    pub(super) version: u8,
    pub(super) wall_ms: i64,
    pub(super) retained: u32,
    pub(super) sessions: u32,
    pub(super) wills: u32,
    pub(super) waiting: u32,
}

impl Summary {
    fn count(&mut self, kind: Kind) {
        match kind {
            Kind::Summary => {}
            Kind::Retained => self.retained += 1,
            Kind::Session => self.sessions += 1,
            Kind::Will => self.wills += 1,
            Kind::Waiting | Kind::SharedWaiting => self.waiting += 1,
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut body = vec![self.version];
        body.extend_from_slice(&self.wall_ms.to_be_bytes());
        for count in [self.retained, self.sessions, self.wills, self.waiting] {
            body.extend_from_slice(&count.to_be_bytes());
        }
        body
    }

    /// Reads a summary; of one of another version than these, which may have other fields, the version alone.
    pub(super) fn decode(mut body: &[u8], versions: RangeInclusive<u8>) -> Option<Self> {
        let version = body.try_get_u8().ok()?;
        if !versions.contains(&version) {
            return Some(Self { version, ..Self::default() });
        }
        let wall_ms = body.try_get_i64().ok()?;
        let mut count = || body.try_get_u32().ok();
        let (retained, sessions, wills, waiting) = (count()?, count()?, count()?, count()?);
        Some(Self { version, wall_ms, retained, sessions, wills, waiting })
    }

    /// Returns the number of records, both summaries counted.
    pub(super) fn records(&self) -> u64 {
        [self.retained, self.sessions, self.wills, self.waiting].into_iter().map(u64::from).sum::<u64>() + 2
    }
}

/// Writes frames, one behind the other.
pub(super) struct Writer {
    bytes: Vec<u8>,
    record: Vec<u8>,
    /// Identity of this save, so that a piece of an earlier one that a file system left in the file is known.
    save: u32,
    number: u32,
    summary: Summary,
}

impl Writer {
    /// Begins with a summary, which [`finish`](Self::finish) fills in.
    pub(super) fn new(version: u8, wall_ms: i64) -> Self {
        let summary = Summary { version, wall_ms, ..Summary::default() };
        let save = crc32c::crc32c(&wall_ms.to_be_bytes());
        let mut writer = Self { bytes: Vec::new(), record: Vec::new(), save, number: 0, summary };
        writer.put(Kind::Summary, &summary.encode());
        writer
    }

    /// Writes a record.
    pub(super) fn put(&mut self, kind: Kind, body: &[u8]) {
        self.summary.count(kind);
        put_frame(&mut self.bytes, &mut self.record, (self.save, self.number, kind), body);
        self.number += 1;
    }

    /// Returns the frames.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let summary = self.summary.encode();
        self.put(Kind::Summary, &summary);
        let mut first = Vec::new();
        put_frame(&mut first, &mut self.record, (self.save, 0, Kind::Summary), &summary);
        // As long as the one whose place it takes: below 254 bytes the form without zeros has always one byte more.
        if let Some(place) = self.bytes.get_mut(..first.len()) {
            place.copy_from_slice(&first);
        }
        self.bytes
    }
}

fn put_frame(out: &mut Vec<u8>, record: &mut Vec<u8>, (save, number, kind): (u32, u32, Kind), body: &[u8]) {
    record.clear();
    record.extend_from_slice(&save.to_be_bytes());
    record.extend_from_slice(&number.to_be_bytes());
    record.push(kind as u8);
    record.extend_from_slice(body);
    let checksum = crc32c::crc32c(record);
    record.extend_from_slice(&checksum.to_be_bytes());
    out.push(0);
    cobs::encode(record, out);
    out.push(0);
}

/// Whole frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<'a> {
    pub(super) number: u32,
    pub(super) kind: Kind,
    chunk: &'a [u8],
}

impl Frame<'_> {
    /// Appends the record's body.
    pub(super) fn body(&self, scratch: &mut Vec<u8>, out: &mut BytesMut) {
        scratch.clear();
        scratch.reserve(self.chunk.len());
        if cobs::decode(self.chunk, scratch).is_some() {
            out.extend_from_slice(scratch.get(HEAD..scratch.len().saturating_sub(TAIL)).unwrap_or_default());
        }
    }
}

/// Frames that are found in bytes of which any may be damaged.
#[derive(Debug, Default)]
pub(super) struct Found<'a> {
    /// Whole frames of one save, in order, each once.
    pub(super) frames: Vec<Frame<'a>>,
    /// Damaged chunks that are long enough for a frame, the first [`DAMAGED_MAX`] of them.
    pub(super) damaged: Vec<&'a [u8]>,
    /// Set if the bytes are those frames and nothing else.
    pub(super) is_clean: bool,
}

/// Finds the frames of the save that has most of the bytes: another is a piece that was left of it.
pub(super) fn scan(saved: &[u8]) -> Found<'_> {
    let mut saves = BTreeMap::<u32, Vec<Frame<'_>>>::new();
    let (mut damaged, mut record) = (Vec::new(), Vec::new());
    for chunk in saved.split(|byte| *byte == 0).filter(|chunk| !chunk.is_empty()) {
        match open(chunk, &mut record) {
            Some((save, frame)) => saves.entry(save).or_default().push(frame),
            None if chunk.len() > HEAD + TAIL && damaged.len() < DAMAGED_MAX => damaged.push(chunk),
            None => {}
        }
    }
    let mut frames = saves.into_values().max_by_key(|frames| bytes_of(frames)).unwrap_or_default();
    frames.sort_by_key(|frame| frame.number);
    frames.dedup_by_key(|frame| frame.number);
    let is_clean = bytes_of(&frames) == saved.len();
    Found { frames, damaged, is_clean }
}

/// Returns the bytes of frames with the zeros around them.
fn bytes_of(frames: &[Frame<'_>]) -> usize {
    frames.iter().map(|frame| frame.chunk.len() + 2).sum()
}

/// Returns the save and the frame; `None` if the checksum is wrong.
fn open<'a>(chunk: &'a [u8], record: &mut Vec<u8>) -> Option<(u32, Frame<'a>)> {
    record.clear();
    // At once: growth by doubling would take three times the size of a large one.
    record.reserve(chunk.len());
    cobs::decode(chunk, record)?;
    let (fields, mut checksum) = record.split_at_checked(record.len().checked_sub(TAIL)?)?;
    if checksum.try_get_u32().ok()? != crc32c::crc32c(fields) {
        return None;
    }
    let mut fields = fields;
    let (save, number) = (fields.try_get_u32().ok()?, fields.try_get_u32().ok()?);
    let kind = match fields.try_get_u8().ok()? {
        1 => Kind::Summary,
        2 => Kind::Retained,
        3 => Kind::Session,
        4 => Kind::Will,
        5 => Kind::Waiting,
        6 => Kind::SharedWaiting,
        _ => return None,
    };
    Some((save, Frame { number, kind, chunk }))
}

/// Returns the body of a damaged session's record, as far as it can be made out.
pub(super) fn damaged_session(chunk: &[u8]) -> Option<Vec<u8>> {
    let mut record = Vec::new();
    // Its end may be the damage.
    let _ = cobs::decode(chunk, &mut record);
    let (head, body) = record.split_at_checked(HEAD)?;
    (head.last() == Some(&(Kind::Session as u8))).then(|| body.to_vec())
}
