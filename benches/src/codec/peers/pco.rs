//! pco, the closest relative: a compressor for columns of numbers, without sensors, names, qualities or kinds. Integers and
//! booleans are given to it as integers.

use edge_codec::{Reading, SensorTable, Value};
use pco::ChunkConfig;
use pco::standalone::{simple_compress, simple_decompress};

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Numbers of one kind, in two columns of which most batches fill one.
#[derive(Default)]
struct Numbers {
    integers: Vec<i64>,
    floats: Vec<f64>,
}

impl Numbers {
    fn of<'a>(readings: impl Iterator<Item = &'a Reading<'a>>) -> Self {
        let mut numbers = Self::default();
        for reading in readings {
            match &reading.value {
                Value::Bool(v) => numbers.integers.push(i64::from(*v)),
                Value::I64(v) => numbers.integers.push(*v),
                value => numbers.floats.push(super::number(value)),
            }
        }
        numbers
    }

    fn len(&self, config: &ChunkConfig) -> Result<usize, String> {
        let mut bytes = 0;
        if !self.integers.is_empty() {
            bytes += simple_compress(&self.integers, config).map_err(text)?.len();
        }
        if !self.floats.is_empty() {
            bytes += simple_compress(&self.floats, config).map_err(text)?.len();
        }
        Ok(bytes)
    }
}

/// Values by pco, level 12: the smaller of one chunk per sensor and one per kind of number. Times and sensors are those of a
/// compact batch without values, so that only the values differ.
pub(in super::super) fn values_len(
    readings: &[Reading<'_>],
    sensors: &SensorTable<'_>,
) -> Result<usize, String> {
    let config = ChunkConfig::default().with_compression_level(12);
    let mut apart = 0;
    for sensor in sensors {
        apart += Numbers::of(readings.iter().filter(|r| r.sensor == sensor.id)).len(&config)?;
    }
    Ok(apart.min(Numbers::of(readings.iter()).len(&config)?))
}

/// Times and values of a batch.
pub(in super::super) struct Columns {
    times: Vec<i64>,
    values: Numbers,
}

/// A chunk of times, one of integers and one of floats; no values, no chunk.
pub(in super::super) type Chunks = [Vec<u8>; 3];

impl Columns {
    pub(in super::super) fn of(readings: &[Reading<'_>]) -> Self {
        Self { times: readings.iter().map(|r| r.time).collect(), values: Numbers::of(readings.iter()) }
    }

    /// Chunks of pco's own default level.
    pub(in super::super) fn encode(&self) -> Result<Chunks, String> {
        let config = ChunkConfig::default();
        let mut chunks = Chunks::default();
        let [times, integers, floats] = &mut chunks;
        *times = simple_compress(&self.times, &config).map_err(text)?;
        if !self.values.integers.is_empty() {
            *integers = simple_compress(&self.values.integers, &config).map_err(text)?;
        }
        if !self.values.floats.is_empty() {
            *floats = simple_compress(&self.values.floats, &config).map_err(text)?;
        }
        Ok(chunks)
    }
}

pub(in super::super) fn decode([times, integers, floats]: &Chunks) -> Result<Columns, String> {
    let times = simple_decompress::<i64>(times).map_err(text)?;
    let mut values = Numbers::default();
    if !integers.is_empty() {
        values.integers = simple_decompress(integers).map_err(text)?;
    }
    if !floats.is_empty() {
        values.floats = simple_decompress(floats).map_err(text)?;
    }
    Ok(Columns { times, values })
}
