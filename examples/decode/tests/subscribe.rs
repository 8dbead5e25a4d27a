#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! `subscribe` at a real Mosquitto.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;

use edge_codec::compact::{Encoder, Level, Table};
use edge_codec::{Reading, SensorTable, Value, content_type};
use support::mosquitto::Mosquitto;
use support::{BINARY, wait_until};

const TABLE: Option<&str> = Some("application/vnd.edge.table;v=1");
const BATCH: Option<&str> = Some(content_type::COMPACT);

/// A running subscriber; what it prints goes to files.
struct Subscriber {
    child: Child,
    path: PathBuf,
}

impl Subscriber {
    fn start(dir: &Path, name: &str, broker: &Mosquitto, arguments: &[&str]) -> Self {
        let path = dir.join(name);
        let child = Command::new(BINARY)
            .args(["subscribe", &broker.url()])
            .args(arguments)
            .env("RUST_LOG", "info")
            .stdin(Stdio::null())
            .stdout(fs::File::create(&path).unwrap())
            .stderr(fs::File::create(path.with_extension("log")).unwrap())
            .spawn()
            .unwrap();
        let subscriber = Self { child, path };
        wait_until("it is connected", 20, || subscriber.said().contains("connected"));
        subscriber
    }

    /// Subscribed is what it is when a message comes through.
    fn hears(&self, dir: &Path, broker: &Mosquitto, topic: &str) {
        let before = self.lines().len();
        wait_until("it hears", 20, || {
            broker.publish(dir, topic, Some("application/json"), false, PROBE);
            self.lines().len() > before
        });
    }

    fn lines(&self) -> Vec<String> {
        fs::read_to_string(&self.path).unwrap().lines().map(str::to_owned).collect()
    }

    /// The event times of what it printed of one sensor.
    fn times(&self, sensor: &str) -> Vec<i64> {
        let sensor = format!("\"sensor\":\"{sensor}\"");
        let lines = self.lines().into_iter().filter(|line| line.contains(&sensor));
        lines
            .map(|line| serde_json::from_str::<serde_json::Value>(&line).unwrap()["ts"].as_i64().unwrap())
            .collect()
    }

    fn said(&self) -> String {
        fs::read_to_string(self.path.with_extension("log")).unwrap()
    }

    /// As Ctrl-C.
    fn interrupt(mut self) -> ExitStatus {
        let sent = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let mut status = None;
        wait_until("it stops", 20, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- {}\n{}", self.path.display(), self.said());
        }
    }
}

/// A batch of the JSON form that means nothing to the tests.
const PROBE: &[u8] = br#"{"readings":[{"sensor":"probe","ts":0,"value":1}]}"#;

fn table(name: &str) -> Arc<Table> {
    let mut sensors = SensorTable::new();
    sensors.insert(0, name.to_owned(), "K");
    Arc::new(Table::new(1, &sensors))
}

fn batch(table: &Arc<Table>, time: i64) -> Vec<u8> {
    let mut encoder = Encoder::new(Level::Fast).table(table.clone());
    encoder.push(&Reading { sensor: 0, time, value: Value::F64(0.1), quality: 0 }).unwrap();
    encoder.finish_under(1_000).unwrap().to_vec()
}

/// A table that was retained long ago, one that comes after the batch, and one that never comes.
#[test]
fn tables_are_fetched_below_the_topic_remembered_and_missed_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let broker = Mosquitto::start(dir);
    let (early, late, never) = (table("early"), table("late"), table("never"));
    broker.publish(dir, "edge/a/table/g1", TABLE, true, early.bytes());
    let kept = dir.join("tables");
    let arguments = ["--topic", "edge/+", "--tables", kept.to_str().unwrap()];
    let subscriber = Subscriber::start(dir, "one", &broker, &arguments);
    subscriber.hears(dir, &broker, "edge/probe");
    broker.publish(dir, "edge/a", BATCH, false, &batch(&early, 1));
    wait_until("the retained table was fetched", 10, || subscriber.times("early") == [1]);
    broker.publish(dir, "edge/a", BATCH, false, &batch(&late, 2));
    broker.publish(dir, "edge/a", BATCH, false, &batch(&early, 3));
    wait_until("others are not held up", 10, || subscriber.times("early") == [1, 3]);
    broker.publish(dir, "edge/a/table/g2", TABLE, true, late.bytes());
    wait_until("the batch that waited is printed", 10, || subscriber.times("late") == [2]);
    broker.publish(dir, "edge/b", BATCH, false, &batch(&never, 4));
    broker.publish(dir, "edge/b", Some("text/plain"), false, b"x");
    broker.publish(dir, "edge/b", BATCH, false, b"?");
    wait_until("what cannot be read is told", 30, || {
        let said = subscriber.said();
        ["did not come within 10 s", "text/plain", "edge/b: 1 bytes: "].iter().all(|part| said.contains(part))
    });
    assert_eq!(subscriber.interrupt().code(), Some(1), "something could not be read");
    // A new process knows the tables of the old one, retained or not.
    broker.publish(dir, "edge/a/table/g1", None, true, b"");
    let again = Subscriber::start(dir, "two", &broker, &arguments);
    again.hears(dir, &broker, "edge/probe");
    broker.publish(dir, "edge/a", BATCH, false, &batch(&early, 5));
    wait_until("by the table in the folder", 10, || again.times("early") == [5]);
    assert_eq!(again.interrupt().code(), Some(0), "Ctrl-C is a clean end");
}

/// D8: hubs scale by groups. Each batch goes to one member, and both members have the table, which is not shared.
#[test]
fn two_members_of_a_group_get_disjoint_batches_and_the_same_table() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let broker = Mosquitto::start(dir);
    let shared = table("shared");
    broker.publish(dir, "edge/plant/table/g", TABLE, true, shared.bytes());
    let arguments = ["--topic", "edge/#", "--share", "readers"];
    let members = ["one", "two"].map(|name| Subscriber::start(dir, name, &broker, &arguments));
    for member in &members {
        member.hears(dir, &broker, "edge/probe");
    }
    (0..40).for_each(|time| broker.publish(dir, "edge/plant", BATCH, false, &batch(&shared, time)));
    let times = || members.each_ref().map(|member| member.times("shared"));
    wait_until("every batch is printed", 20, || times().concat().len() >= 40);
    let [one, two] = times();
    assert!(!one.is_empty() && !two.is_empty(), "{one:?} {two:?}");
    let all: BTreeSet<i64> = one.iter().chain(&two).copied().collect();
    assert_eq!((all.len(), one.len() + two.len()), (40, 40), "each once: {one:?} {two:?}");
    for member in members {
        assert_eq!(member.interrupt().code(), Some(0));
    }
}

/// Batch and table over TLS, with a certificate on both sides; without ours the hub hangs up, and that is said.
#[test]
fn batches_and_tables_come_over_tls_and_a_reader_without_a_certificate_is_told_why_not() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let broker = Mosquitto::start_tls(dir);
    let secure = table("secure");
    broker.publish(dir, "edge/plant/table/g", TABLE, true, secure.bytes());
    let file = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let (ca, cert, key) = (file("ca.crt"), file("reader.crt"), file("reader.key"));
    let arguments = ["--topic", "edge/+", "--ca", &ca, "--cert", &cert, "--key", &key];
    let subscriber = Subscriber::start(dir, "secure", &broker, &arguments);
    subscriber.hears(dir, &broker, "edge/probe");
    broker.publish(dir, "edge/plant", BATCH, false, &batch(&secure, 7));
    wait_until("it is read with its table", 20, || subscriber.times("secure") == [7]);
    assert_eq!(subscriber.interrupt().code(), Some(0));

    let url = broker.url();
    let output = Command::new(BINARY).args(["subscribe", &url, "--topic", "edge/+", "--ca", &ca]).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("no connection within 15 s: "), "{said}");
    assert!(said.to_lowercase().contains("certificate"), "{said}");
}

#[test]
fn what_is_wrong_with_the_command_line_is_said_before_anything_is_dialled() {
    for (arguments, said) in [
        (&["mqtts://localhost"][..], "--ca"),
        (&["http://localhost"], "mqtt://HOST:PORT"),
        (&["mqtt://localhost", "--ca", "no-such-file"], "no-such-file"),
    ] {
        let output =
            Command::new(BINARY).arg("subscribe").args(arguments).args(["--topic", "x"]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(said), "{text}");
    }
}
