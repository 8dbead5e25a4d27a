#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![cfg(feature = "sparkplug")]
//! Sessions of nodes and devices, as other senders begin and end them (promise 12).

mod support;
#[path = "support/tahu.rs"]
mod tahu;

use edge_codec::sparkplug::{Ended, Message, Payload, Sessions, Topic, rebirth_request};
use edge_codec::{DecodeError, Limits};
use support::{Rng, cases, seed};
use tahu::{TahuMetric, TahuValue, metric, payload};

const ROOM: usize = 1 << 20;

/// Sessions, and what each message said.
struct Host(Sessions);

impl Host {
    /// Reads a message of the group `g`: `NBIRTH/n`, `DDATA/n/d`. Returns it in words.
    fn reads(&mut self, topic: &str, metrics: Vec<TahuMetric>) -> String {
        match self.try_read(topic, &payload(metrics)) {
            Ok(said) => said,
            Err(error) => format!("{error}"),
        }
    }

    fn try_read(&mut self, topic: &str, bytes: &[u8]) -> Result<String, DecodeError> {
        let topic = format!("spBv1.0/g/{topic}");
        let topic = Topic::read(&topic).unwrap();
        Ok(match self.0.read(&topic, bytes, 7, &Limits::default())? {
            Message::Readings(batch) => {
                let sensors = batch.sensors().clone();
                let name = |id| sensors.get(id).unwrap().name.clone();
                let all: Vec<_> =
                    batch.map(Result::unwrap).map(|r| format!("{}={:?}", name(r.sensor), r.value)).collect();
                all.join(" ")
            }
            Message::Unborn => "unborn".to_owned(),
            Message::Ended(ended) => ended.iter().map(named).collect::<Vec<_>>().join(" "),
            Message::NoReadings => "no readings".to_owned(),
            _ => "of a kind that the test does not know".to_owned(),
        })
    }
}

fn named(ended: &Ended) -> String {
    let names: Vec<_> = ended.birth.sensors().iter().map(|sensor| sensor.name.to_string()).collect();
    format!("{}:{}", ended.sender, names.join("+"))
}

fn host() -> Host {
    Host(Sessions::new(ROOM))
}

/// Metric with a name and an alias, as a birth has it.
fn born(name: &str, alias: u64) -> TahuMetric {
    TahuMetric { alias: Some(alias), ..metric(name, TahuValue::Double(0.5)) }
}

/// Metric with an alias alone.
fn told(alias: u64) -> TahuMetric {
    TahuMetric { name: None, alias: Some(alias), ..metric("", TahuValue::Double(1.5)) }
}

fn bd_seq(number: u64) -> TahuMetric {
    metric("bdSeq", TahuValue::Long(number))
}

#[test]
fn each_node_and_device_has_names_of_its_own() {
    let mut host = host();
    assert_eq!(host.reads("NBIRTH/a", vec![born("temp", 1)]), "temp=F64(0.5)");
    assert_eq!(host.reads("DBIRTH/a/d", vec![born("speed", 2)]), "speed=F64(0.5)");
    assert_eq!(host.reads("NBIRTH/b", vec![born("level", 1)]), "level=F64(0.5)");
    assert_eq!(host.reads("NDATA/a", vec![told(1)]), "temp=F64(1.5)");
    assert_eq!(host.reads("NDATA/b", vec![told(1)]), "level=F64(1.5)");
    assert_eq!(host.reads("DDATA/a/d", vec![told(2)]), "speed=F64(1.5)");
    assert_eq!(host.reads("DDATA/a/e", vec![told(2)]), "unborn");
    assert_eq!(host.reads("NCMD/a", vec![told(9)]), "no readings");
    assert_eq!(host.0.nodes(), 2);
}

#[test]
fn data_without_a_birth_is_read_by_names_alone() {
    let mut host = host();
    assert_eq!(host.reads("NDATA/a", vec![metric("temp", TahuValue::Double(2.5))]), "temp=F64(2.5)");
    assert_eq!(host.reads("NDATA/a", vec![metric("temp", TahuValue::Double(2.5)), told(1)]), "unborn");
    // Negative or not: the birth alone says it.
    assert_eq!(host.reads("NDATA/a", vec![metric("count", TahuValue::Int(u32::MAX))]), "unborn");
    assert_eq!(host.reads("NBIRTH/a", vec![born("temp", 1)]), "temp=F64(0.5)");
    assert_eq!(host.reads("NDATA/a", vec![told(2)]), "unborn", "of a later birth, which did not come");
}

#[test]
fn a_death_ends_the_session_that_it_belongs_to() {
    let mut host = host();
    host.reads("NBIRTH/a", vec![bd_seq(3), born("temp", 1)]);
    host.reads("DBIRTH/a/d", vec![born("speed", 2)]);
    host.reads("DBIRTH/a/e", vec![born("speed", 3)]);
    assert_eq!(host.reads("DDEATH/a/d", vec![]), "g/a/d:speed");
    assert_eq!(host.reads("DDATA/a/d", vec![told(2)]), "unborn");
    assert_eq!(host.reads("NDEATH/a", vec![bd_seq(2)]), "no readings", "the will of the connection before");
    assert_eq!(host.reads("NDATA/a", vec![told(1)]), "temp=F64(1.5)");
    assert_eq!(host.reads("NDEATH/a", vec![bd_seq(3)]), "g/a:bdSeq+temp g/a/e:speed");
    assert_eq!(host.reads("NDATA/a", vec![told(1)]), "unborn");
    assert_eq!(host.reads("NDEATH/a", vec![bd_seq(3)]), "no readings");
    assert_eq!((host.0.nodes(), host.0.bytes()), (0, 0));
}

#[test]
fn a_birth_of_a_node_ends_those_of_its_devices() {
    let mut host = host();
    host.reads("NBIRTH/a", vec![born("temp", 1)]);
    host.reads("DBIRTH/a/d", vec![born("speed", 2)]);
    host.reads("NBIRTH/a", vec![born("heat", 1)]);
    assert_eq!(host.reads("NDATA/a", vec![told(1)]), "heat=F64(1.5)");
    assert_eq!(host.reads("DDATA/a/d", vec![told(2)]), "unborn");
    assert!(host.try_read("NBIRTH/a", b"\xff\xff").is_err());
    assert_eq!(host.reads("NDATA/a", vec![told(1)]), "unborn", "the birth before does not hold any more");
    assert_eq!(host.0.bytes(), 0);
}

#[test]
fn births_that_have_no_room_are_refused_and_the_others_stay() {
    let mut host = Host(Sessions::new(4_000));
    let sensors = |count: u64| (0..count).map(|n| born("a sensor", n)).collect::<Vec<_>>();
    host.reads("NBIRTH/a", sensors(4));
    assert!(
        host.reads("NBIRTH/b", sensors(8)).contains("bytes of births"),
        "2 x 1024 + 12 x 202 are too much"
    );
    assert_eq!(host.reads("NDATA/a", vec![told(3)]), "a sensor=F64(1.5)");
    assert_eq!(host.reads("NDATA/b", vec![told(3)]), "unborn");
    let before = host.0.bytes();
    assert!(host.reads("NBIRTH/a", sensors(20)).contains("bytes of births"));
    assert_eq!(host.reads("NDATA/a", vec![told(3)]), "unborn");
    host.reads("NBIRTH/b", sensors(4));
    assert_eq!(host.0.bytes(), before, "what a's birth had is free again");
    // Names count, however few the metrics are.
    let long = "n".repeat(3_500);
    assert!(host.reads(&format!("NBIRTH/{long}"), vec![]).contains("bytes of births"));
}

/// Births and deaths of a few nodes and devices in any order, whole and cut, are within the limit, and leave nothing when all have died.
#[test]
fn random_sessions_stay_within_their_bytes() {
    const MAX: usize = 20_000;
    let (n, mut rng) = (cases(200_000), Rng(seed() ^ 5));
    let (mut host, mut refused) = (Host(Sessions::new(MAX)), 0_u64);
    for _ in 0..n {
        let device = if rng.below(2) == 0 { "" } else { "/d" };
        let kind = ["BIRTH", "DATA", "DEATH"][rng.below(3)];
        let letter = if device.is_empty() { 'N' } else { 'D' };
        let topic = format!("{letter}{kind}/{}{device}", rng.below(6));
        let mut bytes = payload((0..rng.below(40) as u64).map(|n| born("sensor", n)).collect());
        if rng.below(8) == 0 {
            bytes.truncate(rng.below(bytes.len() + 1));
        }
        refused += u64::from(host.try_read(&topic, &bytes).is_err());
        assert!(host.0.bytes() <= MAX);
    }
    assert!(refused > 0);
    (0..6).for_each(|node| drop(host.reads(&format!("NDEATH/{node}"), vec![])));
    assert_eq!((host.0.nodes(), host.0.bytes()), (0, 0));
    println!("executed codec.sparkplug_sessions: {n} cases ({refused} refused)");
}

#[test]
fn topics_are_read_by_the_letter() {
    for topic in [
        "spBv1.0/g/NBIRTH/n/d",
        "spBv1.0/g/DBIRTH/n",
        "spBv1.0/g/NBIRTH",
        "spBv1.0/g/NBIRTH/",
        "spBv1.0//NBIRTH/n",
        "spBv1.0/g/DDATA/n/",
        "spBv1.0/g/DDATA/n/d/e",
        "spBv1.0/g/BIRTH/n",
        "spBv1.0/STATE",
        "spBv1.0/STATE/host/x",
        "spAv1.0/g/NDATA/n",
        "",
    ] {
        assert_eq!(Topic::read(topic), None, "{topic}");
    }
    let topic = Topic::read("spBv1.0/g/DDATA/n/d").unwrap();
    assert_eq!((topic.node_commands(), topic.sender()), ("spBv1.0/g/NCMD/n".to_owned(), "g/n/d".to_owned()));
    let state = Topic::read("spBv1.0/STATE/host").unwrap();
    assert!(matches!(Sessions::new(0).read(&state, b"{}", 0, &Limits::default()), Ok(Message::NoReadings)));
}

#[test]
fn a_request_of_a_rebirth_is_what_the_specification_says() {
    let bytes = rebirth_request(1_790_000_000_000);
    let payload = Payload::read(&bytes, &Limits::default()).unwrap();
    assert_eq!((payload.timestamp, payload.seq), (Some(1_790_000_000_000), None));
    let metrics: Vec<_> = payload.metrics().map(Result::unwrap).collect();
    assert_eq!(metrics.len(), 1);
    assert_eq!((metrics[0].name, metrics[0].datatype), (Some("Node Control/Rebirth"), Some(11)));
    assert_eq!(metrics[0].value, edge_codec::sparkplug::MetricValue::Boolean(true));
}
