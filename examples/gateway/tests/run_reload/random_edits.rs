//! Random edits under load, good and bad ones, with an outage and two kills between them.

use std::collections::BTreeSet;
use std::fs;

use crate::support::gateway::Gateway;
use crate::support::mosquitto::{Arrived, Mosquitto, Subscriber};
use crate::support::publisher::Publisher;
use crate::support::relay::Relay;
use crate::support::rng::Rng;
use crate::support::wait_until;
use crate::{ANEW, File, IN_FORCE, PLANT, REFUSED, SAME, numbers, payload, started};

/// One of the edits that somebody makes.
fn edit(rng: &mut Rng, file: &File) -> (String, &'static str) {
    let format = *rng.pick(&["json", "cbor", "protobuf", "compact"]);
    let hold = *rng.pick(&["", "filter = \"pass.toml\"\n", "batch_age = \"50ms\"\n", "lane = \"alarm\"\n"]);
    let route = |name: &str, format: &str, more: &str| {
        format!("[[route]]\nmatch = \"{name}\"\nto = \"out/{format}\"\nformat = \"{format}\"\n{more}")
    };
    match rng.below(10) {
        0..=3 => (route("plant/#", format, hold), ""),
        4 | 5 => (route("plant/t/0", format, "") + &route("plant/#", "json", hold), ""),
        6 => {
            (format!("[queue]\nmax_age = \"{}d\"\n{}", rng.between(2, 9), route("plant/#", format, hold)), "")
        }
        7 => (file.rest.replace("[[route]]", "[[rout]]"), REFUSED),
        8 => (format!("{}filter = \"missing.toml\"\n", route("plant/#", format, "")), REFUSED),
        _ => (format!("{}= broken", file.rest), REFUSED),
    }
}

/// Topic at the hub of what a file's last route, that of all topics of the plant, takes in.
fn destination(file: &File) -> String {
    let (_, behind) = file.rest.rsplit_once("to = \"").unwrap();
    behind.split('"').next().unwrap().to_owned()
}

/// Numbers of the readings that came by this topic.
fn numbers_by(topic: &str, arrived: &[Arrived]) -> BTreeSet<u64> {
    let is_its = |message: &&Arrived| message.topic == topic || message.topic.contains("/table/");
    numbers(&arrived.iter().filter(is_its).cloned().collect::<Vec<_>>())
}

/// Promise 1, over thirty edits and two kills. After each bad edit the next reading goes by the route that was in force.
#[test]
fn nothing_acknowledged_is_lost_over_thirty_random_edits_under_load() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "max_inflight_messages 0\nmax_queued_messages 1000000");
    let subscriber = Subscriber::start(hub.address, "#");
    let pass = "[[rule]]\nmatch = \"#\"\nstages = [ { deadband = { absolute = 0.0 } } ]\n";
    fs::write(dir.path().join("pass.toml"), pass).unwrap();
    let wan = Relay::start(hub.address);
    let (mut gateway, mut file) = started(dir.path(), wan.address, "", PLANT);
    let mut sensor = Publisher::new(file.listen, "sensor", 50);
    let seed = std::env::var("EDGE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(18);
    // Shown if it fails.
    println!("EDGE_SEED={seed}");
    let (mut rng, mut n, mut by_old_route) = (Rng::new(seed), 0, Vec::new());
    for round in 0..30 {
        let mut send = |sensor: &mut Publisher, count| {
            for _ in 0..count {
                n += 1;
                sensor.publish(&format!("plant/t/{}", n % 5), &payload(n));
            }
        };
        send(&mut sensor, 40);
        let (rest, word) = edit(&mut rng, &file);
        let next = File { rest, ..file.clone() };
        next.write(&gateway.dir.join("gateway.toml"));
        let told = |gateway: &Gateway| {
            let log = gateway.log();
            let words = if word.is_empty() { &[IN_FORCE, ANEW, SAME][..] } else { &[REFUSED][..] };
            words.iter().map(|word| log.matches(word).count()).sum::<usize>()
        };
        let before = told(&gateway);
        gateway.signal("HUP");
        send(&mut sensor, 40);
        wait_until("the edit is told of", 20, || told(&gateway) > before);
        if word.is_empty() {
            file = next;
        } else {
            n += 1;
            sensor.publish("plant/t/1", &payload(n));
            // Taken in before the next edit.
            sensor.settle(0, 60);
            by_old_route.push((n, destination(&file)));
        }
        match round {
            5 | 17 => wan.cut(),
            9 | 21 => wan.mend(),
            7 | 24 => {
                file.write(&gateway.dir.join("gateway.toml"));
                gateway.kill_9();
                gateway.start();
            }
            _ => {}
        }
    }
    sensor.settle(0, 60);
    let sent: BTreeSet<u64> = (1..=n).collect();
    wait_until("everything acknowledged is at the hub", 60, || {
        numbers(&subscriber.arrived()).is_superset(&sent)
    });
    let arrived = subscriber.arrived();
    assert!(!by_old_route.is_empty(), "no bad edit");
    for (n, topic) in by_old_route {
        assert!(numbers_by(&topic, &arrived).contains(&n), "reading {n} did not come by {topic}");
    }
    assert_eq!(gateway.metric("edge_dropped_total{reason=\"overflow\"}").unwrap_or(0.0), 0.0);
}
