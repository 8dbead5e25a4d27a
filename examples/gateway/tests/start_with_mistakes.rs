#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! A start whose gateway.toml has mistakes, or does not start, goes on with the configuration that was in force last (promise 2).

mod support;

use std::fs;
use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use support::gateway::Gateway;
use support::mosquitto::{Mosquitto, Subscriber, publish, retain};
use support::{free_port, wait_until};

const FILTER: &str = "[[rule]]\nmatch = \"#\"\nstages = [ { deadband = { absolute = 0.5 } } ]\n";

/// Waits until the configuration has proved itself, and is kept.
fn wait_kept(gateway: &Gateway) {
    let kept = gateway.state.join("configuration");
    wait_until("the configuration is kept", 30, || kept.exists());
}

/// Ends at once, with exit code 2.
#[track_caller]
fn refused(gateway: &Gateway) -> String {
    let ended = gateway.command().arg("--strict").output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(2), "{said}");
    said
}

#[test]
fn promise_2_a_start_with_mistakes_goes_on_with_what_was_in_force() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "");
    let at_hub = Subscriber::start(hub.address, "#");
    let listen = free_port();
    let filter = dir.path().join("filter.toml");
    fs::write(&filter, FILTER).unwrap();
    let config = format!(
        "[gateway]\nid = \"g\"\n[local]\nlisten = \"{listen}\"\n[hub]\nurl = \"mqtt://{}\"\n\
         [[route]]\nmatch = \"plant/#\"\nto = \"up\"\nformat = \"cbor\"\nbatch_age = \"20ms\"\nfilter = \"filter.toml\"\n\
         [[route]]\nmatch = \"raw/#\"\n",
        hub.address
    );
    let mut gateway = Gateway::new(dir.path(), &config);
    let file = dir.path().join("gateway.toml");
    let good = fs::read_to_string(&file).unwrap();
    fs::write(&file, good.replace("mqtt://", "mqt://")).unwrap();
    assert!(refused(&gateway).contains("1 error, 0 warnings. Nothing was started."));
    let first = gateway.command().output().unwrap();
    assert_eq!(first.status.code(), Some(2), "a first start has nothing to go back to");
    fs::write(&file, &good).unwrap();
    gateway.start();
    publish(listen, "raw/1", "x");
    wait_kept(&gateway);
    gateway.kill_9();
    // The file has mistakes, and the rules that the kept one names are gone.
    fs::write(&file, good.replace("mqtt://", "mqt://")).unwrap();
    fs::remove_file(&filter).unwrap();
    refused(&gateway);
    gateway.start();
    wait_until("it is told", 20, || gateway.metric("edge_config_refused") == Some(1.0));
    let (_, status) = gateway.get("/status.json").unwrap();
    assert!(status.contains("The changed gateway.toml is not in force: "), "{status}");
    for payload in ["20.0", "20.1", "25.0"] {
        publish(listen, "plant/temp", &format!("{{\"value\":{payload}}}"));
    }
    publish(listen, "raw/2", "x");
    wait_until("all is at the hub", 20, || {
        let topics: Vec<_> = at_hub.arrived().into_iter().map(|one| one.topic).collect();
        ["raw/1", "raw/2", "up"].iter().all(|topic| topics.iter().any(|found| found == topic))
    });
    let suppressed = |gateway: &Gateway| gateway.metric("edge_suppressed_total{reason=\"in_deadband\"}");
    assert_eq!(
        suppressed(&gateway),
        Some(1.0),
        "the rules of then hold: {}",
        gateway.get("/metrics").unwrap().1
    );
    // Mended while it runs: nobody has to say so.
    fs::write(&filter, FILTER).unwrap();
    fs::write(&file, &good).unwrap();
    wait_until("what the file says is in force", 30, || gateway.metric("edge_config_refused") == Some(0.0));
    // A pipe would keep a reader for ever, and the stop with it.
    fs::remove_file(&file).unwrap();
    assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
    gateway.signal("HUP");
    wait_until("it is refused", 20, || gateway.metric("edge_config_refused") == Some(1.0));
    assert_eq!(gateway.terminate().0.code(), Some(0));
    assert!(refused(&gateway).contains("not a file, but a pipe"));
}

/// It was never in force: it removes nothing.
#[test]
fn a_configuration_that_does_not_start_costs_no_client_its_session() {
    let dir = tempfile::tempdir().unwrap();
    let (listen, nowhere, taken) = (free_port(), free_port(), TcpListener::bind("127.0.0.1:0").unwrap());
    let config = format!(
        "[gateway]\nid = \"g\"\n[hub]\nurl = \"mqtt://{nowhere}\"\n[[route]]\nmatch = \"plant/#\"\n[local]\nlisten = \"{listen}\"\n"
    );
    let mut gateway = Gateway::new(dir.path(), &config);
    gateway.start();
    retain(listen, "set/point", "70");
    wait_kept(&gateway);
    gateway.kill_9();
    let file = dir.path().join("gateway.toml");
    let good = fs::read_to_string(&file).unwrap();
    let line = format!("listen = \"{listen}\"\n");
    let more = format!("{line}persistence = false\nws_listen = \"{}\"\n", taken.local_addr().unwrap());
    fs::write(&file, good.replace(&line, &more)).unwrap();
    gateway.start();
    wait_until("it is told", 20, || gateway.metric("edge_config_refused") == Some(1.0));
    let reader = Subscriber::start(listen, "set/#");
    wait_until("the retained message", 20, || reader.arrived().iter().any(|one| one.payload == "70"));
    // In force it does.
    drop(taken);
    gateway.signal("HUP");
    let clients = gateway.state.join("clients");
    wait_until("they are removed", 30, || !clients.exists());
    assert_eq!(gateway.terminate().0.code(), Some(0));
}

/// Whether it opens the queue is not known: the one before is the one to go back to.
#[test]
fn a_configuration_without_a_queue_is_not_kept_and_is_told_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let config = format!(
        "[gateway]\nid = \"g\"\n[local]\nlisten = \"{}\"\n[hub]\nurl = \"mqtt://{}\"\n[[route]]\nmatch = \"plant/#\"\n",
        free_port(),
        free_port()
    );
    let mut gateway = Gateway::new(dir.path(), &config);
    gateway.start();
    wait_kept(&gateway);
    gateway.kill_9();
    let kept = fs::read(gateway.state.join("configuration")).unwrap();
    let queue = gateway.state.join("queue.ring");
    fs::rename(&queue, dir.path().join("aside")).unwrap();
    fs::create_dir(&queue).unwrap();
    let file = dir.path().join("gateway.toml");
    let other = fs::read_to_string(&file).unwrap().replace("plant/#", "site/#");
    fs::write(&file, &other).unwrap();
    gateway.start_unready();
    std::thread::sleep(Duration::from_secs(12));
    assert_eq!(gateway.metric("edge_queue_open"), Some(0.0));
    assert!(fs::read(gateway.state.join("configuration")).unwrap() == kept);
    fs::write(&file, "[gateway").unwrap();
    gateway.signal("HUP");
    wait_until("it is told", 20, || gateway.metric("edge_config_refused") == Some(1.0));
    let (_, status) = gateway.get("/status.json").unwrap();
    assert!(status.contains("The changed gateway.toml is not in force: "), "{status}");
    assert_eq!(gateway.terminate().0.code(), Some(0));
}

/// Without mistakes, and yet it cannot start: messages wait in other lanes.
#[test]
fn a_configuration_that_does_not_start_gives_way_to_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    let mut hub = Mosquitto::start(dir.path(), "");
    hub.kill_9();
    let listen = free_port();
    let config = format!(
        "[gateway]\nid = \"g\"\n[local]\nlisten = \"{listen}\"\n[hub]\nurl = \"mqtt://{}\"\n[queue]\nlanes = [\"alarm\", \"telemetry\"]\n\
         [[route]]\nmatch = \"plant/#\"\nlane = \"telemetry\"\n",
        hub.address
    );
    let mut gateway = Gateway::new(dir.path(), &config);
    gateway.start();
    (0..5).for_each(|n| publish(listen, &format!("plant/{n}"), "x"));
    wait_kept(&gateway);
    assert_eq!(gateway.terminate().0.code(), Some(0));
    let file = dir.path().join("gateway.toml");
    let good = fs::read_to_string(&file).unwrap();
    fs::write(&file, good.replace("[\"alarm\", ", "[\"urgent\", \"alarm\", ")).unwrap();
    assert!(refused(&gateway).contains("queue.lanes: 5 messages wait"));
    gateway.start();
    wait_until("it is told", 20, || gateway.metric("edge_config_refused") == Some(1.0));
    // No reload can apply it, and how many wait is another number soon.
    let (_, status) = gateway.get("/status.json").unwrap();
    assert!(status.contains("let the queue drain, then restart the gateway with other lanes"), "{status}");
    assert!(!status.contains("5 messages wait") && !status.contains("then reload it"), "{status}");
    publish(listen, "plant/5", "x");
    let at_hub = gateway.paused(|| {
        hub.run();
        Subscriber::start(hub.address, "plant/#")
    });
    wait_until("all is at the hub", 60, || at_hub.arrived().len() >= 6);
    assert_eq!(gateway.terminate().0.code(), Some(0));
}

/// A writer of the file neither takes the memory of a running gateway nor holds up its stop: nothing of it is parsed.
#[test]
fn a_file_of_30_000_routes_is_refused_for_what_it_counts() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "");
    let at_hub = Subscriber::start(hub.address, "raw/#");
    let (mut gateway, listen) = Gateway::started(dir.path(), hub.address, "[[route]]\nmatch = \"raw/#\"\n");
    wait_kept(&gateway);
    let file = dir.path().join("gateway.toml");
    let good = fs::read_to_string(&file).unwrap();
    let line = good.lines().count() + 1_000;
    let limit = format!("{}:{line}: route[1001]: at most 1000 [[route]]", file.display());
    let before = gateway.resident_kib_max();
    fs::write(&file, format!("{good}{}", "[[route]]\n".repeat(30_000))).unwrap();
    gateway.signal("HUP");
    wait_until("it is refused", 20, || gateway.metric("edge_config_refused") == Some(1.0));
    let more = gateway.resident_kib_max() - before;
    println!("a refused configuration of 30 000 routes: {more} KiB more");
    assert!(more < 8 * 1_024, "{more} KiB more");
    assert!(gateway.log().contains(&limit), "{}", gateway.log());
    publish(listen, "raw/1", "x");
    wait_until("the routes in force stay", 20, || !at_hub.arrived().is_empty());
    assert_eq!(gateway.terminate().0.code(), Some(0));
    let said = refused(&gateway);
    assert!(said.contains("error: route[1001]: at most 1000 [[route]]"), "{said}");
    gateway.start();
    publish(listen, "raw/2", "x");
    wait_until("a start goes on with it", 20, || at_hub.arrived().len() == 2);
    // What is asked for while it is read again and again is a stop all the same.
    (0..5).for_each(|_| gateway.signal("HUP"));
    assert_eq!(gateway.terminate().0.code(), Some(0));
}

/// Another file for the key of the queue goes back to the former one; the same file with another key leaves nothing to go back to.
#[test]
fn a_start_with_another_key_of_the_queue_says_how_to_mend_it() {
    let dir = tempfile::tempdir().unwrap();
    let key = |name: &str, key: u8| fs::write(dir.path().join(name), [key; 32]).unwrap();
    key("queue.key", 7);
    key("other.key", 8);
    let config = format!(
        "[gateway]\nid = \"g\"\n[hub]\nurl = \"mqtt://{}\"\n[local]\nlisten = \"{}\"\n\
         [[route]]\nmatch = \"#\"\n[queue]\nkey_file = \"queue.key\"\n",
        free_port(),
        free_port()
    );
    let mut gateway = Gateway::new(dir.path(), &config);
    gateway.start();
    wait_kept(&gateway);
    gateway.kill_9();
    let file = dir.path().join("gateway.toml");
    let good = fs::read_to_string(&file).unwrap();
    fs::write(&file, good.replace("queue.key", "other.key")).unwrap();
    let strict = gateway.command().arg("--strict").output().unwrap();
    let said = String::from_utf8_lossy(&strict.stderr).into_owned();
    assert_eq!(strict.status.code(), Some(1), "{said}");
    assert!(
        said.contains("queue.key_file: the queue in ") && said.contains("put the former key back"),
        "{said}"
    );
    gateway.start();
    wait_until("it is told", 20, || gateway.metric("edge_config_refused") == Some(1.0));
    let (_, status) = gateway.get("/status.json").unwrap();
    assert!(status.contains("gateway.toml:10: queue.key_file: a queue stays as it was made"), "{status}");
    assert!(status.contains("take the change back; then reload it"), "{status}");
    fs::write(&file, &good).unwrap();
    wait_until("the former key is back", 30, || gateway.metric("edge_config_refused") == Some(0.0));
    gateway.kill_9();
    key("queue.key", 8);
    let ended = gateway.command().output().unwrap();
    assert_eq!(ended.status.code(), Some(1), "{}", String::from_utf8_lossy(&ended.stderr));
}
