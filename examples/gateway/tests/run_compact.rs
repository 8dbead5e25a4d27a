#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! `format = "compact"` at a real Mosquitto: what arrives, read with nothing but what arrived.

mod support;

use std::collections::BTreeMap;

use edge_codec::compact::{Table, table_wanted};
use edge_codec::{Limits, Value, content_type};
use support::gateway::Gateway;
use support::mosquitto::{Arrived, Mosquitto, Subscriber};
use support::publisher::Publisher;
use support::wait_until;

/// A reader of what arrived.
#[derive(Default)]
struct Reader {
    tables: BTreeMap<u64, Table>,
    /// In the order of the announcements.
    announced: Vec<Vec<u8>>,
    /// By identity: `gateway-lane-epoch` and the row's number.
    rows: BTreeMap<(String, u64), (String, i64, Value<'static>, u32)>,
    twice: usize,
    by_table: usize,
    alone: usize,
}

impl Reader {
    fn of(arrived: &[Arrived]) -> Self {
        let mut reader = Self::default();
        for message in arrived {
            match message.topic.as_str() {
                topic if topic.starts_with("out/table/g/") => {
                    let table = Table::decode(&message.bytes, &Limits::default()).unwrap();
                    reader.tables.insert(table.id(), table);
                    reader.announced.push(message.bytes.clone());
                }
                _ => reader.batch(message),
            }
        }
        reader
    }

    fn batch(&mut self, message: &Arrived) {
        assert_eq!(message.content_type, content_type::COMPACT);
        let limits = Limits::default();
        let mut batch = match table_wanted(&message.bytes, &limits).unwrap() {
            Some(id) => {
                self.by_table += 1;
                self.tables
                    .get(&id)
                    .expect("the table came before")
                    .decode_batch(&message.bytes, &limits)
                    .unwrap()
            }
            None => {
                self.alone += 1;
                edge_codec::compact::decode(&message.bytes, &limits).unwrap()
            }
        };
        let id = batch.header().id.unwrap();
        let source = format!("{:x}-{}-{}", id.gateway, id.lane, id.epoch);
        let names = batch.sensors().clone();
        while let Some(seq) = batch.next_seq() {
            let reading = batch.next().unwrap().unwrap().into_owned();
            let name = names.get(reading.sensor).unwrap();
            let name = format!("{} {}", name.name, name.unit);
            let row = (name, reading.time, reading.value, reading.quality);
            self.twice += usize::from(self.rows.insert((source.clone(), seq), row).is_some());
        }
    }
}

/// Bit by bit: -0.0, the largest and the smallest, beyond 2^53, and what is no number.
const VALUES: [(&str, Value<'static>); 8] = [
    ("-0.0", Value::F64(-0.0)),
    ("1.7976931348623157e308", Value::F64(f64::MAX)),
    ("5e-324", Value::F64(5e-324)),
    ("0.30000000000000004", Value::F64(0.1 + 0.2)),
    ("9007199254740993", Value::I64(9_007_199_254_740_993)),
    ("true", Value::Bool(true)),
    ("\"läuft\"", Value::Text(std::borrow::Cow::Borrowed("läuft"))),
    ("null", Value::Null),
];

/// Promises 4 and 9: over a kill and a clean restart every reading arrives, once but for what a kill repeats under the
/// same identity, to the bit; no batch comes before the table that it refers to; the table stays the same.
#[test]
fn compact_batches_bring_every_reading_to_the_bit_and_their_table_comes_first() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "");
    let subscriber = Subscriber::start(hub.address, "out/#");
    let route = "[[route]]\nmatch = \"plant/#\"\nto = \"out\"\nformat = \"compact\"\nbatch_age = \"20ms\"\n";
    let (mut gateway, listen) = Gateway::started(dir.path(), hub.address, route);
    let mut publisher = Publisher::new(listen, "sensor", 50);
    let mut sent = 0_i64;
    let mut send = |n: i64| {
        for time in sent..sent + n {
            let (text, _) = &VALUES[(time % 8) as usize];
            let quality = if time % 5 == 0 { 0x4000_0000_u32 } else { 0 };
            let payload =
                format!("{{\"value\":{text},\"ts\":{time},\"unit\":\"Cel\",\"quality\":{quality}}}");
            publisher.publish(&format!("plant/{}", time % 3), &payload);
        }
        sent += n;
        publisher.settle(0, 60);
    };
    let arrived = |n: i64| {
        wait_until("all readings arrive", 30, || {
            let reader = Reader::of(&subscriber.arrived());
            let times: std::collections::BTreeSet<i64> = reader.rows.values().map(|row| row.1).collect();
            times.len() as i64 == n
        });
        Reader::of(&subscriber.arrived())
    };
    send(60);
    let first = arrived(60);
    assert!(first.alone > 0, "before the table was shown");
    wait_until("the gateway knows that the hub has the table", 20, || {
        gateway.log().contains("the hub has the session table")
    });
    send(60);
    let second = arrived(120);
    assert!(second.by_table > 0 && second.alone == first.alone, "{} by table", second.by_table);
    let known = second.announced.last().unwrap().clone();
    gateway.kill_9();
    gateway.start();
    send(60);
    let third = arrived(180);
    assert_eq!(third.announced.get(second.announced.len()), Some(&known), "the same bytes again");
    assert!(gateway.terminate().0.success());
    gateway.start();
    send(60);
    let last = arrived(240);
    wait_until("the queue is empty", 20, || gateway.metric("edge_queue_messages") == Some(0.0));
    for (name, time, value, quality) in last.rows.values() {
        assert_eq!(*name, format!("plant/{} Cel", time % 3));
        let expected = &VALUES[(time % 8) as usize].1;
        assert!(value.same(expected), "{value:?} is not {expected:?}");
        let expected = if time % 5 == 0 { 0x4000_0000 } else { 0 };
        // JSON's null is a reading without a value: bad, unless the sensor says how.
        assert!(*quality == expected || *value == Value::Null, "{quality:x} at {time}");
    }
    // A kill repeats what the hub had acknowledged a moment before: under the same number, so no reading is there twice.
    assert_eq!(last.rows.len(), 240);
    assert!(last.twice <= 120, "{}: only the kill repeats", last.twice);
}
