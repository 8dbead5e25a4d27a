//! Texts have no place in a window, and are not lost for it.
#![cfg(feature = "config")]
#![allow(clippy::unwrap_used, missing_docs, reason = "test code")]

use edge_filter::{Emit, Outcome, Pipeline, Quality, Reading, Value};

const BAD: Quality = Quality::BAD;
const GOOD: Quality = Quality::GOOD;

fn row(emit: &Emit<'_>) -> (i64, String) {
    match &emit.value {
        Value::Text(text) => (emit.time, text.to_string()),
        number => (emit.time, number.as_f64().unwrap().to_string()),
    }
}

/// Time and value of what a window of a second lets through, in order.
fn sent(readings: &[(i64, Value<'_>, Quality)]) -> Vec<(i64, String)> {
    let stage = "window = { width_ms = 1000, agg = \"sum\" }";
    let rules = format!("[[rule]]\nmatch = \"#\"\nstages = [ {{ {stage} }} ]\n");
    let mut pipeline = Pipeline::from_toml(&rules).unwrap();
    let sensor = pipeline.intern("s");
    let mut rows = Vec::new();
    for (time, value, quality) in readings {
        let reading = Reading { sensor, time: *time, value: value.clone(), quality: *quality };
        let outcome = pipeline.process(reading, 0, &mut |emit| rows.push(row(&emit)));
        if let Outcome::Emit(emit) = outcome {
            rows.push(row(&emit));
        }
    }
    pipeline.flush(&mut |emit| rows.push(row(&emit)));
    rows
}

fn expected(rows: &[(i64, &str)]) -> Vec<(i64, String)> {
    rows.iter().map(|(time, value)| (*time, (*value).to_owned())).collect()
}

#[test]
fn texts_pass_a_window_as_they_came() {
    let readings = [("RUN", GOOD), ("RUN", GOOD), ("STOP", BAD), ("RUN", BAD)];
    let times =
        readings.iter().enumerate().map(|(n, (text, quality))| (n as i64, Value::from(*text), *quality));
    let rows = [(0, "RUN"), (1, "RUN"), (2, "STOP"), (3, "RUN")];
    assert_eq!(sent(&times.collect::<Vec<_>>()), expected(&rows));
}

#[test]
fn a_text_comes_after_the_window_that_it_ends() {
    let number = |time: i64| (time, Value::F64(1.0), GOOD);
    let text = |time: i64| (time, Value::from("idle"), GOOD);
    let readings = [number(100), number(200), text(300), number(400), text(500), number(1_200)];
    let rows = [(0, "2"), (300, "idle"), (301, "1"), (500, "idle"), (1_000, "1")];
    assert_eq!(sent(&readings), expected(&rows));
}
