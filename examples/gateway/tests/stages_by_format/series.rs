//! Series of readings that every rule of the table gets, and their payloads.

use std::fmt::Write;

/// Value as a sensor sends it and as a foreign reader gets it. Which integers are signed no reader can tell.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Float(f64),
    Int(i128),
    Bool(bool),
    Text(String),
    Null,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reading {
    pub(crate) time: i64,
    pub(crate) value: Value,
    pub(crate) quality: u32,
    pub(crate) unit: &'static str,
}

pub(crate) struct Series {
    pub(crate) name: &'static str,
    pub(crate) readings: Vec<Reading>,
}

pub(crate) const UNCERTAIN: u32 = 0x4000_0000;
pub(crate) const BAD: u32 = 0x8000_0000;
/// Of a failed sensor: bad, and another code than the stages give.
const FAILURE: u32 = 0x808C_0000;

/// 2026-01-01 00:00 UTC. All times are hours back, so that no window ends by the clock while a test runs.
const START: i64 = 1_767_225_600_000;
/// Between two readings, so that a window of an hour has five minutes left behind its last one.
const STEP: i64 = 600_000;

use Value::{Bool, Float, Int, Null};

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// Readings at regular times, with the same unit, and the last one in another: with that the stages let go of what they
/// hold.
fn series(name: &'static str, values: impl IntoIterator<Item = (Value, u32)>) -> Series {
    let at = |place: i64| START + STEP / 2 + place * STEP;
    let mut readings: Vec<Reading> = (0..)
        .zip(values)
        .map(|(place, (value, quality))| Reading { time: at(place), value, quality, unit: "Cel" })
        .collect();
    let last = at(readings.len() as i64);
    readings.push(Reading { time: last, value: Float(0.5), quality: 0, unit: "K" });
    Series { name, readings }
}

fn good(values: impl IntoIterator<Item = Value>) -> impl Iterator<Item = (Value, u32)> {
    values.into_iter().map(|value| (value, 0))
}

pub(crate) fn all() -> Vec<Series> {
    vec![walk(), integers(), counts(), kinds(), qualities(), times(), units(), huge(), epochs(), decimals()]
}

/// A walk with plateaus, ramps, spikes and steps, in quarters, which floats compute exactly.
fn walk() -> Series {
    let mut level = 20.0;
    let values = (0..70_u32).map(move |n| {
        level += match n % 23 {
            0..=4 => 0.25,
            5..=9 => 0.0,
            10..=13 => -1.5,
            14 => 12.0,
            _ => [0.5, -0.75, 0.25][(n % 3) as usize],
        };
        let spike = if n % 17 == 11 { 50.0 } else { 0.0 };
        Float(level + spike)
    });
    series("walk", good(values))
}

/// Steps of every length on the wire, both signs, and what a double cannot hold.
fn integers() -> Series {
    let powers = [7, 8, 14, 16, 31, 32, 53, 62].into_iter().flat_map(|power| {
        let step: i128 = 1 << power;
        [step - 1, step, step + 1, -step, -step - 1]
    });
    let ends =
        [i128::from(i64::MIN), i128::from(i64::MAX), i128::from(u64::MAX), 9_007_199_254_740_993, 0, 0, 1];
    series("integers", good(powers.chain(ends).map(Int)))
}

/// A register of 16 bits that wraps, is reset, fails, and says what no register can.
fn counts() -> Series {
    let mut values: Vec<(Value, u32)> = (0..12).map(|n: i128| (Int((65_000 + n * 97) % 65_536), 0)).collect();
    values.extend(good([Int(3), Int(10), Int(70_000), Int(20), Float(25.0), Float(25.5), Int(-1), Null]));
    values.extend([
        (Int(30), FAILURE),
        (Int(31), UNCERTAIN),
        (Int(40), 0),
        (Bool(true), 0),
        (text("off"), 0),
    ]);
    values.extend((5..20).map(|n: i128| (Int(n * 10), 0)));
    series("counts", values)
}

/// Everything after everything.
fn kinds() -> Series {
    let some =
        [Float(20.5), Int(20), Float(20.0), Bool(true), text("run"), Null, Bool(false), text(""), Int(1)];
    let values: Vec<Value> =
        some.iter().flat_map(|one| some.iter().flat_map(move |other| [one.clone(), other.clone()])).collect();
    let long = text(&"l\u{e4}uft ".repeat(15));
    let odd = text("\"a\\\u{1f600}\n\u{0}\u{7f}");
    let texts = [long.clone(), long, Float(20.5), Float(20.5), odd.clone(), odd, text("a")];
    series("kinds", good(values.into_iter().chain(texts)))
}

/// The same walk, good, uncertain and bad in turn, with failures that last.
fn qualities() -> Series {
    let values = (0..60_u32).map(|n| {
        let quality = match n % 20 {
            4 | 5 | 12 => UNCERTAIN,
            8..=9 => BAD,
            10 => FAILURE,
            15 => 0x0000_0400,
            _ => 0,
        };
        let value = Float(f64::from(n * 7 % 16) / 4.0 + if n > 30 { 8.0 } else { 0.0 });
        (if n % 13 == 7 { Null } else { value }, quality)
    });
    series("qualities", values)
}

/// Repeated, late and very late ones, gaps, and a clock that was set back.
fn times() -> Series {
    let mut readings = Vec::new();
    let mut push = |time: i64, value: f64| {
        readings.push(Reading { time: START + time, value: Float(value), quality: 0, unit: "bar" });
    };
    for n in 0..8 {
        push(300_000 + n * STEP, 10.0 + n as f64);
    }
    let now = 300_000 + 7 * STEP;
    // The same once more, another value of that time, one just late, one far back.
    for (time, value) in [(now, 17.0), (now, 18.0), (now - 50_000, 3.0), (now - 2 * STEP, 4.0)] {
        push(time, value);
    }
    for n in 1..4 {
        push(now + n * STEP, 17.25);
    }
    // Beyond the longest gap.
    let after = now + 3 * STEP + 2 * 3_600_000;
    for (n, value) in (0..).zip([90.0, 27.0, 27.5, 27.25, 27.0, 26.75]) {
        push(after + n * STEP, value);
    }
    // Three later and later ones are a clock that was set.
    for n in 0..7 {
        push(5_000 + n * STEP, 30.0 + n as f64 / 2.0);
    }
    readings.push(Reading { time: START + 5_000 + 7 * STEP, value: Float(0.5), quality: 0, unit: "K" });
    Series { name: "times", readings }
}

/// A sensor that another person configures while it runs.
fn units() -> Series {
    let unit = |n: i64| ["Cel", "", "degF", "Cel"][(n / 9 % 4) as usize];
    let value = |n: i64| n as f64 / 4.0 + if unit(n) == "degF" { 100.0 } else { 20.0 };
    let reading = |n: i64| Reading {
        time: START + 300_000 + n * STEP,
        value: Float(value(n)),
        quality: 0,
        unit: unit(n),
    };
    Series { name: "units", readings: (0..46).map(reading).collect() }
}

/// Numbers at the end of what a double holds.
fn huge() -> Series {
    let numbers = [1e300, -1e300, 1.75e308, -1.75e308, 5e-324, -0.0, 0.0, 1e-7, 123_456_789.125];
    series("huge", good(numbers.into_iter().map(Float)))
}

/// Numbers of which no double has the last digit.
fn decimals() -> Series {
    let values = (0..48_u32).map(|n| Float(f64::from(n * 37 % 101) / 10.0 + f64::from(n / 9) * 3.3));
    series("decimals", good(values))
}

/// Times around 1970 and at the steps of every length on the wire; between some of them is more than the longest gap.
fn epochs() -> Series {
    let steps = [7, 8, 14, 15, 16, 31, 32, 40].map(|power| 1_i64 << power);
    let times = [-4_000_000_000_000, -5_000_000, -65_537, -129, -1, 0, 1].into_iter().chain(steps);
    let value = |place: i64| Float(20.0 + (place % 4) as f64);
    let reading = |(place, time)| Reading { time, value: value(place), quality: 0, unit: "Cel" };
    let mut readings: Vec<Reading> = (0..).zip(times).map(reading).collect();
    readings.push(Reading { time: 1_500_000_000_000, value: Float(0.5), quality: 0, unit: "K" });
    Series { name: "epochs", readings }
}

/// The messages of a series, as arrays of readings; the lengths of these vary.
pub(crate) fn payloads(readings: &[Reading], first: usize) -> Vec<String> {
    let mut out = Vec::new();
    let mut left = readings;
    while !left.is_empty() {
        let length = [1, 3, 1, 7, 2][(first + out.len()) % 5].min(left.len());
        let (now, later) = left.split_at(length);
        out.push(if length == 1 { json(&now[0]) } else { array(now) });
        left = later;
    }
    out
}

fn array(readings: &[Reading]) -> String {
    let all: Vec<String> = readings.iter().map(json).collect();
    format!("[{}]", all.join(","))
}

fn json(reading: &Reading) -> String {
    let Reading { time, value, quality, unit } = reading;
    let mut out = format!("{{\"ts\":{time}");
    match value {
        Float(number) => write!(out, ",\"value\":{number:?}"),
        Int(number) => write!(out, ",\"value\":{number}"),
        Bool(yes) => write!(out, ",\"value\":{yes}"),
        Value::Text(text) => write!(out, ",\"value\":{}", serde_json::to_string(text).unwrap()),
        Null => write!(out, ",\"value\":null"),
    }
    .unwrap();
    if *quality != 0 {
        write!(out, ",\"quality\":{quality}").unwrap();
    }
    if !unit.is_empty() {
        write!(out, ",\"unit\":{unit:?}").unwrap();
    }
    out + "}"
}
