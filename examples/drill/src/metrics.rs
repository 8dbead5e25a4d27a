//! Reader of the few figures of `/metrics` (Prometheus text format 0.0.4) that the drill shows.

use super::verdict::GatewayLedger;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Metrics {
    pub(crate) ledger: GatewayLedger,
    pub(crate) flash_bytes: u64,
    /// Bytes of what waits, as the queue's limits count them.
    pub(crate) queued_bytes: u64,
    /// The state whose gauge is 1; empty when none is.
    pub(crate) link: String,
}

/// Reads the page; lines that are not known are passed over, series of one name are added up.
pub(crate) fn parse(page: &str) -> Metrics {
    let mut metrics = Metrics::default();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let Some((series, value)) = line.rsplit_once(' ') else { continue };
        let Ok(value) = value.parse::<f64>() else { continue };
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        // Counters are whole numbers far below 2^53; a negative or huge one saturates.
        let whole = value as u64;
        match name.trim_end() {
            "edge_accepted_total" => metrics.ledger.accepted += whole,
            "edge_delivered_total" => metrics.ledger.delivered += whole,
            // Those were never accepted.
            "edge_dropped_total" if label(labels, "reason") == Some("too_large") => {}
            "edge_dropped_total" => metrics.ledger.dropped += whole,
            "edge_queue_messages" => metrics.ledger.queued += whole,
            "edge_queue_bytes" => metrics.queued_bytes += whole,
            "edge_store_bytes_written_total" => metrics.flash_bytes += whole,
            "edge_link_state" if whole == 1 => {
                metrics.link = label(labels, "state").unwrap_or_default().to_owned();
            }
            _ => {}
        }
    }
    metrics
}

fn label<'a>(labels: &'a str, name: &str) -> Option<&'a str> {
    let (_, value) = labels.split_once(name)?;
    value.strip_prefix("=\"")?.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_and_reasons_are_added_up_and_the_link_is_the_state_that_is_one() {
        let page = "# HELP edge_accepted_total x\nedge_accepted_total{lane=\"alarm\"} 3\nedge_accepted_total{lane=\"telemetry\"} 40\n\
            edge_dropped_total{reason=\"deadband\"} 5\nedge_dropped_total{reason=\"expired\"} 1\nedge_dropped_total{reason=\"too_large\"} 1\nedge_queue_messages 7\nedge_queue_bytes 700\n\
            edge_delivered_total 30\nedge_store_bytes_written_total 8.192e3\n\
            edge_link_state{state=\"flowing\"} 0\nedge_link_state{state=\"stalled\"} 1\nother 9\nnonsense\n";
        let metrics = parse(page);
        assert_eq!(metrics.ledger, GatewayLedger { accepted: 43, delivered: 30, queued: 7, dropped: 6 });
        assert_eq!(
            (metrics.flash_bytes, metrics.queued_bytes, metrics.link.as_str()),
            (8192, 700, "stalled")
        );
    }

    #[test]
    fn no_page_panics() {
        for page in
            ["", "{", "edge_link_state{ 1", "edge_accepted_total NaN", "edge_accepted_total -5", "a b c"]
        {
            assert_eq!(parse(page).ledger.accepted, 0);
        }
    }
}
