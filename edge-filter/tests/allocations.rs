//! Promise 12: in steady state a reading costs no allocation, and tens of thousands of sensors cost what is stated. So does a
//! configuration file.
#![cfg(feature = "config")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use edge_filter::{ConfigFile, Pipeline, Quality, Reading, Value};
use std::alloc::{GlobalAlloc, Layout, System};
use std::borrow::Cow;
use std::cell::Cell;

struct Counting;

thread_local! {
    static CALLS: Cell<usize> = const { Cell::new(0) };
    static BYTES: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    CALLS.with(|c| c.set(c.get() + usize::from(bytes > 0)));
    BYTES.with(|b| b.set(b.get() + bytes));
}

#[allow(unsafe_code, reason = "a global allocator that counts cannot be written without")]
// SAFETY: every call is passed on unchanged to the system allocator; counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const RULES: &str = r##"
    [[rule]]
    match = "#"
    range = { low = 0.0, high = 1000.0 }
    stages = [
      { gross_range = { fail = [0.0, 1000.0] } },
      { deadband = { percent = 0.1, max_interval_ms = 60000 } },
      { stale = { timeout_ms = 30000 } },
    ]
    [[alarm]]
    match = "site/+/0"
    high = { limit = 500.0, on_delay_ms = 5000 }
"##;

#[test]
fn a_reading_costs_no_allocation_in_steady_state() {
    let mut p = Pipeline::from_toml(RULES).unwrap();
    let sensors: Vec<u32> = (0..1000).map(|i| p.intern(&format!("site/{i}/{}", i % 3))).collect();
    let texts = ["running", "stopped", "fault"];
    let run = |p: &mut Pipeline, rounds: std::ops::Range<i64>| {
        for time in rounds {
            for (i, &sensor) in sensors.iter().enumerate() {
                let value = match i % 5 {
                    0 => Value::Text(Cow::Borrowed(texts[(time % 3) as usize])),
                    1 => Value::U64((time as u64) << 40),
                    2 => Value::F64(f64::NAN),
                    _ => Value::F64((time * 37 % 997) as f64),
                };
                let reading = Reading { sensor, time: time * 1000, value, quality: Quality::GOOD };
                let _ = p.process(reading, time * 1000, &mut |_| ());
            }
            p.tick(time * 1000, &mut |_| ());
            while p.poll_alarm().is_some() {}
        }
    };
    run(&mut p, 0..200);
    let before = CALLS.with(Cell::get);
    run(&mut p, 200..400);
    assert_eq!(CALLS.with(Cell::get) - before, 0);
    assert!(p.stats().emitted() > 0 && p.stats().dropped() > 0);

    let before = CALLS.with(Cell::get);
    drop(String::from("one")); // the counter counts
    assert_eq!(CALLS.with(Cell::get) - before, 1);
}

#[test]
fn no_stage_allocates_per_reading_in_steady_state() {
    for stage in [
        "on_change = { max_interval_ms = 9000 }",
        "deadband = { absolute = 5.0, send_previous = true }",
        "swinging_door = { deviation = 5.0 }",
        "segment_hold = { deviation = 5.0 }",
        "window = { width_ms = 10000, agg = \"std_pop\" }",
        "sample = { every_n = 3, pick = \"max_abs_dev\" }",
        "dedup = { within_ms = 3000 }",
        "hampel = { window = 9, alignment = \"centered\" } }, { spike = { suspect = 50.0 }",
    ] {
        let rules = format!(
            "[[rule]]\nmatch = \"#\"\nstages = [ {{ {stage} }}, {{ stale = {{ timeout_ms = 30000, heartbeat_ms = 9000 }} }} ]"
        );
        let mut p = Pipeline::from_toml(&rules).unwrap();
        let sensors: Vec<u32> = (0..50).map(|i| p.intern(&format!("{i}"))).collect();
        let mut emits = 0;
        let mut run = |rounds: std::ops::Range<i64>| {
            for time in rounds {
                for &sensor in &sensors {
                    let value = Value::F64((time * (37 + i64::from(sensor)) % 97) as f64);
                    let reading = Reading { sensor, time: time * 1000, value, quality: Quality::GOOD };
                    let outcome = p.process(reading, time * 1000, &mut |_| emits += 1);
                    emits += u32::from(matches!(outcome, edge_filter::Outcome::Emit(_)));
                }
                p.tick(time * 1000, &mut |_| ());
            }
        };
        run(0..100);
        let before = CALLS.with(Cell::get);
        run(100..300);
        assert_eq!(CALLS.with(Cell::get) - before, 0, "{stage}");
        assert!(emits > 0, "{stage}");
    }
}

fn bytes_per_sensor(rules: &str) -> isize {
    let mut p = Pipeline::from_toml(rules).unwrap();
    let before = BYTES.with(Cell::get);
    let name_bytes: usize = (0..10_000)
        .map(|i| {
            let name = format!("plant/line{i}/temp");
            let sensor = p.intern(&name);
            let reading = Reading { sensor, time: 1000, value: Value::F64(20.0), quality: Quality::GOOD };
            let _ = p.process(reading, 1000, &mut |_| ());
            name.len()
        })
        .sum();
    (BYTES.with(Cell::get) - before - name_bytes as isize) / 10_000
}

#[test]
fn ten_thousand_sensors_take_the_memory_that_is_stated() {
    let rules = |stage: &str| {
        format!("[[rule]]\nmatch = \"#\"\nstages = [ {{ {stage} }}, {{ stale = {{ timeout_ms = 30000 }} }} ]")
    };
    for (stage, limit) in [
        ("deadband = { absolute = 0.5 }", 128),
        ("swinging_door = { deviation = 0.5 }", 192),
        ("segment_hold = { deviation = 0.5 }", 192),
        ("window = { width_ms = 60000, agg = \"mean\" }", 500),
    ] {
        let found = bytes_per_sensor(&rules(stage));
        println!("{stage}: {found} bytes per sensor beside its name");
        assert!(found <= limit, "{stage}: {found}");
    }
}

#[test]
fn a_million_names_take_the_memory_of_max_keys_and_no_reading_is_lost() {
    for policy in ["pass", "evict_idle"] {
        let mut p = Pipeline::from_toml(&format!(
            "[defaults]\nmax_keys = 10000\nover_limit = \"{policy}\"\n[[rule]]\nmatch = \"#\"\nstages = [ {{ swinging_door = {{ deviation = 0.5 }} }} ]"
        ))
        .unwrap();
        let (mut emitted, mut names, mut peak) = (0_u64, 0, 0);
        let before = BYTES.with(Cell::get);
        for i in 0..1_000_000_u64 {
            let name = format!("bot/{i}");
            let sensor = p.intern(&name);
            for time in [1000, 1001] {
                let reading = Reading { sensor, time, value: Value::F64(20.0), quality: Quality::GOOD };
                let outcome = p.process(reading, 1000, &mut |_| emitted += 1);
                emitted += u64::from(matches!(outcome, edge_filter::Outcome::Emit(_)));
            }
            names += u64::from(p.name(sensor) == Some(&name));
            peak = peak.max(BYTES.with(Cell::get) - before);
        }
        p.flush(&mut |_| emitted += 1);
        let stats = p.stats();
        assert!(stats.is_balanced() && stats.held == 0, "{stats:?}");
        assert_eq!(
            emitted, 2_000_000,
            "{policy}: both of each sensor, the second from the flush or the eviction"
        );
        assert_eq!(
            (names, stats.evicted > 0),
            (if policy == "pass" { 10_000 } else { 1_000_000 }, policy != "pass")
        );
        println!("{policy}: {peak} bytes at most");
        assert!(peak < 4 << 20, "{peak}");
    }
}

/// Allocations made to read a file of that many parts, with a reference to the name of each, and the mistakes found.
fn allocations_to_check(part: impl Fn(usize) -> String, parts: usize) -> (usize, usize) {
    let text: String = (0..parts).map(part).collect();
    let before = CALLS.with(Cell::get);
    let mut file = ConfigFile::parse(&text).unwrap();
    let controller = file.controller();
    for (_, name) in file.names("input") {
        file.refers(&["fields", &name], "input", &name);
    }
    let mistakes = file.finish(Some(controller)).map_or_else(|error| error.problems().len(), |_| 0);
    (CALLS.with(Cell::get) - before, mistakes)
}

#[test]
fn a_file_is_checked_with_work_in_proportion_to_its_length() {
    for (rest, mistakes_each) in [
        ("stale_after_ms = 500", 0),
        ("stale_after_ms = 500\n[[alarm]]\nmatch = \"a/NUMBER\"\nhigh = { limit = 5 }", 0),
        ("stale_after_ms = 0", 1),
        ("stale_after_ms = \"soon\"", 1),
        ("stale_after = 500", 1),
        ("", 1),
        ("stale_after_ms = 0\nrange = [1, 0]\nunit = \"K\"", 3),
        (
            "stale_after_ms = 500\n[[output]]\nname = \"a/NUMBER\"\nramp = { setpoint_input = \"b\", rate_per_s = 1 }",
            1,
        ),
        (
            "stale_after_ms = 500\n[[inputs]]\nname = \"b\"\n[[alarm]]\nmatch = \"c/NUMBER\"\nhigh = { limit = 5 }",
            1,
        ),
        ("stale_after_ms = 500\n[table_NUMBER]", 1),
    ] {
        let part = |number: usize| {
            format!("[[input]]\nname = \"a/NUMBER\"\n{rest}\n").replace("NUMBER", &number.to_string())
        };
        let ((few, _), (many, mistakes)) = (allocations_to_check(part, 60), allocations_to_check(part, 600));
        assert!(many <= 12 * few, "{rest}: {few} allocations for 60 parts, {many} for 600");
        let whole_tables = usize::from(rest.contains("[[inputs]]"));
        let expected = if whole_tables > 0 { 601 } else { 600 * mistakes_each };
        assert_eq!(mistakes, expected, "{rest}");
    }
}
