//! Samples as lines of text. Foreign texts stand between quotes, and what a terminal may obey in them is escaped.

use std::fmt::{self, Write};

use crate::run::tap::{Incoming, Judged, Line, Reading, Receipt, Sample, Sent, Shown, Stored, Verdict};

/// Severity bits of a StatusCode.
const BAD: u32 = 0x8000_0000;

/// Line of a tap for a person.
pub(super) struct Text<'a>(pub(super) &'a Line);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Line::Lost { lost, .. } => {
                let plural = if *lost == 1 { "" } else { "s" };
                write!(f, "... {lost} sample{plural} left out: more came than a tap keeps")
            }
            Line::Sample { time_ms, sample, .. } => {
                write!(f, "{}  ", TimeOfDay(*time_ms))?;
                match sample {
                    Sample::In(message) => incoming(f, message),
                    Sample::Filtered(judged) => filtered(f, judged),
                    Sample::Stored(row) => stored(f, row),
                    Sample::Sent(message) => sent(f, message),
                }
            }
        }
    }
}

/// Foreign text between quotes, escaped as in a Rust literal.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        escape(f, self.0, &['\''])?;
        f.write_char('"')
    }
}

/// Writes a text in which all characters but these are escaped as in a Rust literal.
fn escape(f: &mut fmt::Formatter<'_>, text: &str, kept: &[char]) -> fmt::Result {
    text.chars().try_for_each(|c| match kept.contains(&c) {
        true => f.write_char(c),
        false => write!(f, "{}", c.escape_debug()),
    })
}

/// Time of day in UTC.
struct TimeOfDay(i64);

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.rem_euclid(86_400_000);
        let (s, ms) = (ms / 1_000, ms % 1_000);
        write!(f, "{:02}:{:02}:{:02}.{ms:03}Z", s / 3_600, s / 60 % 60, s % 60)
    }
}

fn incoming(f: &mut fmt::Formatter<'_>, message: &Incoming) -> fmt::Result {
    let Incoming { topic, client, qos, retain, bytes, payload: content } = message;
    write!(f, "{}", Quoted(topic))?;
    if !client.is_empty() {
        write!(f, "  from {}", Quoted(client))?;
    }
    let retained = if *retain { ", retain" } else { "" };
    write!(f, "  QoS {qos}{retained}  {bytes} B  ")?;
    payload(f, content)
}

fn payload(f: &mut fmt::Formatter<'_>, shown: &Shown) -> fmt::Result {
    match (&shown.text, &shown.base64) {
        (Some(text), _) => write!(f, "{}", Quoted(text))?,
        (None, Some(base64)) => write!(f, "base64 {}", Quoted(base64))?,
        (None, None) => {}
    }
    if shown.cut { f.write_str("...") } else { Ok(()) }
}

fn filtered(f: &mut fmt::Formatter<'_>, judged: &Judged) -> fmt::Result {
    let verdict = match judged.verdict {
        Verdict::Passed => "passed",
        Verdict::Held => "held",
        Verdict::Suppressed => "suppressed",
        Verdict::Unfiltered => "unfiltered",
        Verdict::NoReading => "no reading",
    };
    match &judged.reading {
        Some(reading) => self::reading(f, reading)?,
        None => write!(f, "{}", Quoted(judged.topic.as_deref().unwrap_or_default()))?,
    }
    // Reasons of a filter are names; others are sentences, and may quote a payload.
    let why = if judged.reading.is_some() { judged.why.replace('_', " ") } else { judged.why.clone() };
    write!(f, "  {verdict}: {}", Escaped(&why))
}

/// Text without quotes, escaped.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escape(f, self.0, &['\'', '"'])
    }
}

fn reading(f: &mut fmt::Formatter<'_>, reading: &Reading) -> fmt::Result {
    let Reading { sensor, unit, value, quality, .. } = reading;
    write!(f, "{}  ", Quoted(sensor))?;
    match value {
        serde_json::Value::String(text) => write!(f, "{}", Quoted(text))?,
        other => write!(f, "{other}")?,
    }
    if !unit.is_empty() {
        write!(f, " {}", Quoted(unit))?;
    }
    match *quality {
        0 => f.write_str("  good"),
        bad if bad & BAD != 0 => write!(f, "  bad (0x{bad:08X})"),
        other => write!(f, "  0x{other:08X}"),
    }
}

fn stored(f: &mut fmt::Formatter<'_>, row: &Stored) -> fmt::Result {
    let Stored { topic, lane, seq, receipt, bytes, reading: content, payload: raw } = row;
    let receipt = match receipt {
        Receipt::Stored => "stored",
        Receipt::HandedOver => "handed over before it had to be written",
        Receipt::Dropped => "given up: it expired, the queue is full, or it was dropped by hand",
        Receipt::Volatile => "in RAM only",
    };
    write!(f, "{}  {} {seq}  {bytes} B  {receipt}  ", Quoted(topic), Escaped(lane))?;
    match content {
        Some(content) => reading(f, content),
        None => payload(f, raw),
    }
}

fn sent(f: &mut fmt::Formatter<'_>, message: &Sent) -> fmt::Result {
    let Sent { topic, bytes, rows, refused, took_ms } = message;
    let plural = if *rows == 1 { "" } else { "s" };
    write!(f, "{}  {bytes} B  {rows} row{plural}  ", Quoted(topic))?;
    match refused {
        Some(reason) => write!(f, "refused: {}", Escaped(reason))?,
        None => f.write_str("acknowledged")?,
    }
    match took_ms {
        Some(ms) => write!(f, " after {ms} ms"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(json: &str) -> String {
        Text(&serde_json::from_str(json).unwrap()).to_string()
    }

    #[test]
    fn each_sample_is_a_line_whatever_it_holds() {
        for (json, expected) in [
            (
                r#"{"v":1,"time_ms":51308113,"at":"in","topic":"a\u001b[2J/\u202eb","client":"","qos":1,"retain":true,"bytes":400,"text":"2\n1\"","cut":true}"#,
                r#"14:15:08.113Z  "a\u{1b}[2J/\u{202e}b"  QoS 1, retain  400 B  "2\n1\""..."#,
            ),
            (
                r#"{"v":1,"time_ms":0,"at":"in","topic":"t","client":"c1","qos":0,"retain":false,"bytes":3,"base64":"//4A","later":1}"#,
                r#"00:00:00.000Z  "t"  from "c1"  QoS 0  3 B  base64 "//4A""#,
            ),
            (
                r#"{"v":1,"time_ms":0,"at":"filtered","topic":"t","verdict":"suppressed","why":"in_deadband","reading":{"sensor":"t","unit":"Cel","measured_ms":5,"value":20.5,"quality":0}}"#,
                r#"00:00:00.000Z  "t"  20.5 "Cel"  good  suppressed: in deadband"#,
            ),
            (
                r#"{"v":1,"time_ms":0,"at":"filtered","verdict":"passed","why":"stale","reading":{"sensor":"t","unit":"","measured_ms":5,"value":null,"quality":2150694912}}"#,
                r#"00:00:00.000Z  "t"  null  bad (0x80310000)  passed: stale"#,
            ),
            (
                r#"{"v":1,"time_ms":0,"at":"filtered","topic":"t","verdict":"no-reading","why":"not a_b\u0007"}"#,
                r#"00:00:00.000Z  "t"  no reading: not a_b\u{7}"#,
            ),
            (
                r#"{"v":1,"time_ms":0,"at":"stored","topic":"up","lane":"telemetry","seq":41,"receipt":"handed-over","bytes":2,"text":"x"}"#,
                r#"00:00:00.000Z  "up"  telemetry 41  2 B  handed over before it had to be written  "x""#,
            ),
            (
                r#"{"v":1,"time_ms":0,"at":"sent","topic":"up","bytes":90,"rows":3,"took_ms":480}"#,
                r#"00:00:00.000Z  "up"  90 B  3 rows  acknowledged after 480 ms"#,
            ),
            (
                r#"{"v":1,"time_ms":0,"at":"sent","topic":"up","bytes":90,"rows":1,"refused":"quota exceeded (0x97)"}"#,
                r#"00:00:00.000Z  "up"  90 B  1 row  refused: quota exceeded (0x97)"#,
            ),
            (r#"{"v":1,"lost":2}"#, "... 2 samples left out: more came than a tap keeps"),
        ] {
            assert_eq!(text(json), expected);
        }
    }
}
