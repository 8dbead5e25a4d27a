//! Encoding of readings as lines of the line protocol.

use crate::encoder::{Appended, Draft, Row, Wire};
use crate::text::display;
use crate::{EncodeError, Header, Reading, Sensor, Sensors, Value, base64};

/// Marker type of an [`Encoder`](crate::Encoder) for line protocol.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Influx {
    /// Measurement with its special characters escaped.
    measurement: String,
    precision: Precision,
}

impl Default for Influx {
    fn default() -> Self {
        Self { measurement: "readings".to_owned(), precision: Precision::default() }
    }
}

/// Unit of times, which a write request must name too (`precision=ms`) if it is not nanoseconds. Exhaustive, because InfluxDB has these four.
///
/// ```
/// use edge_codec::influx::{Encoder, Precision};
/// use edge_codec::{Reading, SensorTable, Value};
///
/// let mut sensors = SensorTable::new();
/// sensors.insert(7, "line2/temp", "Cel");
/// let mut encoder = Encoder::new(&sensors).measurement("plant").precision(Precision::Milliseconds);
/// encoder.push(&Reading { sensor: 7, time: 1_580_515_200_000, value: Value::F64(53.6), quality: 0 })?;
/// let lines = encoder.finish_under(1_000)?; // for a write request with `precision=ms`
/// assert_eq!(lines, "plant,sensor=line2/temp,unit=Cel value=53.6 1580515200000\n");
/// # Ok::<(), edge_codec::EncodeError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// Nanoseconds, the unit that InfluxDB assumes if none is named. Times from 1677 to 2262.
    #[default]
    Nanoseconds,
    /// Microseconds.
    Microseconds,
    /// Milliseconds, as in the model: six bytes less per line than nanoseconds.
    Milliseconds,
    /// Seconds. A reading whose time is not a whole second is refused when it is pushed.
    Seconds,
}

impl Precision {
    /// Converts a time in this unit to milliseconds, finer ones rounded down; `None` beyond an `i64`.
    pub(super) fn to_ms(self, time: i64) -> Option<i64> {
        match self {
            Self::Nanoseconds => Some(time.div_euclid(1_000_000)),
            Self::Microseconds => Some(time.div_euclid(1_000)),
            Self::Milliseconds => Some(time),
            Self::Seconds => time.checked_mul(1_000),
        }
    }

    /// Converts milliseconds to this unit; `None` if the unit cannot express the time.
    fn of_ms(self, ms: i64) -> Option<i64> {
        match self {
            Self::Nanoseconds => ms.checked_mul(1_000_000),
            Self::Microseconds => ms.checked_mul(1_000),
            Self::Milliseconds => Some(ms),
            Self::Seconds => (ms % 1_000 == 0).then_some(ms / 1_000),
        }
    }
}

impl<S: Sensors> crate::Encoder<S, Influx> {
    /// Sets the measurement of all lines. Default `readings`. Control characters and backslashes, which cannot be escaped, become `_`; so do an
    /// empty name, and a `#` at the start, which would turn every line into a comment.
    pub fn measurement(mut self, name: &str) -> Self {
        self.wire.measurement.clear();
        let name = if name.is_empty() { "_" } else { name };
        for (at, c) in name.char_indices() {
            match c {
                '#' if at == 0 => self.wire.measurement.push('_'),
                c if unescapable(c) => self.wire.measurement.push('_'),
                c => {
                    if matches!(c, ',' | ' ') {
                        self.wire.measurement.push('\\');
                    }
                    self.wire.measurement.push(c);
                }
            }
        }
        self
    }

    /// Sets the unit of the times. Default nanoseconds.
    pub fn precision(mut self, precision: Precision) -> Self {
        self.wire.precision = precision;
        self
    }
}

impl Influx {
    fn time(&self, ms: i64) -> Option<i64> {
        self.precision.of_ms(ms)
    }
}

impl Wire for Influx {
    type Body = Appended;

    fn check(&self, reading: &Reading<'_>, sensor: &Sensor<'_>) -> Result<(), EncodeError> {
        let what = match reading.value {
            Value::F64(v) if !v.is_finite() => "NaN or an infinity",
            _ if sensor.name.chars().chain(sensor.unit.chars()).any(unescapable) => {
                "a control character or backslash in a name or unit"
            }
            _ if self.time(reading.time).is_none() => match self.precision {
                Precision::Seconds => "a time between two seconds",
                _ => "a time that far away in nanoseconds",
            },
            _ => return Ok(()),
        };
        let (sensor, time) = (reading.sensor, reading.time);
        Err(EncodeError::NotCarried { format: "line protocol", what, sensor, time })
    }

    fn sensor(&self, _: &mut Appended, _: &Sensor<'_>, _: u8, _: bool) {}

    fn row(&self, body: &mut Appended, row: &Row<'_>) {
        let (out, reading) = (&mut body.rows, row.reading);
        out.extend_from_slice(self.measurement.as_bytes());
        for (key, text) in [(&b",sensor="[..], &row.sensor.name), (b",unit=", &row.sensor.unit)] {
            // An empty tag is not allowed.
            if !text.is_empty() {
                out.extend_from_slice(key);
                tag(out, text);
            }
        }
        out.push(b' ');
        field(out, &reading.value);
        let alone = matches!(reading.value, Value::Null);
        if reading.quality != 0 || alone {
            let comma = if alone { "" } else { "," };
            display(out, format_args!("{comma}quality={}i", reading.quality));
        }
        // Checked when it was pushed.
        let time = self.time(reading.time).unwrap_or(reading.time);
        display(out, format_args!(" {time}\n"));
    }

    fn number_len(_: u64) -> usize {
        0
    }

    fn frame_len(&self, _: &Header, draft: &Draft<Appended>) -> usize {
        draft.body.rows.len()
    }

    fn frame(&self, _: &Header, draft: &Draft<Appended>) -> Vec<u8> {
        draft.body.rows.clone()
    }
}

fn unescapable(c: char) -> bool {
    c.is_control() || c == '\\'
}

fn tag(out: &mut Vec<u8>, text: &str) {
    for byte in text.bytes() {
        if matches!(byte, b',' | b'=' | b' ') {
            out.push(b'\\');
        }
        out.push(byte);
    }
}

fn field(out: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::F64(v) => {
            let start = out.len();
            display(out, format_args!("value={v:?}"));
            // A number without a suffix is a float.
            if out.get(start..).is_some_and(|text| text.ends_with(b".0")) {
                out.truncate(out.len() - 2);
            }
        }
        Value::I64(v) => display(out, format_args!("int={v}i")),
        Value::U64(v) => display(out, format_args!("uint={v}u")),
        Value::Bool(v) => out.extend_from_slice(if *v { b"bool=t" } else { b"bool=f" }),
        Value::Text(v) => {
            out.extend_from_slice(b"text=\"");
            for byte in v.bytes() {
                if matches!(byte, b'"' | b'\\') {
                    out.push(b'\\');
                }
                out.push(byte);
            }
            out.push(b'"');
        }
        Value::Bytes(v) => {
            out.extend_from_slice(b"bytes=\"");
            base64::encode_url(out, v);
            out.push(b'"');
        }
        Value::Null => {}
    }
}
