//! The real series under `tests/data/sets`.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "test support; each file uses its part")]

use edge_codec::{Reading, SensorTable, Value};
use std::io::Read;
use std::path::PathBuf;

pub const SETS: [&str; 6] =
    ["metropt3", "steel_energy", "nab_counters", "nab_temps", "occupancy", "pv_weather"];

pub struct Set {
    pub name: &'static str,
    pub sensors: SensorTable<'static>,
    pub readings: Vec<Reading<'static>>,
}

impl Set {
    /// The first 30 %, which a table learns from, and the rest.
    pub fn parts(&self) -> (&[Reading<'static>], &[Reading<'static>]) {
        self.readings.split_at(self.readings.len() * 3 / 10)
    }
}

pub fn load(name: &'static str) -> Set {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/sets/{name}.csv.gz"));
    let mut text = String::new();
    let file = std::fs::read(path).unwrap();
    flate2::read::GzDecoder::new(file.as_slice()).read_to_string(&mut text).unwrap();
    let mut lines = text.lines();
    let (mut sensors, mut kinds) = (SensorTable::new(), Vec::new());
    for (id, column) in lines.next().unwrap().split(',').skip(1).enumerate() {
        let parts: Vec<&str> = column.split(':').collect();
        sensors.insert(id as u32, format!("line2/{}", parts[0]), parts[2].to_owned());
        kinds.push(parts[1]);
    }
    let mut readings = Vec::new();
    for line in lines {
        let mut cells = line.split(',');
        let time = cells.next().unwrap().parse().unwrap();
        for (id, cell) in cells.enumerate().filter(|(_, cell)| !cell.is_empty()) {
            let value = match kinds[id] {
                "bool" => Value::Bool(cell == "1"),
                "int" => Value::I64(cell.parse().unwrap()),
                _ => Value::F64(cell.parse().unwrap()),
            };
            readings.push(Reading { sensor: id as u32, time, value, quality: 0 });
        }
    }
    Set { name, sensors, readings }
}
