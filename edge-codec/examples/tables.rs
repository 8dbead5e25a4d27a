//! A session table is announced once; batches then refer to it instead of carrying names and plans.
//!
//! ```text
//! names in the batch: 33 bytes
//! against the table: 16 bytes
//! unread: the batch needs the session table 7f7e9a71923f6d5e, none was given
//! read: 10 readings, the first of line2/temp
//! ```

use edge_codec::compact::{self, Encoder, Table};
use edge_codec::{DecodeError, Limits, Reading, SensorTable, Value};
use std::collections::HashMap;
use std::sync::Arc;

fn readings(seconds: std::ops::Range<i64>) -> Vec<Reading<'static>> {
    let value = |second: i64| Value::F64((200 + second % 17) as f64 / 10.0);
    seconds.map(|s| Reading { sensor: 1, time: 1_000 * s, value: value(s), quality: 0 }).collect()
}

/// Hub's side: every table that was announced, by its id. Batches that waited may refer to an older one.
#[derive(Default)]
struct Hub {
    tables: HashMap<u64, Table>,
}

impl Hub {
    fn announced(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        let table = Table::decode(bytes, &Limits::default())?;
        self.tables.insert(table.id(), table);
        Ok(())
    }

    /// Sensor's name and value of each reading. A batch whose table is missing is an error that names it: keep the batch
    /// until the table comes.
    fn read(&self, bytes: &[u8]) -> Result<Vec<(String, Value<'static>)>, DecodeError> {
        let limits = Limits::default();
        let wanted = compact::table_wanted(bytes, &limits)?;
        let batch = match wanted.and_then(|id| self.tables.get(&id)) {
            Some(table) => table.decode_batch(bytes, &limits)?,
            None => compact::decode(bytes, &limits)?,
        };
        let names = batch.sensors().clone();
        let name = |sensor| names.get(sensor).map_or_else(String::new, |s| s.name.to_string());
        batch.map(|r| r.map(|r| (name(r.sensor), r.value.into_owned()))).collect()
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut sensors = SensorTable::new();
    sensors.insert(1, "line2/temp", "Cel");
    let later = readings(600..610);

    let mut inline = Encoder::new(&sensors);
    for reading in &later {
        inline.push(reading)?;
    }
    let named = inline.finish_under(1_000)?;
    println!("names in the batch: {} bytes", named.len());

    // The first ten minutes teach the table. Its version is the gateway's count.
    let table = Arc::new(Table::learn(1, &sensors, &readings(0..600)));
    let mut encoder = Encoder::with_table(table.clone());
    for reading in &later {
        encoder.push(reading)?;
    }
    let batch = encoder.finish_under(1_000)?;
    println!("against the table: {} bytes", batch.len());
    assert!(batch.len() < named.len());

    let mut hub = Hub::default();
    match hub.read(&batch) {
        Err(error @ DecodeError::Table { wanted, given: None }) if wanted == table.id() => {
            println!("unread: {error}");
        }
        other => return Err(format!("a batch without its table gave {other:?}").into()),
    }
    hub.announced(table.bytes())?; // on a retained topic
    let read = hub.read(&batch)?;
    assert!(read.iter().zip(&later).all(|((_, value), sent)| value.same(&sent.value)));
    println!("read: {} readings, the first of {}", read.len(), read[0].0);
    Ok(())
}
