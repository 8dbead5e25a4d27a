#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![cfg(feature = "compact")]
//! Tables for an encoder in use: one that has the sensors of all waiting readings, and no other.

#[path = "support/session.rs"]
mod session;

use edge_codec::compact::Encoder;
use edge_codec::{EncodeError, Limits, Reading, SensorTable, Value};
use session::{Reader, Session};

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

/// Names or another table would need sensors that they may lack: only a table that has all of them replaces another one.
#[test]
fn a_table_without_the_sensor_of_a_waiting_reading_is_refused_and_changes_nothing() {
    for mut encoder in [Encoder::numbered(), Encoder::new(sensors(&[5]))] {
        encoder.push(&reading(5)).unwrap();
        let mut untouched = encoder.clone();
        let refused = Session::names(1, &sensors(&[3])).try_set(&mut encoder);
        assert_eq!((refused, encoder.len()), (Err(EncodeError::UnknownSensor { sensor: 5 }), 1));
        assert_eq!(encoder.finish_under(usize::MAX), untouched.finish_under(usize::MAX));
    }
}

/// A column knows its sensor's position in the table.
#[test]
fn a_table_after_names_and_another_table_are_those_of_the_sensors() {
    let mut encoder = Encoder::new(sensors(&[5, 300]));
    for (version, numbers) in [(0, &[][..]), (1, &[300, 5]), (2, &[300, 7, 1, 5])] {
        let session = Session::names(version, &sensors(numbers));
        let mut reader = Reader::without_table();
        if version > 0 {
            session.set(&mut encoder);
            reader = session.reader();
        }
        encoder.push(&reading(300)).unwrap();
        let batch = encoder.finish_under(usize::MAX).unwrap();
        let mut read = reader.decode(&batch, &Limits::default()).unwrap();
        assert!(read.next().unwrap().unwrap().same(&reading(300)));
        assert_eq!(read.sensors().get(300).unwrap().name, "s300");
    }
}
