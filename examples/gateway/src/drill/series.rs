//! What the sensors say: extracts of public, recorded series (`data/README.md`), replayed as messages.
//!
//! `raw` sensors send a JSON text that the gateway must not touch; `filtered` ones send one reading each, which the
//! gateway's deadband may suppress. A series that ends starts again; messages stay unique by number and time.

use serde::Serialize;

use super::record::{Class, Reading};

/// Part of a series' range within which a suppressed reading counts as represented.
const TOLERANCE_OF_RANGE: f64 = 0.02;
/// OPC UA StatusCode `Good` (Part 4, 7.39).
const GOOD: u32 = 0;

/// One sensor: an MQTT client with a topic of its own.
#[derive(Debug, Clone)]
pub(crate) struct Sensor {
    /// Client id and last level of the topic.
    pub(crate) name: String,
    pub(crate) class: Class,
    pub(crate) topic: String,
    /// Largest difference at which a suppressed reading is represented; `None` for `raw`, which must arrive bit by bit.
    pub(crate) tolerance: Option<f64>,
    channels: Vec<Channel>,
    rows: Vec<Vec<f64>>,
}

#[derive(Debug, Clone)]
struct Channel {
    name: String,
    unit: String,
}

/// One message as a sensor publishes it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Message {
    pub(crate) payload: Vec<u8>,
    /// What a `filtered` message says; `None` for `raw`.
    pub(crate) reading: Option<Reading>,
}

/// All sensors of the drill: eight `filtered`, four `raw`.
///
/// # Errors
/// A sentence with file and line when an extract is damaged.
pub(crate) fn sensors() -> Result<Vec<Sensor>, String> {
    const FILTERED: [(&str, &str); 4] = [
        ("machine_temp.csv", include_str!("../../data/machine_temp.csv")),
        ("ambient_temp.csv", include_str!("../../data/ambient_temp.csv")),
        ("occupancy.csv", include_str!("../../data/occupancy.csv")),
        ("weather.csv", include_str!("../../data/weather.csv")),
    ];
    const RAW: [(&str, &str, &str); 4] = [
        ("station", "station.csv", include_str!("../../data/station.csv")),
        ("inverter", "inverter.csv", include_str!("../../data/inverter.csv")),
        ("energy", "energy.csv", include_str!("../../data/energy.csv")),
        ("compressor", "compressor.csv", include_str!("../../data/compressor.csv")),
    ];
    let mut sensors = Vec::new();
    for (file, text) in FILTERED {
        let (channels, rows) = parse(file, text)?;
        for (column, channel) in channels.iter().enumerate() {
            let values: Vec<Vec<f64>> =
                rows.iter().filter_map(|row| row.get(column)).map(|value| vec![*value]).collect();
            sensors.push(Sensor {
                name: channel.name.clone(),
                class: Class::Filtered,
                topic: format!("plant/filtered/{}", channel.name),
                tolerance: Some(tolerance(&values)),
                channels: vec![channel.clone()],
                rows: values,
            });
        }
    }
    for (name, file, text) in RAW {
        let (channels, rows) = parse(file, text)?;
        sensors.push(Sensor {
            name: name.to_owned(),
            class: Class::Raw,
            topic: format!("plant/raw/{name}"),
            tolerance: None,
            channels,
            rows,
        });
    }
    Ok(sensors)
}

impl Sensor {
    /// Message number `seq` of this sensor, published at `time_ms`, which must grow with `seq`.
    pub(crate) fn message(&self, seq: u64, time_ms: i64) -> Message {
        let index = usize::try_from(seq % self.rows.len().max(1) as u64).unwrap_or(0);
        let row = self.rows.get(index).map_or(&[][..], Vec::as_slice);
        match self.class {
            Class::Raw => Message { payload: self.raw_payload(row, seq, time_ms), reading: None },
            Class::Filtered => self.filtered(row.first().copied().unwrap_or(0.0), time_ms),
        }
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

    fn filtered(&self, value: f64, time_ms: i64) -> Message {
        let unit = self.channels.first().map_or("", |channel| channel.unit.as_str());
        let wire = WireReading { sensor: &self.name, value, unit, quality: GOOD, ts: time_ms };
        // A struct of plain fields always serializes; an empty payload would show up as a lost message.
        let payload = serde_json::to_vec(&wire).unwrap_or_default();
        let reading = Reading { sensor: self.name.clone(), event_time: time_ms, value, quality: GOOD };
        Message { payload, reading: Some(reading) }
    }
}

/// The JSON form that `edge-codec` reads by default.
#[derive(Serialize)]
struct WireReading<'a> {
    sensor: &'a str,
    value: f64,
    unit: &'a str,
    quality: u32,
    ts: i64,
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

/// Two percent of the range, to one significant digit: a number that an operator would write into a rule.
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
    fn every_extract_reads_and_the_classes_are_eight_and_four() {
        let sensors = sensors().unwrap();
        assert_eq!(sensors.iter().filter(|s| s.class == Class::Filtered).count(), 8);
        assert_eq!(sensors.iter().filter(|s| s.class == Class::Raw).count(), 4);
        assert!(sensors.iter().all(|s| s.rows.len() == 480));
        assert!(sensors.iter().all(|s| s.tolerance.is_some() == (s.class == Class::Filtered)));
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
                assert_eq!(wire["value"].as_f64().unwrap().to_bits(), reading.value.to_bits());
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
