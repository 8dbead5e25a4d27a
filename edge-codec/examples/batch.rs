//! Readings become batches of at most 1 000 bytes, and readings again: the same loop for every format.
//!
//! ```text
//! application/json: batches 9
//! application/cbor: batches 2
//! application/vnd.edge.batch;v=1: batches 1
//! line2/temp: 60 doubles from 20.0 to 25.9 Cel
//! line2/state: 60 others
//! ```

use edge_codec::{BatchId, Format, Limits, Reading, SensorTable, SeriesValues, Value};

/// Size of a batch that fits the link, for example an MQTT packet.
const BATCH_BYTES_MAX: usize = 1_000;
const FIRST_ROW: u64 = 100;

/// A poll of two sensors in each second of a minute.
fn minute() -> Vec<Reading<'static>> {
    let poll = |second: i64| {
        let time = 1_580_515_200_000 + 1_000 * second;
        let temp = Value::F64((200 + second) as f64 / 10.0);
        let state = Value::Text(if second < 30 { "heating" } else { "holding" }.into());
        [(1, temp), (2, state)].map(|(sensor, value)| Reading { sensor, time, value, quality: 0 })
    };
    (0..60).flat_map(poll).collect()
}

/// Cuts the readings into batches. The identity numbers them as rows, so that a hub knows what it has already.
fn batches(
    format: Format,
    sensors: &SensorTable<'_>,
    readings: &[Reading<'_>],
) -> Result<Vec<Vec<u8>>, Box<dyn std::error::Error>> {
    let mut encoder = format.encoder(sensors)?;
    encoder.set_id(BatchId { gateway: 0xc0_ffee, lane: 0, epoch: 1, first_seq: FIRST_ROW });
    for reading in readings {
        encoder.push(reading)?;
    }
    let mut all = Vec::new();
    while !encoder.is_empty() {
        all.push(encoder.finish_under(BATCH_BYTES_MAX)?.to_vec());
    }
    Ok(all)
}

/// A reading with its sensor's name: a number belongs to its batch, and JSON has names alone.
fn named(
    reading: Reading<'_>,
    sensors: &SensorTable<'_>,
) -> Result<(String, i64, Value<'static>), &'static str> {
    let sensor = sensors.get(reading.sensor).ok_or("a sensor without a name")?;
    Ok((sensor.name.to_string(), reading.time, reading.value.into_owned()))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut sensors = SensorTable::new();
    sensors.insert(1, "line2/temp", "Cel");
    sensors.insert(2, "line2/state", "");
    let sent = minute();
    let mut compact = Vec::new();
    for format in [Format::Json, Format::Cbor, Format::Compact] {
        let batches = batches(format, &sensors, &sent)?;
        let mut received = Vec::new();
        for bytes in &batches {
            assert!(bytes.len() <= BATCH_BYTES_MAX);
            let batch = format.decode(bytes, &Limits::default())?;
            assert_eq!(batch.next_seq(), Some(FIRST_ROW + received.len() as u64));
            let names = batch.sensors().clone();
            for reading in batch {
                received.push(named(reading?, &names)?);
            }
        }
        let expected: Result<Vec<_>, _> = sent.iter().map(|r| named(r.clone(), &sensors)).collect();
        assert_eq!(received, expected?);
        println!("{}: batches {}", format.content_type(), batches.len());
        compact = batches;
    }
    // A consumer of numbers takes columns, without a row per reading.
    for bytes in &compact {
        let batch = Format::Compact.decode(bytes, &Limits::default())?;
        let names = batch.sensors().clone();
        for series in batch.into_series()? {
            let sensor = names.get(series.sensor).ok_or("a sensor without a name")?;
            match &series.values {
                SeriesValues::F64(values) => {
                    let (first, last) = (values[0], values[values.len() - 1]);
                    println!(
                        "{}: {} doubles from {first:.1} to {last:.1} {}",
                        sensor.name,
                        values.len(),
                        sensor.unit
                    );
                }
                _ => println!("{}: {} others", sensor.name, series.times.len()),
            }
        }
    }
    Ok(())
}
