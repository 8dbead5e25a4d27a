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

/// The last number counts until the end of its window, whether a number comes behind it or a text, and whether empty windows are told or not.
#[test]
fn promise_13_a_window_that_ended_before_a_text_is_as_good_as_before_a_number() {
    for empty in ["skip", "emit"] {
        for next in [Value::F64(3.0), Value::from("idle")] {
            let stage =
                format!("window = {{ width_ms = 1000, agg = \"time_avg_stepped\", empty = \"{empty}\" }}");
            let rules = format!("[[rule]]\nmatch = \"#\"\nstages = [ {{ {stage} }} ]\n");
            let mut pipeline = Pipeline::from_toml(&rules).unwrap();
            let sensor = pipeline.intern("s");
            let mut windows = Vec::new();
            let numbers =
                [(0, 1.0), (1_000, 2.0), (1_500, 4.0)].map(|(time, value)| (time, Value::F64(value)));
            for (time, value) in numbers.into_iter().chain([(2_100, next.clone())]) {
                let reading = Reading { sensor, time, value, quality: GOOD };
                let _ = pipeline.process(reading, 0, &mut |emit| windows.push((row(&emit), emit.quality)));
            }
            let expected = [((0, "1".to_owned()), GOOD), ((1_000, "3".to_owned()), GOOD)];
            assert_eq!(windows, expected, "{empty} {next:?}");
        }
    }
}

#[test]
fn a_text_comes_after_the_window_that_it_ends() {
    let number = |time: i64| (time, Value::F64(1.0), GOOD);
    let text = |time: i64| (time, Value::from("idle"), GOOD);
    let readings = [number(100), number(200), text(300), number(400), text(500), number(1_200)];
    let rows = [(0, "2"), (300, "idle"), (301, "1"), (500, "idle"), (1_000, "1")];
    assert_eq!(sent(&readings), expected(&rows));
}
