#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![cfg(feature = "sparkplug")]
//! Memory of births: what a program gives to them is what they take at most (promise 12).

#[path = "support/counting.rs"]
mod counting;
#[path = "support/tahu.rs"]
mod tahu;

use counting::allocated;
use edge_codec::Limits;
use edge_codec::sparkplug::{Sessions, Topic};

/// Births take at most the bytes that they count for.
#[test]
fn births_take_no_more_than_sessions_count() {
    let topics = ["spBv1.0/g/NBIRTH/n", "spBv1.0/g/DBIRTH/n/d"].map(|topic| Topic::read(topic).unwrap());
    for sensors in [1, 2, 7, 100, 3_600, 10_000] {
        let metrics = (0..sensors).map(|n| tahu::TahuMetric {
            alias: Some(n),
            ..tahu::metric(&format!("sensor {n}"), tahu::TahuValue::Int(1))
        });
        let birth = tahu::payload(metrics.collect());
        let mut sessions = Sessions::new(usize::MAX);
        for topic in &topics {
            sessions.read(topic, &birth, 0, &Limits::default()).unwrap();
        }
        let used = allocated(|| drop(std::hint::black_box(sessions.clone())));
        println!("births of 2 x {sensors}: {used} of {} bytes", sessions.bytes());
        assert!(used <= sessions.bytes(), "{sensors}: {used} of {}", sessions.bytes());
    }
}
