//! Readings to lines: JSON objects or CSV, every value to the bit.
//!
//! ```text
//! {"ts":1580515200000,"sensor":"TP2","unit":"bar","value":-0.012,"quality":0,"id":"00c0ffee00000001-1-2a-3e8"}
//! ts_ms,sensor,unit,kind,value,quality,id
//! 1580515200000,TP2,bar,f64,-0.012,0,00c0ffee00000001-1-2a-3e8
//! ```
//!
//! * `id` is the identity of the row, if the batch has identities; `"pd":true` beside it marks a possible duplicate, in CSV a `?` behind the identity.
//! * Text is escaped so that it drives no terminal: in JSON as `\u001b`, in CSV as Rust literals do.
//! * A reading from a hub also has the topic of its batch and, if it has an identity, the gateway in that identity.
//! * A raw message is a line of its own in JSON, and none in CSV.
//! * A value that JSON cannot express is `null`, and its bits stand beside it in hexadecimal: in `f64` (NaN, infinities) or `bytes`. In CSV its kind is
//!   `f64bits` or `bytes`.

use std::io::{self, Write};

use edge_codec::{Batch, BatchId, DecodeError, Reading, Value, base64};
use edge_csv::Field;

use crate::Failure;
use crate::arguments::{Lines, Output};
use crate::json_text::write_json_text;

/// Bytes of a payload that are turned into base64 at a time: a multiple of three.
const BASE64_PIECE: usize = 48 << 10;

/// Prints lines piece by piece: a large text is never in memory a second time.
pub(crate) struct Printer<W> {
    out: W,
    format: Output,
    /// The head of the CSV columns.
    head: &'static str,
    head_is_due: bool,
}

/// A message from a hub that is no batch.
#[derive(Debug)]
pub(crate) struct RawMessage<'a> {
    /// Topic of the batch at the hub; `None` in a file.
    pub(crate) topic: Option<&'a str>,
    /// `gateway-lane-epoch-seq`, if a gateway sent it with its identity.
    pub(crate) id: Option<&'a str>,
    /// A possible duplicate whose identity may differ.
    pub(crate) pd: bool,
    pub(crate) content_type: Option<&'a str>,
    pub(crate) payload: &'a [u8],
}

/// Reading with its names.
struct Row<'a> {
    /// Topic of the batch, from a hub.
    topic: Option<&'a str>,
    reading: &'a Reading<'a>,
    name: &'a str,
    unit: &'a str,
    id: Option<BatchId>,
    pd: bool,
}

impl<W: Write> Printer<W> {
    pub(crate) fn new(out: W, format: Output) -> Self {
        Self { out, format, head: CSV_HEAD, head_is_due: format.to == Lines::Csv }
    }

    /// A printer whose batches have topics.
    pub(crate) fn with_topics(out: W, format: Output) -> Self {
        Self { head: CSV_HEAD_WITH_TOPIC, ..Self::new(out, format) }
    }

    /// Prints all readings. The inner error is the batch's: what came before it is printed.
    pub(crate) fn batch(
        &mut self,
        mut batch: Batch<'_>,
        topic: Option<&str>,
    ) -> Result<Result<(), DecodeError>, Failure> {
        let sensors = batch.sensors().clone();
        let (id, pd) = (batch.header().id, batch.header().pd);
        loop {
            let id = id.zip(batch.next_seq()).map(|(id, first_seq)| BatchId { first_seq, ..id });
            let reading = match batch.next() {
                None => return Ok(Ok(())),
                Some(Err(error)) => return Ok(Err(error)),
                Some(Ok(reading)) => reading,
            };
            let sensor = sensors.get(reading.sensor);
            // A batch without names, or a Sparkplug alias without its birth.
            let number = if sensor.is_none_or(|s| s.name.is_empty()) {
                format!("#{}", reading.sensor)
            } else {
                String::new()
            };
            let name = sensor.map(|s| s.name.as_ref()).filter(|name| !name.is_empty()).unwrap_or(&number);
            let unit = sensor.map_or("", |s| s.unit.as_ref());
            self.row(&Row { topic, reading: &reading, name, unit, id, pd })?;
        }
    }

    /// Prints a raw message, in JSON: CSV has no columns for it.
    pub(crate) fn raw(&mut self, message: &RawMessage<'_>) -> Result<(), Failure> {
        match self.format.to {
            Lines::Json => raw_json(&mut self.out, message).map_err(|error| failed(&error)),
            Lines::Csv => Ok(()),
        }
    }

    /// Everything that was printed has left.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(|error| failed(&error))
    }

    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        self.head()?;
        self.flush()
    }

    fn head(&mut self) -> Result<(), Failure> {
        match std::mem::take(&mut self.head_is_due) {
            true => self.out.write_all(self.head.as_bytes()).map_err(|error| failed(&error)),
            false => Ok(()),
        }
    }

    fn row(&mut self, row: &Row<'_>) -> Result<(), Failure> {
        self.head()?;
        let written = match self.format.to {
            Lines::Json => json(&mut self.out, row),
            Lines::Csv => csv(&mut self.out, row, self.format.spreadsheet),
        };
        written.map_err(|error| failed(&error))
    }
}

fn failed(error: &io::Error) -> Failure {
    Failure::io("the output", error)
}

const CSV_HEAD: &str = "ts_ms,sensor,unit,kind,value,quality,id\n";
const CSV_HEAD_WITH_TOPIC: &str = "ts_ms,sensor,unit,kind,value,quality,id,topic,gateway\n";

fn json(out: &mut impl Write, row: &Row<'_>) -> io::Result<()> {
    out.write_all(b"{")?;
    if let Some(topic) = row.topic {
        key(out, "\"topic\":", topic)?;
        out.write_all(b",")?;
        if let Some(id) = row.id {
            write!(out, "\"gateway\":\"{:016x}\",", id.gateway)?;
        }
    }
    write!(out, "\"ts\":{}", row.reading.time)?;
    key(out, ",\"sensor\":", row.name)?;
    if !row.unit.is_empty() {
        key(out, ",\"unit\":", row.unit)?;
    }
    out.write_all(b",\"value\":")?;
    match &row.reading.value {
        Value::F64(v) if v.is_finite() => write!(out, "{}", number(*v))?,
        Value::F64(v) => write!(out, "null,\"f64\":\"{:016x}\"", v.to_bits())?,
        Value::I64(v) => write!(out, "{v}")?,
        Value::U64(v) => write!(out, "{v}")?,
        Value::Bool(v) => write!(out, "{v}")?,
        Value::Text(v) => write_json_text(out, v)?,
        Value::Bytes(v) => {
            out.write_all(b"null,\"bytes\":\"")?;
            hex(out, v)?;
            out.write_all(b"\"")?;
        }
        Value::Null => out.write_all(b"null")?,
    }
    write!(out, ",\"quality\":{}", row.reading.quality)?;
    if let Some(id) = row.id {
        write!(out, ",\"id\":\"{id}\"")?;
    }
    out.write_all(if row.pd { b",\"pd\":true}\n" } else { b"}\n" })
}

fn csv(out: &mut impl Write, row: &Row<'_>, for_spreadsheet: bool) -> io::Result<()> {
    let field = |text| Field { text, for_spreadsheet };
    write!(out, "{},{},{},", row.reading.time, field(row.name), field(row.unit))?;
    match &row.reading.value {
        Value::F64(v) if v.is_finite() => write!(out, "f64,{}", number(*v))?,
        Value::F64(v) => write!(out, "f64bits,{:016x}", v.to_bits())?,
        Value::I64(v) => write!(out, "int,{v}")?,
        Value::U64(v) => write!(out, "int,{v}")?,
        Value::Bool(v) => write!(out, "bool,{}", u8::from(*v))?,
        Value::Text(v) => write!(out, "text,{}", field(v))?,
        Value::Bytes(v) => {
            out.write_all(b"bytes,")?;
            hex(out, v)?;
        }
        Value::Null => out.write_all(b"null,")?,
    }
    write!(out, ",{},", row.reading.quality)?;
    if let Some(id) = row.id {
        write!(out, "{id}")?;
    }
    if row.pd {
        out.write_all(b"?")?;
    }
    if let Some(topic) = row.topic {
        write!(out, ",{},", field(topic))?;
        if let Some(id) = row.id {
            write!(out, "{:016x}", id.gateway)?;
        }
    }
    out.write_all(b"\n")
}

fn raw_json(out: &mut impl Write, message: &RawMessage<'_>) -> io::Result<()> {
    out.write_all(b"{")?;
    if let Some(topic) = message.topic {
        key(out, "\"topic\":", topic)?;
        out.write_all(b",")?;
    }
    if let Some(id) = message.id {
        key(out, "\"gateway\":", id.split('-').next().unwrap_or_default())?;
        key(out, ",\"id\":", id)?;
        out.write_all(b",")?;
    }
    if message.pd {
        out.write_all(b"\"pd\":true,")?;
    }
    if let Some(content_type) = message.content_type {
        key(out, "\"content_type\":", content_type)?;
        out.write_all(b",")?;
    }
    match std::str::from_utf8(message.payload) {
        Ok(text) => key(out, "\"text\":", text)?,
        Err(_) => {
            out.write_all(b"\"base64\":\"")?;
            for piece in message.payload.chunks(BASE64_PIECE) {
                out.write_all(base64::encode(piece).as_bytes())?;
            }
            out.write_all(b"\"")?;
        }
    }
    out.write_all(b"}\n")
}

/// Writes `"name":` and a text.
fn key(out: &mut impl Write, key: &str, text: &str) -> io::Result<()> {
    out.write_all(key.as_bytes())?;
    write_json_text(out, text)
}

/// The shortest text that reads back to the same bits, with a point or an exponent: 20.0 is not 20.
fn number(value: f64) -> String {
    serde_json::Number::from_f64(value).map(|number| number.to_string()).unwrap_or_default()
}

fn hex(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    bytes.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(to: Lines) -> Output {
        Output { to, spreadsheet: false }
    }

    fn printed(lines: Lines, topic: Option<&str>, value: Value<'_>) -> String {
        let reading = Reading { sensor: 7, time: 5, value, quality: 3 };
        let id = Some(BatchId { gateway: 1, lane: 1, epoch: 2, first_seq: 16 });
        let mut out = Vec::new();
        let mut printer = Printer { head_is_due: false, ..Printer::new(&mut out, output(lines)) };
        printer.row(&Row { topic, reading: &reading, name: "a,\"b\"", unit: "K", id, pd: true }).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_value_is_printed_to_the_bit() {
        let nan = f64::from_bits(0x7ff8_0000_0000_0001);
        for (value, json, csv) in [
            (Value::F64(-0.0), "-0.0", "f64,-0.0"),
            (Value::F64(20.0), "20.0", "f64,20.0"),
            (Value::F64(5e-324), "5e-324", "f64,5e-324"),
            (Value::F64(nan), "null,\"f64\":\"7ff8000000000001\"", "f64bits,7ff8000000000001"),
            (Value::I64(i64::MIN), "-9223372036854775808", "int,-9223372036854775808"),
            (Value::U64(u64::MAX), "18446744073709551615", "int,18446744073709551615"),
            (Value::Bool(true), "true", "bool,1"),
            (Value::Text("x\n\"y\"".into()), "\"x\\n\\\"y\\\"\"", "text,\"x\\n\"\"y\"\"\""),
            (Value::Bytes(vec![0, 255].into()), "null,\"bytes\":\"00ff\"", "bytes,00ff"),
            (Value::Null, "null", "null,"),
        ] {
            let expected = format!(
                "{{\"ts\":5,\"sensor\":\"a,\\\"b\\\"\",\"unit\":\"K\",\"value\":{json},\"quality\":3,\"id\":\"0000000000000001-1-2-10\",\"pd\":true}}\n"
            );
            assert_eq!(printed(Lines::Json, None, value.clone()), expected);
            serde_json::from_str::<serde_json::Value>(&expected).unwrap();
            let expected = format!("5,\"a,\"\"b\"\"\",K,{csv},3,0000000000000001-1-2-10?\n");
            assert_eq!(printed(Lines::Csv, None, value), expected);
        }
    }

    #[test]
    fn readings_from_a_hub_name_their_topic_and_gateway() {
        let json = printed(Lines::Json, Some("a,\"b\""), Value::Null);
        assert!(
            json.starts_with("{\"topic\":\"a,\\\"b\\\"\",\"gateway\":\"0000000000000001\",\"ts\":5,"),
            "{json}"
        );
        let csv = printed(Lines::Csv, Some("a,\"b\""), Value::Null);
        assert!(csv.ends_with(",0000000000000001-1-2-10?,\"a,\"\"b\"\"\",0000000000000001\n"), "{csv}");
        assert_eq!(CSV_HEAD_WITH_TOPIC, CSV_HEAD.replace("\n", ",topic,gateway\n"));
    }

    #[test]
    fn raw_messages_are_text_or_base64() {
        let raw = |payload: &[u8]| {
            let mut out = Vec::new();
            let id = Some("00c0-1-2-3");
            let message = RawMessage { topic: Some("a"), id, pd: true, content_type: Some("x/y"), payload };
            Printer::with_topics(&mut out, output(Lines::Json)).raw(&message).unwrap();
            String::from_utf8(out).unwrap()
        };
        let head = r#"{"topic":"a","gateway":"00c0","id":"00c0-1-2-3","pd":true,"content_type":"x/y","#;
        assert_eq!(raw(b"\"21\""), format!("{head}\"text\":\"\\\"21\\\"\"}}\n"));
        assert_eq!(raw(b"\xff"), format!("{head}\"base64\":\"/w==\"}}\n"));
    }

    #[test]
    fn foreign_text_drives_no_terminal_and_no_spreadsheet() {
        let hostile = "=a\u{1b}[2J\n\u{9b}\u{202e}\u{2069}\u{7f}";
        let reading = Reading { sensor: 7, time: 5, value: Value::Text(hostile.into()), quality: 0 };
        let row = Row {
            topic: Some(hostile),
            reading: &reading,
            name: hostile,
            unit: hostile,
            id: None,
            pd: false,
        };
        for (to, spreadsheet) in [(Lines::Json, false), (Lines::Csv, false), (Lines::Csv, true)] {
            let mut out = Vec::new();
            let mut printer =
                Printer { head_is_due: false, ..Printer::with_topics(&mut out, Output { to, spreadsheet }) };
            printer.row(&row).unwrap();
            let message = RawMessage {
                topic: Some(hostile),
                id: Some(hostile),
                pd: false,
                content_type: Some(hostile),
                payload: hostile.as_bytes(),
            };
            printer.raw(&message).unwrap();
            let text = String::from_utf8(out).unwrap();
            assert!(text.chars().all(|c| c == '\n' || c.is_ascii_graphic() || c == ' '), "{text:?}");
            assert_eq!(text.matches('\n').count(), if to == Lines::Json { 2 } else { 1 });
            assert_eq!(text.matches("'=").count(), if spreadsheet { 4 } else { 0 }, "{text}");
            for line in text.lines().filter(|_| to == Lines::Json) {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                assert_eq!(line["topic"], hostile, "nothing is lost");
            }
        }
    }

    #[test]
    fn a_payload_of_any_length_is_one_base64() {
        for length in [0, 1, BASE64_PIECE - 1, BASE64_PIECE, 2 * BASE64_PIECE + 1] {
            let payload = [&[0xff][..], &vec![7; length]].concat();
            let mut out = Vec::new();
            let message =
                RawMessage { topic: None, id: None, pd: false, content_type: None, payload: &payload };
            Printer::new(&mut out, output(Lines::Json)).raw(&message).unwrap();
            let expected = format!("{{\"base64\":\"{}\"}}\n", base64::encode(&payload));
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
