//! Alarms of a history: a reading that crosses a limit has a row of its own, and no row tells what no reading did.

use std::collections::{BTreeMap, BTreeSet};

use super::super::record::{Content, Message, Reading, Records, Row, Value};
use super::Rule;

const BAD: u32 = 0x8000_0000;

/// Name of the sensor whose alarm this is.
pub(super) fn alarmed(name: &str) -> Option<&str> {
    name.strip_suffix("/alarm/HI")
}

pub(super) fn alarms(records: &Records, say: &mut impl FnMut(Rule, String)) {
    let mut sent: BTreeMap<&str, Vec<(&Message, &Reading)>> = BTreeMap::new();
    for message in &records.messages {
        if let Content::Readings(readings) = &message.content {
            readings
                .iter()
                .for_each(|reading| sent.entry(&reading.sensor).or_default().push((message, reading)));
        }
    }
    for (name, sent) in sent {
        let limit = records.alarms.get(sent[0].0.route).copied().flatten();
        let rows: Vec<&Row> = records.rows.iter().filter(|row| alarmed(&row.sensor) == Some(name)).collect();
        if let Some(limit) = limit.filter(|_| is_judged(&sent)) {
            // After a kill a late reading may be the first, and raises the alarm in place of the next.
            let is_complete =
                !sent.iter().any(|(_, reading)| reading.beside) || !records.runs.iter().any(|run| run.killed);
            crossings(name, limit, is_complete, &sent, &rows, say);
        } else if limit.is_none() {
            rows.iter().for_each(|row| say(Rule::Invented, format!("{row:?}")));
        }
    }
}

/// Only of sensors whose series is known: all stamped, none ahead, of one unit, no booleans.
fn is_judged(sent: &[(&Message, &Reading)]) -> bool {
    let newest =
        sent.iter().filter(|(_, reading)| !reading.beside).filter_map(|(_, reading)| reading.time).max();
    sent.iter().all(|(message, reading)| {
        reading.time.is_some()
            && reading.time <= newest
            && !message.is_ahead(reading)
            && reading.unit == sent[0].1.unit
            && !matches!(reading.value, Value::Bool(_))
    })
}

/// Values that an alarm takes notice of.
fn number(reading: &Reading) -> Option<f64> {
    reading.value.number().filter(|value| value.is_finite() && reading.quality & BAD == 0)
}

fn crossings(
    name: &str,
    limit: f64,
    is_complete: bool,
    sent: &[(&Message, &Reading)],
    rows: &[&Row],
    say: &mut impl FnMut(Rule, String),
) {
    let mut told: BTreeSet<(i64, bool)> = BTreeSet::new();
    for row in rows {
        let is_raised = row.value == Value::Text("UNACK_ALM".to_owned());
        let at = sent.iter().filter(|(_, reading)| reading.time == Some(row.time));
        let fits = at.filter_map(|(_, reading)| number(reading)).any(|value| (value >= limit) == is_raised);
        if !fits {
            say(Rule::Alarm, format!("no reading of {name} says {row:?}"));
        }
        told.insert((row.time, is_raised));
    }
    let mut was_raised = false;
    for (message, reading) in sent.iter().filter(|(_, reading)| is_complete && !reading.beside) {
        let (Some(value), Some(time)) = (number(reading), reading.time) else { continue };
        let is_raised = value >= limit;
        // A gateway that was killed, or has other rules, begins anew, and says how it stands.
        if is_raised != was_raised && message.acked.is_some() && !told.contains(&(time, is_raised)) {
            say(Rule::Alarm, format!("{name}: {reading:?} crosses {limit} and has no row: {rows:?}"));
        }
        was_raised = is_raised;
    }
}
