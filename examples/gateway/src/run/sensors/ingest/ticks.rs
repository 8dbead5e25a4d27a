//! Ticks of the filters: rows that become due without a message.

use edge_bridge::Row;
use edge_bridge::ingest::Now;

use crate::run::sensors::held_receipts::Link;

use super::GatewayIngest;

impl GatewayIngest {
    /// Returns rows whose deadline has passed, and the receipts that depend on them. `is_asked_for`: a publisher waits for receipts, so the
    /// stages emit the held readings that they can.
    pub(crate) fn tick(&self, now: Now, is_asked_for: bool) -> (Vec<Row>, Link) {
        self.tick_lanes(now, is_asked_for, 0)
    }

    /// Returns such rows, but none of the routes whose lane is stopped, bit `n` of `stopped` for lane `n`.
    pub(crate) fn tick_lanes(&self, now: Now, is_asked_for: bool, stopped: u8) -> (Vec<Row>, Link) {
        let (mut rows, mut link) = (Vec::new(), Link::default());
        let mut inner = self.lock();
        let now = inner.arrival.map(now);
        for route in inner.routes.iter_mut().filter(|route| !route.is_in(stopped)) {
            let (more, depends) = route.tick(now, is_asked_for);
            rows.extend(more);
            link.join(depends);
        }
        inner.tell_alarms();
        (rows, link)
    }

    /// Returns the milliseconds until the next deadline of [`tick`](Self::tick). `None`: there is none.
    pub(crate) fn due_in_ms(&self, now: Now) -> Option<u64> {
        self.due_in_ms_of_lanes(now, 0)
    }

    /// Returns the milliseconds until the next deadline of [`tick_lanes`](Self::tick_lanes). `None`: there is none.
    pub(crate) fn due_in_ms_of_lanes(&self, now: Now, stopped: u8) -> Option<u64> {
        let mut inner = self.lock();
        let now = inner.arrival.map(now);
        let routes = inner.routes.iter().filter(|route| !route.is_in(stopped));
        routes.filter_map(|route| route.readings.as_ref()?.due_in_ms(now)).min()
    }
}
