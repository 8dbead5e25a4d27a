use std::path::Path;

use edge_codec::compact::{Table, table_wanted};
use edge_codec::{BatchId, Limits, Value};

use super::*;
use crate::config::Config;

const CONFIG: &str = "[gateway]\nid = \"g\"\n[local]\nlisten = \"127.0.0.1:1\"\n[hub]\nurl = \"mqtt://hub\"\n\
    [[route]]\nmatch = \"a/#\"\nto = \"out\"\nformat = \"compact\"\n[[route]]\nmatch = \"b\"\nto = \"out\"\nformat = \"compact\"\n";
const HEAD: Head =
    Head { id: Some(BatchId { gateway: 9, lane: 1, epoch: 3, first_seq: 10 }), possible_duplicate: false };

struct Rig {
    compact: Compact,
    hub: Shown,
    now: Now,
}

impl Rig {
    fn new(saved: &[(String, Bytes)]) -> Self {
        Self::with(CONFIG, saved)
    }

    fn with(config: &str, saved: &[(String, Bytes)]) -> Self {
        let (config, _) = Config::parse(Path::new("g.toml"), config, &|_| None).unwrap();
        let hub = Shown::default();
        let compact = Compact::new(&config.routes, &config.id, hub.clone(), saved);
        Self { compact, hub, now: Now { up_ms: 0, wall_ms: 0 } }
    }

    /// One batch with a reading of each sensor.
    fn batch(&mut self, sensors: &[&str]) -> Bytes {
        self.batch_on("out", sensors)
    }

    fn batch_on(&mut self, topic: &str, sensors: &[&str]) -> Bytes {
        let rows: Vec<_> = sensors.iter().zip(10..).map(|(name, seq)| (seq, row(name, seq))).collect();
        let topic = Utf8::try_from(topic).unwrap();
        let pieces = self.compact.encode(&topic, HEAD, &rows, 10_000);
        let [Piece::Batch(count, bytes)] = pieces.as_slice() else { panic!("{pieces:?}") };
        assert_eq!(*count, sensors.len());
        bytes.clone()
    }

    fn announced(&mut self) -> Option<Bytes> {
        match self.compact.poll(self.now, 1 << 20)? {
            Packing::Message(packed) => {
                assert_eq!((packed.publish.topic.as_str(), packed.publish.retain), ("out/table/g", true));
                assert!(packed.rows.is_empty());
                Some(packed.publish.payload)
            }
            other => panic!("{other:?}"),
        }
    }

    fn shows(&mut self, table: &Bytes) {
        self.hub.note("out/table/g", table.clone());
    }
}

fn row(name: &str, seq: u64) -> ReadingRow<'static> {
    let value = Value::F64(seq as f64 / 10.0);
    ReadingRow { sensor: name.to_owned().into(), unit: "K".into(), time: seq as i64, value, quality: 0 }
}

/// Names and values of a batch, by its table if it needs one.
fn read(batch: &[u8], table: Option<&Bytes>) -> Vec<(String, i64, f64)> {
    let limits = Limits::default();
    let table = table.map(|bytes| Table::decode(bytes, &limits).unwrap());
    let batch = match &table {
        Some(table) => {
            assert_eq!(table_wanted(batch, &limits).unwrap(), Some(table.id()), "it refers to the table");
            table.decode_batch(batch, &limits).unwrap()
        }
        None => {
            assert_eq!(table_wanted(batch, &limits).unwrap(), None, "it is self-contained");
            edge_codec::compact::decode(batch, &limits).unwrap()
        }
    };
    let names = batch.sensors().clone();
    let row = |reading: edge_codec::Reading<'_>| match reading.value {
        Value::F64(value) => (names.get(reading.sensor).unwrap().name.to_string(), reading.time, value),
        other => panic!("{other:?}"),
    };
    batch.map(|reading| row(reading.unwrap())).collect()
}

fn expected(sensors: &[&str]) -> Vec<(String, i64, f64)> {
    sensors.iter().zip(10..).map(|(name, seq)| ((*name).to_owned(), seq, seq as f64 / 10.0)).collect()
}

#[test]
fn a_batch_refers_to_a_table_only_after_the_hub_has_shown_it() {
    let mut rig = Rig::new(&[]);
    assert_eq!((rig.announced(), rig.compact.poll_timeout()), (None, None), "nothing to say yet");
    assert_eq!(read(&rig.batch(&["x", "y"]), None), expected(&["x", "y"]));
    assert_eq!(rig.compact.poll_timeout(), Some(0));
    let table = rig.announced().unwrap();
    assert_eq!(rig.announced(), None, "once");
    read(&rig.batch(&["x"]), None);
    rig.shows(&table);
    assert_eq!(read(&rig.batch(&["y", "x"]), Some(&table)), expected(&["y", "x"]));
    assert_eq!(rig.compact.poll_timeout(), None, "and there is nothing more to say");
    // A new sensor.
    assert_eq!(read(&rig.batch(&["x", "z"]), None), expected(&["x", "z"]));
    assert_eq!(read(&rig.batch(&["x"]), Some(&table)), expected(&["x"]), "known ones go on");
    assert_eq!(rig.compact.poll_timeout(), Some(1_000));
    rig.now.up_ms = 1_000;
    let second = rig.announced().unwrap();
    read(&rig.batch(&["z"]), None);
    read(&rig.batch(&["x"]), Some(&table));
    rig.shows(&second);
    read(&rig.batch(&["z"]), Some(&second));
    let version = |bytes| Table::decode(bytes, &Limits::default()).unwrap().version();
    assert_eq!((version(&table), version(&second)), (1, 2));
}

#[test]
fn a_hub_that_does_not_answer_is_asked_again_later_and_batches_stay_self_contained() {
    let mut rig = Rig::new(&[]);
    rig.batch(&["x"]);
    let table = rig.announced().unwrap();
    rig.now.up_ms = 999;
    assert_eq!(rig.announced(), None);
    rig.now.up_ms = 1_000;
    assert_eq!(rig.announced(), Some(table));
    read(&rig.batch(&["x"]), None);
}

#[test]
fn a_hub_that_has_lost_its_sessions_gets_the_same_table_again() {
    let mut rig = Rig::new(&[]);
    rig.batch(&["x"]);
    let table = rig.announced().unwrap();
    rig.shows(&table);
    read(&rig.batch(&["x"]), Some(&table));
    rig.hub.lose();
    assert_eq!(rig.announced(), Some(table.clone()));
    read(&rig.batch(&["x"]), None);
    rig.shows(&table);
    read(&rig.batch(&["x"]), Some(&table));
}

#[test]
fn a_restart_announces_the_same_bytes_before_the_first_batch() {
    let mut rig = Rig::new(&[]);
    rig.batch(&["x"]);
    let table = rig.announced().unwrap();
    let mut again = Rig::new(&[("out/table/g".to_owned(), table.clone())]);
    assert_eq!(again.announced(), Some(table.clone()));
    again.shows(&table);
    assert_eq!(read(&again.batch(&["x"]), Some(&table)), expected(&["x"]));
    for damaged in [Bytes::from_static(b"?"), table.slice(1..), Bytes::new()] {
        let mut rig = Rig::new(&[("out/table/g".to_owned(), damaged)]);
        let batch = rig.batch(&["x"]);
        assert_eq!(read(&batch, None), expected(&["x"]));
    }
}

#[test]
fn somebody_elses_table_is_not_used() {
    let mut rig = Rig::new(&[]);
    rig.batch(&["x"]);
    let table = rig.announced().unwrap();
    let mut other = Rig::new(&[]);
    other.batch(&["other"]);
    let foreign = other.announced().unwrap();
    rig.shows(&foreign);
    read(&rig.batch(&["x"]), None);
    rig.shows(&table);
    read(&rig.batch(&["x"]), Some(&table));
}

#[test]
fn a_sample_makes_a_table_that_makes_batches_smaller() {
    let mut rig = Rig::new(&[]);
    rig.batch(&["x", "y", "z"]);
    let first = rig.announced().unwrap();
    rig.shows(&first);
    let plain = rig.batch(&["x", "y", "z"]).len();
    (0..100).for_each(|_| drop(rig.batch(&["x", "y", "z"])));
    rig.now.up_ms = 10_000;
    let learned = rig.announced().unwrap();
    rig.shows(&learned);
    let batch = rig.batch(&["x", "y", "z"]);
    assert_eq!(read(&batch, Some(&learned)), expected(&["x", "y", "z"]));
    assert!(batch.len() < plain, "{} of {plain} bytes", batch.len());
}

/// Texts are what Zstandard makes smaller for certain.
#[test]
fn the_level_of_the_route_is_the_batches() {
    let small = CONFIG.replacen("format = \"compact\"", "format = \"compact\"\nlevel = \"small\"", 1);
    let text = |seq: u64| Value::Text(format!("the door of cell {seq} is open again").into());
    let rows: Vec<_> =
        (10..70).map(|seq| (seq, ReadingRow { value: text(seq), ..row("door", seq) })).collect();
    let [plain, packed] = [CONFIG, small.as_str()].map(|config| {
        let mut rig = Rig::with(config, &[]);
        let pieces = rig.compact.encode(&Utf8::try_from("out").unwrap(), HEAD, &rows, 10_000);
        let [Piece::Batch(60, bytes)] = pieces.as_slice() else { panic!("{pieces:?}") };
        bytes.clone()
    });
    assert!(packed.len() < plain.len() / 2, "{} of {} bytes", packed.len(), plain.len());
    let read = |batch: &Bytes| -> Vec<_> {
        let read = edge_codec::compact::decode(batch, &Limits::default()).unwrap();
        read.map(|reading| reading.unwrap().value.into_owned()).collect()
    };
    assert_eq!(read(&packed), read(&plain));
}

#[test]
fn a_table_that_is_larger_than_the_hub_takes_is_not_sent() {
    let mut rig = Rig::new(&[]);
    rig.batch(&["x"]);
    assert!(rig.compact.poll(rig.now, 100).is_none());
    assert_eq!(rig.compact.poll_timeout(), Some(1_000), "another connection may take it");
}

#[test]
fn rows_of_a_route_that_is_gone_and_of_too_many_sensors_are_self_contained() {
    let mut rig = Rig::new(&[]);
    assert_eq!(read(&rig.batch_on("old", &["x"]), None), expected(&["x"]));
    for n in 0..names::SENSORS_MAX {
        rig.batch(&[&n.to_string()]);
    }
    let table = rig.announced().unwrap();
    rig.shows(&table);
    assert_eq!(read(&rig.batch(&["one too many", "0"]), None), expected(&["one too many", "0"]));
    read(&rig.batch(&["0"]), Some(&table));
}
