//! pco, the closest relative: a compressor for columns of numbers, without sensors, names, qualities or kinds.

use edge_codec::{Reading, SensorTable};
use pco::ChunkConfig;
use pco::standalone::{simple_compress, simple_decompress};

use super::number;

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Values by pco, level 12: the smaller of one chunk per sensor and one for all. Times and sensors are those of a
/// compact batch without values, so that only the values differ.
pub(in super::super) fn values_len(
    readings: &[Reading<'_>],
    sensors: &SensorTable<'_>,
) -> Result<usize, String> {
    let config = ChunkConfig::default().with_compression_level(12);
    let len = |values: &[f64]| simple_compress(values, &config).map(|packed| packed.len()).map_err(text);
    let (mut apart, mut all) = (0, Vec::new());
    for sensor in sensors {
        let values: Vec<f64> =
            readings.iter().filter(|r| r.sensor == sensor.id).map(|r| number(&r.value)).collect();
        if !values.is_empty() {
            apart += len(&values)?;
            all.extend(values);
        }
    }
    Ok(apart.min(len(&all)?))
}

/// Times and values of a batch.
pub(in super::super) struct Columns {
    times: Vec<i64>,
    values: Vec<f64>,
}

impl Columns {
    pub(in super::super) fn of(readings: &[Reading<'_>]) -> Self {
        let times = readings.iter().map(|r| r.time).collect();
        Self { times, values: readings.iter().map(|r| number(&r.value)).collect() }
    }

    /// Two chunks of pco's own default level.
    pub(in super::super) fn encode(&self) -> Result<(Vec<u8>, Vec<u8>), String> {
        let config = ChunkConfig::default();
        let times = simple_compress(&self.times, &config).map_err(text)?;
        Ok((times, simple_compress(&self.values, &config).map_err(text)?))
    }
}

pub(in super::super) fn decode((times, values): &(Vec<u8>, Vec<u8>)) -> Result<(Vec<i64>, Vec<f64>), String> {
    Ok((simple_decompress(times).map_err(text)?, simple_decompress(values).map_err(text)?))
}
