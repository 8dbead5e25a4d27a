#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![cfg(feature = "influx")]
//! Memory that readers of lines and of single values take is bounded by what came (promise 12).

#[path = "support/counting.rs"]
mod counting;

use counting::allocated;
use edge_codec::influx::{self, Precision};
use edge_codec::{Limits, Source, plain_value};

const CONSTANT: usize = 2 * 1024;

/// Bytes per byte of a payload: a line of six bytes has a list of fields and a name of its own.
const LINES_FACTOR: usize = 128;

#[test]
fn importing_the_shortest_lines_stays_under_the_stated_factor() {
    let read = |input: &str| {
        let source = Source { sensor: Some("t"), arrival_ms: 0 };
        drop(std::hint::black_box(influx::import(
            input.as_bytes(),
            Precision::Nanoseconds,
            &source,
            &Limits::default(),
        )));
    };
    for n in [1, 10, 1000, 30_000] {
        let fields = |of: usize| (0..of).map(|i| format!("{i:x}=1")).collect::<Vec<_>>().join(",");
        let (lines, own) = ("m a=1\n".repeat(n), "m,sensor=s int=1i\n".repeat(n));
        let wide_lines = format!("m {}\n", fields(n.min(256))).repeat(n.div_ceil(256));
        let tagged = format!("m,{}=1 {}\n", "t".repeat(n.min(1_000)), fields(16)).repeat(n.div_ceil(256));
        let comments = "#\n".repeat(n);
        for (what, input) in
            [("lines", lines), ("own", own), ("fields", wide_lines), ("tags", tagged), ("comments", comments)]
        {
            let used = allocated(|| read(&input));
            println!("lines {what} × {n}: {:.1} bytes per byte", used as f64 / input.len() as f64);
            assert!(used <= LINES_FACTOR * input.len() + CONSTANT, "{what}: {used} for {}", input.len());
        }
    }
}

#[test]
fn importing_one_value_allocates_nothing() {
    let source = Source { sensor: Some("t"), arrival_ms: 0 };
    assert_eq!(allocated(|| drop(plain_value::import(b"21.5 Cel", &source, &Limits::default()))), 0);
}
