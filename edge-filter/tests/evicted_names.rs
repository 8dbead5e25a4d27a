//! Promise 13: what a forgotten sensor held is emitted under its own name.
#![cfg(feature = "config")]
#![allow(clippy::unwrap_used, missing_docs, reason = "test code")]

use edge_filter::{Pipeline, Quality, Reading, Value};

const KEEPS_ONE: &str = "[defaults]\nmax_keys = 1\nover_limit = \"evict_idle\"\n\
                         [[rule]]\nmatch = \"#\"\nstages = [ { window = { width_ms = 1000, agg = \"sum\" } } ]\n";

#[test]
fn what_a_forgotten_sensor_held_has_its_name_while_it_is_emitted() {
    let mut pipeline = Pipeline::from_toml(KEEPS_ONE).unwrap();
    for n in 0..5 {
        let sensor = pipeline.intern(&format!("s{n}"));
        let reading = Reading { sensor, time: 10, value: Value::F64(f64::from(n)), quality: Quality::GOOD };
        let mut emitted = Vec::new();
        let _ = pipeline.process(reading, 10, &mut |emit| emitted.push((emit.sensor, emit.value.as_f64())));
        let named: Vec<_> = emitted.iter().map(|(sensor, sum)| (pipeline.name(*sensor), *sum)).collect();
        let before = format!("s{}", n - 1);
        let expected = if n == 0 { vec![] } else { vec![(Some(before.as_str()), Some(f64::from(n - 1)))] };
        assert_eq!(named, expected, "{n}");
    }
}

#[test]
fn promise_13_what_a_forgotten_sensor_held_is_emitted_by_whatever_comes_next() {
    for what in ["flush", "tick"] {
        let mut pipeline = Pipeline::from_toml(KEEPS_ONE).unwrap();
        let sensor = pipeline.intern("a");
        let reading = Reading { sensor, time: 10, value: Value::F64(7.0), quality: Quality::GOOD };
        let _ = pipeline.process(reading, 10, &mut |_| ());
        pipeline.intern("b");
        let mut sums = Vec::new();
        match what {
            "flush" => pipeline.flush(&mut |emit| sums.push(emit.value.as_f64())),
            _ => pipeline.tick(11, &mut |emit| sums.push(emit.value.as_f64())),
        }
        assert_eq!(sums, [Some(7.0)], "{what}");
    }
}

#[test]
fn the_sensor_that_is_forgotten_is_idle_and_has_no_alarm() {
    let rules = "[defaults]\nmax_keys = 3\nover_limit = \"evict_idle\"\n\
                 [[alarm]]\nmatch = \"guarded\"\nhigh = { limit = 95 }\n[[rule]]\nmatch = \"#\"\n";
    let mut pipeline = Pipeline::from_toml(rules).unwrap();
    let [guarded, idle, busy] = ["guarded", "idle", "busy"].map(|name| pipeline.intern(name));
    for (n, name) in ["new", "newer", "newest"].into_iter().enumerate() {
        let reading =
            Reading { sensor: busy, time: n as i64, value: Value::F64(1.0), quality: Quality::GOOD };
        let _ = pipeline.process(reading, n as i64, &mut |_| ());
        pipeline.intern(name);
        assert_eq!(
            [guarded, busy].map(|sensor| pipeline.name(sensor)),
            [Some("guarded"), Some("busy")],
            "{name}"
        );
    }
    assert_eq!((pipeline.name(idle), pipeline.stats().evicted), (None, 3));
}
