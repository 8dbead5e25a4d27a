//! Encoder that all formats share: it collects readings, from which batches are cut.

mod batch_cut;

pub(crate) use batch_cut::Draft;

use crate::{BatchId, EncodeError, Header, Reading, Sensor, Sensors, Value};
use std::collections::VecDeque;

/// Collects readings and encodes them as batches that stay under a size.
///
/// Use it as `cbor::Encoder`, `json::Encoder`, `protobuf::Encoder` and so on, or behind [`BatchEncoder`](crate::BatchEncoder):
///
/// 1. [`push`](Self::push) copies a reading in (text and bytes are allocated, the rest is not).
/// 2. [`finish_under`](Self::finish_under) encodes as many of the oldest as fit and keeps the rest. Call it
///    until [`is_empty`](Self::is_empty).
///
/// Pushed readings wait in memory: finish when [`len`](Self::len) is enough. A decoder with default [`Limits`](crate::Limits) reads batches up to
/// 1 MiB with texts and bytes up to 64 KiB; for larger ones raise its limits.
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

/// Reading that waits to be encoded, with the number of sequence numbers that are left out before it.
#[derive(Clone, Debug)]
struct Pending {
    skip: u64,
    reading: Reading<'static>,
}

impl Pending {
    /// Returns the count of sequence numbers from the first one left out to the reading's own.
    fn span(&self) -> u64 {
        self.skip.saturating_add(1)
    }
}

impl<S: Sensors, W: Wire + Default> Encoder<S, W> {
    /// Creates an empty encoder. `sensors` (a table, or a reference to one) gives names and units.
    pub fn new(sensors: S) -> Self {
        Self { sensors, wire: W::default(), header: Header::default(), pending: VecDeque::new(), next_seq: 0 }
    }
}

impl<S: Sensors, W: Wire> Encoder<S, W> {
    /// Sets the identity: the readings in the encoder, and those pushed later, are the rows `id.first_seq`, `id.first_seq + 1`, …, so every batch
    /// that is cut starts where the one before ended. For a hole in the sequence use [`push_at`](Self::push_at). Sparkplug and line protocol
    /// cannot carry the identity and leave it out. Default: none.
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

    /// Adds a reading. With an identity it gets the sequence number after that of the reading before.
    ///
    /// The length of names, units, texts and bytes is not limited: a reader at its defaults refuses a batch in which one is longer than 64 KiB
    /// ([`Limits`](crate::Limits)).
    ///
    /// # Errors
    /// [`EncodeError::UnknownSensor`] if the sensor is not in the table; [`EncodeError::NotCarried`] if the format cannot carry this reading. A
    /// refused reading is not in the encoder.
    pub fn push(&mut self, reading: &Reading<'_>) -> Result<(), EncodeError> {
        self.take(0, reading)
    }

    /// Adds a reading that is the row `seq`. Numbers may be left out, for example those of rows that went into other batches. A batch with a hole
    /// carries run lengths, two small numbers per hole, so the receiver knows every reading's own number
    /// ([`Batch::next_seq`](crate::Batch::next_seq)) however batches are cut.
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

    /// Returns the number of readings that wait to be encoded.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// Returns whether no reading waits to be encoded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Starts the next batch at its first row: numbers left out before that row are not a hole in the batch.
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

/// Returns how many sequence numbers are left out before the row `seq`, if `next` would follow the rows before. `Err` if `seq` is too small or
/// the highest number, or if there is no identity.
pub(crate) fn skipped(seq: u64, next: Option<u64>) -> Result<u64, EncodeError> {
    let skip = next.and_then(|next| seq.checked_sub(next)).ok_or(EncodeError::Sequence { seq, next })?;
    if seq == u64::MAX { Err(EncodeError::SequenceEnd) } else { Ok(skip) }
}

/// Returns an error if `span` numbers from the header's first row on exceed the highest number.
pub(crate) fn within_sequence(header: &Header, span: u64) -> Result<(), EncodeError> {
    let fits = header.id.is_none_or(|id| id.first_seq.checked_add(span).is_some());
    if fits { Ok(()) } else { Err(EncodeError::SequenceEnd) }
}

/// Part of the encoder that differs between formats. Implemented in this crate only, because its module is private.
pub trait Wire {
    /// Body that readings and sensors are encoded into.
    type Body: Body;

    /// Refuses a reading that the format cannot carry.
    fn check(&self, reading: &Reading<'_>, sensor: &Sensor<'_>) -> Result<(), EncodeError>;

    /// Records the sensor of a reading that is pushed. `first`: no other reading waits.
    fn meet(&mut self, _: &Sensor<'_>, _first: bool) {}

    /// Returns the number of a value's kind. A sensor with values of several kinds gets a table entry for each; formats whose entries have no
    /// kind return 0.
    fn kind(&self, _: &Value<'_>) -> u8 {
        0
    }

    /// Appends a sensor's table entry; nothing in a format whose rows name their sensors. `again`: the sensor has an entry of another kind
    /// already.
    fn sensor(&self, body: &mut Self::Body, sensor: &Sensor<'_>, kind: u8, again: bool);

    /// Appends a reading to the body.
    fn row(&self, body: &mut Self::Body, row: &Row<'_>);

    /// Returns the bytes that a number takes in the list of run lengths, with its separator if the format has one.
    fn number_len(number: u64) -> usize;

    /// Returns the length of a batch that [`frame`](Self::frame) would make.
    fn frame_len(&self, header: &Header, draft: &Draft<Self::Body>) -> usize;

    /// Frames the whole batch with its header.
    fn frame(&self, header: &Header, draft: &Draft<Self::Body>) -> Vec<u8>;

    /// Called after a batch was encoded.
    fn framed(&mut self) {}
}

/// Reading that is being encoded into a batch.
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
    /// Index of the sensor's entry in the table, from 0.
    pub(crate) entry: usize,
    /// True if the reading is the first of the batch; `new` is true if it is the first of its sensor's entry.
    pub(crate) first: bool,
    pub(crate) new: bool,
}

/// Encoded readings and sensors, from which the last reading can be removed again.
pub trait Body: Default {
    /// Position in the body, for [`undo`](Self::undo).
    type Mark: Default;
    /// Returns the present position.
    fn mark(&self) -> Self::Mark;
    /// Removes what was added since the mark.
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
