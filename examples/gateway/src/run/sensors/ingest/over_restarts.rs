//! Filter states over a restart: saved at a stop, and restored at the next start.

use edge_bridge::Row;
use edge_bridge::ingest::Now;

use crate::run::filters::filter_state::FilterState;
use crate::run::filters::readings::Readings;
use crate::run::filters::silence::Changed;
use crate::run::filters::watched_sensors_file::Watched;
use crate::run::route::RouteState;

use super::{GatewayIngest, Inner};

impl GatewayIngest {
    /// Returns the state of every filter, one after the other: each is a copy that takes as much memory as its filter.
    pub(crate) fn filter_states(&self) -> impl Iterator<Item = FilterState> {
        let routes = self.lock().routes.len();
        (0..routes).filter_map(|at| self.lock().routes.get(at)?.filter_state())
    }

    /// Makes the filters report the first state of each alarm, because the hub may know other states from before the restart. Call it before
    /// anything is restored or received.
    pub(crate) fn tell_first_alarms(&self) {
        let mut inner = self.lock();
        inner
            .routes
            .iter_mut()
            .filter_map(|route| route.readings.as_mut())
            .for_each(Readings::tell_first_alarms);
    }

    /// Restores filter states. Readings held by a removed route, or by other rules, are returned as rows, to be queued before the first reading.
    /// A state of another version is left out, which is safe, because its sensors then start without history.
    pub(crate) fn restore(&self, now: Now, states: Vec<FilterState>) -> Vec<Row> {
        self.lock().restore(now, states)
    }

    /// Expects the sensors that the last process watched for silence. Call it after [`restore`](Self::restore).
    pub(crate) fn await_sensors(&self, now: Now, lists: Vec<Watched>) {
        self.lock().await_sensors(now, lists);
    }

    /// Returns the watched sensors, to be kept for the next process.
    pub(crate) fn watched(&self) -> Vec<Watched> {
        let inner = self.lock();
        let list = |route: &RouteState| {
            let sensors = route.readings.as_ref()?.watched();
            let filter_topic = route.filter_topic.clone();
            (!sensors.is_empty()).then_some(Watched { filter_topic, sensors })
        };
        inner.routes.iter().filter_map(list).collect()
    }

    /// Returns the changes of [`watched`](Self::watched) since the last call.
    pub(crate) fn take_watch_changes(&self) -> Changed {
        let mut inner = self.lock();
        let readings = inner.routes.iter_mut().filter_map(|route| route.readings.as_mut());
        readings.map(Readings::take_watch_changes).fold(Changed::default(), Changed::and)
    }
}

impl Inner {
    pub(super) fn restore(&mut self, now: Now, states: Vec<FilterState>) -> Vec<Row> {
        let mut rows = Vec::new();
        for mut state in states {
            let route = self.routes.iter_mut().find(|route| route.filter_topic == state.filter_topic);
            if state.is_of_other_rules(route.as_ref().and_then(|route| route.rules())) {
                rows.extend(state.empty(now));
            }
            let Some(route) = route else { continue };
            if let Err(error) = route.restore(now, state) {
                tracing::warn!(route = route.filter_topic, %error, "the filter starts cold");
            }
        }
        rows
    }

    pub(super) fn await_sensors(&mut self, now: Now, lists: Vec<Watched>) {
        for list in lists {
            let route = self.routes.iter_mut().find(|route| route.filter_topic == list.filter_topic);
            if let Some(readings) = route.and_then(|route| route.readings.as_mut()) {
                readings.await_sensors(now, list.sensors);
            }
        }
    }
}
