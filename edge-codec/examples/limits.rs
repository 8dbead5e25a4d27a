//! Foreign bytes are held to limits: a batch is refused as a whole, with the byte, the limit and the number found.
//!
//! ```text
//! taken: 3 readings
//! Json: readings at byte 121: 4 is over the limit of 3
//! Json: sensors at byte 85: 3 is over the limit of 2
//! Cbor: text bytes at byte 16: 33 is over the limit of 32
//! Protobuf: input bytes at byte 400: 2950 is over the limit of 400
//! Json: depth at byte 25: 5 is over the limit of 4
//! Cbor: input ends at byte 49, within an item that needs 1 more
//! ```

use edge_codec::{DecodeError, Format, Limits, Reading, SensorTable, Value};

/// Limits of a hub that expects small batches: what is above is somebody's mistake or an attack.
fn expected() -> Limits {
    Limits::default().bytes(400).readings(3).sensors(2).text_bytes(32).depth(4)
}

/// Writes readings of `sensors` sensors in turn.
fn batch(
    format: Format,
    readings: u32,
    sensors: u32,
    text: &str,
) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let mut table = SensorTable::new();
    (0..sensors).for_each(|n| drop(table.insert(n, format!("s{n}"), "")));
    let mut encoder = format.encoder(&table)?;
    for n in 0..readings {
        let value = Value::Text(text.into());
        encoder.push(&Reading { sensor: n % sensors, time: i64::from(n), value, quality: 0 })?;
    }
    Ok(encoder.finish_under(usize::MAX)?.to_vec())
}

/// Reads a batch to its end, and says how many readings it had or why it was refused.
fn read(format: Format, bytes: &[u8]) -> Result<usize, DecodeError> {
    let mut readings = 0;
    for reading in format.decode(bytes, &expected())? {
        reading?;
        readings += 1;
    }
    Ok(readings)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let json = Format::Json;
    println!("taken: {} readings", read(json, &batch(json, 3, 2, "on")?)?);
    let deep = format!(r#"{{"readings":[],"note":{}{}}}"#, "[".repeat(50), "]".repeat(50)).into_bytes();
    let cut = batch(Format::Cbor, 3, 2, "on")?;
    let cut = &cut[..cut.len() - 1];
    let refused: [(Format, &[u8]); 6] = [
        (json, &batch(json, 4, 2, "on")?),
        (json, &batch(json, 3, 3, "on")?),
        (Format::Cbor, &batch(Format::Cbor, 1, 1, &"x".repeat(33))?),
        (Format::Protobuf, &batch(Format::Protobuf, 300, 2, "on")?),
        (json, &deep),
        (Format::Cbor, cut),
    ];
    for (format, bytes) in refused {
        match read(format, bytes) {
            Err(error) => println!("{format:?}: {error}"),
            Ok(readings) => return Err(format!("{readings} readings were taken").into()),
        }
    }
    Ok(())
}
