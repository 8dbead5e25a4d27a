#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![cfg(feature = "compact")]
//! What may be told an encoder while readings wait, and what may not.

#[path = "support/session.rs"]
mod session;

use edge_codec::compact::{self, Encoder, Level};
use edge_codec::{EncodeError, Limits, Reading, SensorTable, Value};
use session::Session;

fn sensors(numbers: &[u32]) -> SensorTable<'static> {
    let mut sensors = SensorTable::new();
    numbers.iter().for_each(|n| {
        sensors.insert(*n, format!("s{n}"), "K");
    });
    sensors
}

fn reading(sensor: u32) -> Reading<'static> {
    Reading { sensor, time: 0, value: Value::I64(1), quality: 0 }
}

#[test]
fn a_table_or_names_for_an_encoder_with_readings_are_an_error() {
    let session = Session::names(1, &sensors(&[3]));
    let waiting = || {
        let mut encoder = Encoder::new(Level::Fast);
        encoder.push(&reading(5)).unwrap();
        encoder
    };
    let refused = Err(EncodeError::NotEmpty { waiting: 1 });
    assert_eq!(session.refer(waiting()).finish_under(usize::MAX), refused);
    assert_eq!(waiting().sensors(sensors(&[3])).finish_under(usize::MAX), refused);
    let mut twice = waiting().sensors(sensors(&[3]));
    assert_eq!((twice.finish_under(usize::MAX), twice.len()), (refused, 1));
}

/// A column knows its sensor's position in the table.
#[test]
fn names_after_a_table_are_those_of_the_sensors() {
    let names = sensors(&[300, 5]);
    let mut encoder = Session::names(1, &names).encoder(Level::Fast);
    encoder.push(&reading(300)).unwrap();
    encoder.finish_under(usize::MAX).unwrap();
    let mut encoder = encoder.sensors(&names);
    encoder.push(&reading(300)).unwrap();
    let batch = encoder.finish_under(usize::MAX).unwrap();
    let mut read = compact::decode(&batch, &Limits::default()).unwrap();
    assert!(read.next().unwrap().unwrap().same(&reading(300)));
    assert_eq!(read.sensors().get(300).unwrap().name, "s300");
}
