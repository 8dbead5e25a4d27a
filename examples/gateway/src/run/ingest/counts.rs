//! Counts of what came and became no row.

use edge_filter::{DropReason, EmitReason, Stats};

use crate::run::readings::Readings;
use crate::run::route::RouteState;
use crate::run::time_drops::is_for_time;

/// Messages that did not become rows, since the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    /// No route matched.
    pub(crate) unrouted: u64,
    /// A route that needs readings got a list of none.
    pub(crate) empty: u64,
    /// A route that needs readings got something else.
    pub(crate) undecodable: u64,
    /// Readings that a filter suppressed, by reason.
    pub(crate) suppressed: Vec<(DropReason, u64)>,
    /// Readings that passed unfiltered for their time, by reason.
    pub(crate) unfiltered: Vec<(EmitReason, u64)>,
}

impl Counts {
    /// Keeps what a route counted that goes.
    pub(super) fn retire(&mut self, route: &RouteState) {
        route.readings.iter().filter_map(Readings::stats).for_each(|stats| self.add(&stats));
    }

    pub(super) fn add(&mut self, stats: &Stats) {
        self.suppressed.iter_mut().for_each(|(reason, count)| *count += stats.dropped_by(*reason));
        self.unfiltered.iter_mut().for_each(|(reason, count)| *count += stats.emitted_by(*reason));
    }

    /// Readings that the rules drop for their time, which nothing that is sent stands for.
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
            undecodable: 0,
            suppressed: DropReason::ALL.iter().copied().map(|reason| (reason, 0)).collect(),
            unfiltered: beside.map(|reason| (reason, 0)).collect(),
        }
    }
}
