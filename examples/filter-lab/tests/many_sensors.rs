#![allow(clippy::unwrap_used, missing_docs, reason = "test code")]
//! A report of more sensors than a page can show: one of them all would have hundreds of megabytes.

mod support;

use std::fs;
use support::{lab, report};

#[test]
fn a_report_of_many_sensors_shows_some_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let (input, rules, out, html) = (path("in.csv"), path("rules.toml"), path("out.csv"), path("page.html"));
    let rows: String = (0..1_000).map(|n| format!("{n},sensor{n},1.5,0\n")).collect();
    fs::write(&input, format!("ts_ms,sensor,value,quality\n{rows}")).unwrap();
    fs::write(&rules, "[[rule]]\nmatch = \"#\"\nstages = [ { on_change = {} } ]\n").unwrap();
    let done = lab(&[&"run", &"--rules", &rules, &"--in", &input, &"--out", &out, &"--report", &html]);
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(done.status.success() && said.contains("shows 200 of 1000 sensors"), "{said}");
    let page = fs::read_to_string(html).unwrap();
    assert!(page.contains("sensors are shown"));
    assert_eq!((page.matches("<h2>").count(), page.contains("\"not_shown\":800")), (200, true));
    assert_eq!(fs::read_to_string(out).unwrap().lines().count(), 1 + 1_000, "what is kept is of all");
}

/// It was: unfiltered from then on, 102 kept.
#[test]
fn a_sensor_that_was_forgotten_for_another_one_is_filtered_when_it_comes_again() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("in.csv");
    let names = std::iter::repeat_n("a", 100).chain(["b"]).chain(std::iter::repeat_n("a", 100));
    let rows: String = names.enumerate().map(|(n, name)| format!("{n},{name},1.5,0\n")).collect();
    fs::write(&input, format!("ts_ms,sensor,value,quality\n{rows}")).unwrap();
    for (stage, ends) in [
        ("on_change = {}", &["a first", "b first", "a first"][..]),
        ("swinging_door = { deviation = 1 }", &["a first", "a flush", "b first", "a first", "a flush"]),
    ] {
        let rule = format!("[[rule]]\nmatch = \"#\"\nstages = [ {{ {stage} }} ]\n");
        let rules = format!("[defaults]\nmax_keys = 1\nover_limit = \"evict_idle\"\n{rule}");
        let (report, kept, _) = report(&rules, &input);
        let kept = kept.lines().skip(1).map(|line| {
            let cells: Vec<_> = line.split(',').collect();
            format!("{} {}", cells[1], cells[4])
        });
        assert_eq!(kept.collect::<Vec<_>>(), ends, "{stage}");
        for (sensor, readings) in report["sensors"].as_array().unwrap().iter().zip([200, 1]) {
            assert_eq!((&sensor["readings"], &sensor["holds"]), (&readings.into(), &true.into()), "{sensor}");
        }
    }
}
