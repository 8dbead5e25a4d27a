//! Real series, and what a batch of them is.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use edge_codec::compact::Table;
use edge_codec::{BatchId, Reading, SensorTable, Value};

/// Origin and licence: edge-codec/tests/data/sets/README.md.
pub(super) const SETS: [&str; 6] =
    ["metropt3", "steel_energy", "nab_counters", "nab_temps", "occupancy", "pv_weather"];
pub(super) const BATCHES: [usize; 4] = [1, 10, 100, 1_000];
/// Batches a day, one each 10 s: what a session table's bytes are spread over.
pub(super) const BATCHES_PER_DAY: f64 = 8_640.0;

/// Numbers as long as those of a gateway that has run for a while.
pub(super) const IDENTITY: BatchId =
    BatchId { gateway: 0x0123_4567_89ab_cdef, lane: 1, epoch: 3, first_seq: 100_000 };

pub(super) struct Set {
    pub(super) name: &'static str,
    pub(super) sensors: SensorTable<'static>,
    readings: Vec<Reading<'static>>,
    /// Learned from the first 30 %.
    pub(super) table: Arc<Table>,
}

impl Set {
    /// Consecutive readings of all sensors, from what the table was not learned from.
    pub(super) fn batches(&self, size: usize) -> Vec<&[Reading<'static>]> {
        let most = match size {
            1 => 1_500,
            10 => 600,
            100 => 250,
            _ => 70,
        };
        let rest = self.readings.get(self.readings.len() * 3 / 10..).unwrap_or_default();
        let step = (rest.len() / size).div_ceil(most).max(1);
        rest.chunks_exact(size).step_by(step).collect()
    }

    /// Batches of one sensor.
    pub(super) fn series(&self, sensor: u32, size: usize) -> Vec<Vec<Reading<'static>>> {
        let rest = self.readings.get(self.readings.len() * 3 / 10..).unwrap_or_default();
        let of: Vec<_> = rest.iter().filter(|r| r.sensor == sensor).cloned().collect();
        let size = size.min(of.len()).max(1);
        of.chunks_exact(size).take(10).map(<[_]>::to_vec).collect()
    }
}

/// The directory's sets; by default those in the repository.
pub(super) fn load(dir: Option<&str>) -> Result<Vec<Set>, String> {
    let own = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../edge-codec/tests/data/sets");
    let dir = dir.map_or_else(own, PathBuf::from);
    SETS.iter().map(|name| read(name, &dir.join(format!("{name}.csv.gz")))).collect()
}

fn read(name: &'static str, path: &Path) -> Result<Set, String> {
    let file = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut text = String::new();
    let read = flate2::read::GzDecoder::new(file.as_slice()).read_to_string(&mut text);
    read.map_err(|error| format!("{}: {error}", path.display()))?;
    parse(name, &text)
}

/// Wide CSV: `ts_ms,<name>:<kind>:<unit>,…`; an empty cell is no reading.
fn parse(name: &'static str, text: &str) -> Result<Set, String> {
    let mut lines = text.lines();
    let header = lines.next().ok_or("empty file")?;
    let mut sensors = SensorTable::new();
    let mut kinds = Vec::new();
    for (id, column) in (0..).zip(header.split(',').skip(1)) {
        let mut parts = column.split(':');
        let (sensor, kind, unit) = (parts.next(), parts.next(), parts.next());
        sensors.insert(id, format!("line2/{}", sensor.unwrap_or("?")), unit.unwrap_or("").to_owned());
        kinds.push(kind.unwrap_or("f64"));
    }
    let mut readings = Vec::new();
    for (number, line) in lines.enumerate() {
        let mut cells = line.split(',');
        let place = || format!("{name}, row {}", number + 2);
        let time = cells.next().and_then(|cell| cell.parse().ok()).ok_or_else(place)?;
        for ((sensor, cell), kind) in (0..).zip(cells).zip(&kinds) {
            let value = match *kind {
                _ if cell.is_empty() => continue,
                "bool" => Value::Bool(cell == "1" || cell == "true"),
                "int" => Value::I64(cell.parse().map_err(|_| place())?),
                _ => Value::F64(cell.parse().map_err(|_| place())?),
            };
            readings.push(Reading { sensor, time, value, quality: 0 });
        }
    }
    let sample = readings.get(..readings.len() * 3 / 10).unwrap_or_default();
    let table = Arc::new(Table::learn(1, &sensors, sample));
    Ok(Set { name, sensors, readings, table })
}
