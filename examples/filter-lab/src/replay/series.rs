//! Tumbling windows.

use super::case::Config;
use super::rows::{Row, states};
use crate::error::Error;
use edge_filter::{Aggregate, Window, WindowResult, WindowState};
use std::fmt::Write as _;

const ALL: [&str; 8] = ["count", "first", "last", "min", "max", "mean", "std_pop", "median"];

pub(super) fn table(config: &Config<'_>, rows: &[Row]) -> Result<String, Error> {
    let window = window(config)?;
    let names = config.maybe_texts("agg")?.unwrap_or_else(|| ALL.to_vec());
    let aggregates: Option<Vec<Aggregate>> = names.iter().map(|name| aggregate(name)).collect();
    let must_be = "a list of count, first, last, min, max, mean, std_pop, median, sum, time_avg_stepped, time_avg_sloped";
    let aggregates = aggregates.ok_or_else(|| config.wrong("agg", must_be))?;
    let mut table = format!("window_start_ms,{}\n", names.join(","));
    let mut closed = |result: WindowResult| {
        if result.count() == 0 {
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
    let mut sensors = states::<WindowState>(rows);
    for row in rows {
        if let Some(state) = sensors.get_mut(row.sensor) {
            let _ = window.check(state, row.value, row.quality, row.time, &mut closed);
        }
    }
    for state in &mut sensors {
        window.flush(state, &mut closed);
    }
    Ok(table)
}

fn window(config: &Config<'_>) -> Result<Window, Error> {
    config.choice("kind", &[("tumbling", ())])?;
    config.choice("align", &[("epoch", ())])?;
    config.choice("closed", &[("left", ())])?;
    config.choice("emit", &[("non_empty", ())])?;
    config.choice("bounds", &[("interpolated", ())])?;
    let width_ms = config.maybe_ms("width_ms")?.ok_or_else(|| config.wrong("width_ms", "milliseconds"))?;
    let window = Window::tumbling_ms(width_ms).map_err(|error| config.refused(&error))?;
    Ok(window.median(true))
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
        "time_avg_sloped" | "time_avg" | "time_average" | "time_weighted_mean" => Aggregate::TimeAvgSloped,
        _ => return None,
    })
}
