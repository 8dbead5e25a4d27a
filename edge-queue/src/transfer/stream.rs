//! Reading a stream, whatever became of it: whole blocks count, what lies between them is passed over and counted.
#![deny(clippy::indexing_slicing)]

use std::fmt;
use std::io::{self, Read};

use super::block::{FORMAT, Found, HEAD, Head, Kind, MAGIC, unstuff};
use super::record::{get_gap, get_row};
use crate::gap::Gap;
use crate::row::{LANES_MAX, Lane, StoredRow};
use crate::store::bytes::Reader;

/// Bytes read at a time. A length in a header costs no RAM before the bytes are there.
const READ_BYTES: usize = 64 * 1024;

/// Item of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Item {
    /// A row, with the sequence number and epoch that it had in the old queue.
    Row(StoredRow),
    /// A loss that this consumer of the old gateway had not reported yet.
    Gap(String, Gap),
}

/// Findings at the end of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamEnd {
    /// Gateway id of the queue that was exported; 0 when no block was found.
    pub gateway: u64,
    /// That gateway's last epoch; `None` when the first block was damaged.
    pub epoch: Option<u32>,
    /// Number of lanes of the exported queue; `None` when the first block was damaged.
    pub lanes: Option<u8>,
    /// Number of rows that were in damaged blocks, as far as the blocks around them tell.
    pub rows_missing: u64,
    /// Bytes that belong to no whole block.
    pub bytes_damaged: u64,
    /// True if the end was found: without it more may be missing than `rows_missing`.
    pub ended: bool,
}

impl StreamEnd {
    /// Returns whether everything that was written was read.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.ended && self.rows_missing == 0 && self.bytes_damaged == 0
    }
}

/// Error of a stream that cannot be read at all. Damage is none; it is counted in [`StreamEnd`].
#[derive(Debug)]
#[non_exhaustive]
pub enum StreamError {
    /// The stream could not be read.
    Read(io::Error),
    /// The stream was written by a newer version of this crate.
    NewerFormat {
        /// Version that the stream has.
        found: u16,
        /// Newest version this build knows.
        known: u16,
    },
    /// There is not one whole block in the stream.
    NoExport,
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StreamError::Read(e) => write!(f, "the stream cannot be read: {e}"),
            StreamError::NewerFormat { found, known } => {
                write!(f, "the stream has format {found}, this version knows formats up to {known}")
            }
            StreamError::NoExport => f.write_str("no whole block of an export was found"),
        }
    }
}

impl std::error::Error for StreamError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StreamError::Read(e) => Some(e),
            _ => None,
        }
    }
}

/// Reads a stream item by item. RAM: one block, twice: some 128 KiB, or one large row.
///
/// ```
/// # use edge_queue::transfer::{Exporter, Stream};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut bytes = Vec::new();
/// Exporter::new(&mut bytes, 0x1d, 7, 2)?.finish()?;
/// let mut stream = Stream::new(bytes.as_slice());
/// assert!(stream.next_item()?.is_none() && stream.end().is_whole());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Stream<R> {
    input: R,
    buffer: Vec<u8>,
    /// Position in `buffer` before which the bytes are done with.
    at: usize,
    eof: bool,
    /// Block being read; `None` before the first.
    block: Option<Block>,
    /// Number of the last block, and rows accounted for up to its end; `None` before the first.
    last: Option<(u32, u64)>,
    end: StreamEnd,
    note: Vec<u8>,
}

#[derive(Debug)]
struct Block {
    kind: Kind,
    lane: Lane,
    body: Vec<u8>,
    at: usize,
    /// Number of items still to come.
    left: u32,
}

impl<R: Read> Stream<R> {
    /// Begins to read `input`.
    pub fn new(input: R) -> Stream<R> {
        let end = StreamEnd::default();
        Stream {
            input,
            buffer: Vec::new(),
            at: 0,
            eof: false,
            block: None,
            last: None,
            end,
            note: Vec::new(),
        }
    }

    /// The next item; `None` at the end, when [`Stream::end`] tells how it went.
    ///
    /// # Errors
    /// The input fails, is of a newer version, or ended without one whole block.
    pub fn next_item(&mut self) -> Result<Option<Item>, StreamError> {
        loop {
            if let Some(item) = self.take_item() {
                return Ok(Some(item));
            }
            if !self.next_block()? {
                let any = self.last.is_some();
                return if any { Ok(None) } else { Err(StreamError::NoExport) };
            }
        }
    }

    /// Returns what was found so far; all of it once there are no more items.
    pub fn end(&self) -> &StreamEnd {
        &self.end
    }

    /// Returns the note that the application added to the stream, once its first block was read; empty without one.
    pub fn note(&self) -> &[u8] {
        &self.note
    }

    /// Takes in the next whole block; `false` when there is none.
    fn next_block(&mut self) -> Result<bool, StreamError> {
        while self.fill(HEAD)? {
            let head = match Head::decode(self.rest()) {
                Found::Head(head) if self.follows(&head) => head,
                Found::Newer(found) => return Err(StreamError::NewerFormat { found, known: FORMAT }),
                _ => {
                    self.skip_to_magic();
                    continue;
                }
            };
            let len = HEAD + head.body_len as usize;
            // Without this look each header of a damaged stream could cost the checksum of a whole body, of bytes that the next one costs again.
            if self.has_magic_before(len)? {
                self.skip_to_magic();
                continue;
            }
            let body = self.rest().get(HEAD..len).filter(|body| crc32c::crc32c(body) == head.body_crc);
            if let Some(body) = body.map(unstuff) {
                self.at += len;
                self.take_block(&head, body);
                return Ok(true);
            }
            self.skip_to_magic();
        }
        self.skip(self.rest().len());
        Ok(false)
    }

    /// Makes the bytes up to `len` available, as far as there are so many, and returns whether a header's first bytes are among those of the body, which
    /// then is none. What is behind them is not read.
    fn has_magic_before(&mut self, len: usize) -> Result<bool, StreamError> {
        let mut from = HEAD;
        loop {
            let there = self.rest().len().min(len);
            let unseen = self.rest().get(from..there).unwrap_or_default();
            if unseen.windows(MAGIC.len()).any(|bytes| bytes == MAGIC) {
                return Ok(true);
            }
            if there == len || self.eof {
                return Ok(false);
            }
            // The last bytes may be the beginning of one.
            from = from.max(there.saturating_sub(MAGIC.len() - 1));
            self.fill(there + 1)?;
        }
    }

    /// Returns whether a header belongs to this stream and comes next.
    fn follows(&self, head: &Head) -> bool {
        match self.last {
            None => true,
            Some((number, rows)) => {
                head.gateway == self.end.gateway && head.number > number && head.rows_before >= rows
            }
        }
    }

    fn take_block(&mut self, head: &Head, body: Vec<u8>) {
        let (number, seen) = (head.number, self.last.map_or(0, |(_, rows)| rows));
        self.end.gateway = head.gateway;
        self.miss(head.rows_before.saturating_sub(seen));
        let rows = if head.kind == Kind::Rows { u64::from(head.items) } else { 0 };
        self.last = Some((number, head.rows_before.saturating_add(rows)));
        match head.kind {
            Kind::Begin => {
                let mut r = Reader::new(&body);
                (self.end.epoch, self.end.lanes) = (r.u32(), r.u8());
                self.note = body.get(body.len().saturating_sub(r.left())..).unwrap_or_default().to_vec();
            }
            Kind::End => self.end.ended = true,
            Kind::Rows | Kind::Gaps => {
                let (kind, lane, left) = (head.kind, Lane(head.lane), head.items);
                self.block = Some(Block { kind, lane, body, at: 0, left });
            }
        }
    }

    fn take_item(&mut self) -> Option<Item> {
        let block = self.block.as_mut().filter(|block| block.left > 0)?;
        let mut r = Reader::new(block.body.get(block.at..)?);
        let known = usize::from(block.lane.0) < LANES_MAX;
        let item = match block.kind {
            _ if !known => None,
            Kind::Rows => get_row(&mut r, block.lane).map(Item::Row),
            _ => get_gap(&mut r, block.lane).map(|(consumer, gap)| Item::Gap(consumer, gap)),
        };
        block.at = block.body.len().saturating_sub(r.left());
        block.left -= 1;
        if item.is_none() {
            // A writer's error: the checksum was good.
            let rows = if block.kind == Kind::Rows { u64::from(block.left) + 1 } else { 0 };
            self.block = None;
            self.miss(rows);
        }
        item
    }

    fn miss(&mut self, rows: u64) {
        self.end.rows_missing = self.end.rows_missing.saturating_add(rows);
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.at..).unwrap_or_default()
    }

    fn skip(&mut self, bytes: usize) {
        let bytes = bytes.min(self.rest().len());
        self.at += bytes;
        self.end.bytes_damaged += bytes as u64;
    }

    /// Skips to the next place where a header may begin.
    fn skip_to_magic(&mut self) {
        let rest = self.rest();
        let next = (1..rest.len()).find(|at| rest.get(*at..).is_some_and(|r| r.starts_with(MAGIC)));
        // The last bytes may be the beginning of one.
        let bytes = next.unwrap_or_else(|| rest.len().saturating_sub(MAGIC.len() - 1).max(1));
        self.skip(bytes);
    }

    /// Makes `bytes` bytes available; `false` when there are not so many.
    fn fill(&mut self, bytes: usize) -> Result<bool, StreamError> {
        while self.rest().len() < bytes && !self.eof {
            if self.at > 0 {
                self.buffer.drain(..self.at);
                self.at = 0;
            }
            let len = self.buffer.len();
            self.buffer.resize(len + READ_BYTES, 0);
            let read = match self.buffer.get_mut(len..).map(|room| self.input.read(room)) {
                Some(Ok(read)) => read.min(READ_BYTES),
                Some(Err(e)) if e.kind() == io::ErrorKind::Interrupted => {
                    self.buffer.truncate(len);
                    continue;
                }
                Some(Err(e)) => {
                    self.buffer.truncate(len);
                    return Err(StreamError::Read(e));
                }
                None => 0,
            };
            self.eof = read == 0;
            self.buffer.truncate(len + read);
        }
        Ok(self.rest().len() >= bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream of headers that are whole and of bodies that are none costs time and RAM by its length, not by the lengths that it claims.
    #[test]
    fn headers_back_to_back_are_not_taken_for_the_bodies_that_they_claim() {
        let claimed = vec![0; 8 * READ_BYTES];
        let head = Head {
            kind: Kind::Rows,
            lane: 0,
            gateway: 1,
            number: 1,
            items: 1,
            rows_before: 0,
            body_len: 0,
            body_crc: 0,
        };
        let headers = head.seal(&claimed).repeat(20_000);
        let mut stream = Stream::new(headers.as_slice());
        assert!(matches!(stream.next_item(), Err(StreamError::NoExport)));
        assert_eq!(stream.end().bytes_damaged, headers.len() as u64);
        assert!(stream.buffer.capacity() < claimed.len(), "{} bytes at a time", stream.buffer.capacity());
    }

    /// The place of the magic in a body, on either side of a read and of the end, is found or is none.
    #[test]
    fn a_body_is_searched_to_its_end_and_no_further() {
        let len = HEAD + 3 * READ_BYTES;
        let found = |at: usize| {
            let mut bytes = vec![0; len + 2 * HEAD];
            bytes[at..at + MAGIC.len()].copy_from_slice(MAGIC);
            let mut stream = Stream::new(bytes.as_slice());
            stream.has_magic_before(len).unwrap()
        };
        for at in [HEAD, READ_BYTES - 2, READ_BYTES, 2 * READ_BYTES - 1, len - MAGIC.len()] {
            assert!(found(at), "{at}");
        }
        for at in [0, HEAD - 1, len - MAGIC.len() + 1, len] {
            assert!(!found(at), "{at}");
        }
    }
}
