#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![cfg(feature = "compact")]
//! Two readers of one format, ours and the one in Python, agree on random batches of every kind of value and time, and on damaged ones:
//! the same rows, or both refuse (promises 9 and 12). Needs `python3`.

#[path = "support/counting.rs"]
mod counting;
#[path = "support/plant.rs"]
mod plant;
#[path = "support/session.rs"]
mod session;
mod support;

use edge_codec::compact::{Encoder, Level};
use edge_codec::{BatchId, DecodeError, Reading, SensorTable, Value};
use plant::{goods, mutate};
use session::{Reader, Session, wide};
use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use support::{Rng, cases, seed};

const SENSORS: [u32; 6] = [0, 1, 7, 300, 70_000, u32::MAX];
const SIZES: [usize; 14] = [0, 1, 2, 3, 31, 32, 33, 63, 64, 65, 127, 128, 129, 300];

/// Doubles at every edge of binary64, and NaNs with payloads.
const DOUBLES: [u64; 14] = [
    0,
    1 << 63,
    1,
    0x8000_0000_0000_0001,
    0x000f_ffff_ffff_ffff,
    0x0010_0000_0000_0000,
    0x7fef_ffff_ffff_ffff,
    0x7ff0_0000_0000_0000,
    0xfff0_0000_0000_0000,
    0x7ff0_0000_0000_0001,
    0x7ff8_0000_0000_0000,
    0xfff8_0000_dead_beef,
    0x7fff_ffff_ffff_ffff,
    0x3ff0_0000_0000_0001,
];

fn value(rng: &mut Rng, kind: usize) -> Value<'static> {
    match kind {
        0 => Value::F64(f64::from_bits(DOUBLES[rng.below(DOUBLES.len())])),
        1 => Value::F64(rng.below(5000) as f64 / [1.0, 10.0, 100.0, 3.0, 409.5][rng.below(5)]),
        2 => Value::F64(f64::from(f32::from_bits(rng.next() as u32))),
        3 => Value::I64([i64::MIN, i64::MAX, -1, 0, 1 << 53, rng.next() as i64][rng.below(6)]),
        4 => Value::I64(rng.below(40) as i64 - 20),
        5 => Value::U64([0, 1 << 63, u64::MAX, i64::MAX as u64, rng.next()][rng.below(5)]),
        6 => Value::Bool(rng.below(3) == 0),
        7 => Value::Text(["", "\0", "a", "\u{fc}\u{10ffff}", "RUN", "a\tb\nc"][rng.below(6)].into()),
        8 => Value::Bytes(vec![rng.next() as u8; [0, 1, 3, 200][rng.below(4)]].into()),
        9 if rng.below(20) == 0 => Value::Text("x".repeat((1 << 14) - 1 + rng.below(3)).into()),
        9 => Value::Text(format!("{:x}", rng.next() >> (rng.below(16) * 4)).into()),
        _ => Value::Null,
    }
}

fn readings(rng: &mut Rng) -> Vec<Reading<'static>> {
    let (len, sensors) = (SIZES[rng.below(SIZES.len())], 1 + rng.below(SENSORS.len()));
    let kinds: Vec<usize> = (0..sensors).map(|_| rng.below(12)).collect();
    let (clock, mut time) = (rng.below(5), 1_580_515_200_000_i64);
    let mut quality = 0;
    (0..len)
        .map(|nth| {
            time = match clock {
                0 => time.wrapping_add(if nth % sensors == 0 { 1000 } else { 0 }),
                1 => time.wrapping_add(rng.below(50) as i64),
                2 => time.wrapping_sub(rng.below(3) as i64),
                3 => [i64::MIN, i64::MAX, 0, -1, time][rng.below(5)],
                _ => rng.next().cast_signed(),
            };
            if rng.below(12) == 0 {
                quality = [0, 0x8000_0000, 0x4090_0000, rng.next() as u32][rng.below(4)];
            }
            let kind = match kinds[nth % sensors] {
                11 => rng.below(11),
                kind => kind,
            };
            Reading { sensor: SENSORS[nth % sensors], time, value: value(rng, kind), quality }
        })
        .collect()
}

fn names() -> SensorTable<'static> {
    let mut table = SensorTable::new();
    for (nth, id) in SENSORS.into_iter().enumerate() {
        table.insert(
            id,
            ["line2/temp", "", "\u{fc}\u{10ffff}", "line2/te", "\0", "z"][nth],
            ["", "\u{b0}F"][nth % 2],
        );
    }
    table
}

/// A batch, and the table that it needs.
type Case = (Vec<u8>, Option<Vec<u8>>);

fn batch(rng: &mut Rng) -> Case {
    let (readings, names) = (readings(rng), names());
    let session = match rng.below(4) {
        0 => Some(Session::names(1, &names)),
        1 => Some(Session::learn(1, &names, &readings)),
        _ => None,
    };
    let encoder: Encoder<SensorTable<'static>> = match &session {
        Some(session) => session.encoder(Level::Fast),
        None if rng.below(2) == 0 => Encoder::new(names),
        None => Encoder::numbered(),
    };
    let first_seq = [0, 1000, u64::MAX - 1_000][rng.below(3)];
    let id = BatchId { gateway: rng.next(), lane: 255, epoch: u32::MAX, first_seq };
    let mut encoder = if rng.below(2) == 0 { encoder.id(id) } else { encoder };
    readings.iter().for_each(|r| encoder.push(r).unwrap());
    let bytes = encoder.finish_under(usize::MAX).unwrap().to_vec();
    (bytes, session.map(|s| s.announced().to_vec()))
}

/// Damages the batch, or its table; the batch then asks for the damaged one, if that can be read.
fn damaged(rng: &mut Rng, (batch, table): Case) -> Case {
    match table {
        Some(table) if rng.below(2) == 0 => {
            let bad = mutate(rng, &table);
            let id = |table: &[u8]| Reader::of(table, &wide()).map(|r| r.table().id().to_be_bytes());
            let (old, new) = (id(&table).unwrap(), id(&bad).unwrap_or_default());
            let at = batch.windows(8).position(|w| w == old);
            let mut batch = batch;
            if let Some(at) = at {
                batch[at..at + 8].copy_from_slice(&new);
            }
            (batch, Some(bad))
        }
        table => (mutate(rng, &batch), table),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, b| {
        write!(text, "{b:02x}").unwrap();
        text
    })
}

/// Rows of a batch as Python prints them, one after the other.
fn rows((batch, table): &Case) -> Result<String, DecodeError> {
    let reader = table.as_ref().map_or_else(|| Ok(Reader::without_table()), |t| Reader::of(t, &wide()))?;
    let mut batch = reader.decode(batch, &wide())?;
    let sensors = batch.sensors().clone();
    let mut text = String::from("read");
    while batch.len() > 0 {
        let seq = batch.next_seq().map_or("None".to_owned(), |seq| seq.to_string());
        let r = batch.next().unwrap().unwrap();
        let (kind, value) = match &r.value {
            Value::F64(v) => ("f64", format!("{:016x}", v.to_bits())),
            Value::I64(v) => ("i64", v.to_string()),
            Value::U64(v) => ("u64", v.to_string()),
            Value::Bool(v) => ("bool", if *v { "True" } else { "False" }.to_owned()),
            Value::Text(v) => ("text", hex(v.as_bytes())),
            Value::Bytes(v) => ("bytes", hex(v)),
            Value::Null => ("null", "None".to_owned()),
        };
        let (name, unit) = sensors.get(r.sensor).map_or(("", ""), |s| (&s.name, &s.unit));
        let (name, unit) = (hex(name.as_bytes()), hex(unit.as_bytes()));
        write!(text, "|{seq},{},{},{},{kind},{value},{name},{unit}", r.sensor, r.time, r.quality).unwrap();
    }
    Ok(text)
}

const PROGRAM: &str = r#"
import sys
from edge_batch import BatchError, Table, decode
from edge_batch_stream import cast
def value(kind, value):
    if kind == "f64":
        return "%016x" % cast("Q", "d", value)
    return {"text": lambda: value.encode().hex(), "bytes": lambda: value.hex()}.get(kind, lambda: str(value))()
for line in sys.stdin:
    batch, *table = [bytes.fromhex(part.strip("-\n")) for part in line.split(" ")]
    try:
        rows = decode(batch, *map(Table, table))
        print("|".join(["read"] + [",".join(map(str, (row.seq, row.sensor, row.time_ms, row.quality, row.kind,
            value(row.kind, row.value), row.name.encode().hex(), row.unit.encode().hex()))) for row in rows]))
    except BatchError as error:
        print("refused", error)
"#;

fn python(cases: &[Case]) -> Vec<String> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("decoders/python");
    let mut command = Command::new("python3");
    command.args(["-O", "-B", "-c", PROGRAM]).current_dir(folder);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("needs python3");
    let line = |(batch, table): &Case| match table {
        Some(table) => format!("{}- {}\n", hex(batch), hex(table)),
        None => format!("{}-\n", hex(batch)),
    };
    let lines: String = cases.iter().map(line).collect();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(lines.as_bytes()).unwrap());
        child.wait_with_output().unwrap()
    });
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// Returns how many of them were read.
fn agree(cases: &[Case]) -> usize {
    let printed = python(cases);
    assert_eq!(printed.len(), cases.len());
    let mut read = 0;
    for (printed, case) in printed.iter().zip(cases) {
        let ours = rows(case);
        match &ours {
            Ok(rows) => assert_eq!(printed, rows, "{case:02x?}"),
            Err(error) => assert!(printed.starts_with("refused"), "{error}, but {printed}: {case:02x?}"),
        }
        read += usize::from(ours.is_ok());
    }
    read
}

#[test]
fn both_readers_read_the_same_rows_of_any_batch() {
    let (n, mut rng) = (cases(2_000) as usize, Rng(seed()));
    let all: Vec<Case> = (0..n).map(|_| batch(&mut rng)).collect();
    assert_eq!(agree(&all), n);
    println!("executed codec.compact.agree: {n} cases");
}

#[test]
fn both_readers_refuse_the_same_damage_and_read_the_rest_alike() {
    let (n, mut rng) = (cases(20_000) as usize, Rng(seed() ^ 1));
    let (session, goods) = goods();
    // It has no Zstandard.
    let goods: Vec<_> = goods.into_iter().filter(|good| good.first() != Some(&0x6a)).collect();
    let mut case = || match rng.below(3) {
        0 => {
            let case = batch(&mut rng);
            damaged(&mut rng, case)
        }
        _ => {
            let good = goods[rng.below(goods.len())].clone();
            damaged(&mut rng, (good, Some(session.announced().to_vec())))
        }
    };
    let all: Vec<Case> = (0..n).map(|_| case()).collect();
    let read = agree(&all);
    assert!(read > n / 50 && read < n, "{read} of {n} were read");
    println!("executed codec.compact.agree.damaged: {n} cases ({read} read)");
}
