//! Writes the export stream.
#![deny(clippy::indexing_slicing)]

use std::fmt;
use std::io::{self, Write};

use super::block::{Head, Kind, stuff};
use super::record::{put_gap, put_row};
use crate::gap::Gap;
use crate::per_lane::PerLane;
use crate::row::{Lane, StoredRow};
use crate::store::StoreError;

/// Bytes of a body at which a block ends, so that one damaged byte costs at most so much, or one row.
const BODY_BYTES: usize = 64 * 1024;

/// Totals of the rows of one lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneTotals {
    /// Number of rows written.
    pub rows: u64,
    /// Weight of these rows.
    pub weight: u64,
    /// Size of these rows, as limits count it.
    pub bytes: u64,
}

impl LaneTotals {
    /// Counts `row` in.
    pub fn add(&mut self, row: &StoredRow) {
        self.rows = self.rows.saturating_add(1);
        self.weight = self.weight.saturating_add(u64::from(row.weight));
        self.bytes = self.bytes.saturating_add(row.bytes());
    }
}

/// Content of a stream that was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exported {
    /// Totals of each lane.
    pub lanes: PerLane<LaneTotals>,
    /// Number of gap records.
    pub gaps: u64,
    /// Length of the stream in bytes.
    pub stream_bytes: u64,
}

impl Exported {
    /// Returns the number of rows over all lanes.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.rows).sum()
    }
}

/// Error that ended an export early. What was written is a stream without its end.
#[derive(Debug)]
#[non_exhaustive]
pub enum ExportError {
    /// The stream could not be written.
    Write(io::Error),
    /// The queue could not be read.
    Read(StoreError),
    /// The queue was closed.
    Closed,
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExportError::Write(e) => write!(f, "the stream cannot be written: {e}"),
            ExportError::Read(e) => write!(f, "the queue cannot be read: {e}"),
            ExportError::Closed => f.write_str("the queue is closed"),
        }
    }
}

impl std::error::Error for ExportError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ExportError::Write(e) => Some(e),
            ExportError::Read(e) => Some(e),
            ExportError::Closed => None,
        }
    }
}

impl From<io::Error> for ExportError {
    fn from(e: io::Error) -> ExportError {
        ExportError::Write(e)
    }
}

/// Writer of a stream: rows in the order in which they shall be read, lane by lane, then [`Exporter::finish`]. Without that call
/// the stream is one that was cut. Takes the RAM of one block.
#[derive(Debug)]
pub struct Exporter<W> {
    out: W,
    gateway: u64,
    number: u32,
    /// Kind of the block being filled.
    kind: Kind,
    lane: Lane,
    items: u32,
    body: Vec<u8>,
    /// Number of rows in the blocks written so far.
    rows: u64,
    done: Exported,
}

/// Most bytes of the application's note.
const NOTE_BYTES_MAX: usize = 64 << 10;

impl<W: Write> Exporter<W> {
    /// Begins a stream of the gateway's rows.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn new(out: W, gateway: u64, epoch: u32, lanes: u8) -> io::Result<Exporter<W>> {
        Exporter::with_note(out, gateway, epoch, lanes, &[])
    }

    /// Begins a stream of the gateway's rows, with a note of the application's, such as the names of its lanes. Readers without a use for it pass
    /// over it. It has at most 64 KiB.
    ///
    /// # Errors
    /// Those of `out`, and [`io::ErrorKind::InvalidInput`] for a longer note: a stream with one would be read without its first block.
    pub fn with_note(out: W, gateway: u64, epoch: u32, lanes: u8, note: &[u8]) -> io::Result<Exporter<W>> {
        if note.len() > NOTE_BYTES_MAX {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut body = epoch.to_le_bytes().to_vec();
        body.push(lanes);
        body.extend_from_slice(note);
        let mut exporter = Exporter {
            out,
            gateway,
            number: 0,
            kind: Kind::Begin,
            lane: Lane(0),
            items: 0,
            body,
            rows: 0,
            done: Exported::default(),
        };
        exporter.write_block()?;
        Ok(exporter)
    }

    /// Adds a row.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn row(&mut self, row: &StoredRow) -> io::Result<()> {
        self.enter(Kind::Rows, row.lane)?;
        put_row(&mut self.body, row);
        if let Some(lane) = self.done.lanes.get_mut(usize::from(row.lane.0)) {
            lane.add(row);
        }
        self.count()
    }

    /// Adds a loss that a consumer has not reported upstream yet.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn gap(&mut self, consumer: &str, gap: &Gap) -> io::Result<()> {
        self.enter(Kind::Gaps, gap.lane)?;
        put_gap(&mut self.body, consumer, &gap.record());
        self.done.gaps += 1;
        self.count()
    }

    /// Ends the stream and flushes `out`.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn finish(mut self) -> io::Result<Exported> {
        self.enter(Kind::End, Lane(0))?;
        self.write_block()?;
        self.out.flush()?;
        Ok(self.done)
    }

    /// Writes the block being filled when it is of another kind or lane, and begins one of this kind and lane.
    fn enter(&mut self, kind: Kind, lane: Lane) -> io::Result<()> {
        if (self.kind, self.lane) != (kind, lane) {
            if self.items > 0 {
                self.write_block()?;
            }
            (self.kind, self.lane) = (kind, lane);
        }
        Ok(())
    }

    fn count(&mut self) -> io::Result<()> {
        self.items += 1;
        if self.body.len() >= BODY_BYTES { self.write_block() } else { Ok(()) }
    }

    fn write_block(&mut self) -> io::Result<()> {
        let head = Head {
            kind: self.kind,
            lane: self.lane.0,
            gateway: self.gateway,
            number: self.number,
            items: self.items,
            rows_before: self.rows,
            body_len: 0,
            body_crc: 0,
        };
        let body = stuff(&self.body);
        let head = head.seal(&body);
        self.out.write_all(&head)?;
        self.out.write_all(&body)?;
        self.done.stream_bytes += (head.len() + body.len()) as u64;
        self.number = self.number.saturating_add(1);
        if self.kind == Kind::Rows {
            self.rows += u64::from(self.items);
        }
        self.items = 0;
        self.body.clear();
        Ok(())
    }
}
