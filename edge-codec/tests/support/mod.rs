//! Shared by the integration tests: seeds, budgets, readings of every kind.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test support; each file uses its part"
)]

use edge_codec::protobuf::columns;
use edge_codec::{
    Batch, BatchEncoder, DecodeError, Format, Limits, Reading, SensorTable, Value, cbor, json, protobuf,
    senml, sparkplug,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::borrow::Cow;
use std::ops::{Deref, DerefMut};

pub fn seed() -> u64 {
    std::env::var("EDGE_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(0x00ed_6e00)
}

/// `full` cases, scaled by the budget in percent.
pub fn cases(full: u64) -> u64 {
    let percent: u64 = std::env::var("EDGE_TEST_BUDGET").ok().and_then(|s| s.parse().ok()).unwrap_or(10);
    (full * percent.clamp(1, 100) / 100).max(1)
}

/// Executions of one decoder's fuzz loop: `EDGE_FUZZ_CASES`, or `full` scaled by the budget.
pub fn fuzz_cases(full: u64) -> u64 {
    let asked = std::env::var("EDGE_FUZZ_CASES").ok().and_then(|s| s.parse().ok());
    asked.unwrap_or_else(|| cases(full))
}

/// Runs a property over seeded cases and says how many.
pub fn property<S: Strategy>(
    name: &str,
    full: u64,
    strategy: &S,
    test: impl Fn(S::Value) -> Result<(), TestCaseError>,
) {
    let cases = cases(full);
    let config = Config { cases: cases as u32, failure_persistence: None, ..Config::default() };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed().to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    if let Err(e) = TestRunner::new_with_rng(config, rng).run(strategy, test) {
        panic!("{name}: {e}");
    }
    println!("executed {name}: {cases} cases");
}

/// SplitMix64 (Steele, Lea, Flood 2014).
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

/// The batch formats with a decoder, in the forms that are tested.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Json,
    Cbor,
    Protobuf,
    Columns,
    SenmlJson,
    SenmlCbor,
    /// SenML in CBOR with decimal fractions.
    SenmlDecimal,
    /// A birth: the form that carries names and units.
    Sparkplug,
}

pub const KINDS: [Kind; 8] = [
    Kind::Json,
    Kind::Cbor,
    Kind::Protobuf,
    Kind::Columns,
    Kind::SenmlJson,
    Kind::SenmlCbor,
    Kind::SenmlDecimal,
    Kind::Sparkplug,
];

impl Kind {
    pub fn decode<'a>(self, input: &'a [u8], limits: &Limits) -> Result<Batch<'a>, DecodeError> {
        match self {
            Kind::Json => json::decode(input, limits),
            Kind::Cbor => cbor::decode(input, limits),
            Kind::Protobuf => protobuf::decode(input, limits),
            Kind::Columns => columns::decode(input, limits),
            Kind::SenmlJson => senml::json::decode(input, limits),
            Kind::SenmlCbor | Kind::SenmlDecimal => senml::cbor::decode(input, limits),
            Kind::Sparkplug => sparkplug::decode(input, limits),
        }
    }

    /// Returns whether the format has a place for this reading.
    pub fn carries(self, reading: &Reading<'_>) -> bool {
        let finite = !matches!(reading.value, Value::F64(v) if !v.is_finite());
        match self {
            Kind::Json => finite,
            Kind::Cbor | Kind::Protobuf | Kind::Columns => true,
            // From 2^28 s on, to the year 9999.
            Kind::SenmlJson | Kind::SenmlCbor | Kind::SenmlDecimal => {
                let time = (268_435_456_000..=253_402_300_799_999).contains(&reading.time);
                finite && time && reading.value != Value::Null
            }
            Kind::Sparkplug => reading.time >= 0,
        }
    }

    /// Sensors with names the format allows.
    pub fn table(self) -> SensorTable<'static> {
        match self {
            Kind::SenmlJson | Kind::SenmlCbor | Kind::SenmlDecimal => plain_table(),
            _ => table(),
        }
    }

    /// One of everything that the format carries.
    pub fn samples(self) -> Vec<Reading<'static>> {
        samples().into_iter().chain(non_finite()).filter(|r| self.carries(r)).collect()
    }

    /// Entries of the sensor table in a batch of the samples: in columns one per kind of value.
    pub fn sensors(self) -> usize {
        let mut seen = Vec::new();
        for r in self.samples() {
            let kind = (self == Kind::Columns).then(|| std::mem::discriminant(&r.value));
            if !seen.contains(&(r.sensor, kind)) {
                seen.push((r.sensor, kind));
            }
        }
        seen.len()
    }

    /// Returns whether a decoded reading has the number its sensor was given; else the name alone tells.
    pub fn keeps_numbers(self) -> bool {
        matches!(self, Kind::Cbor | Kind::Protobuf | Kind::Columns | Kind::Sparkplug)
    }

    /// Returns whether identity, mark and sequence runs are carried.
    pub fn keeps_identity(self) -> bool {
        self != Kind::Sparkplug
    }

    /// Returns whether what a reading takes depends on all that wait: SenML's base fields do.
    pub fn looks_ahead(self) -> bool {
        matches!(self, Kind::SenmlJson | Kind::SenmlCbor | Kind::SenmlDecimal)
    }

    /// Returns what a quality reads as.
    pub fn quality(self, sent: u32) -> u32 {
        match (self, sent >> 30) {
            (Kind::Sparkplug, 0) => 0,
            (Kind::Sparkplug, 1) => 0x4090_0000,
            (Kind::Sparkplug, _) => 0x8000_0000,
            _ => sent,
        }
    }
}

/// An encoder of each kind.
pub struct AnyEncoder<'t>(pub Box<dyn BatchEncoder + Send + 't>);

impl<'t> AnyEncoder<'t> {
    pub fn new(kind: Kind, table: &'t SensorTable<'t>) -> Self {
        Self(match kind {
            Kind::Json => Format::Json.encoder(table).unwrap(),
            Kind::Cbor => Format::Cbor.encoder(table).unwrap(),
            Kind::Protobuf => Format::Protobuf.encoder(table).unwrap(),
            Kind::Columns => Format::Columns.encoder(table).unwrap(),
            Kind::SenmlJson => Format::SenmlJson.encoder(table).unwrap(),
            Kind::SenmlCbor => Format::SenmlCbor.encoder(table).unwrap(),
            Kind::SenmlDecimal => Box::new(senml::cbor::Encoder::new(table).decimal_fractions(true)),
            Kind::Sparkplug => Format::Sparkplug.encoder(table).unwrap(),
        })
    }

    pub fn identify(mut self, id: edge_codec::BatchId, pd: bool) -> Self {
        self.0.set_id(id);
        self.0.set_possible_duplicate(pd);
        self
    }
}

impl<'t> Deref for AnyEncoder<'t> {
    type Target = dyn BatchEncoder + Send + 't;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl DerefMut for AnyEncoder<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut *self.0
    }
}

pub fn table() -> SensorTable<'static> {
    let mut t = SensorTable::new();
    t.insert(0, "line2/temp", "Cel");
    t.insert(1, "line2/\"quoted\"\\\n\u{1}\u{1f600}", "\u{b0}F");
    t.insert(2, "", "");
    t.insert(300, "x".repeat(300), "bar");
    t.insert(70_000, "plant/1/data", "");
    t.insert(u32::MAX, "last", "%");
    t
}

/// The same sensors with names as RFC 8428 allows them.
pub fn plain_table() -> SensorTable<'static> {
    let mut t = SensorTable::new();
    t.insert(0, "line2/temp", "Cel");
    t.insert(1, "line2/quoted", "\u{b0}F");
    t.insert(2, "line2/none", "");
    t.insert(300, format!("line2/{}", "x".repeat(300)), "bar");
    t.insert(70_000, "line2/data", "");
    t.insert(u32::MAX, "line2/last", "%");
    t
}

pub const IDS: [u32; 6] = [0, 1, 2, 300, 70_000, u32::MAX];

pub fn value() -> impl Strategy<Value = Value<'static>> {
    let special: Vec<f64> = [
        0.0,
        -0.0,
        1.0,
        0.1,
        5e-324,
        f64::MAX,
        f64::MIN_POSITIVE,
        65504.0,
        65505.0,
        1e16,
        9007199254740993.0,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        -f64::NAN,
    ]
    .into_iter()
    .chain(
        [0x7ff0_0000_0000_0001, 0x7ff8_0000_0000_0001, 0xfff4_0000_0000_0000, 0x7ff0_0400_0000_0000]
            .map(f64::from_bits),
    )
    .collect();
    prop_oneof![
        4 => any::<u64>().prop_map(|b| Value::F64(f64::from_bits(b))),
        4 => any::<f32>().prop_map(|v| Value::F64(f64::from(v))),
        4 => (-100_000..100_000_i64).prop_map(|v| Value::F64(v as f64 / 100.0)),
        4 => proptest::sample::select(special).prop_map(Value::F64),
        3 => any::<i64>().prop_map(Value::I64),
        2 => (-300..300_i64).prop_map(Value::I64),
        2 => any::<u64>().prop_map(Value::U64),
        1 => proptest::sample::select(vec![(1 << 53) + 1, i64::MAX, i64::MIN, -1]).prop_map(Value::I64),
        1 => any::<bool>().prop_map(Value::Bool),
        1 => Just(Value::Null),
        2 => any::<String>().prop_map(|v| Value::Text(Cow::Owned(v))),
        2 => proptest::collection::vec(any::<u8>(), 0..40).prop_map(|v| Value::Bytes(Cow::Owned(v))),
    ]
}

pub fn reading() -> impl Strategy<Value = Reading<'static>> {
    let time = prop_oneof![
        8 => (0..10_000_i64).prop_map(|v| 1_580_515_200_000 + v),
        1 => any::<i64>(),
        1 => proptest::sample::select(vec![i64::MIN, i64::MAX, 0, -1]),
    ];
    let quality = prop_oneof![6 => Just(0), 1 => Just(0x8008_0000), 1 => any::<u32>()];
    (proptest::sample::select(IDS.to_vec()), time, value(), quality)
        .prop_map(|(sensor, time, value, quality)| Reading { sensor, time, value, quality })
}

/// Fixed readings with one of everything JSON can carry.
pub fn samples() -> Vec<Reading<'static>> {
    let values = [
        Value::F64(53.600_000_000_000_01),
        Value::F64(-0.0),
        Value::F64(5e-324),
        Value::F64(1e300),
        Value::F64(1.5),
        Value::F64(100_000.0),
        Value::I64(-1),
        Value::I64((1 << 53) + 1),
        Value::I64(i64::MIN),
        Value::U64(u64::MAX),
        Value::Bool(true),
        Value::Bool(false),
        Value::Null,
        Value::Text(Cow::Borrowed("\u{fc}ber \"9000\"\n")),
        Value::Bytes(Cow::Borrowed(&[0, 1, 0xfe, 0xff])),
    ];
    let at = |i: usize, value| Reading {
        sensor: IDS[i % IDS.len()],
        time: 1_580_515_200_000 + 250 * i as i64 - 700 * (i % 2) as i64,
        value,
        quality: if i % 5 == 4 { 0x8008_0000 } else { 0 },
    };
    values.into_iter().enumerate().map(|(i, v)| at(i, v)).collect()
}

/// Returns what JSON alone cannot carry.
pub fn non_finite() -> Vec<Reading<'static>> {
    let bits = [0x7ff8_0000_0000_0000, 0xfff8_0000_0000_0001, 0x7ff0_0000_0000_0001];
    let values = bits.map(f64::from_bits).into_iter().chain([f64::INFINITY, f64::NEG_INFINITY]);
    values.map(|v| Reading { sensor: 0, time: 1_580_515_200_000, value: Value::F64(v), quality: 0 }).collect()
}

/// Readings of a wide CSV (tests/data/README.md), the names after `prefix`.
pub fn series<'a>(csv: &'a str, prefix: &str) -> (SensorTable<'a>, Vec<Reading<'a>>) {
    let mut lines = csv.lines();
    let mut table = SensorTable::new();
    let mut kinds = Vec::new();
    for (i, column) in lines.next().unwrap().split(',').skip(1).enumerate() {
        let [name, kind, unit] = column.split(':').collect::<Vec<_>>()[..] else { panic!("{column}") };
        table.insert(i as u32, format!("{prefix}{name}"), unit);
        kinds.push(kind);
    }
    let mut readings = Vec::new();
    for line in lines {
        let mut cells = line.split(',');
        let time = cells.next().unwrap().parse().unwrap();
        for ((sensor, cell), kind) in (0..).zip(cells).zip(&kinds).filter(|((_, cell), _)| !cell.is_empty()) {
            let value = match *kind {
                "f64" => Value::F64(cell.parse().unwrap()),
                "int" => Value::I64(cell.parse().unwrap()),
                "bool" => Value::Bool(cell != "0"),
                other => panic!("{other}"),
            };
            readings.push(Reading { sensor, time, value, quality: 0 });
        }
    }
    (table, readings)
}
