//! Stages that let some readings pass: each is a walk over the series with the list of what left before.

use super::super::series::{Reading, Value};
use super::{Event, Pick, Reducer, Row, is_bad};

/// Readings that left, and those that are held.
#[derive(Default)]
struct Walk {
    out: Vec<Reading>,
    /// Last reading of the series that left.
    last: Option<Reading>,
    /// Last one of these with a value that can be compared.
    reference: Option<Value>,
    /// Readings since then, of which the stage holds one or all.
    held: Vec<Reading>,
    must_pass: bool,
    /// Readings of a group of which one is picked.
    group: u32,
    group_start: i64,
}

pub(crate) fn apply(reducer: &Reducer, events: Vec<Event>) -> Vec<Reading> {
    let mut walk = Walk { group: 1, ..Walk::default() };
    for event in events {
        match event {
            Event::Release { is_other, .. } => {
                walk.close(reducer);
                walk.must_pass |= is_other;
            }
            Event::Row(Row { reading, is_beside: true, .. }) => {
                let is_newest = walk.last.as_ref().is_none_or(|last| last.time <= reading.time);
                let goes_on = !matches!(reducer, Reducer::Sample { .. } | Reducer::All);
                walk.must_pass |= is_newest && goes_on;
                walk.out.push(reading);
            }
            Event::Row(row) => {
                if row.is_after_reset {
                    walk.close(reducer);
                    walk.last = None;
                }
                if std::mem::take(&mut walk.must_pass) || row.must_pass {
                    walk.close(reducer);
                    walk.emit(reducer, row.reading);
                } else if walk.changes(reducer, &row.reading) {
                    // The last one before a deviation in value is of no use where the status changes.
                    if let Reducer::Deadband { .. } = reducer {
                        walk.held.clear();
                    }
                    walk.close(reducer);
                    walk.emit(reducer, row.reading);
                } else {
                    walk.offer(reducer, row.reading);
                }
            }
        }
    }
    walk.out
}

/// Whether values of this quality are compared.
fn is_usable(reducer: &Reducer, quality: u32) -> bool {
    match reducer {
        Reducer::Deadband { uncertain_is_bad: true, .. }
        | Reducer::Door { uncertain_is_bad: true, .. }
        | Reducer::Segment { uncertain_is_bad: true, .. } => quality >> 30 == 0,
        Reducer::OnChange { .. } => true,
        _ => !is_bad(quality),
    }
}

/// A missing value, and the infinities, are classes of their own.
fn class(value: &Value) -> u8 {
    match value {
        Value::Null => 1,
        Value::Float(number) if *number == f64::INFINITY => 2,
        Value::Float(number) if *number == f64::NEG_INFINITY => 3,
        _ => 0,
    }
}

/// Number of a reading that a stage can hold.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Float(number) => Some(*number).filter(|number| number.is_finite()),
        Value::Int(number) => Some(*number as f64),
        _ => None,
    }
}

fn whole(value: &Value) -> Option<i128> {
    match value {
        Value::Int(number) => Some(*number),
        Value::Float(number) if number.fract() == 0.0 && number.abs() < 2.0_f64.powi(100) => {
            Some(*number as i128)
        }
        _ => None,
    }
}

/// Returns whether it is an integer further from 0 than this.
fn is_beyond(value: &Value, limit: u64) -> bool {
    matches!(value, Value::Int(number) if number.unsigned_abs() > u128::from(limit))
}

/// Difference of two numbers, that of integers exact before it is rounded.
fn rise(from: &Value, to: &Value) -> f64 {
    match (whole(from), whole(to)) {
        (Some(from), Some(to)) => (to - from) as f64,
        _ => number(to).unwrap_or(f64::NAN) - number(from).unwrap_or(f64::NAN),
    }
}

/// Whether one value is further from another than the tolerance. Of two kinds they always are.
fn differs(one: &Value, other: &Value, tolerance: f64) -> bool {
    if let (Some(one), Some(other)) = (whole(one), whole(other)) {
        return one.abs_diff(other) > tolerance.floor() as u128;
    }
    match (number(one), number(other)) {
        (Some(one), Some(other)) => (one - other).abs() > tolerance,
        _ => one != other,
    }
}

impl Walk {
    /// Whether a reading passes whatever its value: the first, another status, another class.
    fn changes(&self, reducer: &Reducer, reading: &Reading) -> bool {
        let Some(last) = &self.last else { return true };
        let is_other = class(&last.value) != class(&reading.value);
        last.quality != reading.quality || (is_other && is_usable(reducer, reading.quality))
    }

    fn emit(&mut self, reducer: &Reducer, reading: Reading) {
        if is_usable(reducer, reading.quality) && class(&reading.value) == 0 {
            self.reference = Some(reading.value.clone());
        }
        self.last = Some(reading.clone());
        self.out.push(reading);
    }

    fn moved(&self, reading: &Reading, tolerance: f64) -> bool {
        self.reference.as_ref().is_none_or(|reference| differs(reference, &reading.value, tolerance))
    }

    fn offer(&mut self, reducer: &Reducer, reading: Reading) {
        let since = reading.time - self.last.as_ref().map_or(0, |last| last.time);
        match *reducer {
            Reducer::All => self.emit(reducer, reading),
            Reducer::OnChange { min, max } => {
                let has_moved = class(&reading.value) == 0 && self.moved(&reading, 0.0);
                if if has_moved { since >= min } else { since >= max } {
                    self.emit(reducer, reading);
                }
            }
            Reducer::Deadband { tolerance, min, max, previous, status_alone, .. } => {
                let can_move =
                    is_usable(reducer, reading.quality) && class(&reading.value) == 0 && !status_alone;
                let has_moved = can_move && self.moved(&reading, tolerance);
                if has_moved && since >= min {
                    let before = self.held.pop();
                    self.out.extend(before);
                    self.emit(reducer, reading);
                } else if !has_moved && since >= max {
                    self.held.clear();
                    self.emit(reducer, reading);
                } else if previous && is_usable(reducer, reading.quality) && number(&reading.value).is_some()
                {
                    self.held = vec![reading];
                }
            }
            Reducer::Door { .. } | Reducer::Segment { .. } | Reducer::Sample { .. } => {
                if !is_usable(reducer, reading.quality) || class(&reading.value) != 0 {
                    return;
                }
                // Of these a double has no middle.
                let is_too_large =
                    matches!(reducer, Reducer::Segment { .. }) && is_beyond(&reading.value, 1 << 52);
                match number(&reading.value).filter(|_| !is_too_large) {
                    Some(_) => self.hold(reducer, reading, since),
                    None if !self.held.is_empty() || self.moved(&reading, 0.0) => {
                        self.close(reducer);
                        self.emit(reducer, reading);
                    }
                    None => {}
                }
            }
            // It has a walk of its own.
            Reducer::Window(_) => {}
        }
    }

    fn hold(&mut self, reducer: &Reducer, reading: Reading, since: i64) {
        match *reducer {
            Reducer::Door { deviation, min, max, .. } => {
                self.door((deviation, min, max), reducer, reading, since);
            }
            Reducer::Segment { deviation, max, .. } => {
                let numbers = || self.held.iter().chain([&reading]).filter_map(|held| number(&held.value));
                let (low, high) = numbers()
                    .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), n| (low.min(n), high.max(n)));
                let is_over = self.held.first().is_some_and(|first| reading.time - first.time >= max);
                if is_over || high - low > 2.0 * deviation {
                    self.close(reducer);
                }
                self.held.push(reading);
            }
            Reducer::Sample { every, interval, pick } => {
                self.sample((every, interval, pick), reducer, reading, since);
            }
            // The others hold nothing.
            _ => {}
        }
    }

    /// Holds the newest reading while the line to the next one is near enough to all since the last that left.
    fn door(
        &mut self,
        (deviation, min, max): (f64, i64, i64),
        reducer: &Reducer,
        reading: Reading,
        since: i64,
    ) {
        let last = self.last.as_ref().expect("the first one passes");
        let anchor = self.reference.clone();
        let Some((anchor, from)) = anchor.as_ref().and_then(|anchor| Some((anchor, number(anchor)?))) else {
            return self.emit(reducer, reading);
        };
        let start = last.time;
        let slope = rise(anchor, &reading.value) / (reading.time - start) as f64;
        let is_near = |held: &Reading| {
            let on_line = slope * (held.time - start) as f64;
            let off = if [anchor, &held.value].iter().any(|value| is_beyond(value, 1 << 53)) {
                on_line - rise(anchor, &held.value)
            } else {
                from + on_line - number(&held.value).unwrap_or(f64::NAN)
            };
            off.abs() <= deviation
        };
        let is_over = since >= max;
        match self.held.last() {
            None if is_over => return self.emit(reducer, reading),
            None => {}
            Some(held) => {
                let is_early = held.time - start < min;
                if !is_early && (is_over || !slope.is_finite() || !self.held.iter().all(is_near)) {
                    self.close(reducer);
                    let since = reading.time - self.last.as_ref().map_or(0, |last| last.time);
                    return self.door((deviation, min, max), reducer, reading, since);
                }
            }
        }
        self.held.push(reading);
    }

    fn sample(
        &mut self,
        (every, interval, pick): (Option<u32>, Option<i64>, Pick),
        reducer: &Reducer,
        reading: Reading,
        since: i64,
    ) {
        if let Pick::First = pick {
            let is_next = every.is_some_and(|n| self.group >= n) || interval.is_some_and(|ms| since >= ms);
            self.group = if is_next { 1 } else { self.group + 1 };
            if is_next {
                self.emit(reducer, reading);
            }
            return;
        }
        if self.group > 0 && interval.is_some_and(|ms| reading.time - self.group_start >= ms) {
            self.close(reducer);
        }
        if self.group == 0 {
            self.group_start = reading.time;
        }
        self.group += 1;
        self.held.push(reading);
        if every.is_some_and(|n| self.group >= n) {
            self.close(reducer);
        }
    }

    /// Lets go of what is held.
    fn close(&mut self, reducer: &Reducer) {
        let held = std::mem::take(&mut self.held);
        self.group = u32::from(matches!(reducer, Reducer::Sample { pick: Pick::First, .. }));
        let Some(newest) = held.last() else { return };
        let leaves = match reducer {
            Reducer::Segment { .. } => {
                let numbers = || held.iter().filter_map(|held| number(&held.value));
                let (low, high) =
                    (numbers().fold(f64::INFINITY, f64::min), numbers().fold(f64::NEG_INFINITY, f64::max));
                Reading { time: held[0].time, value: Value::Float(low / 2.0 + high / 2.0), ..newest.clone() }
            }
            Reducer::Sample { pick: Pick::Peak, .. } => {
                let from = self.reference.as_ref().and_then(number).unwrap_or_default();
                let distance = |held: &Reading| (number(&held.value).unwrap_or(from) - from).abs();
                let mut peak = &held[0];
                for one in &held {
                    peak = if distance(one) > distance(peak) { one } else { peak };
                }
                peak.clone()
            }
            _ => newest.clone(),
        };
        self.emit(reducer, leaves);
    }
}
