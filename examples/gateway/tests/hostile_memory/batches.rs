//! Clients that make batch routes hold names, samples, tables and the states of filters.

use std::path::Path;

use crate::mix;
use crate::site::Site;
use crate::support::mosquitto::Mosquitto;
use crate::support::rng::Rng;
use crate::support::wait_until;

/// Readings of one SenML pack, about 220 kB with long names.
const PACK: usize = 480;
/// The longest pad of a name such that the packet stays below the listener's limit.
const NAME_BYTES: usize = 400;

fn routes(format: &str, count: usize, rest: &str) -> String {
    let route = |n| {
        format!(
            "[[route]]\nmatch = \"{format}{n}/#\"\nto = \"out/{format}/{n}\"\nformat = \"{format}\"\ninput = \"senml\"\n{rest}"
        )
    };
    (0..count).map(route).collect()
}

/// A gateway with these routes between the clients and a hub that takes all.
fn at_hub(dir: &Path, routes: &str) -> (Site, Mosquitto) {
    let hub = Mosquitto::start(dir, "max_queued_messages 0");
    (Site::at_hub(dir, hub.address, routes), hub)
}

/// Waits until the hub has every batch, and thus until every row was encoded.
#[track_caller]
fn drained(site: &Site) {
    wait_until("the queue is drained", 400, || site.gateway.metric("edge_queue_messages") == Some(0.0));
}

/// Packs of a reading each of `sensors` with long names.
fn long_names(site: &mut Site, topic: &str, sensors: usize, time: u64) {
    let all: Vec<usize> = (0..sensors).collect();
    let packs = all.chunks(PACK).map(|pack| {
        let record = |n: &usize| format!("{{\"n\":\"{n:0NAME_BYTES$}\",\"v\":{}.5,\"t\":{time}}}", n % 90);
        senml(pack.iter().map(record))
    });
    site.send(topic, packs);
}

/// Packs of values without any pattern, of as many sensors and so often that a table learns from all of them.
fn noise(site: &mut Site, topic: &str, seed: u64) {
    let mut rng = Rng::new(seed + 1);
    let packs = (0..86).map(|pack| {
        let record = |at: usize| {
            // Different distributions, so that no two sensors share what is learned.
            let (sensor, value) = (at % 128, rng.below(u64::MAX) >> (24 + at % 32));
            format!("{{\"n\":\"n{sensor}\",\"v\":{value}.25,\"t\":{}}}", pack * 3 + at / 128)
        };
        senml((0..384).map(record))
    });
    site.send(topic, packs);
}

fn senml(records: impl Iterator<Item = String>) -> String {
    let records: Vec<_> = records.collect();
    format!("[{{\"bt\":1790000000,\"n\":\"first\",\"v\":0}},{}]", records.join(","))
}

/// Names, tables and encoders of all topics have one budget.
#[test]
fn long_names_of_many_sensors_on_many_compact_routes() {
    let dir = tempfile::tempdir().unwrap();
    let (mut site, _hub) = at_hub(dir.path(), &routes("compact", 48, ""));
    for round in 0..2 {
        (0..48).for_each(|n| long_names(&mut site, &format!("compact{n}/x"), 4_096, round));
        drained(&site);
    }
    site.check("48 compact routes with 4 096 long names each");
}

/// A learned distribution takes 12 KiB in memory, and some bytes on the line. Each new sensor makes another version of the table.
#[test]
fn values_without_a_pattern_on_compact_routes() {
    let dir = tempfile::tempdir().unwrap();
    let (mut site, _hub) = at_hub(dir.path(), &routes("compact", 12, ""));
    (0..12).for_each(|n| noise(&mut site, &format!("compact{n}/x"), n));
    drained(&site);
    for round in 0..6 {
        (0..12)
            .for_each(|n| long_names(&mut site, &format!("compact{n}/x"), 5 * (round as usize + 1), round));
        drained(&site);
    }
    site.check("12 compact routes of noise");
}

/// Every stage that keeps something of a sensor.
const RULES: &str = "[[rule]]
match = \"#\"
stages = [
  { gross_range = { fail = [-1e9, 1e9] } },
  { rate_of_change = { fail_per_s = 1e6 } },
  { flat_line = { suspect_s = 20, fail_s = 40, sampling_ms = 1000, tolerance = 0.1 } },
  { hampel = { window = 31 } },
  { jump_reject = { max_step = 1e9 } },
  { spike = { suspect = 1e6, fail = 1e7 } },
  { scale = { factor = 2.0 } },
  { swinging_door = { deviation = 0.1 } },
  { stale = { timeout_ms = 600000 } },
]
";

/// More sensors than each filter takes, in every format of batches.
#[test]
fn more_sensors_with_long_names_than_filters_take() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("rules.toml"), RULES).unwrap();
    let formats = ["json", "cbor", "protobuf", "compact"];
    let all: String = formats.iter().map(|format| routes(format, 1, "filter = \"rules.toml\"\n")).collect();
    let (mut site, _hub) = at_hub(dir.path(), &all);
    for time in 0..32 {
        let sensors = if !(2..=30).contains(&time) { 10_500 } else { 4_000 };
        formats.iter().for_each(|format| long_names(&mut site, &format!("{format}0/x"), sensors, time));
    }
    drained(&site);
    site.check("10 500 sensors in each of four filters");
    site.check_stop("the stop of four full filters");
    site.gateway.start();
    site.check("the start after it");
}

/// A base name stands once in a pack, and in the row of each of its readings: 80 kB become 5 MB.
#[test]
fn small_packs_of_many_readings_with_a_long_name() {
    let dir = tempfile::tempdir().unwrap();
    let all: String = ["cbor", "compact"].iter().map(|format| routes(format, 1, "")).collect();
    let (mut site, _hub) = at_hub(dir.path(), &all);
    let name = "n".repeat(500);
    let pack = |n: usize| {
        let rest = ",{\"v\":1}".repeat(9_999);
        format!("[{{\"bn\":\"{name}{n:03}\",\"bt\":1790000000,\"v\":1}}{rest}]")
    };
    for topic in ["cbor0/x", "compact0/x"] {
        site.send(topic, (0..60).map(pack));
    }
    drained(&site);
    site.check("120 packs of 10 000 readings");
}

/// Attacks that fill the memory of the listener, while the tables of compact batches are at their bound.
#[test]
fn long_names_on_compact_routes_beside_the_other_attacks() {
    let dir = tempfile::tempdir().unwrap();
    let raw = "[[route]]\nmatch = \"queued/#\"\nto = \"up/\"\n";
    let (mut site, _hub) = at_hub(dir.path(), &format!("{}{raw}", routes("compact", 48, "")));
    (0..48).for_each(|n| long_names(&mut site, &format!("compact{n}/x"), 2_000, 0));
    mix(&mut site);
    (0..48).for_each(|n| long_names(&mut site, &format!("compact{n}/x"), 2_000, 1));
    (0..4).for_each(|n| noise(&mut site, &format!("compact{n}/x"), n));
    drained(&site);
    site.check("48 compact routes beside the mix");
}
