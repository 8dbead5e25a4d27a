//! A running `edge-decode subscribe`, and what gateways send.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;

use edge_codec::compact::{Encoder, Table};
use edge_codec::{Reading, SensorTable, Value, content_type};

use super::mosquitto::Mosquitto;
use super::{BINARY, wait_until};

pub const TABLE: Option<&str> = Some("application/vnd.edge.table;v=1");
pub const BATCH: Option<&str> = Some(content_type::COMPACT);

/// A running subscriber; what it prints goes to files.
pub struct Subscriber {
    pub child: Child,
    path: PathBuf,
}

impl Subscriber {
    pub fn start(dir: &Path, name: &str, broker: &Mosquitto, arguments: &[&str]) -> Self {
        let subscriber = Self::spawn(dir, name, broker, arguments);
        wait_until("it is connected", || subscriber.said().contains("connected"));
        subscriber
    }

    /// Without waiting for its connection.
    pub fn spawn(dir: &Path, name: &str, broker: &Mosquitto, arguments: &[&str]) -> Self {
        Self::spawn_at(dir, name, &broker.url(), arguments)
    }

    /// At a hub that is no Mosquitto, or one behind another address.
    pub fn spawn_at(dir: &Path, name: &str, url: &str, arguments: &[&str]) -> Self {
        let path = dir.join(name);
        let child = Command::new(BINARY)
            .args(["subscribe", url])
            .args(arguments)
            .env("RUST_LOG", "info")
            .stdin(Stdio::null())
            .stdout(fs::File::create(&path).unwrap())
            .stderr(fs::File::create(path.with_extension("log")).unwrap())
            .spawn()
            .unwrap();
        Self { child, path }
    }

    /// Subscribed is what it is when a message comes through.
    pub fn hears(&self, dir: &Path, broker: &Mosquitto, topic: &str) {
        let before = self.lines().len();
        wait_until("it hears", || {
            broker.publish(dir, topic, Some("application/json"), false, PROBE);
            self.lines().len() > before
        });
    }

    /// Lines that are whole: the last one may be half written.
    pub fn lines(&self) -> Vec<String> {
        let text = fs::read(&self.path).unwrap();
        let end = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        String::from_utf8(text[..end].to_vec()).unwrap().lines().map(str::to_owned).collect()
    }

    /// The event times of what it printed of one sensor.
    pub fn times(&self, sensor: &str) -> Vec<i64> {
        let sensor = format!("\"sensor\":\"{sensor}\"");
        let lines = self.lines().into_iter().filter(|line| line.contains(&sensor));
        lines
            .map(|line| serde_json::from_str::<serde_json::Value>(&line).unwrap()["ts"].as_i64().unwrap())
            .collect()
    }

    pub fn said(&self) -> String {
        fs::read_to_string(self.path.with_extension("log")).unwrap()
    }

    /// SIGKILL: nothing is said to the hub.
    pub fn kill_9(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The most memory it ever had, in KiB.
    pub fn peak_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// It ends by itself.
    pub fn ends(mut self) -> ExitStatus {
        let mut status = None;
        wait_until("it ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// As Ctrl-C.
    pub fn interrupt(mut self) -> ExitStatus {
        let sent = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let mut status = None;
        wait_until("it stops", || {
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
pub const PROBE: &[u8] = br#"{"readings":[{"sensor":"probe","ts":0,"value":1}]}"#;

pub fn table(name: &str) -> Arc<Table> {
    let mut sensors = SensorTable::new();
    sensors.insert(0, name.to_owned(), "K");
    Arc::new(Table::new(1, &sensors))
}

pub fn batch(table: &Arc<Table>, time: i64) -> Vec<u8> {
    let mut encoder = Encoder::with_table(table.clone());
    encoder.push(&Reading { sensor: 0, time, value: Value::F64(0.1), quality: 0 }).unwrap();
    encoder.finish_under(1_000).unwrap().to_vec()
}
