//! The encoder all formats share: it holds readings and cuts batches by their encoded size.

use crate::limits::{MAX_READINGS, MAX_SENSORS};
use crate::seqs::{Runs, RunsMark};
use crate::{BatchId, EncodeError, Header, Reading, Sensor, Sensors, Value};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};

/// Collects readings and gives them out as batches that stay under a size.
///
/// Use it as `cbor::Encoder`, `json::Encoder`, `protobuf::Encoder` and so on, or behind [`BatchEncoder`](crate::BatchEncoder):
///
/// 1. [`push`](Self::push) copies a reading in (text and bytes are allocated, the rest is not).
/// 2. [`finish_under`](Self::finish_under) encodes as many of the oldest as fit and keeps the rest. Call it
///    until [`is_empty`](Self::is_empty).
///
/// What is pushed waits in memory: finish when [`len`](Self::len) is enough. A decoder with default
/// [`Limits`](crate::Limits) reads batches up to 1 MiB with texts and bytes up to 64 KiB; above that, tell it more.
///
/// Each reading is encoded once, plus once more for the reading at which a batch is cut.
///
/// ```
/// # #[cfg(feature = "cbor")] {
/// use edge_codec::{BatchId, Reading, SensorTable, Value, cbor};
///
/// let mut sensors = SensorTable::new();
/// sensors.insert(7, "line2/temp", "Cel");
/// let id = BatchId { gateway: 0xc0_ffee, lane: 0, epoch: 1, first_seq: 100 };
/// let mut encoder = cbor::Encoder::new(&sensors).id(id);
/// for time in 0..100 {
///     encoder.push(&Reading { sensor: 7, time, value: Value::F64(53.6), quality: 0 })?;
/// }
/// while !encoder.is_empty() {
///     let batch = encoder.finish_under(500)?;
///     assert!(batch.len() <= 500);
/// }
/// # }
/// # Ok::<(), edge_codec::EncodeError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Encoder<S, W> {
    sensors: S,
    pub(crate) wire: W,
    header: Header,
    pending: VecDeque<Pending>,
    /// Sequence number of the reading that is pushed next.
    next_seq: u64,
}

/// A reading that waits, and how many sequence numbers are left out before it.
#[derive(Clone, Debug)]
struct Pending {
    skip: u64,
    reading: Reading<'static>,
}

impl Pending {
    /// Returns the count of sequence numbers that are used up to and with the reading's own.
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
    /// a hole, say so with [`push_at`](Self::push_at). Sparkplug and line protocol have no place for it and leave it
    /// out. Default: none.
    pub fn id(mut self, id: BatchId) -> Self {
        self.set_id(id);
        self
    }

    /// Sets the identity of an encoder in use; see [`id`](Self::id).
    pub fn set_id(&mut self, id: BatchId) {
        self.header.id = Some(id);
        self.next_seq = self.pending.iter().fold(id.first_seq, |seq, p| seq.saturating_add(p.span()));
    }

    /// Marks the batches as possible duplicates (`pd`). Default: not marked.
    pub fn possible_duplicate(mut self, pd: bool) -> Self {
        self.set_possible_duplicate(pd);
        self
    }

    /// Marks the next batches as possible duplicates (`pd`), or not.
    pub fn set_possible_duplicate(&mut self, pd: bool) {
        self.header.pd = pd;
    }

    /// Takes a reading: with an identity, the row that follows the one before.
    ///
    /// # Errors
    /// [`EncodeError::UnknownSensor`]; [`EncodeError::NotCarried`] if the format has no place for this reading. It is not
    /// taken then.
    pub fn push(&mut self, reading: &Reading<'_>) -> Result<(), EncodeError> {
        self.take(0, reading)
    }

    /// Takes a reading that is the row `seq`: numbers may be left out, for example those of rows that went into other
    /// batches. A batch with a hole carries run lengths, two small numbers per hole, so that every reading's own
    /// number is known at the other end ([`Batch::next_seq`](crate::Batch::next_seq)) however batches are cut.
    ///
    /// # Errors
    /// As [`push`](Self::push); [`EncodeError::Sequence`] if `seq` does not rise or no identity is set;
    /// [`EncodeError::SequenceEnd`] for `u64::MAX`.
    pub fn push_at(&mut self, seq: u64, reading: &Reading<'_>) -> Result<(), EncodeError> {
        let next = self.header.id.map(|_| self.next_seq);
        self.take(skipped(seq, next)?, reading)
    }

    fn take(&mut self, skip: u64, reading: &Reading<'_>) -> Result<(), EncodeError> {
        let Some(sensor) = self.sensors.sensor(reading.sensor) else {
            return Err(EncodeError::UnknownSensor { sensor: reading.sensor });
        };
        self.wire.check(reading, &sensor)?;
        self.wire.meet(&sensor, self.pending.is_empty());
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
    /// on with the next. [`EncodeError::NoRoom`] changes nothing. [`EncodeError::SequenceEnd`] if the rows' numbers go
    /// beyond the highest.
    pub fn finish_under(&mut self, max_bytes: usize) -> Result<Bytes, EncodeError> {
        self.start_at_first();
        let empty = self.wire.frame_len(&self.header, &Draft::new(0, W::number_len));
        if empty > max_bytes {
            return Err(EncodeError::NoRoom { max: max_bytes, needed: empty });
        }
        let mut draft = Draft::new(self.pending.front().map_or(0, |p| p.reading.time), W::number_len);
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
        let span =
            self.pending.iter().take(draft.readings).fold(0, |span: u64, p| span.saturating_add(p.span()));
        within_sequence(&self.header, span)?;
        let frame = self.wire.frame(&self.header, &draft);
        debug_assert_eq!(frame.len(), self.wire.frame_len(&self.header, &draft));
        self.pending.drain(..draft.readings);
        self.advance(span);
        self.wire.framed();
        Ok(Bytes::from(frame))
    }

    /// Returns how many readings wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// Returns whether no reading waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Adds to the draft and says how long the frame would be now; `None` if this reading must start a new batch.
    fn add(&self, draft: &mut Draft<W::Body>, pending: &Pending) -> Result<Option<usize>, EncodeError> {
        let reading = &pending.reading;
        let Some(since_base) = reading.time.checked_sub(draft.base_time) else { return Ok(None) };
        let id = reading.sensor;
        let key = (id, self.wire.kind(&reading.value));
        let known = draft.entries.get(&key).copied();
        if draft.readings >= MAX_READINGS || (known.is_none() && draft.entries.len() >= MAX_SENSORS) {
            return Ok(None);
        }
        let sensor = self.sensors.sensor(id).ok_or(EncodeError::UnknownSensor { sensor: id })?;
        let entry = known.unwrap_or(draft.entries.len());
        draft.mark =
            Mark { body: draft.body.mark(), runs: draft.runs.mark(), new: known.is_none().then_some(key) };
        draft.runs.add(pending.skip);
        if known.is_none() {
            let again = draft.entries.range((id, 0)..=(id, u8::MAX)).next().is_some();
            draft.entries.insert(key, entry);
            self.wire.sensor(&mut draft.body, &sensor, key.1, again);
        }
        let first = draft.readings == 0;
        let new = known.is_none();
        self.wire.row(&mut draft.body, &Row { reading, since_base, sensor: &sensor, entry, first, new });
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

/// Numbers left out before the row `seq`, where `next` would follow the rows before it.
pub(crate) fn skipped(seq: u64, next: Option<u64>) -> Result<u64, EncodeError> {
    let skip = next.and_then(|next| seq.checked_sub(next)).ok_or(EncodeError::Sequence { seq, next })?;
    if seq == u64::MAX { Err(EncodeError::SequenceEnd) } else { Ok(skip) }
}

/// Refuses so many numbers from the header's first row on if they go beyond the highest.
pub(crate) fn within_sequence(header: &Header, span: u64) -> Result<(), EncodeError> {
    let fits = header.id.is_none_or(|id| id.first_seq.checked_add(span).is_some());
    if fits { Ok(()) } else { Err(EncodeError::SequenceEnd) }
}

/// A format's part of the encoder. Implemented here only: its module is private.
pub trait Wire {
    /// Body that readings and sensors are encoded into.
    type Body: Body;

    /// Refuses a reading that the format cannot carry.
    fn check(&self, reading: &Reading<'_>, sensor: &Sensor<'_>) -> Result<(), EncodeError>;

    /// Sees the sensor of every reading that is pushed; `first` if none waits.
    fn meet(&mut self, _: &Sensor<'_>, _first: bool) {}

    /// Sensors whose readings are of several kinds get an entry for each. Formats without typed entries have one.
    fn kind(&self, _: &Value<'_>) -> u8 {
        0
    }

    /// Appends a sensor's entry; nothing if every row names its sensor itself. `again` if it has one of another kind.
    fn sensor(&self, body: &mut Self::Body, sensor: &Sensor<'_>, kind: u8, again: bool);

    /// Appends a reading to the body.
    fn row(&self, body: &mut Self::Body, row: &Row<'_>);

    /// Returns the bytes that a number takes in the list of run lengths, with its separator if it has one.
    fn number_len(number: u64) -> usize;

    /// Returns the length of a batch that [`frame`](Self::frame) would make.
    fn frame_len(&self, header: &Header, draft: &Draft<Self::Body>) -> usize;

    /// Frames the whole batch with its header.
    fn frame(&self, header: &Header, draft: &Draft<Self::Body>) -> Vec<u8>;

    /// Takes note that a batch went out.
    fn framed(&mut self) {}
}

/// A reading on its way into a batch.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    not(all(feature = "protobuf", feature = "json", feature = "sparkplug")),
    allow(dead_code, reason = "every format reads its part")
)]
pub struct Row<'a> {
    pub(crate) reading: &'a Reading<'a>,
    /// Milliseconds since the batch's base time.
    pub(crate) since_base: i64,
    pub(crate) sensor: &'a Sensor<'a>,
    /// Place of the sensor's entry in the table, from 0.
    pub(crate) entry: usize,
    /// True if it is the first of the batch, and the first of its sensor.
    pub(crate) first: bool,
    pub(crate) new: bool,
}

/// Encoded readings and sensors, from which the last reading can be taken out again.
pub trait Body: Default {
    /// Position in the body, to go back to.
    type Mark: Default;
    /// Returns the present position.
    fn mark(&self) -> Self::Mark;
    /// Takes back what was added since the mark.
    fn undo(&mut self, mark: Self::Mark);
}

/// Body of the formats that append readings one after the other.
#[cfg(any(feature = "json", feature = "cbor", feature = "protobuf", feature = "influx"))]
#[derive(Debug, Default)]
pub struct Appended {
    pub(crate) rows: Vec<u8>,
    pub(crate) sensors: Vec<u8>,
}

#[cfg(any(feature = "json", feature = "cbor", feature = "protobuf", feature = "influx"))]
impl Body for Appended {
    type Mark = (usize, usize);

    fn mark(&self) -> Self::Mark {
        (self.rows.len(), self.sensors.len())
    }

    fn undo(&mut self, (rows, sensors): Self::Mark) {
        self.rows.truncate(rows);
        self.sensors.truncate(sensors);
    }
}

/// A batch in the making: rows and sensor entries are encoded, the frame around them is not.
#[derive(Debug)]
pub struct Draft<B: Body> {
    pub(crate) base_time: i64,
    pub(crate) body: B,
    pub(crate) runs: Runs,
    pub(crate) readings: usize,
    /// Places in the table by sensor and kind.
    pub(crate) entries: BTreeMap<(u32, u8), usize>,
    mark: Mark<B::Mark>,
}

#[derive(Debug, Default)]
struct Mark<M> {
    body: M,
    runs: RunsMark,
    new: Option<(u32, u8)>,
}

impl<B: Body> Draft<B> {
    fn new(base_time: i64, number_len: fn(u64) -> usize) -> Self {
        Self {
            base_time,
            body: B::default(),
            runs: Runs::new(number_len),
            readings: 0,
            entries: BTreeMap::new(),
            mark: Mark::default(),
        }
    }

    /// Takes the last reading out again and says how many are left.
    fn undo(&mut self) -> usize {
        let mark = std::mem::take(&mut self.mark);
        self.body.undo(mark.body);
        self.runs.undo(mark.runs);
        if let Some(key) = mark.new {
            self.entries.remove(&key);
        }
        self.readings = self.readings.saturating_sub(1);
        self.readings
    }
}
