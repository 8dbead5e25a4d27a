#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! `edge-gateway run` with two addresses of hubs: real Mosquittos that know nothing of each other, each with its reader. One is killed, or takes messages without a
//! word; the gateway is killed; the first comes back.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use edge_codec::Limits;
use edge_codec::compact::{Table, table_wanted};
use support::gateway::Gateway;
use support::hub::{Answer, Hub};
use support::mosquitto::{Mosquitto, Subscriber};
use support::publisher::Publisher;
use support::{free_port, wait_until};

fn configuration(listen: SocketAddr, first: SocketAddr, second: SocketAddr, more: &str) -> String {
    format!(
        "[gateway]\nid = \"g\"\n[local]\nlisten = \"{listen}\"\n[hub]\nurl = \"mqtt://{first}\"\n\
         further_urls = [\"mqtt://{second}\"]\n{more}\
         [[route]]\nmatch = \"r/#\"\nto = \"up/readings\"\nformat = \"compact\"\nbatch_age = \"100ms\"\n\
         [[route]]\nmatch = \"#\"\nto = \"up/\"\n"
    )
}

/// The readings that somebody at one hub makes of what came there, with the tables of that hub alone.
fn readings(subscriber: &Subscriber) -> BTreeSet<String> {
    let (limits, arrived) = (Limits::default(), subscriber.arrived());
    let mut tables = BTreeMap::new();
    let mut readings = BTreeSet::new();
    for message in arrived.iter().filter(|message| message.topic.starts_with("up/readings")) {
        if message.topic.contains("/table/") {
            let table = Table::decode(&message.bytes, &limits).unwrap();
            tables.insert(table.id(), table);
            continue;
        }
        let batch = match table_wanted(&message.bytes, &limits).unwrap() {
            Some(id) => {
                let table: &Table = tables.get(&id).expect("this hub has the table, and before the batch");
                table.decode_batch(&message.bytes, &limits).unwrap()
            }
            None => edge_codec::compact::decode(&message.bytes, &limits).unwrap(),
        };
        let names = batch.sensors().clone();
        for reading in batch {
            let reading = reading.unwrap();
            readings.insert(format!("{}={:?}", names.get(reading.sensor).unwrap().name, reading.value));
        }
    }
    readings
}

fn raw(subscriber: &Subscriber) -> BTreeSet<String> {
    let arrived = subscriber.arrived();
    arrived
        .iter()
        .filter(|message| message.topic.starts_with("up/a"))
        .map(|message| message.payload.clone())
        .collect()
}

struct Site {
    publisher: Publisher,
    sent: usize,
}

impl Site {
    /// Raw messages and readings in turns.
    fn send(&mut self, count: usize) {
        for n in self.sent..self.sent + count {
            match n % 2 {
                0 => self.publisher.publish("a", &format!("message {n:05}")),
                _ => self.publisher.publish(&format!("r/{}", n % 8), &format!("{{\"value\":{n}}}")),
            }
        }
        self.sent += count;
    }

    fn arrived_at(&self, subscribers: &[&Subscriber]) -> bool {
        let count = |each: fn(&Subscriber) -> BTreeSet<String>| {
            let all: BTreeSet<String> = subscribers.iter().flat_map(|subscriber| each(subscriber)).collect();
            all.len()
        };
        count(raw) + count(readings) == self.sent
    }
}

fn is_empty(gateway: &Gateway) -> bool {
    gateway.metric("edge_queue_messages") == Some(0.0)
}

/// Promises 1, 4 and 5.
#[test]
fn what_one_hub_does_not_take_the_next_gets_and_the_first_again_when_it_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let lines = "max_queued_messages 0\nmax_inflight_messages 0";
    let mut first = Mosquitto::start(dir.path(), lines);
    let second = Mosquitto::start(dir.path(), lines);
    let (at_first, at_second) =
        (Subscriber::start(first.address, "up/#"), Subscriber::start(second.address, "up/#"));
    let listen = free_port();
    let mut gateway = Gateway::new(dir.path(), &configuration(listen, first.address, second.address, ""));
    gateway.start();
    let mut site = Site { publisher: Publisher::new(listen, "foreign", 50), sent: 0 };
    site.send(300);
    site.publisher.settle(0, 60);
    wait_until("all is at the first", 60, || is_empty(&gateway) && site.arrived_at(&[&at_first]));
    assert_eq!(gateway.metric("edge_hub_address"), Some(0.0));

    first.kill_9();
    site.send(300);
    wait_until("the rest is at the second", 60, || site.arrived_at(&[&at_first, &at_second]));
    assert_eq!(gateway.metric("edge_hub_address"), Some(1.0));
    site.send(100);
    gateway.kill_9();
    gateway.start();
    site.send(300);
    site.publisher.settle(0, 60);
    wait_until("what was killed with it, too", 60, || site.arrived_at(&[&at_first, &at_second]));

    first.run();
    let again = Subscriber::start(first.address, "up/#");
    wait_until("it is back at the first", 90, || gateway.metric("edge_hub_address") == Some(0.0));
    site.send(300);
    site.publisher.settle(0, 60);
    wait_until("all is at the readers of both", 60, || site.arrived_at(&[&at_first, &at_second, &again]));
    assert!(raw(&again).len() >= 150, "{}", raw(&again).len());
    assert!(gateway.terminate().0.success());
    let log = gateway.log();
    for hub in [first.address, second.address] {
        assert!(log.contains(&format!("connected hub=mqtt://{hub}")), "{log}");
    }
}

/// A node in a minority: it takes messages, answers pings, and acknowledges nothing. Negative control: with its address alone nothing goes.
#[test]
fn a_hub_that_acknowledges_nothing_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let first = Hub::start();
    first.answer(|_, _| Answer::Silent);
    let second = Mosquitto::start(dir.path(), "max_queued_messages 0");
    let at_second = Subscriber::start(second.address, "up/#");
    let listen = free_port();
    let mut gateway = Gateway::new(dir.path(), &configuration(listen, first.address, second.address, ""));
    gateway.start();
    let mut site = Site { publisher: Publisher::new(listen, "foreign", 50), sent: 0 };
    site.send(200);
    site.publisher.settle(0, 60);
    wait_until("all is at the second", 120, || site.arrived_at(&[&at_second]));
    wait_until("nothing is left", 30, || is_empty(&gateway));
    assert!(gateway.terminate().0.success());

    let (alone, listen) = (tempfile::tempdir().unwrap(), free_port());
    let config = configuration(listen, first.address, first.address, "").replace("further_urls", "# ");
    let mut gateway = Gateway::new(alone.path(), &config);
    gateway.start();
    let mut publisher = Publisher::new(listen, "foreign", 50);
    publisher.publish("a", "x");
    publisher.settle(0, 30);
    let before = first.connects().len();
    wait_until("it is tried again", 90, || first.connects().len() > before);
    assert!(!is_empty(&gateway) && first.payloads().is_empty());
}

/// Without failback it stays where it works.
#[test]
fn without_failback_it_stays_at_the_second() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = Mosquitto::start(dir.path(), "");
    let second = Mosquitto::start(dir.path(), "");
    first.kill_9();
    let listen = free_port();
    let config = configuration(listen, first.address, second.address, "failback = false\n");
    let mut gateway = Gateway::new(dir.path(), &config);
    gateway.start();
    wait_until("it is at the second", 60, || second.connects("g") == 1);
    first.run();
    std::thread::sleep(std::time::Duration::from_secs(35));
    assert_eq!((first.connects("g"), second.connects("g")), (0, 1));
    assert!(gateway.terminate().0.success());
}
