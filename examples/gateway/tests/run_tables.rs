#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! Session tables at a real Mosquitto that loses them, or has others in their place: every batch stays readable.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use edge_codec::compact::{Table, table_wanted};
use edge_codec::{Batch, Limits};
use support::gateway::Gateway;
use support::hub::{Answer, Hub};
use support::mosquitto::{Arrived, Mosquitto, Subscriber, retain, retain_file};
use support::publisher::Publisher;
use support::wait_until;

const ROUTE: &str =
    "[[route]]\nmatch = \"plant/#\"\nto = \"out\"\nformat = \"compact\"\nbatch_age = \"20ms\"\n";
const TABLES: &str = "out/table/";

/// A reader of what arrived at a subscriber, in whatever order.
#[derive(Default)]
struct Reader {
    /// By topic.
    tables: BTreeMap<String, Table>,
    times: BTreeSet<i64>,
    /// Names of the tables that batches need.
    wanted: BTreeSet<u64>,
    unreadable: usize,
}

impl Reader {
    fn of(subscriber: &Subscriber) -> Self {
        let (arrived, limits) = (subscriber.arrived(), Limits::default());
        let mut reader = Self::default();
        let (tables, batches): (Vec<&Arrived>, Vec<_>) =
            arrived.iter().partition(|message| message.topic.starts_with(TABLES));
        for message in tables {
            if let Ok(table) = Table::decode(&message.bytes, &limits) {
                reader.tables.insert(message.topic.clone(), table);
            }
        }
        for Arrived { bytes, .. } in batches {
            let wanted = table_wanted(bytes, &limits).unwrap();
            reader.wanted.extend(wanted);
            match wanted.map(|id| reader.tables.values().find(|table| table.id() == id)) {
                None => take(edge_codec::compact::decode(bytes, &limits).unwrap(), &mut reader.times),
                Some(Some(table)) => take(table.decode_batch(bytes, &limits).unwrap(), &mut reader.times),
                Some(None) => reader.unreadable += 1,
            }
        }
        reader
    }

    fn ids(&self) -> BTreeSet<u64> {
        self.tables.values().map(Table::id).collect()
    }
}

fn take(batch: Batch<'_>, times: &mut BTreeSet<i64>) {
    times.extend(batch.map(|reading| reading.unwrap().time));
}

/// Sensors that send to a gateway; each reading has a time of its own.
struct Plant {
    publisher: Publisher,
    sent: i64,
}

impl Plant {
    fn send(&mut self, n: i64, sensors: i64) -> std::ops::Range<i64> {
        let range = self.sent..self.sent + n;
        for time in range.clone() {
            let payload = format!("{{\"value\":{}.5,\"ts\":{time}}}", time % 7);
            self.publisher.publish(&format!("plant/{}", time % sensors), &payload);
        }
        self.sent = range.end;
        self.publisher.settle(0, 60);
        range
    }
}

fn started(dir: &Path, hub: SocketAddr) -> (Gateway, Plant) {
    let (gateway, listen) = Gateway::started(dir, hub, ROUTE);
    (gateway, Plant { publisher: Publisher::new(listen, "sensor", 50), sent: 0 })
}

fn wait_for_table(gateway: &Gateway, sensors: usize) {
    let end = format!(" sensors={sensors}");
    wait_until("the hub has a table of all sensors", 60, || {
        gateway.log().lines().any(|l| l.contains("the hub has the session table") && l.ends_with(&end))
    });
}

/// Tables that somebody who comes now finds at the hub: topics and names.
fn retained(hub: SocketAddr) -> BTreeMap<String, u64> {
    let reader = Reader::of(&Subscriber::start(hub, "out/table/#"));
    reader.tables.into_iter().map(|(topic, table)| (topic, table.id())).collect()
}

fn arrives(subscriber: &Subscriber, times: std::ops::Range<i64>) {
    wait_until("a reader that comes late reads all that is sent, and whatever else came", 60, || {
        let reader = Reader::of(subscriber);
        times.clone().all(|time| reader.times.contains(&time)) && reader.unreadable == 0
    });
}

#[test]
fn a_table_that_somebody_clears_or_overwrites_comes_back_and_every_batch_is_readable() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "");
    let (gateway, mut plant) = started(dir.path(), hub.address);
    plant.send(60, 3);
    wait_for_table(&gateway, 3);
    for instead in ["", "no table"] {
        let before = retained(hub.address);
        assert!(!before.is_empty());
        before.keys().for_each(|topic| retain(hub.address, topic, instead));
        let late = Subscriber::start(hub.address, "out/#");
        let sent = plant.send(60, 3);
        arrives(&late, sent);
        wait_until("the tables are there again", 60, || {
            let after = retained(hub.address);
            before.iter().all(|table| after.iter().any(|other| other == table))
        });
    }
}

#[test]
fn a_hub_that_crashes_with_its_tables_unsaved_gets_them_again() {
    let dir = tempfile::tempdir().unwrap();
    let place = format!("persistence true\npersistence_location {}/\nuser root\n", dir.path().display());
    let mut hub = Mosquitto::start(dir.path(), &format!("{place}autosave_interval 1800"));
    let (gateway, mut plant) = started(dir.path(), hub.address);
    wait_until("the gateway is connected", 20, || gateway.log().contains("connected"));
    // The session is saved, and no table.
    let saved = Command::new("kill").args(["-USR1", &hub.pid().to_string()]).status().unwrap();
    assert!(saved.success());
    wait_until("the hub has saved", 20, || dir.path().join("mosquitto.db").exists());
    let early = Subscriber::start(hub.address, "out/#");
    plant.send(60, 3);
    wait_for_table(&gateway, 3);
    let by_table = plant.send(60, 3);
    arrives(&early, by_table);
    let wanted = Reader::of(&early).wanted;
    assert!(!wanted.is_empty());
    let late = gateway.paused(|| {
        hub.crash();
        assert_eq!(retained(hub.address).len(), 0, "it has lost them");
        Subscriber::start(hub.address, "out/#")
    });
    let sent = plant.send(60, 3);
    arrives(&late, sent);
    wait_until("the tables of what was sent before are there again", 60, || {
        let now: BTreeSet<u64> = retained(hub.address).into_values().collect();
        wanted.is_subset(&now)
    });
    assert!(gateway.log().contains("session_present=true"), "it kept the session");
}

#[test]
fn a_reader_that_was_away_while_tables_changed_finds_the_table_of_every_batch() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "");
    let (mut gateway, mut plant) = started(dir.path(), hub.address);
    let all = Subscriber::start(hub.address, "out/#");
    for sensors in 3..6 {
        plant.send(60, sensors);
        wait_for_table(&gateway, sensors as usize);
        let sent = plant.send(60, sensors);
        arrives(&all, sent);
        if sensors == 4 {
            gateway.kill_9();
            gateway.start();
        }
    }
    let wanted = Reader::of(&all).wanted;
    assert!(wanted.len() >= 3, "{wanted:?}");
    // A version that the last readings made may be on its way to either.
    wait_until("the hub has what the reader has heard of, and every table that it needed", 30, || {
        let now: BTreeSet<u64> = retained(hub.address).into_values().collect();
        wanted.is_subset(&now) && Reader::of(&all).ids() == now
    });
}

/// Names of the session tables' files.
fn files(state: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(state).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("table-")).collect()
}

#[test]
fn tables_of_others_cost_neither_log_nor_disk_and_are_not_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "");
    let (mut gateway, mut plant) = started(dir.path(), hub.address);
    plant.send(60, 3);
    wait_for_table(&gateway, 3);
    let state = dir.path().join("state");
    wait_until("its own are on disk", 20, || files(&state).len() == retained(hub.address).len());
    let (before, lines) = (files(&state), gateway.log().lines().count());
    // One that would be the newest, and some that are none.
    let mut evil = edge_codec::SensorTable::new();
    evil.insert(0, "evil".to_owned(), String::new());
    let evil = Table::learn(u32::MAX, &evil, &[]);
    let forged = dir.path().join("evil.table");
    std::fs::write(&forged, evil.bytes()).unwrap();
    retain_file(hub.address, &format!("{TABLES}g/{:08x}", evil.id()), &forged);
    (1..50_u32).for_each(|id| retain(hub.address, &format!("{TABLES}g/{id:016x}"), "no table"));
    let late = Subscriber::start(hub.address, "out/#");
    let sent = plant.send(60, 3);
    arrives(&late, sent);
    let mut found = files(&state);
    found.retain(|name| !before.contains(name));
    assert!(found.len() <= 1, "at most a version of its own that its readings made: {found:?}");
    assert!(gateway.log().lines().count() <= lines + 4, "{}", gateway.log());
    gateway.kill_9();
    gateway.start();
    wait_for_table(&gateway, 3);
    let sent = plant.send(60, 3);
    arrives(&late, sent);
    assert!(!gateway.log().contains("sensors=1"), "{}", gateway.log());
}

/// It was: in a learned table such sensors stand in another order than that of their numbers, and no later process knew it as its own. It stayed at the hub
/// and on disk for ever, and each run added some.
#[test]
fn a_restart_knows_the_learned_table_of_sensors_that_publish_one_by_one_and_makes_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "");
    let (mut gateway, mut plant) = started(dir.path(), hub.address);
    plant.send(300, 3);
    let learned = || {
        let tables = Reader::of(&Subscriber::start(hub.address, "out/table/#")).tables;
        tables.values().find(|table| table.plans() == 3).map(Table::id)
    };
    wait_until("the hub has a learned table", 60, || learned().is_some());
    let (learned, state) = (learned().unwrap(), dir.path().join("state"));
    wait_until("all are on disk", 20, || files(&state).len() == retained(hub.address).len());
    let before = (retained(hub.address), BTreeSet::from_iter(files(&state)));
    for _ in 0..2 {
        gateway.kill_9();
        gateway.start();
        let late = Subscriber::start(hub.address, "out/#");
        plant.send(300, 3);
        wait_until("batches refer to it", 60, || {
            plant.send(3, 3);
            Reader::of(&late).wanted.contains(&learned)
        });
        let sent = plant.send(300, 3);
        arrives(&late, sent);
        assert_eq!(Reader::of(&late).wanted, BTreeSet::from([learned]), "and to no other");
        assert_eq!((retained(hub.address), BTreeSet::from_iter(files(&state))), before);
    }
}

/// A table stands for no reading: refused, it is published again by its own schedule (after 1, 2, 4 … s), one copy each time.
#[test]
fn a_refused_table_leaves_no_copies_of_itself() {
    let dir = tempfile::tempdir().unwrap();
    let (hub, tables) = (Hub::start(), Arc::new(AtomicU32::new(0)));
    let seen = tables.clone();
    hub.answer(move |topic, _| {
        let is_table = topic.starts_with(TABLES);
        seen.fetch_add(is_table.into(), Ordering::Relaxed);
        Answer::Ack(if is_table { 0x87 } else { 0 })
    });
    let (gateway, mut plant) = started(dir.path(), hub.address);
    plant.send(1, 1);
    wait_until("the table was published five times", 60, || tables.load(Ordering::Relaxed) >= 5);
    std::thread::sleep(Duration::from_secs(1));
    // After 0, 1, 3, 7 and 15 s; held and sent again with its copies it came ten times by then.
    assert_eq!(tables.load(Ordering::Relaxed), 5);
    assert_eq!(gateway.metric("edge_held_messages"), Some(0.0));
}

/// Verdict and the figures of what the hub refuses or does not show.
fn is_told(gateway: &Gateway, verdict: &str, refused: f64, unshown: f64) -> bool {
    gateway.metric(&format!("edge_verdict{{verdict=\"{verdict}\"}}")) == Some(1.0)
        && gateway.metric("edge_refused_subscriptions") == Some(refused)
        && gateway.metric("edge_unshown_tables") == Some(unshown)
}

#[test]
fn a_hub_that_refuses_the_subscription_costs_bytes_alone_and_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut hub = Mosquitto::start(dir.path(), &Mosquitto::rights(dir.path(), false));
    let (gateway, mut plant) = started(dir.path(), hub.address);
    plant.send(500, 10);
    wait_until("it is told, and all is delivered", 20, || {
        is_told(&gateway, "degraded", 1.0, 0.0) && gateway.metric("edge_delivered_total") == Some(500.0)
    });
    let (_, status) = gateway.get("/status.json").unwrap();
    assert!(status.contains("The hub refuses the subscription to out/table/g/#: 0x87"), "{status}");
    assert_eq!(gateway.log().matches("subscription refused").count(), 1, "{}", gateway.log());
    hub.kill_9();
    Mosquitto::rights(dir.path(), true);
    hub.run();
    let subscriber = Subscriber::start(hub.address, "out/#");
    plant.send(10, 10);
    wait_for_table(&gateway, 10);
    let later = plant.send(10, 10);
    arrives(&subscriber, later);
    wait_until("it is mended", 20, || is_told(&gateway, "delivering", 0.0, 0.0));
}

/// Mosquitto's `acl_file` grants each subscription, and then sends nothing.
#[test]
fn a_hub_that_shows_no_table_is_told_after_a_minute() {
    let dir = tempfile::tempdir().unwrap();
    let acl = dir.path().join("acl");
    std::fs::write(&acl, "topic write #\n").unwrap();
    let mut hub = Mosquitto::start(dir.path(), &format!("acl_file {}", acl.display()));
    let (gateway, mut plant) = started(dir.path(), hub.address);
    plant.send(500, 10);
    wait_until("all is delivered", 20, || is_told(&gateway, "delivering", 0.0, 0.0));
    wait_until("it is told", 90, || is_told(&gateway, "delivering", 0.0, 1.0));
    let (_, status) = gateway.get("/status.json").unwrap();
    assert!(status.contains("The hub shows no session table of 1 topic"), "{status}");
    hub.kill_9();
    std::fs::write(&acl, "topic readwrite #\n").unwrap();
    hub.run();
    plant.send(10, 10);
    wait_for_table(&gateway, 10);
    wait_until("it is mended", 20, || is_told(&gateway, "delivering", 0.0, 0.0));
}

/// It sends each table to whoever is there, and keeps it for nobody: a reader that comes later, or asks for the table of a batch, never gets it.
#[test]
fn a_hub_that_retains_nothing_gets_batches_that_name_their_sensors_and_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "retain_available false");
    let (gateway, mut plant) = started(dir.path(), hub.address);
    let all = Subscriber::start(hub.address, "out/#");
    let mut sent = plant.send(60, 3);
    wait_until("it is told", 90, || is_told(&gateway, "delivering", 0.0, 1.0));
    sent.end = plant.send(60, 3).end;
    arrives(&all, sent);
    let reader = Reader::of(&all);
    assert!(!reader.tables.is_empty(), "it got the tables");
    assert_eq!(reader.wanted, BTreeSet::new(), "no batch needs one");
    assert!(!gateway.log().contains("the hub has the session table"), "{}", gateway.log());
    let (_, status) = gateway.get("/status.json").unwrap();
    assert!(status.contains("The hub shows no session table of 1 topic"), "{status}");
}
