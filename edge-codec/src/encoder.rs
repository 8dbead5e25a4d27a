//! The encoder all formats share: it holds readings and cuts batches by their encoded size.

use crate::limits::{MAX_READINGS, MAX_SENSORS};
use crate::seqs::{Runs, RunsMark};
use crate::{BatchId, EncodeError, Header, Reading, Sensor, Sensors};
use bytes::Bytes;
use std::collections::{BTreeSet, VecDeque};

/// Collects readings and gives them out as batches that stay under a size.
///
/// Use it as `cbor::Encoder`, `json::Encoder` or `protobuf::Encoder`:
///
/// 1. [`push`](Self::push) copies a reading in (text and bytes are allocated, the rest is not).
/// 2. [`finish_under`](Self::finish_under) encodes as many of the oldest as fit and keeps the rest. Call it
///    until [`is_empty`](Self::is_empty).
///
/// What is pushed waits in memory: finish when [`len`](Self::len) is enough. A decoder with default
/// [`Limits`](crate::Limits) reads batches up to 1 MiB with texts and bytes up to 64 KiB; above that, tell it more.
///
/// Each reading is encoded once, plus once more for the reading at which a batch is cut.
#[derive(Clone, Debug)]
#[must_use]
pub struct Encoder<S, W> {
    sensors: S,
    pub(crate) wire: W,
    header: Header,
    pending: VecDeque<Pending>,
    /// Sequence number of what is pushed next.
    next_seq: u64,
}

/// A reading that waits, and how many sequence numbers are left out before it.
#[derive(Clone, Debug)]
struct Pending {
    skip: u64,
    reading: Reading<'static>,
}

impl Pending {
    /// Sequence numbers up to its own.
    fn span(&self) -> u64 {
        self.skip.saturating_add(1)
    }
}

impl<S: Sensors, W: Wire + Default> Encoder<S, W> {
    /// An empty encoder; `sensors` (a table, or a reference to one) gives names and units.
    pub fn new(sensors: S) -> Self {
        Self { sensors, wire: W::default(), header: Header::default(), pending: VecDeque::new(), next_seq: 0 }
    }
}

impl<S: Sensors, W: Wire> Encoder<S, W> {
    /// Sets the identity: the readings in the encoder, and those pushed later, are the rows `id.first_seq`,
    /// `id.first_seq + 1`, …, so every batch that is cut starts where the one before ended. Where the sequence has
    /// a hole, say so with [`push_at`](Self::push_at). Default: none.
    pub fn id(mut self, id: BatchId) -> Self {
        self.header.id = Some(id);
        self.next_seq = self.pending.iter().fold(id.first_seq, |seq, p| seq.saturating_add(p.span()));
        self
    }

    /// Marks the batches as possible duplicates (`pd`). Default: not marked.
    pub fn possible_duplicate(mut self, pd: bool) -> Self {
        self.header.pd = pd;
        self
    }

    /// Takes a reading: with an identity, the row that follows the one before.
    ///
    /// # Errors
    /// [`EncodeError::UnknownSensor`] and, in JSON, [`EncodeError::NonFinite`]; the reading is not taken then.
    pub fn push(&mut self, reading: &Reading<'_>) -> Result<(), EncodeError> {
        self.take(0, reading)
    }

    /// Takes a reading that is the row `seq`: numbers may be left out, for example those of rows that went into other
    /// batches. A batch with a hole carries run lengths, two small numbers per hole, so that every reading's own
    /// number is known at the other end ([`Batch::next_seq`](crate::Batch::next_seq)) however batches are cut.
    ///
    /// # Errors
    /// As [`push`](Self::push); [`EncodeError::Sequence`] if `seq` does not rise or no identity is set.
    pub fn push_at(&mut self, seq: u64, reading: &Reading<'_>) -> Result<(), EncodeError> {
        let skip = self.header.id.and_then(|_| seq.checked_sub(self.next_seq));
        let skip = skip.ok_or(EncodeError::Sequence { seq, next: self.header.id.map(|_| self.next_seq) })?;
        self.take(skip, reading)
    }

    fn take(&mut self, skip: u64, reading: &Reading<'_>) -> Result<(), EncodeError> {
        if self.sensors.sensor(reading.sensor).is_none() {
            return Err(EncodeError::UnknownSensor { sensor: reading.sensor });
        }
        self.wire.check(reading)?;
        let pending = Pending { skip, reading: reading.clone().into_owned() };
        self.next_seq = self.next_seq.saturating_add(pending.span());
        self.pending.push_back(pending);
        Ok(())
    }

    /// Encodes as many of the oldest readings as fit into `max_bytes` as one batch, at most 65 536 readings of
    /// 16 384 sensors, and keeps the rest for the next call. A batch also ends before a reading whose time is too
    /// far from the first one's for an `i64`. An empty encoder gives a valid batch without readings.
    ///
    /// # Errors
    /// [`EncodeError::ReadingTooLarge`] hands the oldest reading back if it cannot fit even alone; the encoder goes
    /// on with the next. [`EncodeError::NoRoom`] changes nothing.
    pub fn finish_under(&mut self, max_bytes: usize) -> Result<Bytes, EncodeError> {
        self.start_at_first();
        let empty = self.wire.frame_len(&self.header, &Draft::new(0));
        if empty > max_bytes {
            return Err(EncodeError::NoRoom { max: max_bytes, needed: empty });
        }
        let mut draft = Draft::new(self.pending.front().map_or(0, |p| p.reading.time));
        for pending in &self.pending {
            let needed = match self.add(&mut draft, pending)? {
                Some(needed) => needed,
                None => break,
            };
            if needed > max_bytes {
                if draft.undo() == 0 {
                    return Err(self.hand_back(max_bytes, needed));
                }
                break;
            }
        }
        let frame = self.wire.frame(&self.header, &draft);
        debug_assert_eq!(frame.len(), self.wire.frame_len(&self.header, &draft));
        let span = self.pending.drain(..draft.readings).fold(0, |span: u64, p| span.saturating_add(p.span()));
        self.advance(span);
        Ok(Bytes::from(frame))
    }

    /// How many readings wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// Whether no reading waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Adds to the draft and says how long the frame would be now; `None` if this reading must start a new batch.
    fn add(&self, draft: &mut Draft, pending: &Pending) -> Result<Option<usize>, EncodeError> {
        let reading = &pending.reading;
        let Some(since_base) = reading.time.checked_sub(draft.base_time) else { return Ok(None) };
        let new = !draft.seen.contains(&reading.sensor);
        if draft.readings >= MAX_READINGS || (new && draft.seen.len() >= MAX_SENSORS) {
            return Ok(None);
        }
        let id = reading.sensor;
        let sensor = self.sensors.sensor(id).ok_or(EncodeError::UnknownSensor { sensor: id })?;
        draft.mark = Mark {
            rows: draft.rows.len(),
            sensors: draft.sensors.len(),
            runs: draft.runs.mark(),
            new: new.then_some(id),
        };
        draft.runs.add(pending.skip, |n| self.wire.number_len(n));
        if new {
            draft.seen.insert(id);
            self.wire.sensor(&mut draft.sensors, &sensor);
        }
        self.wire.row(&mut draft.rows, reading, since_base, &sensor, draft.readings == 0);
        draft.readings += 1;
        Ok(Some(self.wire.frame_len(&self.header, draft)))
    }

    fn hand_back(&mut self, max: usize, needed: usize) -> EncodeError {
        match self.pending.pop_front() {
            Some(pending) => {
                self.advance(pending.span());
                EncodeError::ReadingTooLarge { max, needed, reading: Box::new(pending.reading) }
            }
            None => EncodeError::NoRoom { max, needed },
        }
    }

    /// Numbers left out before the first row are not a hole in the batch: it starts later.
    fn start_at_first(&mut self) {
        if let Some(pending) = self.pending.front_mut() {
            let skip = std::mem::take(&mut pending.skip);
            self.advance(skip);
        }
    }

    fn advance(&mut self, span: u64) {
        if let Some(id) = &mut self.header.id {
            id.first_seq = id.first_seq.saturating_add(span);
        }
    }
}

/// A format's part of the encoder. Implemented here only: its module is private.
pub trait Wire {
    /// Refuses what the format cannot carry.
    fn check(&self, reading: &Reading<'_>) -> Result<(), EncodeError>;
    /// Appends a sensor's entry; nothing if every row names its sensor itself.
    fn sensor(&self, out: &mut Vec<u8>, sensor: &Sensor<'_>);
    /// Appends a row.
    fn row(
        &self,
        out: &mut Vec<u8>,
        reading: &Reading<'_>,
        since_base: i64,
        sensor: &Sensor<'_>,
        first: bool,
    );
    /// What a number takes in the list of run lengths, with its separator if it has one.
    fn number_len(&self, number: u64) -> usize;
    /// Length of what [`frame`](Self::frame) makes, without making it.
    fn frame_len(&self, header: &Header, draft: &Draft) -> usize;
    /// The whole batch.
    fn frame(&self, header: &Header, draft: &Draft) -> Vec<u8>;
}

/// A batch in the making: rows and sensor entries are encoded, the frame around them is not.
#[derive(Debug)]
pub struct Draft {
    pub(crate) base_time: i64,
    pub(crate) rows: Vec<u8>,
    pub(crate) sensors: Vec<u8>,
    pub(crate) runs: Runs,
    pub(crate) readings: usize,
    pub(crate) seen: BTreeSet<u32>,
    mark: Mark,
}

#[derive(Debug, Default)]
struct Mark {
    rows: usize,
    sensors: usize,
    runs: RunsMark,
    new: Option<u32>,
}

impl Draft {
    fn new(base_time: i64) -> Self {
        Self {
            base_time,
            rows: Vec::new(),
            sensors: Vec::new(),
            runs: Runs::default(),
            readings: 0,
            seen: BTreeSet::new(),
            mark: Mark::default(),
        }
    }

    /// Takes the last reading out again and says how many are left.
    fn undo(&mut self) -> usize {
        self.rows.truncate(self.mark.rows);
        self.sensors.truncate(self.mark.sensors);
        self.runs.undo(self.mark.runs);
        if let Some(id) = self.mark.new.take() {
            self.seen.remove(&id);
        }
        self.readings = self.readings.saturating_sub(1);
        self.readings
    }
}
