//! Messages of the sensors: extracts of public, recorded series (`data/README.md`), replayed.
//!
//! `raw` sensors send a JSON text that the gateway must not touch, one of them as an alarm; the others send one reading
//! each, which the gateway packs, and of a `filtered` route may suppress. A series that ends starts again; messages stay
//! unique by number and time.

use serde::Serialize;

use super::record::{Class, Reading};

/// Part of a series' range within which a suppressed reading counts as represented.
const TOLERANCE_OF_RANGE: f64 = 0.02;
/// OPC UA StatusCode `Good` (Part 4, 7.39).
const GOOD: u32 = 0;

/// Sensor: an MQTT client with a topic of its own.
#[derive(Debug, Clone)]
pub(crate) struct Sensor {
    /// Client id and last level of the topic.
    pub(crate) name: String,
    pub(crate) class: Class,
    pub(crate) topic: String,
    /// Largest difference at which a suppressed reading is represented; `None` where every message must arrive.
    pub(crate) tolerance: Option<f64>,
    /// Publishes all that it measured in such a time at once, as a logger does; 0: each message when it is due.
    pub(crate) burst_ms: u64,
    says: Says,
    channels: Vec<Channel>,
    rows: Vec<Vec<f64>>,
}

/// The form of a sensor's messages.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Says {
    /// All channels in one text, in a format of the vendor.
    Device,
    /// The number of its one channel.
    Number,
    /// Text `RUN` while the one channel is at least so large, else `STOP`.
    State(f64),
    /// The message's own number, and nothing else.
    Count,
}

#[derive(Debug, Clone)]
struct Channel {
    name: String,
    unit: String,
}

/// Message as a sensor publishes it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Message {
    pub(crate) payload: Vec<u8>,
    /// Content of a message with one reading; `None` for `raw`.
    pub(crate) reading: Option<Reading>,
}

/// A logger's period: at the drill's higher rate well over 128 messages of one sensor in a row.
const BURST_MS: u64 = 10_000;
/// Ampere of the compressor's motor, above which it runs.
const MOTOR_RUNS: f64 = 1.0;

/// All sensors of the drill: eight with filtered readings, four with unfiltered ones, three `raw`, and one that sends alarms.
///
/// # Errors
/// A sentence with file and line when an extract is damaged.
pub(crate) fn sensors() -> Result<Vec<Sensor>, String> {
    const FILTERED: [(&str, &str); 4] = [
        ("machine_temp.csv", include_str!("../data/machine_temp.csv")),
        ("ambient_temp.csv", include_str!("../data/ambient_temp.csv")),
        ("occupancy.csv", include_str!("../data/occupancy.csv")),
        ("weather.csv", include_str!("../data/weather.csv")),
    ];
    const RAW: [(&str, &str, &str); 3] = [
        ("station", "station.csv", include_str!("../data/station.csv")),
        ("inverter", "inverter.csv", include_str!("../data/inverter.csv")),
        ("energy", "energy.csv", include_str!("../data/energy.csv")),
    ];
    let mut sensors = Vec::new();
    for (file, text) in FILTERED {
        sensors.extend(one_per_channel(file, text, "plant/filtered")?);
    }
    for sensor in &mut sensors {
        sensor.tolerance = Some(tolerance(&sensor.rows));
    }
    for (name, file, text) in RAW {
        sensors.push(device(&format!("plant/raw/{name}"), parse(file, text)?));
    }
    let (file, text) = ("compressor.csv", include_str!("../data/compressor.csv"));
    sensors.push(device("plant/alarm/compressor", parse(file, text)?));
    sensors.extend(one_per_channel(file, text, "plant/readings")?);
    for sensor in &mut sensors {
        match sensor.name.as_str() {
            "motor_current" => {
                "compressor_state".clone_into(&mut sensor.name);
                "plant/readings/compressor_state".clone_into(&mut sensor.topic);
                sensor.says = Says::State(MOTOR_RUNS);
            }
            // One of each kind on the lane that raw messages and readings share.
            "station" | "tp3" => sensor.burst_ms = BURST_MS,
            _ => {}
        }
    }
    Ok(sensors)
}

/// A sensor for each column of an extract.
fn one_per_channel(file: &str, text: &str, topic: &str) -> Result<Vec<Sensor>, String> {
    let (channels, rows) = parse(file, text)?;
    let sensor = |(column, channel): (usize, &Channel)| Sensor {
        name: channel.name.clone(),
        class: Class::Filtered,
        topic: format!("{topic}/{}", channel.name),
        tolerance: None,
        burst_ms: 0,
        says: Says::Number,
        channels: vec![channel.clone()],
        rows: rows.iter().filter_map(|row| row.get(column)).map(|value| vec![*value]).collect(),
    };
    Ok(channels.iter().enumerate().map(sensor).collect())
}

/// Makes a sensor that sends all columns of an extract.
fn device(topic: &str, (channels, rows): (Vec<Channel>, Vec<Vec<f64>>)) -> Sensor {
    Sensor {
        name: topic.rsplit('/').next().unwrap_or_default().to_owned(),
        class: Class::Raw,
        topic: topic.to_owned(),
        tolerance: None,
        burst_ms: 0,
        says: Says::Device,
        channels,
        rows,
    }
}

impl Sensor {
    /// The same sensor before a gateway that knows nothing of its readings: every message must arrive. `counts`: it sends plain numbers, none twice.
    pub(crate) fn without_reading(mut self, counts: bool) -> Self {
        self.class = Class::Raw;
        self.tolerance = None;
        if counts {
            self.says = Says::Count;
        }
        self
    }

    /// Message number `seq` of this sensor, published at `time_ms`, which must grow with `seq`.
    pub(crate) fn message(&self, seq: u64, time_ms: i64) -> Message {
        let index = usize::try_from(seq % self.rows.len().max(1) as u64).unwrap_or(0);
        let row = self.rows.get(index).map_or(&[][..], Vec::as_slice);
        let number = row.first().copied().unwrap_or(0.0);
        match self.says {
            Says::Device => Message { payload: self.raw_payload(row, seq, time_ms), reading: None },
            Says::Count => Message { payload: seq.to_string().into_bytes(), reading: None },
            Says::Number => self.reading(number, None, time_ms),
            Says::State(from) => {
                self.reading(f64::NAN, Some(if number >= from { "RUN" } else { "STOP" }), time_ms)
            }
        }
    }

    /// Returns when a message that is due is published. A logger keeps what it measures for its period, and publishes the last before the story ends.
    pub(crate) fn published_at_ms(&self, due_ms: u64, end_ms: u64) -> u64 {
        match self.burst_ms {
            0 => due_ms,
            period_ms => ((due_ms / period_ms + 1) * period_ms).min(end_ms),
        }
    }

    /// Returns whether each of its readings has to be at the hub itself.
    pub(crate) fn is_unfiltered(&self) -> bool {
        self.class == Class::Filtered && self.tolerance.is_none()
    }

    /// The text a device of another vendor would send: nothing in it is known to the gateway.
    fn raw_payload(&self, row: &[f64], seq: u64, time_ms: i64) -> Vec<u8> {
        let values: serde_json::Map<String, serde_json::Value> = self
            .channels
            .iter()
            .zip(row)
            .map(|(channel, value)| (channel.name.clone(), (*value).into()))
            .collect();
        serde_json::json!({ "device": self.name, "seq": seq, "sent": time_ms, "values": values })
            .to_string()
            .into_bytes()
    }

    fn reading(&self, number: f64, text: Option<&'static str>, time_ms: i64) -> Message {
        let unit = self.channels.first().map_or("", |channel| channel.unit.as_str());
        let value = text.map_or(WireValue::Number(number), WireValue::Text);
        let wire = WireReading { sensor: &self.name, value, unit, quality: GOOD, ts: time_ms };
        // A struct of plain fields always serializes; an empty payload would show up as a lost message.
        let payload = serde_json::to_vec(&wire).unwrap_or_default();
        let reading = Reading {
            sensor: self.name.clone(),
            event_time: time_ms,
            value: number,
            text: text.map(str::to_owned),
            quality: GOOD,
        };
        Message { payload, reading: Some(reading) }
    }
}

/// The JSON form that `edge-codec` reads by default.
#[derive(Serialize)]
struct WireReading<'a> {
    sensor: &'a str,
    value: WireValue,
    unit: &'a str,
    quality: u32,
    ts: i64,
}

#[derive(Serialize)]
#[serde(untagged)]
enum WireValue {
    Number(f64),
    Text(&'static str),
}

fn parse(file: &str, text: &str) -> Result<(Vec<Channel>, Vec<Vec<f64>>), String> {
    let mut lines = text.lines();
    let head = lines.next().ok_or_else(|| format!("{file}: empty"))?;
    let channels: Vec<Channel> = head
        .split(',')
        .skip(1)
        .map(|column| {
            let (name, unit) = column.split_once(':').unwrap_or((column, ""));
            Channel { name: name.to_owned(), unit: unit.to_owned() }
        })
        .collect();
    let mut rows = Vec::new();
    for (index, line) in lines.enumerate() {
        let row: Result<Vec<f64>, _> = line.split(',').skip(1).map(str::parse).collect();
        match row {
            Ok(row) if row.len() == channels.len() && row.iter().all(|v| v.is_finite()) => rows.push(row),
            _ => return Err(format!("{file}:{}: expected {} finite numbers", index + 2, channels.len())),
        }
    }
    if rows.is_empty() { Err(format!("{file}: no rows")) } else { Ok((channels, rows)) }
}

/// Returns two percent of the range, to one significant digit: a number that an operator would write into a rule.
fn tolerance(rows: &[Vec<f64>]) -> f64 {
    let values = || rows.iter().flatten().copied();
    let range = values().fold(f64::MIN, f64::max) - values().fold(f64::MAX, f64::min);
    let wanted = range * TOLERANCE_OF_RANGE;
    if wanted <= 0.0 {
        return 0.0;
    }
    format!("{wanted:.0e}").parse().unwrap_or(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_extract_reads_and_every_route_of_the_shipped_configuration_has_sensors() {
        let sensors = sensors().unwrap();
        let of = |topic: &str| sensors.iter().filter(|s| s.topic.starts_with(topic)).count();
        assert_eq!(
            ["plant/filtered/", "plant/readings/", "plant/raw/", "plant/alarm/"].map(of),
            [8, 4, 3, 1]
        );
        assert_eq!(sensors.iter().filter(|s| s.is_unfiltered()).count(), 4);
        assert_eq!(sensors.iter().filter(|s| s.tolerance.is_some()).count(), 8);
        assert!(sensors.iter().all(|s| s.rows.len() == 480));
        let mut names: Vec<_> = sensors.iter().map(|s| &s.name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 16, "a client identifier is one sensor's");
    }

    #[test]
    fn the_state_is_both_texts_and_both_kinds_of_messages_come_in_bursts() {
        let sensors = sensors().unwrap();
        let state = sensors.iter().find(|s| s.name == "compressor_state").unwrap();
        let texts: Vec<_> = (0..480).map(|n| state.message(n, 1).reading.unwrap().text.unwrap()).collect();
        assert!(["RUN", "STOP"].iter().all(|text| texts.iter().any(|t| t == text)), "{texts:?}");
        let bursts: Vec<_> = sensors.iter().filter(|s| s.burst_ms > 0).map(|s| s.class).collect();
        assert_eq!(bursts, [Class::Raw, Class::Filtered]);
    }

    #[test]
    fn the_tolerance_is_two_percent_of_the_range_to_one_digit() {
        assert_eq!(tolerance(&[vec![0.0], vec![100.0]]), 2.0);
        assert_eq!(tolerance(&[vec![20.5], vec![21.89]]), 0.03);
        assert_eq!(tolerance(&[vec![5.0], vec![5.0]]), 0.0);
    }

    #[test]
    fn payloads_are_unique_although_the_series_starts_again() {
        for sensor in sensors().unwrap() {
            let mut payloads: Vec<_> =
                (0..2000).map(|n| sensor.message(n, 1_000 + n as i64).payload).collect();
            payloads.sort();
            payloads.dedup();
            assert_eq!(payloads.len(), 2000, "{}", sensor.name);
        }
    }

    #[test]
    fn a_filtered_payload_says_bit_exactly_what_is_recorded() {
        for sensor in sensors().unwrap().iter().filter(|s| s.class == Class::Filtered) {
            for n in 0..480 {
                let message = sensor.message(n, 42 + n as i64);
                let wire: serde_json::Value = serde_json::from_slice(&message.payload).unwrap();
                let reading = message.reading.unwrap();
                match &reading.text {
                    Some(text) => assert_eq!(wire["value"], text.as_str()),
                    None => assert_eq!(wire["value"].as_f64().unwrap().to_bits(), reading.value.to_bits()),
                }
                assert_eq!(wire["ts"].as_i64().unwrap(), reading.event_time);
                assert_eq!(wire["sensor"], reading.sensor);
            }
        }
    }

    #[test]
    fn a_damaged_extract_is_named_with_its_line() {
        assert_eq!(parse("x.csv", "ts_ms,a:m\n1,2\n2,x").unwrap_err(), "x.csv:3: expected 1 finite numbers");
        assert_eq!(parse("x.csv", "").unwrap_err(), "x.csv: empty");
        assert_eq!(parse("x.csv", "ts_ms,a:m").unwrap_err(), "x.csv: no rows");
        assert!(parse("x.csv", "ts_ms,a:m\n1,NaN").is_err());
    }
}
