//! A gateway with a route for each format, all with the same rules, and the comparison of what arrives with what was meant.

use std::collections::BTreeMap;

use tempfile::TempDir;

use super::Read;
use super::foreign::{self, Row};
use super::model::Reducer;
use super::rules::{self, Case};
use super::series::{Reading, Value, payloads};
use super::support::gateway::Gateway;
use super::support::mosquitto::{Mosquitto, Subscriber, publish};
use super::support::publisher::Publisher;
use super::support::wait_until;

/// Differences that are shown.
const SHOWN: usize = 200;

pub(crate) struct Site {
    formats: Vec<&'static str>,
    publisher: Publisher,
    gateway: Gateway,
    subscriber: Subscriber,
    hub: Mosquitto,
    /// Readings so far, so that not all are cut into messages at the same places.
    sent: usize,
    _dir: TempDir,
}

/// Route of a format, whose name its sensors' topics begin with; batches are cut at other places in each.
fn route(format: &str, lines: &str) -> String {
    let batch_max = match format {
        "json" => "7",
        "cbor" => "3",
        "protobuf" => "\"1KiB\"",
        _ => "\"4KiB\"",
    };
    format!(
        "[[route]]\nmatch = \"{format}/#\"\nto = \"out/{format}\"\nformat = \"{format}\"\n\
         batch_max = {batch_max}\nfilter = \"rules.toml\"\n{lines}\n"
    )
}

impl Site {
    /// With the rules of the table.
    pub(crate) fn start(formats: &[&'static str]) -> Self {
        Self::with(formats, &rules::all().iter().map(Case::toml).collect::<String>(), "")
    }

    /// With these rules, and `lines` in each route.
    pub(crate) fn with(formats: &[&'static str], rules: &str, lines: &str) -> Self {
        Self::with_tables(formats, rules, lines, "")
    }

    pub(crate) fn with_tables(formats: &[&'static str], rules: &str, lines: &str, tables: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("rules.toml"), rules).unwrap();
        let hub = Mosquitto::start(dir.path(), "max_queued_messages 0");
        let subscriber = Subscriber::start(hub.address, "out/#");
        let routes: String = formats.iter().map(|format| route(format, lines)).collect();
        let rest = format!("[queue]\norder = \"fifo\"\n{tables}{routes}");
        let (gateway, listen) = Gateway::started(dir.path(), hub.address, &rest);
        let publisher = Publisher::new(listen, "sensors", 100);
        Self { formats: formats.to_vec(), publisher, gateway, subscriber, hub, sent: 0, _dir: dir }
    }

    /// Sends one payload of a sensor of each route.
    pub(crate) fn send_payload(&mut self, name: &str, payload: &str) {
        for format in &self.formats {
            self.publisher.publish(&format!("{format}/{name}"), payload);
        }
    }

    /// Sends each route a payload of its own.
    pub(crate) fn send_each(&mut self, payload: impl Fn(&str) -> String) {
        for format in &self.formats {
            self.publisher.publish(&format!("{format}/any"), &payload(format));
        }
    }

    /// Sends readings of a sensor of each route.
    pub(crate) fn send(&mut self, name: &str, readings: &[Reading]) {
        for (place, format) in self.formats.iter().enumerate() {
            for payload in payloads(readings, self.sent + place) {
                self.publisher.publish(&format!("{format}/{name}"), &payload);
            }
        }
        self.sent += readings.len();
    }

    /// Waits until everything that left the filter is at the hub.
    pub(crate) fn settle(&mut self) {
        self.publisher.settle(0, 120);
        wait_until("the queue is empty", 120, || self.gateway.metric("edge_queue_messages") == Some(0.0));
    }

    pub(crate) fn kill(&mut self) {
        self.settle();
        self.gateway.kill_9();
        self.gateway.start();
    }

    /// Stops the gateway and starts it with this behind its rules.
    pub(crate) fn stop(&mut self, rules: &str) {
        self.settle();
        assert!(self.gateway.terminate().0.success());
        let file = self.gateway.dir.join("rules.toml");
        let before = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, before + rules).unwrap();
        self.gateway.start();
    }

    /// Has this read behind the rules while the gateway runs.
    pub(crate) fn reload(&mut self, rules: &str) {
        self.settle();
        let file = self.gateway.dir.join("rules.toml");
        let before = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, before + rules).unwrap();
        self.gateway.signal("HUP");
        let told = "the routes of the changed configuration are in force";
        wait_until(told, 20, || self.gateway.log().contains(told));
    }

    /// Readings that a foreign reader has got.
    pub(crate) fn read(&mut self) -> Read {
        self.settle();
        let ends = || self.subscriber.arrived().iter().filter(|message| message.topic == "out/end").count();
        let before = ends();
        publish(self.hub.address, "out/end", "end");
        wait_until("the reader has all that is at the hub", 60, || ends() > before);
        let mut arrived = self.subscriber.arrived();
        arrived.retain(|message| message.topic != "out/end");
        foreign::read(&arrived)
    }

    /// Compares what was read of each sensor of each route with what was meant.
    pub(crate) fn compare<'a>(
        &self,
        read: &Read,
        meant: impl Iterator<Item = (&'a String, &'a Case, Vec<Reading>)>,
    ) {
        let (mut sensors, mut rows, mut wrong) = (0, 0, BTreeMap::<String, Vec<&str>>::new());
        for (name, case, meant) in meant {
            for format in &self.formats {
                let found = read.get(&format!("{format}/{name}")).map_or(&[][..], Vec::as_slice);
                let meant: Vec<Row> = meant.iter().map(|reading| carried(format, reading)).collect();
                (sensors, rows) = (sensors + 1, rows + found.len());
                if let Some(difference) = difference(case, &meant, found) {
                    wrong.entry(format!("{name}: {difference}")).or_default().push(format);
                }
            }
        }
        assert_eq!(sensors, read.len(), "sensors that were never meant");
        assert!(rows > 0, "nothing was compared");
        let shown = wrong.iter().take(SHOWN).map(|(what, formats)| format!("{} {what}\n", formats.join(" ")));
        assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), shown.collect::<String>());
        eprintln!("{rows} readings of {sensors} sensors");
    }
}

/// Reading as its format carries it. JSON has no infinities: they are null there, with the bad quality that they have.
fn carried(format: &str, reading: &Reading) -> Row {
    let Reading { time, value, quality, unit } = reading.clone();
    let value = match value {
        Value::Float(number) if format == "json" && !number.is_finite() => Value::Null,
        value => value,
    };
    Row { time, value, quality, unit: unit.to_owned() }
}

/// First difference between two lists of rows.
fn difference(case: &Case, meant: &[Row], found: &[Row]) -> Option<String> {
    let is_computed = matches!(&case.rule.reducer, Reducer::Window(window) if !window.aggregate.is_exact());
    let place =
        (0..meant.len().max(found.len())).find(|place| match (meant.get(*place), found.get(*place)) {
            (Some(meant), Some(found)) => !is_same(meant, found, is_computed),
            _ => true,
        })?;
    let around = |rows: &[Row]| -> String {
        let near = rows.iter().skip(place.saturating_sub(1)).take(4);
        near.map(|row| format!("\n    {row:?}")).collect()
    };
    let (all, arrived) = (meant.len(), found.len());
    Some(format!(
        "{all} meant, {arrived} arrived, from {place} on: meant{}\n  arrived{}",
        around(meant),
        around(found)
    ))
}

/// Sums of many numbers may be rounded in another order.
fn is_same(meant: &Row, found: &Row, is_computed: bool) -> bool {
    let is_value = match (&meant.value, &found.value) {
        (Value::Float(meant), Value::Float(found)) if is_computed => {
            (meant - found).abs() <= 1e-12 * meant.abs().max(found.abs())
        }
        (Value::Float(meant), Value::Float(found)) => meant.to_bits() == found.to_bits(),
        (meant, found) => meant == found,
    };
    is_value && (meant.time, meant.quality, &meant.unit) == (found.time, found.quality, &found.unit)
}
