//! Forecast of a drill by the gateway's own sizing, made before anything runs, and its comparison with what was measured.

use std::path::Path;
use std::time::Duration;

use super::relay::ONE_WAY_DELAY;
use super::series::Sensor;
use super::story::{Fault, Story};
use super::verdict::{Observed, Verdict};

/// Time of the story's first message in a forecast: real times would make its payloads others at each run.
const BEGIN_MS: i64 = 1_790_000_000_000;

/// Traffic of a drill: what the sensors publish, and what the link does.
#[derive(Debug, Clone, PartialEq)]
pub struct Traffic {
    /// Messages of the sensors, in the order of their times.
    pub messages: Vec<Published>,
    /// Outages of the link, in the order of their times.
    pub outages: Vec<Outage>,
    /// Round trip of the link.
    pub round_trip: Duration,
}

/// Message of a sensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Milliseconds since the start of the story.
    pub at_ms: u64,
    /// Number of the sensor that publishes it.
    pub sensor: usize,
    /// Topic, as the sensor names it.
    pub topic: String,
    /// Payload, as the sensor writes it.
    pub payload: Vec<u8>,
}

/// Time without a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// First millisecond, since the start of the story.
    pub from_ms: u64,
    /// First millisecond with a link again.
    pub to_ms: u64,
    /// Set if connections stay open and swallow what is sent.
    pub is_half_open: bool,
}

/// Figures that a gateway's sizing predicts of a drill.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast {
    /// Bytes above TCP between gateway and hub, both directions.
    pub link_bytes: u64,
    /// Bytes written to the store.
    pub store_bytes: u64,
    /// Rows waiting at the end of the first outage, and their bytes as the queue's limits count them.
    pub waiting: (u64, u64),
    /// Longest time from the link's return until the last message of an outage is at the hub; `None` if it is not predicted.
    pub catch_up: Option<Duration>,
}

/// Function that predicts the figures of a drill from the gateway's configuration file. An error is why there is no forecast, in words.
pub type Forecaster = fn(&Path, &Traffic) -> Result<Forecast, String>;

/// Figure that was predicted and measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Compared {
    /// Stable name, for `report.json`.
    pub(crate) key: &'static str,
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) predicted: Option<f64>,
    pub(crate) measured: Option<f64>,
}

impl Compared {
    /// Returns predicted by measured; `None` where one of them is missing.
    pub(crate) fn ratio(&self) -> Option<f64> {
        let (predicted, measured) = (self.predicted?, self.measured.filter(|measured| *measured > 0.0)?);
        Some(predicted / measured)
    }
}

/// Returns the traffic of a story.
pub(crate) fn traffic(story: &Story, sensors: &[Sensor]) -> Traffic {
    let count = sensors.len().max(1) as u64;
    let mut messages = Vec::new();
    for (n, due_ms) in (0_u64..).map_while(|n| Some((n, story.due_ms(n)?))) {
        let at = usize::try_from(n % count).unwrap_or(0);
        let Some(sensor) = sensors.get(at) else { continue };
        let time = BEGIN_MS.saturating_add_unsigned(due_ms);
        messages.push(Published {
            at_ms: sensor.published_at_ms(due_ms, story.publish_ms),
            sensor: at,
            topic: sensor.topic.clone(),
            payload: sensor.message(n / count, time).payload,
        });
    }
    messages.sort_by_key(|message| message.at_ms);
    let outage = |phase: &super::story::Phase| Outage {
        from_ms: phase.from_ms,
        to_ms: phase.to_ms,
        is_half_open: phase.name.fault() == Fault::HalfOpen,
    };
    Traffic { messages, outages: story.outages().map(outage).collect(), round_trip: 2 * ONE_WAY_DELAY }
}

/// Returns the figures side by side. Those of a gateway that does not tell what waits, or what it writes, are missing.
pub(crate) fn compare(forecast: Option<&Forecast>, verdict: &Verdict, observed: &Observed) -> Vec<Compared> {
    let Some(forecast) = forecast else { return Vec::new() };
    let link_bytes = observed.wan_up_bytes.saturating_add(observed.wan_down_bytes) as f64;
    let each = |bytes: f64| (verdict.published > 0).then(|| bytes / verdict.published as f64);
    let whole = |figure: u64| Some(figure as f64);
    let (rows, bytes) = observed.waiting_at_return.unzip();
    [
        (
            "link_bytes_per_message",
            "bytes on the link for each message published",
            "B",
            each(forecast.link_bytes as f64),
            each(link_bytes),
        ),
        (
            "store_bytes",
            "bytes written to the store",
            "B",
            whole(forecast.store_bytes),
            whole(observed.flash_bytes_written),
        ),
        (
            "waiting_rows",
            "rows waiting when the link came back",
            "",
            whole(forecast.waiting.0),
            rows.map(|rows| rows as f64),
        ),
        ("waiting_bytes", "their bytes", "B", whole(forecast.waiting.1), bytes.map(|bytes| bytes as f64)),
        (
            "catch_up_seconds",
            "until the backlog was at the hub",
            "s",
            forecast.catch_up.map(|time| time.as_secs_f64()),
            verdict.catch_up_ms.map(|ms| ms as f64 / 1_000.0),
        ),
    ]
    .map(|(key, name, unit, predicted, measured)| Compared { key, name, unit, predicted, measured })
    .into()
}

/// Returns a figure as text, without places that nobody compares.
pub(crate) fn shown(figure: Option<f64>, unit: &str) -> String {
    match (figure, unit) {
        (None, _) => "-".to_owned(),
        (Some(figure), "") => format!("{figure:.0}"),
        (Some(figure), "s") => format!("{figure:.1} s"),
        (Some(figure), unit) => format!("{figure:.0} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_traffic_is_the_storys_with_the_loggers_bursts_in_order() {
        let (story, sensors) = (Story::new(5, 40), crate::series::sensors().unwrap());
        let Traffic { messages, outages, round_trip } = traffic(&story, &sensors);
        assert_eq!((messages.len(), round_trip), (16 * 30 + 24 * 300, Duration::from_millis(500)));
        assert!(messages.windows(2).all(|two| two[0].at_ms <= two[1].at_ms));
        assert!(messages.iter().all(|message| message.at_ms <= story.publish_ms));
        let kinds: Vec<_> =
            outages.iter().map(|outage| (outage.from_ms, outage.to_ms, outage.is_half_open)).collect();
        assert_eq!(kinds, [(8_000, 22_000, false), (26_000, 34_000, true)]);
        assert_eq!(traffic(&Story::new(9, 40), &sensors).messages, messages, "whatever the kill");
    }

    #[test]
    fn figures_without_a_counterpart_have_no_ratio() {
        let compared =
            |predicted, measured| Compared { key: "k", name: "n", unit: "B", predicted, measured }.ratio();
        assert_eq!(compared(Some(3.0), Some(4.0)), Some(0.75));
        assert_eq!(
            [compared(None, Some(4.0)), compared(Some(3.0), None), compared(Some(3.0), Some(0.0))],
            [None; 3]
        );
        assert_eq!(
            [shown(Some(1_234.6), "B"), shown(Some(3.76), "s"), shown(None, "s")],
            ["1235 B", "3.8 s", "-"]
        );
    }
}
