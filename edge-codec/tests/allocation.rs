#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![cfg(all(feature = "senml", feature = "sparkplug", feature = "influx"))]
//! No input makes a decoder allocate more than `c × input + 2 KiB` (promise 12): README, "Hostile input".

#[path = "support/counting.rs"]
mod counting;
mod support;

use counting::{allocated, allocations};
use edge_codec::json::{self, FieldMap};
use edge_codec::sparkplug::{self, Birth};
use edge_codec::{Limits, Reading, Source, Value};
use support::{AnyEncoder, KINDS, Kind, Rng, cases, samples, seed, table};

const CONSTANT: usize = 2048;

fn factor(kind: Kind) -> usize {
    match kind {
        Kind::Cbor => 20,
        Kind::Protobuf => 32,
        Kind::Columns => 34,
        Kind::SenmlJson | Kind::SenmlCbor | Kind::SenmlDecimal => 64,
        Kind::Sparkplug => 64,
        Kind::Json => 48,
    }
}

/// Decodes and reads to the end; whether the input was good does not matter.
fn consume(kind: Kind, input: &[u8]) {
    if let Ok(batch) = kind.decode(input, &wide()) {
        batch.for_each(|r| drop(std::hint::black_box(r)));
    }
}

fn import(input: &[u8], map: &FieldMap) {
    let source = Source { sensor: Some("t"), arrival_ms: 0 };
    drop(std::hint::black_box(json::import(input, map, &source, &wide())));
}

/// Counts do not help: the bound must come from the input's length.
fn wide() -> Limits {
    let all = usize::MAX;
    Limits::default().readings(all).sensors(all).text_bytes(all).fields(all).bytes(all)
}

#[track_caller]
fn assert_bounded(kind: Kind, what: &str, input: &[u8]) -> f64 {
    let used = allocated(|| consume(kind, input));
    let bound = factor(kind) * input.len() + CONSTANT;
    assert!(used <= bound, "{kind:?} {what}: {used} bytes for {} of input, bound {bound}", input.len());
    used as f64 / input.len() as f64
}

fn hex3(i: usize) -> [u8; 3] {
    let text = format!("{i:03x}");
    text.as_bytes()[text.len() - 3..].try_into().unwrap()
}

/// Name of the case, and the input.
type Worst = (&'static str, Vec<u8>);

/// Arrays of the shortest items a decoder might reserve memory for.
fn worst(kind: Kind, n: usize) -> Vec<Worst> {
    match kind {
        Kind::Cbor => cbor_worst(n),
        Kind::Protobuf => protobuf_worst(n),
        Kind::Columns => columns_worst(n),
        Kind::SenmlCbor | Kind::SenmlDecimal => senml_cbor_worst(n),
        Kind::SenmlJson => senml_json_worst(n),
        Kind::Sparkplug => sparkplug_worst(n),
        Kind::Json => json_worst(n),
    }
}

fn repeat(n: usize, head: &str, item: &dyn Fn(usize) -> String, tail: &str) -> Vec<u8> {
    let items: Vec<_> = (0..n).map(item).collect();
    format!("{head}{}{tail}", items.join(",")).into_bytes()
}

fn cbor_worst(n: usize) -> Vec<Worst> {
    let cbor = |key: &[u8], items: &dyn Fn(usize) -> Vec<u8>| {
        let mut out = vec![0xa4, 0x61, b't', 0, 0x61, b'v', 1];
        out.extend_from_slice(key);
        out.push(0x1a_u8 | 0x80);
        out.extend_from_slice(&(n as u32).to_be_bytes());
        (0..n).for_each(|i| out.extend(items(i)));
        out
    };

    vec![
        ("sensors", cbor(b"\x67sensors", &|_| vec![0x82, 0, 0x60])),
        ("rows", cbor(b"\x64rows", &|_| vec![0x83, 0, 0, 0xf6])),
        ("seqs", cbor(b"\x64seqs", &|_| vec![1])),
        ("keys", {
            let key = |i| [&[0x63], format!("{i:03x}").get(..3).unwrap().as_bytes(), &[0]].concat();
            [
                &[0xb9_u8],
                (n as u16).to_be_bytes().as_slice(),
                &(0..n.min(4096)).flat_map(key).collect::<Vec<_>>(),
            ]
            .concat()
        }),
    ]
}

fn protobuf_worst(n: usize) -> Vec<Worst> {
    let all = |item: &[u8]| [&[8, 1], item.repeat(n).as_slice()].concat();
    vec![
        ("empty sensors", all(&[0x42, 0])),
        ("empty rows", all(&[0x4a, 0])),
        ("seqs one by one", all(&[0x50, 1])),
        ("seqs packed", {
            let long = [n as u8 | 0x80, (n >> 7) as u8 | 0x80, (n >> 14) as u8];
            [&[8, 1, 0x52], long.as_slice(), vec![1; n].as_slice()].concat()
        }),
        // Sensor 0 is there, so that these are read to the end.
        ("texts of one byte", [&[8, 1, 0x42, 0], [0x4a, 3, 0x3a, 1, b'x'].repeat(n).as_slice()].concat()),
    ]
}

fn columns_worst(n: usize) -> Vec<Worst> {
    let all = |item: &[u8]| [&[8, 1], item.repeat(n).as_slice()].concat();
    let long = [n as u8 | 0x80, (n >> 7) as u8 | 0x80, (n >> 14) as u8];
    let packed = |key: &[u8]| [key, long.as_slice(), vec![0; n].as_slice()].concat();
    vec![
        ("empty sensors", all(&[0x42, 0])),
        ("seqs packed", [&[8, 1], packed(&[0x52]).as_slice()].concat()),
        // Nulls: two bytes per reading.
        ("nulls", [&[8, 1, 0x42, 0, 0xaa, 1, 1, 6], packed(&[0x5a]).as_slice(), &packed(&[0x62])].concat()),
        ("sensors one by one", all(&[0x58, 0])),
    ]
}

fn senml_cbor_worst(n: usize) -> Vec<Worst> {
    let pack = |record: &dyn Fn(usize) -> Vec<u8>| {
        let n = n.max(2);
        let mut out = vec![0x9a];
        out.extend_from_slice(&(n as u32).to_be_bytes());
        // {-2: "a", -3: 2^29, 2: 0}
        out.extend([0xa3, 0x21, 0x61, b'a', 0x22, 0x1a, 0x20, 0, 0, 0, 2, 0]);
        (1..n).for_each(|i| out.extend(record(i)));
        out
    };
    vec![
        ("values", pack(&|_| vec![0xa1, 2, 0])),
        ("sums", pack(&|_| vec![0xa1, 5, 0])),
        ("sensors", pack(&|i| [&[0xa2, 0, 0x63], &hex3(i)[..], &[2, 0]].concat())),
        ("units", pack(&|i| [&[0xa2, 1, 0x63], &hex3(i)[..], &[5, 0]].concat())),
        ("base names", pack(&|i| [&[0xa2, 0x21, 0x63], &hex3(i)[..], &[2, 0]].concat())),
        (
            "long base name",
            pack(&|i| {
                let base = if i == 1 { [&[0x21, 0x79, 0x10, 0][..], &[b'b'; 4096]].concat() } else { vec![] };
                let fields = if i == 1 { 0xa3 } else { 0xa2 };
                [&[fields, 0, 0x63], &hex3(i)[..], &[2, 0], &base].concat()
            }),
        ),
        ("texts", pack(&|_| vec![0xa1, 3, 0x60])),
        ("unknown", pack(&|_| vec![0xa1, 0x61, b'x', 0])),
    ]
}

fn senml_json_worst(n: usize) -> Vec<Worst> {
    vec![
        ("values", repeat(n, r#"[{"bn":"a","bt":536870912,"v":0},"#, &|_| r#"{"v":0}"#.into(), "]")),
        (
            "sensors",
            repeat(n, r#"[{"bn":"a","bt":536870912,"v":0},"#, &|i| format!(r#"{{"n":"{i:x}","v":0}}"#), "]"),
        ),
        (
            "escapes",
            repeat(
                n,
                r#"[{"bn":"\n","bu":"\n","bt":536870912,"v":0},"#,
                &|i| format!(r#"{{"n":"\n{i}","s":0}}"#),
                "]",
            ),
        ),
        ("long base name", {
            let long = "\\n".repeat(4096);
            repeat(
                n,
                &format!(r#"[{{"bn":"{long}","bu":"{long}","bt":536870912,"v":0}},"#),
                &|i| format!(r#"{{"n":"{i}","v":0}}"#),
                "]",
            )
        }),
    ]
}

fn sparkplug_worst(n: usize) -> Vec<Worst> {
    let all = |item: &dyn Fn(usize) -> Vec<u8>| {
        (0..n).flat_map(|i| [vec![0x12, item(i).len() as u8], item(i)].concat()).chain([8, 1]).collect()
    };
    vec![
        ("values", all(&|_| vec![0x50, 0])),
        ("skipped", all(&|_| vec![])),
        ("names", all(&|i| [&[0x0a, 3], &hex3(i)[..], &[0x50, 0]].concat())),
        ("aliases", all(&|i| vec![0x10, i as u8 | 0x80, (i >> 7) as u8, 0x50, 0])),
        ("nulls", all(&|_| vec![0x38, 1])),
        ("one alias", all(&|_| vec![0x10, 7])),
        ("bare names", all(&|i| [&[0x0a, 3], &hex3(i)[..]].concat())),
        (
            "wide aliases",
            all(&|i| vec![0x10, i as u8 | 0x80, (i >> 7) as u8 | 0x80, 0x80, 0x80, 0x10, 0x50, 0]),
        ),
    ]
}

fn json_worst(n: usize) -> Vec<Worst> {
    vec![
        ("readings", repeat(n, r#"{"readings":["#, &|_| r#"{"sensor":"","ts":0,"value":0}"#.into(), "]}")),
        (
            "sensors",
            repeat(n, r#"{"readings":["#, &|i| format!(r#"{{"sensor":"{i:x}","ts":0,"value":0}}"#), "]}"),
        ),
        (
            "escapes",
            repeat(
                n,
                r#"{"readings":["#,
                &|_| r#"{"sensor":"\n","ts":0,"value":"\n","unit":"\n"}"#.into(),
                "]}",
            ),
        ),
        ("seqs", repeat(n, r#"{"id":"1-1-1-1","seqs":["#, &|_| "1".into(), r#"],"readings":[]}"#)),
        ("keys", repeat(n, "{", &|i| format!("\"{i:x}\":0"), "}")),
        ("long text with an escape", format!(r#"{{"readings":[{{"value":"\n{}"}}]}}"#, "x".repeat(n)).into()),
        ("no readings", repeat(n, r#"{"readings":["#, &|_| "{}".into(), "]}")),
    ]
}

#[test]
fn worst_cases_stay_under_the_stated_factor() {
    for kind in KINDS {
        for n in [1, 10, 1000, 5000] {
            for (what, input) in worst(kind, n) {
                let ratio = assert_bounded(kind, what, &input);
                println!("{kind:?} {what} × {n}: {ratio:.1} bytes per byte");
            }
        }
    }
}

/// Bytes per byte of a payload: a record has more fields than a batch's reading.
const IMPORT_FACTOR: usize = 64;

#[test]
fn importing_the_shortest_readings_stays_under_the_stated_factor() {
    for n in [1, 10, 1000, 30_000] {
        let items = format!("[{}]", vec![r#"{"v":0}"#; n].join(","));
        // 256 fields per object: duplicates are found by comparing each with all.
        let object = (0..n.min(256)).map(|i| format!("\"{i:x}\":0")).collect::<Vec<_>>().join(",");
        let fields = format!("[{}]", vec![format!("{{{object}}}"); n.div_ceil(256)].join(","));
        let list = format!(r#"{{"l":{items}}}"#);
        let map = FieldMap::default().value("v");
        let each = |object| map.clone().each(object);
        for (what, input, map) in
            [("items", items, map.clone()), ("fields", fields, each("")), ("list", list, each("/l"))]
        {
            let used = allocated(|| import(input.as_bytes(), &map));
            println!("import {what} × {n}: {:.1} bytes per byte", used as f64 / input.len() as f64);
            assert!(used <= IMPORT_FACTOR * input.len() + CONSTANT, "{what}: {used} for {}", input.len());
        }
    }
}

#[test]
fn small_inputs_that_claim_gigabytes_allocate_next_to_nothing() {
    let claims: [(Kind, &[u8]); 11] = [
        (Kind::Cbor, &[0xbb, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        (Kind::Cbor, &[0x9b, 0x00, 0x00, 0x00, 0x7f, 0xff, 0xff, 0xff, 0xff]),
        (Kind::Cbor, &[0xa1, 0x64, b'r', b'o', b'w', b's', 0x9a, 0x7f, 0xff, 0xff, 0xff]),
        (Kind::Cbor, &[0xa1, 0x67, b's', b'e', b'n', b's', b'o', b'r', b's', 0x9a, 0x7f, 0xff, 0xff, 0xff]),
        (Kind::SenmlCbor, &[0x9b, 0x00, 0x00, 0x00, 0x7f, 0xff, 0xff, 0xff, 0xff]),
        (Kind::SenmlCbor, &[0x81, 0xbb, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        (Kind::SenmlCbor, &[0x81, 0xa1, 0x00, 0x7b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        (Kind::Columns, &[0x08, 0x01, 0x6a, 0xff, 0xff, 0xff, 0xff, 0x7f]),
        (Kind::Sparkplug, &[0x12, 0xff, 0xff, 0xff, 0xff, 0x7f]),
        (Kind::Protobuf, &[0x42, 0xff, 0xff, 0xff, 0xff, 0x7f]),
        (Kind::Protobuf, &[0x4a, 0x07, 0x3a, 0xff, 0xff, 0xff, 0xff, 0x7f, 0x00]),
    ];
    for (kind, input) in claims {
        assert!(allocated(|| consume(kind, input)) < 512, "{kind:?} {input:x?}");
        assert!(kind.decode(input, &wide()).is_err());
    }
}

#[test]
fn mutated_batches_stay_under_the_stated_factor() {
    let n = cases(200_000);
    for kind in KINDS {
        let table = kind.table();
        let mut rng = Rng(seed());
        let mut enc = AnyEncoder::new(kind, &table);
        kind.samples().iter().for_each(|r| enc.push(r).unwrap());
        let good = enc.finish_under(usize::MAX).unwrap().to_vec();
        for _ in 0..n {
            let mut bad = good.clone();
            for _ in 0..=rng.below(4) {
                let at = rng.below(bad.len());
                bad[at] = rng.next() as u8;
            }
            assert_bounded(kind, "mutated", &bad);
        }
        println!("executed codec.allocation.{kind:?}: {n} cases");
    }
}

/// Ten times the readings cost some allocations more, since lists grow by doubling, but not one per reading; what must be
/// converted aside: a text with an escape, bytes that stand in base64.
#[test]
fn no_decoder_allocates_per_reading() {
    let table = support::plain_table();
    for kind in KINDS {
        let made = |rows: usize| {
            let mut enc = AnyEncoder::new(kind, &table);
            let readings = (0..rows).flat_map(|n| {
                let at =
                    move |value| Reading { sensor: 0, time: 1_580_515_200_000 + n as i64, value, quality: 0 };
                [at(Value::F64(n as f64 / 8.0)), at(Value::Bool(n % 2 == 0)), at(Value::Text("plain".into()))]
            });
            readings.for_each(|r| enc.push(&r).unwrap());
            enc.finish_under(usize::MAX).unwrap()
        };
        let [few, many] = [100, 1000].map(|rows| {
            let input = made(rows);
            allocations(|| consume(kind, &input))
        });
        println!("{kind:?}: {few} allocations for 300 readings, {many} for 3000");
        assert!(many <= few + 16, "{kind:?}: {few}, then {many}");
    }
}

/// A node's data read with its birth: both stay under the factor of payloads.
#[test]
fn sparkplug_births_and_their_data_stay_under_the_stated_factor() {
    let table = table();
    let encode = |mut enc: sparkplug::Encoder<_>| {
        Kind::Sparkplug.samples().iter().for_each(|r| enc.push(r).unwrap());
        enc.finish_under(usize::MAX).unwrap().to_vec()
    };
    let birth = encode(sparkplug::Encoder::new(&table).birth());
    let data = encode(sparkplug::Encoder::new(&table).aliases());
    let good = Birth::read(&birth, &wide()).unwrap();
    let bound = |input: &[u8]| factor(Kind::Sparkplug) * input.len() + CONSTANT;
    let (n, mut rng) = (cases(100_000), Rng(seed() ^ 3));
    let mutated = |rng: &mut Rng, from: &[u8]| {
        let (mut bad, at) = (from.to_vec(), rng.below(from.len()));
        bad[at] = rng.next() as u8;
        bad
    };
    // 3 600: the maps have just grown.
    for (what, worst) in [10, 1_000, 3_600, 5_000].into_iter().flat_map(sparkplug_worst) {
        let used = allocated(|| drop(std::hint::black_box(Birth::read(&worst, &wide()))));
        println!("birth, {what}: {:.1} bytes per byte", used as f64 / worst.len() as f64);
        assert!(used <= bound(&worst), "birth, {what}: {used} bytes for {}", worst.len());
    }
    for _ in 0..n {
        let (birth, data) = (mutated(&mut rng, &birth), mutated(&mut rng, &data));
        let used = allocated(|| drop(std::hint::black_box(Birth::read(&birth, &wide()))));
        assert!(used <= bound(&birth), "birth: {used} bytes for {}", birth.len());
        let used = allocated(|| {
            if let Ok(batch) = good.decode(&data, &wide()) {
                batch.for_each(|r| drop(std::hint::black_box(r)));
            }
        });
        assert!(used <= bound(&data), "data: {used} bytes for {}", data.len());
    }
    println!("executed codec.allocation.birth: {n} cases");
}

/// These decode their readings without any allocation, texts and bytes too; the table is one or two.
#[test]
fn cbor_and_columns_allocate_nothing_per_reading() {
    let table = table();
    for kind in [Kind::Cbor, Kind::Columns] {
        let mut enc = AnyEncoder::new(kind, &table);
        (0..100).flat_map(|_| samples()).for_each(|r| enc.push(&r).unwrap());
        let bytes = enc.finish_under(usize::MAX).unwrap();
        let mut batch = kind.decode(&bytes, &wide()).unwrap();
        let mut texts = 0;
        let used = allocated(|| {
            let text = |r: &Result<Reading<'_>, _>| matches!(r, Ok(r) if matches!(r.value, Value::Text(_)));
            texts = batch.by_ref().filter(text).count();
        });
        assert_eq!((used, texts), (0, 100), "{kind:?}");
    }
}

/// Negative control: the counter sees a reservation that follows a claimed length.
#[test]
fn the_counter_catches_a_decoder_that_trusts_a_length() {
    let claimed = 1_000_000;
    assert!(allocated(|| drop(std::hint::black_box(Vec::<u8>::with_capacity(claimed)))) >= claimed);
}
