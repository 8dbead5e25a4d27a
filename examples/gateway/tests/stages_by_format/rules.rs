//! Rules of the table: the text of each, as an operator writes it, and beside it the same in the words of the model.

use super::model::window::Aggregate;
use super::model::{Check, Drops, Hampel, Lookahead, Pick, Reducer, Rule, Spike};

const HOUR: i64 = 3_600_000;

/// Rule as text, and what it means.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// Keys of the rule beside its stages.
    head: &'static str,
    stages: &'static str,
    pub(crate) rule: Rule,
}

impl Case {
    /// The rule for the sensors of every route.
    pub(crate) fn toml(&self) -> String {
        let Self { name, head, stages, .. } = self;
        format!("[[rule]]\nmatch = \"+/{name}/#\"\n{head}\nstages = [ {stages} ]\n")
    }
}

fn case(name: &'static str, stages: &'static str, rule: Rule) -> Case {
    Case { name, head: "", stages, rule }
}

fn checked(name: &'static str, stages: &'static str, check: Check) -> Case {
    case(name, stages, Rule { checks: vec![check], ..Rule::default() })
}

fn reduced(name: &'static str, stages: &'static str, reducer: Reducer) -> Case {
    case(name, stages, Rule { reducer, ..Rule::default() })
}

pub(crate) fn all() -> Vec<Case> {
    let families = [guards, checks, outliers, conversions, comparers, holders, windows, together, everything];
    families.into_iter().flat_map(|family| family()).collect()
}

fn guards() -> Vec<Case> {
    let strict = Rule { drops: Drops { late: true, same_time: true }, ..Rule::default() };
    let uncertain = Rule { nan_is_bad: false, ..Rule::default() };
    vec![
        case("none", "", Rule::default()),
        case("guard", "{ time_guard = { out_of_order = \"drop\", same_time = \"drop\" } }", strict),
        Case {
            head: "nan_is_bad = false",
            ..case("nan", "{ on_change = {} }", Rule { reducer: on_change(), ..uncertain.clone() })
        },
        Case {
            head: "nan_is_bad = false",
            ..case(
                "nan_scaled",
                "{ scale = { factor = 2.0 } }",
                Rule { scale: Some((2.0, 0.0)), ..uncertain },
            )
        },
    ]
}

fn spike(drops: bool, is_differential: bool) -> Spike {
    Spike { suspect: 5.0, fail: 20.0, drops, is_differential }
}

fn checks() -> Vec<Case> {
    vec![
        checked(
            "range",
            "{ gross_range = { fail = [-1000.0, 70.0], suspect = [0.0, 30.0] } }",
            Check::Range { fail: (-1000.0, 70.0), suspect: (0.0, 30.0), drops: false },
        ),
        checked(
            "range_drop",
            "{ gross_range = { fail = [-1000.0, 70.0], suspect = [0.0, 30.0], action = \"drop\" } }",
            Check::Range { fail: (-1000.0, 70.0), suspect: (0.0, 30.0), drops: true },
        ),
        checked(
            "rate",
            "{ rate_of_change = { suspect_per_s = 0.0125, fail_per_s = 0.05 } }",
            Check::Rate { suspect: 0.0125, fail: 0.05, drops: false },
        ),
        checked(
            "rate_drop",
            "{ rate_of_change = { suspect_per_s = 0.0125, fail_per_s = 0.05, action = \"drop\" } }",
            Check::Rate { suspect: 0.0125, fail: 0.05, drops: true },
        ),
        checked(
            "flat",
            "{ flat_line = { suspect_s = 1200, fail_s = 2400, sampling_ms = 600000, tolerance = 0.3 } }",
            Check::Flat { suspect: 2, fail: 4, tolerance: 0.3 },
        ),
        checked(
            "attenuated",
            "{ attenuated_signal = { check = \"range\", suspect = 3.0, fail = 1.0, period_ms = 3000000, min_obs = 3 } }",
            Check::Attenuated { by_std: false, suspect: 3.0, fail: 1.0, period_ms: 3_000_000, min_obs: 3 },
        ),
        checked(
            "attenuated_std",
            "{ attenuated_signal = { suspect = 1.3, fail = 0.4, period_ms = 3000000, min_obs = 3 } }",
            Check::Attenuated { by_std: true, suspect: 1.3, fail: 0.4, period_ms: 3_000_000, min_obs: 3 },
        ),
        checked(
            "jump",
            "{ jump_reject = { max_step = 6.0, accept_after = 2 } }",
            Check::Jump { step: 6.0, after: 2, drops: false },
        ),
        checked(
            "jump_drop",
            "{ jump_reject = { max_step = 6.0, accept_after = 2, action = \"drop\" } }",
            Check::Jump { step: 6.0, after: 2, drops: true },
        ),
    ]
}

/// Outliers by the median, and spikes.
fn outliers() -> Vec<Case> {
    let replace = Hampel { window: 5, n_sigma: 2.0, min_scale: 4.0, replaces: true };
    let mark = Hampel { window: 7, n_sigma: 3.0, min_scale: 1.0, replaces: false };
    let ahead = |hampel, spike| Rule { lookahead: Lookahead { hampel, spike }, ..Rule::default() };
    vec![
        checked("hampel", "{ hampel = { window = 7, n_sigma = 3.0, min_scale = 1.0 } }", Check::Hampel(mark)),
        checked(
            "hampel_replace",
            "{ hampel = { window = 5, n_sigma = 2.0, min_scale = 4.0, action = \"replace\" } }",
            Check::Hampel(replace),
        ),
        case(
            "hampel_centred",
            "{ hampel = { window = 5, n_sigma = 2.0, min_scale = 4.0, action = \"replace\", alignment = \"centered\" } }",
            ahead(Some(replace), None),
        ),
        case("spike", "{ spike = { suspect = 5.0, fail = 20.0 } }", ahead(None, Some(spike(false, false)))),
        case(
            "spike_differential",
            "{ spike = { method = \"differential\", suspect = 5.0, fail = 20.0 } }",
            ahead(None, Some(spike(false, true))),
        ),
        case(
            "spike_drop",
            "{ spike = { suspect = 5.0, fail = 20.0, action = \"drop\" } }",
            ahead(None, Some(spike(true, false))),
        ),
    ]
}

fn conversions() -> Vec<Case> {
    let scaled = |factor, offset| Rule { scale: Some((factor, offset)), ..Rule::default() };
    let counted = Rule { counter: Some((16, 1.0)), ..Rule::default() };
    vec![
        case("scale", "{ scale = { factor = 2.0, offset = -4.0 } }", scaled(2.0, -4.0)),
        case("scale_ends", "{ scale = { raw = [0, 4], unit = [16, 0] } }", scaled(-4.0, 16.0)),
        case("scale_same", "{ scale = { factor = 1.0 } }", scaled(1.0, 0.0)),
        case("counter", "{ counter = { width_bits = 16, max_rate_per_s = 1 } }", counted.clone()),
        case(
            "counter_scaled",
            "{ counter = { width_bits = 16, max_rate_per_s = 1 } }, { scale = { factor = 0.125 } }",
            Rule { scale: Some((0.125, 0.0)), ..counted },
        ),
    ]
}

fn on_change() -> Reducer {
    Reducer::OnChange { min: 0, max: i64::MAX }
}

fn deadband(tolerance: f64) -> Reducer {
    Reducer::Deadband {
        tolerance,
        min: 0,
        max: i64::MAX,
        uncertain_is_bad: false,
        previous: false,
        status_alone: false,
    }
}

fn door(deviation: f64) -> Reducer {
    Reducer::Door { deviation, min: 0, max: i64::MAX, uncertain_is_bad: false }
}

/// Stages that compare with the last reading that left.
fn comparers() -> Vec<Case> {
    let with = |uncertain_is_bad, previous| Reducer::Deadband {
        tolerance: 1.0,
        min: 0,
        max: 4 * HOUR,
        uncertain_is_bad,
        previous,
        status_alone: false,
    };
    let status = Reducer::Deadband {
        tolerance: 0.0,
        min: 0,
        max: i64::MAX,
        uncertain_is_bad: false,
        previous: false,
        status_alone: true,
    };
    vec![
        reduced("on_change", "{ on_change = {} }", on_change()),
        reduced(
            "on_change_slow",
            "{ on_change = { min_interval_ms = 1500000, max_interval_ms = 3600000 } }",
            Reducer::OnChange { min: 1_500_000, max: HOUR },
        ),
        reduced("deadband", "{ deadband = { absolute = 1.0 } }", deadband(1.0)),
        Case {
            head: "range = { low = -50.0, high = 150.0 }",
            ..reduced(
                "deadband_bad",
                "{ deadband = { percent = 0.5, max_interval_ms = 14400000, uncertain_as = \"bad\" } }",
                with(true, false),
            )
        },
        reduced(
            "deadband_previous",
            "{ deadband = { absolute = 1.0, max_interval_ms = 14400000, send_previous = true } }",
            with(false, true),
        ),
        reduced(
            "deadband_slow",
            "{ deadband = { absolute = 1.0, min_interval_ms = 1500000, max_interval_ms = 7200000 } }",
            Reducer::Deadband {
                tolerance: 1.0,
                min: 1_500_000,
                max: 2 * HOUR,
                uncertain_is_bad: false,
                previous: false,
                status_alone: false,
            },
        ),
        reduced("deadband_status", "{ deadband = { trigger = \"status\" } }", status),
        reduced("dedup", "{ dedup = { within_ms = 1800000 } }", Reducer::OnChange { min: 0, max: 1_800_000 }),
    ]
}

/// Stages that hold readings or pick some of them.
fn holders() -> Vec<Case> {
    let late_door = Reducer::Door { deviation: 0.71, min: HOUR, max: 3 * HOUR, uncertain_is_bad: true };
    let sample = |every, interval, pick| Reducer::Sample { every, interval, pick };
    vec![
        reduced("door", "{ swinging_door = { deviation = 0.71 } }", door(0.71)),
        reduced(
            "door_slow",
            "{ swinging_door = { deviation = 0.71, min_interval_ms = 3600000, best_effort = true, max_interval_ms = 10800000, uncertain_as = \"bad\" } }",
            late_door,
        ),
        reduced(
            "segment",
            "{ segment_hold = { deviation = 0.71, max_interval_ms = 10800000 } }",
            Reducer::Segment { deviation: 0.71, max: 3 * HOUR, uncertain_is_bad: false },
        ),
        reduced("sample", "{ sample = { every_n = 3 } }", sample(Some(3), None, Pick::First)),
        reduced(
            "sample_last",
            "{ sample = { every_n = 3, pick = \"last\" } }",
            sample(Some(3), None, Pick::Last),
        ),
        reduced(
            "sample_peak",
            "{ sample = { min_interval_ms = 3000000, pick = \"max_abs_dev\" } }",
            sample(None, Some(3_000_000), Pick::Peak),
        ),
        reduced(
            "sample_interval",
            "{ sample = { min_interval_ms = 1800000 } }",
            sample(None, Some(1_800_000), Pick::First),
        ),
    ]
}

fn windows() -> Vec<Case> {
    let window = |name, stages, aggregate| {
        reduced(name, stages, Reducer::Window(super::model::window::Window::new(aggregate)))
    };
    let mut all = vec![
        window("count", "{ window = { width_ms = 3600000, agg = \"count\" } }", Aggregate::Count),
        window("first", "{ window = { width_ms = 3600000, agg = \"first\" } }", Aggregate::First),
        window("last", "{ window = { width_ms = 3600000, agg = \"last\" } }", Aggregate::Last),
        window("min", "{ window = { width_ms = 3600000, agg = \"min\" } }", Aggregate::Min),
        window("max", "{ window = { width_ms = 3600000, agg = \"max\" } }", Aggregate::Max),
        window("median", "{ window = { width_ms = 3600000, agg = \"median\" } }", Aggregate::Median),
        window("std_pop", "{ window = { width_ms = 3600000, agg = \"std_pop\" } }", Aggregate::StdPop),
        window("sum", "{ window = { width_ms = 3600000, agg = \"sum\" } }", Aggregate::Sum),
        window(
            "stepped",
            "{ window = { width_ms = 3600000, agg = \"time_avg_stepped\" } }",
            Aggregate::Stepped,
        ),
        window("sloped", "{ window = { width_ms = 3600000, agg = \"time_avg_sloped\" } }", Aggregate::Sloped),
    ];
    let mut mean = window(
        "mean",
        "{ window = { width_ms = 3600000, agg = \"mean\", offset_ms = 60000, min_good_pct = 60.0, empty = \"emit\", uncertain_as = \"good\" } }",
        Aggregate::Mean,
    );
    if let Reducer::Window(window) = &mut mean.rule.reducer {
        (window.offset, window.good_pct, window.empty, window.uncertain_is_bad) = (60_000, 60.0, true, false);
    }
    all.push(mean);
    all
}

/// Stages that each change what the next one sees.
fn together() -> Vec<Case> {
    let replace = Hampel { window: 5, n_sigma: 2.0, min_scale: 4.0, replaces: true };
    let scale = Some((0.5, 100.0));
    let counter = Some((16, 1.0));
    vec![
        case(
            "scale_deadband",
            "{ scale = { factor = 0.5, offset = 100.0 } }, { deadband = { absolute = 1.0 } }",
            Rule { scale, reducer: deadband(1.0), ..Rule::default() },
        ),
        case(
            "scale_door",
            "{ scale = { factor = 0.5, offset = 100.0 } }, { swinging_door = { deviation = 0.71 } }",
            Rule { scale, reducer: door(0.71), ..Rule::default() },
        ),
        case(
            "scale_sample",
            "{ scale = { factor = 0.5, offset = 100.0 } }, { sample = { every_n = 4, pick = \"last\" } }",
            Rule {
                scale,
                reducer: Reducer::Sample { every: Some(4), interval: None, pick: Pick::Last },
                ..Rule::default()
            },
        ),
        case(
            "counter_window",
            "{ counter = { width_bits = 16, max_rate_per_s = 1 } }, { window = { width_ms = 3600000, agg = \"last\" } }",
            Rule {
                counter,
                reducer: Reducer::Window(super::model::window::Window::new(Aggregate::Last)),
                ..Rule::default()
            },
        ),
        case(
            "replace_door",
            "{ hampel = { window = 5, n_sigma = 2.0, min_scale = 4.0, action = \"replace\" } }, { swinging_door = { deviation = 0.71 } }",
            Rule { checks: vec![Check::Hampel(replace)], reducer: door(0.71), ..Rule::default() },
        ),
        case(
            "spike_scale_deadband",
            "{ spike = { suspect = 5.0, fail = 20.0, action = \"drop\" } }, { scale = { factor = 0.5, offset = 100.0 } }, \
             { deadband = { absolute = 1.0, send_previous = true } }",
            Rule {
                lookahead: Lookahead { spike: Some(spike(true, false)), hampel: None },
                scale,
                reducer: Reducer::Deadband {
                    tolerance: 1.0,
                    min: 0,
                    max: i64::MAX,
                    uncertain_is_bad: false,
                    previous: true,
                    status_alone: false,
                },
                ..Rule::default()
            },
        ),
    ]
}

fn everything() -> Vec<Case> {
    let replace = Hampel { window: 5, n_sigma: 2.0, min_scale: 4.0, replaces: true };
    let scale = Some((0.5, 100.0));
    vec![case(
        "all",
        "{ gross_range = { fail = [-1000.0, 70.0], suspect = [0.0, 30.0], action = \"drop\" } }, \
             { rate_of_change = { suspect_per_s = 0.0125, fail_per_s = 0.05 } }, \
             { hampel = { window = 5, n_sigma = 2.0, min_scale = 4.0, action = \"replace\" } }, \
             { spike = { suspect = 5.0, fail = 20.0 } }, { scale = { factor = 0.5, offset = 100.0 } }, \
             { segment_hold = { deviation = 0.71 } }",
        Rule {
            checks: vec![
                Check::Range { fail: (-1000.0, 70.0), suspect: (0.0, 30.0), drops: true },
                Check::Rate { suspect: 0.0125, fail: 0.05, drops: false },
                Check::Hampel(replace),
            ],
            lookahead: Lookahead { spike: Some(spike(false, false)), hampel: None },
            scale,
            reducer: Reducer::Segment { deviation: 0.71, max: i64::MAX, uncertain_is_bad: false },
            ..Rule::default()
        },
    )]
}
