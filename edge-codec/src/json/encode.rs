//! Encoding of readings as JSON batches.

use crate::base64;
use crate::encoder::{Appended, Draft, Row, Wire};
use crate::text::{decimal_len, display, json_string};
use crate::{EncodeError, Header, Reading, Sensor, Sensors, Value, quality};

/// Marker type of an [`Encoder`](crate::Encoder) for JSON.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Json {
    non_finite: NonFinite,
}

/// Treatment of NaN and infinities, which JSON does not have (RFC 8259 §6).
///
/// ```
/// use edge_codec::json::{self, NonFinite};
/// use edge_codec::{Reading, SensorTable, Value};
///
/// let mut sensors = SensorTable::new();
/// sensors.insert(7, "line2/temp", "Cel");
/// let reading = Reading { sensor: 7, time: 0, value: Value::F64(f64::NAN), quality: 0 };
/// assert!(json::Encoder::new(&sensors).push(&reading).is_err());
/// let mut encoder = json::Encoder::new(&sensors).non_finite(NonFinite::Null);
/// encoder.push(&reading)?;
/// # Ok::<(), edge_codec::EncodeError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NonFinite {
    /// Refuses them with [`EncodeError::NotCarried`]. This is the default, because only some readers understand texts like `"NaN"`.
    #[default]
    Refuse,
    /// Writes null with quality bad (0x80000000), unless the reading's quality is bad already. The value is lost, but the batch shows it.
    Null,
}

impl<S: Sensors> crate::Encoder<S, Json> {
    /// Sets the treatment of NaN and infinities. Default [`NonFinite::Refuse`].
    pub fn non_finite(mut self, choice: NonFinite) -> Self {
        self.wire.non_finite = choice;
        self
    }
}

impl Wire for Json {
    type Body = Appended;

    fn check(&self, reading: &Reading<'_>, _: &Sensor<'_>) -> Result<(), EncodeError> {
        match reading.value {
            Value::F64(value) if !value.is_finite() && self.non_finite == NonFinite::Refuse => {
                let (sensor, time) = (reading.sensor, reading.time);
                Err(EncodeError::NotCarried { format: "JSON", what: "NaN or an infinity", sensor, time })
            }
            _ => Ok(()),
        }
    }

    fn sensor(&self, _: &mut Appended, _: &Sensor<'_>, _: u8, _: bool) {}

    fn row(&self, body: &mut Appended, row: &Row<'_>) {
        let (out, reading, sensor) = (&mut body.rows, row.reading, row.sensor);
        let mut quality = reading.quality;
        out.extend_from_slice(if row.first { b"{\"sensor\":" } else { b",{\"sensor\":" });
        json_string(out, &sensor.name);
        out.extend_from_slice(b",\"ts\":");
        display(out, format_args!("{}", reading.time));
        out.extend_from_slice(if matches!(reading.value, Value::Bytes(_)) {
            b",\"bytes\":"
        } else {
            b",\"value\":"
        });
        match &reading.value {
            // `{:?}` is the shortest text that reads back to the same bits, always with a point or an exponent.
            Value::F64(v) if v.is_finite() => display(out, format_args!("{v:?}")),
            Value::F64(_) => {
                out.extend_from_slice(b"null");
                quality = if quality::is_bad(quality) { quality } else { quality::BAD };
            }
            Value::I64(v) => display(out, format_args!("{v}")),
            Value::U64(v) => display(out, format_args!("{v}")),
            Value::Bool(v) => display(out, format_args!("{v}")),
            Value::Text(v) => json_string(out, v),
            Value::Bytes(v) => {
                out.push(b'"');
                base64::encode_url(out, v);
                out.push(b'"');
            }
            Value::Null => out.extend_from_slice(b"null"),
        }
        if !sensor.unit.is_empty() {
            out.extend_from_slice(b",\"unit\":");
            json_string(out, &sensor.unit);
        }
        if quality != 0 {
            display(out, format_args!(",\"quality\":{quality}"));
        }
        out.push(b'}');
    }

    fn frame_len(&self, header: &Header, draft: &Draft<Appended>) -> usize {
        // `{"readings":[` and `]}`, `"id":"",`, `"pd":1,`
        let id = header.id.map_or(0, |id| 8 + id.text_len());
        // `"seqs":[],` with a comma less than numbers.
        let seqs = draft.runs.size().map_or(0, |(_, bytes)| 9 + bytes);
        15 + id + if header.pd { 7 } else { 0 } + seqs + draft.body.rows.len()
    }

    fn number_len(number: u64) -> usize {
        decimal_len(number) + 1
    }

    fn frame(&self, header: &Header, draft: &Draft<Appended>) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.frame_len(header, draft));
        out.push(b'{');
        if let Some(id) = header.id {
            display(&mut out, format_args!("\"id\":\"{id}\","));
        }
        if header.pd {
            out.extend_from_slice(b"\"pd\":1,");
        }
        if draft.runs.size().is_some() {
            for (at, number) in draft.runs.numbers().enumerate() {
                out.extend_from_slice(if at == 0 { b"\"seqs\":[" } else { b"," });
                display(&mut out, format_args!("{number}"));
            }
            out.extend_from_slice(b"],");
        }
        out.extend_from_slice(b"\"readings\":[");
        out.extend_from_slice(&draft.body.rows);
        out.extend_from_slice(b"]}");
        out
    }
}
