#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! `edge-gateway run` between SIGTERM and the next reading: what filters hold, and was acknowledged, is not lost.

mod support;

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use edge_codec::{Format, Limits, Value};
use support::gateway::Gateway;
use support::hub::Hub;
use support::publisher::Publisher;
use support::relay::Relay;
use support::{free_port, wait_until};

const DOOR: &str = "[[rule]]\nmatch = \"#\"\nstages = [ { swinging_door = { deviation = 0.5 } } ]\n";

/// A gateway with one route of readings, not started. `route` begins with its `match`.
fn gateway(dir: &Path, listen: SocketAddr, hub: SocketAddr, route: &str) -> Gateway {
    let config = format!(
        "[gateway]\nid = \"g\"\n[local]\nlisten = \"{listen}\"\n[hub]\nurl = \"mqtt://{hub}\"\n\
         [[route]]\n{route}\n"
    );
    Gateway::new(dir, &config)
}

fn send(publisher: &mut Publisher, time: i64, value: f64, unit: &str) {
    publisher.publish("t", &format!("{{\"ts\":{time},\"value\":{value:?},\"unit\":\"{unit}\"}}"));
    publisher.settle(0, 20);
}

/// Readings at the hub as time, value and unit.
fn arrived(hub: &Hub) -> Vec<(i64, f64, String)> {
    let mut readings = Vec::new();
    for message in hub.taken() {
        let batch = Format::Json.decode(message.payload.as_bytes(), &Limits::default()).unwrap();
        let sensors = batch.sensors().clone();
        for reading in batch {
            let reading = reading.unwrap();
            let Value::F64(value) = reading.value else { panic!("{reading:?}") };
            let unit = sensors.get(reading.sensor).map(|sensor| sensor.unit.to_string());
            readings.push((reading.time, value, unit.unwrap_or_default()));
        }
    }
    readings
}

/// The next start finds the store in order, and would not tell.
#[test]
fn a_store_that_was_set_aside_is_told_by_a_run_that_ends_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    std::fs::create_dir(dir.path().join("state")).unwrap();
    std::fs::write(dir.path().join("state/queue.ring"), [0xa5; 30_000]).unwrap();
    let gateway = gateway(dir.path(), taken.local_addr().unwrap(), free_port(), "match = \"#\"");
    let output = gateway.command().output().unwrap();
    let log = String::from_utf8_lossy(&[output.stderr, output.stdout].concat()).into_owned();
    assert!(!output.status.success() && log.contains("Address already in use"), "{log}");
    assert!(log.contains("moved to bad/queue.ring.1"), "{log}");
}

#[test]
fn a_start_that_fails_leaves_what_is_held_to_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let (hub, listen) = (Hub::start(), free_port());
    fs::write(dir.path().join("rules.toml"), DOOR).unwrap();
    let route = "match = \"#\"\nto = \"up\"\nformat = \"json\"\nfilter = \"rules.toml\"\n";
    let mut gateway = gateway(dir.path(), listen, hub.address, route);
    let mut publisher = Publisher::new(listen, "foreign", 1);
    gateway.start();
    send(&mut publisher, 1_000, 0.0, "Cel");
    send(&mut publisher, 2_000, 1.0, "Cel");
    assert!(gateway.terminate().0.success());

    for address in [listen, gateway.metrics] {
        let busy = TcpListener::bind(address).unwrap();
        let output = gateway.command().output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
        drop(busy);
    }
    gateway.start();
    assert_eq!(gateway.metric("edge_restarts_total{cause=\"clean\"}"), Some(1.0), "the one that ran");
    // A corner: what is held goes before it.
    send(&mut publisher, 3_000, -20.0, "Cel");
    wait_until("the held reading is at the hub", 20, || {
        arrived(&hub).iter().any(|(time, ..)| *time == 2_000)
    });
}

/// By the boot and the version that the last process left beside the queue.
#[test]
fn a_loss_of_power_and_an_upgrade_are_told_from_a_kill_and_a_stop() {
    let dir = tempfile::tempdir().unwrap();
    let mut gateway = gateway(dir.path(), free_port(), free_port(), "match = \"#\"");
    // As another boot, or version, would have left it.
    let change = |gateway: &Gateway, name: &str, value: &str| {
        let path = gateway.state.join("restarts");
        let text = fs::read_to_string(&path).unwrap();
        let (before, behind) = text.split_once(&format!(" {name} ")).unwrap();
        let rest = behind.split_once(' ').map_or("\n".to_owned(), |(_, rest)| format!(" {rest}"));
        fs::write(path, format!("{before} {name} {value}{rest}")).unwrap();
    };
    gateway.start();
    gateway.kill_9();
    gateway.start();
    gateway.kill_9();
    change(&gateway, "boot", &"f".repeat(32));
    gateway.start();
    assert!(gateway.terminate().0.success());
    change(&gateway, "version", "0.0.1");
    gateway.start();
    assert!(gateway.terminate().0.success());
    gateway.start();
    for cause in ["clean", "unclean", "upgrade", "power_loss"] {
        let count = gateway.metric(&format!("edge_restarts_total{{cause=\"{cause}\"}}"));
        assert_eq!(count, Some(1.0), "{cause}");
    }
}

#[test]
fn what_is_held_is_at_the_hub_after_another_match_and_after_other_rules() {
    let routes = [
        ("match = \"+\"\nto = \"up\"\nformat = \"json\"\nfilter = \"rules.toml\"\n", DOOR),
        ("match = \"#\"\nto = \"up\"\nformat = \"json\"\n", DOOR),
        ("match = \"#\"\nto = \"up\"\nformat = \"json\"\nfilter = \"rules.toml\"\n", "# other rules\n"),
    ];
    for (after, rules) in routes {
        let dir = tempfile::tempdir().unwrap();
        let (hub, listen) = (Hub::start(), free_port());
        fs::write(dir.path().join("rules.toml"), DOOR).unwrap();
        let before = "match = \"#\"\nto = \"up\"\nformat = \"json\"\nfilter = \"rules.toml\"\n";
        let mut first = gateway(dir.path(), listen, hub.address, before);
        let mut publisher = Publisher::new(listen, "foreign", 1);
        first.start();
        send(&mut publisher, 1_000, 0.0, "Cel");
        send(&mut publisher, 2_000, 1.0, "Cel");
        assert!(first.terminate().0.success());
        fs::write(dir.path().join("rules.toml"), rules).unwrap();
        let mut second = gateway(dir.path(), listen, hub.address, after);
        second.start();
        let expected = [(1_000, 0.0, "Cel".to_owned()), (2_000, 1.0, "Cel".to_owned())];
        wait_until("what was held is at the hub", 20, || {
            // What the hub took just before the stop may come again.
            let mut arrived = arrived(&hub);
            arrived.dedup();
            arrived == expected
        });
    }
}

/// A reading that no filter holds any more is a row in memory until the queue has it on disk, here for a minute.
#[test]
fn promise_1_what_was_held_outlives_a_kill_before_it_is_in_the_queue() {
    let dir = tempfile::tempdir().unwrap();
    let (hub, listen) = (Hub::start(), free_port());
    let wan = Relay::start(hub.address);
    wan.cut();
    let rules = dir.path().join("rules.toml");
    fs::write(&rules, DOOR).unwrap();
    let route = "match = \"#\"\nto = \"up\"\nformat = \"json\"\nfilter = \"rules.toml\"\n";
    let mut first = gateway(dir.path(), listen, wan.address, route);
    let mut publisher = Publisher::new(listen, "foreign", 1);
    first.start();
    send(&mut publisher, 1_000, 0.0, "Cel");
    send(&mut publisher, 2_000, 1.0, "Cel");
    assert!(first.terminate().0.success());
    fs::write(&rules, "# other rules\n").unwrap();
    let slow = format!("{route}[queue]\nack_within = \"60s\"\n");
    let mut second = gateway(dir.path(), listen, wan.address, &slow);
    second.start();
    wait_until("it is told", 20, || second.log().contains("rows of the last run are queued first"));
    second.kill_9();
    wan.mend();
    second.start();
    wait_until("what was held is at the hub", 20, || arrived(&hub).iter().any(|(time, ..)| *time == 2_000));
}

/// Also what the filter made of messages that found no room is not lost, though their sensors send them again.
#[test]
fn a_stop_with_a_full_queue_keeps_what_is_held_and_what_found_no_room() {
    let dir = tempfile::tempdir().unwrap();
    let (hub, listen) = (Hub::start(), free_port());
    let wan = Relay::start(hub.address);
    wan.cut();
    let rules = "[[rule]]\nmatch = \"w\"\nstages = [ { window = { width_ms = 60000, agg = \"sum\" } } ]\n\
                 [[rule]]\nmatch = \"d\"\nstages = [ { deadband = { absolute = 0.5 } } ]\n";
    fs::write(dir.path().join("rules.toml"), rules).unwrap();
    let route = "match = \"#\"\nto = \"up\"\nformat = \"json\"\nfilter = \"rules.toml\"\n\
                 [queue]\nmax_messages = 20\non_full = \"reject\"\n";
    let mut gateway = gateway(dir.path(), listen, wan.address, route);
    gateway.start();
    let mut windowed = Publisher::new(listen, "windowed", 1);
    for time in 0..5 {
        windowed.publish("w", &format!("{{\"ts\":{time},\"value\":1.0}}"));
        windowed.settle(0, 20);
    }
    // More than finds room; each is far from the one before.
    let mut flood = Publisher::new(listen, "flood", 40);
    for time in 1..=30 {
        flood.publish("d", &format!("{{\"ts\":{time},\"value\":{time}.0}}"));
    }
    wait_until("the queue is full", 20, || {
        flood.settle(10, 20);
        gateway.log().contains("the queue is full")
    });
    assert!(gateway.terminate().0.success());

    wan.mend();
    gateway.start();
    flood.settle(0, 20);
    windowed.publish("w", "{\"ts\":200000,\"value\":100.0}");
    windowed.settle(0, 20);
    wait_until("all of the flood and the whole window are at the hub", 20, || {
        let mut values: Vec<i64> = arrived(&hub).iter().map(|(_, value, _)| *value as i64).collect();
        values.sort_unstable();
        values.dedup();
        values == (1..=30).collect::<Vec<i64>>()
    });
    // Not every client says so with DUP.
    let mut other = Publisher::new(listen, "other", 1);
    // The first goes with DUP, since it waited for the connection.
    for ts in [1_000, 2_000] {
        other.publish("d", &format!("{{\"ts\":{ts},\"value\":{ts}.0}}"));
        other.settle(0, 20);
    }
    let is_marked = |payload: &str| {
        let mut batch = Format::Json.decode(payload.as_bytes(), &Limits::default()).unwrap();
        batch.header().pd && batch.any(|reading| reading.unwrap().time == 2_000)
    };
    wait_until("what may be a copy of a row that found no room is marked", 20, || {
        hub.taken().iter().any(|message| is_marked(&message.payload))
    });
    let sums = || arrived(&hub).iter().filter(|(time, value, _)| (*time, *value) == (0, 5.0)).count();
    wait_until("the sum of the window is at the hub", 20, || sums() > 0);
    assert_eq!(sums(), 1, "{:?}", arrived(&hub));
}

/// The queue's room was reserved; a file for the filters' states cannot be made.
#[test]
fn what_filters_hold_is_not_lost_where_their_states_find_no_room() {
    let dir = tempfile::tempdir().unwrap();
    let (hub, listen) = (Hub::start(), free_port());
    fs::write(dir.path().join("rules.toml"), DOOR).unwrap();
    let route = "match = \"#\"\nto = \"up\"\nformat = \"json\"\nfilter = \"rules.toml\"\n";
    let mut gateway = gateway(dir.path(), listen, hub.address, route);
    gateway.start();
    let mut publisher = Publisher::new(listen, "s", 1);
    (1..=5).for_each(|n| send(&mut publisher, 1_000 * n, n as f64, ""));
    wait_until("the first is there", 20, || !arrived(&hub).is_empty());
    assert_eq!(arrived(&hub).len(), 1, "the door holds the others");
    for name in ["stopped.json.new", "stopped.json.trial"] {
        fs::create_dir(dir.path().join("state").join(name)).unwrap();
    }
    assert!(gateway.terminate().0.success());
    let log = gateway.log();
    assert!(log.contains("no room for the filters' states: what they hold goes into the queue"), "{log}");
    gateway.start();
    wait_until("the last is there", 30, || arrived(&hub).iter().any(|(time, ..)| *time == 5_000));
    assert!(gateway.terminate().0.success());
}
