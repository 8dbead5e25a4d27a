//! Import of line protocol as records.

#![deny(clippy::indexing_slicing)]

use super::Precision;
use super::line_parser::{Line, Lines};
use crate::{DecodeError, Limits, Record, Source, quality};
use std::borrow::Cow;

/// Most bytes of names per byte of input, because long tags before many short fields would otherwise fill the memory.
const NAME_BYTES_PER_BYTE: usize = 16;

/// Reads lines of the line protocol. Each field of a line is a reading.
///
/// Its name is [`Source::sensor`], the measurement and each tag as `KEY=VALUE` in the order of their keys, with `/` between, and behind them the field's key
/// ([`Record::field`]) unless that is `value`. No tag has a meaning of its own, not even `sensor` or `unit`: to others they may mean other things, and two series
/// would become one. Two have one name only where one of them has a `/` in a name of its own: `m x=1` and `m/x value=1`. A line without a time takes that of the arrival; what is finer than a millisecond is cut off.
///
/// It costs one allocation for the list, one for each name that is put together, and one per text with escapes.
///
/// ```
/// use edge_codec::influx::{self, Precision};
/// use edge_codec::{Limits, Source, Value};
///
/// let source = Source { sensor: Some("telegraf"), arrival_ms: 0 };
/// let line = b"cpu,host=gw1 usage_idle=98.2,busy=3i 1580515200000000000";
/// let records = influx::import(line, Precision::Nanoseconds, &source, &Limits::default())?;
/// assert_eq!(records[0].name(), "telegraf/cpu/host=gw1/usage_idle");
/// assert_eq!((records[1].time, &records[1].value), (1_580_515_200_000, &Value::I64(3)));
/// # Ok::<(), edge_codec::DecodeError>(())
/// ```
///
/// # Errors
/// Any [`DecodeError`] for input that the [`limits`](Limits) or the protocol do not allow. One wrong line refuses the whole payload.
pub fn import<'a>(
    payload: &'a [u8],
    precision: Precision,
    source: &Source<'a>,
    limits: &Limits,
) -> Result<Vec<Record<'a>>, DecodeError> {
    crate::check_input(payload, limits)?;
    let text = crate::input_text(payload)?;
    let name_bytes = payload.len().saturating_mul(NAME_BYTES_PER_BYTE);
    let mut import = Import { source, limits, precision, name_bytes, records: Vec::new() };
    let mut lines = Lines::new(text, limits);
    while let Some(line) = lines.next()? {
        import.line(line)?;
    }
    Ok(import.records)
}

struct Import<'s, 'a> {
    source: &'s Source<'a>,
    limits: &'s Limits,
    precision: Precision,
    /// Bytes that further names may take.
    name_bytes: usize,
    records: Vec<Record<'a>>,
}

impl<'a> Import<'_, 'a> {
    fn line(&mut self, mut line: Line<'a>) -> Result<(), DecodeError> {
        let (time, arrival_time) = match line.time {
            None => (self.source.arrival_ms, true),
            Some(time) => (self.precision.to_ms(time).ok_or_else(|| line.wrong("time out of range"))?, false),
        };
        let name = self.name_of(&mut line);
        for (key, value) in line.fields {
            self.count(line.offset, name.len())?;
            let (sensor, unit) = (Cow::Owned(name.clone()), Cow::Borrowed(""));
            let field = if key == "value" { Cow::Borrowed("") } else { key };
            let (quality, numeric_quality) = (quality::GOOD, false);
            let record = Record { sensor, field, unit, time, arrival_time, value, quality, numeric_quality };
            self.records.push(record);
        }
        Ok(())
    }

    /// Returns the name from source, measurement and tags.
    fn name_of(&self, line: &mut Line<'a>) -> String {
        line.tags.sort_unstable();
        let mut name = self.source.sensor.map(|sensor| format!("{sensor}/")).unwrap_or_default();
        name.push_str(&line.measurement);
        for (key, value) in &line.tags {
            for part in ["/", key, "=", value] {
                name.push_str(part);
            }
        }
        name
    }

    /// Refuses another record with a name of `name_bytes` bytes if it would pass the limits.
    fn count(&mut self, offset: usize, name_bytes: usize) -> Result<(), DecodeError> {
        let (limit, found) = (self.limits.readings, self.records.len().saturating_add(1));
        if found > limit {
            return Err(DecodeError::Limit { what: "readings", offset, limit, found: found as u64 });
        }
        self.name_bytes = self.name_bytes.checked_sub(name_bytes).ok_or(DecodeError::Malformed {
            offset,
            what: "names put together are longer than sixteen times the input".into(),
        })?;
        Ok(())
    }
}
