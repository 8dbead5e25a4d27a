//! Batch cut: a batch takes the oldest readings as long as its encoded size stays within a bound.

use super::{Body, Encoder, Pending, Row, Wire, within_sequence};
use crate::limits::{MAX_READINGS, MAX_SENSORS};
use crate::seq_runs::{Runs, RunsMark};
use crate::{EncodeError, Sensors};
use bytes::Bytes;
use std::collections::BTreeMap;

impl<S: Sensors, W: Wire> Encoder<S, W> {
    /// Encodes as many of the oldest readings as fit into `max_bytes` as one batch, at most 65 536 readings of
    /// 16 384 sensors, and keeps the rest for the next call. A batch also ends before a reading whose time is too
    /// far from the first one's for an `i64`. An empty encoder gives a valid batch without readings.
    ///
    /// # Errors
    /// [`EncodeError::ReadingTooLarge`] returns the oldest reading if it does not fit even alone; the encoder goes on with the next.
    /// [`EncodeError::NoRoom`] changes nothing. [`EncodeError::SequenceEnd`] if a row's number would go beyond the highest.
    /// [`EncodeError::UnknownSensor`] for a sensor that is gone from the table since it was pushed, which changes nothing either.
    pub fn finish_under(&mut self, max_bytes: usize) -> Result<Bytes, EncodeError> {
        self.start_at_first();
        let empty = self.wire.frame_len(&self.header, &Draft::new(0, W::number_len));
        if empty > max_bytes {
            return Err(EncodeError::NoRoom { max: max_bytes, needed: empty });
        }
        let mut draft = Draft::new(self.pending.front().map_or(0, |p| p.reading.time), W::number_len);
        for pending in &self.pending {
            let Some(needed) = self.add(&mut draft, pending)? else { break };
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

    /// Adds the reading to the draft. Returns the length of the frame in bytes; `None` if this reading must start a new batch.
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
        let Some(pending) = self.pending.pop_front() else { return EncodeError::NoRoom { max, needed } };
        self.advance(pending.span());
        EncodeError::ReadingTooLarge { max, needed, reading: Box::new(pending.reading) }
    }
}

/// Batch in the making. Its rows and sensor entries are encoded, the frame around them is not.
#[derive(Debug)]
pub struct Draft<B: Body> {
    pub(crate) base_time: i64,
    pub(crate) body: B,
    pub(crate) runs: Runs,
    pub(crate) readings: usize,
    /// Places in the sensor table, by sensor and kind.
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

    /// Removes the last reading. Returns the number of those that are left.
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
