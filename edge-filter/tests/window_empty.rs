//! Windows without a reading, where they are asked for: over silence, gaps, texts, staleness and restarts each is given
//! once, in the order of their times.
#![cfg(feature = "config")]
#![allow(clippy::unwrap_used, missing_docs, reason = "test code")]

mod support;

use edge_filter::{Emit, EmitReason, Outcome, Pipeline, Quality, Reading, Value};
use support::{Rng, budget};

const WIDTH: i64 = 1_000;

fn pipeline(empty: &str, stale: &str) -> Pipeline {
    let window = format!("window = {{ width_ms = {WIDTH}, agg = \"mean\", empty = \"{empty}\" }}");
    let text = format!(
        "[defaults]\nmax_gap_ms = 5000\n[[rule]]\nmatch = \"#\"\nstages = [ {{ {window} }}{stale} ]\n"
    );
    Pipeline::from_toml(&text).unwrap()
}

/// Emitted readings, as time, value and whether they are good.
type Rows = Vec<(i64, String, bool)>;

fn row(emit: &Emit<'_>) -> (i64, String, bool) {
    let text = match (&emit.value, emit.reason) {
        (Value::Text(text), _) => text.to_string(),
        (_, EmitReason::WindowClosed) if emit.quality == Quality::BAD_NO_DATA => "empty".to_owned(),
        (Value::F64(number), _) => number.to_string(),
        (other, _) => format!("{other:?}"),
    };
    (emit.time, text, emit.quality.is_good())
}

fn feed(p: &mut Pipeline, time: i64, value: impl Into<Value<'static>>, rows: &mut Rows) {
    let sensor = p.intern("s");
    let reading = Reading { sensor, time, value: value.into(), quality: Quality::GOOD };
    if let Outcome::Emit(emit) = p.process(reading, time, &mut |emit| rows.push(row(&emit))) {
        rows.push(row(&emit));
    }
}

fn times_of_empty(rows: &Rows) -> Vec<i64> {
    rows.iter().filter(|(_, text, _)| text == "empty").map(|(time, ..)| *time).collect()
}

#[test]
fn they_are_given_over_silence_and_left_out_unless_asked_for() {
    for (empty, expected) in [("emit", vec![1_000, 2_000]), ("skip", vec![])] {
        let (mut p, mut rows) = (pipeline(empty, ""), Rows::new());
        feed(&mut p, 100, 7.0, &mut rows);
        for now in (0..=3_500).step_by(250) {
            p.tick(now, &mut |emit| rows.push(row(&emit)));
        }
        assert_eq!(times_of_empty(&rows), expected, "{empty}: {rows:?}");
        // Uncertain: nothing is known of its first 100 ms.
        assert_eq!(rows.first(), Some(&(0, "7".to_owned(), false)));
    }
}

#[test]
fn they_are_given_over_a_gap_and_before_a_text() {
    let (mut p, mut rows) = (pipeline("emit", ""), Rows::new());
    feed(&mut p, 100, 7.0, &mut rows);
    feed(&mut p, 8_300, 9.0, &mut rows);
    let over_the_gap: Vec<i64> = (1..8).map(|n| n * WIDTH).collect();
    assert_eq!(times_of_empty(&rows), over_the_gap, "{rows:?}");
    rows.clear();
    feed(&mut p, 11_200, "open", &mut rows);
    let row = |time: i64, text: &str, good| (time, text.to_owned(), good);
    // Of 8 000 to 8 300, behind the gap, nothing is known.
    let before_the_text = [
        row(8_000, "9", false),
        row(9_000, "empty", false),
        row(10_000, "empty", false),
        row(11_200, "open", true),
    ];
    assert_eq!(rows, before_the_text);
}

#[test]
fn they_go_on_while_a_sensor_is_stale_and_a_flush_gives_none() {
    let (mut p, mut rows) = (pipeline("emit", ", { stale = { timeout_ms = 300 } }"), Rows::new());
    feed(&mut p, 100, 7.0, &mut rows);
    for now in (0..=3_500).step_by(100) {
        p.tick(now, &mut |emit| rows.push(row(&emit)));
    }
    assert_eq!(times_of_empty(&rows), [1_000, 2_000], "{rows:?}");
    assert_eq!(p.stats().stale, 1);
    rows.clear();
    p.flush(&mut |emit| rows.push(row(&emit)));
    assert_eq!(rows, []);
    // The window that was open at the flush is given when it has ended, over a restart too.
    let mut next = pipeline("emit", ", { stale = { timeout_ms = 300 } }");
    next.restore(p.snapshot()).unwrap();
    next.tick(5_000, &mut |emit| rows.push(row(&emit)));
    assert_eq!(times_of_empty(&rows), [3_000, 4_000]);
}

#[test]
fn a_key_that_is_none_is_refused() {
    let text = "[[rule]]\nmatch = \"#\"\nstages = [ { window = { width_ms = 1, agg = \"mean\", empty = \"yes\" } } ]\n";
    let error = Pipeline::from_toml(text).unwrap_err().to_string();
    assert!(error.contains("unknown variant `yes`, expected `skip` or `emit`"), "{error}");
}

/// Rules of an earlier version, as a gateway may have kept them over its upgrade.
#[test]
fn the_key_of_earlier_versions_is_read() {
    let empty = |key: &str| {
        let window = format!("{{ width_ms = {WIDTH}, agg = \"mean\", {key} }}");
        let text = format!("[[rule]]\nmatch = \"#\"\nstages = [ {{ window = {window} }} ]\n");
        let (mut p, mut rows) = (Pipeline::from_toml(&text).map_err(|error| error.to_string())?, Rows::new());
        feed(&mut p, 100, 7.0, &mut rows);
        p.tick(2_000, &mut |emit| rows.push(row(&emit)));
        Ok::<_, String>(times_of_empty(&rows).len())
    };
    assert_eq!([empty("emit_empty = true"), empty("emit_empty = false")], [Ok(1), Ok(0)]);
    assert_eq!([empty("empty = \"emit\""), empty("empty = \"skip\"")], [Ok(1), Ok(0)]);
    let both = empty("emit_empty = true, empty = \"emit\"").unwrap_err();
    assert!(both.contains("empty"), "{both}");
    let wrong = empty("emit_empty = 1").unwrap_err();
    assert!(wrong.contains("expected empty = \"skip\" or \"emit\""), "{wrong}");
}

/// Readings, silence, gaps, texts, flushes and restarts: every whole window between the first reading and the last has a
/// result that lies in it, at most one of them if nothing was flushed in it; times rise.
#[test]
fn no_window_is_missing_over_any_history() {
    let (mut rng, cases) = (Rng::from_env(), budget(3_000));
    let mut empty = 0;
    for case in 0..cases {
        let stale =
            rng.pick(&["", ", { stale = { timeout_ms = 1500 } }", ", { stale = { timeout_ms = 200 } }"]);
        let (mut p, mut rows, mut now) = (pipeline("emit", stale), Rows::new(), 50_000);
        let first = now;
        feed(&mut p, now, 1.0, &mut rows);
        for _ in 0..60 {
            now += rng.pick(&[1, 130, 400, 999, 1_000, 2_300, 5_001, 9_000]);
            match rng.below(9) {
                0..=3 => feed(&mut p, now, rng.below(40) as f64, &mut rows),
                4 => feed(&mut p, now, rng.pick(&["open", "shut"]), &mut rows),
                5 => p.flush(&mut |emit| rows.push(row(&emit))),
                6 => {
                    let mut next = pipeline("emit", stale);
                    next.restore(p.snapshot()).unwrap();
                    p = next;
                }
                _ => p.tick(now, &mut |emit| rows.push(row(&emit))),
            }
        }
        p.tick(now + 2 * WIDTH, &mut |emit| rows.push(row(&emit)));
        let rises = rows.windows(2).all(|pair| pair[0].0 < pair[1].0);
        assert!(rises, "case {case}: {rows:?}");
        for start in (first..now).step_by(WIDTH as usize) {
            let within = rows.iter().filter(|(time, ..)| (start..start + WIDTH).contains(time));
            let all: Vec<_> = within.map(|(_, text, _)| text.as_str()).collect();
            assert!(!all.is_empty(), "case {case}: nothing of {start}: {rows:?}");
            empty += u64::from(all == ["empty"]);
        }
        assert!(p.stats().is_balanced());
    }
    assert!(empty > 1_000, "{empty}");
    println!("executed filter empty windows: {cases} cases");
}
