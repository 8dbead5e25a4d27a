//! An outage with Mosquitto as hub and its clients as sensors and reader: the link is cut, the starter is killed with signal 9, both come back.
//! Every reading that was acknowledged is at the hub, and each of its rows came under one number.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    unreachable_pub,
    reason = "a test: real processes, sockets and time"
)]

#[path = "../../../edge-bridge/tests/support/mosquitto.rs"]
#[allow(dead_code, reason = "not every test needs all of it")]
mod mosquitto;
#[path = "../../../edge-bridge/tests/support/relay.rs"]
#[allow(dead_code, reason = "not every test needs all of it")]
mod relay;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use edge_codec::{Limits, Value, compact};
use mosquitto::{Mosquitto, free_port};
use relay::{Path as Link, Relay};

const SENSORS: usize = 8;
/// Of each sensor, in each of the parts of the story.
const READINGS: usize = 6;

/// The program under test.
struct Starter {
    child: Child,
}

impl Starter {
    fn run(listen: SocketAddr, hub: &str, state: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_edge-starter"));
        command.args([&listen.to_string(), hub, "site7"]).arg(state);
        let child = command.stderr(Stdio::null()).spawn().unwrap();
        let until = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(listen).is_err() {
            assert!(Instant::now() < until, "the starter does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { child }
    }

    /// SIGKILL.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM.
    fn stop(mut self) -> ExitStatus {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").arg(&id).status().unwrap().success());
        self.child.wait().unwrap()
    }
}

impl Drop for Starter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A reading, by its sensor and value: no value comes twice.
type Key = (String, u64);

/// Lets all sensors publish their readings of this part at QoS 1, each after the other's PUBACK. Returns those that were acknowledged.
fn publish(listen: SocketAddr, part: usize) -> BTreeSet<Key> {
    let sensor = |sensor: usize| {
        move || {
            let topic = format!("s{sensor}/temp");
            let values = (0..READINGS).map(|n| (part * READINGS + n) as u64);
            let acknowledged = values.filter(|value| {
                let (port, text) = (listen.port().to_string(), value.to_string());
                let mut client = Command::new("mosquitto_pub");
                client.args(["-h", "127.0.0.1", "-p", &port, "-q", "1", "-t", &topic, "-m", &text]);
                client.stderr(Stdio::null()).status().unwrap().success()
            });
            acknowledged.map(|value| (topic.clone(), value)).collect::<Vec<_>>()
        }
    };
    let sensors: Vec<_> = (0..SENSORS).map(|n| std::thread::spawn(sensor(n))).collect();
    sensors.into_iter().flat_map(|sensor| sensor.join().unwrap()).collect()
}

/// Epoch and number of a row.
type RowId = (u32, u64);

/// Readings that the hub has, each with the rows that it came as without the mark of a possible duplicate.
#[derive(Clone, Default)]
struct Arrived(Arc<Mutex<BTreeMap<Key, BTreeSet<RowId>>>>);

impl Arrived {
    fn take(&self, line: &str) {
        let bytes: Vec<u8> = (0..line.len() / 2)
            .map(|at| u8::from_str_radix(&line[2 * at..2 * at + 2], 16).unwrap())
            .collect();
        let mut batch = compact::decode(&bytes, &Limits::default()).unwrap();
        let (names, id, pd) = (batch.sensors().clone(), batch.header().id.unwrap(), batch.header().pd);
        while let Some(seq) = batch.next_seq() {
            let reading = batch.next().unwrap().unwrap();
            let Value::F64(value) = reading.value else { panic!("{reading:?}") };
            let name = names.get(reading.sensor).unwrap().name.clone().into_owned();
            let key = (name, value as u64);
            let mut arrived = self.0.lock().unwrap();
            let rows = arrived.entry(key).or_default();
            if !pd {
                rows.insert((id.epoch, seq));
            }
        }
    }

    fn missing(&self, of: &BTreeSet<Key>) -> usize {
        let arrived = self.0.lock().unwrap();
        of.iter().filter(|key| !arrived.contains_key(*key)).count()
    }
}

/// A reader at the hub.
fn read(hub: &Mosquitto, arrived: &Arrived) -> Child {
    let port = hub.address().port().to_string();
    let mut command = Command::new("mosquitto_sub");
    command.args(["-h", "127.0.0.1", "-p", &port, "-q", "1", "-t", "site7", "-F", "%x"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let (lines, arrived) = (BufReader::new(child.stdout.take().unwrap()).lines(), arrived.clone());
    let until = Instant::now() + Duration::from_secs(20);
    while !hub.log().contains("Sending SUBACK") {
        assert!(Instant::now() < until, "{}", hub.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| arrived.take(&line)));
    child
}

#[test]
fn what_was_acknowledged_is_at_the_hub_after_an_outage_and_a_kill() {
    let (hub, state, arrived) =
        (Mosquitto::start("log_type all"), tempfile::tempdir().unwrap(), Arrived::default());
    let network = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let link = network.block_on(Relay::start(hub.address()));
    let listen = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let mut reader = read(&hub, &arrived);
    let starter = Starter::run(listen, &link.url(), state.path());
    let mut acknowledged = publish(listen, 0);
    assert_eq!(acknowledged.len(), SENSORS * READINGS);

    link.set(Link::Cut);
    acknowledged.extend(publish(listen, 1));
    // In the middle of a part: some are acknowledged, some are not.
    let killer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(1_500));
        starter.kill();
    });
    let amid = publish(listen, 2);
    killer.join().unwrap();
    let starter = Starter::run(listen, &link.url(), state.path());
    let after = publish(listen, 3);
    assert_eq!(after.len(), SENSORS * READINGS);
    println!("acknowledged amid the kill: {} of {}", amid.len(), SENSORS * READINGS);
    acknowledged.extend(amid.into_iter().chain(after));
    link.set(Link::Open);

    let until = Instant::now() + Duration::from_secs(60);
    while arrived.missing(&acknowledged) > 0 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(starter.stop().success());
    reader.kill().unwrap();
    reader.wait().unwrap();
    assert_eq!(arrived.missing(&acknowledged), 0, "of {} acknowledged", acknowledged.len());
    let copies = arrived.0.lock().unwrap().values().filter(|rows| rows.len() > 1).count();
    assert_eq!(copies, 0, "rows that were stored once came under two numbers");
    println!("acknowledged and arrived: {}", acknowledged.len());
}
