use std::path::Path;

use edge_codec::compact::{Table, table_wanted};
use edge_codec::{BatchId, Limits, Value};

use crate::config::Config;
use crate::run::log::captured_log::captured;

use super::*;

const CONFIG: &str = "[gateway]\nid = \"g\"\n[local]\nlisten = \"127.0.0.1:1\"\n[hub]\nurl = \"mqtt://hub\"\n\
    [[route]]\nmatch = \"a/#\"\nto = \"out\"\nformat = \"compact\"\n[[route]]\nmatch = \"b\"\nto = \"out\"\nformat = \"compact\"\n";
/// Topic above those of the tables of `out`.
const TABLES: &str = "out/table/g";
const HEAD: Head =
    Head { id: Some(BatchId { gateway: 9, lane: 1, epoch: 3, first_seq: 10 }), possible_duplicate: false };

const MAX_AGE: Duration = Duration::from_secs(3600);

mod bounds;
mod memory;
mod own;
mod restarts;
mod versions;

struct Rig {
    compact: Compact,
    hub: EchoedTables,
    kept: KeptTables,
    now: Now,
}

impl Rig {
    fn new(saved: &[(String, Bytes)]) -> Self {
        Self::with(CONFIG, saved)
    }

    fn with(config: &str, saved: &[(String, Bytes)]) -> Self {
        let (config, _) = Config::parse(Path::new("g.toml"), config, &|_| None).unwrap();
        let (hub, kept) = (EchoedTables::default(), KeptTables::default());
        let saved: Vec<_> = saved
            .iter()
            .filter_map(|(topic, table)| Some((topic.clone(), Announced::saved(table)?)))
            .collect();
        let compact = Compact::new(&config.routes, &config.id, Some(MAX_AGE), hub.clone(), &kept, &saved);
        Self { compact, hub, kept, now: Now { up_ms: 0, wall_ms: 0 } }
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

    /// The hub acknowledges what is cleared at once.
    fn announced(&mut self) -> Option<Bytes> {
        match self.compact.poll(self.now, 1 << 20)? {
            Packing::Message(packed) => {
                let topic = packed.publish.topic.as_str();
                let id = version_of(TABLES, topic).unwrap_or_else(|| panic!("{topic}"));
                assert!(packed.publish.retain && packed.rows.is_empty());
                let table = packed.publish.payload.clone();
                assert!(table.is_empty() || id == id_of(&table));
                if table.is_empty() {
                    self.compact.on_delivered(&packed.publish);
                }
                Some(table)
            }
            other => panic!("{other:?}"),
        }
    }

    fn shows(&mut self, table: &Bytes) {
        self.hub.note(TABLES, id_of(table), table, true);
    }

    /// Two versions that the hub has shown; the second has one sensor more.
    fn with_two_versions() -> (Self, [Bytes; 2]) {
        let mut rig = Self::new(&[]);
        rig.batch(&["x"]);
        let first = rig.announced().unwrap();
        rig.shows(&first);
        rig.batch(&["x", "y"]);
        rig.now.up_ms = 1_000;
        let second = rig.announced().unwrap();
        rig.shows(&second);
        assert_eq!(rig.announced(), None);
        (rig, [first, second])
    }
}

fn id_of(table: &Bytes) -> u64 {
    Table::decode(table, &Limits::default()).unwrap().id()
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
    assert_eq!((rig.announced(), rig.compact.next_deadline()), (None, None), "nothing to say yet");
    assert_eq!(read(&rig.batch(&["x", "y"]), None), expected(&["x", "y"]));
    assert_eq!(rig.compact.next_deadline(), Some(0));
    let table = rig.announced().unwrap();
    assert_eq!(rig.announced(), None, "once");
    read(&rig.batch(&["x"]), None);
    rig.shows(&table);
    assert_eq!(read(&rig.batch(&["y", "x"]), Some(&table)), expected(&["y", "x"]));
    assert_eq!(rig.compact.next_deadline(), None, "and there is nothing more to say");
    // A new sensor.
    assert_eq!(read(&rig.batch(&["x", "z"]), None), expected(&["x", "z"]));
    assert_eq!(read(&rig.batch(&["x"]), Some(&table)), expected(&["x"]), "known ones go on");
    assert_eq!(rig.compact.next_deadline(), Some(1_000));
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

/// Two gateways of one client identifier throw each other out every second: the hub shows the same table on each connection.
#[test]
fn a_table_that_is_shown_on_every_connection_is_logged_once_an_hour() {
    let mut rig = Rig::new(&[]);
    let lines = captured(|| {
        rig.batch(&["x"]);
        rig.announced().unwrap();
        for _ in 0..3_500 {
            rig.hub.lose();
            rig.now.up_ms += 2_000;
            // Now and then a further version: the sample has grown.
            let tables: Vec<_> = std::iter::from_fn(|| rig.announced()).collect();
            tables.iter().for_each(|table| rig.shows(table));
            rig.batch(&["x"]);
        }
    });
    let count = |what| lines.lines().filter(|line| line.contains(what)).count();
    for kind in ["the hub has the session table", "announcing a session table"] {
        assert!((2..20).contains(&count(kind)), "{lines}");
    }
}

/// A hub with a small Maximum Packet Size that cuts the connection again and again.
#[test]
fn a_table_that_is_too_large_for_the_hub_is_told_once_an_hour_and_when_a_size_changes() {
    let mut rig = Rig::new(&[]);
    rig.batch(&["x"]);
    let mut lines_until = |up_ms, max_packet| {
        let lines = captured(|| {
            while rig.now.up_ms < up_ms {
                rig.hub.lose();
                rig.now.up_ms += 100;
                assert!(rig.compact.poll(rig.now, max_packet).is_none());
            }
        });
        lines.matches("the hub takes no session table of this size").count()
    };
    assert_eq!(lines_until(30_000, 100), 1);
    assert_eq!(lines_until(60_000, 90), 1, "another limit");
    assert_eq!(lines_until(3_000_000, 100), 0, "again the first");
    assert_eq!(lines_until(3_700_000, 100), 1, "an hour later");
}

#[test]
fn a_restart_announces_the_same_bytes_before_the_first_batch() {
    let mut rig = Rig::new(&[]);
    rig.batch(&["x"]);
    let table = rig.announced().unwrap();
    let mut again = Rig::new(&[(TABLES.to_owned(), table.clone())]);
    assert_eq!(again.announced(), Some(table.clone()));
    again.shows(&table);
    assert_eq!(read(&again.batch(&["x"]), Some(&table)), expected(&["x"]));
    for damaged in [Bytes::from_static(b"?"), table.slice(1..), Bytes::new()] {
        let mut rig = Rig::new(&[(TABLES.to_owned(), damaged)]);
        let batch = rig.batch(&["x"]);
        assert_eq!(read(&batch, None), expected(&["x"]));
    }
}

#[test]
fn what_is_cleared_or_overwritten_at_the_hub_is_announced_again_and_names_are_used_at_once() {
    let mut rig = Rig::new(&[]);
    let mut other = Rig::new(&[]);
    other.batch(&["other"]);
    let foreign = other.announced().unwrap();
    rig.batch(&["x"]);
    let table = rig.announced().unwrap();
    rig.shows(&table);
    read(&rig.batch(&["x"]), Some(&table));
    for (instead, due_ms) in [(Bytes::new(), 1_000), (foreign, 3_000)] {
        rig.hub.note(TABLES, id_of(&table), &instead, true);
        read(&rig.batch(&["x"]), None);
        assert_eq!(rig.announced(), None);
        rig.now.up_ms = due_ms;
        assert_eq!(rig.announced(), Some(table.clone()), "after the pause that bounds a quarrel");
        rig.shows(&table);
        read(&rig.batch(&["x"]), Some(&table));
    }
    assert_eq!(rig.announced(), None);
}

#[test]
fn on_another_connection_no_table_is_used_before_the_hub_has_shown_it_again() {
    let (mut rig, [first, second]) = Rig::with_two_versions();
    rig.now.up_ms = 100_000;
    rig.hub.doubt();
    read(&rig.batch(&["x", "y"]), None);
    assert_eq!((rig.announced(), rig.compact.next_deadline()), (None, None), "not asked yet");
    rig.hub.ask(TABLES);
    assert_eq!(rig.announced(), None);
    rig.shows(&second);
    read(&rig.batch(&["x", "y"]), Some(&second));
    // The hub has lost the older one, which a batch may name that waits for its reader.
    assert_eq!(rig.compact.next_deadline(), Some(110_000));
    rig.now.up_ms = 110_000;
    assert_eq!(rig.announced(), Some(first.clone()));
    rig.shows(&first);
    assert_eq!((rig.announced(), rig.compact.next_deadline()), (None, None));
    // A hub that started again from a state without either.
    rig.now.up_ms = 200_000;
    rig.hub.doubt();
    rig.hub.ask(TABLES);
    rig.announced();
    rig.now.up_ms = 210_000;
    assert_eq!(
        [rig.announced(), rig.announced(), rig.announced()],
        [Some(second.clone()), Some(first), None]
    );
    read(&rig.batch(&["x", "y"]), None);
    rig.shows(&second);
    read(&rig.batch(&["x", "y"]), Some(&second));
}

#[test]
fn a_table_that_the_hub_does_not_show_when_it_is_asked_is_used_no_longer() {
    let mut rig = Rig::new(&[]);
    rig.batch(&["x"]);
    let table = rig.announced().unwrap();
    rig.shows(&table);
    read(&rig.batch(&["x"]), Some(&table));
    rig.now.up_ms = 3_600_000;
    rig.hub.ask(TABLES);
    assert_eq!(rig.announced(), None);
    read(&rig.batch(&["x"]), Some(&table));
    rig.now.up_ms += 9_999;
    assert_eq!(rig.announced(), None);
    rig.now.up_ms += 1;
    assert_eq!(rig.announced(), Some(table.clone()));
    read(&rig.batch(&["x"]), None);
    rig.shows(&table);
    read(&rig.batch(&["x"]), Some(&table));
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
