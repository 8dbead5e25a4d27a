//! Counters of received messages and readings without a row.

use edge_filter::{DropReason, EmitReason, Stats};

use crate::run::filters::readings::Readings;
use crate::run::route::RouteState;
use crate::run::sensors::time_drops::is_for_time;
use crate::run::status::snapshot::figures::RouteFigures;

use super::GatewayIngest;

/// Counters of messages without a row, since the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    /// No route matched.
    pub(crate) unrouted: u64,
    /// Messages without any reading, on a route that needs readings.
    pub(crate) empty: u64,
    /// Metrics of Sparkplug payloads and records of SenML packs that have no place among readings.
    pub(crate) skipped: u64,
    /// Messages of another format, on a route that needs readings.
    pub(crate) undecodable: u64,
    /// Readings that a filter suppressed, by reason.
    pub(crate) suppressed: Vec<(DropReason, u64)>,
    /// Readings that passed the filter unchecked because of their timestamp, by reason.
    pub(crate) unfiltered: Vec<(EmitReason, u64)>,
}

impl GatewayIngest {
    /// Returns the figures of each route since the start, in the configuration's order.
    pub(crate) fn route_figures(&self) -> Vec<RouteFigures> {
        self.lock().routes.iter().map(RouteState::figures).collect()
    }
}

impl Counts {
    /// Adds the counts of a route that is removed.
    pub(super) fn retire(&mut self, route: &RouteState) {
        route.readings.iter().filter_map(Readings::stats).for_each(|stats| self.add(&stats));
    }

    pub(super) fn add(&mut self, stats: &Stats) {
        self.suppressed.iter_mut().for_each(|(reason, count)| *count += stats.dropped_by(*reason));
        self.unfiltered.iter_mut().for_each(|(reason, count)| *count += stats.emitted_by(*reason));
    }

    /// Returns the number of readings that the rules dropped because of their timestamp. No sent reading represents these.
    pub(crate) fn dropped_for_time(&self) -> u64 {
        self.suppressed.iter().filter(|(reason, _)| is_for_time(*reason)).map(|(_, count)| count).sum()
    }
}

impl Default for Counts {
    fn default() -> Self {
        let beside = EmitReason::ALL.iter().copied().filter(|reason| reason.is_beside());
        Self {
            unrouted: 0,
            empty: 0,
            skipped: 0,
            undecodable: 0,
            suppressed: DropReason::ALL.iter().copied().map(|reason| (reason, 0)).collect(),
            unfiltered: beside.map(|reason| (reason, 0)).collect(),
        }
    }
}
