//! Losses and refusals of the gateway's own listener, in numbers since the start. Pure.

use edge_bridge::listener::Stats;

use super::metrics::Page;

pub(super) fn render(stats: &Stats, page: &mut Page) {
    page.counter(
        "edge_displaced_total",
        "Connections that were not read and were closed to make place for new ones, since the start.",
        stats.displaced,
    );
    page.counter(
        "edge_wills_without_room_total",
        "Wills at QoS 1 that found no room in the queue nor among the wills that wait for it, since the start.",
        stats.wills_without_room,
    );
}
