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

use super::{GatewayIngest, Inner};

/// State of removed routes, in the form in which a clean stop saves it.
#[derive(Default)]
struct Left {
    filters: Vec<FilterState>,
    alarms: Vec<KeptAlarms>,
    watched: Vec<Watched>,
}

impl GatewayIngest {
    /// Replaces the present routes, between two messages. An unchanged route keeps all its state; the others begin as after a clean restart with
    /// the new configuration. `put` gets rows for the queue and the receipts that depend on them, while no message is taken in: that of a thread
    /// beside would find a filter without what it knew, which then came back over it, or get its rows in front of these.
    ///
    /// # Errors
    /// Rules or a topic that are not valid, in words; then all routes stay as they were, and `put` is not called.
    pub(crate) fn change_routes(
        &self,
        now: Now,
        routes: &[Route],
        put: impl FnOnce(Vec<Row>, Link),
    ) -> Result<(), String> {
        let next = routes.iter().map(RouteState::new).collect::<Result<Vec<_>, _>>()?;
        let mut inner = self.lock();
        let (mut rows, link, left) = inner.swap(now, next);
        // The filters that go have told of the same changes.
        let _told = inner.restore_alarms(now, left.alarms);
        rows.extend(inner.restore(now, left.filters));
        inner.await_sensors(now, left.watched);
        // A kill would bring back what commands made in routes that are gone.
        inner.keep_alarms();
        put(rows, link);
        Ok(())
    }
}

impl Inner {
    /// Removes the routes that are not in `next`. Returns the rows that they emit, the receipts that depend on these, and the state that they
    /// leave.
    fn swap(&mut self, now: Now, mut next: Vec<RouteState>) -> (Vec<Row>, Link, Left) {
        let (now, obeys) = (self.arrival.map(now), self.alarms.is_some());
        let (mut going, mut left) = (std::mem::take(&mut self.routes), Left::default());
        for route in &mut next {
            match going.iter().position(|old| old.is_as(route)) {
                Some(at) => *route = going.swap_remove(at),
                None => {
                    route.set_taps(&self.taps);
                    route.begin(obeys);
                }
            }
        }
        let (mut rows, mut link) = (Vec::new(), Link::default());
        for mut old in going {
            next.iter_mut().for_each(|route| route.take_over(&mut old));
            old.readings.iter_mut().for_each(Readings::stop_holding);
            let (more, depends) = old.tick(now, false);
            rows.extend(more);
            link.join(depends);
            left.note(&old);
            self.counts.retire(&old);
            // What became due in it may have changed alarms. Then it goes, before another one's state is copied.
            self.routes = vec![old];
            self.tell_alarms();
            self.routes.clear();
        }
        self.routes = next;
        self.changes = self.changes.wrapping_add(1);
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
