//! Promise 12: a wrong configuration is refused with its line, its place, and what it should be.
#![cfg(feature = "config")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

use edge_filter::Pipeline;

fn error(text: &str) -> String {
    let error = Pipeline::from_toml(text).unwrap_err();
    assert!(error.line().is_some(), "no line: {error}");
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
            "line 8: rule 2: stages 1: deadband: a deadband needs exactly one of `absolute` and `percent`",
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
            "line 8: rule 2: stages 1: time_guard.n_confirm: `n_confirm` must be 1 or more, found 0",
        ),
        (
            "{ stale = { timeout_ms = 5 } },\n  { deadband = { absolute = 1 } }",
            "line 9: rule 2: stages 2: deadband: stages run in the order time_guard, gross_range, deadband, stale",
        ),
        (
            "{ stale = { timeout_ms = 5 } },\n  { stale = { timeout_ms = 5 } }",
            "line 9: rule 2: stages 2: stale: stages run in the order time_guard, gross_range, deadband, stale",
        ),
    ] {
        let found = stage(found);
        assert!(found.starts_with(expected), "{found}\nis not\n{expected}");
    }
}

#[test]
fn unknown_keys_and_stages_are_refused_with_the_valid_ones() {
    let e = stage("{ deadband = { absolut = 1 } }");
    assert!(
        e.starts_with("line 8: rule 2: unknown field `absolut`, expected one of `absolute`, `percent`"),
        "{e}"
    );
    let e = stage("{ swinging_door = { deviation = 1 } }");
    assert!(e.starts_with("line 8: rule 2: unknown variant `swinging_door`") && e.contains("`stale`"), "{e}");
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
