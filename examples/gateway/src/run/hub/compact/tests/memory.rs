//! Memory budget of all topics: what clients choose grows to it and no further, and no reading is lost for it.

use super::memory_budget::{BUDGET_BYTES, RAM_BYTES};
use super::*;

/// Most that one batch adds before the topics give way.
const ONE_BATCH: usize = 4 << 20;

fn many_routes(count: usize) -> Rig {
    let route = |n| format!("[[route]]\nmatch = \"r{n}/#\"\nto = \"out/{n}\"\nformat = \"compact\"\n");
    let routes: String = (0..count).map(route).collect();
    let head = "[gateway]\nid = \"g\"\n[local]\nlisten = \"127.0.0.1:1\"\n[hub]\nurl = \"mqtt://hub\"\n";
    Rig::with(&format!("{head}{routes}"), &[])
}

impl Rig {
    fn held(&self) -> usize {
        self.compact.topics.iter().map(|topic| topic.memory_bytes()).sum()
    }

    /// The hub retains every table that is published now. Returns their number.
    fn hub_takes_tables(&mut self) -> usize {
        let mut tables = 0;
        while let Some(Packing::Message(packed)) = self.compact.poll(self.now, 1 << 20) {
            let topic = packed.publish.topic.as_str();
            let (above, name) = topic.rsplit_once('/').unwrap();
            let id = u64::from_str_radix(name, 16).unwrap();
            self.hub.note(above, id, &packed.publish.payload, true);
            self.compact.on_delivered(&packed.publish);
            tables += 1;
        }
        tables
    }

    /// Encodes a batch as the packer does, and compares what a reader gets with the rows.
    fn goes(&mut self, topic: &str, rows: &[(u64, ReadingRow<'_>)]) -> bool {
        let topic = Utf8::try_from(topic).unwrap();
        let pieces = self.compact.encode(&topic, HEAD, rows, 1 << 20);
        let [Piece::Batch(count, bytes)] = pieces.as_slice() else { panic!("{} pieces", pieces.len()) };
        assert_eq!(*count, rows.len());
        let limits = Limits::default();
        let batch = self.compact.decode(&topic, bytes).unwrap();
        let names = batch.sensors().clone();
        for (reading, (_, row)) in batch.zip(rows) {
            let reading = reading.unwrap();
            assert_eq!(names.get(reading.sensor).unwrap().name, row.sensor);
            assert_eq!((reading.time, &reading.value), (row.time, &row.value));
        }
        table_wanted(bytes, &limits).unwrap().is_some()
    }
}

fn rows_of(sensors: std::ops::Range<usize>, name_bytes: usize, time: u64) -> Vec<(u64, ReadingRow<'static>)> {
    let row = |(at, sensor): (usize, usize)| {
        let noise = (sensor as f64 * 12.989_8 + time as f64 * 78.233).sin() * 43_758.545_3;
        let name = format!("{sensor:0name_bytes$}");
        let value = Value::F64(noise);
        let row = ReadingRow { sensor: name.into(), unit: "K".into(), time: time as i64, value, quality: 0 };
        (10 + at as u64, row)
    };
    sensors.enumerate().map(row).collect()
}

#[test]
fn topics_with_many_long_names_stay_within_the_budget_and_their_readings_go() {
    let mut rig = many_routes(48);
    let mut most = 0;
    for round in 0..3_u64 {
        for topic in 0..48 {
            for from in (0..4_096).step_by(512) {
                rig.goes(&format!("out/{topic}"), &rows_of(from..from + 512, 400, round));
                most = most.max(rig.held());
            }
        }
        rig.now.up_ms += 100_000;
        rig.hub_takes_tables();
    }
    println!("{most} bytes");
    assert!((BUDGET_BYTES..BUDGET_BYTES + ONE_BATCH).contains(&most), "{most}");
    assert!((BUDGET_BYTES + ONE_BATCH) < RAM_BYTES as usize);
}

/// Each version of a table that has learned from noise takes megabytes when it is decoded, and a new sensor makes another one.
#[test]
fn topics_that_learned_from_noise_stay_within_the_budget() {
    let mut rig = many_routes(4);
    let (mut most, mut tables) = (0, 0);
    for round in 0..20_u64 {
        for topic in 0..4 {
            let sensors = 0..128 + usize::try_from(round).unwrap();
            (0..8).for_each(|again| {
                rig.goes(&format!("out/{topic}"), &rows_of(sensors.clone(), 8, 8 * round + again));
                most = most.max(rig.held());
            });
        }
        rig.now.up_ms += 4_000_000;
        tables += rig.hub_takes_tables();
    }
    println!("{most} bytes, {tables} tables");
    assert!(tables > 4 * 15, "{tables}");
    assert!(most < BUDGET_BYTES + ONE_BATCH, "{most}");
}

/// Names of 30 bytes, and noise of which the first 128 sensors learn all that they may.
#[test]
fn one_topic_with_the_most_sensors_has_room() {
    let mut rig = Rig::new(&[]);
    let mut most = 0;
    for time in 0..270_u64 {
        let sensors = if time % 90 == 89 { sensor_numbers::SENSORS_MAX } else { 256 };
        for from in (0..sensors).step_by(256) {
            rig.goes("out", &rows_of(from..from + 256, 30, time));
            most = most.max(rig.held());
        }
        rig.now.up_ms += 100_000;
        rig.hub_takes_tables();
    }
    assert!(rig.goes("out", &rows_of(0..sensor_numbers::SENSORS_MAX, 30, 270)), "by its table");
    println!("{most} bytes");
    assert!(most < BUDGET_BYTES, "{most}");
}

/// A topic that holds little keeps its table beside one that takes all.
#[test]
fn a_topic_that_holds_most_gives_way_and_the_others_do_not() {
    let mut rig = many_routes(3);
    let small = |rig: &mut Rig, time| rig.goes("out/0", &rows_of(0..20, 30, time));
    assert!(!small(&mut rig, 0));
    rig.hub_takes_tables();
    let mut most = 0;
    for time in 1..200_u64 {
        assert!(small(&mut rig, time), "{time}: by its table");
        rig.goes("out/1", &rows_of(0..1_000, 200, time));
        rig.goes("out/2", &rows_of(0..1_000, 200, time));
        most = most.max(rig.held());
        rig.now.up_ms += 10_000;
        rig.hub_takes_tables();
    }
    assert!(most > BUDGET_BYTES, "{most}: somebody had to give way");
}

/// A version that it can no longer publish stays retained until its time is over.
#[test]
fn a_topic_that_gave_all_way_makes_another_table() {
    let mut rig = Rig::new(&[]);
    rig.batch(&["x", "y"]);
    let first = rig.announced().unwrap();
    rig.shows(&first);
    read(&rig.batch(&["x", "y"]), Some(&first));
    memory_budget::keep_within(&mut rig.compact.topics, 0);
    assert_eq!(rig.held(), 0);
    rig.hub.note(TABLES, id_of(&first), &[], true);
    rig.now.up_ms = 5_000;
    assert_eq!(rig.announced(), None, "nothing to clear, and no sensor to name");
    assert_eq!(rig.compact.next_deadline(), None, "nothing that the hub could leave unanswered");
    assert_eq!(read(&rig.batch(&["y"]), None), expected(&["y"]));
    rig.now.up_ms = 10_000;
    let second = rig.announced().unwrap();
    rig.shows(&second);
    assert_eq!(read(&rig.batch(&["y"]), Some(&second)), expected(&["y"]));
    rig.now.up_ms += 3_600_000;
    rig.hub.note(TABLES, id_of(&first), &first, true);
    assert_eq!(rig.announced(), Some(Bytes::new()), "the first is cleared when it is old");
}
