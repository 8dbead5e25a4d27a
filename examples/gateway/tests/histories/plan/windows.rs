//! Windows as a dimension of a history.

use super::super::record::{Aggregate, Filter, Window};
use super::super::support::rng::Rng;
use super::Configuration;

/// A second more than the widest window with its lateness, as `check` asks for.
pub(super) const HOLD_MAX: &str = "3s";
const WIDTHS_MS: [i64; 3] = [200, 500, 1_500];
const LATENESS_MS: [i64; 3] = [0, 100, 500];
const AGGREGATES: [(Aggregate, &str); 7] = [
    (Aggregate::Count, "count"),
    (Aggregate::First, "first"),
    (Aggregate::Last, "last"),
    (Aggregate::Min, "min"),
    (Aggregate::Max, "max"),
    (Aggregate::Mean, "mean"),
    (Aggregate::Sum, "sum"),
];

/// Gives a route that is not sampled the same window in every run.
pub(super) fn insert(rng: &mut Rng, configurations: &mut [Configuration]) {
    let route = rng.below(configurations[0].routes.len() as u64) as usize;
    let (aggregate, _) = *rng.pick(&AGGREGATES);
    let (width_ms, lateness_ms) = (*rng.pick(&WIDTHS_MS), *rng.pick(&LATENESS_MS));
    let (filter, withholds) = (Filter::Window(Window { width_ms, lateness_ms, aggregate }), rng.percent(40));
    for route in configurations.iter_mut().map(|configuration| &mut configuration.routes[route]) {
        if !matches!(route.filter, Filter::Sample(_)) {
            (route.filter, route.withholds) = (filter, withholds);
        }
    }
}

pub(super) fn stage(window: Window) -> String {
    let Window { width_ms, lateness_ms, aggregate } = window;
    let name = AGGREGATES.iter().find(|(known, _)| *known == aggregate).map_or("", |(_, name)| *name);
    format!("window = {{ width_ms = {width_ms}, agg = \"{name}\", allowed_lateness_ms = {lateness_ms} }}")
}
