//! Tests that judge a reading when it comes, by those before it.

use super::super::series::Value;
use super::{Check, Event, Hampel, Row, SUBSTITUTE, is_bad, marked, number};

/// Verdict of a test on one reading.
#[derive(Default)]
pub(crate) struct Verdict {
    pub(crate) fails: bool,
    pub(crate) is_suspect: bool,
    pub(crate) replaces: Option<f64>,
}

/// Runs one test over all readings.
pub(crate) fn apply(check: Check, events: Vec<Event>) -> Vec<Event> {
    // Number and time of each reading so far, and whether the test accepted it. A missing number is none.
    let mut past: Vec<(Option<f64>, i64, bool)> = Vec::new();
    // What a dropped reading would have begun.
    let (mut must_pass, mut is_fresh) = (false, false);
    let mut out = Vec::new();
    for event in events {
        let Event::Row(mut row) = event else {
            if let Event::Release { is_other: true, .. } = event {
                past.clear();
            }
            out.push(event);
            continue;
        };
        let is_range = matches!(check, Check::Range { .. });
        if row.is_beside && !is_range {
            out.push(Event::Row(row));
            continue;
        }
        if !row.is_beside {
            row.must_pass |= std::mem::take(&mut must_pass);
            row.is_fresh |= std::mem::take(&mut is_fresh);
        }
        if row.is_fresh {
            past.clear();
        }
        let verdict = verdict(check, &past, &row);
        if !row.is_beside {
            past.push((measured(check, &row), row.reading.time, !verdict.fails));
        }
        if verdict.fails && drops(check) {
            (must_pass, is_fresh) =
                if row.is_beside { (must_pass, is_fresh) } else { (row.must_pass, row.is_fresh) };
            continue;
        }
        match verdict.replaces {
            Some(median) => {
                row.reading.value = Value::Float(median);
                row.reading.quality = SUBSTITUTE;
            }
            None => row.reading.quality = marked(row.reading.quality, verdict.fails, verdict.is_suspect),
        }
        out.push(Event::Row(row));
    }
    out
}

fn drops(check: Check) -> bool {
    match check {
        Check::Range { drops, .. } | Check::Rate { drops, .. } | Check::Jump { drops, .. } => drops,
        Check::Flat { .. } | Check::Attenuated { .. } | Check::Hampel(_) => false,
    }
}

/// Number of a reading for the tests: none if it is missing. A boolean has no median.
fn measured(check: Check, row: &Row) -> Option<f64> {
    let is_number = !matches!((check, &row.reading.value), (Check::Hampel(_), Value::Bool(_)));
    let number = number(&row.reading.value).filter(|number| number.is_finite() && is_number);
    number.filter(|_| !is_bad(row.reading.quality))
}

fn verdict(check: Check, past: &[(Option<f64>, i64, bool)], row: &Row) -> Verdict {
    if let Check::Range { fail, suspect, .. } = check {
        return range(fail, suspect, &row.reading.value);
    }
    let Some(now) = measured(check, row) else { return Verdict::default() };
    let time = row.reading.time;
    let verdict = |fails, is_suspect| Verdict { fails, is_suspect, replaces: None };
    match check {
        Check::Range { .. } => Verdict::default(),
        Check::Rate { suspect, fail, .. } => {
            let Some((Some(before), then, _)) = past.last() else { return Verdict::default() };
            let per_second = (now - before).abs() / ((time - then) as f64 / 1000.0);
            verdict(per_second > fail, per_second > suspect)
        }
        Check::Flat { suspect, fail, tolerance } => {
            let is_flat = |readings: usize| {
                past.len() >= readings && {
                    let near =
                        past[past.len() - readings..].iter().filter_map(|(number, ..)| *number).chain([now]);
                    spread(near) < tolerance
                }
            };
            verdict(is_flat(fail), is_flat(suspect))
        }
        Check::Attenuated { by_std, suspect, fail, period_ms, min_obs } => {
            let near: Vec<_> = past.iter().filter(|(_, then, _)| time - then < period_ms).collect();
            let numbers: Vec<f64> = near.iter().filter_map(|(number, ..)| *number).chain([now]).collect();
            // With a missing value in the period the range is unknown.
            let is_whole = by_std || numbers.len() > near.len();
            let is_known = is_whole && numbers.len() >= min_obs;
            let spread = if by_std { deviation(&numbers) } else { spread(numbers) };
            verdict(is_known && spread < fail, is_known && spread < suspect)
        }
        Check::Hampel(hampel) => {
            let before: Vec<f64> = past.iter().filter_map(|(number, ..)| *number).collect();
            let Some(first) = (before.len() + 1).checked_sub(hampel.window) else {
                return Verdict::default();
            };
            let window: Vec<f64> = before[first..].iter().copied().chain([now]).collect();
            outlier(&hampel, now, &window)
        }
        Check::Jump { step, after, .. } => {
            let known: Vec<_> =
                past.iter().filter_map(|(number, _, is_right)| Some(((*number)?, *is_right))).collect();
            let Some(reference) = known.iter().rposition(|(_, is_right)| *is_right) else {
                return Verdict::default();
            };
            let rejected = known.len() - 1 - reference;
            verdict((now - known[reference].0).abs() > step && rejected < after, false)
        }
    }
}

/// Booleans, texts and missing values have no range.
fn range(fail: (f64, f64), suspect: (f64, f64), value: &Value) -> Verdict {
    let number = match value {
        Value::Float(number) => *number,
        Value::Int(number) => *number as f64,
        _ => return Verdict::default(),
    };
    let beyond = |(low, high): (f64, f64)| number < low || number > high;
    Verdict { fails: beyond(fail), is_suspect: beyond(suspect), replaces: None }
}

fn spread(numbers: impl IntoIterator<Item = f64>) -> f64 {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for number in numbers {
        (low, high) = (low.min(number), high.max(number));
    }
    high - low
}

/// Standard deviation of all, not of a sample.
pub(crate) fn deviation(numbers: &[f64]) -> f64 {
    let count = numbers.len() as f64;
    let mean = numbers.iter().sum::<f64>() / count;
    (numbers.iter().map(|number| (number - mean) * (number - mean)).sum::<f64>() / count).sqrt()
}

pub(crate) fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { sorted[middle - 1] / 2.0 + sorted[middle] / 2.0 }
}

/// Verdict of the Hampel test on a value in its window.
pub(crate) fn outlier(hampel: &Hampel, value: f64, window: &[f64]) -> Verdict {
    let middle = median(window);
    let distances: Vec<f64> = window.iter().map(|number| (number - middle).abs()).collect();
    let deviation = median(&distances);
    let most = if deviation == 0.0 { hampel.min_scale } else { hampel.n_sigma * 1.4826 * deviation };
    let fails = (value - middle).abs() > most;
    Verdict { fails, is_suspect: false, replaces: (fails && hampel.replaces).then_some(middle) }
}
