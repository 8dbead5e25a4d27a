//! Histories of a compact topic: what its sensors say and when, what the encoder lives through, and what a hub has of it.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "test support; each file uses its part")]

use super::session::{Reader, Session, TableId, wide};
use super::support::Rng;
use edge_codec::compact::{Encoder, Level, table_wanted};
use edge_codec::{BatchId, Reading, SensorTable, Value};
use proptest::prelude::*;
use std::collections::{BTreeMap, HashMap};

/// A sensor's kind of values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Says {
    RunStop,
    FewTexts,
    AnyText,
    Null,
    NullOrNumber,
    Bool,
    /// As JavaScript writes numbers: 20, 20.5, 21.
    IntegersAmongFloats,
    Counter,
    Walk,
    AnyBits,
    Large,
    Bytes,
    Constant,
    /// All of them by turns.
    Mixed,
}

pub const SAYS: [Says; 14] = [
    Says::RunStop,
    Says::FewTexts,
    Says::AnyText,
    Says::Null,
    Says::NullOrNumber,
    Says::Bool,
    Says::IntegersAmongFloats,
    Says::Counter,
    Says::Walk,
    Says::AnyBits,
    Says::Large,
    Says::Bytes,
    Says::Constant,
    Says::Mixed,
];

impl Says {
    fn value(self, nth: i64, rng: &mut Rng) -> Value<'static> {
        match self {
            Says::RunStop => Value::Text(if nth / 25 % 2 == 0 { "RUN" } else { "STOP" }.into()),
            Says::FewTexts => Value::Text(format!("state{}", rng.below(3)).into()),
            Says::AnyText => {
                let start = ["", "\u{fc}", "\""][rng.below(3)];
                Value::Text(format!("{start}{:x}", rng.next() >> (rng.below(16) * 4)).into())
            }
            Says::Null => Value::Null,
            Says::NullOrNumber if rng.below(10) < 3 => Value::Null,
            Says::NullOrNumber => Value::F64(20.0 + rng.below(9) as f64 / 10.0),
            Says::Bool => Value::Bool(rng.below(5) == 0),
            Says::IntegersAmongFloats => match rng.below(3) {
                0 => Value::I64(20),
                1 => Value::F64(20.5),
                _ => Value::I64(21),
            },
            Says::Counter => Value::I64(nth * 7 - 3),
            Says::Walk => Value::F64((1000 + nth + rng.below(9) as i64) as f64 / 10.0),
            Says::AnyBits => Value::F64(f64::from_bits(rng.next())),
            Says::Large => Value::U64(u64::MAX - rng.next() % 100),
            Says::Bytes => Value::Bytes(rng.next().to_le_bytes()[..rng.below(8)].to_vec().into()),
            Says::Constant => Value::F64(1.5),
            Says::Mixed => SAYS[rng.below(SAYS.len() - 1)].value(nth, rng),
        }
    }
}

/// Distribution of the readings' times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Clock {
    /// All sensors at once, each 50 ms.
    Polled,
    Jitter,
    /// Each sensor when it likes.
    Irregular,
    /// Many at one time.
    Bursts,
    Backwards,
    Anywhere,
}

pub const CLOCKS: [Clock; 6] =
    [Clock::Polled, Clock::Jitter, Clock::Irregular, Clock::Bursts, Clock::Backwards, Clock::Anywhere];

impl Clock {
    fn next(self, time: i64, first_of_poll: bool, rng: &mut Rng) -> i64 {
        match self {
            Clock::Polled => time + if first_of_poll { 50 } else { 0 },
            Clock::Jitter if first_of_poll => time + 1000 + rng.below(7) as i64,
            Clock::Jitter => time,
            Clock::Irregular => time + rng.below(100_000) as i64,
            Clock::Bursts => time + if rng.below(20) == 0 { 60_000 } else { 0 },
            Clock::Backwards => time + rng.below(2000) as i64 - 1200,
            Clock::Anywhere => rng.next().cast_signed(),
        }
    }
}

/// Distribution of the numbers left out before a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Holes {
    None,
    Few,
    Long,
    /// Up to 2^40.
    Steps,
}

impl Holes {
    fn next(self, rng: &mut Rng) -> u64 {
        match self {
            Holes::None => 0,
            Holes::Few if rng.below(5) > 0 => 0,
            Holes::Few => rng.below(4) as u64,
            Holes::Long | Holes::Steps if rng.below(40) > 0 => 0,
            Holes::Long => rng.below(20_000) as u64,
            Holes::Steps => (1 << rng.below(41)) - rng.below(2) as u64,
        }
    }
}

/// References of a batch to its sensors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Naming {
    Numbers,
    Names,
    /// A table of names, which is never replaced by one that learned.
    NameTables,
    LearnedTables,
}

#[derive(Clone, Debug)]
pub struct History {
    pub level: Level,
    pub naming: Naming,
    pub sensors: usize,
    /// Taken in turn by the sensors.
    pub says: Vec<Says>,
    pub clock: Clock,
    pub holes: Holes,
    pub id: bool,
    /// Readings pushed before each call for a batch.
    pub rounds: Vec<usize>,
    pub max: usize,
    pub seed: u64,
}

/// Histories of all these kinds; `levels` to choose from.
pub fn histories(levels: &[Level]) -> impl Strategy<Value = History> {
    let namings = vec![
        Naming::Numbers,
        Naming::Names,
        Naming::NameTables,
        Naming::LearnedTables,
        Naming::LearnedTables,
    ];
    let sensors = prop_oneof![
        6 => 1_usize..4,
        2 => proptest::sample::select(vec![10_usize, 127, 128, 129]),
        1 => Just(300_usize),
    ];
    let holes = vec![Holes::None, Holes::Few, Holes::Long, Holes::Steps];
    let what = (
        proptest::sample::select(levels.to_vec()),
        proptest::sample::select(namings),
        sensors,
        proptest::collection::vec(proptest::sample::select(SAYS.to_vec()), 1..4),
    );
    let when = (
        proptest::sample::select(CLOCKS.to_vec()),
        proptest::sample::select(holes),
        prop::bool::weighted(0.8),
    );
    let rounds = proptest::collection::vec(prop_oneof![0_usize..6, 50_usize..300], 1..10);
    let max = proptest::sample::select(vec![usize::MAX, 16_184, 2000, 600]);
    (what, when, rounds, max, any::<u64>()).prop_map(
        |((level, naming, sensors, says), (clock, holes, id), rounds, max, seed)| History {
            level,
            naming,
            sensors,
            says,
            clock,
            holes,
            id,
            rounds,
            max,
            seed,
        },
    )
}

/// A row as it was pushed.
pub type Row = (u64, Reading<'static>);

/// A hub's view of a history: all tables that were announced, and each batch with the rows it was made of.
#[derive(Debug, Default)]
pub struct Hub {
    pub tables: HashMap<TableId, Vec<u8>>,
    pub batches: Vec<(Vec<u8>, Vec<Row>)>,
}

const START: BatchId = BatchId { gateway: 7, lane: 1, epoch: 2, first_seq: 1000 };

impl History {
    /// Numbers that need one byte and more.
    fn sensor(&self, nth: usize) -> u32 {
        let base = [0, 100, 16_300, u32::MAX - 20_000][(self.seed % 4) as usize];
        base + nth as u32
    }

    pub fn names(&self, sensors: usize) -> SensorTable<'static> {
        let mut table = SensorTable::new();
        for nth in 0..sensors {
            let unit = ["", "Cel", "\u{b0}F"][nth % 3];
            table.insert(self.sensor(nth), format!("line{}/sensor {nth}", nth % 7), unit);
        }
        table
    }

    fn session(&self, version: u32, sensors: usize, rows: &[Row]) -> Option<Session> {
        let sample: Vec<_> = rows.iter().map(|(_, r)| r.clone()).collect();
        match self.naming {
            Naming::Numbers | Naming::Names => None,
            Naming::NameTables => Some(Session::names(version, &self.names(sensors))),
            Naming::LearnedTables => Some(Session::learn(version, &self.names(sensors), &sample)),
        }
    }

    /// Lives through it with one encoder.
    pub fn play(&self) -> Hub {
        let mut rng = Rng(self.seed);
        let mut hub = Hub::default();
        let mut rows: Vec<Row> = Vec::new();
        // Half of the sensors come with a later table.
        let mut known = if self.seed & 16 == 0 { self.sensors } else { self.sensors.div_ceil(2) };
        let mut encoder: Encoder<SensorTable<'static>> = match self.session(1, known, &[]) {
            Some(session) => {
                hub.announce(&session);
                session.encoder(self.level)
            }
            None if self.naming == Naming::Names => Encoder::new(self.names(self.sensors)).level(self.level),
            None => Encoder::numbered().level(self.level),
        };
        if self.id {
            encoder = encoder.id(START).possible_duplicate(self.seed & 32 == 0);
        }
        let (mut seq, mut time, mut left, mut count) = (START.first_seq, 1_580_515_200_000, 0, 0);
        for (round, pushes) in self.rounds.iter().enumerate() {
            if round > 0 && rng.below(3) == 0 {
                known = self.sensors;
                if let Some(session) =
                    self.session(1 + round as u32, known, &rows[rows.len().saturating_sub(2000)..])
                {
                    hub.announce(&session);
                    session.set(&mut encoder);
                }
            }
            for _ in 0..*pushes {
                let nth = count % known;
                time = self.clock.next(time, nth == 0, &mut rng);
                let value = self.says[nth % self.says.len()].value((count / known) as i64, &mut rng);
                let quality = [0, 0x8000_0000, rng.next() as u32]
                    [[0, 0, 0, 0, 0, 0, 1, 2][rng.below(8) * usize::from(self.seed & 64 == 0)]];
                let reading = Reading { sensor: self.sensor(nth), time, value, quality };
                seq += self.holes.next(&mut rng);
                if self.id {
                    encoder.push_at(seq, &reading).unwrap();
                } else {
                    encoder.push(&reading).unwrap();
                }
                rows.push((seq, reading));
                (seq, count) = (seq + 1, count + 1);
            }
            // What waits may go with the next round; at the end nothing waits.
            let last = round + 1 == self.rounds.len();
            while !encoder.is_empty() && (last || rng.below(4) > 0) {
                let bytes = encoder.finish_under(self.max).unwrap().to_vec();
                assert!(bytes.len() <= self.max);
                let end = rows.len() - encoder.len();
                hub.batches.push((bytes, rows[left..end].to_vec()));
                left = end;
            }
        }
        assert_eq!(left, rows.len(), "all rows are in batches");
        hub
    }

    /// Plays it and reads each batch as a stranger does: by the announced bytes, read anew, and in another order.
    pub fn check(&self) {
        let hub = self.play();
        for (bytes, rows) in hub.batches.iter().rev() {
            let wanted = table_wanted(bytes, &wide()).unwrap();
            let by_table = matches!(self.naming, Naming::NameTables | Naming::LearnedTables);
            assert_eq!(wanted.is_some(), by_table && !rows.is_empty());
            let reader = match wanted {
                Some(id) => Reader::of(&hub.tables[&id], &wide()).unwrap(),
                None => Reader::without_table(),
            };
            let mut batch = reader.decode(bytes, &wide()).unwrap();
            let id = self.id.then(|| BatchId { first_seq: rows[0].0, ..START });
            assert_eq!((batch.header().id, batch.header().pd), (id, self.id && self.seed & 32 == 0));
            let names = self.names(self.sensors);
            if self.naming != Naming::Numbers {
                for (_, row) in rows {
                    assert_eq!(batch.sensors().get(row.sensor), names.get(row.sensor));
                }
            }
            let mut got = Vec::new();
            while batch.len() > 0 {
                let seq = batch.next_seq();
                got.push((seq, batch.next().unwrap().unwrap()));
            }
            assert_eq!(got.len(), rows.len());
            if self.id {
                for ((seq, got), (number, sent)) in got.iter().zip(rows) {
                    assert_eq!(*seq, Some(*number));
                    assert!(got.same(sent), "sent {sent:?}, got {got:?}");
                }
            } else {
                // Each sensor's as they were pushed.
                let mut sent: BTreeMap<u32, Vec<&Reading<'_>>> = BTreeMap::new();
                rows.iter().for_each(|(_, r)| sent.entry(r.sensor).or_default().push(r));
                let mut sent: BTreeMap<_, _> =
                    sent.into_iter().map(|(s, rows)| (s, rows.into_iter())).collect();
                for (seq, got) in &got {
                    let sent = sent.get_mut(&got.sensor).unwrap().next().unwrap();
                    assert!(seq.is_none() && got.same(sent), "sent {sent:?}, got {got:?}");
                }
            }
        }
    }
}

impl Hub {
    fn announce(&mut self, session: &Session) {
        self.tables.insert(session.id(), session.announced().to_vec());
    }
}
