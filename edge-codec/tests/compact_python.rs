#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![cfg(feature = "compact")]
//! Others can read compact batches: `decoders/python/edge_batch.py`, with table and batch alone, gives back every bit
//! (promises 4 and 9). Needs `python3`.

#[path = "support/histories.rs"]
mod histories;
#[path = "support/session.rs"]
mod session;
#[path = "support/sets.rs"]
mod sets;
mod support;

use edge_codec::compact::{Encoder, Level, table_wanted};
use edge_codec::{BatchId, Reading, SensorTable, Value};
use histories::{Naming, histories};
use session::{Reader, Session, wide};
use sets::{SETS, load};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use support::{Rng, cases, non_finite, property, samples, seed, table};

fn script() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("decoders/python/edge_batch.py")
}

/// Gives frames to the decoder.
fn python(name: &str, session: Option<&Session>, batches: &[Vec<u8>]) -> Output {
    python_with(name, session.map(Session::announced), batches)
}

/// The same, with any number of tables.
fn python_with<'t>(name: &str, tables: impl IntoIterator<Item = &'t [u8]>, batches: &[Vec<u8>]) -> Output {
    let mut command = Command::new("python3");
    command.arg(script()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for (nth, table) in tables.into_iter().enumerate() {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{nth}.table"));
        std::fs::write(&path, table).unwrap();
        command.arg(path);
    }
    let mut child = command.spawn().expect("this test needs python3");
    let mut stdin = child.stdin.take().unwrap();
    let frames: Vec<u8> =
        batches.iter().flat_map(|b| [&(b.len() as u32).to_be_bytes(), b.as_slice()].concat()).collect();
    std::thread::scope(|scope| {
        scope.spawn(move || drop(stdin.write_all(&frames)));
        child.wait_with_output().unwrap()
    })
}

/// Returns what the decoder prints of a reading, without the number that follows a double's bits.
fn line(row: &str, reading: &Reading<'_>) -> String {
    let (kind, value) = match &reading.value {
        Value::F64(v) => ("f64", format!("{:016x}", v.to_bits())),
        Value::I64(v) => ("i64", v.to_string()),
        Value::U64(v) => ("u64", v.to_string()),
        Value::Bool(v) => ("bool", v.to_string()),
        Value::Text(v) => ("text", json_text(v)),
        Value::Bytes(v) => ("bytes", v.iter().map(|b| format!("{b:02x}")).collect()),
        Value::Null => ("null", "null".to_owned()),
    };
    format!("{row}\t{}\t{}\t{}\t{kind}\t{value}", reading.sensor, reading.time, reading.quality)
}

/// As Python's `json.dumps` writes text.
fn json_text(text: &str) -> String {
    let escaped = text.encode_utf16().map(|unit| match unit {
        0x22 => "\\\"".to_owned(),
        0x5c => "\\\\".to_owned(),
        0x0a => "\\n".to_owned(),
        0x20..=0x7e => char::from(unit as u8).to_string(),
        _ => format!("\\u{unit:04x}"),
    });
    format!("\"{}\"", escaped.collect::<String>())
}

fn assert_printed(output: &Output, expected: &[String]) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let mut lines = text.lines();
    for expected in expected {
        let found = lines.next().unwrap_or("");
        let mut parts: Vec<&str> = found.split('\t').take(expected.split('\t').count()).collect();
        if parts.get(4) == Some(&"f64") {
            parts[5] = parts[5].split(' ').next().unwrap();
        }
        assert_eq!(&parts.join("\t"), expected);
    }
    assert_eq!(lines.next(), None);
}

#[test]
fn python_reads_every_kind_with_rows_qualities_and_names() {
    let readings: Vec<_> = samples().into_iter().chain(non_finite()).collect();
    let id = BatchId { gateway: 9, lane: 0, epoch: 1, first_seq: 500 };
    let mut encoder = Encoder::new(table()).id(id);
    let seqs: Vec<u64> = (0..readings.len() as u64).map(|n| 500 + n + n / 4).collect();
    seqs.iter().zip(&readings).for_each(|(seq, r)| encoder.push_at(*seq, r).unwrap());
    let batch = encoder.finish_under(usize::MAX).unwrap().to_vec();
    let expected: Vec<_> = seqs.iter().zip(&readings).map(|(seq, r)| line(&seq.to_string(), r)).collect();
    let output = python("kinds", None, &[batch]);
    assert_printed(&output, &expected);
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.lines().next().unwrap().ends_with("\t\"line2/temp\"\t\"Cel\""), "{printed}");
}

#[test]
fn python_reads_all_real_series_bit_for_bit() {
    let mut readings = 0;
    for name in SETS {
        let set = load(name);
        let (sample, rest) = set.parts();
        let session = Session::learn(1, &set.sensors, sample);
        for (size, most) in [(1000, 8), (100, 10), (10, 12), (1, 12)] {
            let most = cases(most * 10) as usize / 10 + 1;
            let step = (rest.len() / size / most).max(1);
            for form in [Some(&session), None] {
                let mut encoder = match form {
                    Some(_) => session.encoder(Level::Fast),
                    None => Encoder::numbered(),
                };
                let (mut batches, mut expected) = (Vec::new(), Vec::new());
                for rows in rest.chunks_exact(size).step_by(step) {
                    rows.iter().for_each(|r| encoder.push(r).unwrap());
                    batches.push(encoder.finish_under(usize::MAX).unwrap().to_vec());
                    expected.extend(rows.iter().map(|r| line("-", r)));
                }
                readings += expected.len();
                assert_printed(&python(&format!("{name}-{size}"), form, &batches), &expected);
            }
        }
    }
    println!("executed codec.compact.python: {readings} cases");
}

/// Batches by whatever encoders live through, against as many tables, in one process.
#[test]
fn python_reads_what_the_histories_make() {
    let (tables, batches, expected) = (RefCell::default(), RefCell::default(), RefCell::default());
    let mut rng = Rng(seed());
    let picks = RefCell::new(std::iter::repeat_with(|| rng.below(4) == 0));
    property("codec.compact.python.histories", 1_000, &histories(&[Level::Fast]), |history| {
        let hub = history.play();
        let names = history.names(history.sensors);
        let named = history.naming != Naming::Numbers;
        for (bytes, rows) in hub.batches {
            if bytes.len() > 4096 || !picks.borrow_mut().next().unwrap() {
                continue;
            }
            let entry = |r: &Reading<'_>| {
                let sensor = names.get(r.sensor).filter(|_| named);
                sensor.map_or_else(
                    || "\t\"\"\t\"\"".to_owned(),
                    |s| format!("\t{}\t{}", json_text(&s.name), json_text(&s.unit)),
                )
            };
            let wanted = table_wanted(&bytes, &wide()).unwrap();
            if let Some(id) = wanted {
                BTreeMap::insert(&mut tables.borrow_mut(), id, hub.tables[&id].clone());
            }
            let lines: Vec<String> = if history.id {
                rows.iter().map(|(seq, r)| line(&seq.to_string(), r) + &entry(r)).collect()
            } else {
                let id = wanted.map(|id| Reader::of(&hub.tables[&id], &wide()).unwrap());
                let reader = id.unwrap_or_else(Reader::without_table);
                let read = reader.decode(&bytes, &wide()).unwrap().map(Result::unwrap);
                read.map(|r| line("-", &r) + &entry(&r)).collect()
            };
            Vec::extend(&mut expected.borrow_mut(), lines);
            Vec::push(&mut batches.borrow_mut(), bytes);
        }
        Ok(())
    });
    let (tables, batches, expected) = (tables.into_inner(), batches.into_inner(), expected.into_inner());
    assert!(tables.len() > 1 && batches.len() > 10, "{} tables, {} batches", tables.len(), batches.len());
    assert_printed(&python_with("histories", tables.values().map(Vec::as_slice), &batches), &expected);
    println!("executed codec.compact.python.histories.readings: {} cases", expected.len());
}

/// A converter's counts in volts, and NaN now and then.
#[test]
fn python_reads_scaled_counts_bit_for_bit() {
    let volts = |n: i64| if n % 97 == 96 { f64::NAN } else { (1500 + n * n % 331) as f64 * 10.0 / 4095.0 };
    let reading = |n: i64| Reading { sensor: 7, time: n * 1000, value: Value::F64(volts(n)), quality: 0 };
    let all: Vec<_> = (0..1200).map(reading).collect();
    let mut names = SensorTable::new();
    names.insert(7, "line2/ai1", "V");
    let (sample, rest) = all.split_at(400);
    let session = Session::learn(1, &names, sample);
    for form in [Some(&session), None] {
        let mut encoder = match form {
            Some(_) => session.encoder(Level::Fast),
            None => Encoder::numbered(),
        };
        rest.iter().for_each(|r| encoder.push(r).unwrap());
        let batch = encoder.finish_under(usize::MAX).unwrap().to_vec();
        assert!(batch.len() < 2 * rest.len(), "{} bytes: not as counts", batch.len());
        let expected: Vec<_> = rest.iter().map(|r| line("-", r)).collect();
        assert_printed(&python("scaled", form, &[batch]), &expected);
    }
}

#[test]
fn python_refuses_by_name_what_it_cannot_read() {
    let names = table();
    let session = Session::names(1, &names);
    let other = Session::names(2, &names);
    let reading =
        |n: i64| Reading { sensor: 300, time: n, value: Value::Text("x".repeat(300).into()), quality: 0 };
    let mut encoder = session.encoder(Level::Small);
    (0..40).for_each(|n| encoder.push(&reading(n)).unwrap());
    let small = encoder.finish_under(usize::MAX).unwrap().to_vec();
    let mut encoder = session.encoder(Level::Fast);
    encoder.push(&reading(0)).unwrap();
    let fast = encoder.finish_under(usize::MAX).unwrap().to_vec();
    let mut cut = fast.clone();
    cut.truncate(cut.len() - 320);
    let wanted = format!("{:016x}", session.id());
    let cases = [
        ("small", &session, &small, "Zstandard"),
        ("other", &other, &fast, wanted.as_str()),
        ("cut", &session, &cut, "edge_batch: the message is cut off"),
    ];
    for (name, session, batch, why) in cases {
        let output = python(name, Some(session), std::slice::from_ref(batch));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(why), "{name}: {said}");
    }
    assert!(python("right", Some(&session), &[fast]).status.success());
    // As the command that `pip install` makes: it calls the function, and runs no script.
    let command = ["-c", "import edge_batch; edge_batch.main()"];
    let at = script().parent().unwrap().to_owned();
    let mut child = Command::new("python3")
        .args(command)
        .env("PYTHONPATH", at)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&[0, 0, 0, 9, 1]).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), said.trim()), (Some(1), "edge_batch: the input is cut off"));
}

/// Liberties of other writers of Protobuf: numbers that are not packed, a field twice, a sensor without fields.
#[test]
fn python_reads_fields_in_every_form_that_protobuf_allows() {
    let announced = [0x08, 1, 0x12, 0];
    let reader = Reader::of(&announced, &wide()).unwrap();
    let readings = [3, 4].map(|n| Reading { sensor: 0, time: n, value: Value::I64(n), quality: 0 });
    let mut encoder = reader.maker().encoder(Level::Fast);
    readings.iter().for_each(|r| encoder.push(r).unwrap());
    let mut batch = encoder.finish_under(usize::MAX).unwrap().to_vec();
    batch.extend([0x11, 9, 0, 0, 0, 0, 0, 0, 0, 0x18, 1, 0x20, 1, 0x28, 77, 0x28, 5]);
    batch.extend([0x50, 1, 0x52, 1, 4, 0x50, 1]);
    let mut read = reader.decode(&batch, &wide()).unwrap();
    let seqs: Vec<_> = std::iter::from_fn(|| read.next_seq().inspect(|_| drop(read.next()))).collect();
    assert_eq!(seqs, [5, 10], "one reading, four numbers that are not here, one reading");
    let expected: Vec<_> = seqs.iter().zip(&readings).map(|(seq, r)| line(&seq.to_string(), r)).collect();
    assert_printed(&python_with("fields", [&announced[..]], &[batch]), &expected);
}

/// A module: importing it reads nothing, `-O` leaves its checks in, and whatever bytes it is given it returns rows or raises its error.
#[test]
fn python_takes_the_reader_as_a_module_and_damage_is_its_error() {
    let session = Session::names(1, &table());
    let mut encoder = session.encoder(Level::Fast);
    samples().iter().for_each(|reading| encoder.push(reading).unwrap());
    let batch = encoder.finish_under(usize::MAX).unwrap().to_vec();
    let files = [("module.table", session.announced()), ("module.batch", batch.as_slice())];
    let [announced, batch] = files.map(|(name, bytes)| {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    });
    let program = r#"
import random, sys
from edge_batch import BatchError, Table, decode, wanted_table
announced, batch = (open(path, "rb").read() for path in sys.argv[1:])
table = Table(announced)
rows = decode(batch, table)
if wanted_table(batch) != table.id or not rows[0].name.startswith("line2/"):
    sys.exit("not the readings: %r" % (rows[0],))
if decode(batch, announced) != rows:
    sys.exit("other readings by the bytes of the table")
def is_refused(read, *arguments):
    try:
        read(*arguments)
    except BatchError:
        return True
    return False
if not is_refused(decode, batch) or not is_refused(decode, batch[:-1], table):
    sys.exit("no error")
random.seed(1)
refused = 0
for _ in range(int(sys.stdin.read())):
    data = bytearray(batch if random.random() < 0.7 else announced)
    read = (lambda: decode(data, table)) if data == batch else (lambda: Table(data))
    for _ in range(random.randint(1, 4)):
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    refused += is_refused(read)
print(refused)
"#;
    let mut command = Command::new("python3");
    command.args(["-O", "-c", program]).arg(announced).arg(batch).current_dir(script().parent().unwrap());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let damaged = cases(20_000);
    child.stdin.take().unwrap().write_all(damaged.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let refused: u64 = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
    assert!(refused > damaged / 4, "{refused} of {damaged} were refused");
    println!("executed codec.compact.python.damaged: {damaged} cases");
}
