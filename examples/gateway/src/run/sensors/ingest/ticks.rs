//! Ticks of the filters: rows that become due without a message.

use edge_bridge::Row;
use edge_bridge::ingest::Now;

use crate::run::route::RouteState;
use crate::run::sensors::held_receipts::Link;

use super::GatewayIngest;

/// Lane of changes of alarms, the most urgent one.
const ALARM_LANE: u8 = 1;

impl GatewayIngest {
    /// Returns rows whose deadline has passed, and the receipts that depend on them. `is_asked_for`: a publisher waits for receipts, so the
    /// stages emit the held readings that they can.
    pub(crate) fn tick(&self, now: Now, is_asked_for: bool) -> (Vec<Row>, Link) {
        self.tick_lanes(now, is_asked_for, 0)
    }

    /// Returns such rows, but of routes whose lane is stopped those of alarms alone, which have a lane of their own. Bit `n` of `stopped` is lane `n`.
    pub(crate) fn tick_lanes(&self, now: Now, is_asked_for: bool, stopped: u8) -> (Vec<Row>, Link) {
        let (mut rows, mut link) = (Vec::new(), Link::default());
        let mut inner = self.lock();
        let now = inner.arrival.map(now);
        for route in &mut inner.routes {
            let (more, depends) = match route.is_in(stopped) {
                false => route.tick(now, is_asked_for),
                true if stopped & ALARM_LANE == 0 => route.tick_alarms(now),
                true => continue,
            };
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
        let due_in_ms = |route: &RouteState| {
            let readings = route.readings.as_ref()?;
            match route.is_in(stopped) {
                false => readings.due_in_ms(now),
                true if stopped & ALARM_LANE == 0 => readings.alarms_due_in_ms(now),
                true => None,
            }
        };
        inner.routes.iter().filter_map(due_in_ms).min()
    }
}
