//! `codec.bytes.*`: bytes per reading of the standard formats on real series, readings of all sensors interleaved in
//! time as a gateway sees them.

use edge_codec::{Limits, Reading, SensorTable, Value, cbor, json, protobuf};

use crate::measure::{Figure, geomean};

/// Real recorded series (origin and licence: examples/gateway/data/README.md).
const SETS: [(&str, &str); 3] = [
    ("compressor", include_str!("../../examples/gateway/data/compressor.csv")),
    ("energy", include_str!("../../examples/gateway/data/energy.csv")),
    ("weather", include_str!("../../examples/gateway/data/weather.csv")),
];
const BATCHES: [usize; 4] = [1, 10, 100, 1_000];
const FORMATS: [&str; 3] = ["json", "cbor", "protobuf"];

struct Series {
    name: &'static str,
    sensors: SensorTable<'static>,
    readings: Vec<Reading<'static>>,
}

pub(crate) fn list() -> Vec<String> {
    let mut names = Vec::new();
    for format in FORMATS {
        for batch in BATCHES {
            for set in SETS.iter().map(|(name, _)| *name).chain(["geomean"]) {
                names.push(format!("codec.bytes.{format}.b{batch}.{set}"));
            }
        }
    }
    names
}

pub(crate) fn run() -> Result<(), String> {
    let series = SETS.iter().map(|(name, text)| parse(name, text)).collect::<Result<Vec<_>, _>>()?;
    for batch in BATCHES {
        let json_sizes = sizes("json", batch, &series)?;
        for format in FORMATS {
            let ours = sizes(format, batch, &series)?;
            let figure = |set: &str, value: f64, json: f64| Figure {
                figure: format!("codec.bytes.{format}.b{batch}.{set}"),
                value,
                unit: "B/reading",
                baseline: "json".to_owned(),
                ratio: Some(value / json),
                runs: 1,
            };
            for ((series, value), json) in series.iter().zip(&ours).zip(&json_sizes) {
                figure(series.name, *value, *json).print();
            }
            figure("geomean", geomean(&ours), geomean(&json_sizes)).print();
        }
    }
    Ok(())
}

fn sizes(format: &str, batch: usize, series: &[Series]) -> Result<Vec<f64>, String> {
    series.iter().map(|series| bytes_per_reading(format, batch, series)).collect()
}

/// Encodes all full batches, decodes them again, and divides.
fn bytes_per_reading(format: &str, batch: usize, series: &Series) -> Result<f64, String> {
    let (mut bytes, mut readings) = (0usize, 0usize);
    for rows in series.readings.chunks(batch) {
        let encoded = encode(format, rows, &series.sensors).map_err(|error| error.to_string())?;
        bytes += encoded.len();
        readings += rows.len();
        let limits = Limits::default();
        let decoded = match format {
            "json" => json::decode(&encoded, &limits),
            "cbor" => cbor::decode(&encoded, &limits),
            _ => protobuf::decode(&encoded, &limits),
        };
        let decoded = decoded.map_err(|error| error.to_string())?;
        // JSON names sensors instead of numbering them, so names are compared, not numbers.
        let names = decoded.sensors().clone();
        let same = decoded.zip(rows).all(|(a, b)| {
            a.is_ok_and(|a| {
                let name = names.get(a.sensor).map(|sensor| &sensor.name);
                let original = series.sensors.get(b.sensor).map(|sensor| &sensor.name);
                name == original && (a.time, a.quality) == (b.time, b.quality) && a.value.same(&b.value)
            })
        });
        if !same {
            return Err(format!("{format}: a batch of {} did not come back bit for bit", series.name));
        }
    }
    Ok(bytes as f64 / readings.max(1) as f64)
}

fn encode(
    format: &str,
    rows: &[Reading<'_>],
    sensors: &SensorTable<'_>,
) -> Result<bytes::Bytes, edge_codec::EncodeError> {
    macro_rules! with {
        ($encoder:expr) => {{
            let mut encoder = $encoder;
            for row in rows {
                encoder.push(row)?;
            }
            encoder.finish_under(usize::MAX)
        }};
    }
    match format {
        "json" => with!(json::Encoder::new(sensors)),
        "cbor" => with!(cbor::Encoder::new(sensors)),
        _ => with!(protobuf::Encoder::new(sensors)),
    }
}

/// Wide CSV: `ts_ms,<name>:<kind>:<unit>,…`; an empty cell is no reading.
fn parse(name: &'static str, text: &'static str) -> Result<Series, String> {
    let mut lines = text.lines();
    let header = lines.next().ok_or("empty file")?;
    let mut sensors = SensorTable::new();
    let mut kinds = Vec::new();
    for (id, column) in header.split(',').skip(1).enumerate() {
        let mut parts = column.split(':');
        let (sensor, kind, unit) = (parts.next(), parts.next(), parts.next());
        let id = u32::try_from(id).map_err(|_| "too many columns")?;
        sensors.insert(id, format!("line2/{}", sensor.unwrap_or("?")), unit.unwrap_or(""));
        kinds.push(kind.unwrap_or("f64"));
    }
    let mut readings = Vec::new();
    for (number, line) in lines.enumerate() {
        let mut cells = line.split(',');
        let place = || format!("{name}, row {}", number + 2);
        let time = cells.next().and_then(|cell| cell.parse().ok()).ok_or_else(place)?;
        for ((id, cell), kind) in (0u32..).zip(cells).zip(&kinds) {
            if cell.is_empty() {
                continue;
            }
            let value = match *kind {
                "bool" => Value::Bool(cell == "1" || cell == "true"),
                "int" => Value::I64(cell.parse().map_err(|_| place())?),
                _ => Value::F64(cell.parse().map_err(|_| place())?),
            };
            readings.push(Reading { sensor: id, time, value, quality: 0 });
        }
    }
    Ok(Series { name, sensors, readings })
}
