//! Sparkplug payloads of a route, without a queue.

use edge_codec::{Reading, SensorTable, sparkplug};

use crate::config::Input;
use crate::run::filters::reading_row::ReadingRow;
use crate::run::filters::readings::{Now, Readings, Taken};

use super::*;

const ROOM: u64 = 1 << 20;

fn at(wall_ms: i64) -> Now {
    Now { up_ms: 0, wall_ms }
}

fn readings(bytes_max: u64) -> Readings {
    Readings::new(None, None, &Input::Sparkplug(bytes_max))
}

fn payload(is_birth: bool, metrics: &[(u32, &str, Value<'static>, u32)]) -> Vec<u8> {
    let mut sensors = SensorTable::new();
    metrics.iter().for_each(|(alias, name, ..)| drop(sensors.insert(*alias, *name, "Cel")));
    let encoder = sparkplug::Encoder::new(&sensors);
    let mut encoder = if is_birth { encoder.birth() } else { encoder.aliases() };
    for (sensor, _, value, quality) in metrics {
        let reading = Reading { sensor: *sensor, time: 5, value: value.clone(), quality: *quality };
        encoder.push(&reading).unwrap();
    }
    encoder.finish_under(100_000).unwrap().to_vec()
}

fn shown(taken: &Taken) -> Vec<String> {
    let rows = taken.kept.iter().map(|kept| {
        let row = ReadingRow::decode(&kept.row).unwrap();
        format!("{} {:?} {} {} q{:x}", row.sensor, row.value, row.unit, row.time, row.quality)
    });
    rows.collect()
}

#[test]
fn metrics_are_named_by_group_node_and_device_and_what_is_no_sensor_is_left_out() {
    let mut readings = readings(ROOM);
    let mut take = |kind: &str, payload: &[u8]| {
        shown(&readings.take_in(at(900), &format!("spBv1.0/{kind}"), payload, false).unwrap())
    };
    let born = [
        (0, "bdSeq", Value::U64(1), 0),
        (1, "Node Control/Rebirth", Value::Bool(false), 0),
        (2, "temp", Value::F64(1.5), 0),
    ];
    assert_eq!(take("g/NBIRTH/n", &payload(true, &born)), ["g/n/temp F64(1.5) Cel 5 q0"]);
    let device = [(3, "Device Control/Stop", Value::Bool(true), 0), (4, "a/b", Value::I64(-2), 0)];
    assert_eq!(take("g/DBIRTH/n/d", &payload(true, &device)), ["g/n/d/a/b I64(-2) Cel 5 q0"]);
    // 0x8031_0000 goes as the number 0, which is bad in Sparkplug's scheme, not good.
    let bad = payload(false, &[(2, "", Value::F64(2.5), 0x8031_0000)]);
    assert_eq!(take("g/NDATA/n", &bad), ["g/n/temp F64(2.5) Cel 5 q80000000"]);
    let ended = ["g/n/temp Null Cel 900 q80310000", "g/n/d/a/b Null Cel 900 q80310000"];
    assert_eq!(take("g/NDEATH/n", b""), ended);
    assert!(take("g/NCMD/n", b"anything").is_empty() && take("STATE/host", b"{}").is_empty());
}

/// Such a birth is a dead letter, and the hub gets the data of its other metrics: at the end they are told without a value, and so is the node.
#[test]
fn a_metric_with_too_long_a_name_or_unit_takes_the_nulls_of_no_other_at_a_death() {
    let (long, unit) = ("n".repeat(520), "u".repeat(129));
    for (name, unit) in [(long.as_str(), "Cel"), ("t", unit.as_str())] {
        let mut readings = readings(ROOM);
        let mut take = |kind: &str, payload: &[u8]| {
            readings.take_in(at(900), &format!("spBv1.0/{kind}"), payload, false).map(|taken| shown(&taken))
        };
        let node = [(2, "temp", Value::F64(1.5), 0)];
        assert_eq!(take("g/NBIRTH/n", &payload(true, &node)).unwrap().len(), 1);
        let mut sensors = SensorTable::new();
        sensors.insert(3, "speed", "rpm");
        sensors.insert(4, name, unit);
        let mut encoder = sparkplug::Encoder::new(&sensors).birth();
        for sensor in [3, 4] {
            encoder.push(&Reading { sensor, time: 5, value: Value::F64(2.5), quality: 0 }).unwrap();
        }
        let birth = encoder.finish_under(100_000).unwrap();
        assert!(take("g/DBIRTH/n/d", &birth).is_err(), "{name} {unit}: a dead letter");
        let data = payload(false, &[(3, "", Value::F64(3.5), 0)]);
        assert_eq!(take("g/DDATA/n/d", &data).unwrap(), ["g/n/d/speed F64(3.5) rpm 5 q0"]);
        let ended = ["g/n/temp Null Cel 900 q80310000", "g/n/d/speed Null rpm 900 q80310000"];
        assert_eq!(take("g/NDEATH/n", b"").unwrap(), ended, "{name} {unit}");
    }
}

#[test]
fn what_has_no_birth_or_no_topic_of_sparkplug_is_refused_in_words() {
    let mut readings = readings(ROOM);
    let data = payload(false, &[(2, "", Value::F64(2.5), 0)]);
    let mut refused = |topic: &str| readings.take_in(at(0), topic, &data, false).unwrap_err().to_string();
    assert!(refused("spBv1.0/g/NDATA/n").contains("no birth of its sender is known"));
    assert!(refused("spBv1.0/g/DATA/n").contains("none of Sparkplug"));
    let mut small = self::readings(1_100);
    let born = payload(true, &[(2, "temp", Value::F64(1.5), 0)]);
    let refused = small.take_in(at(0), "spBv1.0/g/NBIRTH/n", &born, false).unwrap_err().to_string();
    assert!(refused.contains("have no room in max_births = 1100"), "{refused}");
    assert!(small.take_in(at(1), "spBv1.0/g/NDATA/n", &data, false).is_err());
    assert_eq!(small.take_birth_request(), None, "the next birth would have no room either");
    assert!(small.take_in(at(3_600_000), "spBv1.0/g/NDATA/n", &data, false).is_err());
    assert!(small.take_birth_request().is_some());
}

/// It was: whoever sent 256 births that are none kept all nodes from being asked for an hour.
#[test]
fn useless_births_of_many_nodes_keep_no_other_from_being_asked() {
    let mut readings = readings(ROOM);
    for n in 0..ASKED_MAX {
        let topic = format!("spBv1.0/g/NBIRTH/m{n}");
        assert!(readings.take_in(at(0), &topic, b"\xff\xff", false).is_err());
    }
    let data = payload(false, &[(2, "", Value::F64(2.5), 0)]);
    let mut asks = |node: &str, wall_ms: i64| {
        assert!(readings.take_in(at(wall_ms), &format!("spBv1.0/g/NDATA/{node}"), &data, false).is_err());
        readings.take_birth_request().is_some()
    };
    assert!(asks("n", 1), "its own birth is not among them");
    assert!(!asks("m7", 2) && !asks("m7", 3_599_999) && asks("m7", 3_600_000));
}

/// It was: 32 MiB of topics, which no bound counted.
#[test]
fn nodes_with_long_names_are_remembered_by_a_number_each() {
    let (mut births, long) = (Births::new(ROOM), "x".repeat(60_000));
    let data = payload(false, &[(2, "", Value::F64(2.5), 0)]);
    for n in 0..ASKED_MAX {
        for (kind, payload) in [("NDATA", &data[..]), ("NBIRTH", b"\xff\xff")] {
            let topic = format!("spBv1.0/{long}{kind}{n}/{kind}/n");
            let source = Source { sensor: Some(&topic), arrival_ms: 0 };
            assert!(births.decode(payload, &source, &Limits::default()).is_err());
            assert_eq!(births.take_request().is_some(), kind == "NDATA", "{n}");
        }
    }
    let Births { asked, useless, .. } = &births;
    assert_eq!((asked.began_ms.len(), useless.began_ms.len()), (ASKED_MAX, ASKED_MAX));
    let shown = format!("{births:?}");
    assert!(shown.len() < 100 * 2 * ASKED_MAX, "{} bytes are held", shown.len());
}

#[test]
fn a_node_is_asked_once_a_minute_and_few_nodes_at_a_time() {
    let mut readings = readings(ROOM);
    let data = payload(false, &[(2, "", Value::F64(2.5), 0)]);
    let mut asks = |node: &str, wall_ms: i64| {
        let topic = format!("spBv1.0/g/NDATA/{node}");
        assert!(readings.take_in(at(wall_ms), &topic, &data, false).is_err());
        let request = readings.take_birth_request();
        assert_eq!(readings.take_birth_request(), None, "it is taken");
        request.map(|request| request.topic)
    };
    let asked = Some("spBv1.0/g/NCMD/n".to_owned());
    assert_eq!((asks("n", 0), asks("n", 59_999), asks("n", 60_000)), (asked.clone(), None, asked.clone()));
    assert_eq!(asks("n", 59_000), asked, "the clock was set back");
    let others = (0..ASKED_MAX + 50).filter(|n| asks(&format!("m{n}"), 59_001).is_some()).count();
    assert_eq!(others, ASKED_MAX - 1);
    assert_eq!(
        (asks("late", 118_999), asks("late", 119_000)),
        (None, Some("spBv1.0/g/NCMD/late".to_owned()))
    );
}
