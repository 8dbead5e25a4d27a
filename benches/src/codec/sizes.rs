//! `codec.bytes.*`.

use std::io::Write;

use bytes::Bytes;
use edge_codec::compact::{self, Level};
use edge_codec::{Batch, BatchEncoder, BatchId, Codec, DecodeError, Limits, Reading, Value, sparkplug};

use super::sets::{BATCHES, BATCHES_PER_DAY, IDENTITY, Set};
use super::{peers, series};
use crate::measure::{Figure, geomean};

/// A format: how many bytes a set's batches take together.
pub(super) struct Format {
    pub(super) name: &'static str,
    bytes: fn(&Set, &[&[Reading<'static>]]) -> Result<usize, String>,
}

/// The first is what the others are compared with.
pub(super) const FORMATS: [Format; 20] = [
    Format { name: "json", bytes: |set, batches| standard(set, batches, Codec::Json, None) },
    Format { name: "json_zstd3", bytes: json_zstd3 },
    Format { name: "ciborium", bytes: ciborium },
    Format { name: "minicbor", bytes: minicbor },
    Format { name: "prost_rows", bytes: prost_rows },
    Format { name: "prost_columns", bytes: prost_columns },
    Format { name: "cbor", bytes: |set, batches| standard(set, batches, Codec::Cbor, None) },
    Format { name: "protobuf", bytes: |set, batches| standard(set, batches, Codec::Protobuf, None) },
    Format { name: "columns", bytes: |set, batches| standard(set, batches, Codec::Columns, None) },
    Format { name: "sparkplug_gzip6", bytes: sparkplug_gzip6 },
    Format { name: "pco", bytes: pco },
    Format { name: "json.id", bytes: |set, batches| standard(set, batches, Codec::Json, Some(IDENTITY)) },
    Format { name: "cbor.id", bytes: |set, batches| standard(set, batches, Codec::Cbor, Some(IDENTITY)) },
    Format {
        name: "protobuf.id",
        bytes: |set, batches| standard(set, batches, Codec::Protobuf, Some(IDENTITY)),
    },
    Format { name: "compact.fast.table.id", bytes: with_table_and_id },
    Format { name: "compact.fast.self.id", bytes: with_names_and_id },
    Format { name: "compact.fast.table", bytes: |set, batches| with_table(set, batches, Level::Fast) },
    Format { name: "compact.small.table", bytes: |set, batches| with_table(set, batches, Level::Small) },
    Format { name: "compact.fast.self", bytes: |set, batches| with_names(set, batches, Level::Fast) },
    Format { name: "compact.small.self", bytes: |set, batches| with_names(set, batches, Level::Small) },
];

pub(super) fn run(sets: &[Set]) -> Result<(), String> {
    for size in BATCHES {
        let mut json: Vec<f64> = Vec::new();
        for format in &FORMATS {
            let mut values = Vec::new();
            for set in sets {
                let batches = set.batches(size);
                values.push((format.bytes)(set, &batches)? as f64 / (batches.len() * size).max(1) as f64);
            }
            if json.is_empty() {
                json.clone_from(&values);
            }
            print(&format!("codec.bytes.{}.b{size}", format.name), sets, &values, "json", &json);
        }
    }
    series::run(sets)?;
    identity(sets)
}

/// Cost of an identity in a batch whose rows have no hole: gateway, lane, epoch and first sequence number.
fn identity(sets: &[Set]) -> Result<(), String> {
    for size in [1, 1_000] {
        let mut values = Vec::new();
        for set in sets {
            let encoder = compact::Encoder::with_table(set.table.clone());
            let batches = set.batches(size);
            let (mut bare, mut named) = (encoder.clone(), encoder.id(IDENTITY));
            let (mut less, mut more) = (0, 0);
            for rows in &batches {
                less += encoded(&mut bare, rows)?.len();
                more += encoded(&mut named, rows)?.len();
            }
            values.push((more - less) as f64 / batches.len().max(1) as f64);
        }
        let figure = |set: &str, value: f64| Figure {
            figure: format!("codec.bytes.identity.b{size}.{set}"),
            value,
            unit: "B/batch",
            baseline: String::new(),
            ratio: None,
            runs: 1,
        };
        sets.iter().zip(&values).for_each(|(set, value)| figure(set.name, *value).print());
        figure("geomean", geomean(&values)).print();
    }
    Ok(())
}

fn encoded(encoder: &mut dyn BatchEncoder, rows: &[Reading<'static>]) -> Result<Bytes, String> {
    rows.iter().try_for_each(|row| encoder.push(row)).map_err(text)?;
    encoder.finish_under(usize::MAX).map_err(text)
}

pub(super) fn print(figure: &str, sets: &[Set], values: &[f64], baseline: &str, with: &[f64]) {
    let line = |set: &str, value: f64, with: f64| Figure {
        figure: format!("{figure}.{set}"),
        value,
        unit: "B/reading",
        baseline: baseline.to_owned(),
        ratio: Some(value / with),
        runs: 1,
    };
    sets.iter().zip(values).zip(with).for_each(|((set, value), with)| line(set.name, *value, *with).print());
    line("geomean", geomean(values), geomean(with)).print();
}

pub(super) fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

pub(super) fn with_table(set: &Set, batches: &[&[Reading<'static>]], level: Level) -> Result<usize, String> {
    by_table(set, batches, compact::Encoder::with_table(set.table.clone()).level(level))
}

/// Bytes that a gateway sends.
fn with_table_and_id(set: &Set, batches: &[&[Reading<'static>]]) -> Result<usize, String> {
    by_table(set, batches, compact::Encoder::with_table(set.table.clone()).id(IDENTITY))
}

fn by_table(
    set: &Set,
    batches: &[&[Reading<'static>]],
    mut encoder: compact::Encoder,
) -> Result<usize, String> {
    let bytes = encode_all(set, batches, &mut encoder, Codec::Compact)?;
    let announced = set.table.bytes().len() as f64 * batches.len() as f64 / BATCHES_PER_DAY;
    Ok(bytes + announced.round() as usize)
}

fn standard(
    set: &Set,
    batches: &[&[Reading<'static>]],
    format: Codec,
    id: Option<BatchId>,
) -> Result<usize, String> {
    let mut encoder = format.encoder(&set.sensors).map_err(text)?;
    id.into_iter().for_each(|id| encoder.set_id(id));
    encode_all(set, batches, &mut *encoder, format)
}

/// Encodes batch after batch with one encoder, decodes each again and compares bit for bit.
fn encode_all(
    set: &Set,
    batches: &[&[Reading<'static>]],
    encoder: &mut dyn BatchEncoder,
    format: Codec,
) -> Result<usize, String> {
    let mut bytes = 0;
    for rows in batches {
        let batch = encoded(encoder, rows)?;
        let limits = Limits::default();
        let wants_table = format == Codec::Compact && compact::table_wanted(&batch, &limits) != Ok(None);
        let decoded = if wants_table {
            set.table.decode_batch(&batch, &limits)
        } else {
            format.decode(&batch, &limits)
        };
        check(set, rows, decoded)?;
        bytes += batch.len();
    }
    Ok(bytes)
}

fn with_names(set: &Set, batches: &[&[Reading<'static>]], level: Level) -> Result<usize, String> {
    encode_all(set, batches, &mut compact::Encoder::new(&set.sensors).level(level), Codec::Compact)
}

/// Bytes that a gateway sends while a table is under way.
fn with_names_and_id(set: &Set, batches: &[&[Reading<'static>]]) -> Result<usize, String> {
    encode_all(set, batches, &mut compact::Encoder::new(&set.sensors).id(IDENTITY), Codec::Compact)
}

/// JSON names sensors instead of numbering them, so names are compared, not numbers.
fn check(set: &Set, rows: &[Reading<'_>], decoded: Result<Batch<'_>, DecodeError>) -> Result<(), String> {
    let decoded = decoded.map_err(text)?;
    let names = decoded.sensors().clone();
    let all = decoded.len() == rows.len();
    let same = decoded.zip(rows).all(|(a, b)| {
        a.is_ok_and(|a| {
            let name = names.get(a.sensor).map(|sensor| &sensor.name);
            let original = set.sensors.get(b.sensor).map(|sensor| &sensor.name);
            name == original && (a.time, a.quality) == (b.time, b.quality) && a.value.same(&b.value)
        })
    });
    if all && same { Ok(()) } else { Err(format!("a batch of {} did not come back bit for bit", set.name)) }
}

fn json_zstd3(set: &Set, batches: &[&[Reading<'static>]]) -> Result<usize, String> {
    let mut bytes = 0;
    for rows in batches {
        let plain = serde_json::to_vec(&peers::rows(rows, &set.sensors)).map_err(text)?;
        bytes += zstd::bulk::compress(&plain, 3).map_err(text)?.len();
    }
    Ok(bytes)
}

fn ciborium(set: &Set, batches: &[&[Reading<'static>]]) -> Result<usize, String> {
    let mut bytes = Vec::new();
    batches
        .iter()
        .try_for_each(|rows| ciborium::into_writer(&peers::rows(rows, &set.sensors), &mut bytes))
        .map_err(text)?;
    Ok(bytes.len())
}

fn minicbor(set: &Set, batches: &[&[Reading<'static>]]) -> Result<usize, String> {
    let len = |rows: &&[Reading<'static>]| {
        let rows = peers::rows(rows, &set.sensors);
        peers::minicbor::encode(&peers::minicbor::rows(&rows)).map(|bytes| bytes.len())
    };
    batches.iter().map(len).sum()
}

fn prost_rows(set: &Set, batches: &[&[Reading<'static>]]) -> Result<usize, String> {
    batches.iter().map(|rows| Ok(peers::prost::encode(&peers::prost::rows(rows, &set.sensors)?).len())).sum()
}

fn prost_columns(set: &Set, batches: &[&[Reading<'static>]]) -> Result<usize, String> {
    batches
        .iter()
        .map(|rows| Ok(peers::prost::encode(&peers::prost::columns(rows, &set.sensors)?).len()))
        .sum()
}

fn sparkplug_gzip6(set: &Set, batches: &[&[Reading<'static>]]) -> Result<usize, String> {
    let mut bytes = 0;
    for rows in batches {
        let mut encoder = sparkplug::Encoder::new(&set.sensors).aliases();
        rows.iter().try_for_each(|row| encoder.push(row)).map_err(text)?;
        let plain = encoder.finish_under(usize::MAX).map_err(text)?;
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
        gzip.write_all(&plain).map_err(text)?;
        bytes += gzip.finish().map_err(text)?.len();
    }
    Ok(bytes)
}

pub(super) fn pco(set: &Set, batches: &[&[Reading<'static>]]) -> Result<usize, String> {
    let mut encoder = compact::Encoder::numbered();
    let mut bytes = 0;
    for rows in batches {
        for row in rows.iter() {
            encoder.push(&Reading { value: Value::Null, ..row.clone() }).map_err(text)?;
        }
        let times = encoder.finish_under(usize::MAX).map_err(text)?.len();
        bytes += times + peers::pco::values_len(rows, &set.sensors)?;
    }
    Ok(bytes)
}
