//! Recorded data, one reading at a time.

use crate::error::Error;
use edge_csv::{Lines, Recording, Row, TimeUnit};
use edge_filter::{Quality, Value};
use std::collections::VecDeque;
use std::path::Path;

/// Recorded reading.
#[derive(Debug)]
pub(super) struct Record<'a> {
    pub(super) time: i64,
    pub(super) sensor: &'a str,
    /// Unit of the sensor; empty if the file names none.
    pub(super) unit: &'a str,
    pub(super) value: Value<'static>,
    pub(super) quality: Quality,
}

/// A recording's file, and how to read it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    pub(super) file: &'a Path,
    pub(super) skip_bad: bool,
    pub(super) time_unit: Option<TimeUnit>,
}

pub(super) struct Reader {
    recording: Recording,
    line: Vec<Row>,
    /// Rest of the line.
    rest: VecDeque<Row>,
}

impl Reader {
    pub(super) fn open(source: &Source<'_>) -> Result<Self, Error> {
        let lines = Lines::open(source.file)?.time_unit(source.time_unit);
        let recording = Recording::new(lines)?.skip_bad(source.skip_bad);
        Ok(Reader { recording, line: Vec::new(), rest: VecDeque::new() })
    }

    pub(super) fn next_record(&mut self) -> Result<Option<Record<'_>>, Error> {
        while self.rest.is_empty() {
            if !self.recording.next_line(&mut self.line)? {
                return Ok(None);
            }
            self.rest.extend(self.line.drain(..));
        }
        let Some(Row { column, time, value, quality }) = self.rest.pop_front() else { return Ok(None) };
        let (sensor, unit) = self
            .recording
            .columns()
            .get(column)
            .map_or(("", ""), |column| (column.name.as_str(), column.unit.as_str()));
        let value = value.try_into().unwrap_or(Value::F64(f64::NAN));
        Ok(Some(Record { time, sensor, unit, value, quality: Quality(quality) }))
    }

    /// Lines that were passed over, in words.
    pub(super) fn skipped(&self) -> Option<String> {
        self.recording.skipped()
    }
}
