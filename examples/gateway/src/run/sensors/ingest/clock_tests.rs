//! Whatever the clocks say: every acknowledged reading is in a row, stood for within the tolerance, or dropped as the
//! rules ask for, and counted.

use std::path::Path;

use bytes::Bytes;
use edge_bridge::ingest::{Answer, Inbound, Ingest, Now};
use edge_bridge::wire::{PropertiesBuilder, Publish, QoS, Utf8, Version};
use edge_codec::Value;
use edge_filter::DropReason;

use crate::config::Config;
use crate::run::filters::reading_row::ReadingRow;
use crate::run::hub::duplicate_marks::DuplicateMarks;
use crate::run::sensors::arrival_clock::ArrivalClock;

use super::GatewayIngest;

const WALL: i64 = 1_700_000_000_000;
const DAY: i64 = 86_400_000;
const TOLERANCE: f64 = 0.5;
const DEADBAND: &str = "[[rule]]\nmatch = \"#\"\nstages = [ { deadband = { absolute = 0.5 } } ]\n";

fn ingest(fields: &str, rules: &str) -> GatewayIngest {
    let text = format!(
        "[gateway]\nid=\"g\"\n[local]\nlisten=\"127.0.0.1:1\"\n[hub]\nurl=\"mqtt://h\"\n\
         [[route]]\nmatch=\"#\"\nto=\"up\"\nformat=\"json\"\n{fields}\n"
    );
    let (mut config, _) = Config::parse(Path::new("g.toml"), &text, &|_| None).unwrap();
    config.routes[0].rules = Some(rules.to_owned());
    GatewayIngest::new(&config.routes, DuplicateMarks::new(Now::default(), true)).unwrap()
}

/// A gateway with its clocks, and what it made of the readings that it acknowledged.
struct Story {
    ingest: GatewayIngest,
    arrival: ArrivalClock,
    now: Now,
    /// The newest time of any reading.
    received: i64,
    /// Time and value.
    rows: Vec<(i64, f64)>,
}

impl Story {
    fn of(ingest: GatewayIngest, wall_ms: i64) -> Self {
        let (arrival, now) = (ArrivalClock::default(), Now { up_ms: 1, wall_ms });
        Self { ingest, arrival, now, received: i64::MIN, rows: Vec::new() }
    }

    fn pass_ms(&mut self, ms: i64) {
        self.now.up_ms += ms.unsigned_abs();
        self.now.wall_ms += ms;
    }

    fn step_ms(&mut self, ms: i64) {
        self.now.wall_ms += ms;
    }

    /// Acknowledged; how many rows came of it.
    fn send(&mut self, ts: Option<i64>, value: f64) -> usize {
        let arrival = self.arrival.map(self.now).wall_ms;
        self.received = self.received.max(ts.unwrap_or(arrival));
        let ts = ts.map(|ts| format!("\"ts\":{ts},")).unwrap_or_default();
        let publish = Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: false,
            topic: Utf8::from_static("t"),
            packet_id: None,
            properties: PropertiesBuilder::new().finish(),
            payload: Bytes::from(format!("{{{ts}\"value\":{value:?}}}")),
        };
        let message = Inbound::new(Utf8::from_static("c"), Version::V5, &publish);
        let rows = match self.ingest.ingest(self.now, &message) {
            Answer::Store(rows) => rows,
            Answer::Absorb => Vec::new(),
            other => panic!("{other:?}"),
        };
        for row in &rows {
            let row = ReadingRow::decode(&row.payload).unwrap();
            let Value::F64(value) = row.value else { panic!("{row:?}") };
            self.rows.push((row.time, value));
        }
        rows.len()
    }

    /// Readings that came twice.
    fn repeated(&self) -> u64 {
        let counts = self.ingest.counts();
        counts.suppressed.iter().find(|(reason, _)| *reason == DropReason::Duplicate).unwrap().1
    }

    fn unfiltered(&self) -> u64 {
        self.ingest.counts().unfiltered.iter().map(|(_, count)| count).sum()
    }
}

/// Values that no tolerance stands for.
fn far_apart(n: usize) -> f64 {
    n as f64 * 3.0
}

/// A board without a clock of its own, or one that was set wrong: the sensors' clocks are right.
#[test]
fn no_reading_is_lost_while_the_gateways_own_clock_is_behind() {
    for behind_ms in [600_000, DAY, WALL] {
        for is_trusted in [false, true] {
            let ingest = ingest("", DEADBAND);
            ingest.trust_clock(is_trusted);
            let mut story = Story::of(ingest, WALL - behind_ms);
            for n in 0..200 {
                story.pass_ms(1_000);
                assert_eq!(story.send(Some(story.now.wall_ms + behind_ms), far_apart(n)), 1, "{n}");
            }
            // A clock that is not trusted judges nothing: the stage goes on saving.
            assert_eq!(story.unfiltered(), if is_trusted { 200 } else { 0 });
            assert_eq!(
                story.send(Some(story.now.wall_ms + behind_ms + 1), far_apart(199)),
                usize::from(is_trusted)
            );
        }
    }
}

#[test]
fn a_clock_that_is_set_back_under_load_loses_nothing_and_no_time_goes_back() {
    for back_ms in [30_000, 55_000, 600_000, DAY] {
        let mut story = Story::of(ingest("", DEADBAND), WALL);
        for n in 0..80 {
            story.pass_ms(200);
            if n == 40 {
                story.step_ms(-back_ms);
            }
            assert_eq!(story.send(None, far_apart(n)), 1, "{n} after {back_ms}");
        }
        assert!(story.rows.windows(2).all(|pair| pair[0].0 < pair[1].0), "{:?}", story.rows);
        assert_eq!(story.unfiltered(), 0, "in order, as ever");
    }
}

#[test]
fn a_sensor_whose_clock_is_ahead_or_behind_loses_nothing() {
    for ahead_ms in [120_000, 600_000, DAY, -600_000, -DAY] {
        let ingest = ingest("", DEADBAND);
        ingest.trust_clock(true);
        let mut story = Story::of(ingest, WALL);
        for n in 0..100 {
            story.pass_ms(1_000);
            assert_eq!(story.send(Some(story.now.wall_ms + ahead_ms), far_apart(n)), 1, "{n} at {ahead_ms}");
        }
    }
}

#[test]
fn a_live_reading_does_not_cost_a_sensor_its_own_backlog() {
    let mut story = Story::of(ingest("", DEADBAND), WALL);
    story.send(Some(WALL), 1.0);
    for n in 1..6 {
        assert_eq!(story.send(Some(WALL - 6_000 + n * 1_000), 1.0 + 0.1 * n as f64), 1);
    }
    assert_eq!(story.send(Some(WALL + 1_000), 1.0), 0, "the live one stands for it");
}

#[test]
fn equal_stamps_all_pass_and_the_tolerance_holds_afterwards() {
    let mut story = Story::of(ingest("fields = { time = \"ts\", time_unit = \"seconds\" }", DEADBAND), WALL);
    let second = WALL / 1_000;
    for value in [0.0, 100.0, -100.0, 50.0] {
        assert_eq!(story.send(Some(second), value), 1, "{value}");
    }
    assert_eq!(story.send(Some(second), 0.0), 0, "the very same again");
    assert_eq!(story.ingest.counts().suppressed.iter().map(|(_, count)| count).sum::<u64>(), 1, "is counted");
    assert_eq!(story.send(Some(second + 1), 0.25), 1, "or 50 would stand for it");
    assert_eq!(story.send(Some(second + 2), 0.5), 0);
}

/// The wall clock is taken as it is at a start: a sensor's time may be ahead of it then.
#[test]
fn a_clock_that_was_set_back_while_the_gateway_was_stopped_starts_sensors_again() {
    let mut first = Story::of(ingest("", DEADBAND), WALL);
    first.send(None, 1.0);
    let states: Vec<_> = first.ingest.filter_states().collect();
    let mut story = Story::of(ingest("", DEADBAND), WALL - 30_000);
    assert!(story.ingest.restore(story.now, states).is_empty());
    for n in 0..40 {
        story.pass_ms(200);
        assert_eq!(story.send(None, far_apart(n)), 1, "{n}");
    }
    assert_eq!(story.unfiltered(), 0, "the stage sees them");
}

#[test]
fn what_the_rules_drop_is_counted_as_lost() {
    let rules = format!("[defaults]\nout_of_order = \"drop\"\nfuture = \"drop\"\n{DEADBAND}");
    let mut story = Story::of(ingest("", &rules), WALL);
    assert_eq!(story.send(Some(WALL + 600_000), 1.0), 1, "a clock that is not trusted judges nothing");
    assert_eq!(story.send(Some(WALL), 9.0), 0);
    assert_eq!(story.ingest.counts().dropped_for_time(), 1);
    story.ingest.trust_clock(true);
    assert_eq!(story.send(Some(WALL + 700_000), 9.0), 0);
    assert_eq!(story.ingest.counts().dropped_for_time(), 2);
    story.ingest.trust_clock(false);
    assert_eq!(story.send(Some(WALL + 600_001), 1.25), 0, "stood for");
    assert_eq!(story.ingest.counts().dropped_for_time(), 2);
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % n
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

/// Random clocks and stamps; the oracle knows only what was sent and what became rows.
fn history(seed: u64, rules: &str) -> Result<(), String> {
    let (mut random, mut value) = (Random(seed), 20.0);
    let mut story = Story::of(ingest("", rules), random.pick(&[0, WALL - DAY, WALL]));
    let (mut sensor_ms, mut lost) = (WALL, 0);
    for step in 0..300 {
        let passed = random.pick(&[0, 1, 100, 1_000, 1_000, 70_000]);
        story.pass_ms(passed);
        sensor_ms += passed;
        match random.below(30) {
            0 => story.step_ms(random.pick(&[-DAY, -600_000, -30_000, 600_000, DAY])),
            1 => story.now.wall_ms = WALL + i64::try_from(story.now.up_ms).unwrap(),
            2 => sensor_ms += random.pick(&[-DAY, -600_000, -30_000, 120_000, DAY]),
            3 => story.ingest.trust_clock(random.below(2) == 0),
            _ => {}
        }
        let ts = match random.below(6) {
            0 => None,
            1 => Some(sensor_ms / 1_000 * 1_000),
            2 => Some(sensor_ms - random.below(60_000).cast_signed()),
            _ => Some(sensor_ms),
        };
        value += random.pick(&[0.0, 0.0, 0.25, -0.25, 5.0]);
        let (before, repeated, received) = (story.rows.clone(), story.repeated(), story.received);
        if story.send(ts, value) > 0 {
            let last = story.rows.last().copied().unwrap();
            if last.1 != value || ts.is_some_and(|ts| ts != last.0) {
                return Err(format!("step {step}: {last:?} is not what was sent"));
            }
            continue;
        }
        let stands_for = |row: &(i64, f64)| (row.1 - value).abs() <= TOLERANCE;
        if story.repeated() > repeated {
            continue; // what became of the first was looked at then
        }
        // The newest of all is what a dashboard shows, which goes by event time.
        let newest = before.iter().copied().reduce(|a, b| if b.0 >= a.0 { b } else { a });
        let is_newest = story.received > received;
        let is_stood_for = if is_newest {
            newest.is_some_and(|row| stands_for(&row))
        } else {
            before.iter().any(stands_for)
        };
        let dropped = story.ingest.counts().dropped_for_time();
        if dropped > lost {
            lost = dropped;
        } else if !is_stood_for {
            return Err(format!("step {step}: {value} @{ts:?} is lost"));
        }
    }
    if lost > 0 && !rules.contains("drop") { Err(format!("{lost} lost")) } else { Ok(()) }
}

#[test]
fn random_clocks_lose_nothing_that_the_rules_do_not_name() {
    let drops =
        format!("[defaults]\nout_of_order = \"drop\"\nfuture = \"drop\"\nsame_time = \"drop\"\n{DEADBAND}");
    for seed in 0..300 {
        for rules in [DEADBAND, &drops] {
            if let Err(wrong) = history(seed, rules) {
                panic!("seed {seed}, {rules}: {wrong}");
            }
        }
    }
}
