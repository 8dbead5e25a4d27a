//! Tumbling windows.

use super::case::Config;
use super::rows::Row;
use crate::error::Error;
use edge_filter::window::{Aggregate, Window, WindowResult, WindowState};
use std::fmt::Write as _;

const ALL: [&str; 8] = ["count", "first", "last", "min", "max", "mean", "std_pop", "median"];

pub(super) fn table(config: &Config<'_>, rows: &[Row]) -> Result<String, Error> {
    let window = window(config)?;
    let names = config.maybe_texts("agg")?.unwrap_or_else(|| ALL.to_vec());
    let aggregates: Option<Vec<Aggregate>> = names.iter().map(|name| aggregate(name)).collect();
    let must_be = "a list of count, first, last, min, max, mean, std_pop, median, sum, time_avg_stepped, time_avg_sloped";
    let aggregates = aggregates.ok_or_else(|| config.wrong("agg", must_be))?;
    // Interpolated bounds are those of OPC UA Part 13: on the line between what is good, over whatever is not.
    let interpolated = config.maybe_text("bounds")?.is_some();
    config.choice("bounds", &[("interpolated", ())])?;
    let mut table = format!("window_start_ms,{}\n", names.join(","));
    let gives_empty = gives_empty(config)?;
    let mut closed = |result: WindowResult| {
        if result.count() == 0 && !gives_empty {
            return;
        }
        let _ = write!(table, "{}", result.start);
        for aggregate in &aggregates {
            let _ = match result.get(*aggregate) {
                Some(value) => write!(table, ",{value}"),
                None => write!(table, ",nan"),
            };
        }
        table.push('\n');
    };
    // A recording is there as a whole: no reading of it is late.
    let mut rows: Vec<&Row> = rows.iter().collect();
    rows.sort_by_key(|row| (row.sensor, row.time));
    for of_sensor in rows.chunk_by(|a, b| a.sensor == b.sensor) {
        let mut state = WindowState::default();
        for row in of_sensor {
            let usable = row.value.is_finite() && row.quality.is_good();
            if usable || !interpolated {
                let _ = window.check(&mut state, row.value, row.quality, row.time, &mut closed);
            }
        }
        window.flush(&mut state, &mut closed);
    }
    Ok(table)
}

fn window(config: &Config<'_>) -> Result<Window, Error> {
    config.choice("kind", &[("tumbling", ())])?;
    config.choice("align", &[("epoch", ())])?;
    config.choice("closed", &[("left", ())])?;
    config.choice("emit", &[("non_empty", ())])?;
    let width_ms = config.maybe_ms("width_ms")?.ok_or_else(|| config.wrong("width_ms", "milliseconds"))?;
    let window = Window::tumbling_ms(width_ms).map_err(|error| config.refused(&error))?;
    Ok(window.median(true).emit_empty(gives_empty(config)?))
}

/// Returns whether windows without a good reading have a row too: a count of 0, and nothing else.
fn gives_empty(config: &Config<'_>) -> Result<bool, Error> {
    config.choice("empty", &[("skip", false), ("emit", true)])
}

fn aggregate(name: &str) -> Option<Aggregate> {
    Some(match name {
        "count" => Aggregate::Count,
        "first" => Aggregate::First,
        "last" => Aggregate::Last,
        "min" => Aggregate::Min,
        "max" => Aggregate::Max,
        "mean" => Aggregate::Mean,
        "std_pop" | "std" => Aggregate::StdPop,
        "median" => Aggregate::Median,
        "sum" => Aggregate::Sum,
        "time_avg_stepped" => Aggregate::TimeAvgStepped,
        "time_avg_sloped" | "time_avg" | "time_average" | "time_weighted_mean" | "time_weighted_average" => {
            Aggregate::TimeAvgSloped
        }
        _ => return None,
    })
}
