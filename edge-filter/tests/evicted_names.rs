//! Promise 13: what a forgotten sensor held is emitted under its own name.
#![cfg(feature = "config")]
#![allow(clippy::unwrap_used, missing_docs, reason = "test code")]

use edge_filter::{Pipeline, Quality, Reading, Value};

#[test]
fn what_a_forgotten_sensor_held_has_its_name_while_it_is_emitted() {
    let rules = "[defaults]\nmax_keys = 1\nover_limit = \"evict_idle\"\n\
                 [[rule]]\nmatch = \"#\"\nstages = [ { window = { width_ms = 1000, agg = \"sum\" } } ]\n";
    let mut pipeline = Pipeline::from_toml(rules).unwrap();
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
