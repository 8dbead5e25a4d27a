#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! Every format, level and kind of table through a cut link, three kills and a clean restart, all on one lane with raw
//! messages between: each acknowledged reading is read at a real Mosquitto with the public decoder and what arrived.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use edge_codec::compact::{Table, table_wanted};
use edge_codec::{Batch, Format, Limits, Value};
use support::gateway::Gateway;
use support::mosquitto::{Arrived, Mosquitto, Subscriber};
use support::publisher::Publisher;
use support::relay::Relay;
use support::rng::Rng;
use support::wait_until;

/// Name of a route, its lines, and whether the hub takes its session table.
const ROUTES: [(&str, &str, bool); 10] = [
    ("json", "format = \"json\"", false),
    ("cbor", "format = \"cbor\"", false),
    ("protobuf", "format = \"protobuf\"", false),
    ("fast", "format = \"compact\"", true),
    ("small", "format = \"compact\"\nlevel = \"small\"", true),
    ("states", "format = \"compact\"", true),
    ("fast_alone", "format = \"compact\"", false),
    ("small_alone", "format = \"compact\"\nlevel = \"small\"", false),
    ("lines", "format = \"compact\"\ninput = \"influx-line\"", true),
    ("senml", "format = \"compact\"\ninput = \"senml\"", true),
];
const SENSORS: u64 = 4;
/// Messages of one route in a row: below and beyond the steps of every length on the wire.
const RUNS: [u64; 6] = [1, 2, 17, 127, 130, 300];

/// A sensor's value, as JSON, by the number of its reading. `states` has only what no number describes.
fn value(route: &str, sensor: u64, n: u64) -> String {
    match (route, sensor) {
        ("states", 0) => if (n / 250).is_multiple_of(2) { "\"RUN\"" } else { "\"STOP\"" }.to_owned(),
        ("states", 1) => "null".to_owned(),
        ("states", _) => [r#""idle""#, "20", "20.5", "null", "true"][n as usize % 5].to_owned(),
        // Both forms have no null.
        ("lines" | "senml", 3) => {
            ["true", r#""läuft""#, "18446744073709551615", "-0.0"][n as usize % 4].to_owned()
        }
        // As JavaScript writes numbers: integers among floats.
        (_, 0) => format!("{}", (n % 7) as f64 / 2.0),
        (_, 1) => format!("{n}"),
        (_, 2) => format!("{:?}", 20.0 + (n as f64 / 37.0).sin()),
        (_, _) => ["true", "null", r#""läuft""#, "18446744073709551615", "-0.0"][n as usize % 5].to_owned(),
    }
}

/// A sensor's name at the hub.
fn name(route: &str, sensor: u64) -> String {
    match route {
        "lines" => format!("plant/lines/{sensor}/m/rack=2"),
        _ => format!("plant/{route}/{sensor}"),
    }
}

/// Time of a reading, in ms.
fn time(n: u64) -> i64 {
    1_790_000_000_000 + n as i64 * 50
}

/// The message of a reading, in the form that its route reads.
fn payload(route: &str, sensor: u64, n: u64) -> String {
    let (time, value) = (time(n), value(route, sensor, n));
    match route {
        "lines" => {
            let suffix = match value.parse::<i128>() {
                Ok(whole) if whole > i128::from(i64::MAX) => "u",
                Ok(_) if sensor == 1 => "i",
                _ => "",
            };
            format!("m,rack=2 value={value}{suffix} {time}000000")
        }
        "senml" => {
            let label = if value.starts_with('"') {
                "vs"
            } else if value == "true" {
                "vb"
            } else {
                "v"
            };
            let seconds = time as f64 / 1_000.0;
            format!("[{{\"bn\":\"plant/senml/\",\"bt\":{seconds:?},\"n\":\"{sensor}\",\"{label}\":{value}}}]")
        }
        _ => format!("{{\"value\":{value},\"ts\":{time}}}"),
    }
}

/// Number, time, value, quality.
type Reading = (String, i64, Value<'static>, u32);

/// A reader that has nothing but what arrived, in that order.
#[derive(Default)]
struct Reader {
    tables: BTreeMap<String, Vec<Table>>,
    /// By route, sensor and time.
    readings: BTreeMap<(String, String, i64), Value<'static>>,
    identities: BTreeMap<(String, u64), Reading>,
    by_table: BTreeMap<String, usize>,
    unreadable: Vec<String>,
    raw: BTreeSet<String>,
    twice: usize,
}

impl Reader {
    fn of(arrived: &[Arrived]) -> Self {
        let mut reader = Self::default();
        for message in arrived {
            let Some(route) = message.topic.strip_prefix("out/") else {
                reader.raw.insert(message.payload.clone());
                continue;
            };
            if let Some((route, _)) = route.split_once("/table/g/") {
                let table = Table::decode(&message.bytes, &Limits::default()).unwrap();
                reader.tables.entry(route.to_owned()).or_default().push(table);
            } else if let Err(why) = reader.batch(route, message) {
                reader.unreadable.push(format!("{route}: {} bytes: {why}", message.bytes.len()));
            }
        }
        reader
    }

    fn batch(&mut self, route: &str, message: &Arrived) -> Result<(), String> {
        let limits = Limits::default();
        let format = Format::for_content_type(&message.content_type).ok_or("content type")?;
        let wanted = match format {
            Format::Compact => table_wanted(&message.bytes, &limits).map_err(|error| error.to_string())?,
            _ => None,
        };
        let tables = self.tables.get(route).map_or(&[][..], Vec::as_slice);
        let table = match wanted {
            Some(id) => Some(tables.iter().find(|table| table.id() == id).ok_or("no such table")?),
            None => None,
        };
        let batch = match table {
            Some(table) => table.decode_batch(&message.bytes, &limits),
            None => format.decode(&message.bytes, &limits),
        };
        let rows = rows(batch.map_err(|error| error.to_string())?)?;
        *self.by_table.entry(route.to_owned()).or_default() += usize::from(wanted.is_some());
        for (source, seq, reading) in rows {
            let key = (route.to_owned(), reading.0.clone(), reading.1);
            self.twice += usize::from(self.readings.insert(key, reading.2.clone()).is_some());
            let before = self.identities.insert((source, seq), reading.clone());
            if let Some(before) = before {
                assert!(
                    before.0 == reading.0 && before.1 == reading.1,
                    "one identity, two readings: {before:?} {reading:?}"
                );
            }
        }
        Ok(())
    }
}

fn rows(mut batch: Batch<'_>) -> Result<Vec<(String, u64, Reading)>, String> {
    let id = batch.header().id.ok_or("no identity")?;
    let source = format!("{:x}-{}-{}", id.gateway, id.lane, id.epoch);
    let names = batch.sensors().clone();
    let mut rows = Vec::new();
    while let Some(seq) = batch.next_seq() {
        let reading = batch
            .next()
            .ok_or("a number without a reading")?
            .map_err(|error| error.to_string())?
            .into_owned();
        let name = names.get(reading.sensor).ok_or("a sensor without a name")?.name.to_string();
        rows.push((source.clone(), seq, (name, reading.time, reading.value, reading.quality)));
    }
    Ok(rows)
}

/// The sensors' side: what was sent on which route.
struct Plant {
    publisher: Publisher,
    rng: Rng,
    sent: BTreeMap<(&'static str, u64), u64>,
    raw: u64,
}

impl Plant {
    fn send(&mut self, messages: u64) {
        let mut left = messages;
        while left > 0 {
            let run = RUNS[self.rng.below(RUNS.len() as u64) as usize].min(left);
            let route = self.rng.below(ROUTES.len() as u64 + 1) as usize;
            for _ in 0..run {
                self.one(route);
            }
            left -= run;
        }
    }

    fn one(&mut self, route: usize) {
        let Some((name, _, _)) = ROUTES.get(route) else {
            self.raw += 1;
            self.publisher.publish("plant/raw", &format!("raw {}", self.raw));
            return;
        };
        let sensor = self.rng.below(SENSORS);
        let n = self.sent.entry((name, sensor)).or_default();
        let payload = payload(name, sensor, *n);
        *n += 1;
        self.publisher.publish(&format!("plant/{name}/{sensor}"), &payload);
    }
}

fn configuration() -> String {
    let mut text = String::from("[queue]\norder = \"fifo\"\n");
    for (name, lines, _) in ROUTES {
        text.push_str(&format!("[[route]]\nmatch = \"plant/{name}/#\"\nto = \"out/{name}\"\n{lines}\n"));
    }
    text + "[[route]]\nmatch = \"plant/#\"\nto = \"up/\"\n"
}

/// The hub refuses the tables of the routes that are to do without.
fn access() -> String {
    let alone = ROUTES.iter().filter(|(_, lines, has_table)| lines.contains("compact") && !has_table);
    let denied: String = alone.map(|(name, _, _)| format!("topic deny out/{name}/table/#\n")).collect();
    format!("{denied}topic readwrite #\n")
}

fn outage(seed: u64) {
    let dir = tempfile::tempdir().unwrap();
    let acl = dir.path().join("acl");
    std::fs::write(&acl, access()).unwrap();
    let hub = Mosquitto::start(
        dir.path(),
        &format!("acl_file {}\nmax_inflight_messages 0\nmax_queued_messages 1000000", acl.display()),
    );
    let subscriber = Subscriber::start(hub.address, "#");
    let wan = Relay::start(hub.address);
    let (mut gateway, listen) = Gateway::started(dir.path(), wan.address, &configuration());
    let publisher = Publisher::new(listen, "sensor", 100);
    let mut plant = Plant { publisher, rng: Rng::new(seed), sent: BTreeMap::new(), raw: 0 };
    // Every route has what its table is learned from.
    (0..ROUTES.len() * 60).for_each(|n| plant.one(n % ROUTES.len()));
    plant.send(1_000);
    wait_until("the hub has the tables", 180, || {
        // One of a topic's first batch may lack a sensor: then no batch that has it refers to a table.
        let (log, all) = (gateway.log(), format!(" sensors={SENSORS}"));
        let is_shown = |line: &str, name: &str| {
            line.contains(&format!("the hub has the session table topic=out/{name}/table/g"))
                && line.contains(&all)
        };
        let mut routes = ROUTES.iter().filter(|route| route.2);
        routes.all(|(name, _, _)| log.lines().any(|line| is_shown(line, name)))
    });
    (0..ROUTES.len() * 60).for_each(|n| plant.one(n % ROUTES.len()));
    plant.send(1_500);
    plant.publisher.settle(0, 180);
    wait_until("batches by table are at the hub", 180, || gateway.metric("edge_queue_messages") == Some(0.0));
    wan.cut();
    plant.send(2_500);
    gateway.kill_9();
    gateway.start();
    plant.send(2_500);
    wan.mend();
    plant.send(1_000);
    gateway.kill_9();
    gateway.start();
    plant.send(1_500);
    plant.publisher.settle(0, 180);
    assert!(gateway.terminate().0.success());
    gateway.start();
    plant.send(500);
    gateway.kill_9();
    gateway.start();
    plant.publisher.settle(0, 180);
    wait_until("the queue is empty", 180, || gateway.metric("edge_queue_messages") == Some(0.0));
    judge(&plant, &subscriber, &gateway.log());
}

fn judge(plant: &Plant, subscriber: &Subscriber, log: &str) {
    let total: u64 = plant.sent.values().sum();
    wait_until("the subscriber has all of it", 180, || {
        let reader = Reader::of(&subscriber.arrived());
        !reader.unreadable.is_empty()
            || reader.readings.len() as u64 >= total && reader.raw.len() as u64 >= plant.raw
    });
    let reader = Reader::of(&subscriber.arrived());
    assert_eq!(reader.unreadable, [""; 0], "batches that nobody can read");
    for ((route, sensor), count) in &plant.sent {
        for n in 0..*count {
            let key = ((*route).to_owned(), name(route, *sensor), time(n));
            let read = reader.readings.get(&key).unwrap_or_else(|| panic!("{key:?} is not at the hub"));
            assert!(
                is_told(&value(route, *sensor, n), read),
                "{key:?}: {} became {read:?}",
                value(route, *sensor, n)
            );
        }
    }
    assert_eq!(reader.raw.len() as u64, plant.raw, "raw messages");
    for (name, lines, has_table) in ROUTES {
        let by_table = reader.by_table.get(name).copied();
        assert_eq!(
            by_table.is_some_and(|n| n > 0),
            has_table,
            "{name} ({lines}): {by_table:?} batches by table"
        );
    }
    assert!(!log.contains("cannot be read back"), "an encoder was wrong");
    println!("executed formats_outage: {total} readings, {} came twice", reader.twice);
}

fn is_told(sent: &str, read: &Value<'_>) -> bool {
    let sent: serde_json::Value = serde_json::from_str(sent).unwrap();
    match read {
        Value::Null => sent.is_null(),
        Value::Bool(read) => sent.as_bool() == Some(*read),
        Value::Text(read) => sent.as_str() == Some(read),
        Value::I64(read) => sent.as_i64() == Some(*read),
        Value::U64(read) => sent.as_u64() == Some(*read),
        Value::F64(read) => sent.as_f64().is_some_and(|sent| sent.to_bits() == read.to_bits()),
        Value::Bytes(_) => false,
    }
}

/// Promises 1 and 4.
#[test]
fn what_was_acknowledged_is_read_at_the_hub_in_every_format() {
    let budget = |text: String| text.parse::<u64>().ok();
    let histories =
        std::env::var("EDGE_TEST_BUDGET").ok().and_then(budget).map_or(1, |percent| (percent / 20).max(1));
    let seed = std::env::var("EDGE_SEED").ok().and_then(budget).unwrap_or(1);
    (seed..seed + histories).for_each(outage);
}
