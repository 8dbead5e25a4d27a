//! Sampling and alarms as dimensions of a history.

use super::super::record::Filter;
use super::super::support::rng::Rng;
use super::Configuration;

/// No sensor has this value.
const LIMIT: f64 = 20.3;

/// Gives a route a sampling stage in every run, and alarms to routes that have rules in every run. Returns the limits that a
/// judge may go by. `has_alarms`: no broker, of which what it still has goes to the last run, without rules; and no clock that
/// steps, after which a late reading may begin its sensor's series anew.
pub(super) fn insert(
    rng: &mut Rng,
    configurations: &mut [Configuration],
    filtered: bool,
    has_alarms: bool,
) -> Vec<Option<f64>> {
    let count = configurations[0].routes.len();
    let mut limits = vec![None; count];
    if !filtered {
        return limits;
    }
    if rng.percent(35) {
        let (route, n) = (rng.below(count as u64) as usize, *rng.pick(&[2, 3, 10]));
        for configuration in &mut *configurations {
            let route = &mut configuration.routes[route];
            (route.filter, route.withholds) = (Filter::Sample(n), false);
        }
    }
    for (n, limit) in limits.iter_mut().enumerate() {
        if rng.percent(50) && has_alarms && configurations.iter().all(|c| c.routes[n].filter != Filter::None)
        {
            *limit = Some(LIMIT);
        }
        configurations.iter_mut().for_each(|configuration| configuration.routes[n].alarm = *limit);
    }
    limits
}
