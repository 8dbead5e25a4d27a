#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! Every stage of a filter in every format: what a foreign reader decodes at a real Mosquitto is what the stage's page says of the
//! whole series. One rule a row of the table, in `rules.rs`; the series are in `series.rs`, their meaning in `model`.

mod corners;
mod foreign;
mod model;
mod rules;
mod series;
#[path = "../support/mod.rs"]
mod support;
mod table;

use std::collections::BTreeMap;

use foreign::Row;
use rules::Case;
use series::Reading;
use table::Site;

/// Series by the name of its sensor without the route, with the rule that is for it.
fn table() -> Vec<(String, Case, Vec<Reading>)> {
    let rows = series::all().into_iter().flat_map(|series| {
        rules::all().into_iter().filter_map(move |case| {
            // Not in the model: texts and decades among windows that are given without a reading, too, and lines through integers that
            // a double rounds.
            let is_in_model = match case.name {
                "mean" => !["kinds", "counts", "epochs"].contains(&series.name),
                "replace_door" => series.name != "integers",
                _ => true,
            };
            let name = format!("{}/{}", case.name, series.name);
            is_in_model.then(|| (name, case, series.readings.clone()))
        })
    });
    rows.collect()
}

/// Readings that are to arrive of a sensor that is cut by nothing, whose stages are let go of before a reading, or that begins anew with it.
fn whole(case: &Case, all: &[Reading]) -> Vec<Reading> {
    model::expected(&case.rule, all, None)
}

fn released(case: &Case, all: &[Reading], at: usize) -> Vec<Reading> {
    model::expected(&case.rule, all, Some(at))
}

fn anew(case: &Case, all: &[Reading], at: usize) -> Vec<Reading> {
    let (before, after) = all.split_at(at);
    [whole(case, before), whole(case, after)].concat()
}

/// Sends the first half of each series, does something to the gateway, and sends the rest. Compares what arrives with what is meant,
/// by the number of readings before.
fn halved(
    formats: &[&'static str],
    between: impl Fn(&mut Site),
    meant: impl Fn(&Case, &[Reading], usize) -> Vec<Reading>,
) {
    let mut site = Site::start(formats);
    let table = table();
    for (name, _, readings) in &table {
        site.send(name, &readings[..readings.len() / 2]);
    }
    between(&mut site);
    for (name, _, readings) in &table {
        site.send(name, &readings[readings.len() / 2..]);
    }
    let read = site.read();
    site.compare(&read, table.iter().map(|(name, case, all)| (name, case, meant(case, all, all.len() / 2))));
}

/// Promise 13: each value, time, quality, unit and name, in each format; batches are cut at other places in each.
#[test]
fn what_each_stage_decides_is_what_a_foreign_reader_gets_in_each_format() {
    let mut site = Site::start(&["json", "cbor", "protobuf", "compact"]);
    let table = table();
    for (name, _, readings) in &table {
        site.send(name, readings);
    }
    let read = site.read();
    site.compare(&read, table.iter().map(|(name, case, all)| (name, case, whole(case, all))));
}

/// Promises 1 and 13: after a kill each stage begins anew, and what it held is gone; nothing else is.
#[test]
fn a_kill_in_the_middle_of_a_series_begins_each_stage_anew() {
    halved(&["protobuf", "compact"], Site::kill, anew);
}

/// Promise 13: a stop in the middle of a series makes no difference, wherever a stage stood.
#[test]
fn a_stop_in_the_middle_of_a_series_makes_no_difference() {
    halved(&["json", "cbor"], |site| site.stop(""), |case, all, _| whole(case, all));
}

/// Promise 13: with other rules after a stop, what the old ones held arrives as they made it, and the series goes on.
#[test]
fn other_rules_after_a_stop_let_go_of_what_was_held() {
    halved(&["json", "compact"], |site| site.stop("# Another text.\n"), released);
}

/// Promise 13: so do other rules while the gateway runs.
#[test]
fn other_rules_let_go_of_what_was_held() {
    halved(&["cbor", "protobuf"], |site| site.reload("# Another text.\n"), released);
}

type Read = BTreeMap<String, Vec<Row>>;
