//! Counters of losses and refusals of the gateway's own listener, since the start. Pure.

use edge_bridge::listener::Stats;

use crate::run::status::prometheus_text::Page;

/// Returns the number of messages that the listener dropped because the queue was full.
pub(in crate::run) fn without_room(stats: &Stats) -> u64 {
    stats.qos0_without_room + stats.wills_without_room
}

pub(in crate::run) fn render(stats: &Stats, page: &mut Page) {
    page.counter(
        "edge_displaced_total",
        "Connections that were silent, not read, or not logged in, and were closed to make place for new ones, since the start.",
        stats.displaced,
    );
    page.counter(
        "edge_not_accepted_total",
        "Connections that were closed at once because max_connections is reached, and attempts to accept one that the system refused, since the start.",
        stats.not_accepted,
    );
    page.counter(
        "edge_closed_for_memory_total",
        "Connections and sessions that were ended because all together held more than they may, since the start.",
        stats.closed_for_memory,
    );
    page.counter(
        "edge_sessions_given_up_total",
        "Sessions of absent clients that ended early because their place or their memory was needed, since the start.",
        stats.sessions_given_up,
    );
    page.counter(
        "edge_local_refused_total",
        "Clients that were refused at CONNECT, since the start.",
        stats.refused,
    );
    page.counter(
        "edge_local_filters_refused_total",
        "Filters of local clients that were refused in a SUBACK, since the start.",
        stats.filters_refused,
    );
    page.head(
        "edge_local_disconnected_total",
        "counter",
        "Connections that were ended because of their client or of changed rights, or lost, since the start.",
    );
    page.labelled("edge_local_disconnected_total", "reason", ends_by_reason(stats));
    page.gauge(
        "edge_local_held_bytes",
        "Bytes that local clients make the gateway hold, of which max_memory is the limit.",
        stats.held_bytes as u64,
    );
    page.head(
        "edge_local_dropped_total",
        "counter",
        "Copies of messages that local subscribers did not get, and messages that were refused or not retained, since the start.",
    );
    page.labelled("edge_local_dropped_total", "reason", drops_by_reason(stats));
    page.counter(
        "edge_wills_without_room_total",
        "Wills at QoS 1 that found no room in the queue nor among the wills that wait for it, since the start.",
        stats.wills_without_room,
    );
}

/// Returns the numbers of messages and copies that were dropped, refused or not retained, by the cause.
fn drops_by_reason(stats: &Stats) -> [(&'static str, u64); 8] {
    [
        ("slow", stats.dropped_full),
        ("gone", stats.dropped_gone),
        ("ended", stats.dropped_ended),
        ("denied", stats.dropped_denied),
        ("expired", stats.dropped_expired),
        ("too_large", stats.dropped_too_large),
        ("topic", stats.topics_refused),
        ("retained", stats.retain_refused),
    ]
}

/// Returns the numbers of connections that have ended, by the cause.
fn ends_by_reason(stats: &Stats) -> [(&'static str, u64); 12] {
    [
        ("silent", stats.silent),
        ("unfinished", stats.unfinished),
        ("unread", stats.answers_unread),
        ("no_handshake", stats.failed_handshakes),
        ("no_connect", stats.without_connect),
        ("protocol", stats.violations),
        ("taken_over", stats.taken_over),
        ("rights", stats.asked_back),
        ("topic", stats.closed_at_topic),
        ("answer_too_large", stats.unanswerable),
        ("client_error", stats.peer_errors),
        ("lost", stats.lost),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_has_its_reason() {
        let mut stats = Stats::default();
        (stats.silent, stats.unfinished, stats.answers_unread) = (1, 2, 3);
        (stats.without_connect, stats.violations, stats.failed_handshakes) = (4, 5, 6);
        (stats.taken_over, stats.asked_back, stats.closed_at_topic) = (7, 8, 9);
        (stats.unanswerable, stats.peer_errors, stats.lost) = (10, 11, 12);
        let mut page = Page::default();
        render(&stats, &mut page);
        let text = page.into_text();
        let reasons = [
            "silent",
            "unfinished",
            "unread",
            "no_connect",
            "protocol",
            "no_handshake",
            "taken_over",
            "rights",
            "topic",
            "answer_too_large",
            "client_error",
            "lost",
        ];
        for (reason, count) in reasons.into_iter().zip(1..) {
            let line = format!("edge_local_disconnected_total{{reason=\"{reason}\"}} {count}\n");
            assert!(text.contains(&line), "{line}{text}");
        }
    }

    /// An operator acts by the reason: a slow client, a right that is missing, and an expiry that is too short are mended in different places.
    #[test]
    fn each_drop_has_its_reason() {
        let mut stats = Stats::default();
        (stats.dropped_full, stats.dropped_gone, stats.dropped_ended) = (1, 2, 3);
        (stats.dropped_denied, stats.dropped_expired, stats.dropped_too_large) = (4, 5, 6);
        (stats.topics_refused, stats.retain_refused) = (7, 8);
        let mut page = Page::default();
        render(&stats, &mut page);
        let text = page.into_text();
        let reasons = ["slow", "gone", "ended", "denied", "expired", "too_large", "topic", "retained"];
        for (reason, count) in reasons.into_iter().zip(1..) {
            let line = format!("edge_local_dropped_total{{reason=\"{reason}\"}} {count}\n");
            assert!(text.contains(&line), "{line}{text}");
        }
        assert_eq!(text.matches("\nedge_local_dropped_total{").count(), reasons.len(), "{text}");
    }

    /// Each counter and gauge without a label is under its own name.
    #[test]
    fn each_figure_has_its_name() {
        let mut stats = Stats::default();
        (stats.displaced, stats.not_accepted, stats.closed_for_memory) = (1, 2, 3);
        (stats.sessions_given_up, stats.refused, stats.held_bytes) = (4, 5, 6);
        (stats.wills_without_room, stats.qos0_without_room) = (7, 80);
        let mut page = Page::default();
        render(&stats, &mut page);
        let text = page.into_text();
        for line in [
            "edge_displaced_total 1",
            "edge_not_accepted_total 2",
            "edge_closed_for_memory_total 3",
            "edge_sessions_given_up_total 4",
            "edge_local_refused_total 5",
            "edge_local_held_bytes 6",
            "edge_wills_without_room_total 7",
        ] {
            assert!(text.contains(&format!("\n{line}\n")), "{line}\n{text}");
        }
        assert_eq!(without_room(&stats), 87);
    }

    #[test]
    fn refused_filters_are_on_the_page() {
        let mut stats = Stats::default();
        stats.filters_refused = 7;
        let mut page = Page::default();
        render(&stats, &mut page);
        let text = page.into_text();
        assert!(text.contains("\nedge_local_filters_refused_total 7\n"), "{text}");
    }
}
