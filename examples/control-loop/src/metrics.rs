//! The loop's figures in the text format of Prometheus.

use crate::runner::LoopStats;
use edge_filter::control::Histogram;
use std::fmt::Write;

/// Upper ends of the exported buckets.
const BUCKETS_US: [u64; 12] =
    [50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 1_000_000];

/// All figures.
pub(crate) fn text(stats: &LoopStats) -> String {
    let mut out = String::new();
    for (name, value) in [
        ("edge_control_scans_total", stats.scans()),
        ("edge_control_missed_total", stats.missed()),
        ("edge_control_watchdog_trips_total", stats.watchdog_trips()),
        ("edge_control_watchdog_active", u64::from(stats.is_tripped())),
        ("edge_control_events_lost_total", stats.events_lost()),
    ] {
        let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
        // Writing to a string does not fail.
        let _ = writeln!(out, "# TYPE {name} {kind}\n{name} {value}");
    }
    histogram(&mut out, "edge_control_lateness_seconds", &stats.lateness);
    histogram(&mut out, "edge_control_period_error_seconds", &stats.period_error);
    out
}

fn histogram(out: &mut String, name: &str, histogram: &Histogram) {
    let _ = writeln!(out, "# TYPE {name} histogram");
    for us in BUCKETS_US {
        let seconds = us as f64 / 1e6;
        let _ = writeln!(out, "{name}_bucket{{le=\"{seconds}\"}} {}", histogram.at_most(us * 1_000));
    }
    let count = histogram.count();
    let _ = writeln!(out, "{name}_bucket{{le=\"+Inf\"}} {count}\n{name}_count {count}");
}
