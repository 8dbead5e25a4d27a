//! Loads of all routes, of which those that cost the same share a simulation: one takes as long as parsing thousands of routes. What a route costs
//! depends on its format and batches, and on how long its topics are. There are at most [`SIMULATIONS_MAX`] simulations for routes that differ in
//! their topics alone, of which the longest stand for others that are a little shorter; with more kinds of batches each is the shorter. Pure.

use std::collections::{BTreeMap, BTreeSet};

use edge_codec::compact::Level;

use crate::config::{Config, Format, Route};

use super::simulated_load::{Load, RouteLoad};

/// Most simulations of full length.
pub(super) const SIMULATIONS_MAX: usize = 12;

/// Settings of a route on which its costs depend, beside its topics. Of the format and the level only the names.
type Kind = (&'static str, bool, u8, u128, (u32, Option<u32>));

/// Lengths of a route's topics in bytes: of its filter, and of its destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Lengths {
    /// Set if the filter has no wildcard: all messages are of one sensor.
    is_one_topic: bool,
    filter: usize,
    to: usize,
}

impl Lengths {
    fn of(route: &Route) -> Self {
        let filter = &route.filter_topic;
        Self { is_one_topic: !filter.contains(['+', '#']), filter: filter.len(), to: route.to.len() }
    }

    fn bytes(self) -> usize {
        self.filter + self.to
    }

    /// Rounds up to multiples of `step`.
    fn rounded(self, step: usize) -> Self {
        let Self { filter, to, .. } = self;
        Self { filter: filter.next_multiple_of(step), to: to.next_multiple_of(step), ..self }
    }
}

fn kind(route: &Route) -> Kind {
    let is_small = route.format == Format::Compact && route.level == Level::Small;
    let batch_max = (route.batch_max.readings, route.batch_max.bytes);
    (route.format.name(), is_small, route.qos, route.batch_age.as_millis(), batch_max)
}

/// Simulates routes, each group of them once.
pub(super) fn route_loads(config: &Config, load: Load) -> Vec<RouteLoad> {
    each(&config.routes, |route, share| RouteLoad::of(config, route, load, share))
}

/// Calls `simulate` with the route of each group that has the longest topics, and with the part of the full length that a simulation has. Returns
/// the result for every route.
fn each<T: Copy>(routes: &[Route], mut simulate: impl FnMut(&Route, u64) -> T) -> Vec<T> {
    let step = step(routes);
    let group = |route: &Route| (kind(route), Lengths::of(route).rounded(step));
    let mut groups: BTreeMap<_, &Route> = BTreeMap::new();
    for route in routes {
        let longest = groups.entry(group(route)).or_insert(route);
        if Lengths::of(longest).bytes() < Lengths::of(route).bytes() {
            *longest = route;
        }
    }
    let share = u64::try_from(groups.len().div_ceil(SIMULATIONS_MAX)).unwrap_or(u64::MAX);
    let loads: BTreeMap<_, T> = groups.iter().map(|(key, route)| (*key, simulate(route, share))).collect();
    routes.iter().filter_map(|route| loads.get(&group(route)).copied()).collect()
}

/// Returns the smallest step to which lengths are rounded so that there are few groups.
fn step(routes: &[Route]) -> usize {
    let groups = |step: usize| {
        let all = routes.iter().map(|route| (kind(route), Lengths::of(route).rounded(step)));
        all.collect::<BTreeSet<_>>().len()
    };
    // No topic is longer.
    let steps = (0..=16).map(|power| 1 << power);
    let mut few = steps.filter(|step| groups(*step) <= SIMULATIONS_MAX);
    few.next().unwrap_or(1 << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(tables: impl IntoIterator<Item = String>) -> Vec<Route> {
        let tables: String = tables.into_iter().map(|table| format!("[[route]]\n{table}\n")).collect();
        let text = format!(
            "[gateway]\nid = \"g\"\n[local]\nlisten = \"127.0.0.1:1883\"\n[hub]\nurl = \"mqtts://h\"\n{tables}"
        );
        let path = std::path::Path::new("g.toml");
        Config::parse(path, &text, &|_| None).map_err(|findings| findings.to_string()).unwrap().0.routes
    }

    /// Number of simulations, the part of the full length that each has, and the lengths of the topics that stand for each route's.
    fn simulated(routes: &[Route]) -> (usize, u64, Vec<Lengths>) {
        let (mut count, mut part) = (0, 0);
        let lengths = each(routes, |route, share| {
            (count, part) = (count + 1, share);
            Lengths::of(route)
        });
        (count, part, lengths)
    }

    #[test]
    fn routes_that_differ_in_their_names_share_a_simulation() {
        let table = |n: usize| {
            format!(
                "match = \"plant/{n}/#\"\nto = \"up/{n}\"\nformat = \"compact\"\nbatch_age = \"{}s\"",
                1 + n % 2
            )
        };
        let all = routes((0..1_000).map(table));
        let (count, part, lengths) = simulated(&all);
        assert_eq!((count, part), (6, 1), "of one, two and three digits, and two kinds");
        assert!(all.iter().zip(lengths).all(|(route, lengths)| Lengths::of(route) == lengths));
    }

    #[test]
    fn topics_of_many_lengths_are_simulated_by_the_longest_of_a_few_groups() {
        let table = |n: usize| format!("match = \"{}/{n:03}/#\"\nto = \"up/\"", "x".repeat(n));
        let all = routes((0..500).map(table));
        let (count, part, lengths) = simulated(&all);
        assert!((6..=SIMULATIONS_MAX).contains(&count) && part == 1, "{count} {part}");
        for (route, lengths) in all.iter().zip(lengths) {
            let own = Lengths::of(route).filter;
            assert!((own..own + 100).contains(&lengths.filter), "{own} by {}", lengths.filter);
        }
    }

    /// Each has a simulation of its own, and all together cost as much as a few.
    #[test]
    fn many_kinds_of_batches_have_shorter_simulations() {
        let table = |n: usize| {
            format!("match = \"a/{n}/#\"\nto = \"up\"\nformat = \"json\"\nbatch_age = \"{}ms\"", 100 + n)
        };
        let (count, part, _) = simulated(&routes((0..1_000).map(table)));
        assert_eq!((count, part), (1_000, 84));
        assert!(count as u64 <= SIMULATIONS_MAX as u64 * part);
    }
}
