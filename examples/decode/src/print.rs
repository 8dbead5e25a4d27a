//! Readings to lines: JSON objects or CSV, every value to the bit.
//!
//! ```text
//! {"ts":1580515200000,"sensor":"TP2","unit":"bar","value":-0.012,"quality":0,"id":"00c0ffee00000001-1-2a-3e8"}
//! ts_ms,sensor,unit,kind,value,quality,id
//! 1580515200000,TP2,bar,f64,-0.012,0,00c0ffee00000001-1-2a-3e8
//! ```
//! `id` is the row's identity, if the batch has one; `"pd":true` beside it marks a possible duplicate, in CSV a `?` behind
//! it. Readings from a hub also say their batch's topic and, if they have an identity, its gateway; a raw message is a line of
//! its own in JSON and none in CSV. What JSON has no word for has the value null and its bits beside it in hexadecimal: `f64` (NaN, infinities) or
//! `bytes`; in CSV the kind is `f64bits` or `bytes` then.

use std::fmt::Write as _;
use std::io::Write;

use edge_codec::{Batch, BatchId, DecodeError, Reading, Value, base64};

use crate::Failure;
use crate::arguments::Lines;

pub(crate) struct Printer<W> {
    out: W,
    lines: Lines,
    /// The head of the CSV columns.
    head: &'static str,
    head_is_due: bool,
    line: String,
}

/// A message from a hub that is no batch.
#[derive(Debug)]
pub(crate) struct RawMessage<'a> {
    pub(crate) topic: &'a str,
    /// `gateway-lane-epoch-seq`, if a gateway sent it with its identity.
    pub(crate) id: Option<&'a str>,
    /// A possible duplicate whose identity may differ.
    pub(crate) pd: bool,
    pub(crate) content_type: Option<&'a str>,
    pub(crate) payload: &'a [u8],
}

/// One reading with its names.
struct Row<'a> {
    /// Of the batch, from a hub.
    topic: Option<&'a str>,
    reading: &'a Reading<'a>,
    name: &'a str,
    unit: &'a str,
    id: Option<BatchId>,
    pd: bool,
}

impl<W: Write> Printer<W> {
    pub(crate) fn new(out: W, lines: Lines) -> Self {
        Self { out, lines, head: CSV_HEAD, head_is_due: lines == Lines::Csv, line: String::new() }
    }

    /// A printer whose batches have topics.
    pub(crate) fn with_topics(out: W, lines: Lines) -> Self {
        Self { head: CSV_HEAD_WITH_TOPIC, ..Self::new(out, lines) }
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
        if self.lines == Lines::Csv {
            return Ok(());
        }
        raw_json(&mut self.line, message);
        self.line.push('\n');
        self.write()
    }

    /// Everything that was printed has left.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(|error| Failure::io("the output", &error))
    }

    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        if std::mem::take(&mut self.head_is_due) {
            self.line.push_str(self.head);
            self.write()?;
        }
        self.flush()
    }

    fn row(&mut self, row: &Row<'_>) -> Result<(), Failure> {
        if std::mem::take(&mut self.head_is_due) {
            self.line.push_str(self.head);
        }
        match self.lines {
            Lines::Json => json(&mut self.line, row),
            Lines::Csv => csv(&mut self.line, row),
        }
        self.line.push('\n');
        self.write()
    }

    fn write(&mut self) -> Result<(), Failure> {
        let written = self.out.write_all(self.line.as_bytes());
        self.line.clear();
        written.map_err(|error| Failure::io("the output", &error))
    }
}

const CSV_HEAD: &str = "ts_ms,sensor,unit,kind,value,quality,id\n";
const CSV_HEAD_WITH_TOPIC: &str = "ts_ms,sensor,unit,kind,value,quality,id,topic,gateway\n";

/// Writing to a `String` does not fail.
fn json(line: &mut String, row: &Row<'_>) {
    line.push('{');
    if let Some(topic) = row.topic {
        let _ = write!(line, "\"topic\":{},", quoted(topic));
        if let Some(id) = row.id {
            let _ = write!(line, "\"gateway\":\"{:016x}\",", id.gateway);
        }
    }
    let _ = write!(line, "\"ts\":{},\"sensor\":{}", row.reading.time, quoted(row.name));
    if !row.unit.is_empty() {
        let _ = write!(line, ",\"unit\":{}", quoted(row.unit));
    }
    line.push_str(",\"value\":");
    let _ = match &row.reading.value {
        Value::F64(v) if v.is_finite() => write!(line, "{}", number(*v)),
        Value::F64(v) => write!(line, "null,\"f64\":\"{:016x}\"", v.to_bits()),
        Value::I64(v) => write!(line, "{v}"),
        Value::U64(v) => write!(line, "{v}"),
        Value::Bool(v) => write!(line, "{v}"),
        Value::Text(v) => write!(line, "{}", quoted(v)),
        Value::Bytes(v) => write!(line, "null,\"bytes\":\"{}\"", hex(v)),
        Value::Null => write!(line, "null"),
    };
    let _ = write!(line, ",\"quality\":{}", row.reading.quality);
    if let Some(id) = row.id {
        let _ = write!(line, ",\"id\":\"{id}\"");
    }
    line.push_str(if row.pd { ",\"pd\":true}" } else { "}" });
}

fn csv(line: &mut String, row: &Row<'_>) {
    let (kind, value) = match &row.reading.value {
        Value::F64(v) if v.is_finite() => ("f64", number(*v)),
        Value::F64(v) => ("f64bits", format!("{:016x}", v.to_bits())),
        Value::I64(v) => ("int", v.to_string()),
        Value::U64(v) => ("int", v.to_string()),
        Value::Bool(v) => ("bool", u8::from(*v).to_string()),
        Value::Text(v) => ("text", field(v)),
        Value::Bytes(v) => ("bytes", hex(v)),
        Value::Null => ("null", String::new()),
    };
    let (name, unit, quality) = (field(row.name), field(row.unit), row.reading.quality);
    let _ = write!(line, "{},{name},{unit},{kind},{value},{quality},", row.reading.time);
    if let Some(id) = row.id {
        let _ = write!(line, "{id}");
    }
    if row.pd {
        line.push('?');
    }
    if let Some(topic) = row.topic {
        let _ = write!(line, ",{},", field(topic));
        if let Some(id) = row.id {
            let _ = write!(line, "{:016x}", id.gateway);
        }
    }
}

fn raw_json(line: &mut String, message: &RawMessage<'_>) {
    let _ = write!(line, "{{\"topic\":{}", quoted(message.topic));
    if let Some(id) = message.id {
        let gateway = id.split('-').next().unwrap_or_default();
        let _ = write!(line, ",\"gateway\":{},\"id\":{}", quoted(gateway), quoted(id));
    }
    if message.pd {
        line.push_str(",\"pd\":true");
    }
    if let Some(content_type) = message.content_type {
        let _ = write!(line, ",\"content_type\":{}", quoted(content_type));
    }
    let _ = match std::str::from_utf8(message.payload) {
        Ok(text) => write!(line, ",\"text\":{}}}", quoted(text)),
        Err(_) => write!(line, ",\"base64\":\"{}\"}}", base64::encode(message.payload)),
    };
}

/// The shortest text that reads back to the same bits, with a point or an exponent: 20.0 is not 20.
fn number(value: f64) -> String {
    serde_json::Number::from_f64(value).map(|number| number.to_string()).unwrap_or_default()
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// RFC 4180.
fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(lines: Lines, topic: Option<&str>, value: Value<'_>) -> String {
        let reading = Reading { sensor: 7, time: 5, value, quality: 3 };
        let id = Some(BatchId { gateway: 1, lane: 1, epoch: 2, first_seq: 16 });
        let mut out = Vec::new();
        let mut printer = Printer { head_is_due: false, ..Printer::new(&mut out, lines) };
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
            (Value::Text("x\n\"y\"".into()), "\"x\\n\\\"y\\\"\"", "text,\"x\n\"\"y\"\"\""),
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
            let message = RawMessage { topic: "a", id, pd: true, content_type: Some("x/y"), payload };
            Printer::with_topics(&mut out, Lines::Json).raw(&message).unwrap();
            String::from_utf8(out).unwrap()
        };
        let head = r#"{"topic":"a","gateway":"00c0","id":"00c0-1-2-3","pd":true,"content_type":"x/y","#;
        assert_eq!(raw(b"\"21\""), format!("{head}\"text\":\"\\\"21\\\"\"}}\n"));
        assert_eq!(raw(b"\xff"), format!("{head}\"base64\":\"/w==\"}}\n"));
    }
}
