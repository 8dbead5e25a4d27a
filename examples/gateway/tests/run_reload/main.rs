#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! A changed gateway.toml, read again while sensors publish: what was acknowledged arrives, whatever the edit, and a wrong edit changes nothing.

#[path = "../support/mod.rs"]
mod support;

mod random_edits;

use std::collections::BTreeSet;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use edge_codec::compact::{Table, table_wanted};
use edge_codec::{Batch, Format, Limits, Value};
use support::gateway::Gateway;
use support::mosquitto::{Arrived, Mosquitto, Subscriber};
use support::publisher::Publisher;
use support::relay::Relay;
use support::{free_port, wait_until};

const IN_FORCE: &str = "the routes of the changed configuration are in force";
const ANEW: &str = "the gateway starts anew with it";
const REFUSED: &str = "the changed configuration is refused: the one in force stays";
const SAME: &str = "the configuration was read again: nothing in it has changed";

/// A gateway.toml of which the tests change parts.
#[derive(Clone)]
struct File {
    listen: SocketAddr,
    metrics: SocketAddr,
    hub: SocketAddr,
    gateway: String,
    rest: String,
}

impl File {
    fn write(&self, path: &Path) {
        let Self { listen, metrics, hub, gateway, rest } = self;
        let text = format!(
            "[gateway]\nid = \"g\"\n{gateway}\n[local]\nlisten = \"{listen}\"\n[hub]\nurl = \"mqtt://{hub}\"\n[metrics]\nlisten = \"{metrics}\"\ntotals_within = \"1s\"\n{rest}"
        );
        fs::write(path, text).unwrap();
    }
}

/// A running gateway with its file.
fn started(dir: &Path, hub: SocketAddr, gateway: &str, rest: &str) -> (Gateway, File) {
    let mut running = Gateway::new(dir, "");
    let (gateway, rest) = (gateway.to_owned(), rest.to_owned());
    let file = File { listen: free_port(), metrics: running.metrics, hub, gateway, rest };
    file.write(&dir.join("gateway.toml"));
    running.start();
    (running, file)
}

/// Has the file read, and waits for this word.
#[track_caller]
fn reload(gateway: &Gateway, file: &File, word: &str) {
    file.write(&gateway.dir.join("gateway.toml"));
    signalled(gateway, word);
}

#[track_caller]
fn signalled(gateway: &Gateway, word: &str) {
    let before = gateway.log().matches(word).count();
    gateway.signal("HUP");
    wait_until(word, 20, || gateway.log().matches(word).count() > before);
}

/// Numbers in readings and raw messages at the hub, by a reader that has nothing but what arrived.
fn numbers(arrived: &[Arrived]) -> BTreeSet<u64> {
    let limits = Limits::default();
    let tables: Vec<Table> = arrived
        .iter()
        .filter(|message| message.topic.contains("/table/") && !message.bytes.is_empty())
        .map(|message| Table::decode(&message.bytes, &limits).unwrap())
        .collect();
    let mut all = BTreeSet::new();
    for message in arrived.iter().filter(|message| !message.topic.contains("/table/")) {
        let Some(format) = Format::for_content_type(&message.content_type) else {
            let payload: serde_json::Value = serde_json::from_slice(&message.bytes).unwrap();
            all.insert(payload["value"].as_u64().unwrap());
            continue;
        };
        let wanted = match format {
            Format::Compact => table_wanted(&message.bytes, &limits).unwrap(),
            _ => None,
        };
        let table =
            wanted.map(|id| tables.iter().find(|table| table.id() == id).expect("the table is there"));
        let batch: Batch<'_> = match table {
            Some(table) => table.decode_batch(&message.bytes, &limits).unwrap(),
            None => format.decode(&message.bytes, &limits).unwrap(),
        };
        for reading in batch {
            match reading.unwrap().value {
                Value::I64(value) => all.insert(value.unsigned_abs()),
                Value::F64(value) => all.insert(value as u64),
                other => panic!("{other:?}"),
            };
        }
    }
    all
}

fn payload(n: u64) -> String {
    format!("{{\"value\":{n},\"ts\":{}}}", 1_790_000_000_000 + n * 50)
}

/// A connection that notices when it ends.
fn connected(listen: SocketAddr, name: &str) -> TcpStream {
    let mut stream = TcpStream::connect(listen).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut connect = vec![0x10, u8::try_from(12 + name.len()).unwrap()];
    connect.extend(b"\x00\x04MQTT\x04\x02\x00\x00");
    connect.extend([0, u8::try_from(name.len()).unwrap()]);
    connect.extend(name.bytes());
    stream.write_all(&connect).unwrap();
    let mut connack = [0; 4];
    stream.read_exact(&mut connack).unwrap();
    assert_eq!(connack, [0x20, 2, 0, 0]);
    stream
}

fn is_connected(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    stream.read(&mut [0; 1]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

const PLANT: &str = "[[route]]\nmatch = \"plant/#\"\nto = \"plant\"\nformat = \"json\"\n";

/// Promises 1 and 7.
#[test]
fn routes_and_rules_change_between_two_messages_and_nobody_is_disconnected() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "");
    let subscriber = Subscriber::start(hub.address, "#");
    let rules = "[[rule]]\nmatch = \"#\"\nstages = [ { swinging_door = { deviation = 0.1 } } ]\n";
    fs::write(dir.path().join("rules.toml"), rules).unwrap();
    let (mut gateway, file) =
        started(dir.path(), hub.address, "", &format!("{PLANT}filter = \"rules.toml\"\n"));
    let mut witness = connected(file.listen, "witness");
    let mut sensor = Publisher::new(file.listen, "sensor", 10);
    // The first passes, the others are held.
    (1..=3).for_each(|n| sensor.publish("plant/t", &payload(n)));
    sensor.settle(0, 30);
    let mut next = file.clone();
    next.rest = format!("{PLANT}[[route]]\nmatch = \"yard/#\"\nto = \"yard\"\nformat = \"compact\"\n");
    reload(&gateway, &next, IN_FORCE);
    wait_until("what the old rules held is at the hub", 30, || {
        numbers(&subscriber.arrived()) == BTreeSet::from([1, 3])
    });
    (100..160).for_each(|n| sensor.publish("yard/t", &payload(n)));
    (4..=6).for_each(|n| sensor.publish("plant/t", &payload(n)));
    sensor.settle(0, 30);
    let expected: BTreeSet<u64> = [1, 3, 4, 5, 6].into_iter().chain(100..160).collect();
    wait_until("the new routes' readings are at the hub", 20, || numbers(&subscriber.arrived()) == expected);
    wait_until("the table of the new route is at the hub", 30, || {
        gateway.log().contains("the hub has the session table topic=yard/table/g")
    });
    (160..170).for_each(|n| sensor.publish("yard/t", &payload(n)));
    sensor.settle(0, 30);
    wait_until("batches refer to it", 20, || {
        numbers(&subscriber.arrived()).is_superset(&(160..170).collect())
            && subscriber.arrived().iter().any(|message| {
                message.topic == "yard" && table_wanted(&message.bytes, &Limits::default()).unwrap().is_some()
            })
    });
    // The page knows the routes, and the status its configuration.
    let page = gateway.get("/status.json").unwrap().1;
    let status: serde_json::Value = serde_json::from_str(&page).unwrap();
    let filters: Vec<_> = status["routes"].as_array().unwrap().iter().map(|route| &route["match"]).collect();
    assert_eq!(filters, ["plant/#", "yard/#"], "{page}");
    let digest = status["config"].as_str().unwrap();
    assert!(gateway.log().contains(&format!("config=\"{digest}\"")), "{digest}: {}", gateway.log());
    assert!(is_connected(&mut witness), "a change of routes disconnects nobody");
    next.rest = format!("{PLANT}batch_age = \"1h\"\n");
    reload(&gateway, &next, IN_FORCE);
    sensor.publish("plant/t", &payload(7));
    sensor.settle(0, 30);
    next.rest = format!("{PLANT}batch_age = \"100ms\"\n");
    reload(&gateway, &next, IN_FORCE);
    wait_until("a batch that waits follows its route", 30, || numbers(&subscriber.arrived()).contains(&7));
    // What is queued of a route that goes is delivered as it was to be.
    signalled(&gateway, SAME);
    assert!(is_connected(&mut witness));
    assert!(gateway.terminate().0.success());
}

#[test]
fn a_file_with_mistakes_changes_nothing_and_each_is_told_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "");
    let subscriber = Subscriber::start(hub.address, "#");
    let (gateway, file) = started(dir.path(), hub.address, "", PLANT);
    let mut witness = connected(file.listen, "witness");
    let wrong = File {
        rest: format!("{PLANT}batch_aeg = \"1s\"\n[[route]]\nmatch = \"a/#/b\"\nto = \"x\"\n"),
        ..file.clone()
    };
    reload(&gateway, &wrong, REFUSED);
    let log = gateway.log();
    for mistake in ["gateway.toml:15: route[1].batch_aeg: ", "gateway.toml:17: route[2].match: "] {
        let line = log.lines().find(|line| line.contains(mistake));
        assert!(line.is_some_and(|line| line.contains("has a mistake")), "{mistake} {log}");
    }
    assert_eq!(gateway.metric("edge_config_refused"), Some(1.0));
    let page = gateway.get("/status.json").unwrap().1;
    assert!(page.contains("gateway.toml:15: route[1].batch_aeg: unknown key"), "{page}");
    fs::remove_file(dir.path().join("gateway.toml")).unwrap();
    signalled(&gateway, REFUSED);
    let mut sensor = Publisher::new(file.listen, "sensor", 10);
    sensor.publish("plant/t", &payload(7));
    sensor.settle(0, 30);
    wait_until("it works as before", 30, || numbers(&subscriber.arrived()) == BTreeSet::from([7]));
    reload(&gateway, &file, SAME);
    wait_until("it is in force", 30, || gateway.metric("edge_config_refused") == Some(0.0));
    assert!(is_connected(&mut witness));
}

/// Settings that cannot change while it runs are changed by a clean stop and a start in the same process; a start that fails is one with the former file.
#[test]
fn another_hub_and_other_limits_need_a_start_and_one_that_fails_is_taken_back() {
    let (dir, other_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (hub, other) = (Mosquitto::start(dir.path(), ""), Mosquitto::start(other_dir.path(), ""));
    let (subscriber, others) = (Subscriber::start(hub.address, "#"), Subscriber::start(other.address, "#"));
    let wan = Relay::start(hub.address);
    let (mut gateway, file) = started(dir.path(), wan.address, "", PLANT);
    let pid = gateway.pid();
    let mut sensor = Publisher::new(file.listen, "sensor", 10);
    (1..=20).for_each(|n| sensor.publish("plant/t", &payload(n)));
    sensor.settle(0, 30);
    wait_until("the hub has them", 30, || numbers(&subscriber.arrived()).len() == 20);
    wan.cut();
    (21..=40).for_each(|n| sensor.publish("plant/t", &payload(n)));
    sensor.settle(0, 30);
    let next =
        File { hub: other.address, rest: format!("[queue]\nmax_age = \"2d\"\n{PLANT}"), ..file.clone() };
    reload(&gateway, &next, ANEW);
    let line = gateway.log().lines().find(|line| line.contains(ANEW)).unwrap().to_owned();
    assert!(line.contains("tables=\"[hub], [queue]\""), "{line}");
    (41..=60).for_each(|n| sensor.publish("plant/t", &payload(n)));
    sensor.settle(0, 30);
    let rest: BTreeSet<u64> = (21..=60).collect();
    wait_until("the other hub has the backlog", 30, || numbers(&others.arrived()).is_superset(&rest));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let wrong = File { listen: taken.local_addr().unwrap(), ..next.clone() };
    reload(&gateway, &wrong, "the changed configuration does not start: the one before is in force again");
    (61..=80).for_each(|n| sensor.publish("plant/t", &payload(n)));
    sensor.settle(0, 30);
    wait_until("it works as before", 30, || numbers(&others.arrived()).is_superset(&(61..=80).collect()));
    assert_eq!(gateway.metric("edge_config_refused"), Some(1.0), "the file is another one");
    assert_eq!(gateway.pid(), pid);
    // A signal that comes while it is away is obeyed behind that.
    reload(&gateway, &file, ANEW);
    assert!(gateway.terminate().0.success());
}

/// As Kubernetes mounts a ConfigMap: the file is a link, through a folder that is a link, which is exchanged.
#[test]
fn a_file_that_a_link_exchanges_is_read_again_where_it_is_wanted() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "");
    let subscriber = Subscriber::start(hub.address, "#");
    let mount = |name: &str, file: &File| {
        let folder = dir.path().join(name);
        fs::create_dir(&folder).unwrap();
        file.write(&folder.join("gateway.toml"));
        fs::write(folder.join("rules.toml"), "").unwrap();
    };
    let mut gateway = Gateway::new(dir.path(), "");
    let follows = "reload = \"on_change\"".to_owned();
    let rest = format!("{PLANT}filter = \"rules.toml\"\n");
    let file =
        File { listen: free_port(), metrics: gateway.metrics, hub: hub.address, gateway: follows, rest };
    mount("first", &file);
    symlink("first", dir.path().join("data")).unwrap();
    for name in ["gateway.toml", "rules.toml"] {
        let _ = fs::remove_file(dir.path().join(name));
        symlink(Path::new("data").join(name), dir.path().join(name)).unwrap();
    }
    gateway.start();
    let next = File { rest: file.rest.replace("\"plant\"", "\"elsewhere\""), ..file.clone() };
    mount("second", &next);
    symlink("second", dir.path().join("data.new")).unwrap();
    fs::rename(dir.path().join("data.new"), dir.path().join("data")).unwrap();
    wait_until("the routes are in force", 30, || gateway.log().contains(IN_FORCE));
    let mut sensor = Publisher::new(file.listen, "sensor", 10);
    sensor.publish("plant/t", &payload(1));
    sensor.settle(0, 30);
    wait_until("it goes elsewhere", 30, || {
        subscriber.arrived().iter().any(|message| message.topic == "elsewhere")
    });
    // Rules alone, in place.
    let drop_all = "[[rule]]\nmatch = \"#\"\nstages = [ { deadband = { absolute = 1000.0 } } ]\n";
    fs::write(dir.path().join("second/rules.toml"), drop_all).unwrap();
    wait_until("the rules are in force", 30, || gateway.log().matches(IN_FORCE).count() == 2);
}

/// A script that signals in a circle: neither the log nor the work grows with it.
#[test]
fn a_storm_of_signals_is_one_reload_a_second() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "");
    let (gateway, _) = started(dir.path(), hub.address, "", PLANT);
    let pids = vec![gateway.pid().to_string(); 100];
    let since = Instant::now();
    for _ in 0..60 {
        assert!(Command::new("kill").arg("-HUP").args(&pids).status().unwrap().success());
    }
    wait_until("the files were read", 20, || gateway.log().contains(SAME));
    let (reloads, seconds) = (gateway.log().matches(SAME).count() as u64, since.elapsed().as_secs());
    assert!(reloads <= seconds + 2, "{reloads} in {seconds} s");
}
