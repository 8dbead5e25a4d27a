//! Encoder of compact batches: keeps readings in columns until they are encoded as batches under a size.

#![deny(clippy::indexing_slicing)]

mod batch_cut;
pub(super) mod column;
mod equal_run;
mod eviction;
mod memory;
mod message;
mod plan_cache;
mod sensor_index;
mod text_table;

use crate::compact::level::Level;
use crate::compact::session_table::Table;
use crate::compact::values::kind::Kind;
use crate::protobuf::fields::varint_len;
use crate::seq_runs::Runs;
use crate::{BatchId, EncodeError, Header, Reading, SensorTable, Sensors, encoder};
use bytes::Bytes;
use column::Column;
use message::{Draft, Memory};
use sensor_index::SensorIndex;
use std::collections::VecDeque;
use std::sync::Arc;
use text_table::Texts;

/// Collects readings and encodes them as compact batches.
///
/// It is used like the other formats' [`Encoder`](crate::Encoder):
///
/// 1. [`push`](Self::push) copies a reading into its sensor's column.
/// 2. [`finish_under`](Self::finish_under) encodes as many of the oldest as fit and keeps the rest. Call it until
///    [`is_empty`](Self::is_empty).
///
/// A batch carries names and units of its sensors ([`new`](Self::new)), refers to a table that was announced before
/// ([`with_table`](Self::with_table)), or has only the sensors' numbers ([`numbered`](Encoder::numbered)). Keep the encoder, because it caches
/// for each sensor the plan that encoded its values best, and checks it with every batch. If it has more than 32 768 sensors, it forgets those
/// without waiting readings that were used longest ago, down to 16 384 of them; they start anew when they come again.
///
/// Readings come out ordered by time, those of one sensor always in the order in which they were pushed. With an [`id`](Self::id) all come out
/// exactly as pushed, so that each keeps its sequence number; if that is not the order by time, it costs some bits per reading.
///
/// ```
/// use edge_codec::compact::Encoder;
/// use edge_codec::{Format, Limits, Reading, SensorTable, Value};
///
/// let mut sensors = SensorTable::new();
/// sensors.insert(7, "line2/temp", "Cel");
/// let mut encoder = Encoder::new(&sensors);
/// for second in 0..1_000 {
///     encoder.push(&Reading { sensor: 7, time: 1_000 * second, value: Value::F64(53.6), quality: 0 })?;
/// }
/// let batch = encoder.finish_under(16_184)?;
/// assert_eq!(Format::Compact.decode(&batch, &Limits::default())?.len(), 1_000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Encoder<S = SensorTable<'static>> {
    level: Level,
    names: Option<S>,
    table: Option<Arc<Table>>,
    header: Header,
    columns: Vec<Column>,
    index: SensorIndex,
    /// Index of the column that comes next if the last poll repeats.
    expected: usize,
    /// Column of each waiting reading.
    pushed: Vec<u32>,
    /// Sequence numbers that were left out before waiting readings: for each gap the number of readings that were pushed before it, and the
    /// count of numbers.
    skips: VecDeque<(u64, u64)>,
    /// Sum of the counts in `skips`.
    skipped: u64,
    /// Number of readings encoded so far, from which `skips` counts.
    left: u64,
    texts: Texts,
    memory: Memory,
    /// Number of columns that became empty since idle ones were last evicted.
    emptied: usize,
    /// Memory that the columns own, of each as it was when a reading of it was last encoded.
    column_bytes: usize,
}

/// Position of a column whose sensor the table lacks.
const NOWHERE: u32 = u32::MAX;

impl Encoder {
    /// Creates an empty encoder whose batches name sensors by their numbers only.
    pub fn numbered() -> Self {
        Self::empty(None, None)
    }

    /// Creates an empty encoder whose batches refer to a session table. A reader needs a copy of it, byte for byte. Later tables are set
    /// by [`set_table`](Self::set_table).
    pub fn with_table(table: Arc<Table>) -> Self {
        Self::empty(None, Some(table))
    }
}

impl<S: Sensors> Encoder<S> {
    /// Creates an empty encoder whose batches carry names and units of their sensors, so that each batch can be read alone. `sensors`: a table,
    /// or a reference to one.
    pub fn new(sensors: S) -> Self {
        Self::empty(Some(sensors), None)
    }

    fn empty(names: Option<S>, table: Option<Arc<Table>>) -> Self {
        Self {
            level: Level::default(),
            names,
            table,
            header: Header::default(),
            columns: Vec::new(),
            index: SensorIndex::default(),
            expected: 0,
            pushed: Vec::new(),
            skips: VecDeque::new(),
            skipped: 0,
            left: 0,
            texts: Texts::default(),
            memory: Memory::default(),
            emptied: 0,
            column_bytes: 0,
        }
    }

    /// Sets the effort to compress a batch. Default [`Level::Fast`].
    pub fn level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// Refers to a table instead of names, of which a reader must have the very same bytes. Waiting readings are encoded against it, too. If it
    /// lacks the sensor of one, nothing is changed: let them go out against the old table first.
    ///
    /// # Errors
    /// [`EncodeError::UnknownSensor`] names the sensor of a waiting reading that the table lacks.
    pub fn set_table(&mut self, table: Arc<Table>) -> Result<(), EncodeError> {
        let waiting = |c: &Column| c.len() > 0 && table.position(c.sensor).is_none();
        if let Some(column) = self.columns.iter().find(|c| waiting(c)) {
            return Err(EncodeError::UnknownSensor { sensor: column.sensor });
        }
        for column in &mut self.columns {
            column.position = table.position(column.sensor).unwrap_or(NOWHERE);
        }
        self.names = None;
        self.table = Some(table);
        Ok(())
    }

    /// Sets the identity; see [`Encoder::id`](crate::Encoder::id).
    pub fn id(mut self, id: BatchId) -> Self {
        self.set_id(id);
        self
    }

    /// Sets the identity of an encoder in use; see [`id`](Self::id).
    pub fn set_id(&mut self, id: BatchId) {
        self.header.id = Some(id);
    }

    /// Marks all batches as possible duplicates (`pd`), or not. Default: not marked.
    pub fn possible_duplicate(mut self, pd: bool) -> Self {
        self.set_possible_duplicate(pd);
        self
    }

    /// Marks the next batches as possible duplicates (`pd`), or not.
    pub fn set_possible_duplicate(&mut self, pd: bool) {
        self.header.pd = pd;
    }

    /// Adds a reading. With an identity, it is the row after the one before. Costs some nanoseconds; a text is looked up among the waiting ones.
    ///
    /// # Errors
    /// [`EncodeError::UnknownSensor`] if there are names or a table without this sensor; the reading is not added then.
    #[inline]
    pub fn push(&mut self, reading: &Reading<'_>) -> Result<(), EncodeError> {
        if let Some(at) = self.find(reading.sensor)
            && self.columns.get_mut(at).is_some_and(|column| column.push_alike(reading))
        {
            self.took(at);
            return Ok(());
        }
        self.take(0, reading)
    }

    /// Adds a reading that is the row `seq`; see [`Encoder::push_at`](crate::Encoder::push_at).
    ///
    /// # Errors
    /// As [`push`](Self::push); [`EncodeError::Sequence`] if `seq` does not rise or no identity is set; [`EncodeError::SequenceEnd`] for
    /// `u64::MAX`.
    pub fn push_at(&mut self, seq: u64, reading: &Reading<'_>) -> Result<(), EncodeError> {
        let next = self.header.id.map(|id| id.first_seq.saturating_add(self.span()));
        self.take(encoder::skipped(seq, next)?, reading)
    }

    /// Returns the count of sequence numbers up to that of the last waiting reading.
    fn span(&self) -> u64 {
        self.skipped.saturating_add(self.pushed.len() as u64)
    }

    /// Returns the number of readings that wait to be encoded.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pushed.len()
    }

    /// Returns whether no reading waits to be encoded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pushed.is_empty()
    }

    #[inline]
    fn take(&mut self, skip: u64, reading: &Reading<'_>) -> Result<(), EncodeError> {
        let at = self.column(reading.sensor)?;
        let (kind, value) = match column::bits(&reading.value) {
            (Kind::Text | Kind::Bytes, _) => self.texts.take(&reading.value),
            bits => bits,
        };
        if let Some(column) = self.columns.get_mut(at) {
            column.push(reading.time, kind, value, reading.quality);
        }
        if skip > 0 {
            self.skips.push_back((self.left + self.pushed.len() as u64, skip));
            self.skipped = self.skipped.saturating_add(skip);
        }
        self.took(at);
        Ok(())
    }

    #[inline]
    fn took(&mut self, column: usize) {
        self.pushed.push(column as u32);
        self.expected = if column + 1 < self.columns.len() { column + 1 } else { 0 };
    }

    /// Returns the index of the column that a sensor has had. Polls repeat, so the column after the last one is looked at first.
    #[inline]
    fn find(&mut self, sensor: u32) -> Option<usize> {
        match self.columns.get(self.expected) {
            Some(column) if column.sensor == sensor => Some(self.expected),
            _ => self.index.get(sensor),
        }
    }

    /// Returns the index of the sensor's column, which is made if needed.
    fn column(&mut self, sensor: u32) -> Result<usize, EncodeError> {
        match self.find(sensor) {
            Some(at) if self.columns.get(at).is_some_and(|c| c.position != NOWHERE) => Ok(at),
            at => self.new_column(sensor, at),
        }
    }

    /// Makes the column of a sensor. `known`: index of a column whose sensor the table may lack.
    #[cold]
    fn new_column(&mut self, sensor: u32, known: Option<usize>) -> Result<usize, EncodeError> {
        let unknown = EncodeError::UnknownSensor { sensor };
        if let Some(at) = known {
            return if self.table.is_none() { Ok(at) } else { Err(unknown) };
        }
        let position = match (&self.table, &self.names) {
            (Some(table), _) => table.position(sensor).ok_or(unknown)?,
            (None, Some(names)) => names.sensor(sensor).map(|_| sensor).ok_or(unknown)?,
            (None, None) => sensor,
        };
        self.columns.push(Column::new(sensor, position));
        let at = self.columns.len() - 1;
        self.index.insert(sensor, at);
        Ok(at)
    }

    /// Encodes as many of the oldest readings as fit into `max_bytes` as one batch, at most 65 536 readings of
    /// 16 384 sensors, and keeps the rest for the next call. An empty encoder gives a valid batch without readings.
    ///
    /// If not all fit, the cut is found by trying: the batch holds at least fifteen sixteenths of the readings that would fit.
    ///
    /// # Errors
    /// [`EncodeError::ReadingTooLarge`] hands the oldest reading back if it cannot fit even alone; the encoder goes
    /// on with the next. [`EncodeError::NoRoom`], [`EncodeError::SequenceEnd`] and [`EncodeError::UnknownSensor`], for a sensor whose name is gone
    /// since it was pushed, change nothing.
    pub fn finish_under(&mut self, max_bytes: usize) -> Result<Bytes, EncodeError> {
        self.start_at_first();
        encoder::within_sequence(&self.header, self.span())?;
        let most = batch_cut::most(&self.pushed, &self.columns);
        let most = self.check_names(most)?;
        let all = self.encode(most, max_bytes);
        if all.len() <= max_bytes {
            self.leave(most);
            return Ok(Bytes::from(all));
        }
        let empty = self.encode(0, max_bytes).len();
        if empty > max_bytes {
            return Err(EncodeError::NoRoom { max: max_bytes, needed: empty });
        }
        let (fits, batch) = self.cut(most, all.len(), max_bytes);
        if fits == 0 {
            let needed = if most == 1 { all.len() } else { self.encode(1, max_bytes).len() };
            return Err(self.hand_back(max_bytes, needed));
        }
        self.leave(fits);
        Ok(Bytes::from(batch))
    }

    /// Returns the batch of the first `n` readings. `max_bytes`: size that it should keep, for the choice of compression.
    fn encode(&mut self, n: usize, max_bytes: usize) -> Vec<u8> {
        let mut picked = batch_cut::columns(&self.pushed, &self.columns, n);
        picked.sort_unstable_by_key(|(column, _)| self.columns.get(*column).map(|c| c.position));
        let pushed = self.pushed.get(..n).unwrap_or_default();
        let mut runs = Runs::new(varint_len);
        if self.header.id.is_some() && !self.skips.is_empty() {
            let mut skips = self.skips.iter().map(|(at, skip)| (at - self.left, *skip)).peekable();
            for at in 0..n as u64 {
                runs.add(skips.next_if(|s| s.0 == at).map_or(0, |s| s.1));
            }
        }
        let texts = self.texts.used(&picked, &self.columns);
        let names = self.names.as_ref().map(|names| {
            let sensors = picked.iter().filter_map(|(c, _)| names.sensor(self.columns.get(*c)?.sensor));
            sensors.collect()
        });
        let draft = Draft {
            header: &self.header,
            runs: &runs,
            table: self.table.as_deref(),
            names,
            texts: self.texts.list.get(..texts).unwrap_or_default(),
            picked: &picked,
            pushed: self.header.id.map(|_| pushed),
            readings: n,
        };
        let message = message::write(&draft, &mut self.columns, &mut self.memory);
        match self.level {
            Level::Fast => message,
            Level::Small => crate::compact::zstd_wrap::smaller(message, message::least(&draft), max_bytes),
        }
    }

    /// Removes the first `n` readings, which were encoded.
    fn leave(&mut self, n: usize) {
        self.left += n as u64;
        for (column, count) in batch_cut::columns(&self.pushed, &self.columns, n) {
            if let Some(column) = self.columns.get_mut(column) {
                column.drain(count, self.left);
                self.column_bytes += column.grown();
                self.emptied += usize::from(column.len() == 0);
            }
        }
        self.pushed.drain(..n);
        let mut span = n as u64;
        while let Some((_, skip)) = self.skips.front().copied().filter(|s| s.0 < self.left) {
            span = span.saturating_add(skip);
            self.skipped = self.skipped.saturating_sub(skip);
            self.skips.pop_front();
        }
        self.advance(span);
        if !self.texts.list.is_empty() {
            self.texts.keep_used(&self.pushed, &mut self.columns);
        }
        self.forget_idle();
    }

    /// Moves the identity over numbers that were left out before the first row: they are no gap, the batch only starts later.
    fn start_at_first(&mut self) {
        if let Some((_, skip)) = self.skips.front().copied().filter(|s| s.0 == self.left) {
            self.skipped = self.skipped.saturating_sub(skip);
            self.skips.pop_front();
            self.advance(skip);
        }
    }

    fn advance(&mut self, span: u64) {
        if let Some(id) = &mut self.header.id {
            id.first_seq = id.first_seq.saturating_add(span);
        }
    }
}
