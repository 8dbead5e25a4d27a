//! Test cases (`[[test]]`) of a configuration, run in virtual time: their messages go through the real routes and filters, without disk or
//! network. Pure.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use edge_bridge::Row;
use edge_bridge::escape::Escaped;
use edge_bridge::ingest::{Answer, Inbound, Ingest, Now};
use edge_bridge::wire::{PropertiesBuilder, Publish, QoS, Utf8, Version};
use edge_codec::Value;

use crate::config::{Route, TestCase};
use crate::run::filters::reading_row::ReadingRow;
use crate::run::hub::duplicate_marks::DuplicateMarks;
use crate::run::sensors::ingest::{Counts, GatewayIngest};

/// Time at which every case begins: 2026-01-01, 00:00 UTC.
const BEGIN_MS: i64 = 1_767_225_600_000;
/// Most filter ticks in one pause of a case; a case that needs more is refused.
const TICKS_MAX: u32 = 1_000_000;

/// Result of a case.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outcome {
    /// Lines of output, in the order of the input that caused them.
    pub(crate) got: Vec<String>,
    pub(crate) holds: bool,
}

/// Runs a case against these routes.
///
/// # Errors
/// Rules are not valid, or a filter asks for a tick without end.
pub(crate) fn run(routes: &[Route], case: &TestCase) -> Result<Outcome, String> {
    let mut rig = Rig::new(routes)?;
    for step in &case.input {
        rig.pass(step.at)?;
        if let Some((topic, payload)) = &step.message {
            rig.publish(topic, payload)?;
        }
    }
    let tells_suppressed = case.expect.iter().any(|line| is_suppressed(line));
    let told: Vec<&String> = rig.got.iter().filter(|line| tells_suppressed || !is_suppressed(line)).collect();
    let holds = told.len() == case.expect.len()
        && told.iter().zip(&case.expect).all(|(got, line)| is_alike(got, line));
    Ok(Outcome { got: rig.got, holds })
}

/// Returns whether the line reports a suppressed reading, or a message without a route.
fn is_suppressed(line: &str) -> bool {
    line.trim_start().starts_with("- ")
}

/// Compares two lines word by word. Numbers are compared by value, so that `20` equals `20.0`.
fn is_alike(one: &str, other: &str) -> bool {
    let number = |word: &str| word.parse::<f64>().ok().filter(|number| number.is_finite());
    let (mut ones, mut others) = (one.split_whitespace(), other.split_whitespace());
    loop {
        match (ones.next(), others.next()) {
            (None, None) => return true,
            (Some(one), Some(other)) if one == other => {}
            (Some(one), Some(other)) if number(one).is_some() && number(one) == number(other) => {}
            _ => return false,
        }
    }
}

/// Routes and filters in virtual time.
struct Rig {
    ingest: GatewayIngest,
    at: Duration,
    counts: Counts,
    got: Vec<String>,
}

impl Rig {
    fn new(routes: &[Route]) -> Result<Self, String> {
        let ingest = GatewayIngest::new(routes, DuplicateMarks::new(now(Duration::ZERO), true))?;
        ingest.trust_clock(true);
        let counts = ingest.counts();
        Ok(Self { ingest, at: Duration::ZERO, counts, got: Vec::new() })
    }

    /// Advances the virtual clock to `until`, with a tick of the filters at each of their deadlines.
    fn pass(&mut self, until: Duration) -> Result<(), String> {
        for _ in 0..TICKS_MAX {
            let due =
                self.ingest.due_in_ms(now(self.at)).map(|ms| self.at + Duration::from_millis(ms.max(1)));
            let Some(due) = due.filter(|due| *due <= until) else {
                self.at = until;
                return Ok(());
            };
            self.at = due;
            let (rows, _) = self.ingest.tick(now(due), false);
            self.note(&rows);
        }
        Err(format!("more than {TICKS_MAX} things become due in one pause"))
    }

    fn publish(&mut self, topic: &str, payload: &str) -> Result<(), String> {
        let publish = Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: false,
            topic: Utf8::try_from(topic).map_err(|error| error.to_string())?,
            packet_id: None,
            properties: PropertiesBuilder::new().finish(),
            payload: Bytes::copy_from_slice(payload.as_bytes()),
        };
        let message = Inbound::new(Utf8::from_static("test"), Version::V5, &publish);
        match self.ingest.ingest(now(self.at), &message) {
            Answer::Store(rows) | Answer::Withhold(rows) => self.note(&rows),
            Answer::Absorb => self.note(&[]),
            Answer::Refuse(_) => self.got.push(format!("dead-letter/{topic} {payload}")),
        }
        let _link = self.ingest.take_link();
        Ok(())
    }

    /// Adds a line for each row, and for each reading that was suppressed since the last call.
    fn note(&mut self, rows: &[Row]) {
        self.got.extend(rows.iter().map(|row| Line(row).to_string()));
        let counts = self.ingest.counts();
        if counts.unrouted > self.counts.unrouted {
            self.got.push("- no route".to_owned());
        }
        let before = std::mem::replace(&mut self.counts, counts);
        for ((reason, count), (_, earlier)) in self.counts.suppressed.iter().zip(before.suppressed) {
            (earlier..*count).for_each(|_| self.got.push(format!("- {reason}")));
        }
    }
}

fn now(at: Duration) -> Now {
    let ms = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
    Now { up_ms: ms, wall_ms: BEGIN_MS.saturating_add_unsigned(ms) }
}

/// Row in the form of a line: topic at the hub, and the payload as it is; or for a reading its value, its unit, and its quality if that is not good.
struct Line<'a>(&'a Row);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.topic.as_str())?;
        let reading =
            (self.0.format != edge_bridge::Format::RAW).then(|| ReadingRow::decode(&self.0.payload));
        let Some(Some(reading)) = reading else {
            return write!(f, " {}", String::from_utf8_lossy(&self.0.payload));
        };
        write!(f, " {} ", Escaped(&reading.sensor))?;
        match &reading.value {
            Value::F64(value) => write!(f, "{value:?}")?,
            Value::Text(text) => write!(f, "\"{}\"", Escaped(text))?,
            Value::Null => f.write_str("null")?,
            Value::Bool(value) => write!(f, "{value}")?,
            Value::I64(value) => write!(f, "{value}")?,
            other => write!(f, "{other:?}")?,
        }
        if !reading.unit.is_empty() {
            write!(f, " {}", Escaped(&reading.unit))?;
        }
        if reading.quality != 0 {
            write!(f, " 0x{:08X}", reading.quality)?;
        }
        Ok(())
    }
}
