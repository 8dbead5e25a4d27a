//! Tests that judge a reading by its neighbours on both sides, so that it waits for the later ones.

use super::super::series::Value;
use super::checks::{Verdict, outlier};
use super::{Event, Lookahead, Row, SUBSTITUTE, Spike, is_bad, marked};

pub(crate) fn apply(tests: Lookahead, events: Vec<Event>) -> Vec<Event> {
    let mut out = Vec::new();
    // Readings that follow each other with nothing between that cannot be judged; of the numbers before them as many as
    // the Hampel test may look back to.
    let (mut run, mut before): (Vec<Row>, Vec<f64>) = (Vec::new(), Vec::new());
    for event in events {
        match event {
            Event::Row(row) if row.is_beside => out.push(Event::Row(row)),
            Event::Row(row) if !row.is_fresh && can_be_judged(&row) => run.push(row),
            Event::Row(row) => {
                let numbers = settle(tests, &before, std::mem::take(&mut run), row.at, &mut out);
                before.extend(numbers);
                if row.is_fresh {
                    before.clear();
                }
                if can_be_judged(&row) { run.push(row) } else { out.push(Event::Row(row)) }
            }
            Event::Release { at, is_other } => {
                before.extend(settle(tests, &before, std::mem::take(&mut run), at, &mut out));
                if is_other {
                    before.clear();
                }
                out.push(event);
            }
        }
    }
    // What still waits has not left, nor have those that are judged been seen by what follows: there is none.
    settle(tests, &before, run, usize::MAX, &mut out);
    out.retain(|event| event.at() != usize::MAX);
    out.sort_by_key(Event::at);
    carry(out)
}

/// Judges a run. What has not been judged when it ends at `end` goes on then. Returns the numbers of the run.
fn settle(tests: Lookahead, before: &[f64], run: Vec<Row>, end: usize, out: &mut Vec<Event>) -> Vec<f64> {
    let numbers: Vec<f64> = run.iter().map(of_row).collect();
    let half = tests.hampel.map_or(0, |hampel| hampel.window / 2);
    let delay = half.max(usize::from(tests.spike.is_some()));
    let places: Vec<usize> = run.iter().map(|row| row.at).collect();
    for (place, mut row) in run.into_iter().enumerate() {
        row.at = places.get(place + delay).copied().unwrap_or(end);
        let mut is_dropped = false;
        if let Some(spike) = tests.spike
            && place > 0
            && let Some(after) = numbers.get(place + 1)
        {
            let distance = distance(&spike, numbers[place - 1], numbers[place], *after);
            let (fails, is_suspect) = (distance > spike.fail, distance > spike.suspect);
            is_dropped = fails && spike.drops;
            row.reading.quality = marked(row.reading.quality, fails, is_suspect);
        }
        if let Some(hampel) = tests.hampel
            && place + half < numbers.len()
        {
            let known: Vec<f64> = before.iter().chain(&numbers).copied().collect();
            let here = before.len() + place;
            if let Some(first) = here.checked_sub(half) {
                let Verdict { fails, replaces, .. } =
                    outlier(&hampel, numbers[place], &known[first..=here + half]);
                match replaces {
                    Some(median) => {
                        (row.reading.value, row.reading.quality) = (Value::Float(median), SUBSTITUTE);
                    }
                    None => row.reading.quality = marked(row.reading.quality, fails, false),
                }
            }
        }
        if is_dropped {
            // Only what it would have begun goes on.
            row.reading.value = Value::Null;
            row.reading.unit = DROPPED;
        }
        out.push(Event::Row(row));
    }
    numbers
}

/// Distance of a value from its neighbours: 0 where it cannot be computed.
fn distance(spike: &Spike, before: f64, value: f64, after: f64) -> f64 {
    let distance = if spike.is_differential {
        let is_peak = (value > before) == (value > after) && value != before && value != after;
        if is_peak { (value - before).abs().min((value - after).abs()) } else { 0.0 }
    } else {
        (value - (before + after) / 2.0).abs()
    };
    if distance.is_finite() { distance } else { 0.0 }
}

/// Unit of a reading that is dropped when its turn comes.
const DROPPED: &str = "dropped";

/// Leaves out what was dropped, and lets the next reading pass in its place.
fn carry(events: Vec<Event>) -> Vec<Event> {
    let (mut out, mut must_pass) = (Vec::new(), false);
    for event in events {
        match event {
            Event::Row(row) if row.reading.unit == DROPPED => must_pass |= row.must_pass,
            Event::Row(mut row) if !row.is_beside => {
                row.must_pass |= std::mem::take(&mut must_pass);
                out.push(Event::Row(row));
            }
            event => out.push(event),
        }
    }
    out
}

fn can_be_judged(row: &Row) -> bool {
    let is_number = match row.reading.value {
        Value::Float(number) => number.is_finite(),
        Value::Int(_) => true,
        _ => false,
    };
    is_number && !is_bad(row.reading.quality)
}

fn of_row(row: &Row) -> f64 {
    super::number(&row.reading.value).unwrap_or(f64::NAN)
}
