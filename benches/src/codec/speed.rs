//! `codec.encode.*` and `codec.decode.*`: readings per second beside serde_json, from readings in memory to bytes and back.
//!
//! Like is compared with like by these lines. Read: `serde_json`, `bincode`, `minicbor` (texts borrowed), `prost_rows` and
//! `compact.fast.owned` make a list of rows with names and units, `serde_json.borrowed` and `compact.fast.borrowed` one whose
//! texts belong to the input, `prost_columns`, `arrow` and `pco` columns. `compact.fast` and `cbor` make nothing: each reading
//! is looked at by `for_each`, by its sensor's number. Written: `compact.fast` refers to a session table, with one encoder for
//! all batches; `.id` has an identity too, as a gateway's batches; `.new` makes an encoder for each batch; `.self` has the names
//! in the batch, `.cold` that with an encoder for each batch.

use std::cell::RefCell;
use std::hint::black_box;
use std::time::{Duration, Instant};

use edge_codec::compact;
use edge_codec::{Batch, Limits, Reading, Sensors, Value, cbor};

use super::peers::{self, OwnedRow, Row};
use super::sets::{IDENTITY, Set};
use super::speed_peers::{self, Peers};
use crate::measure::{Candidate, Figure, geomean, interleaved};

pub(super) const BATCHES: [usize; 2] = [100, 1_000];
/// The first is the baseline.
const ENCODERS: [&str; 8] = [
    "encode.serde_json",
    "encode.compact.fast",
    "encode.compact.fast.id",
    "encode.compact.fast.new",
    "encode.compact.fast.self",
    "encode.compact.fast.cold",
    "encode.ciborium",
    "encode.cbor",
];
const DECODERS: [&str; 9] = [
    "decode.serde_json",
    "decode.serde_json.borrowed",
    "decode.compact.fast",
    "decode.compact.fast.owned",
    "decode.compact.fast.borrowed",
    "decode.compact.fast.id",
    "decode.compact.fast.self",
    "decode.ciborium",
    "decode.cbor",
];
const READINGS: usize = 10_000;
/// A pass over the readings takes 0.05 to 3 ms. As many follow one another as fill this time, so that each candidate shows its
/// steady state, and none what the one before left in the caches.
const TURN: Duration = Duration::from_millis(5);
const ROUNDS: usize = 15;

/// In the order in which they are measured.
pub(super) fn figures() -> Vec<String> {
    let peers = |what: &str| speed_peers::NAMES.map(|name| format!("{what}.{name}"));
    let (encoders, decoders) = (ENCODERS.map(str::to_owned), DECODERS.map(str::to_owned));
    encoders.into_iter().chain(peers("encode")).chain(decoders).chain(peers("decode")).collect()
}

pub(super) fn run(sets: &[Set]) -> Result<(), String> {
    let figures = figures();
    for size in BATCHES {
        let mut rates: Vec<Vec<f64>> = vec![Vec::new(); figures.len()];
        for set in sets {
            let mut batches = set.batches(size);
            batches.truncate(READINGS / size);
            let readings = (batches.len() * size) as f64;
            for (rates, (passes, time)) in rates.iter_mut().zip(measure(set, &batches)?) {
                rates.push(readings * f64::from(passes) / time.as_secs_f64());
            }
        }
        let half = ENCODERS.len() + speed_peers::NAMES.len();
        for (nth, (figure, values)) in figures.iter().zip(&rates).enumerate() {
            let base = rates.get(if nth < half { 0 } else { half }).cloned().unwrap_or_default();
            print(&format!("codec.{figure}.b{size}"), sets, values, &base);
        }
    }
    Ok(())
}

fn print(figure: &str, sets: &[Set], values: &[f64], base: &[f64]) {
    let line = |set: &str, value: f64, base: f64| Figure {
        figure: format!("{figure}.{set}"),
        value,
        unit: "readings/s",
        baseline: "serde_json".to_owned(),
        ratio: Some(value / base),
        runs: ROUNDS,
    };
    sets.iter().zip(values).zip(base).for_each(|((set, value), base)| line(set.name, *value, *base).print());
    line("geomean", geomean(values), geomean(base)).print();
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Returns how many passes each figure's candidate made in a turn, and how long that took.
fn measure(set: &Set, batches: &[&[Reading<'static>]]) -> Result<Vec<(u32, Duration)>, String> {
    let rows: Vec<_> = batches.iter().map(|b| peers::rows(b, &set.sensors)).collect();
    let json: Vec<Vec<u8>> = rows.iter().map(serde_json::to_vec).collect::<Result<_, _>>().map_err(text)?;
    let compact = RefCell::new(compact::Encoder::with_table(set.table.clone()));
    let compact_batches = encode(batches, |rows| finish(&mut compact.borrow_mut(), rows))?;
    let with_id = RefCell::new(compact.borrow().clone().id(IDENTITY));
    let id_batches = encode(batches, |rows| finish(&mut with_id.borrow_mut(), rows))?;
    let with_names = RefCell::new(compact::Encoder::new(&set.sensors));
    let self_batches = encode(batches, |rows| finish(&mut with_names.borrow_mut(), rows))?;
    let cbor_batches = encode(batches, |rows| cbor_batch(set, rows))?;
    let ciborium_batches: Vec<Vec<u8>> = rows.iter().map(|r| ciborium_bytes(r)).collect::<Result<_, _>>()?;
    let limits = Limits::default();
    let peers = Peers::new(set, batches, &rows)?;
    let mut candidates: Vec<Candidate<'_>> = vec![
        candidate("encode.serde_json", || each(&rows, |r| serde_json::to_vec(r).map_err(text))),
        candidate("encode.compact.fast", || each(batches, |r| finish(&mut compact.borrow_mut(), r))),
        candidate("encode.compact.fast.id", || each(batches, |r| finish(&mut with_id.borrow_mut(), r))),
        candidate("encode.compact.fast.new", || {
            each(batches, |r| finish(&mut compact::Encoder::with_table(set.table.clone()), r))
        }),
        candidate("encode.compact.fast.self", || each(batches, |r| finish(&mut with_names.borrow_mut(), r))),
        candidate("encode.compact.fast.cold", || {
            each(batches, |r| finish(&mut compact::Encoder::new(&set.sensors), r))
        }),
        candidate("encode.ciborium", || each(&rows, |r| ciborium_bytes(r))),
        candidate("encode.cbor", || each(batches, |r| cbor_batch(set, r))),
    ];
    candidates.extend(peers.encoders());
    candidates.extend([
        candidate("decode.serde_json", || {
            each(&json, |b| serde_json::from_slice::<Vec<OwnedRow>>(b).map_err(text))
        }),
        candidate("decode.serde_json.borrowed", || {
            each(&json, |b| {
                serde_json::from_slice::<Vec<Row<'_>>>(b).map(|rows| drop(black_box(rows))).map_err(text)
            })
        }),
        candidate("decode.compact.fast", || {
            each(&compact_batches, |b| look(set.table.decode_batch(b, &limits).map_err(text)?))
        }),
        candidate("decode.compact.fast.owned", || {
            each(&compact_batches, |b| peers::owned(set.table.decode_batch(b, &limits).map_err(text)?))
        }),
        candidate("decode.compact.fast.borrowed", || {
            each(&compact_batches, |b| {
                peers::borrowed(set.table.decode_batch(b, &limits).map_err(text)?, |rows| {
                    black_box(rows);
                })
            })
        }),
        candidate("decode.compact.fast.id", || {
            each(&id_batches, |b| look(set.table.decode_batch(b, &limits).map_err(text)?))
        }),
        candidate("decode.compact.fast.self", || {
            each(&self_batches, |b| look(compact::decode(b, &limits).map_err(text)?))
        }),
        candidate("decode.ciborium", || {
            each(&ciborium_batches, |b| ciborium::from_reader::<Vec<OwnedRow>, _>(b.as_slice()).map_err(text))
        }),
        candidate("decode.cbor", || each(&cbor_batches, |b| look(cbor::decode(b, &limits).map_err(text)?))),
    ]);
    candidates.extend(peers.decoders());
    let (passes, mut turns): (Vec<u32>, Vec<_>) =
        candidates.into_iter().map(turn).collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
    Ok(passes.into_iter().zip(interleaved(&mut turns, 2, ROUNDS)?).collect())
}

/// A candidate that makes as many passes as fill a turn, and how many those are.
fn turn(mut pass: Candidate<'_>) -> Result<(u32, Candidate<'_>), String> {
    (pass.run)()?;
    let start = Instant::now();
    (pass.run)()?;
    let passes = TURN.as_nanos().div_ceil(start.elapsed().as_nanos().max(1));
    let passes = u32::try_from(passes).unwrap_or(1);
    Ok((passes, candidate(pass.name, move || (0..passes).try_for_each(|_| (pass.run)()))))
}

pub(super) fn candidate<'a>(name: &'a str, run: impl FnMut() -> Result<(), String> + 'a) -> Candidate<'a> {
    Candidate { name, run: Box::new(run) }
}

/// A pass over the items.
pub(super) fn each<T, R>(items: &[T], mut run: impl FnMut(&T) -> Result<R, String>) -> Result<(), String> {
    items.iter().try_for_each(|item| run(item).map(|result| drop(black_box(result))))
}

fn encode(
    batches: &[&[Reading<'static>]],
    run: impl Fn(&&[Reading<'static>]) -> Result<bytes::Bytes, String>,
) -> Result<Vec<bytes::Bytes>, String> {
    batches.iter().map(run).collect()
}

fn finish<S: Sensors>(
    encoder: &mut compact::Encoder<S>,
    rows: &[Reading<'_>],
) -> Result<bytes::Bytes, String> {
    rows.iter().try_for_each(|row| encoder.push(row)).map_err(text)?;
    encoder.finish_under(usize::MAX).map_err(text)
}

fn cbor_batch(set: &Set, rows: &[Reading<'_>]) -> Result<bytes::Bytes, String> {
    let mut encoder = cbor::Encoder::new(&set.sensors);
    rows.iter().try_for_each(|row| encoder.push(row)).map_err(text)?;
    encoder.finish_under(usize::MAX).map_err(text)
}

fn ciborium_bytes(rows: &[peers::Row<'_>]) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    ciborium::into_writer(rows, &mut out).map_err(text)?;
    Ok(out)
}

/// Reads every reading, as a consumer would. What is done with one is short: a closure with an error's text in it was not
/// inlined, and calling it cost more than the reading.
fn look(batch: Batch<'_>) -> Result<u64, String> {
    let (mut sum, mut failed) = (0_u64, 0_usize);
    batch.for_each(|reading| {
        let Ok(reading) = reading else {
            failed += 1;
            return;
        };
        let value = match reading.value {
            Value::F64(v) => v.to_bits(),
            Value::I64(v) => v as u64,
            Value::Bool(v) => v.into(),
            _ => 0,
        };
        sum = sum.wrapping_add(value ^ reading.time as u64 ^ u64::from(reading.quality));
    });
    if failed == 0 { Ok(sum) } else { Err(format!("{failed} readings could not be decoded")) }
}
