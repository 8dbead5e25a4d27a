#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! `subscribe` with many session tables, tables that are late, missing or hostile, at a real Mosquitto.

#[path = "../../../edge-codec/tests/support/listed_table.rs"]
mod listed_table;
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use edge_codec::SensorTable;
use edge_codec::compact::Table;
use support::mosquitto::Mosquitto;
use support::publisher::{Outgoing, Publisher};
use support::subscriber::{BATCH, Subscriber, TABLE, batch, table};
use support::wait_until;

/// Gateways with a table each, below `edge/gN`.
struct Fleet {
    tables: Vec<Arc<Table>>,
}

impl Fleet {
    fn new(gateways: usize) -> Self {
        Self { tables: (0..gateways).map(|n| table(&format!("sensor {n}"))).collect() }
    }

    fn announcements(&self) -> impl Iterator<Item = Outgoing<'static>> + '_ {
        let topic = |n| format!("edge/g{n}/readings/table/g{n}");
        self.tables.iter().enumerate().map(move |(n, table)| (topic(n), TABLE, true, table.bytes().to_vec()))
    }

    /// A batch of each.
    fn round(&self, time: i64) -> impl Iterator<Item = Outgoing<'static>> + '_ {
        let topic = |n| format!("edge/g{n}/readings");
        self.tables.iter().enumerate().map(move |(n, table)| (topic(n), BATCH, false, batch(table, time)))
    }
}

/// Sensor and time of all lines of the fleet.
fn readings(subscribers: &[&Subscriber]) -> BTreeSet<(String, i64)> {
    let lines = subscribers.iter().flat_map(|subscriber| subscriber.lines());
    let parsed = lines.map(|line| serde_json::from_str::<serde_json::Value>(&line).unwrap());
    let fleet = parsed.filter(|line| line["sensor"].as_str().is_some_and(|name| name.starts_with("sensor ")));
    fleet.map(|line| (line["sensor"].as_str().unwrap().to_owned(), line["ts"].as_i64().unwrap())).collect()
}

/// Every batch of every round is printed, whatever tables the reader has room for.
fn rounds(gateways: usize, rounds: i64, extra: &[&str], with_folder: bool) {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let broker = Mosquitto::start(dir);
    let fleet = Fleet::new(gateways);
    let publisher = Publisher::start(&broker);
    publisher.publish(fleet.announcements());
    let kept = dir.join("tables");
    let mut arguments = vec!["--topic", "edge/+/readings"];
    arguments.extend(extra);
    if with_folder {
        arguments.extend(["--tables", kept.to_str().unwrap()]);
    }
    let subscriber = Subscriber::start(dir, "reader", &broker, &arguments);
    subscriber.hears(dir, &broker, "edge/probe/readings");
    for round in 0..rounds {
        publisher.publish(fleet.round(round));
        let wanted = gateways * (round + 1) as usize;
        wait_until("every line of the round is printed", || readings(&[&subscriber]).len() == wanted);
    }
    assert_eq!(subscriber.interrupt().code(), Some(0), "everything could be read");
    if with_folder {
        assert_eq!(fs::read_dir(&kept).unwrap().count(), gateways);
    }
}

/// It was: 256 tables, the 257th site is acknowledged and passed over for ever.
#[test]
fn every_batch_of_three_hundred_gateways_is_printed_in_every_round() {
    rounds(300, 3, &[], false);
}

#[test]
fn every_batch_of_three_hundred_gateways_is_printed_with_a_folder_of_tables() {
    rounds(300, 3, &[], true);
}

/// Room for some ten tables: those that were evicted are fetched again, from the hub.
#[test]
fn tables_that_left_the_memory_are_fetched_again_from_the_hub() {
    rounds(40, 3, &["--tables-memory", "8KiB"], false);
}

#[test]
fn tables_that_left_the_memory_are_read_again_from_the_folder() {
    rounds(300, 3, &["--tables-memory", "8KiB"], true);
}

/// Without `--rejects` what cannot be read stays at the hub; others go on; with it, the same messages are set aside.
#[test]
fn a_table_that_never_comes_costs_only_its_own_batches() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let broker = Mosquitto::start(dir);
    let (good, never) = (table("good"), table("never"));
    let publisher = Publisher::start(&broker);
    publisher.publish([("edge/a/table/g".to_owned(), TABLE, true, good.bytes().to_vec())]);
    let arguments = ["--topic", "edge/+", "--client-id", "reader"];
    let subscriber = Subscriber::start(dir, "keeps", &broker, &arguments);
    subscriber.hears(dir, &broker, "edge/probe");
    publisher.publish((0..10).map(|time| ("edge/b".to_owned(), BATCH, false, batch(&never, time))));
    publisher.publish([("edge/c".to_owned(), BATCH, false, b"?".to_vec())]);
    publisher.publish((0..50).map(|time| ("edge/a".to_owned(), BATCH, false, batch(&good, time))));
    wait_until("others go on", || subscriber.times("good").len() == 50);
    // The table of another topic is none of this one's, and one that comes late still frees its batch.
    let late = table("late");
    publisher.publish([
        ("edge/other".to_owned(), BATCH, false, batch(&good, 1_000)),
        ("edge/late".to_owned(), BATCH, false, batch(&late, 7)),
    ]);
    for topic in ["edge/b", "edge/other", "edge/late"] {
        wait_until("it is said", || {
            subscriber
                .said()
                .lines()
                .any(|line| line.contains(&format!("{topic}: ")) && line.contains("still waiting"))
        });
    }
    assert_eq!(subscriber.times("late"), [0; 0]);
    publisher.publish([("edge/late/table/g".to_owned(), TABLE, true, late.bytes().to_vec())]);
    wait_until("it was kept, and is printed", || subscriber.times("late") == [7]);
    assert!(!subscriber.times("good").contains(&1_000));
    assert_eq!(subscriber.said().matches("edge/b: ").count(), 1, "once");
    // With ten more a hub's window may be full, which is said when nothing comes.
    publisher.publish((10..20).map(|time| ("edge/b".to_owned(), BATCH, false, batch(&never, time))));
    publisher.publish([("edge/a".to_owned(), BATCH, false, batch(&good, 50))]);
    wait_until("the full window is said", || subscriber.said().contains("nothing comes any more"));
    wait_until("this hub's is larger", || subscriber.times("good").len() == 51);
    assert_eq!(subscriber.interrupt().code(), Some(1), "something could not be read");

    let rejects = dir.join("rejects");
    let arguments = [&arguments[..], &["--rejects", rejects.to_str().unwrap()]].concat();
    let again = Subscriber::start(dir, "sets-aside", &broker, &arguments);
    wait_until("all 22 are set aside", || {
        let lines = fs::read_to_string(rejects.join("rejects.jsonl")).unwrap_or_default();
        lines.lines().count() >= 22
    });
    publisher.publish([("edge/a".to_owned(), BATCH, false, batch(&good, 51))]);
    wait_until("it goes on", || again.times("good").contains(&51));
    assert_eq!(again.interrupt().code(), Some(1));
    let said = fs::read_to_string(dir.join("sets-aside.log")).unwrap();
    assert!(said.contains("not read: 1 malformed, 21 without their session table; 22 set aside"), "{said}");
    let expected: BTreeSet<Vec<u8>> =
        (0..20).map(|time| batch(&never, time)).chain([b"?".to_vec(), batch(&good, 1_000)]).collect();
    assert_eq!(payloads(&rejects), expected, "to the byte");
}

/// The files that the lines name.
fn payloads(rejects: &Path) -> BTreeSet<Vec<u8>> {
    let lines = fs::read_to_string(rejects.join("rejects.jsonl")).unwrap();
    let lines = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines.map(|line| fs::read(rejects.join(line["file"].as_str().unwrap())).unwrap()).collect()
}

/// Batches that a killed reader had not printed come again to the next one of its name.
#[test]
fn kill_9_loses_no_batch() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let broker = Mosquitto::start(dir);
    let fleet = Fleet::new(50);
    let publisher = Publisher::start(&broker);
    publisher.publish(fleet.announcements());
    let arguments = ["--topic", "edge/+/readings", "--client-id", "reader", "--tables-memory", "8KiB"];
    let first = Subscriber::start(dir, "first", &broker, &arguments);
    first.hears(dir, &broker, "edge/probe/readings");
    publisher.publish((0..16).flat_map(|time| fleet.round(time)));
    wait_until("it prints", || !readings(&[&first]).is_empty());
    let before = readings(&[&first]);
    first.kill_9();
    publisher.publish((16..20).flat_map(|time| fleet.round(time)));
    let second = Subscriber::start(dir, "second", &broker, &arguments);
    let printed = || {
        let parsed = fs::read_to_string(dir.join("first")).unwrap();
        let lines = parsed.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let lines =
            lines.filter_map(|line| Some((line["sensor"].as_str()?.to_owned(), line["ts"].as_i64()?)));
        let mut all: BTreeSet<_> = lines.filter(|(name, _)| name.starts_with("sensor ")).collect();
        all.extend(readings(&[&second]));
        all.len()
    };
    assert!(before.len() < 1_000, "it was killed too late to show anything");
    wait_until("all batches were printed by one of them", || printed() == 1_000);
    assert_eq!(second.interrupt().code(), Some(0));
}

/// Tables that take fifteen times their bytes in memory, and large batches that wait: neither is held without bound.
#[test]
fn hostile_tables_and_batches_stay_within_their_memory() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    // As a hub that sends as much as its client takes.
    let lines = "max_inflight_messages 0\nmax_queued_messages 0\n";
    let broker = Mosquitto::start_with(dir, lines);
    let publisher = Publisher::start(&broker);
    let arguments = ["--topic", "edge/+"];
    let subscriber = Subscriber::start(dir, "reader", &broker, &arguments);
    subscriber.hears(dir, &broker, "edge/probe");
    let idle_kib = subscriber.peak_kib();
    // Each is needed once, so that it is fetched and decoded.
    for n in 0..300 {
        let table = large(n);
        publisher.publish([
            (format!("edge/t{n}/table/g"), TABLE, true, table.bytes().to_vec()),
            (format!("edge/t{n}"), BATCH, false, batch(&table, n.into())),
        ]);
    }
    wait_until("all were used", || {
        subscriber.lines().iter().filter(|l| l.contains("\"sensor\":\"s")).count() >= 300
    });
    // All of them below one topic, where none is the one that a batch needs: they come in one piece.
    publisher.publish((0..300).map(|n| {
        let bytes = large(n).bytes().to_vec();
        (format!("edge/flood/table/g{n}"), TABLE, true, bytes)
    }));
    publisher.publish([("edge/flood".to_owned(), BATCH, false, batch(&table("nobody's"), 0))]);
    wait_until("the flood came and went", || subscriber.said().contains("edge/flood: its session table"));
    // Lists whose values take no bits of their table: eight megabytes of them each, and a hundred, which is refused.
    publisher.publish((0..12).map(|n| {
        let lists = if n % 2 == 0 { listed_table::LISTS_MAX } else { 15_000 };
        let bytes = listed_table::announced(n, lists);
        (format!("edge/lists/table/g{n}"), TABLE, true, bytes)
    }));
    publisher.publish([("edge/lists".to_owned(), BATCH, false, batch(&table("nobody's, too"), 0))]);
    wait_until("the lists came and went", || subscriber.said().contains("edge/lists: its session table"));
    assert!(subscriber.said().contains("listed values"), "{}", subscriber.said());
    let tables_kib = subscriber.peak_kib();
    // A batch of many names, and a table that nobody has.
    let unknown = table("unknown");
    let mut waiting = batch(&unknown, 0);
    waiting.extend(padding(540_000));
    publisher.publish((0..256).map(|n| (format!("edge/w{}", n % 8), BATCH, false, waiting.clone())));
    let good = table("good");
    publisher.publish([("edge/good/table/g".to_owned(), TABLE, true, good.bytes().to_vec())]);
    publisher.publish([("edge/good".to_owned(), BATCH, false, batch(&good, 7))]);
    wait_until("others are not held up", || subscriber.times("good") == [7]);
    let all_kib = subscriber.peak_kib();
    println!(
        "VmHWM: idle {idle_kib} KiB, after 612 tables {tables_kib} KiB, after 138 MB that wait {all_kib} KiB"
    );
    assert!(all_kib < 96 * 1024, "{all_kib} KiB");
    assert_eq!(subscriber.interrupt().code(), Some(1), "batches were kept");
}

/// Good batches whose tables have to be fetched, behind large ones that wait for tables which nobody has. It was: 92 to 156 MB, and 218 of 600 printed; every new connection for
/// the latter began the fetch of the former anew, and each topic had a queue of its own.
#[test]
fn good_batches_get_their_tables_beside_those_that_wait_in_vain() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let broker = Mosquitto::start_with(dir, "max_inflight_messages 0\nmax_queued_messages 0\n");
    let publisher = Publisher::start(&broker);
    let tables: Vec<_> = (0..600).map(large).collect();
    publisher.publish(
        tables
            .iter()
            .zip(0..)
            .map(|(table, n)| (format!("edge/t{n}/table/g"), TABLE, true, table.bytes().to_vec())),
    );
    let rejects = dir.join("rejects");
    let arguments = ["--topic", "edge/+", "--rejects", rejects.to_str().unwrap()];
    let subscriber = Subscriber::start(dir, "reader", &broker, &arguments);
    subscriber.hears(dir, &broker, "edge/probe");
    let mut waiting = batch(&table("unknown"), 0);
    waiting.extend(padding(540_000));
    publisher.publish((0..256).map(|n| (format!("edge/w{n}"), BATCH, false, waiting.clone())));
    publisher.publish(
        tables.iter().zip(0..).map(|(table, n)| (format!("edge/t{n}"), BATCH, false, batch(table, n))),
    );
    let printed = || subscriber.lines().iter().filter(|line| line.contains("\"sensor\":\"s")).count();
    let set_aside = || fs::read_to_string(rejects.join("rejects.jsonl")).unwrap_or_default().lines().count();
    wait_until("all have ended", || printed() + set_aside() >= 856);
    let peak_kib = subscriber.peak_kib();
    println!("VmHWM {peak_kib} KiB, {} printed, {} set aside", printed(), set_aside());
    assert_eq!((printed(), set_aside()), (600, 256));
    assert!(peak_kib < 96 * 1024, "{peak_kib} KiB");
    assert_eq!(subscriber.interrupt().code(), Some(1), "some were set aside");
}

/// Topics of 60 kB, each with a batch whose table nobody has. It was: some ten thousand of them were kept, three times over.
#[test]
fn long_topics_stay_within_the_memory_of_the_reader() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let broker = Mosquitto::start_with(dir, "max_inflight_messages 0\nmax_queued_messages 0\n");
    let publisher = Publisher::start(&broker);
    let rejects = dir.join("rejects");
    let arguments = ["--topic", "edge/#", "--rejects", rejects.to_str().unwrap()];
    let subscriber = Subscriber::start(dir, "reader", &broker, &arguments);
    subscriber.hears(dir, &broker, "edge/probe");
    let (unknown, long) = (batch(&table("unknown"), 0), "x".repeat(60_000));
    // As many as can wait together.
    for chunk in 0..4 {
        publisher
            .publish((0..90).map(|n| (format!("edge/{chunk}/{n}/{long}"), BATCH, false, unknown.clone())));
        let set_aside = || fs::read_dir(&rejects).unwrap().count();
        wait_until("they are set aside", || set_aside() > (chunk + 1) * 90);
    }
    let peak_kib = subscriber.peak_kib();
    println!("VmHWM {peak_kib} KiB after 21 MB of topics");
    assert!(peak_kib < 96 * 1024, "{peak_kib} KiB");
    let good = table("good");
    publisher.publish([("edge/good/table/g".to_owned(), TABLE, true, good.bytes().to_vec())]);
    publisher.publish([("edge/good".to_owned(), BATCH, false, batch(&good, 7))]);
    wait_until("others are not held up", || subscriber.times("good") == [7]);
    assert_eq!(subscriber.interrupt().code(), Some(1), "some were set aside");
}

/// A table of 135 kB, which takes fifteen times that in memory.
fn large(n: u32) -> Arc<Table> {
    let mut sensors = SensorTable::new();
    for sensor in 0..8_000 {
        sensors.insert(sensor, format!("s{n}/{sensor}"), "K");
    }
    Arc::new(Table::new(n, &sensors))
}

/// Field `padding` of a compact batch, which readers pass over.
const PADDING: u64 = 12;

fn padding(bytes: usize) -> Vec<u8> {
    let mut field = Vec::new();
    for mut number in [PADDING << 3 | 2, bytes as u64] {
        while number >= 0x80 {
            field.push(number as u8 | 0x80);
            number >>= 7;
        }
        field.push(number as u8);
    }
    field.resize(field.len() + bytes, 0);
    field
}
