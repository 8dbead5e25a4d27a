//! Statistics of the control loop as Prometheus metrics.

use crate::runner::LoopStats;
use edge_filter::control::Histogram;
use std::fmt::Write;

/// Upper bounds of the histogram buckets, in microseconds.
const BUCKETS_US: [u64; 12] =
    [50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 1_000_000];

/// Returns all metrics in the text format 0.0.4 of Prometheus; names begin with `edge_control_`.
#[must_use]
pub fn prometheus(stats: &LoopStats) -> String {
    let mut out = String::new();
    for (name, help, value) in [
        ("edge_control_scans_total", "Scans of the control loops.", stats.scans()),
        ("edge_control_missed_total", "Deadlines of the control loops without a scan.", stats.missed()),
        (
            "edge_control_watchdog_trips_total",
            "How often the watchdog made the outputs safe.",
            stats.watchdog_trips(),
        ),
        (
            "edge_control_watchdog_active",
            "1 while the watchdog holds the outputs.",
            u64::from(stats.is_tripped()),
        ),
        ("edge_control_inputs_total", "Values that came for inputs.", stats.received()),
        ("edge_control_commands_obeyed_total", "Commands that were obeyed.", stats.commands_obeyed()),
        ("edge_control_commands_refused_total", "Commands that were refused.", stats.commands_refused()),
        (
            "edge_control_disputed_total",
            "Values of inputs that had two publishers, taken as bad.",
            stats.disputes(),
        ),
        ("edge_control_events_lost_total", "Events that nobody took in time.", stats.events_lost()),
    ] {
        let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
        // Writing to a string does not fail.
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
    }
    histogram(&mut out, "edge_control_lateness_seconds", "How late each scan was.", &stats.lateness);
    let help = "How far each period was from its length: the jitter.";
    histogram(&mut out, "edge_control_period_error_seconds", help, &stats.period_error);
    out
}

fn histogram(out: &mut String, name: &str, help: &str, histogram: &Histogram) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} histogram");
    for us in BUCKETS_US {
        let seconds = us as f64 / 1e6;
        let _ = writeln!(out, "{name}_bucket{{le=\"{seconds}\"}} {}", histogram.at_most(us * 1_000));
    }
    let (count, sum_s) = (histogram.count(), histogram.sum_ns() as f64 / 1e9);
    let _ = writeln!(out, "{name}_bucket{{le=\"+Inf\"}} {count}\n{name}_sum {sum_s}\n{name}_count {count}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_has_buckets_that_add_up_a_sum_and_a_count() {
        let stats = LoopStats::default();
        stats.period_error.record(80_000);
        stats.period_error.record(3_000_000);
        let text = prometheus(&stats);
        for line in [
            "edge_control_period_error_seconds_bucket{le=\"0.00005\"} 0",
            "edge_control_period_error_seconds_bucket{le=\"0.0001\"} 1",
            "edge_control_period_error_seconds_bucket{le=\"0.005\"} 2",
            "edge_control_period_error_seconds_bucket{le=\"+Inf\"} 2",
            "edge_control_period_error_seconds_sum 0.00308",
            "edge_control_period_error_seconds_count 2",
            "edge_control_scans_total 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
    }
}
