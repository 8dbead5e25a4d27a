#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![cfg(feature = "sparkplug")]
//! Memory of births: what a program gives to them is what they take at most (promise 12).

#[path = "support/counting.rs"]
mod counting;
#[path = "support/tahu.rs"]
mod tahu;

use counting::{allocated, kept};
use edge_codec::Limits;
use edge_codec::sparkplug::{Sessions, Topic};

/// Births of a node and a device with these metrics, as they were read; and what they keep in memory.
fn read(metrics: Vec<tahu::TahuMetric>) -> (Sessions, usize) {
    let birth = tahu::payload(metrics);
    let topics = ["spBv1.0/g/NBIRTH/n", "spBv1.0/g/DBIRTH/n/d"].map(|topic| Topic::read(topic).unwrap());
    kept(|| {
        let mut sessions = Sessions::new(usize::MAX);
        for topic in &topics {
            sessions.read(topic, &birth, 0, &Limits::default()).unwrap();
        }
        sessions
    })
}

/// Births take at most the bytes that they count for, as they were read and copied.
#[test]
fn births_take_no_more_than_sessions_count() {
    for sensors in [1, 2, 7, 100, 3_600, 10_000] {
        // Without aliases, and with some that are no numbers of sensors: they have more than 32 bits.
        for first_alias in [None, Some(0), Some(1 << 40)] {
            let metric = |n: u64| tahu::TahuMetric {
                alias: first_alias.map(|first| first + n),
                datatype: Some(7),
                ..tahu::metric(&format!("sensor {n}"), tahu::TahuValue::Int(1))
            };
            let (sessions, alive) = read((0..sensors).map(metric).collect());
            let copied = allocated(|| drop(std::hint::black_box(sessions.clone())));
            let counted = sessions.bytes();
            println!("births of 2 x {sensors}: {alive}, copied {copied} of {counted} bytes");
            assert!(alive.max(copied) <= counted, "{sensors}: {alive}, copied {copied} of {counted}");
        }
    }
}

/// It was: 16 bytes for each of them stayed, and those of one sensor counted.
#[test]
fn metrics_of_one_alias_are_one_sensor_in_memory_too() {
    let metric = tahu::TahuMetric { name: None, alias: Some(1), ..tahu::metric("", tahu::TahuValue::Int(1)) };
    let (sessions, alive) = read(vec![metric; 10_000]);
    assert!(alive <= sessions.bytes() && alive < 8 << 10, "{alive} of {}", sessions.bytes());
}
