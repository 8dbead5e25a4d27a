//! Replacement of the routes while messages come in.

use edge_bridge::Row;
use edge_bridge::ingest::Now;

use crate::config::Route;
use crate::run::filters::filter::Filter;
use crate::run::filters::filter_state::FilterState;
use crate::run::filters::readings::Readings;
use crate::run::filters::watched_sensors_file::Watched;
use crate::run::local_control::alarm_file::KeptAlarms;
use crate::run::route::RouteState;
use crate::run::sensors::held_receipts::Link;

use super::GatewayIngest;

/// State of removed routes, in the form in which a clean stop saves it.
#[derive(Default)]
struct Left {
    filters: Vec<FilterState>,
    alarms: Vec<KeptAlarms>,
    watched: Vec<Watched>,
}

impl GatewayIngest {
    /// Replaces the present routes, between two messages. An unchanged route keeps all its state; the others begin as after a clean restart with
    /// the new configuration. Returns rows for the queue, which come before those of the next message, and the receipts that depend on them.
    ///
    /// # Errors
    /// Rules or a topic that are not valid, in words; then all routes stay as they were.
    pub(crate) fn change_routes(&self, now: Now, routes: &[Route]) -> Result<(Vec<Row>, Link), String> {
        let next = routes.iter().map(RouteState::new).collect::<Result<Vec<_>, _>>()?;
        let (mut rows, link, left) = self.swap(now, next);
        // The filters that go have told of the same changes.
        let _told = self.restore_alarms(now, left.alarms);
        rows.extend(self.restore(now, left.filters));
        self.await_sensors(now, left.watched);
        // A kill would bring back what commands made in routes that are gone.
        self.keep_alarms();
        Ok((rows, link))
    }

    /// Removes the routes that are not in `next`. Returns the rows that they emit, the receipts that depend on these, and the state that they
    /// leave.
    fn swap(&self, now: Now, mut next: Vec<RouteState>) -> (Vec<Row>, Link, Left) {
        let mut inner = self.lock();
        let (now, obeys) = (inner.arrival.map(now), inner.alarms.is_some());
        let (mut going, mut left) = (std::mem::take(&mut inner.routes), Left::default());
        for route in &mut next {
            match going.iter().position(|old| old.is_as(route)) {
                Some(at) => *route = going.swap_remove(at),
                None => {
                    route.set_taps(&inner.taps);
                    route.begin(obeys);
                }
            }
        }
        let (mut rows, mut link) = (Vec::new(), Link::default());
        for old in &mut going {
            next.iter_mut().for_each(|route| route.take_over(old));
            old.readings.iter_mut().for_each(Readings::stop_holding);
            let (more, depends) = old.tick(now, false);
            rows.extend(more);
            link.join(depends);
            left.note(old);
            inner.counts.retire(old);
        }
        // What became due in them may have changed alarms.
        inner.routes = going;
        inner.tell_alarms();
        inner.routes = next;
        inner.changes = inner.changes.wrapping_add(1);
        (rows, link, left)
    }
}

impl Left {
    fn note(&mut self, route: &RouteState) {
        let filter_topic = || route.filter_topic.clone();
        self.filters.extend(route.filter_state());
        let alarms = route.filter().map(Filter::alarms_by_command).unwrap_or_default();
        if !alarms.is_empty() {
            self.alarms.push(KeptAlarms { filter_topic: filter_topic(), alarms });
        }
        let sensors = route.readings.as_ref().map(Readings::watched).unwrap_or_default();
        if !sensors.is_empty() {
            self.watched.push(Watched { filter_topic: filter_topic(), sensors });
        }
    }
}
