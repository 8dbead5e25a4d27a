//! Promise 12: a wrong configuration is refused with its line, its place, and what it should be.
#![cfg(feature = "config")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use edge_filter::{Outcome, Pipeline, Quality, Reading, Value};

fn error(text: &str) -> String {
    let error = Pipeline::from_toml(text).unwrap_err();
    assert!(error.problems().iter().all(|problem| problem.line().is_some()), "no line: {error}");
    error.to_string()
}

fn stage(stage: &str) -> String {
    error(&format!(
        "[[rule]]\nmatch = \"a\"\n\n[[rule]]\nmatch = \"b/#\"\nrange = {{ low = 0, high = 10 }}\nstages = [\n  {stage},\n]\n"
    ))
}

#[test]
fn parameters_are_refused_with_rule_stage_key_and_line() {
    for (found, expected) in [
        (
            "{ deadband = { percent = 100.5 } }",
            "line 8: rule 2: stages 1: deadband.percent: `percent` must be within 0 to 100, found 100.5",
        ),
        (
            "{ deadband = { absolute = nan } }",
            "line 8: rule 2: stages 1: deadband.absolute: `absolute` must be a finite number, 0 or more, found NaN",
        ),
        (
            "{ deadband = { absolute = 1, percent = 1 } }",
            "line 8: rule 2: stages 1: deadband: needs exactly one of `absolute` and `percent`",
        ),
        (
            "{ deadband = { absolute = 1, min_interval_ms = 20, max_interval_ms = 10 } }",
            "line 8: rule 2: stages 1: deadband.max_interval_ms: `max_interval_ms` must be so that min_interval_ms <= max_interval_ms, found 10",
        ),
        (
            "{ stale = { timeout_ms = 0 } }",
            "line 8: rule 2: stages 1: stale.timeout_ms: `timeout_ms` must be 1 ms or more, found 0",
        ),
        (
            "{ gross_range = { fail = [5, 5] } }",
            "line 8: rule 2: stages 1: gross_range.fail: `fail` must be two finite numbers, low below high, found 5 and 5",
        ),
        (
            "{ gross_range = { fail = [0, 5], suspect = [-1, 5] } }",
            "line 8: rule 2: stages 1: gross_range.suspect: `suspect` must be within `fail`, found -1 and 5",
        ),
        (
            "{ time_guard = { n_confirm = 0 } }",
            "line 8: rule 2: stages 1: time_guard.n_confirm: `n_confirm` must be 1 to 65535, found 0",
        ),
        (
            "{ stale = { timeout_ms = 5 } },\n  { deadband = { absolute = 1 } }",
            "line 9: rule 2: stages 2: deadband: stages run in the order time_guard, gross_range, rate_of_change, flat_line",
        ),
        (
            "{ stale = { timeout_ms = 5 } },\n  { stale = { timeout_ms = 5 } }",
            "line 9: rule 2: stages 2: stale: stages run in the order time_guard, gross_range, rate_of_change, flat_line",
        ),
    ] {
        let found = stage(found);
        assert!(found.starts_with(expected), "{found}\nis not\n{expected}");
    }
}

#[test]
fn a_trigger_by_status_needs_no_tolerance() {
    let rules = |keys: &str| format!("[[rule]]\nmatch = \"#\"\nstages = [ {{ deadband = {{ {keys} }} }} ]\n");
    for keys in ["trigger = \"status\"", "trigger = \"status\", absolute = 0.5"] {
        let mut p = Pipeline::from_toml(&rules(keys)).unwrap();
        let sensor = p.intern("a");
        let rows = [(0, 1.0, 0), (1, 900.0, 0), (2, 900.0, 0x8000_0000), (3, -5.0, 0x8000_0000), (4, 7.0, 0)];
        let passed = rows.map(|(time, value, status)| {
            let reading = Reading { sensor, time, value: Value::F64(value), quality: Quality(status) };
            matches!(p.process(reading, time, &mut |_| ()), Outcome::Emit(_))
        });
        assert_eq!(passed, [true, false, true, false, true], "{keys}");
    }
    for keys in ["", "trigger = \"status_value\""] {
        let found = error(&rules(keys));
        assert!(found.contains("deadband: needs exactly one of `absolute` and `percent`"), "{found}");
    }
}

#[test]
fn unknown_keys_and_stages_are_refused_with_the_valid_ones() {
    let e = stage("{ deadband = { absolut = 1 } }");
    assert!(
        e.starts_with(
            "line 8: rule 2: stages 1: deadband: unknown field `absolut`, expected one of `absolute`, `percent`"
        ),
        "{e}"
    );
    let e = stage("{ swinging_gate = { deviation = 1 } }");
    assert!(
        e.starts_with("line 8: rule 2: stages 1: unknown variant `swinging_gate`") && e.contains("`stale`"),
        "{e}"
    );
    for (element, found) in [
        (
            "{ deadband = { absolute = 1 }, stale = { timeout_ms = 5 } }",
            "the keys `deadband`, `stale`: each stage is an element of its own",
        ),
        (
            "{ deadband = {}, absolute = 1 }",
            "the keys `absolute`, `deadband`: each stage is an element of its own",
        ),
        ("{}", "an empty table"),
        ("\"on_change\"", "a value of type string"),
    ] {
        let form = "expected one stage, such as `{ deadband = { absolute = 0.5 } }`, found ";
        assert_eq!(stage(element), format!("line 8: rule 2: stages 1: {form}{found}"), "and nothing else");
    }
    let e = stage("{ stale = {} }");
    assert!(e.contains("missing field `timeout_ms`"), "{e}");
    let e = error("[defaults]\nmax_key = 1\n");
    assert!(e.starts_with("line 2: defaults: unknown field `max_key`"), "{e}");
    let e = error("[defaults]\nmax_gap_ms = 0\n");
    assert_eq!(e, "line 2: defaults.max_gap_ms: `max_gap_ms` must be 1 ms or more, found 0");
    let e = error("[[rule]\n");
    assert!(e.starts_with("line 1: "), "{e}");
    assert!(
        Pipeline::from_toml("[[rule]]\nstages = []\n")
            .unwrap_err()
            .to_string()
            .contains("missing field `match`")
    );
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let e = error(
        r#"
typo = 1
[defaults]
n_confirm = 0
[[rule]]
match = "a/#/b"
stages = [
  { swinging_door = { deviation = 0 } },
  { sample = { every_n = 0 } },
  { unheard_of = {} },
  { window = { width_ms = 10, agg = "mode" } },
]
[[rule]]
match = 5
[[rule]]
match = "c"
stages = [ { window = { width_ms = 10, agg = "mean", offset_ms = 10 } }, { deadband = { absolute = 1 } } ]
[[alarm]]
match = "a"
"#,
    );
    let lines: Vec<&str> = e.lines().collect();
    let starts = [
        "line 2: unknown field `typo`, expected one of `defaults`, `rule`, `alarm`",
        "line 4: defaults.n_confirm: `n_confirm` must be 1 to 65535, found 0",
        "line 6: rule 1: match: `#` must be the last level",
        "line 8: rule 1: stages 1: swinging_door.deviation: `deviation` must be a finite number above 0, found 0",
        "line 9: rule 1: stages 2: sample: stages run in the order",
        "line 10: rule 1: stages 3: unknown variant `unheard_of`",
        "line 11: rule 1: stages 4: window.agg: unknown variant `mode`",
        "line 14: rule 2: match: invalid type: integer `5`, expected a string",
        "line 17: rule 3: stages 1: window.offset_ms: `offset_ms` must be less than `width_ms`, found 10",
        "line 17: rule 3: stages 2: deadband: stages run in the order",
        "line 18: alarm 1: an alarm needs at least one of",
    ];
    assert_eq!(lines.len(), starts.len(), "{e}");
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}\nis not\n{start}");
    }
}

#[test]
fn each_reducing_stage_refuses_what_cannot_work() {
    for (found, expected) in [
        ("on_change = { min_interval_ms = 5, max_interval_ms = 4 }", "on_change.max_interval_ms: "),
        (
            "swinging_door = { deviation = 1, min_interval_ms = 5 }",
            "swinging_door.min_interval_ms: `min_interval_ms` must be 0, since it would break",
        ),
        (
            "swinging_door = { percent = 0 }",
            "swinging_door.deviation: `deviation` must be a finite number above 0",
        ),
        ("segment_hold = {}", "segment_hold: needs exactly one of `deviation` and `percent`"),
        ("segment_hold = { percent = 101 }", "segment_hold.percent: `percent` must be within 0 to 100"),
        ("window = { width_ms = 0, agg = \"mean\" }", "window.width_ms: `width_ms` must be 1 ms or more"),
        ("window = { width_ms = 5, agg = \"mean\", min_good_pct = nan }", "window.min_good_pct: "),
        ("sample = { every_n = 2, min_interval_ms = 5 }", "sample: needs exactly one of"),
        ("dedup = { within_ms = 0 }", "dedup.within_ms: "),
        (
            "stale = { timeout_ms = 10, heartbeat_ms = 10 }",
            "stale.heartbeat_ms: `heartbeat_ms` must be less than `timeout_ms`",
        ),
    ] {
        let found = stage(&format!("{{ {found} }}"));
        let expected = format!("line 8: rule 2: stages 1: {expected}");
        assert!(found.starts_with(&expected), "{found}\nis not\n{expected}");
    }
}

#[test]
fn patterns_percentages_without_a_range_and_empty_alarms_are_refused() {
    let e = error("[[rule]]\nmatch = \"a/#/b\"\n");
    assert_eq!(e, "line 2: rule 1: match: `#` must be the last level");
    let e = error("[[rule]]\nmatch = \"a\"\nstages = [ { deadband = { percent = 1 } } ]\n");
    assert!(
        e.starts_with(
            "line 3: rule 1: stages 1: deadband.percent: a percentage needs the rule's engineering range"
        ),
        "{e}"
    );
    let e = error("[[rule]]\nmatch = \"a\"\nrange = { low = 3, high = 3 }\n");
    assert!(
        e.starts_with("line 3: rule 1: range: `range` must be two finite numbers, low below high"),
        "{e}"
    );
    let e = error("[[alarm]]\nmatch = \"a\"\n");
    assert!(e.starts_with("line 1: alarm 1: an alarm needs at least one of"), "{e}");
    let e = error("[[alarm]]\nmatch = \"a\"\nhigh = { limit = 5 }\nlow = { limit = 6 }\n");
    assert!(
        e.starts_with("line 4: alarm 1: low.limit: `limit` must be in the order LOLO <= LO < HI <= HIHI"),
        "{e}"
    );
    let e = error("[[alarm]]\nmatch = \"a\"\n[alarm.high]\nlimit = 5\ndeadband = -1\n");
    assert!(e.starts_with("line 5: alarm 1: high.deadband: `deadband` must be a finite number"), "{e}");
}

#[test]
fn the_documented_configuration_is_accepted_and_the_first_rule_wins() {
    let documented: String = include_str!("../src/pipeline/config.rs")
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .skip_while(|line| !line.contains("```toml"))
        .skip(1)
        .take_while(|line| !line.contains("```"))
        .map(|line| format!("{line}\n"))
        .collect();
    assert!(documented.contains("[[alarm]]"));
    let mut p = Pipeline::from_toml(&documented).unwrap();
    let (yes, no, alarm) =
        (p.intern("site/a/temp/in"), p.intern("site/a/press"), p.intern("site/a/temp/out"));
    assert!(
        p.rule(yes).is_some() && p.rule(no).is_none() && p.alarm(alarm).is_some() && p.alarm(yes).is_none()
    );
    assert_eq!(p.rule(yes).unwrap().error_bound().to_string(), "at most 0.9500000000000001");

    let config: edge_filter::config::Config = toml::from_str(&documented).unwrap();
    assert_eq!(
        config.defaults,
        edge_filter::config::Defaults::default(),
        "the documented defaults are the defaults"
    );
    let again: edge_filter::config::Config = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
    assert_eq!(config, again);
}

/// Whatever type the missing value has: what stands behind it is read and told.
#[test]
fn what_stands_behind_a_missing_number_is_told_too() {
    let said = stage("{ swinging_door = {} },\n  { window = { width_ms = \"x\" } }");
    assert!(said.contains("line 8: rule 2: stages 1: swinging_door") && said.contains("deviation"), "{said}");
    assert!(said.contains("line 9: rule 2: stages 2: window.width_ms"), "{said}");
    let said = stage("{ window = {} },\n  { stale = { timeout_ms = 0 } }");
    assert!(
        said.contains("width_ms") && said.contains("line 9: rule 2: stages 2: stale.timeout_ms"),
        "{said}"
    );
}
