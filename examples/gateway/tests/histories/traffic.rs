//! Sensors: readings of every kind of value, stamped in order, late, twice or ahead, or not at all; and other messages.

use std::collections::BTreeSet;

use super::plan::Plan;
use super::record::{Content, Message, Reading, Value};
use super::support::rng::Rng;

const UNCERTAIN: u32 = 0x4000_0000;
const BAD: u32 = 0x8000_0000;
const UNITS: [&str; 3] = ["", "Cel", "bar"];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Walk,
    Noise,
    Whole,
    State,
    Switch,
    Gaps,
    Mixed,
}

const KINDS: [Kind; 7] =
    [Kind::Walk, Kind::Noise, Kind::Whole, Kind::State, Kind::Switch, Kind::Gaps, Kind::Mixed];
/// Of these no two readings need be alike.
const KINDS_OF_ITS_OWN: [Kind; 3] = [Kind::Walk, Kind::Whole, Kind::State];

struct Sensor {
    topic: String,
    route: usize,
    publisher: usize,
    kind: Kind,
    stamped: bool,
    unit: &'static str,
    /// Readings sent.
    count: usize,
    /// Newest of the series.
    time: i64,
    times: BTreeSet<i64>,
    level: f64,
}

pub(crate) struct Traffic {
    rng: Rng,
    sensors: Vec<Sensor>,
    messages: u64,
    now_ms: i64,
    /// Some clocks are wrong.
    has_jumps: bool,
}

impl Traffic {
    /// `now_ms`: the wall clock, so that stamps are of the last hour.
    pub(crate) fn new(plan: &Plan, now_ms: i64) -> Self {
        let mut rng = plan.rng.clone();
        let mut sensors = Vec::new();
        for route in 0..plan.configurations[0].routes.len() {
            // Values of segments and windows are none that the sensor sent, so only their times say what they stand for.
            let has_segments = plan.configurations.iter().any(|configuration| {
                matches!(configuration.routes[route].filter, super::record::Filter::Segment(_))
            });
            let has_windows = plan.window(route).is_some();
            for n in 0..rng.between(2, 4) {
                let stamped = has_segments || rng.percent(70) || has_windows;
                sensors.push(Sensor {
                    topic: format!("plant/r{route}/s{n}"),
                    route,
                    publisher: rng.below(plan.windows.len() as u64) as usize,
                    kind: *if stamped { rng.pick(&KINDS) } else { rng.pick(&KINDS_OF_ITS_OWN) },
                    stamped,
                    unit: UNITS[rng.below(3) as usize],
                    count: 0,
                    time: now_ms - 3_000_000,
                    times: BTreeSet::new(),
                    level: 20.0,
                });
            }
        }
        let has_jumps = rng.percent(25);
        Self { rng, sensors, messages: 0, now_ms, has_jumps }
    }

    /// A raw message above every limit that a hub is given.
    pub(crate) fn large(&mut self, publisher: usize, run: usize) -> Message {
        self.messages += 1;
        let topic = format!("plant/raw/large{publisher}");
        whole(
            topic.clone(),
            format!("raw {} {}", self.messages, "x".repeat(3_000)),
            format!("up/{topic}"),
            run,
        )
    }

    pub(crate) fn message(&mut self, publisher: usize, run: usize) -> Message {
        self.messages += 1;
        let number = self.messages;
        let own: Vec<usize> =
            (0..self.sensors.len()).filter(|n| self.sensors[*n].publisher == publisher).collect();
        if own.is_empty() || self.rng.percent(10) {
            let topic = format!("plant/raw/{publisher}");
            return whole(topic.clone(), format!("raw {number}"), format!("up/{topic}"), run);
        }
        let first = *self.rng.pick(&own);
        let (route, topic) = (self.sensors[first].route, self.sensors[first].topic.clone());
        if self.rng.percent(2) {
            let to = format!("dead-letter/{topic}");
            return whole(topic, format!("{{\"no reading\":{number}}}"), to, run);
        }
        let is_list = self.rng.percent(25);
        let of_route: Vec<usize> = own.into_iter().filter(|n| self.sensors[*n].route == route).collect();
        let count = if is_list { self.rng.between(1, 4) } else { 1 };
        let (mut readings, mut objects) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let n = if is_list { *self.rng.pick(&of_route) } else { first };
            let (reading, quality) = self.reading(n);
            objects.push(object(&reading, quality, number, is_list));
            readings.push(reading);
        }
        let payload = if is_list { format!("[{}]", objects.join(",")) } else { objects.concat() };
        Message {
            topic,
            payload,
            route,
            content: Content::Readings(readings),
            sent: run,
            ..Message::default()
        }
    }

    /// With the quality that the sensor gives it.
    fn reading(&mut self, n: usize) -> (Reading, u32) {
        let rng = &mut self.rng;
        let sensor = &mut self.sensors[n];
        let index = sensor.count;
        sensor.count += 1;
        if rng.percent(1) {
            sensor.unit = UNITS[rng.below(3) as usize];
        }
        let value = value(rng, sensor, index);
        let sent = match rng.below(100) {
            0..=3 => UNCERTAIN,
            4..=6 => BAD,
            _ => 0,
        };
        let quality = if value == Value::Null && sent != BAD { BAD } else { sent };
        let (time, beside) = match sensor.stamped {
            false => (None, false),
            true => {
                let (time, beside) = stamp(rng, sensor, self.now_ms, self.has_jumps);
                (Some(time), beside)
            }
        };
        let (unit, sensor) = (sensor.unit.to_owned(), sensor.topic.clone());
        (Reading { sensor, index, time, value, quality, unit, beside }, sent)
    }
}

fn whole(topic: String, payload: String, to: String, run: usize) -> Message {
    Message { topic, payload, content: Content::Whole(to), sent: run, ..Message::default() }
}

/// Time of the next reading, and whether it is no part of the series. No two readings of a sensor are alike.
fn stamp(rng: &mut Rng, sensor: &mut Sensor, now_ms: i64, has_jumps: bool) -> (i64, bool) {
    let newest = sensor.time;
    let aside = match rng.below(100) {
        _ if sensor.count == 1 => None,
        0..=2 => Some(newest - rng.between(1, 3_000) as i64),
        3 if has_jumps => Some(now_ms + 120_000 + rng.below(100_000) as i64),
        4 if sensor.kind == Kind::Walk => Some(newest),
        _ => None,
    };
    if let Some(time) = aside
        && (time == newest || sensor.times.insert(time))
    {
        return (time, true);
    }
    sensor.time += *rng.pick(&[1, 50, 50, 50, 1_000]);
    sensor.times.insert(sensor.time);
    (sensor.time, false)
}

fn value(rng: &mut Rng, sensor: &mut Sensor, index: usize) -> Value {
    let tick = index as f64 * 1e-6;
    match sensor.kind {
        Kind::Walk => {
            sensor.level += (rng.below(200) as f64 - 100.0) / 100.0;
            Value::Float(sensor.level + tick)
        }
        Kind::Noise => Value::Float(*rng.pick(&[-0.0, 0.1 + 0.2, 20.0, 20.5, 1e300, 21.0, 5e-324])),
        Kind::Whole if sensor.stamped => Value::Int(*rng.pick(&[-1, 0, 7, i64::MAX, i64::MIN, 1 << 53])),
        Kind::Whole => Value::Int(index as i64),
        Kind::State if sensor.stamped => {
            Value::Text((*rng.pick(&["RUN", "STOP", "läuft", "", "state17"])).to_owned())
        }
        Kind::State => Value::Text(format!("state{index}")),
        Kind::Switch => Value::Bool(rng.percent(50)),
        Kind::Gaps if rng.percent(30) => Value::Null,
        Kind::Gaps => Value::Float(20.0 + rng.below(9) as f64 / 2.0),
        Kind::Mixed => match rng.below(5) {
            0 => Value::Null,
            1 => Value::Bool(true),
            2 => Value::Text("idle".to_owned()),
            3 => Value::Int(20),
            _ => Value::Float(20.5),
        },
    }
}

fn object(reading: &Reading, quality: u32, number: u64, named: bool) -> String {
    let mut text = format!("{{\"n\":{number},\"value\":{}", reading.value);
    if named {
        text.push_str(&format!(",\"sensor\":\"{}\"", reading.sensor));
    }
    if !reading.unit.is_empty() {
        text.push_str(&format!(",\"unit\":\"{}\"", reading.unit));
    }
    if let Some(time) = reading.time {
        text.push_str(&format!(",\"ts\":{time}"));
    }
    if quality != 0 {
        text.push_str(&format!(",\"quality\":{quality}"));
    }
    text + "}"
}
