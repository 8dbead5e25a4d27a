//! Promise 12: in steady state a reading costs no allocation, and tens of thousands of sensors cost what is stated.
#![cfg(feature = "config")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use edge_filter::{Pipeline, Quality, Reading, Value};
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
fn ten_thousand_sensors_take_the_memory_that_is_stated() {
    let mut p = Pipeline::from_toml(RULES).unwrap();
    let before = BYTES.with(Cell::get);
    let name_bytes: usize = (0..10_000)
        .map(|i| {
            let name = format!("plant/line{i}/temp");
            p.intern(&name);
            name.len()
        })
        .sum();
    let per_sensor = (BYTES.with(Cell::get) - before - name_bytes as isize) / 10_000;
    println!("{per_sensor} bytes per sensor beside its name");
    assert!(per_sensor <= 400, "{per_sensor}");
}
