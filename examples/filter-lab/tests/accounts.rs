#![allow(clippy::unwrap_used, missing_docs, reason = "test code")]
//! Promise 13: what the report says of each reading is what the stages did with it, also with those that wait for later ones to judge them.

mod support;

use std::fs;
use std::path::PathBuf;
use support::{lab, report};

fn rule(stages: &str) -> String {
    format!("[[rule]]\nmatch = \"#\"\nstages = [ {stages} ]\n")
}

fn recording(dir: &tempfile::TempDir, text: &str) -> PathBuf {
    let input = dir.path().join("in.csv");
    fs::write(&input, text).unwrap();
    input
}

/// It was: the error of the spike, 60, beside a stated 0.5, and no reason named.
#[test]
fn a_reading_that_is_dropped_after_a_wait_is_counted_under_its_reason_and_not_compared() {
    let dir = tempfile::tempdir().unwrap();
    let rows = ["20", "20.1", "80", "20.1", "20", "20", "23", "23"].iter().enumerate();
    let rows: String = rows.map(|(n, value)| format!("{n}000,a,{value},0\n")).collect();
    let input = recording(&dir, &format!("ts_ms,sensor,value,quality\n{rows}"));
    let spike = "{ spike = { method = \"differential\", fail = 5, action = \"drop\" } }";
    let (report, kept, _) = report(&rule(&format!("{spike}, {{ deadband = {{ absolute = 0.5 }} }}")), &input);
    let (sensor, suppressed) = (&report["sensors"][0], &report["sensors"][0]["suppressed"]);
    assert_eq!((&sensor["holds"], &sensor["kept"]), (&true.into(), &2.into()), "{sensor}");
    assert_eq!(*suppressed, serde_json::json!({"in_deadband": 5, "spike": 1}), "{sensor}");
    assert!(!kept.contains(",80,"), "{kept}");
}

/// Noise with outliers, gaps, bad readings, a text's place taken by an empty cell, a silence and a clock that is set back.
fn noise() -> String {
    let (mut time, mut state, mut text) =
        (1_600_000_000_000_i64, 7_u64, String::from("ts_ms,sensor,value,quality\n"));
    let mut random = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for n in 0..4_000_u64 {
        time += match random(60) {
            0 => 4_000_000,
            1 => 40_000,
            2 => -5_000,
            _ => 1_000,
        };
        if n == 2_000 {
            time -= 30_000_000;
        }
        let outlier = if random(15) == 0 { 40.0 } else { 0.0 };
        let value = (n as f64 / 300.0).sin() * 10.0 + random(100) as f64 / 100.0 + outlier;
        let quality = if random(20) == 0 { 2_147_483_648_u64 } else { 0 };
        text.push_str(&format!("{time},a,{value},{quality}\n"));
    }
    text
}

#[test]
fn bounds_hold_behind_stages_that_look_ahead_and_every_reading_is_accounted_for() {
    let dir = tempfile::tempdir().unwrap();
    let input = recording(&dir, &noise());
    let ahead = [
        "{ spike = { method = \"differential\", fail = 5, action = \"drop\" } }",
        "{ hampel = { window = 7, n_sigma = 3, action = \"drop\" } }",
        "{ hampel = { window = 9, n_sigma = 3, action = \"drop\" } }, { spike = { method = \"average\", fail = 5, action = \"drop\" } }",
    ];
    for stage in [
        "deadband = { absolute = 1.5 }",
        "deadband = { absolute = 1.5, send_previous = true }",
        "swinging_door = { deviation = 1.5 }",
        "segment_hold = { deviation = 1.5 }",
        "on_change = {}",
    ] {
        for ahead in ahead {
            for stale in ["", ", { stale = { timeout_ms = 20000, heartbeat_ms = 4000 } }"] {
                let stages = format!("{ahead}, {{ {stage} }}{stale}");
                let (report, _, _) = report(&rule(&stages), &input);
                let sensor = &report["sensors"][0];
                assert_eq!(sensor["holds"], true, "{stages}: {sensor}");
                let suppressed = sensor["suppressed"].as_object().unwrap();
                let all: u64 = suppressed.values().map(|n| n.as_u64().unwrap()).sum();
                assert_eq!(sensor["kept"].as_u64().unwrap() + all, 4_000, "{stages}: {sensor}");
                let judged = |reason: &str| suppressed.get(reason).map_or(0, |n| n.as_u64().unwrap());
                assert!(judged("spike") + judged("outlier") > 50, "{stages}: {sensor}");
            }
        }
    }
}

/// The middle of two large numbers is rounded. It was: 0.20000000298, exceeded.
#[test]
fn the_rounding_of_large_numbers_exceeds_no_bound() {
    let dir = tempfile::tempdir().unwrap();
    let rows: String =
        (0..50).map(|n| format!("{n}000,{:.1}\n", 100_000_003.2 + f64::from(n % 5) / 10.0)).collect();
    let input = recording(&dir, &format!("time,value\n{rows}"));
    for (deviation, holds) in [("0.2", true), ("0.19", true)] {
        let (report, _, _) =
            report(&rule(&format!("{{ segment_hold = {{ deviation = {deviation} }} }}")), &input);
        assert_eq!(report["sensors"][0]["holds"], holds, "{report}");
    }
}

/// As by the gateway: 21.5 Cel and 70.7 F are no two values of one series.
#[test]
fn a_name_with_another_unit_is_another_sensor() {
    let dir = tempfile::tempdir().unwrap();
    let rows = "0,a,Cel,21.5\n1000,a,Cel,21.5\n2000,a,F,70.7\n3000,a,F,70.7\n4000,a,Cel,21.6\n";
    let input = recording(&dir, &format!("ts_ms,sensor,unit,value\n{rows}"));
    for stage in [
        "deadband = { absolute = 60 }",
        "swinging_door = { deviation = 60 }",
        "segment_hold = { deviation = 60 }",
    ] {
        let (report, kept, _) = report(&rule(&format!("{{ {stage} }}")), &input);
        let reasons: Vec<_> = kept.lines().skip(1).map(|line| line.rsplit(',').next().unwrap()).collect();
        let ends = ["first", "flush", "unit_changed", "flush", "unit_changed"];
        let all = ends.iter().filter(|reason| **reason != "flush" || !stage.starts_with("deadband"));
        assert_eq!(reasons, all.copied().collect::<Vec<_>>(), "{kept}");
        let sensors = report["sensors"].as_array().unwrap();
        assert_eq!(sensors.iter().map(|s| &s["readings"]).collect::<Vec<_>>(), [3, 2]);
        assert!(sensors.iter().all(|sensor| sensor["holds"] == true), "{report}");
    }
    let rows: String = (0..400)
        .map(|n| format!("{n},a,{},{}.{}\n", ["Cel", "F"][n / 200], 20 + n / 200 * 50, n * 7 % 100))
        .collect();
    let input = recording(&dir, &format!("ts_ms,sensor,unit,value\n{rows}"));
    let done = lab(&[&"run", &"--suggest", &"--in", &input]);
    let text = String::from_utf8(done.stdout).unwrap();
    for part in [
        "a [Cel]: 200 readings from 20",
        "a [F]: 200 readings from 70",
        "# a [F]: a rule is for all units of a name: { ",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

/// It was: two backslashes more with each run.
#[test]
fn names_in_what_is_kept_are_read_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let input = recording(&dir, "ts_ms,sensor,value,quality\n0,\\\\SRV\\T1,1,0\n5,\\\\SRV\\T1,2,0\n");
    let rules = rule("{ on_change = {} }");
    let (first, kept, _) = report(&rules, &input);
    assert_eq!(first["sensors"][0]["name"], "\\\\SRV\\T1");
    let (again, kept_again, _) = report(&rules, &recording(&dir, &kept));
    assert_eq!((&again["sensors"][0]["name"], kept_again), (&first["sensors"][0]["name"], kept));
}
