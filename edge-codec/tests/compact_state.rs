#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![cfg(feature = "compact")]
//! Tables for an encoder in use: one that has the sensors of all waiting readings, and no other.

#[path = "support/session.rs"]
mod session;

use edge_codec::compact::Encoder;
use edge_codec::{EncodeError, Format, Limits, Reading, Sensor, SensorTable, Sensors, Value};
use session::{Reader, Session};
use std::sync::atomic::{AtomicBool, Ordering};

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

/// A registry that loses the sensor 5.
struct Registry {
    has_lost: AtomicBool,
}

impl Sensors for Registry {
    fn sensor(&self, id: u32) -> Option<Sensor<'_>> {
        let is_lost = id == 5 && self.has_lost.load(Ordering::Relaxed);
        (!is_lost).then(|| Sensor { id, name: format!("s{id}").into(), unit: "".into() })
    }
}

/// Its readings wait: a batch without its name would give each later sensor the name of another one, or be unreadable.
#[test]
fn a_sensor_that_is_gone_from_its_registry_is_named_and_nothing_is_lost() {
    for format in [Format::Compact, Format::Cbor, Format::Columns] {
        let registry = Registry { has_lost: false.into() };
        let mut encoder = format.encoder(&registry).unwrap();
        (4..7).for_each(|sensor| encoder.push(&reading(sensor)).unwrap());
        registry.has_lost.store(true, Ordering::Relaxed);
        let refused = encoder.finish_under(usize::MAX);
        assert_eq!(
            (refused, encoder.len()),
            (Err(EncodeError::UnknownSensor { sensor: 5 }), 3),
            "{format:?}"
        );
        registry.has_lost.store(false, Ordering::Relaxed);
        let batch = encoder.finish_under(usize::MAX).unwrap();
        let read = format.decode(&batch, &Limits::default()).unwrap();
        let names: Vec<_> = read.sensors().iter().map(|s| s.name.to_string()).collect();
        assert_eq!(names, ["s4", "s5", "s6"], "{format:?}");
        assert!(read.zip(4..7).all(|(got, sensor)| got.unwrap().same(&reading(sensor))), "{format:?}");
    }
}
