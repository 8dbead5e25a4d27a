//! Order of readings: what is no part of the series, and what begins it anew.

use super::super::series::{BAD, Reading, UNCERTAIN, Value};
use super::{Event, Row, Rule};

/// As in `[defaults]`.
const MAX_GAP_MS: i64 = 3_600_000;
const MAX_BACKWARD_MS: i64 = 60_000;
const CONFIRM: usize = 3;

pub(crate) fn events(rule: &Rule, series: &[Reading]) -> Vec<Event> {
    let mut events = Vec::new();
    // Newest reading of the series, and the times since then that are far behind it.
    let (mut newest, mut back): (Option<Reading>, Vec<i64>) = (None, Vec::new());
    for (at, reading) in series.iter().enumerate() {
        if at > 0 && series[at - 1].unit != reading.unit {
            events.push(Event::Release { at, is_other: true });
        }
        let reading = normalised(rule, reading);
        let behind = newest.as_ref().map_or(i64::MIN, |newest| newest.time - reading.time);
        let is_same_time = behind == 0;
        let is_repeated = newest.as_ref().is_some_and(|newest| is_same_time && *newest == reading);
        if behind > MAX_BACKWARD_MS {
            match back.last() {
                Some(before) if reading.time < *before => back = vec![reading.time],
                Some(before) if reading.time == *before => {}
                _ => back.push(reading.time),
            }
        } else {
            back.clear();
        }
        let is_after_reset = back.len() >= CONFIRM;
        let is_beside = behind >= 0 && !is_after_reset;
        let is_dropped = if is_same_time { rule.drops.same_time } else { rule.drops.late };
        if is_repeated || (is_beside && is_dropped) {
            continue;
        }
        let is_first = newest.is_none();
        let is_fresh = is_after_reset || is_first || (!is_beside && -behind > MAX_GAP_MS);
        if !is_beside {
            newest = Some(reading.clone());
            back.clear();
        }
        events.push(Event::Row(Row {
            at,
            reading,
            is_beside,
            is_fresh,
            is_after_reset,
            must_pass: is_fresh,
        }));
    }
    events
}

/// A value that is missing has no good quality.
fn normalised(rule: &Rule, reading: &Reading) -> Reading {
    let quality = match (&reading.value, reading.quality >> 30) {
        (Value::Null, 0 | 1) if rule.nan_is_bad => BAD,
        (Value::Null, 0) => UNCERTAIN,
        _ => reading.quality,
    };
    Reading { quality, ..reading.clone() }
}
