//! `report.json`: the pinned fields, and a few more.

use serde_json::{Value, json};

use super::Report;
use crate::verdict::ClientCount;

const SCHEMA: u32 = 1;

pub(super) fn value(report: &Report) -> Value {
    let Report { verdict, observed, story, .. } = report;
    let per_client: serde_json::Map<String, Value> =
        verdict.per_client.iter().map(|(client, count)| (client.clone(), client_value(count))).collect();
    let events: Vec<Value> = report
        .events
        .iter()
        .map(|event| json!({ "at_seconds": seconds(event.at_ms), "event": event.name, "text": event.text }))
        .collect();
    let checks: Vec<Value> = verdict
        .checks(observed)
        .into_iter()
        .map(|check| {
            let (bound, measured) = (check.bound, check.measured);
            json!({ "promise": check.promise, "name": check.name, "bound": bound, "measured": measured, "kept": check.kept })
        })
        .collect();
    let forecast: serde_json::Map<String, Value> = report
        .compared()
        .into_iter()
        .map(|figure| {
            let (predicted, measured, ratio) = (figure.predicted, figure.measured, figure.ratio());
            (figure.key.to_owned(), json!({ "predicted": predicted, "measured": measured, "ratio": ratio }))
        })
        .collect();
    json!({
        "schema": SCHEMA,
        "passed": report.passed(),
        "version": env!("CARGO_PKG_VERSION"),
        "gateway": report.gateway,
        "stack": report.stack,
        "seed": story.seed,
        "acknowledged": verdict.acknowledged,
        "published": verdict.published,
        "delivered_unique": verdict.delivered_unique,
        "represented": verdict.represented,
        "lost": verdict.lost.len(),
        "duplicates": verdict.duplicates,
        "duplicates_recognised": verdict.duplicates_recognised,
        "puback_p99_ms": verdict.puback_p99_ms,
        "wan_bytes": observed.wan_up_bytes + observed.wan_down_bytes,
        "json_bytes": observed.json_bytes,
        "flash_bytes_written": observed.flash_bytes_written,
        "gateway_rss_kib_max": observed.gateway_rss_kib_max,
        "outage_seconds": seconds(outage_ms(report)),
        "catch_up_seconds": verdict.catch_up_ms.map(|ms| ms as f64 / 1000.0),
        "kills": observed.kills,
        "forecast": forecast,
        "per_client": per_client,
        "events": events,
        "checks": checks,
    })
}

/// Returns the length of the outage as it really was, not as the story planned it.
fn outage_ms(report: &Report) -> u64 {
    let lengths = report.timeline.outages.iter().map(|(from, to)| to.saturating_sub(*from));
    lengths.filter_map(|ms| u64::try_from(ms).ok()).sum()
}

fn client_value(count: &ClientCount) -> Value {
    json!({
        "published": count.published,
        "acknowledged": count.acknowledged,
        "delivered_unique": count.delivered_unique,
        "duplicates": count.duplicates,
        "lost": count.lost,
    })
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}
